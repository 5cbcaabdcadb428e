/**
 * Multicast through the tunnel (RFC 6275 §11.3.4): what applications join on the device of the home addresses. The kernel reports their
 * groups there, and answers queries there, as on any link; filters lead the reports into the tunnel, from the home address, and bring what
 * comes out of it for groups to that device. KERNEL.md, "Multicast".
 */
import { ipv4, ipv6, type Prefix } from "../../base/ip.js";
import type { Filter } from "../objects/copying.js";
import type { NftChain } from "../objects/firewall.js";
import { type Clause, rule } from "../objects/nft-clause.js";
import { icmpv6, innerAddressIn, innerOctet, outputDevice } from "../objects/nft-matches.js";
import { setSource } from "../objects/nft-writes.js";
import type { KernelObject } from "../objects/objects.js";
import { sysctl } from "../shared-objects.js";
import { DEVICE, HOOK_PRIORITY, type MobileNodePlanSite } from "../site.js";

/** Of filters that packets out of the device of the home addresses meet, and those that come out of tunnels. */
const BLOCK = { reports: 4193, tunnels: 4194 } as const;
const PRIORITY = { 6: 1, 4: 2 } as const;
const PROTOCOL = { igmp: 2, icmpv6: 58 } as const;
/** MLD: report, done, version 2. */
const MLD_TYPES = [131, 132, 143];
const GROUPS: Readonly<Record<4 | 6, Prefix>> = {
  6: { address: ipv6("ff00::"), length: 8 },
  4: { address: ipv4("224.0.0.0"), length: 4 },
};
const FAMILIES = [6, 4] as const;

const filter = (family: 4 | 6, block: number, handle: number, rest: Pick<Filter, "match" | "outcome">): Filter => ({
  ...{ kind: "filter", block, chain: 0, priority: PRIORITY[family], handle, family },
  ...rest,
});

export function multicastSite({ multicast }: MobileNodePlanSite): readonly KernelObject[] {
  if (multicast !== true) return [];
  const device = DEVICE.homeAddresses;
  return [
    // The way back to a group's source leads through the tunnel.
    sysctl(`net/ipv4/conf/${device}/rp_filter`, 2),
    { kind: "qdisc", device, direction: "egress", block: BLOCK.reports },
    ...FAMILIES.map((family) =>
      filter(family, BLOCK.tunnels, 1, {
        match: { destination: GROUPS[family] },
        outcome: { verb: "move-in", device },
      }),
    ),
  ];
}

/** Of each tunnel that payload comes out of. */
export function tunnelHook({ multicast }: MobileNodePlanSite, device: string): readonly KernelObject[] {
  return multicast === true ? [{ kind: "qdisc", device, direction: "ingress", block: BLOCK.tunnels }] : [];
}

/** Into the tunnel that payload takes just now; with none they go nowhere. */
export function reportsInto({ multicast }: MobileNodePlanSite, device: string | undefined): readonly KernelObject[] {
  if (multicast !== true || device === undefined) return [];
  const outcome = { verb: "move-out", device } as const;
  return [
    ...MLD_TYPES.map((icmpv6Type) =>
      filter(6, BLOCK.reports, icmpv6Type, { match: { protocol: PROTOCOL.icmpv6, icmpv6Type }, outcome }),
    ),
    filter(4, BLOCK.reports, 1, { match: { protocol: PROTOCOL.igmp }, outcome }),
  ];
}

/** The home address as source, which the home agent has proof of in every format; a link-local one is nobody's there. */
export function multicastChains({ multicast, homeAddress }: MobileNodePlanSite): readonly NftChain[] {
  if (multicast !== true) return [];
  const fromHome = outputDevice(DEVICE.homeAddresses);
  return [
    {
      name: "output-reports",
      base: { type: "filter", hook: "output", priority: HOOK_PRIORITY.first, policy: "accept" },
      rules: MLD_TYPES.map((type) => rule(fromHome, icmpv6(type), setSource(homeAddress))),
    },
  ];
}

/** An inner packet to a group, whose destination stands there. */
export function toGroups({ multicast }: MobileNodePlanSite, destinationAt: number, family: 4 | 6): readonly Clause[] {
  if (multicast !== true) return [];
  return [family === 6 ? innerOctet(destinationAt, 0xff) : innerAddressIn(destinationAt, GROUPS[4])];
}
