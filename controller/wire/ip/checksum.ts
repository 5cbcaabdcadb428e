/** The internet checksum (RFC 1071) and the pseudo-headers in front of it. */
import { EncodeError } from "../../base/errors.js";
import { familyOf, type IpAddress, ipToBytes } from "../../base/ip.js";

/** The ones' complement sum of 16-bit words, an odd last octet padded with zero, not yet complemented. */
export function onesSum(bytes: Uint8Array, start = 0): number {
  let sum = start;
  const even = bytes.length & ~1;
  for (let i = 0; i < even; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  if (even < bytes.length) sum += (bytes[even] ?? 0) << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum;
}

/** The checksum of octets whose checksum field is zero; of octets with a right checksum in them it is 0. */
export function checksum(bytes: Uint8Array, start = 0): number {
  return ~onesSum(bytes, start) & 0xffff;
}

/**
 * The sum over the pseudo-header of an upper-layer packet: RFC 8200 §8.1 for IPv6, RFC 768 for IPv4. `destination` is the final
 * one (the home address under a type 2 routing header), `source` the home address under a Home Address option.
 */
export function pseudoHeaderSum(source: IpAddress, destination: IpAddress, protocol: number, length: number): number {
  if (familyOf(source) !== familyOf(destination)) {
    throw new EncodeError("pseudo-header", `${source} and ${destination} are not of one family`);
  }
  const sum = onesSum(ipToBytes(destination), onesSum(ipToBytes(source)));
  return onesSum(new Uint8Array(0), sum + (length >>> 16) + (length & 0xffff) + protocol);
}

/** The checksum of an upper-layer packet under its pseudo-header; 0 if the right checksum is in it. */
export function upperLayerChecksum(
  packet: Uint8Array,
  protocol: number,
  source: IpAddress,
  destination: IpAddress,
): number {
  return checksum(packet, pseudoHeaderSum(source, destination, protocol, packet.length));
}

/** A copy of `packet` with its checksum in the two octets at `at`. */
export function withUpperLayerChecksum(
  packet: Uint8Array,
  at: number,
  protocol: number,
  source: IpAddress,
  destination: IpAddress,
): Uint8Array {
  if (packet.length < at + 2) throw new EncodeError("checksum", `${packet.length} octets have no checksum field`);
  const copy = packet.slice();
  copy.fill(0, at, at + 2);
  const sum = upperLayerChecksum(copy, protocol, source, destination);
  copy[at] = sum >> 8;
  copy[at + 1] = sum & 0xff;
  return copy;
}
