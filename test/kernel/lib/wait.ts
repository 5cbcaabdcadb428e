/** The only way in which a kernel test waits: for a condition, for so long, and saying for what. */
import { setTimeout as delay } from "node:timers/promises";
import { SLOW, scaled } from "./surroundings.js";
import { slowness } from "./yardstick.js";

export interface WaitOptions {
  /** Completes the sentence "timed out waiting for …". */
  readonly what: string;
  /** Milliseconds on hardware; scaled on slower machines. Default 5000. */
  readonly timeout?: number;
  /** Milliseconds between two looks, or as long as a look takes if that is more: who is waited for needs the processor. Default 20. */
  readonly interval?: number;
}

const MOST_SLOW = 10;

type Falsy = false | 0 | "" | null | undefined;

/**
 * The first truthy value of the predicate. Throws after the timeout, naming what was waited for and the last error the predicate threw
 * (an error means "not yet").
 */
export async function waitFor<T>(predicate: () => T | Promise<T>, options: WaitOptions): Promise<Exclude<T, Falsy>> {
  const { what, timeout = 5000, interval = 20 } = options;
  const started = performance.now();
  let limit = scaled(timeout);
  let slow: number | undefined;
  for (;;) {
    let cause: unknown;
    const looked = performance.now();
    try {
      const value = await predicate();
      if (value) return value as Exclude<T, Falsy>;
    } catch (error) {
      cause = error;
    }
    if (performance.now() - started >= limit) {
      // Once more time for a machine that has got slower since the yardstick was laid at it.
      const before = limit;
      if (slow === undefined) {
        slow = slowness();
        limit = Math.max(limit, timeout * Math.min(slow, MOST_SLOW * SLOW));
      }
      if (limit === before) {
        const reason = cause instanceof Error ? ` (${cause.message})` : "";
        const machine = slow >= 2 * SLOW ? `; this machine is ${slow.toFixed(1)} times slower than hardware now` : "";
        throw new Error(`timed out after ${Math.round(limit)} ms waiting for ${what}${reason}${machine}`, { cause });
      }
    }
    await delay(Math.max(interval, performance.now() - looked));
  }
}
