/** What goes wrong with keys before there are any: a wrong secret, an IKE daemon that is not there. */
import assert from "node:assert/strict";
import test from "node:test";
import { crossAll } from "../lib/keys.js";
import { Scene } from "../lib/scene.js";

const PROTECTED = { protection: "esp" } as const;

test("F6275-5.1-01: a wrong secret gives no binding, and the node says with whom and why", async (t) => {
  const scene = await Scene.start(t, { ike: { nodeSecret: "not the right one" } });
  const { mobile } = scene;
  scene.attach(mobile, "six");
  await mobile.daemon.start();
  const [said] = await mobile.daemon.process.waitForLog(
    /"reason":"IKE with ha\.example\.org as node1@example\.org failed: [^"]+"/,
  );
  assert.match(said, /failed: ./);
  assert.deepEqual(await scene.homeAgent.bindings(), [], "nothing without keys");
  assert.doesNotMatch(mobile.daemon.process.log, /not the right one/, "no secret in the log");
});

test("R5555-5-02: without an IKE daemon at the start the node says how to bring it, and goes on when it is there", async (t) => {
  const scene = await Scene.start(t, { ike: {}, profile: PROTECTED });
  const { mobile } = scene;
  await mobile.charon?.kill();
  scene.attach(mobile, "six");
  await mobile.daemon.start();
  await mobile.daemon.process.waitForLog(/charon\.down.*systemctl start strongswan/);
  await mobile.charon?.start();
  await scene.settled(mobile, "six");
  await crossAll(scene, mobile);
});
