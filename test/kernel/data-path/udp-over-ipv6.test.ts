/**
 * The last resort with real daemons: a network lets nothing through but UDP over IPv6. Two nodes, one of them behind a translation of
 * addresses and ports; what their updates and their payload look like on the wire; and that nobody else's comes out of the tunnel.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { type Ipv6Address, ipv6 } from "../../../controller/base/ip.js";
import { encodeUdp } from "../../../controller/wire/ip/udp.js";
import { asPlanned } from "../lib/as-planned.js";
import type { Frame } from "../lib/capture.js";
import { encapsulate, Injector, stationPacket, withVersion } from "../lib/craft.js";
import { cross, DIRECTIONS, freshText } from "../lib/exchange.js";
import type { Ipv6Layer } from "../lib/frame.js";
import { layersOfKind } from "../lib/frame.js";
import { describeFrame, ipLayersOf } from "../lib/frames.js";
import { CORRESPONDENT, FAMILIES, HOME_AGENT, type Mobile, Scene } from "../lib/scene.js";
import { settledInUdp, UDP_ONLY, type UdpEndpoint } from "../lib/udp-only.js";
import { waitFor } from "../lib/wait.js";

const WAYS = FAMILIES.flatMap((family) => DIRECTIONS.map((direction) => ({ family, direction })));
const TRANSLATED = ipv6("2001:db8:f::fe");
const EF_AND_ECT = 0xb9;

/** The second node is translated. */
const NAT = `table ip6 nat { chain post { type nat hook postrouting priority 100;
  ip6 saddr 2001:db8:a::12 udp dport 4191 masquerade to :20000-30000; }; }`;

/** Of the outer datagram, as its octets demand it. */
function checkChecksum(frame: Frame): void {
  const [outer] = ipLayersOf(frame) as [Ipv6Layer];
  const [udp] = layersOfKind(frame.layers, "udp");
  assert.ok(udp);
  const { sourcePort, destinationPort, payload, checksum } = udp;
  const right = Buffer.from(encodeUdp({ sourcePort, destinationPort, payload }, outer)).readUInt16BE(6);
  assert.equal(checksum.toString(16), right.toString(16));
}

async function checkPayload(scene: Scene, mobile: Mobile, { address, port }: UdpEndpoint): Promise<void> {
  for (const way of WAYS) {
    const { frame, outer, inner, received } = await cross(scene, mobile, way, { trafficClass: EF_AND_ECT });
    const node = way.family === 6 ? mobile.home6 : mobile.home4;
    const correspondent = way.family === 6 ? CORRESPONDENT.ipv6 : CORRESPONDENT.ipv4;
    const down = way.direction === "down";
    const pair = (from: unknown, to: unknown): string => (down ? `${from}>${to}` : `${to}>${from}`);
    assert.equal(
      describeFrame(frame),
      `ipv6 ${pair(HOME_AGENT.ipv6, address)} / udp ${pair(4191, port)} / ipv${way.family} ${pair(correspondent, node)} / udp 7000>7000`,
    );
    checkChecksum(frame);
    assert.deepEqual(
      [outer.trafficClass, inner.trafficClass, received.trafficClass, outer.hopLimit],
      [EF_AND_ECT, EF_AND_ECT, EF_AND_ECT, down ? 64 : 63],
    );
  }
}

