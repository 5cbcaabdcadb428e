/**
 * The vocabulary of our nftables rules: each clause is its wording for people and the kernel's expressions, so that a rule's text and
 * its meaning are written in one place. Offsets in octets. Register 1 is for comparisons; 8 and up, of 4 octets, are for set keys.
 */
import { toHex } from "../../base/bytes.js";
import { type IpAddress, ipToBytes, isIpv4, type Prefix } from "../../base/ip.js";
import type { Hex, NftBase, NftExpression, NftLimit, NftRule } from "./firewall.js";
import type { XfrmMark } from "./security.js";

export interface Clause {
  readonly text: string;
  readonly expressions: readonly NftExpression[];
}

const REGISTER = 1;
const KEY_REGISTER = 8;
const NFPROTO = { 4: "02", 6: "0a" } as const;
const PROTOCOL_NAMES: Readonly<Record<number, string>> = { 17: "udp" };

export function rule(...clauses: readonly Clause[]): NftRule {
  return {
    text: clauses.map((clause) => clause.text).join(" "),
    expressions: clauses.flatMap((clause) => clause.expressions),
  };
}

const octet = (value: number): Hex => value.toString(16).padStart(2, "0");
const word = (value: number): Hex => value.toString(16).padStart(4, "0");
const hexOf = (address: IpAddress): Hex => toHex(ipToBytes(address));

const load = (base: NftBase, offset: number, length: number, register = REGISTER): NftExpression => ({
  type: "payload",
  base,
  offset,
  length,
  register,
});
const equals = (value: Hex, register = REGISTER): NftExpression => ({ type: "compare", op: "eq", register, value });

const FIELD = { saddr: { 4: 12, 6: 8 }, daddr: { 4: 16, 6: 24 } } as const;

/** ip saddr / ip6 daddr …, by the address's family. */
export function ipField(field: "saddr" | "daddr", address: IpAddress): Clause {
  const family = isIpv4(address) ? 4 : 6;
  return {
    text: `${family === 4 ? "ip" : "ip6"} ${field} ${address}`,
    expressions: [
      { type: "meta", key: "nfproto", register: REGISTER },
      equals(NFPROTO[family]),
      load("network", FIELD[field][family], family === 4 ? 4 : 16),
      equals(hexOf(address)),
    ],
  };
}

/** All of 240.0.0.0/8. */
export const toInternalAddresses: Clause = {
  text: "ip daddr 240.0.0.0/8",
  expressions: [
    { type: "meta", key: "nfproto", register: REGISTER },
    equals(NFPROTO[4]),
    load("network", 16, 1),
    equals("f0"),
  ],
};

export function l4proto(protocol: number): Clause {
  return {
    text: `meta l4proto ${PROTOCOL_NAMES[protocol] ?? protocol}`,
    expressions: [{ type: "meta", key: "l4proto", register: REGISTER }, equals(octet(protocol))],
  };
}

/** This protocol number or a higher one. */
export function l4protoFrom(protocol: number): Clause {
  return {
    text: `meta l4proto >= ${protocol}`,
    expressions: [
      { type: "meta", key: "l4proto", register: REGISTER },
      { type: "compare", op: "gte", register: REGISTER, value: octet(protocol) },
    ],
  };
}

export function udpPort(end: "sport" | "dport", port: number): Clause {
  const { expressions } = l4proto(17);
  return {
    text: `udp ${end} ${port}`,
    expressions: [...expressions, load("transport", end === "sport" ? 0 : 2, 2), equals(word(port))],
  };
}

/**
 * A Mobility Header of this type (RFC 6275 §6.1.1). The type is read first: nft 1.0 ends with a failed assertion when it lists a rule that
 * reads the transport header of what it has just learned to be a Mobility Header, and with it every listing of the operator's.
 */
export function mobilityHeader(type: number): Clause {
  return typedMobilityHeader(`@th,16,8 ${type}`, equals(octet(type)));
}

/** A Mobility Header of a higher type than this one. */
export function mobilityHeaderAbove(type: number): Clause {
  return typedMobilityHeader(`@th,16,8 > ${type}`, {
    type: "compare",
    op: "gt",
    register: REGISTER,
    value: octet(type),
  });
}

