/** Clauses that change a packet or its mark: what is written. */
import { type IpAddress, isIpv4 } from "../../base/ip.js";
import type { Hex } from "./firewall.js";
import {
  type Clause,
  equals,
  hexOf,
  IPV4_CHECKSUM,
  KEY_REGISTER,
  type KeyField,
  load,
  loadKey,
  MAPPED,
  markHex,
  NFPROTO,
  octet,
  REGISTER,
  UDP_CHECKSUM,
  word,
  write,
} from "./nft-clause.js";

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

export function setUdpPort(end: "sport" | "dport", port: number): Clause {
  return {
    text: `udp ${end} set ${port}`,
    expressions: [
      { type: "immediate", register: REGISTER, value: word(port) },
      write("transport", end === "sport" ? 0 : 2, 2),
    ],
  };
}

/** Octets of the transport header become these; no checksum goes along. */
export function setInnerOctets(offset: number, value: Hex): Clause {
  const length = value.length / 2;
  return {
    text: `@th,${8 * offset},${8 * length} set 0x${value}`,
    expressions: [{ type: "immediate", register: REGISTER, value }, write("transport", offset, length)],
  };
}

/** Routers may fragment it: no flag "don't fragment". Not for fragments. */
export const clearDontFragment: Clause = {
  text: "ip frag-off set 0",
  expressions: [{ type: "immediate", register: REGISTER, value: "0000" }, write("network", 6, 2, IPV4_CHECKSUM)],
};

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

/** The outer octet of an IPv4 packet becomes that of the IPv4 header (without options) at this offset of its transport header. */
export function copyInnerClass(offset: number): Clause {
  return {
    text: `@nh,0,16 set @th,${8 * offset},16`,
    expressions: [load("transport", offset, 2), write("network", 0, 2, IPV4_CHECKSUM)],
  };
}

/** The same but for the DSCP, which is this one. */
export function copyInnerEcn(offset: number, dscp: number): Clause {
  const octets = word(dscp << 2);
  return {
    text: `@nh,0,16 set @th,${8 * offset},16 & 0xff03 ^ 0x${octets}`,
    expressions: [
      load("transport", offset, 2),
      { type: "bitwise", source: REGISTER, destination: REGISTER, mask: "ff03", xor: octets },
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

/** Class CS6 (network control, RFC 4594 §3.2), and no flow label. Of an IPv6 packet; no checksum covers it. */
export const setNetworkControl: Clause = {
  text: "@nh,0,32 set 0x6c000000",
  expressions: [{ type: "immediate", register: REGISTER, value: "6c000000" }, write("network", 0, 4)],
};

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

export function clearMarkBit(bit: number): Clause {
  const mask = (~bit >>> 0).toString(16);
  return {
    text: `meta mark set meta mark & 0x${mask}`,
    expressions: [
      { type: "meta", key: "mark", register: REGISTER },
      { type: "bitwise", source: REGISTER, destination: REGISTER, mask: markHex(~bit), xor: "00000000" },
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

/** What the map gives for the key becomes the mark; without an entry the rule does not match. */
export function setMarkFrom(fields: readonly KeyField[], map: string): Clause {
  return {
    text: `meta mark set ${fields.map((field) => field.text).join(" . ")} map @${map}`,
    expressions: [
      ...loadKey(fields),
      { type: "lookup", set: map, register: KEY_REGISTER, destination: REGISTER, negate: false },
      { type: "meta-set", key: "mark", register: REGISTER },
    ],
  };
}

/** What the map gives for the mark becomes the IPv4 destination; no transport checksum follows a tunnel's header. */
export function setIpv4DestinationFromMark(map: string): Clause {
  return {
    text: `ip daddr set meta mark map @${map}`,
    expressions: [
      { type: "meta", key: "mark", register: KEY_REGISTER },
      { type: "lookup", set: map, register: KEY_REGISTER, destination: REGISTER, negate: false },
      write("network", 16, 4, IPV4_CHECKSUM),
    ],
  };
}

/** The mark is taken away: what looks for a way from here on does so without it. */
export const clearMark: Clause = {
  text: "meta mark set 0",
  expressions: [
    { type: "immediate", register: REGISTER, value: "00000000" },
    { type: "meta-set", key: "mark", register: REGISTER },
  ],
};
