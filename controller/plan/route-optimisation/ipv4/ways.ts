/**
 * What one pair of machines needs to reach each other directly with IPv4 on either side of it (draft-oulai-mext-dsmip-ro-00 §7.1.3, §7.2.3),
 * from either end: elements that let the other's packets in, and routes into the devices that all pairs share.
 */
import { hostPrefix, type IpAddress, type Ipv4Address, type Ipv6Address, isIpv4 } from "../../../base/ip.js";
import { compatibleAddress, defaultMetric, ONE_NEXT_HOP } from "../../endpoints.js";
import type { NftElement, NftSet } from "../../objects/firewall.js";
import type { Route } from "../../objects/forwarding.js";
import type { KernelObject } from "../../objects/objects.js";
import type { TunnelProfileSpec } from "../../site.js";
import { DIRECT_SETS, directTable, HEADERS_DEVICE, PEERS_SET, PORT_MAPS } from "./names.js";

/** The addresses of payload, both of one family. */
export interface Ends {
  readonly own: IpAddress;
  readonly other: IpAddress;
}

/** Where a tunnel over IPv4 ends. `port`: from where the other one's UDP comes; absent: protocols 41 and 4. */
export interface OuterEnds {
  readonly own: Ipv4Address;
  readonly other: Ipv4Address;
  readonly port?: number | undefined;
}

const element = ({ name }: NftSet, ...key: NftElement["key"]): NftElement => ({ kind: "nft-element", set: name, key });

/** Outer and inner addresses must be those of one entry (§7.2.3). */
export function takenOverIpv4({ own, other }: Ends, outer: OuterEnds): readonly KernelObject[] {
  const { ipv4_4, ipv4_6, udp4, udp6 } = DIRECT_SETS;
  const inner = [other, own] as readonly (Ipv4Address | Ipv6Address)[];
  const four = isIpv4(other);
  if (outer.port === undefined) return [element(four ? ipv4_4 : ipv4_6, outer.other, outer.own, ...inner)];
  return [element(four ? udp4 : udp6, outer.other, outer.port, outer.own, ...inner)];
}

/** At a correspondent: whose packets by way of the home agent a strict rp_filter is to pass. */
export const peer = ({ own, other }: { readonly own: Ipv4Address; readonly other: Ipv4Address }): KernelObject =>
  element(PEERS_SET, other, own);

/** At a correspondent: to which port the other end's UDP goes. */
export function portOverIpv4({ other }: Ends, outer: OuterEnds): readonly KernelObject[] {
  if (outer.port === undefined) return [];
  const { port4, port6 } = PORT_MAPS;
  const set = isIpv4(other) ? port4 : port6;
  return [{ ...element(set, outer.own, outer.other, other as Ipv4Address | Ipv6Address), value: outer.port }];
}

const hostRoute = ({ own, other }: Ends, device: string): Route => ({
  kind: "route",
  destination: hostPrefix(other),
  table: directTable(own),
  metric: defaultMetric(other),
  device,
  preferredSource: own,
});

/** Into a device that sends over IPv4. */
export function routeOverIpv4(ends: Ends, device: string, to: Ipv4Address): Route {
  const via = isIpv4(ends.other) ? to : compatibleAddress(to);
  return { ...hostRoute(ends, device), via, onlink: true };
}

/** In mode 1 the outer header has RFC 6275's headers, which say where to. */
export interface HeaderEnds {
  readonly own: Ipv6Address;
  readonly other: Ipv6Address;
}

/**
 * Mode 1: `source` stands in the IPv6 header, `named` in the Home Address option or the routing header: the home address in both. Which
 * care-of address belongs to it XFRM's states say, before the header behind is looked at.
 */
export function takenInHeaders(
  { own, other }: { readonly own: Ipv4Address; readonly other: Ipv4Address },
  { source, named }: { readonly source: Ipv6Address; readonly named: Ipv6Address },
): KernelObject {
  return element(DIRECT_SETS.headers4, source, named, other, own);
}

/** The route gives the outer header a traffic class; where it is to be the inner one the firewall writes it. */
export function routeInHeaders(
  ends: Ends,
  outer: HeaderEnds,
  { dscp, ttl }: TunnelProfileSpec,
): readonly KernelObject[] {
  const encapsulation = {
    source: outer.own,
    destination: outer.other,
    hopLimit: ttl,
    trafficClass: dscp === "copy" ? 0 : dscp << 2,
  };
  return [
    ...(dscp === "copy" ? [element(DIRECT_SETS.copied, outer.own, outer.other)] : []),
    { ...hostRoute(ends, HEADERS_DEVICE), via: ONE_NEXT_HOP, encapsulation },
  ];
}
