/**
 * Who owns an IPv4 home address: for ever, or lent out of a pool while it is needed; a part of the one store (ownership.ts). Pure: machines
 * ask it within their step. Nodes are known by their IPv6 home address. RFC 5555 §2.5.
 */
import { InvariantError } from "../../base/errors.js";
import {
  type Ipv4Address,
  type Ipv6Address,
  ipv4FromNumber,
  ipv4ToNumber,
  isEdgeOf,
  isIpv4,
  type Prefix,
  prefixContains,
} from "../../base/ip.js";

const ADDRESS_BITS = 32;

export interface Ipv4OwnershipSite {
  /** Who has an address for ever. */
  readonly own: Iterable<{ readonly homeAddress: Ipv6Address; readonly ipv4HomeAddress?: Ipv4Address | undefined }>;
  /** Out of which addresses are lent. */
  readonly pool: readonly Prefix[];
  /** In the pool, and never lent: our own. */
  readonly reserved: readonly Ipv4Address[];
  /** Their network and broadcast addresses are nobody's. */
  readonly homePrefixes?: readonly Prefix[] | undefined;
}

/** Owners of IPv4 home addresses. All calls are O(1), allocation amortised over the unusable addresses it passes. */
export class Ipv4Ownership {
  readonly #own = new Map<Ipv6Address, Ipv4Address>();
  readonly #owners = new Map<Ipv4Address, Ipv6Address>();
  readonly #leases = new Map<Ipv6Address, Ipv4Address>();
  /** The address a node had last, so that it gets the same again while that is free. */
  readonly #remembered = new Map<Ipv6Address, Ipv4Address>();
  /** Lent before and given back, the longest unused first; but for those in `#occupied`. */
  readonly #returned = new Set<Ipv4Address>();
  /** Free for good but that somebody is reached there: to be had again when nobody is. */
  readonly #occupied = new Set<Ipv4Address>();
  /** Where nodes are at the moment, and who is there: an address of the pool among them is lent to nobody, or its tunnel would run in circles. */
  readonly #careOf = new Map<Ipv4Address, Set<Ipv6Address>>();
  readonly #careOfByNode = new Map<Ipv6Address, readonly Ipv4Address[]>();
  readonly #pool: readonly Prefix[];
  readonly #isLendable: (address: Ipv4Address) => boolean;
  readonly #fresh: Iterator<Ipv4Address>;
  #nextFresh: Ipv4Address | undefined;
  #looked = 0;

