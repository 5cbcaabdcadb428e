/**
 * IPv4 and IPv6 addresses and prefixes. An address is a branded string in canonical text (dotted decimal; RFC 5952), so it can be
 * compared with ===, used as a key and printed as it is; codecs turn it into octets at the edge.
 */
import { EncodeError } from "./errors.js";

declare const ipv4Brand: unique symbol;
declare const ipv6Brand: unique symbol;

/** Canonical dotted decimal, four parts without leading zeros. */
export type Ipv4Address = string & { readonly [ipv4Brand]: true };
/** Canonical RFC 5952 text, no zone, never the mixed IPv4 notation. */
export type Ipv6Address = string & { readonly [ipv6Brand]: true };
export type IpAddress = Ipv4Address | Ipv6Address;
export type Family = 4 | 6;

export interface Prefix {
  readonly address: IpAddress;
  /** Bits, 0..32 or 0..128. */
  readonly length: number;
}

export const IPV4_ANY = "0.0.0.0" as Ipv4Address;
export const IPV6_ANY = "::" as Ipv6Address;
const LINK_LOCAL: Prefix = { address: "fe80::" as Ipv6Address, length: 10 };

/** The canonical form of an IPv4 address in dotted decimal, or undefined. Leading zeros are refused: "010" is ambiguous. */
export function parseIpv4(text: string): Ipv4Address | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  for (const part of parts) {
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return undefined;
  }
  return text as Ipv4Address;
}

