/** A home agent whose IKE SAs do not follow nodes (K flag 0): after each move the node makes a new one from where it is now. */
import assert from "node:assert/strict";
import test from "node:test";
import { IKE_SA_INIT, ikeOf } from "../lib/ike-wire.js";
import { begin, crossAll, ikeAt, spis } from "../lib/keys.js";
import { outerAddress, Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

for (const [who, ike] of [
  ["the home agent", { homeAgent: { movement: "renegotiate" } }],
  ["the node", { mobileNode: { movement: "renegotiate" } }],
] as const)
  test(`R5555-5.1-15: where ${who} has no K flag, the IKE SA is negotiated anew after a move`, async (t) => {
    const scene = await Scene.start(t, { ike });
    const { mobile } = scene;
    await begin(scene, mobile, "six");
    let before = await spis(mobile);
    assert.equal(before.length, 1);
    for (const access of ["four", "nat", "six"] as const) {
      const from = scene.wire.frames().length;
      await scene.move(mobile, access);
      const outer = outerAddress(mobile, access);
      const isFirst = (frame: Parameters<typeof ikeOf>[0]): boolean => {
        const message = ikeOf(frame);
        return message?.exchange === IKE_SA_INIT && message.source === outer && !message.isResponse;
      };
      await waitFor(() => scene.wire.frames().slice(from).some(isFirst), { what: `a new IKE SA from ${outer}` });
      const present = await waitFor(
        async () => {
          const now = await spis(mobile);
          return now.length === 1 && now[0] !== before[0] ? now : undefined;
        },
        { what: `one pair of new associations at ${access}` },
      );
      await ikeAt(scene, mobile, access);
      await crossAll(scene, mobile);
      before = present;
    }
    assert.deepEqual((await mobile.daemon.audit()).differences, []);
  });
