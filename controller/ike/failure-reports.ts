/**
 * How much of what goes wrong with negotiations is told: anybody who can send packets can make one fail, and 100,000 nodes make charon
 * write a lot. Pure; time is given.
 */
import { elapsed, type Instant, instant } from "../base/time.js";
import type { NegotiationFailure } from "./negotiation-log.js";

/** A node tries again after half a minute at the latest. */
const PEER_SECONDS = 60;
const PEERS = 4096;
/** Of all peers together: whoever has a whole network of addresses to speak from gets no more than that. */
const BURST = 30;
const PER_SECOND = 1;

interface Peer {
  readonly toldAt: Instant;
  untold: number;
}

/** One report a minute for each peer, and not many of all of them. */
export class FailureReports {
  readonly #peers = new Map<string, Peer>();
  #tokens = BURST;
  #refilledAt = instant(0);

  /** How many of this peer's were left out since the last one that was told; undefined: leave this one out too. */
  admit(failure: NegotiationFailure, now: Instant): number | undefined {
    const key = `${failure.address ?? ""} ${failure.connection ?? ""}`;
    const peer = this.#peers.get(key);
    this.#tokens = Math.min(BURST, this.#tokens + elapsed(this.#refilledAt, now) * PER_SECOND);
    this.#refilledAt = now;
    if ((peer !== undefined && elapsed(peer.toldAt, now) < PEER_SECONDS) || this.#tokens < 1) {
      if (peer !== undefined) peer.untold++;
      return undefined;
    }
    this.#tokens--;
    this.#peers.delete(key);
    if (this.#peers.size >= PEERS) this.#forgetOldest();
    this.#peers.set(key, { toldAt: now, untold: 0 });
    return peer?.untold ?? 0;
  }

  #forgetOldest(): void {
    for (const key of this.#peers.keys()) {
      this.#peers.delete(key);
      return;
    }
  }
}

/**
 * Lines of one second that are listened to. Above that charon's log is left alone for a while: one packet with a proposal that nobody has
 * makes charon 5.9 write three lines for each subscriber.
 */
const LINES_PER_SECOND = 20_000;

export class LineBudget {
  #second = instant(0);
  #lines = 0;

  /** Another line came; false: too many by now. */
  take(now: Instant): boolean {
    if (elapsed(this.#second, now) >= 1) {
      this.#second = now;
      this.#lines = 0;
    }
    return ++this.#lines <= LINES_PER_SECOND;
  }
}
