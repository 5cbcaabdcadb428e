/**
 * Kernel objects that lead packets on their way: devices, addresses, routes and rules, proxy neighbours, and the switches around them.
 * Device names stand for interface indices; the kernel layer translates. Units: MTU octets, priorities as in iproute2.
 */
import type { IpAddress, Ipv4Address, Ipv6Address, Prefix } from "../../base/ip.js";

/** A UDP port at which the kernel takes off a UDP header; GUE variant 1 is the format of RFC 5555 §4.1. Ports carry no owner: identity is family and port. */
export interface FouPort {
  readonly kind: "fou-port";
  readonly family: 4 | 6;
  readonly port: number;
  readonly encapsulation: "gue";
  /** Only what is for this address, of the port's family; absent: any address of the machine, broadcast included. */
  readonly local?: IpAddress;
}

export interface TunnelHeaderSpec {
  /** Outer TTL or hop limit; 0 inherits the inner one. */
  readonly ttl: number;
  /** "inherit" copies the inner TOS octet / traffic class; a number is the fixed octet (ECN bits 0; the kernel sets them by RFC 6040). */
  readonly trafficClass: "inherit" | number;
}

/** Ports of the UDP header that a device puts around what it sends. */
export interface UdpEncapsulation {
  readonly sourcePort: number;
  readonly destinationPort: number;
}

export interface SitLink extends TunnelHeaderSpec {
  readonly type: "sit";
  readonly local: Ipv4Address;
  /** Absent: NBMA, the outer destination comes from the route. */
  readonly remote?: Ipv4Address;
  /** The outer packets leave through this device only. Two tunnels with the same ends are two if one of them is bound to a device. */
  readonly device?: string;
  /** FOU (no header between UDP and the inner packet), or with `gue` GUE variant 0: four octets that say what the inner packet is. */
  readonly udp?: UdpEncapsulation & { readonly gue?: boolean };
  readonly pathMtuDiscovery: boolean;
}

export interface Ip6TunnelLink extends TunnelHeaderSpec {
  readonly type: "ip6tnl";
  /** External (collect metadata): outer header from the lightweight-tunnel route; then local and remote are absent. */
  readonly external: boolean;
  readonly local?: Ipv6Address;
  readonly remote?: Ipv6Address;
  /** As for sit; not for an external one. */
  readonly device?: string;
  /** FOU encapsulation, with a UDP checksum, which IPv6 demands (RFC 8200 §8.1); only with `remote`: without one the kernel sends plain. */
  readonly udp?: UdpEncapsulation;
}

/** GRE over IPv4 without key, checksum or sequence number (RFC 2784). */
export interface GreLink extends TunnelHeaderSpec {
  readonly type: "gre";
  /** Outer header from the lightweight-tunnel route, and anybody's GRE comes in; then there are no ends. The namespace has one at most. */
  readonly external: boolean;
  readonly local?: Ipv4Address;
  readonly remote?: Ipv4Address;
  /** As for sit; not for an external one. */
  readonly device?: string;
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
  /** IFF_MULTICAST on a sit device: a DHCPv6 server looks for it before it joins its group there. */
  readonly multicast?: boolean;
  readonly link: SitLink | Ip6TunnelLink | GreLink | DummyLink | TunLink;
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

/** Outer IPv4 header that a route gives its packets (LWTUNNEL_ENCAP_IP). */
export interface Ip4Encapsulation {
  readonly source: Ipv4Address;
  readonly destination: Ipv4Address;
  readonly ttl: number;
  /** "inherit" copies the inner octet. ECN is the kernel's business either way. */
  readonly trafficClass: "inherit" | number;
  /** TUNNEL_DONT_FRAGMENT: the outer header has DF, and what is too large for the path is answered. */
  readonly dontFragment?: boolean;
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
  readonly encapsulation?: Ip6Encapsulation | Ip4Encapsulation;
  /** Path MTU of the route in octets, locked. */
  readonly mtu?: number;
  /** Preferred source address. */
  readonly preferredSource?: IpAddress;
  /** TCP MSS the kernel announces over this route. */
  readonly advertisedMss?: number;
  /** RTN_LOCAL: the destination is this machine itself, whatever addresses its links have. */
  readonly local?: boolean;
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
  /** What has this protocol number alone; not together with a port. */
  readonly ipProtocol?: number;
  /** UDP to this port alone. */
  readonly udpDestinationPort?: number;
  readonly mark?: number;
  /** The bits of the mark that count; absent: all. */
  readonly markMask?: number;
  /** Not for packets (and questions) with this bit in their mark. */
  readonly unlessMark?: number;
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

/** A neighbour whose link-layer address is known: nobody is ever asked for it, and it never goes stale. */
export interface PermanentNeighbour {
  readonly kind: "permanent-neighbour";
  readonly device: string;
  readonly address: IpAddress;
  /** Lower-case hexadecimal with colons. */
  readonly linkAddress: string;
}

/** A kernel switch under /proc/sys, written when it differs. Never restored: others may have come to rely on it. */
export interface Sysctl {
  readonly kind: "sysctl";
  /** Relative to /proc/sys, with slashes: "net/ipv6/conf/all/forwarding". */
  readonly path: string;
  readonly value: string;
}
