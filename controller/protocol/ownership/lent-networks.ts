/**
 * Prefixes of mobile networks that are lent out of a pool while they are needed; a part of the one store (ownership.ts). What a node gives
 * back rests under its name until the space is needed, so that the hosts behind it keep their addresses when it comes again. RFC 5555 §4.5.
 */
import {
  type Family,
  familyOf,
  formatPrefix,
  type IpAddress,
  type Ipv6Address,
  maskAddress,
  type Prefix,
  prefixContains,
  samePrefix,
} from "../../base/ip.js";
import { PrefixPool } from "./prefix-pool.js";

export interface NetworkPool {
  /** Of both families; none overlaps another. */
  readonly prefixes: readonly Prefix[];
  /** Lengths that are lent, in bits. */
  readonly lengths: { readonly ipv4: readonly number[]; readonly ipv6: readonly number[] };
  /** Of both families together, to one node. */
  readonly mostPerNode: number;
}

export const NO_NETWORKS: NetworkPool = { prefixes: [], lengths: { ipv4: [], ipv6: [] }, mostPerNode: 0 };

/** Why a network is not lent. */
export type NotLent = "none-free" | "too-many";

/** Free blocks that are passed over for one request because somebody's care-of address lies in them. */
const MOST_PASSED_OVER = 8;

interface OfFamily {
  readonly pool: PrefixPool;
  /** Ascending: from the largest networks to the smallest. */
  readonly lengths: readonly number[];
  /** Given back and not in the pool yet: the node that had it, the longest ago first. */
  readonly resting: Map<string, { readonly prefix: Prefix; readonly node: Ipv6Address }>;
}

/** Told of what is lent and what is given back. */
export interface LentNetworksListener {
  lent(prefix: Prefix, node: Ipv6Address): void;
  givenBack(prefix: Prefix): void;
}

/** All calls cost O(lengths in use + bits of an address + networks of the node), lending amortised over what was given back. */
export class LentNetworks {
  readonly #most: number;
  readonly #families: { readonly 4: OfFamily; readonly 6: OfFamily };
  readonly #listener: LentNetworksListener;
  readonly #leases = new Map<Ipv6Address, readonly Prefix[]>();
  /** What the node had, and nobody has had since. */
  readonly #former = new Map<Ipv6Address, readonly Prefix[]>();
  /** Of what is lent or rests, what was delegated by somebody else. */
  readonly #delegated = new Set<string>();
  /** How many nodes are reached at addresses in each prefix that could be lent. */
  readonly #visited = new Map<string, number>();
  readonly #visitedByNode = new Map<Ipv6Address, readonly string[]>();

  constructor({ prefixes, lengths, mostPerNode }: NetworkPool, listener: LentNetworksListener) {
    this.#most = mostPerNode;
    this.#listener = listener;
    const of = (family: Family, wanted: readonly number[]): OfFamily => ({
      pool: new PrefixPool(prefixes.filter(({ address }) => familyOf(address) === family)),
      lengths: [...wanted].sort((a, b) => a - b),
      resting: new Map(),
    });
    this.#families = { 4: of(4, lengths.ipv4), 6: of(6, lengths.ipv6) };
  }

  leasesOf(node: Ipv6Address): readonly Prefix[] {
    return this.#leases.get(node) ?? [];
  }

