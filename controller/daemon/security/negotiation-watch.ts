/** Listens to charon's log for failed negotiations, within bounds: what it hears too often or too fast is counted and not told. */

import { FailureReports, LineBudget } from "../../ike/failure-reports.js";
import { isNoise, type NegotiationFailure, NegotiationLog, readLogLine } from "../../ike/negotiation-log.js";
import type { Counters } from "../../store/events.js";
import type { ViciSection } from "../../vici/message.js";
import { monotonicNow } from "../machine-loop.js";

const PAUSE_MS = 10_000;

export interface NegotiationWatchOptions {
  readonly counters: Counters;
  /** Asks charon for its log, or asks it to stop. */
  readonly listen: (on: boolean) => Promise<void>;
  /** Of how many subscribers the negotiations are. */
  readonly subscribers: number;
  /** Lines, by their octets, that somebody else needs even if too many come: then charon is not asked to stop. */
  readonly isNeeded?: (message: Uint8Array) => boolean;
  /** `leftOut`: how many of this peer's were not told since the last one that was. */
  readonly report: (failure: NegotiationFailure, leftOut: number) => void;
}

export class NegotiationWatch {
  readonly #options: NegotiationWatchOptions;
  #log: NegotiationLog;
  readonly #reports = new FailureReports();
  readonly #budget = new LineBudget();
  #pause: NodeJS.Timeout | undefined;

  constructor(options: NegotiationWatchOptions) {
    this.#options = options;
    this.#log = new NegotiationLog(options.subscribers);
  }

  /** Of an event that has not been decoded. */
  isNoise(event: string, message: Uint8Array): boolean {
    if (event !== "log") return false;
    if (isNoise(event, message)) return true;
    if (this.#options.isNeeded?.(message) === true) return false;
    if (!this.#budget.take(monotonicNow())) this.#stopListening();
    return this.#pause !== undefined;
  }

  onEvent(message: ViciSection): void {
    const line = readLogLine(message);
    const failure = line && this.#log.take(line);
    if (failure === undefined) return;
    const { counters, report } = this.#options;
    counters.add("failed");
    const leftOut = this.#reports.admit(failure, monotonicNow());
    if (leftOut === undefined) counters.add("left-out");
    else report(failure, leftOut);
  }

  /** A new connection to charon: it has been asked for its log. */
  reset(): void {
    clearTimeout(this.#pause);
    this.#pause = undefined;
    // charon numbers its IKE SAs anew after a start.
    this.#log = new NegotiationLog(this.#options.subscribers);
  }

  #stopListening(): void {
    if (this.#pause !== undefined) return;
    const { counters, listen, isNeeded } = this.#options;
    counters.add("pauses");
    const ask = (on: boolean): void => {
      if (isNeeded === undefined) listen(on).catch(() => undefined); // ignored: a new connection asks for it again
    };
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      ask(true);
    }, PAUSE_MS);
    ask(false);
  }
}
