/**
 * The name under which the daemon keeps a node that has no IPv6 home address: an address of a class of our own, on no wire and never
 * shown, that is made of its IPv4 home address.
 */
import { type Ipv4Address, ipToBytes, ipv6FromBytes } from "../../base/ip.js";
import type { NodeName } from "./inputs.js";

/** fd4d:4950:34::/96, "MIP4" within the unique local addresses (RFC 4193). */
const CLASS = Uint8Array.of(0xfd, 0x4d, 0x49, 0x50, 0, 0x34, 0, 0, 0, 0, 0, 0);

export function nodeNameOf(homeAddress: Ipv4Address): NodeName {
  return ipv6FromBytes(Uint8Array.of(...CLASS, ...ipToBytes(homeAddress)));
}
