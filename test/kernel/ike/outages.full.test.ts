/** Our daemons die, and then the IKE daemon: bindings and flows outlast them. One scene for both, because its start takes longest. */
import assert from "node:assert/strict";
import test from "node:test";
import { crossAll, spis } from "../lib/keys.js";
import { Scene } from "../lib/scene.js";

test("our daemons crash and adopt the associations again, then the IKE daemon dies: no binding and no flow goes with them", async (t) => {
  const scene = await Scene.start(t, { ike: {}, profile: { protection: "esp" } });
  const { mobile } = scene;
  scene.attach(mobile, "six");
  await mobile.daemon.start();
  await scene.settled(mobile, "six");
  const before = await spis(mobile);
  assert.equal(before.length, 2, "updates and payload");

  await Promise.all([mobile.daemon.kill(), scene.homeAgent.kill()]);
  await crossAll(scene, mobile);
  await Promise.all([scene.homeAgent.start(), mobile.daemon.start()]);
  await crossAll(scene, mobile);
  await scene.move(mobile, "four");
  await crossAll(scene, mobile);
  assert.deepEqual(await spis(mobile), before, "no new keys");
  assert.deepEqual((await scene.homeAgent.audit()).differences, []);

  await mobile.charon?.kill();
  await crossAll(scene, mobile);
  await scene.move(mobile, "six");
  await crossAll(scene, mobile);
  await mobile.charon?.start();
  await crossAll(scene, mobile);
});
