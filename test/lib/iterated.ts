/** What a piece of code costs, without a clock. */

/** Counts how many elements are handed out by iterating over maps and sets while `body` runs. */
export function iterated(body: () => void): number {
  let count = 0;
  const restore: (() => void)[] = [];
  for (const prototype of [Map.prototype, Set.prototype] as unknown[] as { [key: PropertyKey]: unknown }[]) {
    for (const name of ["keys", "values", "entries", "forEach", Symbol.iterator]) {
      const original = prototype[name] as (...args: unknown[]) => unknown;
      prototype[name] = function (this: { readonly size: number }, ...args: unknown[]): unknown {
        count += this.size;
        return original.apply(this, args);
      };
      restore.push(() => {
        prototype[name] = original;
      });
    }
  }
  try {
    body();
  } finally {
    for (const undo of restore) undo();
  }
  return count;
}
