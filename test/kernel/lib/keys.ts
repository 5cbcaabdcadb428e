/** What the tests of negotiated keys look at. */
import { freshText, send } from "./exchange.js";
import { type Access, FAMILIES, type Mobile, type Scene } from "./scene.js";
import { scaled } from "./surroundings.js";
import { waitFor } from "./wait.js";

export type Abroad = Exclude<Access, "home">;
/** Every format after every other one. */
export const TOUR: readonly Abroad[] = ["four", "nat", "six", "nat", "four"];

/** Milliseconds on hardware; before that, one that is only slow would have company that arrives when nobody expects it any more. */
const BETWEEN_PACKETS = 100;

/** The SPIs of all children that are in use, in a fixed order. */
export async function spis(mobile: Mobile): Promise<string[]> {
  const sas = (await mobile.charon?.sas()) ?? [];
  const installed = sas.flatMap(({ children }) => children.filter(({ state }) => state === "INSTALLED"));
  return installed.map(({ name, spiIn, spiOut }) => `${name} ${spiIn} ${spiOut}`).sort();
}

/**
 * Each family and direction; resolves when something has arrived in all of them. Up first, and again until one has arrived: behind a NAT the
 * home agent learns from the node's ESP where to send, and what it sent before that is lost.
 */
export async function crossAll(scene: Scene, mobile: Mobile): Promise<void> {
  for (const family of FAMILIES) {
    for (const direction of ["up", "down"] as const) {
      const there = direction === "down" ? mobile.stations[family] : scene.correspondents[family];
      const texts: string[] = [];
      let due = 0;
      const arrived = (): boolean => {
        if (texts.some((text) => there.count(text) > 0)) return true;
        if (performance.now() < due) return false;
        due = performance.now() + scaled(BETWEEN_PACKETS);
        const text = freshText(`${direction} IPv${family}`);
        texts.push(text);
        send(scene, mobile, { family, direction }, text);
        return false;
      };
      await waitFor(arrived, { what: `IPv${family} ${direction} at ${there.label}` });
    }
  }
}
