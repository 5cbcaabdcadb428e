/**
 * The routes and rules of what stays out of the tunnel. Routes of our own and not the main table's: each goes with its device, so nothing
 * meant for a container leaves by an uplink when the container's network is gone, and each names the source, for over IPv6 a home address
 * would be preferred to those of the outgoing device (RFC 6724 §5, rule 4 before rule 5).
 */
import { hostPrefix, IPV4_ANY, type IpAddress, isIpv4 } from "../../base/ip.js";
import type { LocalNetwork, LocalNetworks } from "../../protocol/movement/local-networks.js";
import { defaultMetric } from "../endpoints.js";
import type { Route, Rule } from "../objects/forwarding.js";
import type { KernelObject } from "../objects/objects.js";
import { type HomePlace, isFirstHome, OWN_NETWORKS_TABLE, RULE_PRIORITY, VISITED_NETWORKS_TABLE } from "../site.js";

/** Those that the node has just now. */
export interface HomeAddresses extends HomePlace {
  readonly homeAddress?: IpAddress | undefined;
  readonly ipv4HomeAddress?: IpAddress | undefined;
}

export function planLocalNetworks(networks: LocalNetworks, site: HomeAddresses): readonly KernelObject[] {
  const homes = [site.homeAddress, site.ipv4HomeAddress].filter((home) => home !== undefined);
  return homes.flatMap((home) => {
    const family = isIpv4(home) ? 4 : 6;
    const ofFamily = ({ destination }: LocalNetwork): boolean => isIpv4(destination.address) === isIpv4(home);
    const own = networks.own.filter(ofFamily);
    const visited = networks.visited.filter(ofFamily);
    const ownRule = { kind: "rule", family, priority: RULE_PRIORITY.local, table: OWN_NETWORKS_TABLE } as const;
    const visitedRule = { ...ownRule, priority: RULE_PRIORITY.visited, table: VISITED_NETWORKS_TABLE } as const;
    return [
      // The routes are the same for all home addresses of the node.
      ...(isFirstHome(site) ? own.map((network) => route(network, OWN_NETWORKS_TABLE)) : []),
      ...(isFirstHome(site) ? visited.map((network) => route(network, VISITED_NETWORKS_TABLE)) : []),
      ...(own.length === 0 ? [] : [...sourceless(ownRule, home), ...chosen(ownRule, home)]),
      ...(visited.length === 0 ? [] : sourceless(visitedRule, home)),
    ];
  });
}

type Selectorless = Pick<Rule, "kind" | "family" | "priority" | "table">;

/** For packets whose source is not chosen yet, and would be the home address. Over IPv6 also for those that have it. */
function sourceless(rule: Selectorless, home: IpAddress): readonly Rule[] {
  return isIpv4(home)
    ? [{ ...rule, from: hostPrefix(IPV4_ANY) }]
    : [{ ...rule, from: hostPrefix(home), findSource: true }];
}

function chosen(rule: Selectorless, home: IpAddress): readonly Rule[] {
  return isIpv4(home) ? [{ ...rule, from: hostPrefix(home) }] : [];
}

function route({ destination, device, gateway, source }: LocalNetwork, table: number): Route {
  return {
    kind: "route",
    destination,
    table,
    metric: defaultMetric(destination.address),
    device,
    ...(gateway === undefined ? {} : { via: gateway, onlink: true }),
    ...(source === undefined ? {} : { preferredSource: source }),
  };
}
