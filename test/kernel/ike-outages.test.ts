/** The IKE daemon dies, and so do ours: bindings and flows outlast them. */
import assert from "node:assert/strict";
import test from "node:test";
import { crossAll, spis } from "./lib/keys.js";
import { Scene } from "./lib/scene.js";

const PROTECTED = { protection: "esp" } as const;

test("an IKE daemon that dies takes no binding and no flow with it; new keys come when it is back", async (t) => {
  const scene = await Scene.start(t, { ike: {}, profile: PROTECTED });
  const { mobile } = scene;
  scene.attach(mobile, "six");
  await mobile.daemon.start();
  await scene.settled(mobile, "six");
  await mobile.charon?.kill();
  await crossAll(scene, mobile);
  await scene.move(mobile, "four");
  await crossAll(scene, mobile);
  await mobile.charon?.start();
  await crossAll(scene, mobile);
});

test("daemons of ours that crash and start again adopt the associations, and payload passes in between", async (t) => {
  const scene = await Scene.start(t, { ike: {}, profile: PROTECTED });
  const { mobile } = scene;
  scene.attach(mobile, "six");
  await mobile.daemon.start();
  await scene.settled(mobile, "six");
  const before = await spis(mobile);
  await Promise.all([mobile.daemon.kill(), scene.homeAgent.kill()]);
  await crossAll(scene, mobile);
  await scene.homeAgent.start();
  await mobile.daemon.start();
  await crossAll(scene, mobile);
  await scene.move(mobile, "four");
  await crossAll(scene, mobile);
  assert.deepEqual(await spis(mobile), before, "no new keys");
  assert.deepEqual((await scene.homeAgent.audit()).differences, []);
});
