/** What the tests of negotiated keys look at. */
import { freshText, send } from "./exchange.js";
import { ipLayersOf } from "./frames.js";
import { type Access, FAMILIES, type Mobile, outerAddress, type PayloadFamily, type Scene } from "./scene.js";
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
export async function crossAll(
  scene: Scene,
  mobile: Mobile,
  families: readonly PayloadFamily[] = FAMILIES,
): Promise<void> {
  for (const family of families) {
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

/** Waits until both IKE daemons have the IKE SA there. */
export async function ikeAt(scene: Scene, mobile: Mobile, access: Access): Promise<void> {
  const careOf = mobile.careOf[access];
  const outer = outerAddress(mobile, access);
  await waitFor(async () => (await mobile.charon?.sas())?.[0]?.localHost === careOf, {
    what: `charon of the node to speak from ${careOf}`,
  });
  await waitFor(async () => (await scene.charon?.sas())?.[0]?.remoteHost === outer, {
    what: `charon of the home agent to know ${outer}`,
  });
}

/** Starts the node's daemon with the node plugged in there, and waits until it is registered and payload passes. */
export async function begin(scene: Scene, mobile: Mobile, at: Abroad): Promise<void> {
  scene.attach(mobile, at);
  await mobile.daemon.start();
  await scene.settled(mobile, at);
  await crossAll(scene, mobile);
}

/** SPIs of a child of the node, as numbers: what it sends (up) and receives (down) with. */
export async function spisOf(mobile: Mobile, child: string): Promise<{ readonly up: number; readonly down: number }> {
  const sas = (await mobile.charon?.sas()) ?? [];
  const found = sas.flatMap(({ children }) => children).find(({ name }) => name === child);
  if (found === undefined) throw new Error(`${mobile.node.label} has no child ${child}: ${JSON.stringify(sas)}`);
  return { up: Number.parseInt(found.spiOut, 16), down: Number.parseInt(found.spiIn, 16) };
}

/**
 * Plugs the node in at the IPv6 access too, where no acknowledgement arrives while `during` lasts; that begins when an update has left
 * from there. Resolves when the node is registered there.
 */
export async function withoutAnswer(scene: Scene, mobile: Mobile, during: () => Promise<void>): Promise<void> {
  const { core } = scene;
  const careOf = mobile.careOf.six;
  const rule = `ip6 daddr ${careOf} exthdr rt exists drop`;
  core.nft(`table inet deaf { chain forward { type filter hook forward priority 0; ${rule}; }; }`);
  const from = scene.wire.frames().length;
  scene.attach(mobile, "six");
  await waitFor(
    () =>
      scene.wire
        .frames()
        .slice(from)
        .some((frame) => ipLayersOf(frame)[0]?.source === careOf),
    {
      what: `an update from ${careOf}`,
      timeout: 15_000,
    },
  );
  await during();
  core.nft("delete table inet deaf");
  await scene.settled(mobile, "six");
}
