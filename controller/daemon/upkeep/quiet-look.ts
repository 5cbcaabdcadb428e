/**
 * Looks, every few seconds for as long as the daemon runs, at what changes without a word: objects of quiet kinds in the kernel, the control
 * socket's file, the devices that hold our addresses. Each look is cheap, and what fails is told and does not keep the others from theirs.
 */
import type { SetTimer } from "../../netlink/transport.js";

export interface Looked {
  /** For the log. */
  readonly what: string;
  /** Mends what it finds; `again`: the rest wants to be looked at right now. Rejects or throws if it cannot look or mend. */
  look(): Promise<"again" | "enough"> | "again" | "enough";
}

export interface QuietLookOptions {
  readonly setTimer: SetTimer;
  readonly looked: readonly Looked[];
  readonly onError: (what: string, error: Error) => void;
}

/** What was changed is mended that soon. */
const EVERY_MS = 9_000;

export class QuietLook {
  readonly #options: QuietLookOptions;
  #cancel: () => void = () => undefined;
  #closed = false;

  constructor(options: QuietLookOptions) {
    this.#options = options;
    this.#wait(EVERY_MS);
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
  }

  #wait(delayMs: number): void {
    this.#cancel = this.#options.setTimer(delayMs, () => void this.#look());
  }

  async #look(): Promise<void> {
    let again = false;
    for (const { what, look } of this.#options.looked) {
      try {
        if ((await look()) === "again") again = true;
      } catch (error) {
        this.#options.onError(what, error as Error);
      }
    }
    if (!this.#closed) this.#wait(again ? 0 : EVERY_MS);
  }
}
