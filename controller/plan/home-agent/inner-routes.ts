/** What the objects of a binding have in common, whatever the protocol: routes to what is inside, elements that name it, who answers for it. */
import { type IpAddress, type Ipv4Address, type Ipv6Address, isIpv4, type Prefix } from "../../base/ip.js";
import { largest } from "../../base/lists.js";
import { defaultMetric } from "../endpoints.js";
import { LEAST_MTU } from "../mip4/tunnel-data.js";
import type { NftElement, NftSet } from "../objects/firewall.js";
import type { Route } from "../objects/forwarding.js";
import type { KernelObject } from "../objects/objects.js";
import { type HomeAgentPlanSite, MAIN_TABLE, servesMip6 } from "../site.js";
import { setForLength } from "./sets.js";

/** DSCP stands in the upper six bits of the traffic class octet. */
export const octetOfDscp = (dscp: number): number => dscp << 2;

/** The shared devices take the largest packets of any profile; whoever's profile says less has it locked in its routes. */
export function deviceMtu({ mtu, profiles, mip4 }: HomeAgentPlanSite): number {
  return largest(
    [...profiles.values()].map((profile) => profile.mtu ?? mtu),
    // With Mobile IPv4 they carry IPv6 inside IPv4.
    mip4 === undefined ? mtu : Math.max(mtu, LEAST_MTU.ipv4),
  );
}

/** Neighbours on the home link are answered in the node's place, duplicate address detection among them (RFC 6275 §10.4.1), for a mobile router as one (RFC 3963 §6.2). */
export function defended(
  address: IpAddress,
  router: boolean,
  { homeDevice }: HomeAgentPlanSite,
): readonly KernelObject[] {
  return homeDevice === undefined ? [] : [{ kind: "proxy-neighbour", device: homeDevice, address, router }];
}

/** In the set for the inner prefix's length, whose last field the inner prefix is. */
export function element(set: NftSet, outer: NftElement["key"], { address, length }: Prefix): NftElement {
  return {
    kind: "nft-element",
    set: setForLength(set, isIpv4(address) ? 4 : 6, length),
    key: [...outer, address as Ipv4Address | Ipv6Address],
  };
}

/** Before routes of the kernel's default metric, which operators have for networks whose router is at home. IPv4's default comes first of all. */
const NETWORK_METRIC = 512;

function metricOf({ address, length }: Prefix): number {
  return isIpv4(address) || length === 128 ? defaultMetric(address) : NETWORK_METRIC;
}

/** What the routes of a node have in common; `mtu`: its profile's. */
export function innerRoute(inner: Prefix, mtu: number | undefined, site: HomeAgentPlanSite): Omit<Route, "device"> {
  const locked = mtu ?? site.mtu;
  return {
    kind: "route",
    destination: inner,
    table: MAIN_TABLE,
    metric: metricOf(inner),
    ...(locked < deviceMtu(site) && { mtu: locked }),
    // For errors to the node: else the kernel takes the IPv4-compatible address that it gives each sit device. IPv4 has no such thing,
    // and its routes would go with the preferred address.
    ...(!isIpv4(inner.address) && servesMip6(site) && { preferredSource: site.addresses.ipv6 }),
  };
}
