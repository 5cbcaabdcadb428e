/** Keys whose renewal fails. */
import assert from "node:assert/strict";
import test from "node:test";
import { crossAll, spis } from "../lib/keys.js";
import { hasNothing, PATIENCE, protectedScene, renewed, sendVainly, silence } from "../lib/silent-daemons.js";
import { waitFor } from "../lib/wait.js";

test("R5555-5-02: keys that cannot be renewed expire, nothing is sent without them, and there are new ones later", async (t) => {
  const { scene, mobile, inClear, charons } = await protectedScene(t, {
    mobileNode: { rekeySeconds: 10, deadPeerDetectionSeconds: 3600 },
  });
  const before = await spis(mobile);
  await silence(scene, charons.homeAgent, async () => {
    await waitFor(() => hasNothing(scene), { what: "the keys to expire", timeout: PATIENCE });
    sendVainly(scene);
  });
  await renewed(mobile, before);
  await crossAll(scene, mobile);
  assert.deepEqual(inClear.seen(), []);
});
