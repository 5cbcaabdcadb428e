/**
 * What both ends of Mobile IPv4's tunnels have in common. A tunnel data header (RFC 3519 §3.3: type 4, next header, 16 zero bits) is a GUE
 * header of variant 0 but for its first octet, so the kernel's GUE does the work, at a port of our own choice; rules write that octet.
 */
import type { NftRule } from "../objects/firewall.js";
import { type Clause, rule } from "../objects/nft-clause.js";
import { innerOctet, innerOctets, udpPort } from "../objects/nft-matches.js";
import { count, drop } from "../objects/nft-verdicts.js";
import { clearUdpChecksum, setInnerOctets, setUdpPort } from "../objects/nft-writes.js";
import { UDP_HEADER } from "../site.js";

/** RFC 5944 §3: registrations, and beside them tunnel data. */
export const REGISTRATION_PORT = 434;
/** Where the kernel takes UDP and GUE header off; nothing has it on a wire, and what comes to it is dropped. */
export const GUE_PORT = 4193;

/** UDP and tunnel data header. */
export const UDP_TUNNEL_HEADER = UDP_HEADER + 4;
/** Without key, checksum and sequence number (RFC 2784 §2). */
export const GRE_HEADER = 4;

export const PROTOCOL = { ipv4: 4, ipv6: 41, gre: 47 } as const;
export type TunnelPayload = 4 | 41;

const TYPE = UDP_HEADER;
const NEXT_HEADER = UDP_HEADER + 1;
const RESERVED = UDP_HEADER + 2;
const TUNNEL_DATA = 4;

export const isTunnelData: Clause = innerOctet(TYPE, TUNNEL_DATA);
/** What a device with GUE has sent, and no tunnel data yet. */
export const isGue: Clause = innerOctet(TYPE, 0);
export const carries = (payload: TunnelPayload): Clause => innerOctet(NEXT_HEADER, payload);

/** To the kernel's GUE. The reserved bits are ignored (RFC 3519 §3.3), but mean something in GUE. */
export const toGue: readonly Clause[] = [
  setInnerOctets(TYPE, "00"),
  setInnerOctets(RESERVED, "0000"),
  setUdpPort("dport", GUE_PORT),
  clearUdpChecksum,
];
/** From the kernel's GUE. */
export const toTunnelData: readonly Clause[] = [setInnerOctets(TYPE, "04"), clearUdpChecksum];

/** What has our GUE port when it comes to the input hook was not sent there by a rule. */
export const closedGuePort: NftRule = rule(udpPort("dport", GUE_PORT), count("tunnel-port"), drop);

/** The first 32 bits of a GRE header: flags and version are zero, then what is inside (RFC 2784 §2.4, RFC 5454 for IPv6). */
export const greCarries = (version: 4 | 6): Clause => innerOctets(0, version === 4 ? "00000800" : "000086dd");

/** What a registration message says first (RFC 5944 §3.3, §3.4). */
export const REGISTRATION = {
  request: innerOctet(TYPE, 1),
  reply: innerOctet(TYPE, 3),
  codeAt: TYPE + 1,
  homeAddressAt: TYPE + 4,
} as const;

/** Set by rules for rules: on what has come in as GRE of a registered node, and to have the way of an answer looked up again. */
export const MIP4_MARK_BIT = 0x01000000;

/** Device that takes GRE off and, with routes that say where to, puts it on: the kernel has one without ends for a namespace. */
export const GRE_DEVICE = "dsmip-in-gre";

/** A tunnel whose payload may be a tunnel once more (IPv6 to the IPv4 home address) takes 1300 octets: then IPv6 has its 1280 (RFC 8200 §5). */
export const LEAST_MTU = { ipv4: 1300, ipv6: 1280 } as const;
export const INNER_IPV4_HEADER = 20;
