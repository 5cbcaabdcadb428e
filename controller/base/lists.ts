/** Lists of any length. An argument list is none: each element of `f(...list)` takes room on the stack, and some 120,000 end the process. */

/** Puts the items at the end of the list. */
export function append<T>(list: T[], items: Iterable<T>): void {
  for (const item of items) list.push(item);
}

/** The largest of the numbers; `least` if there is none that is larger. */
export function largest(numbers: Iterable<number>, least = -Infinity): number {
  let found = least;
  for (const number of numbers) if (number > found) found = number;
  return found;
}
