/**
 * What the clauses of our nftables rules are made of: each clause is its wording for people and the kernel's expressions, so that a rule's
 * text and its meaning are written in one place. Offsets in octets. Register 1 is for comparisons; 8 and up, of 4 octets, are for set keys.
 */
import { toHex } from "../../base/bytes.js";
import { type IpAddress, ipToBytes } from "../../base/ip.js";
import type { Hex, NftBase, NftExpression, NftRule } from "./firewall.js";

export interface Clause {
  readonly text: string;
  readonly expressions: readonly NftExpression[];
}

export const REGISTER = 1;

export const KEY_REGISTER = 8;

export const NFPROTO = { 4: "02", 6: "0a" } as const;

export function rule(...clauses: readonly Clause[]): NftRule {
  return {
    text: clauses.map((clause) => clause.text).join(" "),
    expressions: clauses.flatMap((clause) => clause.expressions),
  };
}

export const octet = (value: number): Hex => value.toString(16).padStart(2, "0");

export const word = (value: number): Hex => value.toString(16).padStart(4, "0");

export const hexOf = (address: IpAddress): Hex => toHex(ipToBytes(address));

export const load = (base: NftBase, offset: number, length: number, register = REGISTER): NftExpression => ({
  type: "payload",
  base,
  offset,
  length,
  register,
});

export const equals = (value: Hex, register = REGISTER): NftExpression => ({
  type: "compare",
  op: "eq",
  register,
  value,
});

/** The first 96 bits of an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2). */
export const MAPPED: Hex = "00000000000000000000ffff";

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
  ip6Destination: { text: "ip6 daddr", base: "network", offset: 24, length: 16 },
  /** The address in a Home Address option or type 2 routing header that stands where the kernel writes it, right behind the IPv6 header. */
  ip6Named: { text: "@nh,384,128", base: "network", offset: 48, length: 16 },
  etherSource: { text: "ether saddr", base: "link", offset: 6, length: 6 },
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

export function loadKey(fields: readonly KeyField[]): NftExpression[] {
  let register = KEY_REGISTER;
  return fields.flatMap(({ base, offset, length, mask }): NftExpression[] => {
    const at = register;
    register += Math.ceil(length / 4);
    const loaded = load(base, offset, length, at);
    if (mask === undefined) return [loaded];
    return [loaded, { type: "bitwise", source: at, destination: at, mask, xor: "00".repeat(length) }];
  });
}

export const UDP_CHECKSUM = 6;

export function write(
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

export const IPV4_CHECKSUM = 10;

/** A mark stands in a register in the machine's order; all machines we run on are little-endian. */
export const markHex = (value: number): Hex =>
  toHex(Uint8Array.of(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24));