  /** What one update is to get. `besides`: where the node is about to be reached. */
  select(node: Ipv6Address, besides: readonly IpAddress[]): NetworkSelection {
    return new NetworkSelection(this, node, { most: this.#most, besides });
  }

  /** The node is reached at these addresses now, and at no others: what they lie in is lent to nobody, or its tunnel would run in circles. */
  setCareOf(node: Ipv6Address, addresses: readonly IpAddress[]): void {
    for (const key of this.#visitedByNode.get(node) ?? []) {
      const count = (this.#visited.get(key) ?? 1) - 1;
      if (count === 0) this.#visited.delete(key);
      else this.#visited.set(key, count);
    }
    const keys = addresses.flatMap((address) => this.#prefixesAround(address));
    if (keys.length === 0) this.#visitedByNode.delete(node);
    else this.#visitedByNode.set(node, keys);
    for (const key of keys) this.#visited.set(key, (this.#visited.get(key) ?? 0) + 1);
  }

  /** The length that is lent to who wants this one: as large a network or a larger one, or the largest there is. */
  lengthFor(family: Family, wanted: number): number | undefined {
    const { lengths } = this.#families[family];
    return lengths.findLast((one) => one <= wanted) ?? lengths[0];
  }

  /** Lends a network of exactly this length; undefined: none is free. */
  lend(node: Ipv6Address, family: Family, length: number, besides: readonly IpAddress[]): Prefix | undefined {
    const usable = (prefix: Prefix): boolean =>
      !this.#visited.has(formatPrefix(prefix)) && !besides.some((address) => prefixContains(prefix, address));
    const had = this.formerOf(node).find(
      (one) => one.length === length && familyOf(one.address) === family && usable(one),
    );
    const found = had ?? this.#takeFresh(this.#families[family], length, usable);
    if (found === undefined) return undefined;
    if (had !== undefined) this.#wake(node, had);
    this.#add(node, found);
    return found;
  }

  /** Lends what the node had last; false: it is somebody else's by now. */
  lendAgain(node: Ipv6Address, prefix: Prefix, besides: readonly IpAddress[]): boolean {
    const had = this.formerOf(node).find((one) => samePrefix(one, prefix));
    const visited = this.#visited.has(formatPrefix(prefix));
    if (had === undefined || visited || besides.some((address) => prefixContains(prefix, address))) return false;
    this.#wake(node, had);
    this.#add(node, had);
    return true;
  }

  formerOf(node: Ipv6Address): readonly Prefix[] {
    return this.#former.get(node) ?? [];
  }

  /**
   * Takes up what the journal kept, the node had before, or a DHCPv6 server has delegated to it (`delegated`); false: it is not to be had.
   * What rests under another's name stays that one's, or any node could name it: but what a DHCPv6 server had delegated to that one it
   * delegates again when it likes, and knows nothing of our rests.
   */
  restore(node: Ipv6Address, prefix: Prefix, { delegated = false }: { readonly delegated?: boolean } = {}): boolean {
    if (this.leasesOf(node).some((one) => samePrefix(one, prefix))) return true;
    if (this.lendAgain(node, prefix, [])) return true;
    const { pool, lengths, resting } = this.#families[familyOf(prefix.address)];
    const isLent = lengths.includes(prefix.length) && pool.has(prefix) && this.leasesOf(node).length < this.#most;
    if (!isLent) return false;
    const key = formatPrefix(prefix);
    const rests = resting.get(key);
    if (rests !== undefined && delegated && this.#delegated.has(key)) this.#forget(rests.node, rests.prefix);
    if (!pool.takeThis(prefix)) return false;
    if (delegated) this.#delegated.add(key);
    this.#add(node, prefix);
    return true;
  }

  /** Takes a network back; it stays the node's to ask for while nobody else needs it. */
  release(node: Ipv6Address, prefix: Prefix): void {
    const leases = this.leasesOf(node);
    const lent = leases.find((one) => samePrefix(one, prefix));
    if (lent === undefined) return;
    setOrDelete(this.#leases, node, without(leases, lent));
    this.#listener.givenBack(lent);
    const former = [...this.formerOf(node), lent];
    this.#former.set(node, former);
    this.#families[familyOf(lent.address)].resting.set(formatPrefix(lent), { prefix: lent, node });
    const [oldest] = former;
    if (oldest !== undefined && former.length > this.#most) this.#forget(node, oldest);
  }

  #add(node: Ipv6Address, prefix: Prefix): void {
    this.#leases.set(node, [...this.leasesOf(node), prefix]);
    this.#listener.lent(prefix, node);
  }

  #takeFresh(family: OfFamily, length: number, usable: (prefix: Prefix) => boolean): Prefix | undefined {
    const passedOver: Prefix[] = [];
    let found = this.#take(family, length);
    while (found !== undefined && !usable(found) && passedOver.length < MOST_PASSED_OVER) {
      passedOver.push(found);
      found = this.#take(family, length);
    }
    const good = found !== undefined && usable(found) ? found : undefined;
    if (found !== undefined && good === undefined) passedOver.push(found);
    for (const prefix of passedOver) family.pool.give(prefix);
    return good;
  }

  /** What was never used, or is free for good; then what was given back the longest ago. */
  #take({ pool, resting }: OfFamily, length: number): Prefix | undefined {
    for (;;) {
      const found = pool.take(length);
      if (found !== undefined) return found;
      const [oldest] = resting.values();
      if (oldest === undefined) return undefined;
      this.#forget(oldest.node, oldest.prefix);
    }
  }

  /** Nobody's any more. */
  #forget(node: Ipv6Address, prefix: Prefix): void {
    this.#delegated.delete(formatPrefix(prefix));
    this.#wake(node, prefix);
    this.#families[familyOf(prefix.address)].pool.give(prefix);
  }

  #wake(node: Ipv6Address, prefix: Prefix): void {
    setOrDelete(this.#former, node, without(this.formerOf(node), prefix));
    this.#families[familyOf(prefix.address)].resting.delete(formatPrefix(prefix));
  }

  /** All that could be lent and that the address lies in. */
  #prefixesAround(address: IpAddress): readonly string[] {
    const { pool, lengths } = this.#families[familyOf(address)];
    return lengths
      .map((length) => ({ address: maskAddress(address, length), length }))
      .filter((prefix) => pool.has(prefix))
      .map(formatPrefix);
  }
}

/** The networks that one update gets. Lent as soon as they are chosen; what is not bound in the end is for the caller to release. */
export class NetworkSelection {
  readonly #lent: LentNetworks;
  readonly #node: Ipv6Address;
  readonly #most: number;
  readonly #besides: readonly IpAddress[];
  readonly #chosen: Prefix[] = [];
  /** Lent by this selection. */
  readonly #fresh: Prefix[] = [];

  constructor(
    lent: LentNetworks,
    node: Ipv6Address,
    { most, besides }: { readonly most: number; readonly besides: readonly IpAddress[] },
  ) {
    this.#lent = lent;
    this.#node = node;
    this.#most = most;
    this.#besides = besides;
  }

  /** In the order in which they were chosen. */
  get chosen(): readonly Prefix[] {
    return this.#chosen;
  }

  /** Any network, as long as this or as near to it as the pool has: one that the node has or had, or a new one. */
  any(family: Family, wanted: number): Prefix | NotLent {
    if (this.#chosen.length >= this.#most) return "too-many";
    const length = this.#lent.lengthFor(family, wanted);
    if (length === undefined) return "none-free";
    const present = this.#lent
      .leasesOf(this.#node)
      .find((one) => one.length === length && familyOf(one.address) === family && !this.#chosen.includes(one));
    const found = present ?? this.#lent.lend(this.#node, family, length, this.#besides);
    if (found === undefined) return "none-free";
    if (present === undefined) this.#fresh.push(found);
    this.#chosen.push(found);
    return found;
  }

  /** The network of the node's in which the address lies; undefined: it has none there, nor had one that is still free. */
  at(address: IpAddress): Prefix | undefined {
    const isThere = (one: Prefix): boolean => prefixContains(one, address);
    const present = this.#lent.leasesOf(this.#node).find(isThere);
    if (present !== undefined) {
      if (!this.#chosen.includes(present)) this.#chosen.push(present);
      return present;
    }
    const had = this.#lent.formerOf(this.#node).find(isThere);
    if (had === undefined || this.#chosen.length >= this.#most) return undefined;
    if (!this.#lent.lendAgain(this.#node, had, this.#besides)) return undefined;
    this.#fresh.push(had);
    this.#chosen.push(had);
    return had;
  }

  /** Gives back what the node did not have before. */
  abandon(): void {
    for (const prefix of this.#fresh) this.#lent.release(this.#node, prefix);
  }
}

const without = (list: readonly Prefix[], prefix: Prefix): readonly Prefix[] =>
  list.filter((one) => !samePrefix(one, prefix));

function setOrDelete(map: Map<Ipv6Address, readonly Prefix[]>, node: Ipv6Address, list: readonly Prefix[]): void {
  if (list.length === 0) map.delete(node);
  else map.set(node, list);
}
