/** Good keys in wrong hands: a subscriber who speaks for another one, and a listener who sends again what it has heard. */
import assert from "node:assert/strict";
import test from "node:test";
import type { Ipv6Address } from "../../../controller/base/ip.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import { bindingUpdate } from "../../lib/esp.js";
import { kernelAssociations } from "../lib/associations.js";
import type { Frame } from "../lib/capture.js";
import { Injector, stationPacket } from "../lib/craft.js";
import { freshText, send } from "../lib/exchange.js";
import { ipLayersOf } from "../lib/frames.js";
import { inUdp, plainIpv6, withHomeAddress } from "../lib/hostile.js";
import { spiOf } from "../lib/ike-wire.js";
import { begin, crossAll, spisOf } from "../lib/keys.js";
import { CORRESPONDENT, HOME_AGENT, type Mobile, outerAddress, Scene } from "../lib/scene.js";
import { senderOf } from "../lib/sending-keys.js";
import { waitFor } from "../lib/wait.js";

const ETHERNET = 14;
const IPV4_HEADER = 20;
const UDP_CHECKSUM = 6;

/** Drops at the home agent: of the kernel's IPsec, whatever for, and of dsmipd's, which hands it nothing without ESP out of UDP. */
async function refusals(scene: Scene): Promise<number> {
  const lines = scene.ha.run("cat", "/proc/net/xfrm_stat").trim().split("\n");
  const counts = lines.filter((line) => line.startsWith("XfrmIn")).map((line) => Number(line.split(/\s+/)[1]));
  const { dropped } = (await scene.homeAgent.status()).counters;
  return counts.reduce((sum, count) => sum + count, dropped["unprotected"] ?? 0);
}

const viewOf = async (scene: Scene, { home6 }: Mobile) =>
  (await scene.homeAgent.bindings()).find(({ homeAddress }) => homeAddress === home6);

const acceptedFrom = async (scene: Scene, mobile: Mobile) => (await viewOf(scene, mobile))?.acceptedFrom ?? [];

async function bindingOf(scene: Scene, mobile: Mobile) {
  const binding = await viewOf(scene, mobile);
  return { endpoint: binding?.endpoint, sequence: binding?.sequence, revision: binding?.revision };
}

const updates = async (scene: Scene): Promise<number> =>
  (await scene.homeAgent.status()).counters.received["binding-update"] ?? 0;

async function sceneWith(t: Parameters<typeof Scene.start>[0], mobiles: number) {
  const scene = await Scene.start(t, { mobiles, ike: {}, profile: { protection: "esp" } });
  for (const mobile of scene.mobiles) {
    await begin(scene, mobile, "six");
  }
  const injector = new Injector({ namespace: scene.core, device: "ha" }, { namespace: scene.ha, device: "wan" });
  t.after(() => injector.close());
  return { scene, injector };
}