function typedMobilityHeader(text: string, comparison: NftExpression): Clause {
  const isMobility = l4proto(135);
  return {
    text: `${text} ${isMobility.text}`,
    expressions: [load("transport", 2, 1), comparison, ...isMobility.expressions],
  };
}

/** An ICMPv6 message of this type (RFC 4443 §2.1). */
export function icmpv6(type: number): Clause {
  return {
    text: `icmpv6 type ${type}`,
    expressions: [...l4proto(58).expressions, load("transport", 0, 1), equals(octet(type))],
  };
}

/** What IPsec has been taken off, so that it is known who sent it. */
export const isAuthenticated: Clause = {
  text: "meta ipsec exists",
  expressions: [{ type: "meta", key: "secpath", register: REGISTER }, equals("01")],
};

/** What nothing vouches for. */
export const isUnauthenticated: Clause = {
  text: "meta ipsec missing",
  expressions: [{ type: "meta", key: "secpath", register: REGISTER }, equals("00")],
};

/** Devices whose names start with `prefix`. */
export function inputDevices(prefix: string): Clause {
  const value = toHex(Uint8Array.from(prefix, (letter) => letter.charCodeAt(0)));
  return {
    text: `iifname "${prefix}*"`,
    expressions: [{ type: "meta", key: "iifname", register: REGISTER }, equals(value)],
  };
}

/** The device of this name, and no other. */
export function outputDevice(name: string): Clause {
  const octets = Uint8Array.from({ length: 16 }, (_, i) => (i < name.length ? name.charCodeAt(i) : 0));
  return {
    text: `oifname "${name}"`,
    expressions: [{ type: "meta", key: "oifname", register: REGISTER }, equals(toHex(octets))],
  };
}

/** The source becomes this one; the transport checksum goes along. */
export function setSource(address: IpAddress): Clause {
  const four = isIpv4(address);
  return {
    text: `${four ? "ip" : "ip6"} saddr set ${address}`,
    expressions: [
      { type: "immediate", register: REGISTER, value: hexOf(address) },
      { ...(four ? write("network", 12, 4, IPV4_CHECKSUM) : write("network", 8, 16)), pseudoHeader: true },
    ],
  };
}

/** The version nibble of an inner packet at this offset of the transport header. */
export function innerVersion(offset: number, version: 4 | 6): Clause {
  return {
    text: `@th,${8 * offset},4 ${version}`,
    expressions: [
      load("transport", offset, 1),
      { type: "bitwise", source: REGISTER, destination: REGISTER, mask: "f0", xor: "00" },
      equals(version === 4 ? "40" : "60"),
    ],
  };
}

/** Octets of the transport header that begin a link-local IPv6 address, fe80::/10. */
export function innerLinkLocal(offset: number): Clause {
  return {
    text: `@th,${8 * offset},10 0x3fa`,
    expressions: [
      load("transport", offset, 2),
      { type: "bitwise", source: REGISTER, destination: REGISTER, mask: "ffc0", xor: "0000" },
      equals("fe80"),
    ],
  };
}

/** The first 96 bits of an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2). */
const MAPPED: Hex = "00000000000000000000ffff";

/**
 * An IPv4-mapped address as IPv6 source, which no packet on a wire may have. Two octets are looked at first: that is enough for nearly
 * every packet, and the kernel's fast path.
 */
export const fromMapped: Clause = {
  text: `meta nfproto ipv6 @nh,144,16 0xffff @nh,64,96 0x${MAPPED}`,
  expressions: [
    { type: "meta", key: "nfproto", register: REGISTER },
    equals(NFPROTO[6]),
    load("network", 18, 2),
    equals("ffff"),
    load("network", 8, 12),
    equals(MAPPED),
  ],
};

/** Octets of the transport header that begin an IPv4-mapped address. */
export function innerMapped(offset: number): Clause {
  return {
    text: `@th,${8 * offset},96 0x${MAPPED}`,
    expressions: [load("transport", offset, 12), equals(MAPPED)],
  };
}

