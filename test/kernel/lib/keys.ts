/** What the tests of negotiated keys look at. */
import { freshText, send } from "./exchange.js";
import { type Access, FAMILIES, type Mobile, type Scene } from "./scene.js";

export type Abroad = Exclude<Access, "home">;
/** Every format after every other one. */
export const TOUR: readonly Abroad[] = ["four", "nat", "six", "nat", "four"];

/** The SPIs of all children that are in use, in a fixed order. */
export async function spis(mobile: Mobile): Promise<string[]> {
  const sas = (await mobile.charon?.sas()) ?? [];
  const installed = sas.flatMap(({ children }) => children.filter(({ state }) => state === "INSTALLED"));
  return installed.map(({ name, spiIn, spiOut }) => `${name} ${spiIn} ${spiOut}`).sort();
}

/**
 * Each family and direction once; resolves when all have arrived. Up first: behind a NAT the home agent learns from the node's ESP where to
 * send, and what it sent before the first of it would be lost.
 */
export async function crossAll(scene: Scene, mobile: Mobile): Promise<void> {
  for (const family of FAMILIES) {
    for (const direction of ["up", "down"] as const) {
      const text = freshText(`${direction} IPv${family}`);
      send(scene, mobile, { family, direction }, text);
      await (direction === "down" ? mobile.stations[family] : scene.correspondents[family]).waitFor(text);
    }
  }
}
