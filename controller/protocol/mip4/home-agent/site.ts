/** What the operator decided about a home agent of Mobile IPv4: whom it serves and how. Plain data, the same for its whole life. */
import type { Ipv4Address, Prefix } from "../../../base/ip.js";
import type { ReplayProtection } from "../identification.js";
import type { NodeName } from "../inputs.js";

/** What an SPI stands for between a node and this home agent, but for key and algorithm, which nobody here needs. */
export interface SecurityAssociation {
  readonly spi: number;
  readonly replayProtection: ReplayProtection;
}

/** required: without T a request is refused (138); refused: with T (137) (RFC 3024 §4.3.1). */
export type ReverseTunnelling = "required" | "optional" | "refused";

/** A mobile node that this home agent serves. */
export interface HomeSubscriber {
  readonly node: NodeName;
  /** Its own for ever; without one, and with a pool, an address is lent to it. */
  readonly ipv4HomeAddress?: Ipv4Address | undefined;
  /** NAI by which it may ask for its home address (RFC 2794). */
  readonly identifier?: string | undefined;
  /** At least one. The first answers a request whose own can't be used. */
  readonly associations: readonly SecurityAssociation[];
  /** Name of a tunnel profile. */
  readonly profile: string;
  readonly reverseTunnelling?: ReverseTunnelling | undefined;
  /** IPv6 prefixes that are its own. */
  readonly prefixes?: readonly Prefix[] | undefined;
  /** It may register prefixes of the pool, which a DHCPv6 server delegates to it. */
  readonly borrowsPrefixes?: boolean | undefined;
  /** It may register a link-local address, to speak DHCPv6 through the tunnel (RFC 5454 §3.7.1). */
  readonly linkLocal?: boolean | undefined;
  /** explicit: in each request; implicit: never, and all of its own are meant; either: all of its own where it names none. */
  readonly prefixRegistration?: "explicit" | "implicit" | "either" | undefined;
}

/** A foreign agent with which this home agent has a security association (RFC 5944 §3.8.1). */
export interface ForeignAgentAssociation {
  readonly address: Ipv4Address;
  readonly spi: number;
}

export interface HomeAgentSite {
  /** By which nodes know it, unicast. */
  readonly address: Ipv4Address;
  /** Behind a static NAT: its own on this machine. Absent: the same. */
  readonly localAddress?: Ipv4Address | undefined;
  /** IPv4; their broadcast addresses are those of the home network. */
  readonly homePrefixes: readonly Prefix[];
  /** Whether an address is the network or broadcast address of a network on one of our links just now. */
  readonly isNetworkEdge?: ((address: Ipv4Address) => boolean) | undefined;
  /** Up to 65534; more: no end, for who asks for none. */
  readonly maxLifetimeSeconds: number;
  readonly reverseTunnelling: ReverseTunnelling;
  readonly encapsulations: {
    readonly gre: boolean;
    /** In a UDP tunnel. */
    readonly greInUdp: boolean;
  };
  readonly udpTunnelling: {
    /** Through a NAT. */
    readonly allowed: boolean;
    /** Without a NAT, by the F flag; always: without being asked, for each that can (RFC 3519 §4.7). */
    readonly forced: boolean | "always";
    /** 0: the node's own default. */
    readonly keepaliveSeconds: number;
  };
  /** Whether IPv6 may be tunnelled to a care-of address; else it is to the home address (RFC 5454 §3.3.2). */
  readonly careOfMode: boolean;
  /** The x flag makes a request poorly formed (C-30). */
  readonly strictReservedBits?: boolean | undefined;
  /** How long payload from a former care-of address is accepted after a move. */
  readonly previousCareOfGraceSeconds: number;
  readonly subscribers: readonly HomeSubscriber[];
  readonly foreignAgents?: readonly ForeignAgentAssociation[] | undefined;
  /** A binding with a lent address lasts at most this long at a time. Absent: addresses are not lent. */
  readonly ipv4LeaseSeconds?: number | undefined;
  /** How requests are met while the journal can't be written: with code 130, or not at all. Default: refuse. */
  readonly journalFailure?: "refuse" | "silent" | undefined;
}