/** Octets of the transport header that equal an address. */
export function innerAddress(offset: number, address: IpAddress): Clause {
  const length = isIpv4(address) ? 4 : 16;
  return {
    text: `@th,${8 * offset},${8 * length} 0x${hexOf(address)}`,
    expressions: [load("transport", offset, length), equals(hexOf(address))],
  };
}

/** Octets of the transport header that are an address in this prefix. */
export function innerAddressIn(offset: number, { address, length: bits }: Prefix): Clause {
  const { text, length, mask = "" } = innerPrefix(offset, isIpv4(address) ? 4 : 6, bits);
  return {
    text: `${text} == 0x${hexOf(address)}`,
    expressions: [
      load("transport", offset, length),
      { type: "bitwise", source: REGISTER, destination: REGISTER, mask, xor: "00".repeat(length) },
      equals(hexOf(address)),
    ],
  };
}

/** One octet of the transport header. */
export function innerOctet(offset: number, value: number): Clause {
  return { text: `@th,${8 * offset},8 ${value}`, expressions: [load("transport", offset, 1), equals(octet(value))] };
}

/** One octet of the transport header in a constant set. */
export function innerOctetIn(offset: number, set: string): Clause {
  return {
    text: `@th,${8 * offset},8 @${set}`,
    expressions: [load("transport", offset, 1), { type: "lookup", set, register: REGISTER, negate: false }],
  };
}

/**
 * The transport header can be read: true for all but the later fragments of an IPv6 packet. Three octets on purpose: the kernel's fast
 * path for 1, 2 and 4 octets does not know of fragments and reads what stands there instead.
 */
export const hasTransportHeader: Clause = {
  text: "@th,0,24 >= 0",
  expressions: [load("transport", 0, 3), { type: "compare", op: "gte", register: REGISTER, value: "000000" }],
};

/** One field of a set's key. */
export interface KeyField {
  readonly text: string;
  readonly base: NftBase;
  readonly offset: number;
  readonly length: number;
  /** The bits that count; absent: all. */
  readonly mask?: Hex;
}

export const KEY = {
  ip4Source: { text: "ip saddr", base: "network", offset: 12, length: 4 },
  /** The first half of the IPv4 source: the network it comes from, roughly. */
  ip4SourceNetwork: { text: "@nh,96,16", base: "network", offset: 12, length: 2 },
  ip4Destination: { text: "ip daddr", base: "network", offset: 16, length: 4 },
  /** The first quarter of the IPv6 source: a provider's network, roughly. */
  ip6SourceNetwork: { text: "@nh,64,32", base: "network", offset: 8, length: 4 },
  ip6Source: { text: "ip6 saddr", base: "network", offset: 8, length: 16 },
  udpSource: { text: "udp sport", base: "transport", offset: 0, length: 2 },
} as const satisfies Record<string, KeyField>;

export function innerField(offset: number, length: number): KeyField {
  return { text: `@th,${8 * offset},${8 * length}`, base: "transport", offset, length };
}

/** The first `bits` of an inner address at this offset of the transport header, the others cleared. */
export function innerPrefix(offset: number, version: 4 | 6, bits: number): KeyField {
  const length = version === 4 ? 4 : 16;
  const mask = toHex(Uint8Array.from({ length }, (_, i) => (0xff00 >> Math.min(8, Math.max(0, bits - 8 * i))) & 0xff));
  const whole = innerField(offset, length);
  return { ...whole, text: `${whole.text} & 0x${mask}`, mask };
}

/** The fields one after the other, each padded to 4 octets, are in the set. */
export function keyIn(fields: readonly KeyField[], set: string): Clause {
  return {
    text: `${fields.map((field) => field.text).join(" . ")} @${set}`,
    expressions: [...loadKey(fields), { type: "lookup", set, register: KEY_REGISTER, negate: false }],
  };
}

