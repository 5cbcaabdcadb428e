/** What the operator decided about a home agent: whom it serves and how. Plain data, the same for its whole life. */
import type { Ipv4Address, Ipv6Address, Prefix } from "../../../base/ip.js";
import type { NetworkPool } from "../../ownership/lent-networks.js";

/** A mobile node that this home agent serves. */
export interface HomeSubscriber {
  readonly homeAddress: Ipv6Address;
  /** Its own for ever; without one, and with a pool, an address is lent to it (RFC 5555 §2.5). */
  readonly ipv4HomeAddress?: Ipv4Address | undefined;
  /** Name of a tunnel profile. */
  readonly profile: string;
  /** Absent: as for all. */
  readonly forceUdp?: ForceUdp | undefined;
  /** How its updates come from IPv4 networks. Default: rfc5555. */
  readonly ipv4Signalling?: Ipv4Signalling | undefined;
  /** Of both families: of the networks behind a mobile router (RFC 3963). */
  readonly prefixes?: readonly Prefix[] | undefined;
  /** Networks behind it are lent to it out of the pool; then it has none of its own. */
  readonly borrowsPrefixes?: boolean | undefined;
  /** How the node may register its prefixes. Default: either. */
  readonly mobileRouter?: MobileRouterMode | undefined;
}

/** Over IPv4. grant, refuse: answers to the F flag; always: payload travels in UDP, whether it is asked for or not. */
export type ForceUdp = "grant" | "refuse" | "always";

/** Of this subscriber. */
export function forceUdpOf({ subscribers, forceUdp }: HomeAgentSite, homeAddress: Ipv6Address): ForceUdp {
  return subscribers.get(homeAddress)?.forceUdp ?? forceUdp;
}

/**
 * rfc5555: in UDP and IPv4, through any NAT. soliman2004: in protocol 41 with an IPv4-mapped care-of address, through none
 * (draft-soliman-v4v6-mipv6-00); such a node may still do the other.
 */
export type Ipv4Signalling = "rfc5555" | "soliman2004";

/** explicit: it names them in each update; implicit: it does not, and all of its own are meant (RFC 3963 §5.2); no: it is served as a host. */
export type MobileRouterMode = "either" | "explicit" | "implicit" | "no";

/** IPv4 home addresses to lend to nodes that ask for one with 0.0.0.0. */
export interface Ipv4Pool {
  readonly prefixes: readonly Prefix[];
  /** A binding with a lent address lasts at most this long at a time (RFC 5555 §2.5). */
  readonly leaseSeconds: number;
}

/** Networks to lend to mobile routers that ask for some with 0.0.0.0 or ::. */
export interface PrefixPool extends NetworkPool {
  /** A binding with a lent network lasts at most this long at a time. */
  readonly leaseSeconds: number;
}

/** What the operator decided. */
export interface HomeAgentSite {
  readonly addresses: {
    readonly ipv6: Ipv6Address;
    /** By which nodes know it. */
    readonly ipv4?: Ipv4Address | undefined;
    /** Behind a static NAT: its own on this machine. Absent: the same. */
    readonly ipv4Local?: Ipv4Address | undefined;
  };
  /** Both families. */
  readonly homePrefixes: readonly Prefix[];
  /** Whether an address is the network or broadcast address of a network on one of our links just now; the home prefixes are known without it. */
  readonly isNetworkEdge?: ((address: Ipv4Address) => boolean) | undefined;
  readonly maxLifetimeSeconds: number;
  /** How long the prefix of a home address is still valid, in seconds: no binding outlasts it (RFC 6275 §10.3.1). Undefined: for ever. */
  readonly validFor?: ((homeAddress: Ipv6Address) => number | undefined) | undefined;
  /** The node is to ask for the home prefixes: they have changed (status 1, RFC 6275 §6.1.8). */
  readonly hasPrefixNews?: ((homeAddress: Ipv6Address) => boolean) | undefined;
  /** Refresh time told to nodes behind a NAT (RFC 5555 §3.2.2). */
  readonly natRefreshSeconds: number;
  readonly forceUdp: ForceUdp;
  /** UDP in IPv6 is served, for nodes that nothing else reaches. Default: not. */
  readonly udpOverIpv6?: boolean | undefined;
  /** On the home link before a first registration; false where the home link is virtual. */
  readonly duplicateAddressDetection: boolean;
  /** How long payload from a former care-of address is accepted after a move. */
  readonly previousCareOfGraceSeconds: number;
  /** By home address. */
  readonly subscribers: ReadonlyMap<Ipv6Address, HomeSubscriber>;
  readonly ipv4Pool?: Ipv4Pool | undefined;
  readonly prefixPool?: PrefixPool | undefined;
  /** Suggested to nodes as the time of their next update, where it is shorter than the lifetime granted (RFC 6275 §6.2.4). */
  readonly refreshAdviceSeconds?: number | undefined;
  /** Whether a node whose binding is about to expire is asked to refresh it (RFC 6275 §6.1.2). Default: no. */
  readonly refreshRequests?: boolean | undefined;
  /** Keys are negotiated, and the IKE SA can follow a node (K flag). */
  readonly keyManagementMobility?: boolean | undefined;
  /** How updates are met while the journal can't be written: with status 130, or not at all. Default: refuse. */
  readonly journalFailure?: "refuse" | "silent" | undefined;
}
