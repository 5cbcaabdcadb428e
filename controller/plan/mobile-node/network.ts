/**
 * The networks behind a mobile router (RFC 3963 §5): it forwards, and what has a source in them leaves through the tunnel, wherever the
 * router is. What is for them goes where the main table has its links; where it has none, nowhere, and not around by a default route.
 */

import { isIpv4, type Prefix } from "../../base/ip.js";
import { everywhere } from "../endpoints.js";
import type { Route } from "../objects/forwarding.js";
import type { KernelObject } from "../objects/objects.js";
import { sysctl } from "../shared-objects.js";
import { DEVICE, HOME_TABLE, MAIN_TABLE, type MobileNodePlanSite, RULE_PRIORITY } from "../site.js";

/** Of a route behind all that an operator or the kernel makes. */
const LAST_METRIC = 0xffffffff;

/** Those of a host are none. */
export function networkObjects({
  prefixes = [],
  egressDevices = [],
}: Pick<MobileNodePlanSite, "prefixes" | "egressDevices">): readonly KernelObject[] {
  if (prefixes.length === 0) return [];
  return [
    // First: a kernel that becomes a router forgets default routes of interfaces that do not have this.
    sysctl("net/ipv6/conf/default/accept_ra", 2),
    ...egressDevices.map((device) => sysctl(`net/ipv6/conf/${device}/accept_ra`, 2)),
    sysctl("net/ipv6/conf/all/forwarding", 1),
    sysctl("net/ipv4/ip_forward", 1),
    ...prefixes.flatMap(objectsOf),
  ];
}

function objectsOf(prefix: Prefix): readonly KernelObject[] {
  const rule = { kind: "rule", family: isIpv4(prefix.address) ? 4 : 6 } as const;
  return [
    { ...rule, priority: RULE_PRIORITY.local, table: MAIN_TABLE, to: prefix },
    { ...rule, priority: RULE_PRIORITY.home, table: HOME_TABLE, from: prefix },
    {
      kind: "route",
      destination: prefix,
      table: MAIN_TABLE,
      metric: LAST_METRIC,
      device: DEVICE.homeAddresses,
    },
  ];
}

/** Where packets from a network of IPv4 go, of a router that has no IPv4 home address with routes of its own. */
export function networkRoute(prefix: Prefix, device: string): Route {
  return { kind: "route", destination: everywhere(prefix.address), table: HOME_TABLE, metric: 0, device };
}