/** A token bucket of its own for each key: what is beyond it matches. */
export function beyond(fields: readonly KeyField[], set: string, bucket: Bucket): Clause {
  return {
    text: `update @${set} { ${fields.map((field) => field.text).join(" . ")} limit rate over ${bucketText(bucket)} }`,
    expressions: [...loadKey(fields), { type: "meter", set, register: KEY_REGISTER, ...bucket, over: true }],
  };
}

/** The key is in the set from now on, for as long as the set keeps it. */
export function remember(fields: readonly KeyField[], set: string): Clause {
  return {
    text: `update @${set} { ${fields.map((field) => field.text).join(" . ")} }`,
    expressions: [...loadKey(fields), { type: "remember", set, register: KEY_REGISTER }],
  };
}

/** One token bucket for all that comes to this rule: what is within matches. */
export function within(bucket: Bucket): Clause {
  return { text: `limit rate ${bucketText(bucket)}`, expressions: [{ type: "limit", ...bucket, over: false }] };
}

/** Packets. */
export type Bucket = Omit<NftLimit, "over">;
const bucketText = ({ perSecond, burst }: Bucket): string => `${perSecond}/second burst ${burst} packets`;

function loadKey(fields: readonly KeyField[]): NftExpression[] {
  let register = KEY_REGISTER;
  return fields.flatMap(({ base, offset, length, mask }): NftExpression[] => {
    const at = register;
    register += Math.ceil(length / 4);
    const loaded = load(base, offset, length, at);
    if (mask === undefined) return [loaded];
    return [loaded, { type: "bitwise", source: at, destination: at, mask, xor: "00".repeat(length) }];
  });
}

/** Writes what the map gives for the key into the UDP destination port. The checksum must be cleared after it. */
export function setDestinationPortFrom(fields: readonly KeyField[], map: string): Clause {
  return {
    text: `udp dport set ${fields.map((field) => field.text).join(" . ")} map @${map}`,
    expressions: [
      ...loadKey(fields),
      { type: "lookup", set: map, register: KEY_REGISTER, destination: REGISTER, negate: false },
      write("transport", 2, 2),
    ],
  };
}

const UDP_CHECKSUM = 6;

/** The same with the checksum corrected, which UDP over IPv6 needs. */
export function correctDestinationPortFrom(fields: readonly KeyField[], map: string): Clause {
  const { text, expressions } = setDestinationPortFrom(fields, map);
  return { text, expressions: [...expressions.slice(0, -1), write("transport", 2, 2, UDP_CHECKSUM)] };
}

/** Writes what the map gives for the key into the IPv6 destination address; the transport checksum goes along. */
export function setIpv6DestinationFrom(fields: readonly KeyField[], map: string): Clause {
  return {
    text: `ip6 daddr set ${fields.map((field) => field.text).join(" . ")} map @${map}`,
    expressions: [
      ...loadKey(fields),
      { type: "lookup", set: map, register: KEY_REGISTER, destination: REGISTER, negate: false },
      { ...write("network", 24, 16), pseudoHeader: true },
    ],
  };
}

function write(
  base: NftBase,
  offset: number,
  length: number,
  checksumOffset?: number,
): NftExpression & { readonly type: "payload-set" } {
  const checksum = checksumOffset === undefined ? "none" : "inet";
  return {
    type: "payload-set",
    base,
    offset,
    length,
    register: REGISTER,
    checksum,
    checksumOffset: checksumOffset ?? 0,
    pseudoHeader: false,
  };
}

/**
 * The IPv4-mapped address at this offset of the transport header becomes the 6to4 address that holds the IPv4 address twice
 * (base/mapped.ts, provenAddress).
 */
export function innerMappedTo6to4(offset: number): Clause {
  const bit = 8 * offset;
  return {
    text: `@th,${bit + 16},32 set @th,${bit + 96},32 @th,${bit},16 set 0x2002 @th,${bit + 48},48 set 0`,
    expressions: [
      load("transport", offset + 12, 4),
      write("transport", offset + 2, 4),
      { type: "immediate", register: REGISTER, value: "2002" },
      write("transport", offset, 2),
      { type: "immediate", register: REGISTER, value: "000000000000" },
      write("transport", offset + 6, 6),
    ],
  };
}

