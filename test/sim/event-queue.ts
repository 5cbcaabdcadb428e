/** A virtual clock: things that happen at instants, in order, and never more of them than a bound. */
import { InvariantError } from "../../controller/base/errors.js";
import { type Instant, instant } from "../../controller/base/time.js";

/** Random numbers in [0, 1) that are the same for the same seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Happening {
  readonly at: number;
  readonly order: number;
  readonly act: () => void;
}

/** A binary heap by time, then by order of insertion. */
export class EventQueue {
  #now = instant(1_000_000);
  #order = 0;
  readonly #heap: Happening[] = [];

  get now(): Instant {
    return this.#now;
  }

  after(milliseconds: number, act: () => void): void {
    this.at(this.#now + Math.max(0, milliseconds), act);
  }

  at(time: number, act: () => void): void {
    const heap = this.#heap;
    heap.push({ at: Math.max(time, this.#now), order: this.#order++, act });
    for (let i = heap.length - 1; i > 0; ) {
      const parent = (i - 1) >> 1;
      if (!this.#before(i, parent)) break;
      this.#swap(i, parent);
      i = parent;
    }
  }

  /** Lets everything happen up to an instant. Throws if that takes more than `steps` steps: somebody is in a circle. */
  runUntil(end: number, steps: number): void {
    for (let count = 0; ; count++) {
      const next = this.#heap[0];
      if (next === undefined || next.at > end) break;
      if (count >= steps) throw new InvariantError(`more than ${steps} steps until ${end}`);
      this.#take();
      this.#now = instant(next.at);
      next.act();
    }
    this.#now = instant(Math.max(end, this.#now));
  }

  #take(): void {
    const heap = this.#heap;
    this.#swap(0, heap.length - 1);
    heap.pop();
    for (let i = 0; ; ) {
      let first = i;
      for (const child of [2 * i + 1, 2 * i + 2]) if (child < heap.length && this.#before(child, first)) first = child;
      if (first === i) return;
      this.#swap(i, first);
      i = first;
    }
  }

  #before(a: number, b: number): boolean {
    const [left, right] = [this.#heap[a], this.#heap[b]];
    if (left === undefined || right === undefined) return false;
    return left.at === right.at ? left.order < right.order : left.at < right.at;
  }

  #swap(a: number, b: number): void {
    const [left, right] = [this.#heap[a], this.#heap[b]];
    if (left === undefined || right === undefined) return;
    this.#heap[a] = right;
    this.#heap[b] = left;
  }
}
