/** IKE daemons that are killed in the middle of a handover. */
import assert from "node:assert/strict";
import test from "node:test";
import { asPlanned } from "../lib/as-planned.js";
import { crossAll, spis } from "../lib/keys.js";
import { protectedScene, renewed } from "../lib/silent-daemons.js";
import { waitFor } from "../lib/wait.js";

test("R5555-5-02: an IKE daemon killed in the middle of a handover, at either end, holds up neither it nor the payload", async (t) => {
  const { scene, mobile, inClear, charons } = await protectedScene(t);
  for (const [who, to] of [
    ["node", "four"],
    ["homeAgent", "six"],
  ] as const) {
    const before = await spis(mobile);
    const started = mobile.daemon.process.log.length;
    scene.attach(mobile, to);
    for (const other of ["six", "four"] as const) if (other !== to) scene.detach(mobile, other);
    await waitFor(() => mobile.daemon.process.log.slice(started).includes('"registration.started"'), {
      what: "the beginning of the handover",
      interval: 1,
    });
    await charons[who].kill();
    await scene.settled(mobile, to);
    await crossAll(scene, mobile);
    await charons[who].start();
    await renewed(mobile, before);
    await scene.settled(mobile, to);
    await crossAll(scene, mobile);
  }
  assert.deepEqual(inClear.seen(), []);
  await asPlanned(scene.homeAgent, mobile.daemon);
});
