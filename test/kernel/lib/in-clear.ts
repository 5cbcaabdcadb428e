/** Payload where none may be seen: watched on both sides of the home agent's tunnel. */
import type { Capture, Frame } from "./capture.js";
import { describeFrame, ipLayersOf } from "./frames.js";
import type { Mobile, Scene } from "./scene.js";
import { STATION_PORT } from "./station.js";

const carriesPayload = ({ layers }: Frame): boolean =>
  layers.some((layer) => layer.kind === "udp" && layer.destinationPort === STATION_PORT);

export class InClear {
  readonly #scene: Scene;
  readonly #accesses: readonly Capture[];

  /** On the links of the public accesses, where a node's payload is in ESP or not at all, and on the home agent's own link. */
  static async watch(scene: Scene): Promise<InClear> {
    const links = ["six", "four"].map((link) => scene.net.capture(scene.core, link));
    return new InClear(scene, await Promise.all(links));
  }

  private constructor(scene: Scene, accesses: readonly Capture[]) {
    this.#scene = scene;
    this.#accesses = accesses;
  }

  /** One line for each packet so far that left for an access with a home address as its source, whatever it carried. */
  fromHome({ home4, home6 }: Mobile): readonly string[] {
    const homes: readonly string[] = [home4, home6];
    const frames = this.#accesses.flatMap((capture) => capture.frames());
    return frames.filter((frame) => homes.includes(ipLayersOf(frame)[0]?.source ?? "")).map(describeFrame);
  }

  /** One line for each such packet so far. */
  seen(): readonly string[] {
    // On its own link the home agent speaks with correspondents too: there only a packet in a packet is a node's.
    const tunnelled = this.#scene.wire.frames().filter((frame) => ipLayersOf(frame).length > 1);
    const all = [...tunnelled, ...this.#accesses.flatMap((capture) => capture.frames())];
    return all.filter(carriesPayload).map(describeFrame);
  }
}
