/**
 * The way of IKE where MOBIKE moves the IKE SA. charon begins its exchange when a route changes, and goes where the kernel sends it; so a
 * table of ours, for its packets and questions alone (its mark), has one route: to the home agent from the present care-of address.
 * Everything else is unreachable there, for charon would also try the home agent's other addresses.
 */
import { hostPrefix } from "../../base/ip.js";
import type { LocalEndpoint } from "../../protocol/mip6/mobile-node/inputs.js";
import { defaultMetric, homeAgentEnd } from "../endpoints.js";
import type { Route } from "../objects/forwarding.js";
import type { KernelObject } from "../objects/objects.js";
import { IKE_MARK, IKE_TABLE, type MobileNodePlanSite, RULE_PRIORITY } from "../site.js";

export function ikeRules({ mobike }: MobileNodePlanSite): readonly KernelObject[] {
  if (mobike !== true) return [];
  return ([6, 4] as const).flatMap((family) => [
    { kind: "rule", family, priority: RULE_PRIORITY.ike, table: IKE_TABLE, mark: IKE_MARK } as const,
    { kind: "rule", family, priority: RULE_PRIORITY.ikeNowhere, table: 0, mark: IKE_MARK, unreachable: true } as const,
  ]);
}

/** `end`: from where IKE shall speak; undefined: it has to wait. */
export function ikeRoute(end: LocalEndpoint | undefined, { homeAgent, mobike }: MobileNodePlanSite): readonly Route[] {
  const remote = end && homeAgentEnd(end, homeAgent);
  if (mobike !== true || end === undefined || remote === undefined) return [];
  const { address, device, gateway } = end;
  return [
    {
      kind: "route",
      destination: hostPrefix(remote),
      table: IKE_TABLE,
      metric: defaultMetric(remote),
      device,
      ...(gateway !== undefined && { via: gateway, onlink: true }),
      preferredSource: address,
    },
  ];
}
