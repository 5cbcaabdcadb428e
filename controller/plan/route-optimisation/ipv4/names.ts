/**
 * Names and numbers of what goes directly with IPv4 on either side of it (draft-oulai-mext-dsmip-ro-00): the same at a correspondent and
 * at a mobile node, for each leads payload into a tunnel by its own address, and takes off what the sets know.
 */
import { type IpAddress, type Ipv4Address, ipv4 } from "../../../base/ip.js";
import type { NftSet } from "../../objects/firewall.js";
import { fnv1a } from "../../objects/hash.js";

/** What comes out of a device of this prefix has come directly. At most 15 octets with the digits of an address. */
export const DIRECT_PREFIX = "dsmip-d";
/** Mode 1, both directions: an ip6tnl without ends, of which a network namespace has one. */
export const HEADERS_DEVICE = `${DIRECT_PREFIX}6`;
/** What stands on a device of this prefix is a Home Test for an IPv4 home address; one for each home address. */
export const HOME_TEST_PREFIX = "dsmip-ht";

const digits = (value: number): string => (value & 0xfffffff).toString(16).padStart(7, "0");
const hashOf = (text: string): number => fnv1a([...text].map((letter) => letter.codePointAt(0) ?? 0));

/** Where IPv4 comes out at a correspondent: protocols 41 and 4, and what the FOU port hands on. */
export const receivingDevice = (self: Ipv4Address): string => `${DIRECT_PREFIX}r${digits(hashOf(self))}`;
/** Sends in protocols 41 and 4, or in UDP. `end`: the correspondent's address, or the care-of address and its device. */
export const sendingDevice = (format: "ipv4" | "udp", end: string): string =>
  `${DIRECT_PREFIX}${format === "ipv4" ? "p" : "u"}${digits(hashOf(end))}`;

/**
 * From where a correspondent's devices send, for two of one address are refused; the firewall writes the address itself over it. Out of
 * 240.0.0.0/8, on no wire.
 */
export function internalSource(format: "ipv4" | "udp", self: Ipv4Address): Ipv4Address {
  const hash = hashOf(self);
  return ipv4(`240.${format === "ipv4" ? 44 : 94}.${(hash >>> 8) & 0xff}.${hash & 0xff}`);
}

/** Tables of addresses of ours that send directly, one each, out of 2^24 from here on. */
const DIRECT_TABLE_BASE = 0x43000000;
/** Host routes to whom this address of ours reaches directly. */
export const directTable = (own: IpAddress): number => DIRECT_TABLE_BASE + (hashOf(own) & 0xffffff);

/** On what has come in and is known by its outer and inner addresses. What comes out of a device of ours without it is dropped. */
export const KNOWN_MARK_BIT = 0x01000000;

/**
 * At a correspondent on what a node that it reaches directly still sends by way of its home agent, so that a strict rp_filter asks for the
 * way that the node would have without a direct one (src_valid_mark).
 */
export const ROUNDABOUT_MARK_BIT = 0x00800000;
/** Of IPv4 payload: the other end's address and ours. */
export const PEERS_SET: NftSet = { name: "direct-peers", key: ["ipv4_addr", "ipv4_addr"] };

/**
 * What of payload is taken off, by outer and inner addresses in one entry, the other end's first; over IPv6 the outer address is the one in
 * the IPv6 header, and beside it stands the one in the Home Address option or the routing header.
 */
export const DIRECT_SETS = {
  udp6: { name: "direct-udp-6", key: ["ipv4_addr", "inet_service", "ipv4_addr", "ipv6_addr", "ipv6_addr"] },
  udp4: { name: "direct-udp-4", key: ["ipv4_addr", "inet_service", "ipv4_addr", "ipv4_addr", "ipv4_addr"] },
  ipv4_6: { name: "direct-ipv4-6", key: ["ipv4_addr", "ipv4_addr", "ipv6_addr", "ipv6_addr"] },
  ipv4_4: { name: "direct-ipv4-4", key: ["ipv4_addr", "ipv4_addr", "ipv4_addr", "ipv4_addr"] },
  headers4: { name: "direct-headers-4", key: ["ipv6_addr", "ipv6_addr", "ipv4_addr", "ipv4_addr"] },
  /** Pairs, our address first, whose outer traffic class in mode 1 is the inner one. */
  copied: { name: "direct-copied", key: ["ipv6_addr", "ipv6_addr"] },
} as const satisfies Record<string, NftSet>;

/** At a correspondent: the port behind a NAT, by its own address, the outer destination and the inner one. */
export const PORT_MAPS = {
  port6: { name: "direct-port-6", key: ["ipv4_addr", "ipv4_addr", "ipv6_addr"], value: "inet_service" },
  port4: { name: "direct-port-4", key: ["ipv4_addr", "ipv4_addr", "ipv4_addr"], value: "inet_service" },
} as const satisfies Record<string, NftSet>;
