/** Waiting for conditions instead of for time. Deadlines are for a machine at full speed; a slow bench ($DSMIPD_SLOW) or a busy one ($DSMIPD_LOAD) gets more. */
import { setTimeout as delay } from "node:timers/promises";
import { LOAD, SLOW } from "../kernel/lib/surroundings.js";

const POLL_MS = 10;

export interface Wait {
  /** On a machine at full speed. */
  readonly seconds: number;
}

/**
 * The first value of `condition` that is not undefined or false. Throws after the deadline, saying that there was still no `what`;
 * what the condition itself throws ends the wait too, because it means that waiting longer is useless.
 */
export async function until<T>(
  what: string,
  { seconds }: Wait,
  condition: () => T | Promise<T>,
): Promise<Exclude<T, undefined | false>> {
  const deadline = performance.now() + seconds * SLOW * LOAD * 1000;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false) return value as Exclude<T, undefined | false>;
    if (performance.now() > deadline)
      throw new Error(`after ${Math.round(seconds * SLOW * LOAD)} s there was still no ${what}`);
    await delay(POLL_MS);
  }
}
