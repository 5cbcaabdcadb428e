/**
 * A correspondent's nonces (RFC 6275 §5.2.2, §5.2.7): a new one takes over when the present one has been in use for 30 s and is needed, and
 * each is accepted for 240 s after its first use. Indices begin anywhere, so that those of a run before are unknown and not misread.
 */
import { after, elapsed, type Instant } from "../../../base/time.js";
import { RETURN_ROUTABILITY_TIMERS as TIMERS } from "./timers.js";
import { NONCE_OCTETS } from "./tokens.js";

export interface Nonce {
  /** 1 to 65535: 0 says in other documents that there is none (RFC 4866). */
  readonly index: number;
  readonly octets: Uint8Array;
  readonly firstUsedAt: Instant;
}

const INDICES = 0xffff;
const following = (index: number): number => (index % INDICES) + 1;

export class NonceTable {
  /** The oldest first; their indices follow one another. */
  readonly #kept: Nonce[] = [];
  #next: number;

  /** `start`: the first index; any number. */
  constructor(start: number) {
    this.#next = following(Math.abs(Math.trunc(start)));
  }

  /** The nonce for a token that is made now. `entropy`: at least 8 random octets, used if it is time for a new one. */
  current(now: Instant, entropy: Uint8Array): Nonce {
    const present = this.#kept.at(-1);
    if (present !== undefined && elapsed(present.firstUsedAt, now) < TIMERS.nonceRenewal.default) return present;
    const nonce = { index: this.#next, octets: entropy.slice(0, NONCE_OCTETS), firstUsedAt: now };
    this.#next = following(this.#next);
    this.#discard(now);
    this.#kept.push(nonce);
    return nonce;
  }

  /** Undefined: unknown, or too old. */
  find(index: number, now: Instant): Nonce | undefined {
    this.#discard(now);
    return this.#kept.find((one) => one.index === index);
  }

  /** How many are kept. */
  get size(): number {
    return this.#kept.length;
  }

  #discard(now: Instant): void {
    while (this.#kept[0] !== undefined && now > after(this.#kept[0].firstUsedAt, TIMERS.nonce.default))
      this.#kept.shift();
  }
}
