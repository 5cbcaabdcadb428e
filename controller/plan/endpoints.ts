/** Endpoints and home addresses as plans ask for them. */
import {
  IPV4_ANY,
  IPV6_ANY,
  type IpAddress,
  type Ipv4Address,
  type Ipv6Address,
  ipv6,
  isIpv4,
  type Prefix,
} from "../base/ip.js";
import type { DataPath, Endpoint } from "../protocol/mip6/inputs.js";

/** Endpoints compared: the protocol's own function is no type and may not be imported here. */
export function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  if (a.format !== b.format || a.address !== b.address) return false;
  return a.format !== "udp" || (b.format === "udp" && a.port === b.port);
}

/** The home agent's end of a tunnel to this address. */
export function homeAgentEnd(
  { address }: Pick<Endpoint, "address">,
  { ipv6, ipv4 }: { readonly ipv6: Ipv6Address; readonly ipv4?: Ipv4Address | undefined },
): IpAddress | undefined {
  return isIpv4(address) ? ipv4 : ipv6;
}

/** In UDP over IPv4, behind a NAT: there ESP is in UDP too (RFC 3948). Over IPv6 it is as it is. */
export const isUdpOverIpv4 = ({ format, address }: Pick<Endpoint, "format" | "address">): boolean =>
  format === "udp" && isIpv4(address);

/** A node's home addresses. */
export function homesOf({
  homeAddress,
  ipv4HomeAddress,
}: Pick<DataPath, "homeAddress" | "ipv4HomeAddress">): readonly IpAddress[] {
  return ipv4HomeAddress === undefined ? [homeAddress] : [homeAddress, ipv4HomeAddress];
}

/** All addresses of the family of `home`. */
export const everywhere = (home: IpAddress): Prefix => ({ address: isIpv4(home) ? IPV4_ANY : IPV6_ANY, length: 0 });

/** Of a route that names none: the kernel's own, which is part of the route's identity. */
export const defaultMetric = (address: IpAddress): number => (isIpv4(address) ? 0 : 1024);

/** sit takes the outer destination of an IPv6 packet from an IPv4-compatible next hop (::a.b.c.d). */
export function compatibleAddress(address: Ipv4Address): Ipv6Address {
  return ipv6(`::${address}`);
}

/**
 * The next hop of every route into a device whose routes say where to, which takes no notice of it. Without one each home address is a
 * neighbour of its own, and from some hundreds on the kernel does little else than to clear its neighbour table (measured with 10,000).
 */
export const ONE_NEXT_HOP = ipv6("fe80::1");
