/**
 * IPv4 addresses as IPv6 ones. Mapped is what the 2004 profile has in the source field of a binding update from an IPv4 network
 * (draft-soliman-v4v6-mipv6-00 §2.2.2); proven is the same address in the home agent's kernel, as a 6to4 address that holds it twice: the
 * kernel drops what comes out of IPv4 with another outer source (RFC 3056 §5.2).
 */
import { type Ipv4Address, type Ipv6Address, ipToBytes, ipv4FromBytes, ipv6FromBytes } from "./ip.js";

const MAPPED_PREFIX = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);
const SIX_TO_FOUR = Uint8Array.of(0x20, 0x02);

/** ::ffff:a.b.c.d (RFC 4291 §2.5.5.2). */
export function mappedAddress(address: Ipv4Address): Ipv6Address {
  return ipv6FromBytes(Uint8Array.of(...MAPPED_PREFIX, ...ipToBytes(address)));
}

/** The IPv4 address in an IPv4-mapped one; undefined for others. */
export function fromMapped(address: Ipv6Address): Ipv4Address | undefined {
  const bytes = ipToBytes(address);
  return MAPPED_PREFIX.every((octet, i) => bytes[i] === octet) ? ipv4FromBytes(bytes.subarray(12)) : undefined;
}

/** 2002:AABB:CCDD::AABB:CCDD. */
export function provenAddress(address: Ipv4Address): Ipv6Address {
  const octets = ipToBytes(address);
  return ipv6FromBytes(Uint8Array.of(...SIX_TO_FOUR, ...octets, 0, 0, 0, 0, 0, 0, ...octets));
}

/** The IPv4 address in a proven one; undefined for others. */
export function fromProven(address: Ipv6Address): Ipv4Address | undefined {
  const embedded = ipv4FromBytes(ipToBytes(address).subarray(12));
  return provenAddress(embedded) === address ? embedded : undefined;
}

/** Of an end of a tunnel in IPv4: fe80::/96 and its IPv4 address (RFC 4213 §3.7). */
export function tunnelLinkLocal(address: Ipv4Address): Ipv6Address {
  return ipv6FromBytes(Uint8Array.of(0xfe, 0x80, ...new Uint8Array(10), ...ipToBytes(address)));
}

/** What networks behind a NAT have (RFC 1918, RFC 6598). */
export function isPrivate(address: Ipv4Address): boolean {
  const [first = 0, second = 0] = ipToBytes(address);
  if (first === 10) return true;
  if (first === 172) return (second & 0xf0) === 16;
  if (first === 192) return second === 168;
  return first === 100 && (second & 0xc0) === 64;
}
