/** What the machine of Mobile IPv4 and its choice of a place are told of the configuration and the keys. */
import type { Mip4NodeConfig } from "../../../../schemas/config/mip4-node.js";
import { edgesOf, IPV4_ANY, type Ipv4Address } from "../../../base/ip.js";
import type { MobileForeignKey, MobileHomeKey } from "../../../config/keys.js";
import { namesOf } from "../../../config/mip4-node.js";
import type { MobileNodeSite } from "../../../protocol/mip4/mobile-node/site.js";
import type { WhereaboutsSite } from "../../../protocol/mip4/mobile-node/whereabouts.js";
import { INFINITE_LIFETIME_SECONDS } from "../../../wire/mip4/messages/registration.js";

export interface NodeKeyRing {
  readonly home: MobileHomeKey;
  readonly foreign: readonly MobileForeignKey[];
}

export function mobileNodeSite(config: Mip4NodeConfig, { home, foreign }: NodeKeyRing): MobileNodeSite {
  const { mobileNode: node } = config;
  return {
    homeAddress: node.homeAddress,
    identifier: node.nai,
    homeAgent: homeAgentOf(config),
    findsHomeAgent: node.homeAgent === undefined,
    spi: home.spi,
    foreignAssociations: foreign.map(({ foreignAgent: agent, spi }) => ({ agent, spi })),
    replayProtection: { kind: home.replay },
    lifetimeSeconds: Math.min(node.lifetimeSeconds, INFINITE_LIFETIME_SECONDS),
    reverseTunnelling: node.reverseTunnelling,
    encapsulation: node.encapsulation,
    udpTunnelling: { ask: node.natTraversal, forced: node.forceUdp, keepaliveSeconds: node.natKeepaliveSeconds },
    previousCareOfGraceSeconds: node.previousCareOfGraceSeconds,
    prefixes: node.prefixes,
    tunnelToCareOf: node.ipv6Tunnelling === "care-of-address",
    delegation: node.prefixDelegation,
  };
}

/** Its address, or the one at which home agents are asked. */
export function homeAgentOf({ mobileNode: { homeAgent, homeSubnet } }: Mip4NodeConfig): Ipv4Address {
  if (homeAgent !== undefined) return homeAgent;
  const edges = homeSubnet === undefined ? [] : edgesOf(homeSubnet.address as Ipv4Address, homeSubnet.length);
  return edges[1] ?? IPV4_ANY;
}

export function whereaboutsSite(config: Mip4NodeConfig): WhereaboutsSite {
  const { homeAddress, homeSubnet, interfaces, foreignAgents } = config.mobileNode;
  return { homeAgent: homeAgentOf(config), homeAddress, homeSubnet, interfaces, foreignAgents };
}

/** How people call the node. */
export const nodeTitle = (config: Mip4NodeConfig): string => namesOf(config)[0] ?? "";
