/** The home link goes down under a node with protected payload: what it sends before it knows leaves nowhere else in clear. */
import assert from "node:assert/strict";
import test from "node:test";
import { send } from "../lib/exchange.js";
import { InClear } from "../lib/in-clear.js";
import { FAMILIES, Scene } from "../lib/scene.js";

test("payload of a node that loses its home link waits for the tunnel", async (t) => {
  const scene = await Scene.start(t, { ike: {}, profile: { protection: "esp" } });
  const { mobile } = scene;
  const inClear = await InClear.watch(scene);
  scene.attach(mobile, "six");
  await mobile.daemon.start();
  await scene.settled(mobile, "six");
  await scene.move(mobile, "home");
  scene.attach(mobile, "six");
  scene.attach(mobile, "four");
  for (const family of FAMILIES) send(scene, mobile, { family, direction: "up" }, `at home, IPv${family}`);

  // Before the daemon hears of it.
  mobile.daemon.process.kill("SIGSTOP");
  scene.detach(mobile, "home");
  for (const family of FAMILIES) mobile.stations[family].trySend(scene.correspondents[family], `no home, IPv${family}`);
  mobile.daemon.process.kill("SIGCONT");
  await scene.settled(mobile, "six");
  assert.deepEqual(inClear.seen(), []);
});
