/**
 * The kernel objects that dsmipd owns, as plain data: what a plan consists of, what a dump of the kernel gives back, and what the
 * reconciler compares. An object is its identity (the fields of `objectKey`) and its content (all the rest).
 * Device names stand for interface indices; the kernel layer translates. Units: MTU octets, priorities as in iproute2.
 */
import type { IpAddress, Ipv4Address, Ipv6Address, Prefix } from "../base/ip.js";
import type { Secret } from "../base/secret.js";

/** Marks by which we know our own objects again; nothing without them is ever touched. */
export const OWNERSHIP = {
  /** rtm_protocol, FRA_PROTOCOL, IFA_PROTO, NDA_PROTOCOL. Free in iproute2's rt_protos. */
  protocol: 155,
  /** Links carry this alias besides a name that starts with `linkPrefix`. */
  linkAlias: "dsmipd",
  linkPrefix: "dsmip",
  nftTable: "dsmipd",
  /** SA request ids: reqidBase .. reqidBase + 2^24 - 1. */
  reqidBase: 0x44000000,
  /** XFRM policies: priorities policyPriorityBase .. policyPriorityBase + 0xffff. */
  policyPriorityBase: 0x41910000,
  /** The thresholds of a home agent: every policy that names one host at the remote end is hashed. */
  policyHash: { ipv4: { localBits: 0, remoteBits: 32 }, ipv6: { localBits: 0, remoteBits: 128 } },
} as const;

/** A UDP port at which the kernel takes off a UDP header; GUE variant 1 is the format of RFC 5555 §4.1. Ports carry no owner: identity is family and port. */
export interface FouPort {
  readonly kind: "fou-port";
  readonly family: 4 | 6;
  readonly port: number;
  readonly encapsulation: "gue";
}

export interface TunnelHeaderSpec {
  /** Outer TTL or hop limit; 0 inherits the inner one. */
  readonly ttl: number;
  /** "inherit" copies the inner TOS octet / traffic class; a number is the fixed octet (ECN bits 0; the kernel sets them by RFC 6040). */
  readonly trafficClass: "inherit" | number;
}

export interface SitLink extends TunnelHeaderSpec {
  readonly type: "sit";
  readonly local: Ipv4Address;
  /** Absent: NBMA, the outer destination comes from the route. */
  readonly remote?: Ipv4Address;
  /** The outer packets leave through this device only. Two tunnels with the same ends are two if one of them is bound to a device. */
  readonly device?: string;
  /** FOU encapsulation (no header between UDP and the inner packet). */
  readonly udp?: { readonly sourcePort: number; readonly destinationPort: number };
  readonly pathMtuDiscovery: boolean;
}

export interface Ip6TunnelLink extends TunnelHeaderSpec {
  readonly type: "ip6tnl";
  /** External (collect metadata): outer header from the lightweight-tunnel route; then local and remote are absent. */
  readonly external: boolean;
  readonly local?: Ipv6Address;
  readonly remote?: Ipv6Address;
}

export interface DummyLink {
  readonly type: "dummy";
}

/** A TUN device; made through /dev/net/tun, not rtnetlink, and gone with the process unless persistent. */
export interface TunLink {
  readonly type: "tun";
}

export interface Link {
  readonly kind: "link";
  /** At most 15 octets, starts with OWNERSHIP.linkPrefix. */
  readonly name: string;
  readonly mtu: number;
  readonly up: boolean;
  readonly link: SitLink | Ip6TunnelLink | DummyLink | TunLink;
}

export interface Address {
  readonly kind: "address";
  readonly device: string;
  readonly address: IpAddress;
  readonly prefixLength: number;
  /** IFA_F_HOMEADDRESS: a home address of Mobile IPv6 (RFC 6724 rule 4, type 2 routing header). IPv6 only. */
  readonly home: boolean;
  /** IFA_F_NOPREFIXROUTE. */
  readonly noPrefixRoute: boolean;
  /** RT_SCOPE_HOST: the kernel never chooses it as a source, not even for errors. IPv4 only. */
  readonly hostScope?: boolean;
}

/** Outer IPv6 header that a route gives its packets (LWTUNNEL_ENCAP_IP6). */
export interface Ip6Encapsulation {
  readonly source: Ipv6Address;
  readonly destination: Ipv6Address;
  readonly hopLimit: number;
  /** The whole traffic class octet. */
  readonly trafficClass: number;
}

