/**
 * Tokens that go through the kernel's IPsec in a packet's flow label and come back with it, so that what was known before is known
 * after (RFC 5555 §5.1: the outer header of a binding update must reach the mobility code). ESP in transport mode leaves the IPv6
 * header as it is. Bounded: the oldest entry makes room, whatever a sender does.
 */
/** Flow labels are 20 bits; 0 means none. */
const FIRST = 1;

export class Correlation<T> {
  readonly #entries = new Map<number, T>();
  readonly #capacity: number;
  #next = FIRST;

  /** `capacity`: labels at a time, below 2^20. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** A label of 1 to the capacity by which `recall` gives the value back, once. */
  remember(value: T): number {
    const label = this.#next;
    this.#next = label === this.#capacity ? FIRST : label + 1;
    this.#entries.set(label, value);
    return label;
  }

  recall(label: number): T | undefined {
    const value = this.#entries.get(label);
    this.#entries.delete(label);
    return value;
  }

  get size(): number {
    return this.#entries.size;
  }
}
