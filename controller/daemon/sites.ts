/** From the configuration to what the machines and the plans need to know. Pure. */

import { type HomeAgentConfig, type MobileNodeConfig, tunnelProfile } from "../../schemas/config.js";
import { familyOf } from "../base/ip.js";
import { servesMobileRouters } from "../config/radvd.js";
import { anycastAddresses } from "../plan/home-agent/discovery.js";
import { assignSlots } from "../plan/security/request-ids.js";
import type { HomeAgentPlanSite, MobileNodePlanSite } from "../plan/site.js";
import type { DiscoverySite } from "../protocol/mip6/home-agent/discovery/machine.js";
import type { HomeAgentSite, HomeSubscriber } from "../protocol/mip6/home-agent/site.js";
import type { MobileNodeSite } from "../protocol/movement/attachment.js";

export function homeAgentSite(config: HomeAgentConfig): HomeAgentSite {
  const {
    addresses,
    homeLink,
    maxLifetimeSeconds,
    natRefreshSeconds,
    forceUdp,
    duplicateAddressDetection,
    previousCareOfGraceSeconds,
    ipv4Pool,
    refreshAdviceSeconds,
    refreshRequests,
    journalFailure,
  } = config.homeAgent;
  const subscribers = new Map<HomeSubscriber["homeAddress"], HomeSubscriber>();
  for (const subscriber of config.subscribers) subscribers.set(subscriber.homeAddress, subscriber);
  return {
    addresses,
    homePrefixes: homeLink.prefixes,
    maxLifetimeSeconds,
    natRefreshSeconds,
    forceUdp,
    duplicateAddressDetection: duplicateAddressDetection && homeLink.interface !== undefined,
    previousCareOfGraceSeconds,
    subscribers,
    ipv4Pool,
    refreshAdviceSeconds,
    refreshRequests,
    journalFailure,
    keyManagementMobility: config.security.method === "ikev2",
  };
}

export function homeAgentPlanSite(config: HomeAgentConfig): HomeAgentPlanSite {
  const { addresses, homeLink, mtu, discovery } = config.homeAgent;
  const profiles = new Map(Object.entries(config.tunnelProfiles));
  if (!profiles.has("default")) profiles.set("default", tunnelProfile.parse({}));
  const { security } = config;
  const negotiated =
    security.method === "ikev2"
      ? { slots: assignSlots(config.subscribers.map(({ homeAddress }) => homeAddress)), espInUdp: security.espInUdp }
      : undefined;
  return {
    addresses,
    homePrefixes: homeLink.prefixes,
    homeDevice: homeLink.interface,
    mtu,
    profiles,
    addressDiscovery: discovery.addressDiscovery,
    negotiated,
    prefixLengths: prefixLengths(config),
  };
}

export function discoverySite(config: HomeAgentConfig): DiscoverySite {
  const { addresses, homeLink, discovery } = config.homeAgent;
  return {
    address: addresses.ipv6,
    anycastAddresses: anycastAddresses(homeLink.prefixes),
    preference: discovery.preference,
    mobileRouters: servesMobileRouters(config),
  };
}

/** Which the firewall has sets for. Host prefixes are in those of the home addresses. */
function prefixLengths({ subscribers }: HomeAgentConfig): HomeAgentPlanSite["prefixLengths"] {
  const lengths = { 4: new Set<number>(), 6: new Set<number>() };
  for (const { prefixes } of subscribers)
    for (const { address, length } of prefixes) lengths[familyOf(address)].add(length);
  return { ipv4: [...lengths[4]], ipv6: [...lengths[6]] };
}

export function mobileNodeSite({ mobileNode, security }: MobileNodeConfig): MobileNodeSite {
  return { ...mobileNode, negotiatesKeys: security.method === "ikev2", mobike: movesByMobike(security) };
}

const movesByMobike = (security: MobileNodeConfig["security"]): boolean =>
  security.method === "ikev2" && security.movement === "mobike";

export function mobileNodePlanSite(
  { mobileNode, tunnelProfile, security }: MobileNodeConfig,
  egressDevices: readonly string[] = [],
): MobileNodePlanSite {
  const { homeAddress, ipv4HomeAddress, homePrefixes, homeAgent, prefixes } = mobileNode;
  const negotiated = security.method === "ikev2";
  const mobike = movesByMobike(security);
  const home = { homeAddress, ipv4HomeAddress, homePrefixes, homeAgent };
  return { ...home, profile: tunnelProfile, negotiated, mobike, prefixes, egressDevices };
}
