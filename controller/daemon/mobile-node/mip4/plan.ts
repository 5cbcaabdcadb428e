/** The kernel objects of a node, of its configuration and of the network as it is. */
import type { Mip4NodeConfig } from "../../../../schemas/config/mip4-node.js";
import { IPV4_ANY, type Ipv4Address, isIpv4 } from "../../../base/ip.js";
import { type Mip4NodePlanSite, withPath } from "../../../plan/mobile-node/mip4/given.js";
import { openingsOf } from "../../../plan/mobile-node/mip4/openings.js";
import { planMip4NodePath } from "../../../plan/mobile-node/mip4/path.js";
import { planMip4NodeSite } from "../../../plan/mobile-node/mip4/site.js";
import type { NodePath } from "../../../protocol/mip4/mobile-node/inputs.js";
import { ipv6Routes } from "../../../protocol/movement/home-routes.js";
import type { NetworkView } from "../../../protocol/movement/network-view.js";
import type { NodePlan } from "./service.js";
import { homeAgentOf } from "./site.js";

/** `egressDevices`: by which a node with prefixes attaches. */
export function nodePlan(config: Mip4NodeConfig, egressDevices: readonly string[]): NodePlan {
  const { homeAddress, ipv6HomeAddress, homeSubnet, prefixes } = config.mobileNode;
  const given: Mip4NodePlanSite = {
    ...{ homeAgent: homeAgentOf(config), homeAddress, ipv6HomeAddress, prefixes, egressDevices },
    homePrefixes: homeSubnet === undefined ? [] : [homeSubnet],
    profile: config.tunnelProfile,
  };
  return {
    // Routers stand in no object of the site: its change would be one for nothing.
    site: (path) => planMip4NodeSite(withPath(given, path)),
    path: (path, network) => {
      const there = withoutVanished(path, network);
      return planMip4NodePath(there, {
        ...withPath(given, path),
        routers: routersOf(network),
        homeRoutes: there.mode === "home" ? ipv6Routes(network, there.device) : [],
      });
    },
    openings: (path) => openingsOf(path, given),
  };
}

/**
 * Over links that are gone or down there is no way, in or out: the kernel would refuse their routes, and with them, for a group is all or
 * nothing, the ways that are there.
 */
export function withoutVanished(path: NodePath, { links }: NetworkView): NodePath {
  const isThere = (device: string): boolean => links.some(({ name, up }) => name === device && up);
  const ingress = (path.ingress ?? []).filter(({ device }) => isThere(device));
  const homeDevice = "homeDevice" in path && path.homeDevice !== undefined && isThere(path.homeDevice);
  const beside = homeDevice ? { homeDevice: path.homeDevice } : {};
  switch (path.mode) {
    case "away": {
      const { homeDevice: _, ...away } = path;
      return isThere(path.egress.device) ? { ...away, ingress, ...beside } : { mode: "detached", ingress, ...beside };
    }
    case "home":
      return isThere(path.device) ? { ...path, ingress } : { mode: "detached", ingress };
    case "detached":
      return { mode: "detached", ingress, ...beside };
  }
}

/** The default router of each link, of several the one that the kernel prefers. */
export function routersOf({ routes }: NetworkView): ReadonlyMap<string, Ipv4Address> {
  const best = new Map<string, { readonly via: Ipv4Address; readonly metric: number }>();
  for (const { ours, destination, device, via, metric } of routes) {
    if (ours || via === undefined || !isIpv4(via) || destination.length > 0 || destination.address !== IPV4_ANY)
      continue;
    const known = best.get(device);
    if (known === undefined || metric < known.metric) best.set(device, { via, metric });
  }
  return new Map([...best].map(([device, { via }]) => [device, via]));
}
