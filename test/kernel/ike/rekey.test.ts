/** Keys that are renewed. */
import test from "node:test";
import { begin, crossAll, spis } from "../lib/keys.js";
import { Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

const PROTECTED = { protection: "esp" } as const;

test("keys are renewed while payload flows, and the old ones go", async (t) => {
  const scene = await Scene.start(t, { ike: {}, profile: PROTECTED });
  const { mobile } = scene;
  await begin(scene, mobile, "six");
  const before = await spis(mobile);
  for (const child of ["payload", "signalling"]) await mobile.charon?.command("rekey", { child });
  await waitFor(async () => (await spis(mobile)).every((line) => !before.includes(line)), { what: "new keys" });
  await crossAll(scene, mobile);
  await scene.move(mobile, "four");
  await crossAll(scene, mobile);
  const old = Number.parseInt(before[0]?.split(" ")[1] ?? "", 16);
  const gone = (): boolean => !mobile.node.run("ip", "xfrm", "state").includes(old.toString(16).padStart(8, "0"));
  await waitFor(gone, { what: "the old association to go", timeout: 15_000 });
});