/** The first 96 bits of an address at this offset of the transport header become those of an IPv4-mapped one. */
export function setInnerMapped(offset: number): Clause {
  return {
    text: `@th,${8 * offset},96 set 0x${MAPPED}`,
    expressions: [{ type: "immediate", register: REGISTER, value: MAPPED }, write("transport", offset, 12)],
  };
}

/** The first 16 bits of 6to4 addresses (RFC 3056 §2), and those that stand for them inside this machine: 0100::/8 is nobody's (RFC 4291). */
const SIX_TO_FOUR: Hex = "2002";
const STAND_IN: Hex = "0141";

/** An inner packet, at this offset of the transport header, to a 6to4 address: its destination gets other first bits. */
export function hideInner6to4(offset: number): Clause {
  const at = offset + 24;
  const field = `@th,${8 * at},16`;
  return {
    text: `${field} 0x${SIX_TO_FOUR} ${field} set 0x${STAND_IN}`,
    expressions: [
      load("transport", at, 2),
      equals(SIX_TO_FOUR),
      { type: "immediate", register: REGISTER, value: STAND_IN },
      write("transport", at, 2),
    ],
  };
}

/** Gives what `hideInner6to4` has changed its own first bits back, once it is out of the tunnel. */
export function show6to4(...where: readonly Clause[]): Clause {
  const field = "@nh,192,16";
  return {
    text: [
      `meta nfproto ipv6 ${field} 0x${STAND_IN}`,
      ...where.map(({ text }) => text),
      `${field} set 0x${SIX_TO_FOUR}`,
    ].join(" "),
    expressions: [
      { type: "meta", key: "nfproto", register: REGISTER },
      equals(NFPROTO[6]),
      load("network", 24, 2),
      equals(STAND_IN),
      ...where.flatMap(({ expressions }) => expressions),
      { type: "immediate", register: REGISTER, value: SIX_TO_FOUR },
      write("network", 24, 2),
    ],
  };
}

/** An IPv6 source in 2002::/16 (RFC 3056). */
export const from6to4: Clause = {
  text: "@nh,64,16 0x2002",
  expressions: [load("network", 8, 2), equals("2002")],
};

export function setUdpPort(end: "sport" | "dport", port: number): Clause {
  return {
    text: `udp ${end} set ${port}`,
    expressions: [
      { type: "immediate", register: REGISTER, value: word(port) },
      write("transport", end === "sport" ? 0 : 2, 2),
    ],
  };
}

/** The same with the checksum corrected, which UDP over IPv6 needs. */
export function correctUdpPort(end: "sport" | "dport", port: number): Clause {
  const { text, expressions } = setUdpPort(end, port);
  return {
    text,
    expressions: [...expressions.slice(0, -1), write("transport", end === "sport" ? 0 : 2, 2, UDP_CHECKSUM)],
  };
}

/** No checksum at all, which UDP over IPv4 allows: a corrected one of zero would be a wrong one. */
export const clearUdpChecksum: Clause = {
  text: "udp checksum set 0",
  expressions: [{ type: "immediate", register: REGISTER, value: "0000" }, write("transport", 6, 2)],
};

const IPV4_CHECKSUM = 10;

export function setIpv4Source(address: IpAddress): Clause {
  return {
    text: `ip saddr set ${address}`,
    expressions: [
      { type: "immediate", register: REGISTER, value: hexOf(address) },
      write("network", 12, 4, IPV4_CHECKSUM),
    ],
  };
}

/** TTL and protocol share a 16-bit word of the header checksum. */
export function setIpv4Ttl(ttl: number): Clause {
  return {
    text: `ip ttl set ${ttl}`,
    expressions: [
      load("network", 8, 2),
      { type: "bitwise", source: REGISTER, destination: REGISTER, mask: "00ff", xor: `${octet(ttl)}00` },
      write("network", 8, 2, IPV4_CHECKSUM),
    ],
  };
}

export function ttlIsNot(version: 4 | 6, ttl: number): Clause {
  return {
    text: version === 4 ? `ip ttl != ${ttl}` : `ip6 hoplimit != ${ttl}`,
    expressions: [
      load("network", version === 4 ? 8 : 7, 1),
      { type: "compare", op: "neq", register: REGISTER, value: octet(ttl) },
    ],
  };
}

