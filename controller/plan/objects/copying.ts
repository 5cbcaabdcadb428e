/** Kernel objects of traffic control: where a device's packets meet filters, and filters that copy them or lead them to another device. */
import type { Prefix } from "../../base/ip.js";
import type { Hex } from "./firewall.js";

/**
 * A clsact qdisc: the packets of a device in one direction meet the filters of a block. A device has one at most. It carries no owner; ours
 * is the number of the block (OWNERSHIP.filterBlocks).
 */
export interface FilterHook {
  readonly kind: "qdisc";
  readonly device: string;
  readonly direction: "ingress" | "egress";
  readonly block: number;
}

/** What of a packet a filter looks at; absent: any. */
export interface FilterMatch {
  readonly destination?: Prefix;
  /** IP protocol, behind IPv6 extension headers. */
  readonly protocol?: number;
  readonly icmpv6Type?: number;
}

/** A flower filter. Those of a chain are asked in the order of their priorities; of equal priority the first that matches counts. */
export interface Filter {
  readonly kind: "filter";
  readonly block: number;
  readonly chain: number;
  readonly priority: number;
  readonly handle: number;
  readonly family: 4 | 6;
  readonly match: FilterMatch;
  /** Six octets that become the packet's Ethernet source. */
  readonly tag?: Hex;
  readonly outcome: /** A copy comes in at this device; the packet goes on to the next filter. */
    | { readonly verb: "copy-in"; readonly device: string }
    /** The packet comes in at this device, and not here. */
    | { readonly verb: "move-in"; readonly device: string }
    /** The packet leaves through this device. */
    | { readonly verb: "move-out"; readonly device: string }
    | { readonly verb: "goto"; readonly chain: number };
}
