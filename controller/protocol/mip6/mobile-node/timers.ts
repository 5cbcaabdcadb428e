/** The mobile node's own clocks, beside the ones of the RFCs (timers.ts); an operator changes none of them. */
import { type Seconds, seconds } from "../../../base/time.js";

/** Updates with lifetime 0 that a stopping node sends before it gives up: 1 + 2 + 4 s, within what service managers wait for. */
export const STOP_ATTEMPTS = 3;

/**
 * At home, from the moment payload leaves directly until the binding is taken back: what is still in the tunnel arrives before the home
 * agent forgets where the node was. Longer than the one-way delay of nearly all paths.
 */
export const HOME_DRAIN = seconds(0.25);

/** Part of the granted lifetime after which the binding is refreshed; the last quarter is for retransmissions. */
export const REFRESH_FRACTION = 0.75;

/** After a refusal that may pass (RFC 6275 §11.7.3): doubling from the first to the second. */
export const REFUSED_RETRY_FIRST = seconds(2);
export const REFUSED_RETRY_MAX = seconds(64);
/** After a refusal that only an operator can lift; slow, but a subscriber added later needs no restart here. */
export const PROHIBITED_RETRY = seconds(300);

/** After a data path that the kernel refused: doubling from the first to the second. */
export const PATH_RETRY_FIRST = seconds(1);
export const PATH_RETRY_MAX = seconds(32);

/** `first`, doubled `times` times, at most `most`. */
export function backOff(first: Seconds, times: number, most: Seconds): Seconds {
  return seconds(Math.min(most, first * 2 ** Math.min(times, 30)));
}