/** The canonical form of any RFC 4291 text (mixed IPv4 notation too), or undefined. A zone is refused. */
export function parseIpv6(text: string): Ipv6Address | undefined {
  if (!/^[0-9a-fA-F:.]{2,45}$/.test(text)) return undefined;
  let source = text;
  if (source.includes(".")) {
    const cut = source.lastIndexOf(":");
    const ipv4 = cut < 0 ? undefined : parseIpv4(source.slice(cut + 1));
    if (ipv4 === undefined) return undefined;
    const [a = 0, b = 0, c = 0, d = 0] = ipv4.split(".").map(Number);
    source = `${source.slice(0, cut + 1)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  }
  const halves = source.split("::");
  if (halves.length > 2) return undefined;
  const head = groups(halves[0] ?? "");
  const tail = halves.length === 2 ? groups(halves[1] ?? "") : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  return formatGroups([...head, ...new Array<number>(missing).fill(0), ...tail]);
}

/** The canonical form of an address of either family, or undefined. */
export function parseIp(text: string): IpAddress | undefined {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

/** For addresses that are known to be right (constants, tests); throws EncodeError. */
export function ipv4(text: string): Ipv4Address {
  const address = parseIpv4(text);
  if (address === undefined) throw new EncodeError("ipv4", `not an IPv4 address: ${text}`);
  return address;
}

/** For addresses that are known to be right (constants, tests); throws EncodeError. */
export function ipv6(text: string): Ipv6Address {
  const address = parseIpv6(text);
  if (address === undefined) throw new EncodeError("ipv6", `not an IPv6 address: ${text}`);
  return address;
}

export function familyOf(address: IpAddress): Family {
  return address.includes(":") ? 6 : 4;
}

export function isIpv4(address: IpAddress): address is Ipv4Address {
  return !address.includes(":");
}

export function isIpv6(address: IpAddress): address is Ipv6Address {
  return address.includes(":");
}

/** 4 or 16 octets, network byte order. */
export function ipToBytes(address: IpAddress): Uint8Array {
  if (isIpv4(address)) return Uint8Array.from(address.split("."), Number);
  const [head = "", tail] = address.split("::");
  const front = groups(head) ?? [];
  const back = tail === undefined ? [] : (groups(tail) ?? []);
  const bytes = new Uint8Array(16);
  const put = (list: readonly number[], from: number): void => {
    list.forEach((group, i) => {
      bytes[from + 2 * i] = group >> 8;
      bytes[from + 2 * i + 1] = group & 0xff;
    });
  };
  put(front, 0);
  put(back, 16 - 2 * back.length);
  return bytes;
}

/** The address of 4 octets, network byte order. */
export function ipv4FromBytes(bytes: Uint8Array): Ipv4Address {
  if (bytes.length !== 4) throw new EncodeError("ipv4", `${bytes.length} octets, 4 wanted`);
  return bytes.join(".") as Ipv4Address;
}

/** The address of 16 octets, network byte order. */
export function ipv6FromBytes(bytes: Uint8Array): Ipv6Address {
  if (bytes.length !== 16) throw new EncodeError("ipv6", `${bytes.length} octets, 16 wanted`);
  const list: number[] = [];
  for (let i = 0; i < 16; i += 2) list.push(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0));
  return formatGroups(list);
}

/** The address of 4 or 16 octets, network byte order. */
export function ipFromBytes(bytes: Uint8Array): IpAddress {
  return bytes.length === 4 ? ipv4FromBytes(bytes) : ipv6FromBytes(bytes);
}

/** "2001:db8::/32" as a prefix whose host bits are zero; undefined if the text is no prefix or host bits are set. */
export function parsePrefix(text: string): Prefix | undefined {
  const cut = text.indexOf("/");
  const address = cut < 0 ? undefined : parseIp(text.slice(0, cut));
  const digits = text.slice(cut + 1);
  if (address === undefined || !/^(0|[1-9][0-9]{0,2})$/.test(digits)) return undefined;
  const length = Number(digits);
  if (length > (isIpv4(address) ? 32 : 128)) return undefined;
  return maskAddress(address, length) === address ? { address, length } : undefined;
}

export function formatPrefix(prefix: Prefix): string {
  return `${prefix.address}/${prefix.length}`;
}

/** The address with all bits after the first `length` cleared. */
export function maskAddress<A extends IpAddress>(address: A, length: number): A {
  const bytes = ipToBytes(address);
  for (let i = 0; i < bytes.length; i++) {
    const keep = Math.min(8, Math.max(0, length - 8 * i));
    bytes[i] = (bytes[i] ?? 0) & (0xff00 >> keep) & 0xff;
  }
  return ipFromBytes(bytes) as A;
}

export function prefixContains(prefix: Prefix, address: IpAddress): boolean {
  return familyOf(prefix.address) === familyOf(address) && maskAddress(address, prefix.length) === prefix.address;
}

export function samePrefix(a: Prefix, b: Prefix): boolean {
  return a.length === b.length && a.address === b.address;
}

export function prefixesOverlap(a: Prefix, b: Prefix): boolean {
  return a.length <= b.length ? prefixContains(a, b.address) : prefixContains(b, a.address);
}

/** A single host's prefix: /32 or /128. */
export function hostPrefix(address: IpAddress): Prefix {
  return { address, length: isIpv4(address) ? 32 : 128 };
}

const IPV4_BITS = 32;

/** Whether it is the network or the broadcast address of this prefix (RFC 1122 §3.2.1.3); prefixes from /31 on have none (RFC 3021). */
export function isEdgeOf(prefix: Prefix, address: Ipv4Address): boolean {
  if (prefix.length > 30 || !prefixContains(prefix, address)) return false;
  const size = 2 ** (IPV4_BITS - prefix.length);
  const host = ipv4ToNumber(address) % size;
  return host === 0 || host === size - 1;
}

/** Network and broadcast address of the network in which this address lies; none from /31 on. */
export function edgesOf(address: Ipv4Address, length: number): readonly Ipv4Address[] {
  if (!(length >= 0 && length <= 30)) return [];
  const size = 2 ** (IPV4_BITS - length);
  const first = ipv4ToNumber(address) - (ipv4ToNumber(address) % size);
  return [ipv4FromNumber(first), ipv4FromNumber(first + size - 1)];
}

/** As the number that its four octets are. */
export function ipv4ToNumber(address: Ipv4Address): number {
  return ipToBytes(address).reduce((sum, byte) => sum * 256 + byte, 0);
}

/** Of a number from 0 up to 2^32 - 1. */
export function ipv4FromNumber(value: number): Ipv4Address {
  return ipv4FromBytes(Uint8Array.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff));
}

/** fe80::/10 (RFC 4291 §2.5.6); routers speak on their link from no other address (RFC 4861 §6.1.2). */
export const isLinkLocal = (address: IpAddress): boolean => prefixContains(LINK_LOCAL, address);

/** Unicast and usable beyond one link: not unspecified, loopback, link-local, multicast, broadcast or IPv4-mapped (RFC 6275 §6.1.7). */
export function isRoutableUnicast(address: IpAddress): boolean {
  const bytes = ipToBytes(address);
  const [first = 0, second = 0] = bytes;
  if (isIpv4(address)) {
    if (first === 0 || first === 127 || first >= 224) return false;
    return !(first === 169 && second === 254);
  }
  if (first === 0xff || (first === 0xfe && (second & 0xc0) === 0x80)) return false;
  // ::/96 holds ::, ::1 and the IPv4-compatible addresses; ::ffff:0:0/96 the IPv4-mapped ones.
  const leadingZeros = bytes.subarray(0, 10).every((byte) => byte === 0);
  const marker = ((bytes[10] ?? 0) << 8) | (bytes[11] ?? 0);
  return !(leadingZeros && (marker === 0 || marker === 0xffff));
}

function groups(text: string): number[] | undefined {
  if (text === "") return [];
  const list: number[] = [];
  for (const part of text.split(":")) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
    list.push(Number.parseInt(part, 16));
  }
  return list;
}

function formatGroups(list: readonly number[]): Ipv6Address {
  let bestStart = -1;
  let bestLength = 1; // a single zero group is not shortened (RFC 5952 §4.2.2)
  for (let i = 0; i < 8; ) {
    let end = i;
    while (end < 8 && list[end] === 0) end++;
    if (end - i > bestLength) {
      bestStart = i;
      bestLength = end - i;
    }
    i = Math.max(end, i + 1);
  }
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(":");
  if (bestStart < 0) return text(list) as Ipv6Address;
  return `${text(list.slice(0, bestStart))}::${text(list.slice(bestStart + bestLength))}` as Ipv6Address;
}