test("F6275-5.1-02 F4877-4.2-01 F4877-4.3-02: a node's keys carry neither an update nor payload for another subscriber's home address, and an update without keys moves nothing", async (t) => {
  const { scene, injector } = await sceneWith(t, 2);
  const [victim, attacker] = scene.mobiles as [Mobile, Mobile];
  const careOf = attacker.careOf.six as Ipv6Address;
  const signalling = senderOf(attacker, "transport");
  const payload = senderOf(attacker, "tunnel");
  const sequence = ((await bindingOf(scene, victim)).sequence ?? 0) + 1;
  const update = (home: Ipv6Address, number: number): Uint8Array =>
    signalling.seal(bindingUpdate({ sequence: number }, home, HOME_AGENT.ipv6));
  const tunnelled = (home: Ipv6Address, text: string): Uint8Array => {
    const inner = stationPacket({ source: home, destination: CORRESPONDENT.ipv6 }, text);
    return plainIpv6(careOf, HOME_AGENT.ipv6, Protocol.esp, payload.seal(inner, Protocol.ipv6));
  };
  const clear = (home: Ipv6Address): Uint8Array => bindingUpdate({ sequence: sequence + 1 }, home, HOME_AGENT.ipv6);
  const before = await bindingOf(scene, victim);
  const associations = kernelAssociations(scene.ha);
  const [received, refused] = [await updates(scene), await refusals(scene)];
  const stolen = freshText("stolen");
  const attempts = [
    withHomeAddress(careOf, victim.home6, Protocol.esp, update(victim.home6, sequence)),
    plainIpv6(victim.home6, HOME_AGENT.ipv6, Protocol.esp, update(victim.home6, sequence)),
    inUdp(plainIpv6(victim.home6, HOME_AGENT.ipv6, Protocol.esp, update(victim.home6, sequence))),
    tunnelled(victim.home6, stolen),
    withHomeAddress(careOf, victim.home6, Protocol.mobility, clear(victim.home6)),
    inUdp(plainIpv6(victim.home6, HOME_AGENT.ipv6, Protocol.mobility, clear(victim.home6))),
    inUdp(plainIpv6(attacker.home6, HOME_AGENT.ipv6, Protocol.mobility, clear(attacker.home6))),
  ];
  for (const [i, attempt] of attempts.entries()) {
    injector.send(attempt);
    await waitFor(async () => (await refusals(scene)) > refused + i, { what: `the refusal of attempt ${i + 1}` });
  }
  assert.deepEqual(kernelAssociations(scene.ha), associations, "no end of an association has moved");
  // The same packets for its own home address are good ones: what was refused is the address.
  const own = freshText("own");
  injector.send(tunnelled(attacker.home6, own));
  await scene.correspondents[6].waitFor(own);
  const next = ((await bindingOf(scene, attacker)).sequence ?? 0) + 1;
  injector.send(withHomeAddress(careOf, attacker.home6, Protocol.esp, update(attacker.home6, next)));
  await waitFor(async () => (await bindingOf(scene, attacker)).sequence === next, {
    what: "the attacker's own update",
  });
  assert.equal(await updates(scene), received + 1, "its own, and none of the others");
  assert.equal(scene.correspondents[6].count(stolen), 0);
  assert.deepEqual(await bindingOf(scene, victim), before);
  await crossAll(scene, victim);
});

/** The packet as it was, for another journey: a checksum that a device was to fill in is left out. */
function packetOf({ bytes, layers }: Frame): Uint8Array {
  const packet = bytes.slice(ETHERNET);
  if (layers[1]?.kind === "ipv4" && layers[2]?.kind === "udp") {
    packet.fill(0, IPV4_HEADER + UDP_CHECKSUM, IPV4_HEADER + UDP_CHECKSUM + 2);
  }
  return packet;
}

test("R5555-5-04 R5555-5-06: ESP that is sent again is dropped and counted, updates and payload, over IPv6 and behind a NAT", async (t) => {
  const { scene, injector } = await sceneWith(t, 1);
  const { mobile, homeAgent } = scene;
  const replayed = async (purpose: string): Promise<number> => {
    const { nodes } = await homeAgent.security();
    const all = nodes.flatMap(({ associations }) => associations).filter((one) => one.purpose === purpose);
    return all.reduce((sum, one) => sum + one.replayed, 0);
  };
  for (const access of ["six", "nat"] as const) {
    if (access !== "six") await scene.move(mobile, access);
    await crossAll(scene, mobile);
    const from = outerAddress(mobile, access);
    const heard = (spi: number): Frame[] =>
      scene.wire.frames().filter((frame) => spiOf(frame) === spi && ipLayersOf(frame)[0]?.source === from);
    const texts = ([6, 4] as const).map((family) => {
      const text = freshText(`once IPv${family}`);
      send(scene, mobile, { family, direction: "up" }, text);
      return { text, station: scene.correspondents[family] };
    });
    for (const { text, station } of texts) await station.waitFor(text);
    // When the grace time of the former care-of address ends, the data path is another by itself.
    await waitFor(async () => (await acceptedFrom(scene, mobile)).length === 1, { what: "one care-of address alone" });
    const [binding, received] = [await bindingOf(scene, mobile), await updates(scene)];
    for (const purpose of ["signalling", "payload"] as const) {
      const frames = heard((await spisOf(mobile, purpose)).up);
      const before = await replayed(purpose);
      assert.ok(frames.length >= (purpose === "payload" ? 2 : 1), `${purpose} at ${access}`);
      injector.send(...frames.map(packetOf));
      await waitFor(async () => (await replayed(purpose)) >= before + frames.length, {
        what: `${frames.length} replayed packets of ${purpose} in the counters at ${access}`,
      });
    }
    for (const { text, station } of texts) assert.equal(station.count(text), 1, text);
    assert.equal(await updates(scene), received, "no update twice");
    assert.deepEqual(await bindingOf(scene, mobile), binding);
  }
  await crossAll(scene, mobile);
});
