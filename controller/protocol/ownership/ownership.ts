/**
 * Who owns which home address and which mobile network prefix, of both families: nothing belongs to two, whoever asks for it. One store
 * below all protocols: whoever drives several machines gives all of them the same. Pure. Nodes are known by their IPv6 home address.
 */
import { InvariantError } from "../../base/errors.js";
import {
  formatPrefix,
  hostPrefix,
  type IpAddress,
  type Ipv4Address,
  type Ipv6Address,
  isIpv4,
  type Prefix,
  prefixesOverlap,
} from "../../base/ip.js";
import { findOverlap, PrefixTable } from "../../base/prefix-table.js";
import { Ipv4Ownership } from "./ipv4.js";
import { LentNetworks, type NetworkPool, NO_NETWORKS } from "./lent-networks.js";

export interface OwnershipSite {
  readonly nodes: Iterable<{
    readonly homeAddress: Ipv6Address;
    readonly ipv4HomeAddress?: Ipv4Address | undefined;
    /** Of the networks behind it (RFC 3963). */
    readonly prefixes?: readonly Prefix[] | undefined;
  }>;
  /** Out of which IPv4 home addresses are lent. */
  readonly pool: readonly Prefix[];
  /** Out of which networks of mobile routers are lent. */
  readonly networkPool?: NetworkPool | undefined;
  /** Ours, and nobody else's. */
  readonly reserved: readonly IpAddress[];
  /** Their network and broadcast addresses are nobody's. */
  readonly homePrefixes?: readonly Prefix[] | undefined;
}

/** What a binding of a node may have on loan. */
export interface Lent {
  readonly ipv4HomeAddress?: Ipv4Address | undefined;
  readonly prefixes: readonly Prefix[];
}

/** A machine that shares the store with others: of two protocols at one home agent, of which either may serve a node. */
export interface OwnershipUser {
  /** What of the node is bound or about to be. */
  uses(node: Ipv6Address): readonly Lent[];
}

interface Claim {
  readonly prefix: Prefix;
  readonly by: string;
}

export class Ownership {
  /** IPv4 home addresses, own and lent ones. */
  readonly ipv4: Ipv4Ownership;
  /** Mobile network prefixes that are nobody's for ever. */
  readonly lent: LentNetworks;
  readonly #nodes = new Set<Ipv6Address>();
  readonly #networks = new PrefixTable<Ipv6Address>();
  /** Of each machine that shares this store, where it reaches its nodes. */
  readonly #whereabouts = new Map<OwnershipUser, Map<Ipv6Address, readonly IpAddress[]>>();

  /** Throws InvariantError if something belongs to two. */
  constructor({ nodes, pool, networkPool = NO_NETWORKS, reserved, homePrefixes }: OwnershipSite) {
    const list = [...nodes];
    this.ipv4 = new Ipv4Ownership({ own: list, pool, reserved: reserved.filter(isIpv4), homePrefixes });
    this.lent = new LentNetworks(networkPool, {
      lent: (prefix, node) => this.#networks.set(prefix, node),
      givenBack: (prefix) => this.#networks.delete(prefix),
    });
    const claims: Claim[] = reserved.map((address) => ({ prefix: hostPrefix(address), by: "the home agent" }));
    for (const { homeAddress, ipv4HomeAddress, prefixes = [] } of list) {
      this.#nodes.add(homeAddress);
      const homes = ipv4HomeAddress === undefined ? [homeAddress] : [homeAddress, ipv4HomeAddress];
      for (const home of homes) claims.push({ prefix: hostPrefix(home), by: homeAddress });
      for (const prefix of prefixes) {
        claims.push({ prefix, by: homeAddress });
        this.#networks.set(prefix, homeAddress);
      }
    }
    for (const prefix of networkPool.prefixes) claims.push({ prefix, by: "the prefix pool" });
    const [a, b] = findOverlap(claims) ?? lentOverlap(claims, pool) ?? [];
    if (a !== undefined && b !== undefined)
      throw new InvariantError(`${formatPrefix(a.prefix)} of ${a.by} and ${formatPrefix(b.prefix)} of ${b.by} overlap`);
  }

  /** The node with this home address, for ever or lent. */
  nodeAt(address: IpAddress): Ipv6Address | undefined {
    if (isIpv4(address)) return this.ipv4.ownerOf(address);
    return this.#nodes.has(address as Ipv6Address) ? (address as Ipv6Address) : undefined;
  }

  /** A machine shares this store from now on. */
  join(user: OwnershipUser): void {
    this.#whereabouts.set(user, new Map());
  }

  /** By this machine the node is reached at these addresses now, and at no others. */
  setCareOf(homeAddress: Ipv6Address, addresses: readonly IpAddress[], by?: OwnershipUser): void {
    const others = [...this.#whereabouts].filter(([user]) => user !== by);
    const mine = by === undefined ? undefined : this.#whereabouts.get(by);
    if (addresses.length === 0) mine?.delete(homeAddress);
    else mine?.set(homeAddress, addresses);
    const all = new Set([...addresses, ...others.flatMap(([, nodes]) => nodes.get(homeAddress) ?? [])]);
    this.ipv4.setCareOf(homeAddress, [...all].filter(isIpv4));
    this.lent.setCareOf(homeAddress, [...all]);
  }

  /** What is lent to the node and in use there by the other machines: who has no use for it any more leaves it alone. */
  usedBesides(by: OwnershipUser, homeAddress: Ipv6Address): readonly Lent[] {
    return [...this.#whereabouts.keys()].filter((user) => user !== by).flatMap((user) => user.uses(homeAddress));
  }

  /** The node behind which this address is, bound or not. */
  routerTo(address: IpAddress): Ipv6Address | undefined {
    return this.#networks.find(address);
  }
}

/** A network in the pool; single addresses may lie there, and are not lent. */
function lentOverlap(claims: readonly Claim[], pool: readonly Prefix[]): readonly [Claim, Claim] | undefined {
  const networks = claims.filter(({ prefix }) => prefix.length < hostPrefix(prefix.address).length);
  for (const prefix of pool) {
    const found = networks.find((one) => prefixesOverlap(one.prefix, prefix));
    if (found !== undefined) return [found, { prefix, by: "the pool" }];
  }
  return undefined;
}
