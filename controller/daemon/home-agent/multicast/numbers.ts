import { InvariantError } from "../../../base/errors.js";

/** Numbers of groups and nodes in the tags of copies: each its own as long as it is needed, and none again soon. */
export class Numbers<K> {
  readonly #byKey = new Map<K, number>();
  readonly #taken = new Set<number>();
  readonly #most: number;
  #last = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** Throws InvariantError if there are more keys than numbers. */
  of(key: K): number {
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    if (this.#taken.size >= this.#most) throw new InvariantError(`more than ${this.#most} numbers`);
    do this.#last = (this.#last % this.#most) + 1;
    while (this.#taken.has(this.#last));
    this.#byKey.set(key, this.#last);
    this.#taken.add(this.#last);
    return this.#last;
  }

  release(key: K): void {
    const number = this.#byKey.get(key);
    if (number === undefined) return;
    this.#byKey.delete(key);
    this.#taken.delete(number);
  }
}
