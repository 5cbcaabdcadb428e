/** A node that begins behind a NAT, where strongSwan refuses transport mode for the home address; and two nodes behind one address. */
import assert from "node:assert/strict";
import test from "node:test";
import { crossAll, spis } from "./lib/keys.js";
import { Scene } from "./lib/scene.js";

test("R5555-5.1-17: two nodes begin behind one NAT address; one leaves and keeps its keys", async (t) => {
  const scene = await Scene.start(t, { ike: {}, profile: { protection: "esp" }, mobiles: 2 });
  for (const mobile of scene.mobiles) {
    scene.attach(mobile, "nat");
    await mobile.daemon.start();
  }
  for (const mobile of scene.mobiles) {
    await scene.settled(mobile, "nat");
    await crossAll(scene, mobile);
  }
  const [first, second] = scene.mobiles;
  assert.ok(first !== undefined && second !== undefined);
  const before = await spis(first);
  assert.deepEqual(
    before.map((line) => line.split(" ")[0]),
    ["payload", "signalling-nat"],
  );
  await scene.move(first, "six");
  await crossAll(scene, first);
  await crossAll(scene, second);
  assert.deepEqual(await spis(first), before, "no new keys");
  const nodes = (await scene.homeAgent.security()).nodes;
  assert.ok(
    nodes.every(({ associations }) =>
      associations.every(({ replayed, integrityFailures }) => replayed + integrityFailures === 0),
    ),
  );
});