/** The upper six bits of the second octet; ECN stays. */
export function setIpv4Dscp(dscp: number): Clause {
  return {
    text: `ip dscp set ${dscp}`,
    expressions: [
      load("network", 0, 2),
      { type: "bitwise", source: REGISTER, destination: REGISTER, mask: "ff03", xor: word(dscp << 2) },
      write("network", 0, 2, IPV4_CHECKSUM),
    ],
  };
}

export function setIpv6Dscp(dscp: number): Clause {
  return {
    text: `ip6 dscp set ${dscp}`,
    expressions: [
      load("network", 0, 2),
      { type: "bitwise", source: REGISTER, destination: REGISTER, mask: "f03f", xor: word(dscp << 6) },
      write("network", 0, 2),
    ],
  };
}

export function setIpv6HopLimit(limit: number): Clause {
  return {
    text: `ip6 hoplimit set ${limit}`,
    expressions: [{ type: "immediate", register: REGISTER, value: octet(limit) }, write("network", 7, 1)],
  };
}

export function family(version: 4 | 6): Clause {
  return {
    text: `meta nfproto ipv${version}`,
    expressions: [{ type: "meta", key: "nfproto", register: REGISTER }, equals(NFPROTO[version])],
  };
}

/** A mark stands in a register in the machine's order; all machines we run on are little-endian. */
const markHex = (value: number): Hex =>
  toHex(Uint8Array.of(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24));

export function markIs({ value, mask }: XfrmMark): Clause {
  return {
    text: `meta mark & 0x${mask.toString(16)} == 0x${value.toString(16)}`,
    expressions: [
      { type: "meta", key: "mark", register: REGISTER },
      { type: "bitwise", source: REGISTER, destination: REGISTER, mask: markHex(mask), xor: "00000000" },
      equals(markHex(value)),
    ],
  };
}

export function setMarkBit(bit: number): Clause {
  return {
    text: `meta mark set meta mark | 0x${bit.toString(16)}`,
    expressions: [
      { type: "meta", key: "mark", register: REGISTER },
      { type: "bitwise", source: REGISTER, destination: REGISTER, mask: markHex(~bit), xor: markHex(bit) },
      { type: "meta-set", key: "mark", register: REGISTER },
    ],
  };
}

/** The outer traffic class becomes the inner one's; four bits of the flow label go with it. The IPv6 header has no checksum. */
export const copyClassFromIpv6: Clause = {
  text: "@nh,0,16 set @th,0,16 & 0x0ff0 ^ 0x6000",
  expressions: [
    load("transport", 0, 2),
    { type: "bitwise", source: REGISTER, destination: REGISTER, mask: "0ff0", xor: "6000" },
    write("network", 0, 2),
  ],
};

/** The same from an inner IPv4 header, whose octet stands four bits further on: a map of all 256. */
export function copyClassFromIpv4(map: string): Clause {
  return {
    text: `@nh,0,16 set @th,0,16 & 0x00ff map @${map}`,
    expressions: [
      load("transport", 0, 2, KEY_REGISTER),
      { type: "bitwise", source: KEY_REGISTER, destination: KEY_REGISTER, mask: "00ff", xor: "0000" },
      { type: "lookup", set: map, register: KEY_REGISTER, destination: REGISTER, negate: false },
      write("network", 0, 2),
    ],
  };
}

export const notrack: Clause = { text: "notrack", expressions: [{ type: "notrack" }] };
export const accept: Clause = { text: "accept", expressions: [{ type: "verdict", verdict: "accept" }] };
export const drop: Clause = { text: "drop", expressions: [{ type: "verdict", verdict: "drop" }] };
export const jump = (chain: string): Clause => ({
  text: `jump ${chain}`,
  expressions: [{ type: "verdict", verdict: "jump", chain }],
});
export const count = (counter: string): Clause => ({
  text: `counter name ${counter}`,
  expressions: [{ type: "count", counter }],
});

