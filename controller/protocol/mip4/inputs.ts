/**
 * What the machines of Mobile IPv4 have in common: where a message came from, whether its authenticators are right, what a binding
 * needs of the kernel. Plain data; no sockets, clocks or keys.
 */
import type { Ipv4Address, Ipv6Address, Prefix } from "../../base/ip.js";

/**
 * The name under which the store of addresses and prefixes (protocol/ownership) knows a node: its IPv6 home address, or one made up for a
 * node that has none.
 */
export type NodeName = Ipv6Address;

/** How a message came to port 434. */
export interface Arrival {
  readonly source: Ipv4Address;
  readonly sourcePort: number;
  /** As in the packet: ours, or a broadcast address. */
  readonly destination: Ipv4Address;
  readonly device: string;
}

/** What came of looking at one authentication extension. */
export type AuthenticationVerdict = "valid" | "invalid" | "no-association";

/** What a tunnel puts between its outer and its inner IPv4 header: nothing (protocol 4), or GRE. */
export type Encapsulation = "ip-in-ip" | "gre";

/** The node's or the foreign agent's end of a tunnel. */
export type TunnelEnd =
  | { readonly transport: "ip"; readonly address: Ipv4Address; readonly encapsulation: Encapsulation }
  /** In UDP from port 434, behind a tunnel data header (RFC 3519 §3.3). */
  | {
      readonly transport: "udp";
      readonly address: Ipv4Address;
      readonly port: number;
      readonly encapsulation: Encapsulation;
    };

export function sameEnd(a: TunnelEnd, b: TunnelEnd): boolean {
  if (a.transport !== b.transport || a.address !== b.address || a.encapsulation !== b.encapsulation) return false;
  return a.transport === "ip" || (b.transport === "udp" && a.port === b.port);
}

export function formatEnd(end: TunnelEnd): string {
  const gre = end.encapsulation === "gre" ? "/gre" : "";
  return end.transport === "udp" ? `${end.address}:${end.port}/udp${gre}` : `${end.address}${gre || "/ipip"}`;
}

/** To which address IPv6 for a prefix is tunnelled (RFC 5454 §3.3.2): in protocol 41 to the home address, or as the node's IPv4 is. */
export type PrefixMode = "home-address" | "care-of-address";

export interface RegisteredPrefix {
  readonly prefix: Prefix;
  readonly mode: PrefixMode;
}

/** What the data path of a binding needs; the plan turns it into kernel objects. Another `revision` means that the content changed. */
export interface DataPath {
  readonly node: NodeName;
  readonly homeAddress: Ipv4Address;
  /** Where payload for the home address is sent. */
  readonly egress: TunnelEnd;
  /** From where payload of the node is accepted: the present end, and former ones during their grace time. */
  readonly ingress: readonly TunnelEnd[];
  /** Whether the node's IPv4 may come back through the tunnel (RFC 3024); IPv6 may in any case. */
  readonly reverseTunnelling: boolean;
  readonly prefixes: readonly RegisteredPrefix[];
  /** Of the node's end of the tunnel to its home address, for DHCPv6 through it (RFC 5454 §3.7.1). */
  readonly linkLocalAddress?: Ipv6Address;
  readonly profile: string;
  readonly revision: number;
}

/** Reasons for which a message is dropped without an answer; each is counted by this name. */
export type DropReason =
  | "malformed"
  | "unexpected-type"
  | "not-a-subscriber"
  | "unauthenticated"
  | "authentication-failed"
  | "foreign-agent-unknown"
  | "wrong-destination"
  | "wrong-source"
  | "duplicate"
  | "journal-unwritable";

export interface DropEffect {
  readonly kind: "drop";
  readonly reason: DropReason;
  readonly detail: string;
}

/** What operators see. Names are noun.verb and stable, the same as Mobile IPv6's. */
export interface NotifyEffect {
  readonly kind: "notify";
  readonly event: {
    readonly event:
      | "binding.accepted"
      | "binding.refreshed"
      | "binding.moved"
      | "binding.removed"
      | "binding.expired"
      | "binding.rejected"
      | "binding.failed"
      | "nat.changed";
    readonly node: NodeName;
    readonly homeAddress?: Ipv4Address;
    readonly detail: Readonly<Record<string, string | number | boolean>>;
  };
}
