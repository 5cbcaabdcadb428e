/** From the configuration to what the foreign agent's machine and plan need to know, and its keys. Pure. */
import type { ForeignAgentConfig } from "../../../schemas/config/foreign-agent.js";
import { toHex } from "../../base/bytes.js";
import { parseIpv4 } from "../../base/ip.js";
import type { Mip4Keys } from "../../config/keys.js";
import type { ForeignAgentPlanSite } from "../../plan/foreign-agent/site.js";
import type { ForeignAgentSite, MobileNodeAssociation } from "../../protocol/mip4/foreign-agent/site.js";
import { advertisedLink } from "../mip4/advertised-link.js";
import type { AuthenticationKey } from "../mip4/authenticators.js";

export function foreignAgentSite({ foreignAgent }: ForeignAgentConfig, ring: ForeignAgentKeyRing): ForeignAgentSite {
  const { careOfAddress, links, registrationLifetimeSeconds, reverseTunnelling, gre, challenge, mostVisitors } =
    foreignAgent;
  return {
    careOfAddress,
    links: links.map((link) => ({
      ...advertisedLink(link.interface, link.address, link),
      registrationRequired: link.registrationRequired,
    })),
    ...{ registrationLifetimeSeconds, reverseTunnelling, gre, challenge, mostVisitors },
    routesCommonTraffic: foreignAgent.routesCommonTraffic,
    strictReservedBits: true,
    mobileNodes: ring.mobileNodes,
    homeAgents: ring.homeAgents,
  };
}

export function foreignAgentPlanSite({ foreignAgent, tunnelProfile }: ForeignAgentConfig): ForeignAgentPlanSite {
  return {
    careOfAddress: foreignAgent.careOfAddress,
    links: foreignAgent.links.map((link) => ({
      device: link.interface,
      address: link.address.address,
      prefixLength: link.address.length,
    })),
    profile: tunnelProfile,
    gre: foreignAgent.gre,
    mtu: foreignAgent.mtu,
  };
}

/** The associations of this foreign agent, and their keys. */
export interface ForeignAgentKeyRing {
  readonly mobileNodes: readonly MobileNodeAssociation[];
  readonly homeAgents: ForeignAgentSite["homeAgents"];
  /** Of the node that an association names. */
  mobileForeign(node: string | undefined, spi: number): AuthenticationKey | undefined;
  foreignHome(homeAgent: string, spi: number): AuthenticationKey | undefined;
}

/** Of the key file those that are between this agent and others: by its care-of address, or its address on a link. */
export function keyRingOf({ foreignAgent }: ForeignAgentConfig, keys: Mip4Keys): ForeignAgentKeyRing {
  const own: readonly string[] = [
    foreignAgent.careOfAddress,
    ...foreignAgent.links.map(({ address }) => address.address),
  ];
  const mobile = keys.mobileForeign.filter((one) => own.includes(one.foreignAgent));
  const home = keys.foreignHome.filter((one) => own.includes(one.foreignAgent));
  const nameOf = (node: string): string =>
    parseIpv4(node) === undefined ? toHex(new TextEncoder().encode(node)) : node;
  return {
    mobileNodes: mobile.map(({ node, spi }) => ({ node: nameOf(node), spi })),
    homeAgents: home.map(({ homeAgent, spi }) => ({ address: homeAgent, spi })),
    mobileForeign: (node, spi) => mobile.find((one) => nameOf(one.node) === node && one.spi === spi),
    foreignHome: (homeAgent, spi) => home.find((one) => one.homeAgent === homeAgent && one.spi === spi),
  };
}
