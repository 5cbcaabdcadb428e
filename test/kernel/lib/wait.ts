/** The only way in which a kernel test waits: for a condition, for so long, and saying for what. */
import { setTimeout as delay } from "node:timers/promises";
import { scaled } from "./surroundings.js";

export interface WaitOptions {
  /** Completes the sentence "timed out waiting for …". */
  readonly what: string;
  /** Milliseconds on hardware; scaled on slower machines. Default 5000. */
  readonly timeout?: number;
  /** Milliseconds between two looks. Default 20. */
  readonly interval?: number;
}

type Falsy = false | 0 | "" | null | undefined;

/**
 * The first truthy value of the predicate. Throws after the timeout, naming what was waited for and the last error the predicate threw
 * (an error means "not yet").
 */
export async function waitFor<T>(predicate: () => T | Promise<T>, options: WaitOptions): Promise<Exclude<T, Falsy>> {
  const { what, timeout = 5000, interval = 20 } = options;
  const deadline = performance.now() + scaled(timeout);
  for (;;) {
    let cause: unknown;
    try {
      const value = await predicate();
      if (value) return value as Exclude<T, Falsy>;
    } catch (error) {
      cause = error;
    }
    if (performance.now() >= deadline) {
      const reason = cause instanceof Error ? ` (${cause.message})` : "";
      throw new Error(`timed out after ${scaled(timeout)} ms waiting for ${what}${reason}`, { cause });
    }
    await delay(interval);
  }
}
