/** Reserved anycast addresses of a subnet (RFC 2526). */
import { type Ipv6Address, ipToBytes, ipv6, ipv6FromBytes, isIpv4, type Prefix } from "./ip.js";

/** The last identifiers of a subnet are reserved; this many bits tell them apart. */
const ID_BITS = 7;
const HOME_AGENTS = 0x7e;
const INTERFACE_IDENTIFIER = ipToBytes(ipv6("::fdff:ffff:ffff:ff80")).subarray(8);

/**
 * The Mobile IPv6 home agents anycast address of a home prefix (RFC 2526 §2, identifier 126; RFC 6275 §10.5): fdff:ffff:ffff:fffe in
 * prefixes that leave room for an interface identifier of 64 bits, else ones before the identifier. Undefined where there is no room.
 */
export function homeAgentsAnycast({ address, length }: Prefix): Ipv6Address | undefined {
  if (isIpv4(address) || length > 128 - ID_BITS) return undefined;
  const octets = ipToBytes(address);
  if (length <= 64) octets.set(INTERFACE_IDENTIFIER, 8);
  else for (let bit = length; bit < 128; bit++) octets[bit >> 3] = (octets[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
  octets[15] = ((octets[15] ?? 0) & ~((1 << ID_BITS) - 1)) | HOME_AGENTS;
  return ipv6FromBytes(octets);
}
