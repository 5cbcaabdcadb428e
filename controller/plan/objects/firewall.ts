/** Kernel objects of nftables: one table of ours with its chains and sets, and the set elements that bindings bring. */
import type { Ipv4Address, Ipv6Address } from "../../base/ip.js";
import type { EtherAddress } from "../../base/link-address.js";

export type NftBase = "link" | "network" | "transport";
/** Registers of 16 octets are 1..4 in nft's words; registers of 4 octets are 8..23 (NFT_REG32_00 = 8). */
export type NftRegister = number;
/** Octets in lower-case hexadecimal. */
export type Hex = string;

/** A token bucket: `perSecond` packets in the long run, `burst` at once. Matches what is within, or with `over` what is beyond. */
export interface NftLimit {
  readonly perSecond: number;
  readonly burst: number;
  readonly over: boolean;
}

/** One expression of an nftables rule, as the kernel knows it (linux/netfilter/nf_tables.h). Offsets and lengths in octets. */
export type NftExpression =
  | {
      readonly type: "meta";
      readonly key: "l4proto" | "nfproto" | "iifname" | "oifname" | "mark" | "secpath";
      readonly register: NftRegister;
    }
  | { readonly type: "meta-set"; readonly key: "mark" | "pkttype"; readonly register: NftRegister }
  | {
      readonly type: "payload";
      readonly base: NftBase;
      readonly offset: number;
      readonly length: number;
      readonly register: NftRegister;
    }
  | {
      readonly type: "payload-set";
      readonly base: NftBase;
      readonly offset: number;
      readonly length: number;
      readonly register: NftRegister;
      /** "inet": the checksum at `checksumOffset` of the same header is corrected; "none": nothing is. */
      readonly checksum: "none" | "inet";
      readonly checksumOffset: number;
      /** NFT_PAYLOAD_L4CSUM_PSEUDOHDR: the transport checksum covers the changed octets. */
      readonly pseudoHeader: boolean;
    }
  | {
      readonly type: "compare";
      readonly op: "eq" | "neq" | "lt" | "lte" | "gt" | "gte";
      readonly register: NftRegister;
      readonly value: Hex;
    }
  | {
      readonly type: "bitwise";
      readonly source: NftRegister;
      readonly destination: NftRegister;
      readonly mask: Hex;
      readonly xor: Hex;
    }
  | {
      readonly type: "lookup";
      readonly set: string;
      readonly register: NftRegister;
      /** For maps: where the value goes. */
      readonly destination?: NftRegister;
      readonly negate: boolean;
    }
  | { readonly type: "immediate"; readonly register: NftRegister; readonly value: Hex }
  | { readonly type: "verdict"; readonly verdict: "accept" | "drop" | "return" | "jump"; readonly chain?: string }
  /** Counts packets and octets in the named counter of the table. */
  | { readonly type: "count"; readonly counter: string }
  | ({ readonly type: "limit" } & NftLimit)
  /** One bucket for each key in a dynamic set; a full set has no bucket for a new key, and the rule does not match. */
  | ({ readonly type: "meter"; readonly set: string; readonly register: NftRegister } & NftLimit)
  /** Puts the key into a dynamic set, or its end off if it is there; with a full set the rule does not match. */
  | { readonly type: "remember"; readonly set: string; readonly register: NftRegister }
  | { readonly type: "notrack" };

export interface NftRule {
  /** The rule in nft's language, for people and for `nft -f`. */
  readonly text: string;
  readonly expressions: readonly NftExpression[];
}

export interface NftChain {
  readonly name: string;
  /** Absent for a chain that is only jumped to. */
  readonly base?: {
    /** "route" (output only): the kernel looks the route up again when the addresses have changed. */
    readonly type: "filter" | "route";
    readonly hook: "prerouting" | "input" | "forward" | "output" | "postrouting";
    readonly priority: number;
    readonly policy: "accept" | "drop";
  };
  readonly rules: readonly NftRule[];
}

export type NftFieldType = "ipv4_addr" | "ipv6_addr" | "ether_addr" | "inet_service" | "mark" | "integer";

export interface NftSet {
  readonly name: string;
  /**
   * The fields of a key, concatenated, each padded to 4 octets. "integer" fields are `integerLength` octets, "ether_addr" ones 6.
   */
  readonly key: readonly NftFieldType[];
  /** Present for a map. */
  readonly value?: NftFieldType;
  readonly integerLength?: number;
  /** Elements that never change (written with the table); the changing ones are `NftElement` objects. */
  readonly elements?: readonly { readonly key: Hex; readonly value?: Hex }[];
  readonly constant?: boolean;
  readonly size?: number;
  /** Present: its elements are made by rules as packets come, at most `size`, and go this long after the last packet (milliseconds). */
  readonly dynamicTimeoutMs?: number;
}

/** Our whole nftables table but for the elements that bindings bring; made and replaced in one transaction. */
export interface NftTable {
  readonly kind: "nft-table";
  readonly family: "inet";
  readonly name: string;
  readonly counters: readonly string[];
  readonly sets: readonly NftSet[];
  readonly chains: readonly NftChain[];
}

/** One element of a set or map of our table. The fields in the order of the set's key. */
export interface NftElement {
  readonly kind: "nft-element";
  readonly set: string;
  readonly key: readonly (Ipv4Address | Ipv6Address | EtherAddress | number)[];
  readonly value?: Ipv4Address | Ipv6Address | EtherAddress | number;
}