async function checkForgeries(scene: Scene, [mobile, other]: readonly Mobile[], endpoint: UdpEndpoint): Promise<void> {
  assert.ok(mobile && other);
  const wire = new Injector({ namespace: scene.core, device: "ha" }, { namespace: scene.ha, device: "wan" });
  try {
    const outer = { source: endpoint.address as Ipv6Address, destination: HOME_AGENT.ipv6 };
    const from = (source: Mobile, text: string): Uint8Array =>
      stationPacket({ source: source.home6, destination: CORRESPONDENT.ipv6 }, text);
    const ports = { sourcePort: endpoint.port, destinationPort: 4191 };
    const before = await scene.homeAgent.kernelCounters();
    const forged = freshText("forged");
    wire.send(
      encapsulate(outer, from(other, forged), ports),
      encapsulate(outer, from(mobile, forged), { ...ports, sourcePort: endpoint.port ^ 1 }),
      encapsulate({ ...outer, source: ipv6("2001:db8:a::99") }, from(mobile, forged), ports),
      encapsulate(outer, withVersion(from(mobile, forged), 2), ports),
      encapsulate(outer, from(mobile, forged), { ...ports, destinationPort: 4192 }),
    );
    const genuine = freshText("genuine");
    wire.send(encapsulate(outer, from(mobile, genuine), ports));
    await scene.correspondents[6].waitFor(genuine);
    assert.equal(scene.correspondents[6].count(forged), 0);
    const after = await scene.homeAgent.kernelCounters();
    const grown = (name: string): number => (after[name] ?? 0) - (before[name] ?? 0);
    assert.deepEqual(["spoofed-udp", "bad-version", "signalling-port"].map(grown), [3, 1, 1]);
  } finally {
    wire.close();
  }
}

test("a network that lets nothing through but UDP over IPv6", async (t: TestContext) => {
  const on = { udpOverIpv6: true };
  const scene = await Scene.start(t, { mobiles: 2, homeAgent: on, mobileNode: on });
  const { core, ha, mobiles } = scene;
  core.nft(UDP_ONLY);
  core.nft(NAT);
  // Else a wire between namespaces carries checksums that nobody has computed. The correspondent's packets come to the home agent so, as a
  // guest's on the same machine would: the inner checksum is open, the outer one must be right all the same.
  ha.run("ethtool", "-K", "wan", "tx", "off");
  for (const { node } of mobiles) node.run("ethtool", "-K", "six", "tx", "off");
  const [mobile, translated] = mobiles as [Mobile, Mobile];
  for (const one of mobiles) scene.attach(one, "six");
  const access = await scene.net.capture(mobile.node, "six", "ip6 and dst host 2001:db8:1::1");
  await Promise.all(mobiles.map(({ daemon }) => daemon.start()));
  const [own, behind] = await Promise.all([settledInUdp(scene, mobile), settledInUdp(scene, translated)]);

  await t.test("R5555-1.3-04 R5555-4.1-03 R5555-5-05: three updates as they are come first", () => {
    const updates = access.frames().map((frame) => layersOfKind(frame.layers, "udp").length);
    assert.deepEqual(updates.slice(0, 4), [0, 0, 0, 1]);
    assert.deepEqual([own.endpoint.address, own.endpoint.port], ["2001:db8:a::11", 4191]);
    assert.equal(behind.endpoint.address, TRANSLATED);
    assert.notEqual(behind.endpoint.port, 4191);
  });
  await t.test("R5555-4.1-02: payload of both families and directions, class copied, checksum right", () =>
    checkPayload(scene, mobile, own.endpoint),
  );
  await t.test("R5555-4.1-02: behind a NAT the observed address and port are used", () =>
    checkPayload(scene, translated, behind.endpoint),
  );
  await t.test("F6275-10.4.5-01: what is not of the registered source is refused and counted", () =>
    checkForgeries(scene, mobiles, own.endpoint),
  );
  await t.test("the kernels hold what was planned, and nft reads it", async () => {
    await asPlanned(scene.homeAgent, mobile.daemon);
  });
  await t.test("binding remove: what the home agent says of its own accord gets through, and is answered", async () => {
    const command = scene.homeAgent.dsmipctl("binding", "remove", translated.home6);
    assert.equal((await command.exited).code, 0, command.log);
    assert.match(command.log, /acknowledged it \(status 0\)/);
    await translated.daemon.waitForBinding("being refused", ({ state, endpoint }) => state === "refused" && !endpoint);
    await asPlanned(scene.homeAgent, translated.daemon);
  });
  await t.test("who stops is not bound any more", async () => {
    await mobile.daemon.stop();
    const isBound = async (): Promise<boolean> =>
      (await scene.homeAgent.bindings()).some(
        ({ homeAddress, state }) => homeAddress === mobile.home6 && state === "established",
      );
    await waitFor(async () => !(await isBound()), { what: "the binding to be gone" });
  });
});
