/**
 * What a node sends once so that a stateful firewall, its own or that of the network it visits, knows the tunnels: it lets in only what
 * answers something, and a node that just listens sends nothing. What goes in UDP the request has shown already.
 */
import { type Ipv4Address, type Ipv6Address, isIpv6, prefixContains } from "../../../base/ip.js";
import { tunnelLinkLocal } from "../../../base/mapped.js";
import type { NodePath } from "../../../protocol/mip4/mobile-node/inputs.js";
import type { Mip4NodePlanSite } from "./given.js";
import { egressTunnel, HOME_TUNNEL } from "./path.js";

/** One packet without content: over IPv4 by the routes, over IPv6 right into a tunnel device, whoever has the source. */
export type Opening =
  | { readonly family: 4; readonly source: Ipv4Address; readonly destination: Ipv4Address }
  | { readonly family: 6; readonly device: string; readonly source: Ipv6Address; readonly destination: Ipv6Address };

/** One for each outer protocol that the way uses. */
export function openingsOf(
  path: NodePath,
  { ipv6HomeAddress }: Pick<Mip4NodePlanSite, "ipv6HomeAddress">,
): readonly Opening[] {
  if (path.mode !== "away") return [];
  const { homeAddress: source, homeAgent: destination, egress, keepaliveSeconds, prefixes } = path;
  const isPlain = egress.kind === "co-located" && keepaliveSeconds === undefined;
  const openings: Opening[] = isPlain ? [{ family: 4, source, destination }] : [];
  for (const mode of ["care-of-address", "home-address"] as const) {
    const prefix = prefixes.find((one) => one.mode === mode)?.prefix;
    const device = mode === "home-address" ? HOME_TUNNEL : egressTunnel(path);
    if (prefix === undefined || device === undefined || !isIpv6(prefix.address)) continue;
    if (mode === "care-of-address" && !isPlain) continue;
    const own = ipv6HomeAddress !== undefined && prefixContains(prefix, ipv6HomeAddress);
    openings.push({
      ...{ family: 6, device, source: own ? ipv6HomeAddress : prefix.address },
      destination: tunnelLinkLocal(destination),
    });
  }
  return openings;
}
