/** What the plans of a Mobile IPv4 node are given. */
import type { Ipv4Address, Ipv6Address, Prefix } from "../../../base/ip.js";
import type { NodePath } from "../../../protocol/mip4/mobile-node/inputs.js";
import type { HomeRoute } from "../../../protocol/movement/home-routes.js";
import type { TunnelProfileSpec } from "../../site.js";

/** What is only known since an acceptance (`withPath`) is absent before, and the site is planned once more when it changes. */
export interface Mip4NodePlanSite {
  readonly homeAgent: Ipv4Address;
  /** The node's own, or lent to it. */
  readonly homeAddress?: Ipv4Address | undefined;
  /** An address of its own in one of the IPv6 prefixes, for itself. */
  readonly ipv6HomeAddress?: Ipv6Address | undefined;
  /** Of the home link, IPv4. */
  readonly homePrefixes: readonly Prefix[];
  /** IPv6 prefixes that are the node's. */
  readonly prefixes: readonly Prefix[];
  readonly profile: TunnelProfileSpec;
  /** The default router of each link that has one, by device. */
  readonly routers?: ReadonlyMap<string, Ipv4Address> | undefined;
  /** IPv6 routes of the home link that the node is at. */
  readonly homeRoutes?: readonly HomeRoute[] | undefined;
  /** By which the node may attach, and goes on listening to router advertisements when it becomes a router for its prefixes. */
  readonly egressDevices?: readonly string[] | undefined;
}

/** The site with what a path says of addresses and prefixes. At home and nowhere the prefixes stay as they are. */
export function withPath(site: Mip4NodePlanSite, path: NodePath): Mip4NodePlanSite {
  switch (path.mode) {
    case "detached":
      return { ...site, homeAgent: path.homeAgent ?? site.homeAgent };
    case "home":
      return { ...site, homeAgent: path.homeAgent ?? site.homeAgent, homeAddress: path.homeAddress };
    case "away": {
      const { homeAgent, homeAddress: home, prefixes } = path;
      return { ...site, homeAgent, homeAddress: home, prefixes: prefixes.map(({ prefix }) => prefix) };
    }
  }
}
