/**
 * How fast this machine is now: a fixed piece of work by the clock on the wall, so that processors busy with something else count as
 * well. Measured at the start of a bench (print-load.ts, for $DSMIPD_LOAD), and again when a time limit runs out.
 */

/** Rounds of the work, and how long they take on hardware that has nothing else to do. */
const ROUNDS = 20_000_000;
const ON_HARDWARE_MS = 40;

/** What slows a machine down that much it does for good; waiting longer would only hide it. */
const MOST = 10;

/** How many times slower than hardware this machine is at the moment, at least 1. Takes 40 ms on hardware. */
export function slowness(): number {
  const started = performance.now();
  let value = 1;
  for (let round = 0; round < ROUNDS; round++) value = Math.imul(value ^ round, 0x01000193);
  if (value === 0.5) throw new Error("unreachable; it keeps the loop");
  return Math.max(1, (performance.now() - started) / ON_HARDWARE_MS);
}

/** The same, of which `slow` is what this kind of machine always has: from 1 (as it should be) to 10. */
export function load(slow: number): number {
  return Math.min(MOST, Math.max(1, slowness() / slow));
}
