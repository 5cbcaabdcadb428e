/** Prefixes of both families with what belongs to them: found by an address that lies in one, and checked for overlaps. */
import { toHex } from "./bytes.js";
import { familyOf, type IpAddress, ipToBytes, maskAddress, type Prefix, prefixContains } from "./ip.js";

/** Prefixes that do not overlap. Look-ups cost one step for each length in use. */
export class PrefixTable<V> {
  /** By family and length. */
  readonly #values = new Map<string, Map<IpAddress, V>>();
  /** Lengths in use by family. */
  readonly #lengths = { 4: new Set<number>(), 6: new Set<number>() };

  set({ address, length }: Prefix, value: V): void {
    const family = familyOf(address);
    const key = `${family} ${length}`;
    const ofLength = this.#values.get(key);
    if (ofLength === undefined) this.#values.set(key, new Map([[address, value]]));
    else ofLength.set(address, value);
    this.#lengths[family].add(length);
  }

  /** Its length stays in use. */
  delete({ address, length }: Prefix): void {
    this.#values.get(`${familyOf(address)} ${length}`)?.delete(address);
  }

  /** What belongs to the prefix in which the address lies. */
  find(address: IpAddress): V | undefined {
    const family = familyOf(address);
    for (const length of this.#lengths[family]) {
      const found = this.#values.get(`${family} ${length}`)?.get(maskAddress(address, length));
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

/** Two of the entries whose prefixes overlap, in the order in which they were given; undefined if there are none. O(n log n). */
export function findOverlap<E extends { readonly prefix: Prefix }>(entries: Iterable<E>): readonly [E, E] | undefined {
  const sorted = [...entries].map((entry, order) => ({ entry, order, key: sortKey(entry.prefix) }));
  sorted.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.order - b.order));
  for (let i = 1; i < sorted.length; i++) {
    const [a, b] = [sorted[i - 1], sorted[i]];
    // What lies in a prefix stands behind it, and nothing else comes between them.
    if (a === undefined || b === undefined || !prefixContains(a.entry.prefix, b.entry.prefix.address)) continue;
    return a.order < b.order ? [a.entry, b.entry] : [b.entry, a.entry];
  }
  return undefined;
}

/** Orders prefixes by family, address and length, the shorter of two with one address first. */
function sortKey({ address, length }: Prefix): string {
  return `${familyOf(address)} ${toHex(ipToBytes(address))} ${String(length).padStart(3, "0")}`;
}
