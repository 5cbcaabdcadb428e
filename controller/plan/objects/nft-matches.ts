/** Clauses that look at a packet: what is loaded and compared, or looked up. */
import { toHex } from "../../base/bytes.js";
import { type IpAddress, isIpv4, maskAddress, type Prefix } from "../../base/ip.js";
import type { Hex, NftExpression } from "./firewall.js";
import {
  type Clause,
  equals,
  hexOf,
  innerPrefix,
  KEY_REGISTER,
  type KeyField,
  load,
  loadKey,
  MAPPED,
  markHex,
  NFPROTO,
  octet,
  REGISTER,
  word,
} from "./nft-clause.js";
import type { XfrmMark } from "./security.js";

const PROTOCOL_NAMES: Readonly<Record<number, string>> = { 17: "udp" };

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

/** A type 2 routing header right behind the IPv6 header, where the kernel writes it (RFC 6275 §6.4). */
export const type2RoutingHeader: Clause = {
  text: "meta nfproto ipv6 @nh,48,8 43 @nh,336,8 2",
  expressions: [
    { type: "meta", key: "nfproto", register: REGISTER },
    equals(NFPROTO[6]),
    load("network", 6, 1),
    equals("2b"),
    load("network", 42, 1),
    equals("02"),
  ],
};

/** A Home Address option where the kernel writes it: in destination options right behind the IPv6 header (RFC 6275 §6.3). */
export const homeAddressOption: Clause = {
  text: "meta nfproto ipv6 @nh,48,8 60 @nh,368,16 0xc910",
  expressions: [
    { type: "meta", key: "nfproto", register: REGISTER },
    equals(NFPROTO[6]),
    load("network", 6, 1),
    equals("3c"),
    load("network", 46, 2),
    equals("c910"),
  ],
};

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

const deviceOctets = (name: string): string =>
  toHex(Uint8Array.from({ length: 16 }, (_, i) => (i < name.length ? name.charCodeAt(i) : 0)));

/** The device of this name, and no other. */
export function inputDevice(name: string): Clause {
  return {
    text: `iifname "${name}"`,
    expressions: [{ type: "meta", key: "iifname", register: REGISTER }, equals(deviceOctets(name))],
  };
}

/** The device of this name, and no other. */
export function outputDevice(name: string): Clause {
  return {
    text: `oifname "${name}"`,
    expressions: [{ type: "meta", key: "oifname", register: REGISTER }, equals(deviceOctets(name))],
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

/** An octet of the transport header that is larger than this. */
export function innerOctetAbove(offset: number, value: number): Clause {
  return {
    text: `@th,${8 * offset},8 > ${value}`,
    expressions: [load("transport", offset, 1), { type: "compare", op: "gt", register: REGISTER, value: octet(value) }],
  };
}

/** These octets of the transport header, as hexadecimal. */
export function innerOctets(offset: number, value: Hex): Clause {
  const length = value.length / 2;
  return {
    text: `@th,${8 * offset},${8 * length} 0x${value}`,
    expressions: [load("transport", offset, length), equals(value)],
  };
}

/** An inner IPv4 header at this offset of the transport header without the flag "don't fragment". */
export function innerMayFragment(offset: number): Clause {
  return {
    text: `@th,${8 * (offset + 6)},16 & 0x4000 == 0x0000`,
    expressions: [
      load("transport", offset + 6, 2),
      { type: "bitwise", source: REGISTER, destination: REGISTER, mask: "4000", xor: "0000" },
      equals("0000"),
    ],
  };
}

/** The DSCP of an IPv4 packet. */
export function ipv4Dscp(dscp: number): Clause {
  return {
    text: `ip dscp ${dscp}`,
    expressions: [
      load("network", 1, 1),
      { type: "bitwise", source: REGISTER, destination: REGISTER, mask: "fc", xor: "00" },
      equals(octet(dscp << 2)),
    ],
  };
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

/** The fields one after the other, each padded to 4 octets, are in the set. */
export function keyIn(fields: readonly KeyField[], set: string): Clause {
  return {
    text: `${fields.map((field) => field.text).join(" . ")} @${set}`,
    expressions: [...loadKey(fields), { type: "lookup", set, register: KEY_REGISTER, negate: false }],
  };
}

/** An IPv6 source in 2002::/16 (RFC 3056). */
export const from6to4: Clause = {
  text: "@nh,64,16 0x2002",
  expressions: [load("network", 8, 2), equals("2002")],
};

export function ttlIsNot(version: 4 | 6, ttl: number): Clause {
  return {
    text: version === 4 ? `ip ttl != ${ttl}` : `ip6 hoplimit != ${ttl}`,
    expressions: [
      load("network", version === 4 ? 8 : 7, 1),
      { type: "compare", op: "neq", register: REGISTER, value: octet(ttl) },
    ],
  };
}

export function family(version: 4 | 6): Clause {
  return {
    text: `meta nfproto ipv${version}`,
    expressions: [{ type: "meta", key: "nfproto", register: REGISTER }, equals(NFPROTO[version])],
  };
}

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

/** An inner packet from a link-local address to a group, with hop-by-hop options: MLD (RFC 3810 §5). */
export function innerMulticastListener(offset: number): Clause {
  const parts = [innerLinkLocal(offset + 8), innerOctet(offset + 24, 0xff), innerOctet(offset + 6, 0)];
  return {
    text: parts.map(({ text }) => text).join(" "),
    expressions: parts.flatMap(({ expressions }) => expressions),
  };
}

/** The source is in this network of the link. */
export function sourceIn({ address, length: bits }: Prefix): Clause {
  const length = isIpv4(address) ? 4 : 16;
  const mask = toHex(Uint8Array.from({ length }, (_, i) => (0xff00 >> Math.min(8, Math.max(0, bits - 8 * i))) & 0xff));
  return {
    text: `${isIpv4(address) ? "ip" : "ip6"} saddr ${maskAddress(address, bits)}/${bits}`,
    expressions: [
      load("network", isIpv4(address) ? 12 : 8, length),
      { type: "bitwise", source: REGISTER, destination: REGISTER, mask, xor: "00".repeat(length) },
      equals(hexOf(maskAddress(address, bits))),
    ],
  };
}

/** Groups, and the limited broadcast: 224.0.0.0/3. */
export const toManyIpv4: Clause = {
  text: "ip daddr 224.0.0.0/3",
  expressions: [
    load("network", 16, 1),
    { type: "bitwise", source: REGISTER, destination: REGISTER, mask: "e0", xor: "00" },
    equals("e0"),
  ],
};
