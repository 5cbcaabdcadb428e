/** Keys by IKEv2 with the real charon on both sides: registration from every access, and movement without new keys. */
import assert from "node:assert/strict";
import test from "node:test";
import { crossAll, spis, TOUR } from "./lib/keys.js";
import { NAT_ADDRESS, Scene } from "./lib/scene.js";
import { waitFor } from "./lib/wait.js";

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
