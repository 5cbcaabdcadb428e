/**
 * Protection against replays by the Identification of a registration (RFC 5944 §5.7). Timestamps are NTP times whose seconds begin again
 * in 2036, so that they are compared as serial numbers are; nonces are the home agent's in the high half.
 */
import type { Identification } from "../../wire/mip4/messages/registration.js";

export type ReplayProtection =
  | {
      readonly kind: "timestamps";
      /** How far from our time of day one may be. */
      readonly toleranceSeconds: number;
    }
  | { readonly kind: "nonces" };

/** What a home agent remembers of a node for as long as it serves it, bindings or none. */
export interface ReplayState {
  /** Of the latest request that was fresh, accepted or not. */
  readonly latest?: Identification | undefined;
  /** Told to the node, and not used by it yet. */
  readonly nonce?: number | undefined;
}

const FRACTIONS_PER_SECOND = 2 ** 32;

/** From `b` to `a` in seconds, right across the end of an NTP era; of two instants at most 68 years apart. */
export function secondsBetween(a: Identification, b: Identification): number {
  return ((a.high - b.high) | 0) + (a.low - b.low) / FRACTIONS_PER_SECOND;
}

/** Whether `a` is later than `b`. Exact: the difference of the fractions is not rounded away. */
export function isLater(a: Identification, b: Identification): boolean {
  const whole = (a.high - b.high) | 0;
  return whole === 0 ? a.low > b.low : whole > 0;
}

export const sameIdentification = (a: Identification, b: Identification): boolean =>
  a.high === b.high && a.low === b.low;

export type Freshness = { readonly fresh: true } | { readonly fresh: false; readonly reason: string };

/** Whether a request that is authentic is no replay. `timeOfDay` is ours, as an NTP time. */
export function freshness(
  identification: Identification,
  replay: ReplayState,
  protection: ReplayProtection,
  timeOfDay: Identification,
): Freshness {
  const stale = (reason: string): Freshness => ({ fresh: false, reason });
  if (protection.kind === "nonces") {
    if (replay.nonce === undefined) return stale("no nonce was given to the node yet");
    return identification.high === replay.nonce ? { fresh: true } : stale("not the nonce that the node was given");
  }
  const ahead = secondsBetween(identification, timeOfDay);
  if (Math.abs(ahead) > protection.toleranceSeconds) {
    return stale(`timestamp ${Math.abs(ahead).toFixed(1)} s ${ahead > 0 ? "ahead of" : "behind"} our clock`);
  }
  if (replay.latest === undefined || isLater(identification, replay.latest)) return { fresh: true };
  // Then our own clock was ahead when that one came: the node can't know, and its operator has to.
  const stuck = secondsBetween(replay.latest, timeOfDay) > protection.toleranceSeconds;
  return stale(
    stuck ? "the last timestamp of the node is in the future of our clock" : "timestamp not later than the last",
  );
}

/**
 * The Identification of an answer: the low half is always the request's. With timestamps the high half of an accepted request is its own,
 * that of a refused one our time of day, from which the node sets its clock. With nonces it is the next one to use.
 */
export function answerIdentification(
  request: Identification,
  protection: ReplayProtection,
  answer: { readonly fresh: boolean; readonly timeOfDay: Identification; readonly nonce: number },
): Identification {
  if (protection.kind === "nonces") return { high: answer.nonce, low: request.low };
  return answer.fresh ? request : { high: answer.timeOfDay.high, low: request.low };
}
