/** Our messages as the npm package `netlink` reads them: an implementation that shares no line with ours. */
import netlinkStructs from "netlink/dist/rt/gen_structs.js";
import linkStructs from "netlink/dist/rt/ifla.js";
import structs from "netlink/dist/structs.js";
import t from "tap";
import { toHex } from "../../../controller/base/bytes.js";
import { ipv4, ipv6, type Prefix, parsePrefix } from "../../../controller/base/ip.js";
import type { KernelNames } from "../../../controller/kernel/codec.js";
import { addressCodec } from "../../../controller/kernel/route/address.js";
import { linkCodec } from "../../../controller/kernel/route/link.js";
import { routeCodec } from "../../../controller/kernel/route/route.js";
import { encodeMessage, MessagePacker } from "../../../controller/netlink/message.js";
import type { Route } from "../../../controller/plan/objects/forwarding.js";

const NAMES: KernelNames = { interfaceIndex: () => 7, interfaceName: () => "dsmip0" };
const prefix = (text: string): Prefix => parsePrefix(text) ?? { address: ipv4("0.0.0.0"), length: 0 };
const text = (buffer: Uint8Array | undefined): string | undefined => buffer && toHex(buffer);

const ROUTE: Route = {
  kind: "route",
  destination: prefix("198.51.100.7/32"),
  table: 5000,
  metric: 100,
  device: "dsmip0",
  via: ipv4("203.0.113.77"),
  onlink: true,
  mtu: 1300,
  advertisedMss: 1220,
  preferredSource: ipv4("198.51.100.1"),
};

t.test("headers of packed messages", (t) => {
  const packer = new MessagePacker();
  const bodies = [Buffer.from("abc"), Buffer.from("defgh")];
  bodies.forEach((body, i) => {
    packer.append({ type: 24 + i, flags: 0x605, sequence: 9 + i, body });
  });
  const read = structs.parseMessages(Buffer.from(packer.bytes()));
  t.match(
    read.map(({ type, flags, seq, data }) => ({ type, flags, seq, data: text(data) })),
    [
      { type: 24, flags: 0x605, seq: 9, data: text(bodies[0]) },
      { type: 25, flags: 0x605, seq: 10, data: text(bodies[1]) },
    ],
  );
  t.end();
});

t.test("a route with its metrics", (t) => {
  const [request] = routeCodec.create(ROUTE, NAMES);
  const body = Buffer.from(request?.body ?? []);
  t.match(netlinkStructs.parseRoute(body.subarray(0, 12)), {
    family: 2,
    dstLen: 32,
    table: 0,
    scope: "UNIVERSE",
    type: "UNICAST",
  });
  const attributes = netlinkStructs.parseRouteAttrs(body.subarray(12));
  t.match(attributes, { table: 5000, priority: 100, oif: 7 });
  t.equal(attributes.metrics?.mtu?.readUInt32LE(), 1300);
  t.equal(attributes.metrics?.advmss?.readUInt32LE(), 1220);
  t.equal(text(attributes.dst), "c6336407");
  t.equal(text(attributes.gateway), "cb00714d");
  t.equal(text(attributes.prefsrc), "c6336401");
  t.end();
});

t.test("an address with its flags", (t) => {
  const [request] = addressCodec.create(
    {
      kind: "address",
      device: "dsmip0",
      address: ipv6("2001:db8:1::100"),
      prefixLength: 128,
      home: true,
      noPrefixRoute: true,
    },
    NAMES,
  );
  const body = Buffer.from(request?.body ?? []);
  t.match(netlinkStructs.parseAddress(body.subarray(0, 8)), { family: 10, prefixlen: 128, index: 7 });
  const attributes = netlinkStructs.parseAddressAttrs(body.subarray(8));
  t.equal(text(attributes.local), "20010db8000100000000000000000100");
  t.match(attributes.flags, { nodad: true, homeaddress: true, noprefixroute: true });
  t.end();
});

t.test("a link with its kind and state", (t) => {
  const [make, set] = linkCodec.create(
    { kind: "link", name: "dsmip0", mtu: 1400, up: true, link: { type: "dummy" } },
    NAMES,
  );
  const made = linkStructs.parseLinkAttrs(Buffer.from(make?.body ?? []).subarray(16));
  t.match(made, { ifname: "dsmip0", mtu: 1400 });
  t.equal(made.linkinfo && structs.getMap(made.linkinfo, (item) => structs.getString(item)).get(1), "dummy");
  const state = Buffer.from(set?.body ?? []);
  t.match(netlinkStructs.parseLink(state.subarray(0, 16)), { flags: { up: true } });
  const attributes = structs.getMap(state.subarray(16), (item) => item.toString("latin1").replaceAll("\0", ""));
  t.equal(attributes.get(3), "dsmip0");
  t.equal(attributes.get(20), "dsmipd", "its alias, without a closing zero as iproute2 sends it");
  t.equal(
    structs.parseMessages(Buffer.from(encodeMessage({ type: 16, flags: 1, sequence: 1, body: state }))).length,
    1,
  );
  t.end();
});
