/**
 * Keys by IKEv2 with the real charon on both sides: registration from every access, movement without new keys, payload in ESP with
 * nothing of it in clear on the wire.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { describeLayers, type Frame } from "./lib/capture.js";
import { DIRECTIONS, freshText, send } from "./lib/exchange.js";
import { type Access, FAMILIES, type Mobile, NAT_ADDRESS, Scene } from "./lib/scene.js";
import { waitFor } from "./lib/wait.js";

type Abroad = Exclude<Access, "home">;
const TOUR: readonly Abroad[] = ["six", "four", "nat", "six", "nat", "four"];

/** The SPIs of all children, in a fixed order. */
async function spis(mobile: Mobile): Promise<string[]> {
  const sas = (await mobile.charon?.sas()) ?? [];
  return sas.flatMap(({ children }) => children.map(({ name, spiIn, spiOut }) => `${name} ${spiIn} ${spiOut}`)).sort();
}

/** Each family and direction once; resolves when all have arrived. */
async function crossAll(scene: Scene, mobile: Mobile): Promise<void> {
  for (const family of FAMILIES) {
    for (const direction of DIRECTIONS) {
      const text = freshText(`${direction} IPv${family}`);
      send(scene, mobile, { family, direction }, text);
      await (direction === "down" ? mobile.stations[family] : scene.correspondents[family]).waitFor(text);
    }
  }
}

const inClear = ({ layers }: Frame): boolean =>
  layers.filter(({ kind }) => kind === "udp").length > 0 &&
  layers.some((layer) => layer.kind === "udp" && layer.destinationPort === 7000);

test("R5555-5-02 R5555-5-04 R5555-5.1-11 F4877-4.4-01 F6275-10.3.1-06: the IKE SA follows the node, keys and SPIs stay", async (t) => {
  const scene = await Scene.start(t, { ike: {} });
  const { mobile } = scene;
  scene.attach(mobile, "six");
  await mobile.daemon.start();
  await scene.settled(mobile, "six");
  await crossAll(scene, mobile);
  const before = await spis(mobile);
  assert.equal(before.length, 1, "one child, for updates");
  for (const access of TOUR) {
    await scene.move(mobile, access);
    await crossAll(scene, mobile);
    assert.deepEqual(await spis(mobile), before, `no new keys at ${access}`);
    const careOf = mobile.careOf[access];
    const outer = access === "nat" ? NAT_ADDRESS : careOf;
    await waitFor(async () => (await mobile.charon?.sas())?.[0]?.localHost === careOf, {
      what: `charon of the node to speak from ${careOf}`,
    });
    await waitFor(async () => (await scene.charon?.sas())?.[0]?.remoteHost === outer, {
      what: `charon of the home agent to know ${outer}`,
    });
  }
  assert.deepEqual((await scene.homeAgent.audit()).differences, []);
  assert.deepEqual((await mobile.daemon.audit()).differences, []);
  await scene.move(mobile, "home");
  await crossAll(scene, mobile);
  await mobile.daemon.stop();
  assert.deepEqual(await mobile.charon?.sas(), [], "a stop ends the IKE SA");
});

test("R5555-5.2.2-01 R5555-5.2.2-02 R5555-5.2.2-03 R5555-5-06 R5555-5.1-09 R5555-5.1-10: protected payload in every access, none in clear", async (t) => {
  const scene = await Scene.start(t, { ike: {}, profile: { protection: "esp" } });
  const { mobile } = scene;
  scene.attach(mobile, "six");
  await mobile.daemon.start();
  await scene.settled(mobile, "six");
  await crossAll(scene, mobile);
  const before = await spis(mobile);
  assert.equal(before.length, 2, "updates and payload");
  for (const access of TOUR) {
    await scene.move(mobile, access);
    await crossAll(scene, mobile);
    assert.deepEqual(await spis(mobile), before, `no new keys at ${access}`);
    const outer = access === "nat" ? "udp" : "protocol 50";
    assert.ok(
      scene.wire.frames().some(({ layers }) => describeLayers(layers).includes(outer)),
      `${outer} seen from ${access}`,
    );
  }
  const clear = scene.wire
    .frames()
    .filter((frame) => inClear(frame))
    .filter(({ layers }) => layers.filter(({ kind }) => kind === "ipv4" || kind === "ipv6").length > 1);
  assert.deepEqual(
    clear.map(({ layers }) => describeLayers(layers)),
    [],
    "payload in a tunnel without ESP",
  );
  assert.deepEqual((await scene.homeAgent.audit()).differences, []);
  assert.deepEqual((await mobile.daemon.audit()).differences, []);
});
