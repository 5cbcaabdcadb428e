/**
 * IPv4 packets that carry a packet themselves and go into a tunnel over IPv4 once more. Of what has been in a tunnel device before, the kernel
 * takes class and DF of the outer header from the innermost one, read as if it were an IPv4 header (ip_tunnel_xmit of 6.1; of a packet whose
 * checksum is still to be made, or that is many in one): ECN and DSCP come out of the flow label, which rules have to set right. It keeps
 * knowing where the innermost header is from one namespace to another, too.
 */
import type { Ipv4Address } from "../base/ip.js";
import type { NftRule } from "./objects/firewall.js";
import { type Clause, rule } from "./objects/nft-clause.js";
import { innerAddress, innerMayFragment, innerOctet } from "./objects/nft-matches.js";
import { clearDontFragment, copyInnerClass, copyInnerEcn } from "./objects/nft-writes.js";

const IPV6_IN_IPV4 = 41;
/** Version 4, no options. */
const FIRST_OCTET = 0x45;
/** Where these stand in an IPv4 header. */
const AT = { protocol: 9, saddr: 12, daddr: 16 } as const;

/** An inner IPv4 packet that carries IPv6, at this offset of the transport header. */
export const isCarrier = (offset: number): readonly Clause[] => [
  innerOctet(offset, FIRST_OCTET),
  innerOctet(offset + AT.protocol, IPV6_IN_IPV4),
];

/** An inner IPv4 packet from or to the home agent, which is a tunnel's in whatever format; or nothing is lost by taking it for one. */
export const isNested = (offset: number, end: "saddr" | "daddr", homeAgent: Ipv4Address): readonly Clause[] => [
  innerOctet(offset, FIRST_OCTET),
  innerAddress(offset + AT[end], homeAgent),
];

/** The outer class is that of the inner IPv4 header, or its ECN with the profile's DSCP. */
export const classOfInner = (offset: number, dscp: "copy" | number): Clause =>
  dscp === "copy" ? copyInnerClass(offset) : copyInnerEcn(offset, dscp);

/** Of whatever is inside, unless that has IPv4 options: then the class is the kernel's. */
export const asInner = (offset: number, dscp: "copy" | number): readonly NftRule[] => [
  fragmentsAsInner(offset),
  rule(innerOctet(offset, FIRST_OCTET), classOfInner(offset, dscp)),
];

/** DF, which the device copies, goes where the inner IPv4 header has none. */
export const fragmentsAsInner = (offset: number, ...first: readonly Clause[]): NftRule =>
  rule(...first, innerMayFragment(offset), clearDontFragment);
