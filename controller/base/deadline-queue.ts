/**
 * At most one deadline for each key, the earliest in front: an indexed binary heap. Looking is O(1), setting, moving and removing one
 * is O(log n); there are never more entries than keys, however often a deadline moves. Equal deadlines come in an order that depends
 * only on the calls made before.
 */
import { InvariantError } from "./errors.js";
import type { Instant } from "./time.js";

interface Entry<K> {
  readonly key: K;
  at: Instant;
}

export class DeadlineQueue<K> {
  readonly #heap: Entry<K>[] = [];
  readonly #positions = new Map<K, number>();
  #steps = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** Comparisons made so far: what this queue has cost. */
  get steps(): number {
    return this.#steps;
  }

  /** The earliest deadline. */
  get next(): Instant | undefined {
    return this.#heap[0]?.at;
  }

  /** Gives the key this deadline in place of the one it had; undefined takes it away. */
  set(key: K, at: Instant | undefined): void {
    const position = this.#positions.get(key);
    if (at === undefined) {
      if (position !== undefined) this.#removeAt(position);
      return;
    }
    if (position === undefined) {
      this.#heap.push({ key, at });
      this.#positions.set(key, this.#heap.length - 1);
      this.#rise(this.#heap.length - 1);
      return;
    }
    const entry = this.#entry(position);
    if (entry.at === at) return;
    entry.at = at;
    this.#sink(this.#rise(position));
  }

  /** A key whose deadline is not after `now`, the earliest first; its deadline is taken away. */
  takeDue(now: Instant): K | undefined {
    const first = this.#heap[0];
    if (first === undefined || first.at > now) return undefined;
    this.#removeAt(0);
    return first.key;
  }

  #removeAt(position: number): void {
    this.#positions.delete(this.#entry(position).key);
    const last = this.#heap.pop();
    if (last === undefined || position === this.#heap.length) return;
    this.#place(last, position);
    this.#sink(this.#rise(position));
  }

  #rise(start: number): number {
    const entry = this.#entry(start);
    let position = start;
    while (position > 0) {
      const parent = (position - 1) >> 1;
      if (!this.#before(entry, this.#entry(parent))) break;
      this.#place(this.#entry(parent), position);
      position = parent;
    }
    this.#place(entry, position);
    return position;
  }

  #sink(start: number): void {
    const entry = this.#entry(start);
    let position = start;
    for (;;) {
      const left = 2 * position + 1;
      if (left >= this.#heap.length) break;
      const right = left + 1;
      const smaller = right < this.#heap.length && this.#before(this.#entry(right), this.#entry(left)) ? right : left;
      if (!this.#before(this.#entry(smaller), entry)) break;
      this.#place(this.#entry(smaller), position);
      position = smaller;
    }
    this.#place(entry, position);
  }

  #before(a: Entry<K>, b: Entry<K>): boolean {
    this.#steps++;
    return a.at < b.at;
  }

  #place(entry: Entry<K>, position: number): void {
    this.#heap[position] = entry;
    this.#positions.set(entry.key, position);
  }

  #entry(position: number): Entry<K> {
    const entry = this.#heap[position];
    if (entry === undefined) throw new InvariantError(`no deadline at ${position}`);
    return entry;
  }
}
