/** What a mobile node sees of the network, whatever its protocol: this machine's, or one that is played. */
import type { NetworkView } from "../../protocol/movement/network-view.js";
import type { Movement } from "./movement.js";

/** The machine's network: kernel/watch.ts, or one that is played. */
export interface NetworkSource {
  readonly view: NetworkView;
  onView(listener: (view: NetworkView) => void): void;
  close(): void;
}

/** Movement detection: movement.ts, or one that is played. */
export type MovementSource = Pick<Movement, "view" | "onView" | "give">;