  /** Throws InvariantError if an address belongs to two. */
  constructor({ own, pool, reserved, homePrefixes = [] }: Ipv4OwnershipSite) {
    for (const { homeAddress, ipv4HomeAddress } of own) {
      if (ipv4HomeAddress === undefined) continue;
      if (this.#owners.has(ipv4HomeAddress)) throw new InvariantError(`${ipv4HomeAddress} belongs to two subscribers`);
      this.#own.set(homeAddress, ipv4HomeAddress);
      this.#owners.set(ipv4HomeAddress, homeAddress);
    }
    this.#pool = pool;
    this.#isLendable = (address) =>
      !reserved.includes(address) && !homePrefixes.some((prefix) => isEdgeOf(prefix, address));
    this.#fresh = poolAddresses(this.#pool, this.#isLendable);
    this.#nextFresh = this.#advance();
  }

  /** Who has the address: for ever, or lent. */
  ownerOf(address: Ipv4Address): Ipv6Address | undefined {
    return this.#owners.get(address);
  }

  /** What the node has: its own, or a lent one. */
  addressOf(homeAddress: Ipv6Address): Ipv4Address | undefined {
    return this.#own.get(homeAddress) ?? this.#leases.get(homeAddress);
  }

  /** Addresses given back that choosing has looked at. */
  get looked(): number {
    return this.#looked;
  }

  leaseOf(homeAddress: Ipv6Address): Ipv4Address | undefined {
    return this.#leases.get(homeAddress);
  }

  /** The node is reached at these addresses now, and at no others. */
  setCareOf(homeAddress: Ipv6Address, addresses: readonly Ipv4Address[]): void {
    for (const address of this.#careOfByNode.get(homeAddress) ?? []) {
      const nodes = this.#careOf.get(address);
      nodes?.delete(homeAddress);
      if (nodes?.size !== 0) continue;
      this.#careOf.delete(address);
      if (this.#occupied.delete(address)) this.#returned.add(address);
    }
    if (addresses.length === 0) this.#careOfByNode.delete(homeAddress);
    else this.#careOfByNode.set(homeAddress, addresses);
    for (const address of addresses) {
      const nodes = this.#careOf.get(address);
      if (nodes === undefined) this.#careOf.set(address, new Set([homeAddress]));
      else nodes.add(homeAddress);
      if (this.#returned.delete(address)) this.#occupied.add(address);
    }
  }

  /** Whether somebody is reached at this address now. */
  isCareOf(address: Ipv4Address): boolean {
    return this.#careOf.has(address);
  }

  /**
   * An address that `lease` would give to the node: what it has, had last, never used, longest unused. `besides`: where the node is about
   * to be reached.
   */
  candidateFor(homeAddress: Ipv6Address, besides: readonly Ipv4Address[] = []): Ipv4Address | undefined {
    const present = this.addressOf(homeAddress);
    if (present !== undefined) return present;
    const isFree = (address: Ipv4Address): boolean => !this.#careOf.has(address) && !besides.includes(address);
    const remembered = this.#remembered.get(homeAddress);
    if (remembered !== undefined && this.#returned.has(remembered) && isFree(remembered)) return remembered;
    for (; this.#nextFresh !== undefined; this.#nextFresh = this.#advance()) {
      if (this.#isUsed(this.#nextFresh)) continue;
      if (isFree(this.#nextFresh)) return this.#nextFresh;
      this.#giveBack(this.#nextFresh);
    }
    // None of them is a care-of address, so no more are passed over than `besides` are.
    for (const address of this.#returned) {
      this.#looked++;
      if (isFree(address)) return address;
    }
    return undefined;
  }

  /** Whether the node may have exactly this address: its own, its present one, or the one it had last. */
  mayUse(homeAddress: Ipv6Address, address: Ipv4Address, besides: readonly Ipv4Address[] = []): boolean {
    const present = this.addressOf(homeAddress);
    if (present !== undefined) return present === address;
    const isFree = !this.#careOf.has(address) && !besides.includes(address);
    return isFree && this.#remembered.get(homeAddress) === address && this.#returned.has(address);
  }

  /** Gives the node an address of the pool that nobody has; nothing happens if it has this one. */
  lease(homeAddress: Ipv6Address, address: Ipv4Address): void {
    if (this.addressOf(homeAddress) === address) return;
    if (this.addressOf(homeAddress) !== undefined || this.#owners.has(address)) {
      throw new InvariantError(`${address} can't be lent to ${homeAddress}`);
    }
    this.#returned.delete(address);
    this.#occupied.delete(address);
    this.#leases.set(homeAddress, address);
    this.#owners.set(address, homeAddress);
  }

  /** Takes a lent address back; the node's own is never touched. */
  release(homeAddress: Ipv6Address): void {
    const address = this.#leases.get(homeAddress);
    if (address === undefined) return;
    this.#leases.delete(homeAddress);
    this.#owners.delete(address);
    this.#remembered.set(homeAddress, address);
    this.#giveBack(address);
  }

  /** Whether a lease that the journal kept can be taken up again. */
  canRestore(homeAddress: Ipv6Address, address: Ipv4Address): boolean {
    if (this.addressOf(homeAddress) === address) return true;
    const inPool = this.#isLendable(address) && this.#pool.some((prefix) => prefixContains(prefix, address));
    const isFree = !this.#owners.has(address) && !this.#careOf.has(address);
    return inPool && this.addressOf(homeAddress) === undefined && isFree;
  }

  #isUsed(address: Ipv4Address): boolean {
    return this.#owners.has(address) || this.#returned.has(address) || this.#occupied.has(address);
  }

  #giveBack(address: Ipv4Address): void {
    if (this.#careOf.has(address)) this.#occupied.add(address);
    else this.#returned.add(address);
  }

  #advance(): Ipv4Address | undefined {
    const next = this.#fresh.next();
    return next.done === true ? undefined : next.value;
  }
}

/** The host addresses of the pool in their order, without the network and broadcast address of prefixes up to /30. */
function* poolAddresses(
  pool: readonly Prefix[],
  isLendable: (address: Ipv4Address) => boolean,
): Generator<Ipv4Address, void> {
  for (const { address, length } of pool) {
    if (!isIpv4(address)) continue;
    const first = ipv4ToNumber(address);
    const size = 2 ** (ADDRESS_BITS - length);
    const edge = length <= 30 ? 1 : 0;
    for (let offset = edge; offset < size - edge; offset++) {
      const candidate = ipv4FromNumber(first + offset);
      if (isLendable(candidate)) yield candidate;
    }
  }
}
