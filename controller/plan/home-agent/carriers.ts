/** Tunnel packets of the home agent that leave in a tunnel over IPv4 once more (plan/carriers.ts): to nodes behind routers, and IPv6 to IPv4 home addresses. */
import type { Ipv4Address } from "../../base/ip.js";
import { classOfInner, fragmentsAsInner, isCarrier, isNested } from "../carriers.js";
import type { NftChain, NftRule } from "../objects/firewall.js";
import { rule } from "../objects/nft-clause.js";
import { ipField } from "../objects/nft-matches.js";
import { jump } from "../objects/nft-verdicts.js";
import {
  type HomeAgentPlanSite,
  internalAddress,
  mip4Service,
  sendLevels,
  type TunnelClass,
  tunnelClasses,
  UDP_HEADER,
} from "../site.js";

const OFFSET = { ipv4: 0, udp: UDP_HEADER } as const;

const servesRouters = (site: HomeAgentPlanSite): boolean => sendLevels(site).length > 1;

/** For a chain of this format, before it writes the source; nothing where no packet is tunnelled twice. */
export function toCarriers(
  site: HomeAgentPlanSite,
  format: "ipv4" | "udp",
  homeAgent: Ipv4Address,
): readonly NftRule[] {
  const offset = OFFSET[format];
  const to = jump(`carrier-${format}`);
  // Of anybody's: what a guest in a router's network has from a home agent of its own, or a home address's IPv6.
  const carriers = hasCarriers(site, format) ? [rule(...isCarrier(offset), to)] : [];
  return [...carriers, ...(servesRouters(site) ? [rule(...isNested(offset, "saddr", homeAgent), to)] : [])];
}

const hasCarriers = (site: HomeAgentPlanSite, format: "ipv4" | "udp"): boolean =>
  servesRouters(site) || (format === "ipv4" && mip4Service(site) !== undefined);

export function carrierChains(site: HomeAgentPlanSite): readonly NftChain[] {
  // Into the devices of the last level goes nothing that has been tunnelled.
  const levels = sendLevels(site);
  const outer = levels.slice(0, Math.max(1, levels.length - 1));
  return (["ipv4", "udp"] as const)
    .filter((format) => hasCarriers(site, format))
    .map((format) => ({
      name: `carrier-${format}`,
      rules: carrierRules(
        site,
        OFFSET[format],
        ...outer.map((level) => (one: TunnelClass) => internalAddress(format, one, level)),
      ),
    }));
}

/** The source is still that of the device, which tells its class. */
export function carrierRules(
  site: HomeAgentPlanSite,
  offset: number,
  ...sourcesOf: readonly ((one: TunnelClass) => Ipv4Address)[]
): readonly NftRule[] {
  const classes = sourcesOf.flatMap((sourceOf) =>
    tunnelClasses(site).map((one) => rule(ipField("saddr", sourceOf(one)), classOfInner(offset, one.dscp))),
  );
  return [fragmentsAsInner(offset), ...classes];
}
