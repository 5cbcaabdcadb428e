/**
 * Address space out of which prefixes of any length are taken and to which they are given back: a buddy allocator. What is free is kept
 * as the largest blocks it makes, by length, so that every call costs one step for each bit of an address, however large the space is.
 */
import { type IpAddress, ipFromBytes, ipToBytes, maskAddress, type Prefix } from "../../base/ip.js";
import { PrefixTable } from "../../base/prefix-table.js";

export class PrefixPool {
  /** Length of the configured prefix that has the address. */
  readonly #roots = new PrefixTable<number>();
  /** By length, the longest free first. */
  readonly #free = new Map<number, Set<IpAddress>>();

  /** `prefixes` are of one family and do not overlap. */
  constructor(prefixes: Iterable<Prefix>) {
    for (const prefix of prefixes) {
      this.#roots.set(prefix, prefix.length);
      this.#add(prefix);
    }
  }

  has({ address, length }: Prefix): boolean {
    const root = this.#roots.find(address);
    return root !== undefined && root <= length;
  }

  /** A prefix of this length that nobody has, out of the smallest free block; undefined: there is none. */
  take(length: number): Prefix | undefined {
    for (let from = length; from >= 0; from--) {
      const [address] = this.#free.get(from) ?? [];
      if (address === undefined) continue;
      this.#remove({ address, length: from });
      return this.#split({ address, length: from }, { address, length });
    }
    return undefined;
  }

  /** Takes exactly this one; false: somebody has it, or a part of it. */
  takeThis(prefix: Prefix): boolean {
    for (let length = prefix.length; length >= 0; length--) {
      const block = { address: maskAddress(prefix.address, length), length };
      if (!this.#remove(block)) continue;
      this.#split(block, prefix);
      return true;
    }
    return false;
  }

  /** Gives back what was taken, whole. */
  give(prefix: Prefix): void {
    const root = this.#roots.find(prefix.address) ?? 0;
    let block = prefix;
    while (block.length > root && this.#remove(siblingOf(block))) {
      const length = block.length - 1;
      block = { address: maskAddress(block.address, length), length };
    }
    this.#add(block);
  }

  /** Frees all of the block but `wanted`, which lies in it. */
  #split(block: Prefix, wanted: Prefix): Prefix {
    for (let length = block.length + 1; length <= wanted.length; length++)
      this.#add(siblingOf({ address: maskAddress(wanted.address, length), length }));
    return wanted;
  }

  #add({ address, length }: Prefix): void {
    const ofLength = this.#free.get(length);
    if (ofLength === undefined) this.#free.set(length, new Set([address]));
    else ofLength.add(address);
  }

  #remove({ address, length }: Prefix): boolean {
    return this.#free.get(length)?.delete(address) === true;
  }
}

/** The other half of the prefix that is one bit shorter. */
function siblingOf({ address, length }: Prefix): Prefix {
  const bytes = Uint8Array.from(ipToBytes(address));
  const at = (length - 1) >> 3;
  bytes[at] = (bytes[at] ?? 0) ^ (0x80 >> ((length - 1) & 7));
  return { address: ipFromBytes(bytes), length };
}
