/** What the operator decided about a mobile node of Mobile IPv4. Plain data, the same for its whole life. */
import type { Ipv4Address, Prefix } from "../../../base/ip.js";
import type { ReplayProtection } from "../identification.js";
import type { Encapsulation } from "../inputs.js";

/** preferred: without one where the home agent or the foreign agent has none (RFC 3024). */
export type ReverseTunnelWish = "always" | "preferred" | "never";

/** With this foreign agent; undefined: none, or no agent. */
export function foreignSpi(
  { foreignAssociations }: Pick<MobileNodeSite, "foreignAssociations">,
  agent: Ipv4Address | undefined,
): number | undefined {
  return foreignAssociations?.find((one) => one.agent === agent)?.spi;
}

export interface MobileNodeSite {
  /** Absent: the home agent lends one to the name. */
  readonly homeAddress?: Ipv4Address | undefined;
  /** NAI (RFC 2794). */
  readonly identifier?: string | undefined;
  /** Its address, or with `findsHomeAgent` the broadcast address of the home subnet. */
  readonly homeAgent: Ipv4Address;
  /** Home agents are asked at that address; the first one that answers is taken (RFC 5944 §3.6.1.2). */
  readonly findsHomeAgent?: boolean | undefined;
  readonly spi: number;
  /** Foreign agents with which the node has a security association (RFC 5944 §3.5.3). Absent: none. */
  readonly foreignAssociations?: readonly { readonly agent: Ipv4Address; readonly spi: number }[] | undefined;
  readonly replayProtection: Pick<ReplayProtection, "kind">;
  /** Asked for; 0xffff: without an end. */
  readonly lifetimeSeconds: number;
  readonly reverseTunnelling: ReverseTunnelWish;
  /** Wished for; where it is not to be had, the other. */
  readonly encapsulation: Encapsulation;
  readonly udpTunnelling: {
    /** Through a NAT, if there is one. */
    readonly ask: boolean;
    /** Through UDP, NAT or not. */
    readonly forced: boolean;
    /** Where the home agent names no interval (RFC 3519 §4.9). */
    readonly keepaliveSeconds: number;
  };
  /** How long payload is taken at a former care-of address after a move. */
  readonly previousCareOfGraceSeconds: number;
  /** IPv6 prefixes that it asks for. */
  readonly prefixes: readonly Prefix[];
  /** IPv6 may come to the care-of address, where that is the node's own (RFC 5454 §2.3). */
  readonly tunnelToCareOf: boolean;
  /** It registers a link-local address, once it is bound, to be delegated prefixes by DHCPv6 (RFC 5454 §3.7.1). */
  readonly delegation: boolean;
}
