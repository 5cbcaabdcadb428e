/** Time as values: pure code is given the present instant and never asks for it. */

declare const instantBrand: unique symbol;
declare const secondsBrand: unique symbol;

/** Milliseconds on a clock that never goes back; the zero point is arbitrary, so only differences mean something. */
export type Instant = number & { readonly [instantBrand]: true };
/** Whole or fractional seconds. */
export type Seconds = number & { readonly [secondsBrand]: true };

export const seconds = (value: number): Seconds => value as Seconds;
export const instant = (milliseconds: number): Instant => milliseconds as Instant;
export const after = (from: Instant, delay: Seconds): Instant => (from + delay * 1000) as Instant;
/** From `a` to `b`; negative if `b` is earlier. */
export const elapsed = (a: Instant, b: Instant): Seconds => ((b - a) / 1000) as Seconds;

/** The earliest of the instants that are there. */
export function earliest(...candidates: readonly (Instant | undefined)[]): Instant | undefined {
  let best: Instant | undefined;
  for (const candidate of candidates) {
    if (candidate !== undefined && (best === undefined || candidate < best)) best = candidate;
  }
  return best;
}
