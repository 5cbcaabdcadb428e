/** MOBIKE moves the IKE SA and the payload's associations (RFC 4555, RFC 5555 §5.1), with the real charon on both sides. */
import assert from "node:assert/strict";
import test from "node:test";
import { crossAll, spis } from "./lib/keys.js";
import { type Access, type Mobile, NAT_ADDRESS, Scene } from "./lib/scene.js";
import { waitFor } from "./lib/wait.js";

const MOBIKE = { mobileNode: { movement: "mobike" }, homeAgent: { movement: "mobike" }, ledCharon: true } as const;

async function ikeAt(scene: Scene, mobile: Mobile, access: Access): Promise<void> {
  const outer = access === "nat" ? NAT_ADDRESS : mobile.careOf[access];
  await waitFor(async () => (await mobile.charon?.sas())?.[0]?.localHost === mobile.careOf[access], {
    what: `charon of the node to speak from ${mobile.careOf[access]}`,
  });
  await waitFor(async () => (await scene.charon?.sas())?.[0]?.remoteHost === outer, {
    what: `charon of the home agent to know ${outer}`,
  });
}

test("R5555-5.1-20: MOBIKE tour", async (t) => {
  const scene = await Scene.start(t, { ike: MOBIKE, profile: { protection: "esp" } });
  const { mobile } = scene;
  scene.attach(mobile, "six");
  await mobile.daemon.start();
  await scene.settled(mobile, "six");
  await crossAll(scene, mobile);
  const before = await spis(mobile);
  for (const access of ["four", "nat", "six"] as const) {
    await scene.move(mobile, access);
    await ikeAt(scene, mobile, access);
    await crossAll(scene, mobile);
    assert.deepEqual(await spis(mobile), before, `no new keys at ${access}`);
  }
  await scene.move(mobile, "home");
  await ikeAt(scene, mobile, "home");
  await crossAll(scene, mobile);
  throw new Error("look at the logs");
});
