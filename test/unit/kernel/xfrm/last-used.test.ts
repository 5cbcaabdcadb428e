/** How long direct paths have carried nothing: both directions and headers together, by a clock that is never set. */
import t from "tap";
import { IPV6_ANY, type Ipv6Address, ipv6 } from "../../../../controller/base/ip.js";
import { DirectUseMeter } from "../../../../controller/kernel/xfrm/last-used.js";
import { XFRM_STRUCTS } from "../../../../controller/kernel/xfrm/layout.js";
import { xfrmStateCodec } from "../../../../controller/kernel/xfrm/state.js";
import type { NetlinkMessage, NetlinkRequest } from "../../../../controller/netlink/message.js";
import type { MobilityState, XfrmState } from "../../../../controller/plan/objects/security.js";
import { HEADER_REQID } from "../../../../controller/plan/security/mobility-headers.js";

const [OWN, OTHER, THIRD, CARE_OF] = ["2001:db8:1::100", "2001:db8:c::2", "2001:db8:c::3", "2001:db8:f::2"].map(
  ipv6,
) as [Ipv6Address, Ipv6Address, Ipv6Address, Ipv6Address];
const NO_NAMES = { interfaceIndex: () => 0, interfaceName: () => undefined };
const { xfrm_usersa_info: INFO, xfrm_lifetime_cur: LIFETIME } = XFRM_STRUCTS;

const state = (
  type: MobilityState["type"],
  source: Ipv6Address,
  destination: Ipv6Address,
  reqid: number,
): XfrmState => ({
  kind: "xfrm-state",
  source,
  destination,
  reqid,
  transform: { type, careOfAddress: CARE_OF, wildcard: source === IPV6_ANY },
});

function counted(object: XfrmState, packets: number): NetlinkMessage {
  const [request] = xfrmStateCodec.create(object, NO_NAMES);
  const body = (request as NetlinkRequest).body.slice();
  new DataView(body.buffer).setBigUint64(INFO.curlft + LIFETIME.packets, BigInt(packets), true);
  return { type: 0x10, flags: 0, body };
}

t.test("a path is idle since the last look that found a packet counted, out or in; each on its own", async (test) => {
  const sent = state("home-address-option", OWN, OTHER, HEADER_REQID.direct);
  const taken = state("type2-routing-header", OTHER, OWN, HEADER_REQID.bound);
  const third = state("home-address-option", OWN, THIRD, HEADER_REQID.direct);
  const strangers = [
    state("home-address-option", OWN, CARE_OF, HEADER_REQID.homeAddressOption),
    state("type2-routing-header", IPV6_ANY, OWN, HEADER_REQID.bound),
  ];
  const packets = { sent: 5, taken: 3, third: 0 };
  const asked: number[] = [];
  const meter = new DirectUseMeter({
    dump: async ({ body }) => {
      const protocol = body[4] ?? 0;
      asked.push(protocol);
      if (protocol === 60)
        return [counted(sent, packets.sent), counted(third, packets.third), ...strangers.map((one) => counted(one, 9))];
      return [counted(taken, packets.taken)];
    },
  });
  const idle = async (now: number) => (await meter.look(now)).map(({ other, idleSeconds }) => [other, idleSeconds]);
  test.strictSame(
    await idle(100),
    [
      [OTHER, 0],
      [THIRD, 0],
    ],
    "what was before the first look nobody knows",
  );
  test.strictSame(asked, [60, 43], "two dumps, however many paths");
  packets.taken += 1;
  test.strictSame(await idle(130), [
    [OTHER, 0],
    [THIRD, 30],
  ]);
  test.strictSame(await idle(150), [
    [OTHER, 20],
    [THIRD, 50],
  ]);
  packets.sent += 1;
  test.strictSame((await idle(160))[0], [OTHER, 0]);
  packets.sent = 0;
  test.strictSame((await idle(170))[0], [OTHER, 0], "states that were made anew have counted nothing yet");
});

t.test("mobility messages with the headers of payload are no use", async (test) => {
  const sent = state("home-address-option", OWN, OTHER, HEADER_REQID.direct);
  const counts = { packets: 9, messages: 2 };
  const meter = new DirectUseMeter({
    dump: async ({ body }) => (body[4] === 60 ? [counted(sent, counts.packets)] : []),
  });
  const idle = async (now: number): Promise<number | undefined> =>
    (await meter.look(now, ({ own, other }) => (own === OWN && other === OTHER ? counts.messages : 0)))[0]?.idleSeconds;
  test.equal(await idle(100), 0);
  counts.messages += 2;
  test.equal(await idle(130), 30, "an update is known before the kernel has counted it");
  counts.packets += 2;
  test.equal(await idle(160), 60, "update and answer");
  counts.packets += 3;
  counts.messages += 2;
  test.equal(await idle(190), 0, "and a packet");
  counts.packets = 1;
  test.equal(await idle(200), 0, "made anew");
  test.equal(await idle(210), 10);
});
