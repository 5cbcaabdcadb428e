/** Payload in ESP with keys by IKEv2: every access, every family and direction, and nothing of it in clear on the wire. */
import assert from "node:assert/strict";
import test from "node:test";
import { describeLayers, type Frame } from "./lib/capture.js";
import { crossAll, spis, TOUR } from "./lib/keys.js";
import { Scene } from "./lib/scene.js";

/** Payload of the tests inside another header. */
function isTunnelledInClear({ layers }: Frame): boolean {
  const headers = layers.filter(({ kind }) => kind === "ipv4" || kind === "ipv6");
  return headers.length > 1 && layers.some((layer) => layer.kind === "udp" && layer.destinationPort === 7000);
}

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
  const clear = scene.wire.frames().filter(isTunnelledInClear);
  assert.deepEqual(
    clear.map(({ layers }) => describeLayers(layers)),
    [],
    "payload in a tunnel without ESP",
  );
  const [node] = (await scene.homeAgent.security()).nodes;
  assert.equal(node?.ike?.remoteIdentity, "node1@example.org");
  const carried = node?.associations.filter(({ purpose, packets }) => purpose === "payload" && packets > 0) ?? [];
  assert.deepEqual(
    carried.map(({ direction }) => direction).sort(),
    ["receive", "send"],
    "a line for each association",
  );
  for (const one of carried) assert.ok(one.keysAgeSeconds !== null && one.ends.length > 0, JSON.stringify(one));
  assert.ok(
    node?.policies.some(({ purpose, demand, direction }) => `${purpose} ${direction} ${demand}` === "payload out esp"),
  );
  assert.deepEqual((await scene.homeAgent.audit()).differences, []);
  assert.deepEqual((await mobile.daemon.audit()).differences, []);
});