export interface Route {
  readonly kind: "route";
  readonly destination: Prefix;
  readonly table: number;
  /** Priority in iproute2's words; part of a route's identity. */
  readonly metric: number;
  readonly device: string;
  readonly via?: IpAddress;
  /** RTNH_F_ONLINK: `via` is taken as directly reachable on the device. */
  readonly onlink?: boolean;
  readonly encapsulation?: Ip6Encapsulation;
  /** Path MTU of the route in octets, locked. */
  readonly mtu?: number;
  /** Preferred source address. */
  readonly preferredSource?: IpAddress;
  /** TCP MSS the kernel announces over this route. */
  readonly advertisedMss?: number;
}

export interface Rule {
  readonly kind: "rule";
  readonly family: 4 | 6;
  readonly priority: number;
  /** 0 with `unreachable`. */
  readonly table: number;
  /** What it matches has no way, whatever later rules say. */
  readonly unreachable?: boolean;
  /** Source prefix; for IPv4 0.0.0.0/32 matches packets whose source is not chosen yet. */
  readonly from?: Prefix;
  readonly to?: Prefix;
  /** UDP to this port alone. */
  readonly udpDestinationPort?: number;
  readonly mark?: number;
  /** FIB_RULE_FIND_SADDR: also tried for packets whose source is not chosen yet, if the source found lies in `from`. IPv6 only. */
  readonly findSource?: boolean;
}

export interface ProxyNeighbour {
  readonly kind: "proxy-neighbour";
  readonly device: string;
  readonly address: IpAddress;
  /** NTF_ROUTER: the R flag of the advertisement (RFC 3963 §6.2). */
  readonly router: boolean;
}

export interface XfrmSelector {
  readonly source: Prefix;
  readonly destination: Prefix;
  /** Upper-layer protocol; 0 is any. */
  readonly protocol: number;
  /** Mobility Header type (stands in the source port field) when protocol is 135. */
  readonly mobilityHeaderType?: number;
  /** With protocol 58: ICMPv6 types below 128 alone, which are the errors (RFC 4443 §2.1). */
  readonly icmpv6Errors?: boolean;
  /** With protocol 58: this ICMPv6 type alone (stands in the source port field). */
  readonly icmpv6Type?: number;
}

export interface XfrmMark {
  readonly value: number;
  readonly mask: number;
}

export interface EspState {
  readonly type: "esp";
  readonly spi: number;
  readonly mode: "transport" | "tunnel";
  readonly aead: AeadKey;
  readonly replayWindow: number;
  /** ESP in UDP (RFC 3948); the ports in the direction of the packets. */
  readonly encapsulation?: { readonly sourcePort: number; readonly destinationPort: number };
  /** Only packets with this mark meet the state: part of its identity, so that several states may have one SPI. */
  readonly mark?: XfrmMark;
  /** The bits of the mark that packets have afterwards (XFRMA_SET_MARK). */
  readonly setMark?: XfrmMark;
  /** Tunnel mode, receiving: the outer DSCP becomes the inner one (XFRM_STATE_DECAP_DSCP). */
  readonly decapsulateDscp?: boolean;
  /** Tunnel mode, sending: the outer DSCP is 0 and not the inner one (XFRM_SA_XFLAG_DONT_ENCAP_DSCP). */
  readonly hideDscp?: boolean;
}

/** An AEAD's key (with its salt) under the kernel's name of the algorithm; `icvLength` in octets. */
export interface AeadKey {
  readonly algorithm: string;
  readonly key: Secret;
  readonly icvLength: number;
}

/** Mobile IPv6's own transformations: home address destination option (60) and type 2 routing header (43). */
export interface MobilityState {
  readonly type: "home-address-option" | "type2-routing-header";
  /** :: on the receiving side with `wildcard`. */
  readonly careOfAddress: Ipv6Address;
  readonly wildcard: boolean;
}

/** Both ends are of one family. */
export interface XfrmState {
  readonly kind: "xfrm-state";
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly reqid: number;
  readonly selector?: XfrmSelector;
  readonly transform: EspState | MobilityState;
}

/** In tunnel mode both ends of the tunnel, of one family, which need not be the selector's; unspecified addresses match any. */
export interface XfrmTemplate {
  readonly protocol: "esp" | "home-address-option" | "type2-routing-header";
  readonly mode: "transport" | "tunnel" | "route-optimisation";
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly reqid: number;
  /** Level "use": the packet passes without it too. */
  readonly optional: boolean;
}

export interface XfrmPolicy {
  readonly kind: "xfrm-policy";
  readonly direction: "in" | "out" | "forward";
  readonly policyType: "main" | "sub";
  readonly selector: XfrmSelector;
  readonly priority: number;
  readonly action: "allow" | "block";
  readonly mark?: XfrmMark;
  readonly templates: readonly XfrmTemplate[];
}

export type NftBase = "link" | "network" | "transport";
/** Registers of 16 octets are 1..4 in nft's words; registers of 4 octets are 8..23 (NFT_REG32_00 = 8). */
export type NftRegister = number;
/** Octets in lower-case hexadecimal. */
export type Hex = string;

