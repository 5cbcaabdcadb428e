/** What of its addresses and networks a mobile node has on loan from its home agent (RFC 5555 §2.5, §3.1.1), and what its site is with them. */
import { IPV4_ANY, IPV6_ANY, type Ipv4Address, ipv4FromNumber, ipv4ToNumber, type Prefix } from "../../base/ip.js";

/** What is asked for. */
export interface Wishes {
  /** own: an address beside the networks; from-prefix: one out of the first IPv4 network. */
  readonly ipv4HomeAddress: "none" | "own" | "from-prefix";
  /** Networks, one for each length in bits. */
  readonly lengths: { readonly ipv4: readonly number[]; readonly ipv6: readonly number[] };
}

/** What was granted last. Networks stand where their lengths stand among the wishes. */
export interface Lent {
  readonly ipv4HomeAddress: Ipv4Address | undefined;
  readonly networks: {
    readonly ipv4: readonly (Prefix | undefined)[];
    readonly ipv6: readonly (Prefix | undefined)[];
  };
}

export const NOTHING_LENT: Lent = { ipv4HomeAddress: undefined, networks: { ipv4: [], ipv6: [] } };

/** The part of a node's site that loans make. */
export interface BorrowingSite {
  readonly ipv4HomeAddress?: Ipv4Address | undefined;
  readonly prefixes?: readonly Prefix[] | undefined;
  /** Absent: all that it has is its own. */
  readonly wishes?: Wishes | undefined;
  readonly lent?: Lent | undefined;
}

/** The site with what is lent in the places of what is the node's own. */
export function withLent<S extends BorrowingSite>(site: S, lent: Lent): S {
  const { wishes } = site;
  if (wishes === undefined) return site;
  const { lengths, ipv4HomeAddress: address } = wishes;
  const networks = [...lent.networks.ipv4, ...lent.networks.ipv6].filter((one) => one !== undefined);
  const prefixes = lengths.ipv4.length + lengths.ipv6.length === 0 ? site.prefixes : networks;
  const lentAddress = address === "own" ? lent.ipv4HomeAddress : firstHost(lent.networks.ipv4[0]);
  return { ...site, lent, prefixes, ipv4HomeAddress: address === "none" ? site.ipv4HomeAddress : lentAddress };
}

/** The IPv4 home address that the node has at home too: a lent one is given back there. */
export function ipv4AtHome({ ipv4HomeAddress, wishes }: BorrowingSite): Ipv4Address | undefined {
  return (wishes?.ipv4HomeAddress ?? "none") === "none" ? ipv4HomeAddress : undefined;
}

/** The networks to ask for, each with the one that was lent last, or with none of the length that is wanted. */
export function networkWishes({ wishes, lent }: BorrowingSite): { readonly ipv4: Prefix[]; readonly ipv6: Prefix[] } {
  const { ipv4 = [], ipv6 = [] } = wishes?.lengths ?? {};
  return {
    ipv4: ipv4.map((length, i) => lent?.networks.ipv4[i] ?? { address: IPV4_ANY, length }),
    ipv6: ipv6.map((length, i) => lent?.networks.ipv6[i] ?? { address: IPV6_ANY, length }),
  };
}

/** Whether something that is wanted is not there. */
export function lacksLoans({ wishes, lent = NOTHING_LENT }: BorrowingSite): boolean {
  if (wishes === undefined) return false;
  const { ipv4, ipv6 } = wishes.lengths;
  const lacks = (wanted: readonly number[], networks: readonly (Prefix | undefined)[]): boolean =>
    wanted.some((_length, i) => networks[i] === undefined);
  const withoutAddress = wishes.ipv4HomeAddress === "own" && lent.ipv4HomeAddress === undefined;
  return withoutAddress || lacks(ipv4, lent.networks.ipv4) || lacks(ipv6, lent.networks.ipv6);
}

/** The first address of an IPv4 network that a host can have (RFC 5555 §3.1.1). */
function firstHost(network: Prefix | undefined): Ipv4Address | undefined {
  return network === undefined ? undefined : ipv4FromNumber(ipv4ToNumber(network.address as Ipv4Address) + 1);
}
