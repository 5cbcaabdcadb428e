/** A home agent's IKE daemon that does not answer for longer than anybody waits. */
import assert from "node:assert/strict";
import test from "node:test";
import { waitForEvent } from "../lib/faults.js";
import { crossAll, spis } from "../lib/keys.js";
import { hasNothing, PATIENCE, protectedScene, renewed, sendVainly, silence } from "../lib/silent-daemons.js";
import { SLOW } from "../lib/surroundings.js";
import { waitFor } from "../lib/wait.js";

/** On slow machines half a minute instead of one: nobody moves here, and an exchange takes up to ten seconds there. */
const PATIENT = SLOW > 1 ? ["retransmit_tries = 9"] : [];

test("R5555-5-02: a home agent whose IKE daemon does not answer is noticed and named, and the node is secured again when it does", async (t) => {
  const { scene, mobile, inClear, charons } = await protectedScene(t, { charon: PATIENT });
  const before = await spis(mobile);
  await silence(scene, charons.homeAgent, async () => {
    const lost =
      /^IKE with ha\.example\.org as node1@example\.org is over: giving up after \d+ retransmits; see that the other end's charon runs/;
    await waitForEvent(mobile.daemon, "negotiation.lost", lost);
    // Whichever comes first, charon's patience or that of dsmipd.
    const failed = /failed: .*(peer not responding|not established after \d+ms); see that the other end's charon runs/;
    await waitForEvent(mobile.daemon, "registration.failed", failed);
    await waitFor(() => hasNothing(scene), { what: "the old keys to go", timeout: PATIENCE });
    sendVainly(scene);
  });
  await renewed(mobile, before);
  await crossAll(scene, mobile);
  assert.deepEqual(inClear.seen(), []);
});