/** One expression of an nftables rule, as the kernel knows it (linux/netfilter/nf_tables.h). Offsets and lengths in octets. */
export type NftExpression =
  | {
      readonly type: "meta";
      readonly key: "l4proto" | "nfproto" | "iifname" | "oifname" | "mark";
      readonly register: NftRegister;
    }
  | { readonly type: "meta-set"; readonly key: "mark"; readonly register: NftRegister }
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

export type NftFieldType = "ipv4_addr" | "ipv6_addr" | "inet_service" | "mark" | "integer";

export interface NftSet {
  readonly name: string;
  /** The fields of a key, concatenated, each padded to 4 octets. "integer" fields are `integerLength` octets. */
  readonly key: readonly NftFieldType[];
  /** Present for a map. */
  readonly value?: NftFieldType;
  readonly integerLength?: number;
  /** Elements that never change (written with the table); the changing ones are `NftElement` objects. */
  readonly elements?: readonly { readonly key: Hex; readonly value?: Hex }[];
  readonly constant?: boolean;
  readonly size?: number;
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
  readonly key: readonly (Ipv4Address | Ipv6Address | number)[];
  readonly value?: Ipv4Address | Ipv6Address | number;
}

/** A kernel switch under /proc/sys, written when it differs. Never restored: others may have come to rely on it. */
export interface Sysctl {
  readonly kind: "sysctl";
  /** Relative to /proc/sys, with slashes: "net/ipv6/conf/all/forwarding". */
  readonly path: string;
  readonly value: string;
}

/**
 * From which prefix lengths on XFRM policies stand in the kernel's hash table; the others stand in trees that every packet walks. One for
 * the network namespace. Local is our end: the source of what goes out, the destination of what comes in.
 */
export interface PolicyHash {
  readonly kind: "policy-hash";
  readonly ipv4: { readonly localBits: number; readonly remoteBits: number };
  readonly ipv6: { readonly localBits: number; readonly remoteBits: number };
}

export type KernelObject =
  | FouPort
  | Link
  | Address
  | Route
  | Rule
  | ProxyNeighbour
  | XfrmState
  | XfrmPolicy
  | PolicyHash
  | NftTable
  | NftElement
  | Sysctl;

export type KernelObjectKind = KernelObject["kind"];

/** The identity of an object: two objects with the same key cannot exist side by side in the kernel. */
export function objectKey(object: KernelObject): string {
  switch (object.kind) {
    case "fou-port":
      return `fou-port ${object.family} ${object.port}`;
    case "link":
      return `link ${object.name}`;
    case "address":
      return `address ${object.device} ${object.address}/${object.prefixLength}`;
    case "route":
      return `route ${object.table} ${object.destination.address}/${object.destination.length} ${object.metric}`;
    case "rule":
      return ruleKey(object);
    case "proxy-neighbour":
      return `proxy-neighbour ${object.device} ${object.address}`;
    case "xfrm-state":
      return object.transform.type === "esp"
        ? `xfrm-state esp ${object.destination} ${object.transform.spi} ${markKey(object.transform.mark)}`.trimEnd()
        : `xfrm-state ${object.transform.type} ${object.source} ${object.destination}`;
    case "xfrm-policy":
      return `xfrm-policy ${object.policyType} ${object.direction} ${selectorKey(object.selector)} ${markKey(object.mark)}`;
    case "policy-hash":
      return "policy-hash";
    case "nft-table":
      return `nft-table ${object.family} ${object.name}`;
    case "nft-element":
      return `nft-element ${object.set} ${object.key.join(" . ")}`;
    case "sysctl":
      return `sysctl ${object.path}`;
  }
}

function ruleKey({ family, priority, table, from, to, udpDestinationPort, mark }: Rule): string {
  const prefix = (one: Prefix | undefined): string => `${one?.address ?? ""}/${one?.length ?? 0}`;
  const port = udpDestinationPort === undefined ? "" : ` udp ${udpDestinationPort}`;
  return `rule ${family} ${priority} ${prefix(from)}${to === undefined ? "" : ` to ${prefix(to)}`}${port} ${mark ?? ""} ${table}`;
}

function selectorKey(selector: XfrmSelector): string {
  const { source, destination, protocol, mobilityHeaderType, icmpv6Errors } = selector;
  const types = icmpv6Errors === true ? "errors" : (mobilityHeaderType ?? "");
  return `${source.address}/${source.length} ${destination.address}/${destination.length} ${protocol} ${types}`;
}

function markKey(mark: XfrmMark | undefined): string {
  return mark === undefined ? "" : `${mark.value}/${mark.mask}`;
}
