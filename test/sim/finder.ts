/**
 * What the service around a mobile node does (daemon/mobile-node/discovery/service.ts), on the virtual clock: it leaves a home agent that
 * has fallen silent for the next one, and goes back to the best one after a while.
 */
import type { Ipv6Address } from "../../controller/base/ip.js";
import type { Instant } from "../../controller/base/time.js";
import type { HomeAgentCandidate } from "../../controller/protocol/mip6/mobile-node/discovery/candidates.js";
import { nextCandidate } from "../../controller/protocol/mip6/mobile-node/discovery/choice.js";
import type { EventQueue } from "./event-queue.js";

export const SWITCH_AFTER_SECONDS = 10;
const RETURN_AFTER_SECONDS = 60;

export interface FoundNode {
  /** Whether it is neither without a network nor at home: only then a home agent can be blamed. */
  readonly away: boolean;
  /** Its home agent has accepted where it is. */
  readonly accepted: boolean;
  /** It has been told of another home agent, and tells the present one first. */
  readonly leaving: boolean;
  change(to: HomeAgentCandidate): void;
}

export class SimulatedFinder {
  present: HomeAgentCandidate;
  readonly #candidates: readonly HomeAgentCandidate[];
  readonly #queue: EventQueue;
  readonly #node: FoundNode;
  readonly #failedAt = new Map<Ipv6Address, Instant>();
  #returnSeconds = RETURN_AFTER_SECONDS;
  /** Timers are forgotten by their number. */
  #silence = 0;
  #silent = false;
  #return = 0;
  #stopped = false;

  constructor(candidates: readonly HomeAgentCandidate[], queue: EventQueue, node: FoundNode) {
    const [first] = candidates;
    if (first === undefined) throw new Error("no home agent");
    this.present = first;
    this.#candidates = candidates;
    this.#queue = queue;
    this.#node = node;
  }

  /** An update was not answered in time, or refused. */
  silent(): void {
    if (this.#stopped || this.#silent || this.#candidates.length < 2 || this.#node.leaving || this.#node.accepted)
      return;
    this.#silent = true;
    const one = ++this.#silence;
    this.#queue.after(SWITCH_AFTER_SECONDS * 1000, () => {
      if (one !== this.#silence) return;
      this.#silent = false;
      this.#giveUp();
    });
  }

  /** It has accepted an update. */
  heard(): void {
    this.#calm();
    this.#failedAt.delete(this.present.ipv6);
    if (this.present.ipv6 === this.#candidates[0]?.ipv6) this.#returnSeconds = RETURN_AFTER_SECONDS;
  }

  /** The node is told to stop: whoever it has now hears of it. */
  stop(): void {
    this.#calm();
    this.#return++;
    this.#stopped = true;
  }

  #calm(): void {
    this.#silence++;
    this.#silent = false;
  }

  #giveUp(): void {
    if (!this.#node.away || this.#node.accepted) return;
    this.#failedAt.set(this.present.ipv6, this.#queue.now);
    const next = nextCandidate(this.#candidates, this.present, (one) => this.#failedAt.get(one.ipv6));
    if (next === undefined) return;
    this.#change(next);
    const one = ++this.#return;
    if (next.ipv6 === this.#candidates[0]?.ipv6) return;
    this.#queue.after(this.#returnSeconds * 1000, () => {
      if (one !== this.#return) return;
      this.#returnSeconds *= 2;
      const [best] = this.#candidates;
      if (best !== undefined && best.ipv6 !== this.present.ipv6) this.#change(best);
    });
  }

  #change(to: HomeAgentCandidate): void {
    if (this.#node.leaving) return;
    this.#calm();
    this.present = to;
    this.#node.change(to);
  }
}