/** It is taken as sent to this machine, whatever the link layer said: only that is forwarded. */
export const packetToHost: Clause = {
  text: "meta pkttype set host",
  expressions: [
    { type: "immediate", register: REGISTER, value: "00" },
    { type: "meta-set", key: "pkttype", register: REGISTER },
  ],
};

/** The first four octets of the Ethernet source become the mark. */
export const markFromTag: Clause = {
  text: "meta mark set @ll,48,32",
  expressions: [load("link", 6, 4), { type: "meta-set", key: "mark", register: REGISTER }],
};

/** What the map gives for the last two octets of the Ethernet source becomes the destination; the transport checksum stays as it was. */
export function setDestinationFromTag(version: 4 | 6, map: string): Clause {
  return {
    text: `${version === 4 ? "ip" : "ip6"} daddr set @ll,80,16 map @${map}`,
    expressions: [
      load("link", 10, 2, KEY_REGISTER),
      { type: "lookup", set: map, register: KEY_REGISTER, destination: REGISTER, negate: false },
      version === 4 ? write("network", 16, 4, IPV4_CHECKSUM) : write("network", 24, 16),
    ],
  };
}

/** The destination becomes this one; the transport checksum goes along. */
export function setDestination(address: IpAddress): Clause {
  const four = isIpv4(address);
  return {
    text: `${four ? "ip" : "ip6"} daddr set ${address}`,
    expressions: [
      { type: "immediate", register: REGISTER, value: hexOf(address) },
      { ...(four ? write("network", 16, 4, IPV4_CHECKSUM) : write("network", 24, 16)), pseudoHeader: true },
    ],
  };
}

/** A packet on its last hop gets one more. */
export function singleHop(version: 4 | 6): Clause {
  const [name, offset] = version === 4 ? (["ttl", 8] as const) : (["hoplimit", 7] as const);
  const set = version === 4 ? setIpv4Ttl(2) : setIpv6HopLimit(2);
  return {
    text: `${version === 4 ? "ip" : "ip6"} ${name} 1 ${set.text}`,
    expressions: [load("network", offset, 1), equals("01"), ...set.expressions],
  };
}

/** An inner packet from a link-local address to a group, with hop-by-hop options: MLD (RFC 3810 §5). */
export function innerMulticastListener(offset: number): Clause {
  const parts = [innerLinkLocal(offset + 8), innerOctet(offset + 24, 0xff), innerOctet(offset + 6, 0)];
  return {
    text: parts.map(({ text }) => text).join(" "),
    expressions: parts.flatMap(({ expressions }) => expressions),
  };
}

/** What the map gives for the key becomes the first word of an inner IPv6 header: version, traffic class, flow label. No checksum covers it. */
export function setInnerFlow(offset: number, fields: readonly KeyField[], map: string): Clause {
  return {
    text: `@th,${8 * offset},32 set ${fields.map((field) => field.text).join(" . ")} map @${map}`,
    expressions: [
      ...loadKey(fields),
      { type: "lookup", set: map, register: KEY_REGISTER, destination: REGISTER, negate: false },
      write("transport", offset, 4),
    ],
  };
}

/**
 * What the map gives for the mark becomes the destination of an inner packet at this offset of the outer header, and the mark is taken away.
 * Of the outer header, because the kernel corrects no checksum behind a transport header whose own is still to be made.
 */
export function setInnerGroup(version: 4 | 6, offset: number, map: string): Clause {
  const [at, length] = version === 4 ? [offset + 16, 4] : [offset + 24, 16];
  return {
    text: `@nh,${8 * at},${8 * length} set meta mark map @${map} meta mark set 0`,
    expressions: [
      { type: "meta", key: "mark", register: KEY_REGISTER },
      { type: "lookup", set: map, register: KEY_REGISTER, destination: REGISTER, negate: false },
      version === 4 ? write("network", at, length, offset + IPV4_CHECKSUM) : write("network", at, length),
      { type: "immediate", register: REGISTER, value: "00000000" },
      { type: "meta-set", key: "mark", register: REGISTER },
    ],
  };
}
