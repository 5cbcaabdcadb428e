/** A node with protected payload whose IKE daemons fall silent, and what must hold whatever they do. */
import type { TestContext } from "node:test";
import type { Charon } from "./charon.js";
import { freshText, send } from "./exchange.js";
import { InClear } from "./in-clear.js";
import { begin, spis } from "./keys.js";
import { FAMILIES, type IkeOptions, Scene } from "./scene.js";
import { waitFor } from "./wait.js";

export const PATIENCE = 40_000;

/** Registered over IPv6, payload passing. */
export async function protectedScene(t: TestContext, ike: IkeOptions = {}) {
  const scene = await Scene.start(t, { ike, profile: { protection: "esp" } });
  const { mobile } = scene;
  const inClear = await InClear.watch(scene);
  await begin(scene, mobile, "six");
  const [node, homeAgent] = [mobile.charon, scene.charon] as [Charon, Charon];
  return { scene, mobile, inClear, charons: { node, homeAgent } };
}

/** The node has other keys than these, all of them. */
export const renewed = (mobile: Scene["mobile"], before: readonly string[]): Promise<true> =>
  waitFor(
    async () => {
      const now = await spis(mobile);
      return now.length >= 2 && now.every((line) => !before.includes(line));
    },
    { what: "new keys", timeout: PATIENCE, interval: 100 },
  );

/** What the node sends while it has no keys; nobody may see it. */
export function sendVainly(scene: Scene): readonly string[] {
  return FAMILIES.map((family) => {
    const text = freshText(`vain IPv${family}`);
    send(scene, scene.mobile, { family, direction: "up" }, text);
    return text;
  });
}

/** The IKE daemon stops, and goes on when `during` is over. */
export async function silence(scene: Scene, charon: Charon, during: () => Promise<void>): Promise<void> {
  charon.process.kill("SIGSTOP");
  try {
    await during();
  } finally {
    charon.process.kill("SIGCONT");
  }
  await scene.settled(scene.mobile, "six");
}

/** The node holds no association. */
export const hasNothing = async ({ mobile }: Scene): Promise<boolean> =>
  (await mobile.daemon.security()).nodes.every(({ associations }) => associations.length === 0);
