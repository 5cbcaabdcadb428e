/**
 * A home agent without a home link: the home prefixes are nowhere but here. What is for a node that is not registered is refused and neither
 * goes round with the default route nor comes to the process, although the way of the signalling stands in the same table.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { ipv6 } from "../../../controller/base/ip.js";
import { decodeIcmpv6, encodeIcmpv6, withIcmpv6Checksum } from "../../../controller/wire/icmpv6.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import { BindingStatus } from "../../../controller/wire/mip6/registry.js";
import { type IcmpLayer, layersOf } from "../lib/frame.js";
import { ALICE, BOB, HOME_AGENT, HostileWorld, type Player, plainIpv6, wantsIpv4 } from "../lib/hostile.js";
import { waitFor } from "../lib/wait.js";

const CORRESPONDENT = ipv6("2001:db8:c::2");
const UDP = 17;
const ICMPV6 = { unreachable: 1, discoveryReply: 145 } as const;
const ANYCAST = ipv6("2001:db8:1:0:fdff:ffff:ffff:fffe");
/** To a port of nobody's; a checksum is not needed to be routed. */
const DATAGRAM = Buffer.from("c000c001000c0000ffffffff", "hex");

test("a home agent without a home link", async (t) => {
  const hostile = new HostileWorld(t, { homeLink: { prefixes: ["2001:db8:1::/64", "198.51.100.0/24"] } });
  const { ha } = hostile;
  ha.also("link set home down", `address add ${HOME_AGENT.ipv6}/128 dev lo`);
  await hostile.open();

  const packetTo = (who: Player): Uint8Array => plainIpv6(CORRESPONDENT, who.homeAddress, UDP, DATAGRAM);
  const refusals = (): IcmpLayer[] =>
    hostile.frames
      .flatMap((frame) => layersOf(frame, 1))
      .filter((layer): layer is IcmpLayer => layer.kind === "icmp6" && layer.type === ICMPV6.unreachable);
  const sentIntoTun = (): number => {
    const [link] = ha.ipJson("-s link show dev dsmip-sig") as { stats64: { tx: { packets: number } } }[];
    return link?.stats64.tx.packets ?? Number.NaN;
  };

  await t.test("an update over UDP is answered, by way of the TUN device", async () => {
    const before = sentIntoTun();
    const { message } = await hostile.update(ALICE, { sequence: 1, options: [wantsIpv4(ALICE)] });
    assert.equal(message.status, BindingStatus.accepted);
    assert.ok(sentIntoTun() > before); // the kernel itself may have sent some multicast
  });

  await t.test("what is for nobody who is registered is refused, and is not sent on or to the process", async () => {
    const frames = hostile.frames.length;
    hostile.send(6, packetTo(BOB));
    await waitFor(() => refusals().length > 0, { what: "a destination unreachable" });
    const said = hostile.frames.slice(frames).flatMap((frame) => layersOf(frame, 1));
    assert.ok(!said.some((layer) => layer.kind === "udp"), "the packet itself is not on the wire again");
  });

  await t.test("what is for a registered node goes into its tunnel", async () => {
    const frames = hostile.frames.length;
    hostile.send(6, packetTo(ALICE));
    await waitFor(
      () =>
        hostile.frames.slice(frames).some((frame) => {
          const outer = layersOf(frame, 1).find((layer) => layer.kind === "ipv4");
          return outer?.kind === "ipv4" && outer.destination === "203.0.114.2";
        }),
      { what: "the packet in UDP" },
    );
  });

  await t.test("F6275-10.5.1-01: home agent address discovery is answered from the home agent's address", async () => {
    const question = {
      type: "home-agent-address-discovery-request",
      identifier: 9,
      flags: { mobileRouter: false },
    } as const;
    const message = withIcmpv6Checksum(encodeIcmpv6(question), CORRESPONDENT, ANYCAST);
    hostile.send(6, plainIpv6(CORRESPONDENT, ANYCAST, Protocol.icmpv6, message));
    const reply = await waitFor(
      () =>
        hostile.frames
          .flatMap((frame) => layersOf(frame, 1))
          .find((layer): layer is IcmpLayer => layer.kind === "icmp6" && layer.type === ICMPV6.discoveryReply),
      { what: "a reply" },
    );
    const decoded = decodeIcmpv6(reply.bytes);
    assert.ok(decoded.ok && decoded.value.type === "home-agent-address-discovery-reply");
    assert.deepEqual([decoded.value.identifier, decoded.value.addresses], [9, [HOME_AGENT.ipv6]]);
  });

  assert.equal(hostile.dsmipctl("audit").status, 0);
});
