/** Announcements of each family as changes of our objects, and where only a new dump tells the truth. */
import t from "tap";
import { ipv4, ipv6 } from "../../../controller/base/ip.js";
import type { AnyCodec, KernelNames } from "../../../controller/kernel/codec.js";
import { InterfaceNames } from "../../../controller/kernel/names.js";
import { createNftElementCodec, NftSets } from "../../../controller/kernel/nftables/element.js";
import { createNftTableCodec } from "../../../controller/kernel/nftables/table.js";
import { XFRM_MSG_FLUSHPOLICY, XFRM_MSG_FLUSHSA } from "../../../controller/kernel/notification-constants.js";
import { decodeNotifications, type NotificationContext } from "../../../controller/kernel/notifications.js";
import { addressCodec } from "../../../controller/kernel/route/address.js";
import { encodeLinkHeader } from "../../../controller/kernel/route/headers.js";
import { xfrmStateCodec } from "../../../controller/kernel/xfrm/state.js";
import { AttributeWriter } from "../../../controller/netlink/attribute.js";
import { NFNL_SUBSYS_NFTABLES } from "../../../controller/netlink/constants.js";
import type { NetlinkFamily } from "../../../controller/netlink/message.js";
import * as rt from "../../../controller/netlink/rtnetlink.js";
import type { NftElement } from "../../../controller/plan/objects/firewall.js";
import type { XfrmState } from "../../../controller/plan/objects/security.js";
import { loadCodecVectors, vectorMessage } from "../../lib/codec-vectors.js";
import { type Announcement, FakeNetlink } from "../../lib/netlink-fake.js";

const OWN_PORT = 4711;

/** What becomes of one datagram with these messages. */
function decode(family: NetlinkFamily, codecs: readonly AnyCodec[], ...messages: readonly Announcement[]) {
  const names = new InterfaceNames();
  names.learn({
    type: rt.RTM_NEWLINK,
    flags: 0,
    body: new AttributeWriter()
      .raw(encodeLinkHeader({ index: 2, flags: rt.IFF_UP }))
      .string(rt.IFLA_IFNAME, "wan")
      .finish(),
  });
  const context: NotificationContext = { family, codecs, names, matters: () => true, ownPort: OWN_PORT };
  const fake = new FakeNetlink();
  const result: ReturnType<typeof decodeNotifications> = [];
  fake.onDatagram((datagram) => result.push(...decodeNotifications(context, datagram)));
  fake.announce(...messages);
  return result;
}

const WAN: KernelNames = { interfaceIndex: () => 2, interfaceName: () => "wan" };

t.test("an IPv4 address takes the routes with it along, if others remove it", (t) => {
  const address = {
    kind: "address",
    device: "wan",
    address: ipv4("198.51.100.1"),
    prefixLength: 32,
    home: false,
    noPrefixRoute: false,
  } as const;
  const body = addressCodec.create(address, WAN)[0]?.body ?? new Uint8Array(0);
  const gone = { verb: "removed", object: address };
  t.strictSame(decode("route", [addressCodec], { type: rt.RTM_DELADDR, body }), [gone, "resync"]);
  t.strictSame(
    decode("route", [addressCodec], { type: rt.RTM_DELADDR, port: OWN_PORT, body }),
    [{ ...gone, own: true }],
    "we know what we did",
  );
  const six = addressCodec.create({ ...address, address: ipv6("2001:db8::1") }, WAN)[0]?.body ?? new Uint8Array(0);
  t.match(decode("route", [addressCodec], { type: rt.RTM_DELADDR, body: six }), [{ verb: "removed" }]);
  t.equal(decode("route", [addressCodec], { type: rt.RTM_DELADDR, body: six }).length, 1);
  t.end();
});

t.test("security associations: changes, and a flush that names none", (t) => {
  const vector = loadCodecVectors<XfrmState>("xfrm.json").find(
    ({ direction, object }) => direction === "reply" && object.kind === "xfrm-state",
  );
  if (vector === undefined) throw new TypeError("no vector");
  const { type, body } = vectorMessage(vector);
  t.match(decode("xfrm", [xfrmStateCodec], { type, body }), [{ verb: "changed", object: { kind: "xfrm-state" } }]);
  for (const flush of [XFRM_MSG_FLUSHSA, XFRM_MSG_FLUSHPOLICY]) {
    t.strictSame(decode("xfrm", [xfrmStateCodec], { type: flush, body: new Uint8Array(8) }), ["resync"]);
  }
  t.end();
});

t.test("nftables: elements are changes, the shape of our table is a reason for a new dump", (t) => {
  const sets = new NftSets();
  sets.learn([{ name: "port6", key: ["ipv6_addr"], value: "inet_service" }]);
  const elements = createNftElementCodec(sets, { destroyMissing: false });
  const codecs: readonly AnyCodec[] = [createNftTableCodec(sets, { namedCounters: true }), elements];
  const element: NftElement = { kind: "nft-element", set: "port6", key: [ipv6("2001:db8::1")], value: 1024 };
  const create = elements.create(element, WAN)[0];
  const remove = elements.remove(element, WAN)[0];
  const [added, removed] = [create, remove].map((request) => ({
    type: request?.type ?? 0,
    body: request?.body ?? new Uint8Array(0),
  }));
  if (added === undefined || removed === undefined) throw new TypeError("no request");
  t.strictSame(decode("netfilter", codecs, added), [{ verb: "changed", object: element }]);
  t.match(decode("netfilter", codecs, removed), [
    { verb: "removed", object: { kind: "nft-element", key: element.key } },
  ]);

  const NEW_RULE = 6;
  const rule = (table: string, port = 0, family = 1) => ({
    type: (NFNL_SUBSYS_NFTABLES << 8) | NEW_RULE,
    port,
    body: new AttributeWriter()
      .raw(Uint8Array.of(family, 0, 0, 0))
      .string(1, table)
      .string(2, "input")
      .finish(),
  });
  t.strictSame(decode("netfilter", codecs, rule("dsmipd"), rule("dsmipd")), ["resync"], "once for a datagram");
  t.strictSame(decode("netfilter", codecs, rule("dsmipd", OWN_PORT)), [], "we know what we did");
  t.strictSame(decode("netfilter", codecs, rule("theirs")), []);
  t.strictSame(decode("netfilter", codecs, rule("dsmipd", 0, 2)), [], "table ip dsmipd is another one");
  t.end();
});
