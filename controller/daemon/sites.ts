/** From the configuration to what the machines and the plans need to know. Pure. */

import { areLent, ownPrefixes, tunnelProfile } from "../../schemas/config/common.js";
import type {
  HomeAgentConfig,
  Mip6HomeAgentConfig,
  PrefixPoolConfig,
  Subscriber,
} from "../../schemas/config/home-agent.js";
import {
  asCorrespondent,
  type MobileNodeConfig,
  optimisesRoutes,
  ownAddress,
} from "../../schemas/config/mobile-node.js";
import { familyOf, type Ipv4Address } from "../base/ip.js";
import { servesMobileRouters } from "../config/radvd.js";
import { anycastAddresses } from "../plan/home-agent/discovery.js";
import { assignSlots } from "../plan/security/request-ids.js";
import { type HomeAgentPlanSite, type MobileNodePlanSite, NO_IPV6_ADDRESS } from "../plan/site.js";
import type { DiscoverySite } from "../protocol/mip6/home-agent/discovery/machine.js";
import type { HomeAgentSite, HomeSubscriber } from "../protocol/mip6/home-agent/site.js";
import type { MobileNodeSite } from "../protocol/movement/attachment.js";
import type { Wishes } from "../protocol/movement/lent.js";
import type { NetworkPool } from "../protocol/ownership/lent-networks.js";
import { Ownership } from "../protocol/ownership/ownership.js";
import { nodeNameOf } from "./home-agent/mip4/node-names.js";
import { ipv6PrefixesOf } from "./home-agent/mip4/site.js";

export function homeAgentSite(config: Mip6HomeAgentConfig): HomeAgentSite {
  const {
    addresses,
    homeLink,
    maxLifetimeSeconds,
    natRefreshSeconds,
    forceUdp,
    duplicateAddressDetection,
    previousCareOfGraceSeconds,
    ipv4Pool,
    prefixPool,
    refreshAdviceSeconds,
    refreshRequests,
    journalFailure,
    udpOverIpv6,
  } = config.homeAgent;
  const subscribers = new Map<HomeSubscriber["homeAddress"], HomeSubscriber>();
  for (const subscriber of config.subscribers) {
    const { homeAddress, prefixes } = subscriber;
    const networks = { prefixes: ownPrefixes(prefixes), borrowsPrefixes: areLent(prefixes) };
    subscribers.set(homeAddress, { ...subscriber, ...networks });
  }
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
    prefixPool: prefixPool && { ...prefixPool, lengths: lentLengths(prefixPool) },
    refreshAdviceSeconds,
    refreshRequests,
    journalFailure,
    udpOverIpv6,
    keyManagementMobility: movesKeys(config),
  };
}

/** Who owns which home address and which prefix, whatever the protocol. Throws InvariantError if something belongs to two. */
export function homeAgentOwnership({ homeAgent, subscribers }: HomeAgentConfig): Ownership {
  const { addresses, homeLink, ipv4Pool, prefixPool } = homeAgent;
  return new Ownership({
    nodes: subscribers.map((one) => ({
      homeAddress: nodeNameOf(one),
      ipv4HomeAddress: one.ipv4HomeAddress,
      prefixes: ownPrefixes(one.prefixes),
    })),
    pool: ipv4Pool?.prefixes ?? [],
    networkPool: prefixPool && { ...prefixPool, lengths: lentLengths(prefixPool) },
    reserved: [addresses.ipv6, addresses.ipv4, addresses.ipv4Local].filter((one) => one !== undefined),
    homePrefixes: homeLink.prefixes,
  });
}

/** Of a home agent that serves Mobile IPv4 alone. */
export function ipv4PlanSite(config: HomeAgentConfig): HomeAgentPlanSite {
  const { homeAgent, subscribers: mip4Subscribers } = config;
  const addresses = { ...homeAgent.addresses, ipv6: NO_IPV6_ADDRESS };
  const discovery = { ...homeAgent.discovery, addressDiscovery: false };
  return homeAgentPlanSite({
    ...config,
    security: { method: "static-keys" },
    homeAgent: { ...homeAgent, addresses, discovery, udpOverIpv6: false, multicast: undefined },
    subscribers: [],
    mip4Subscribers,
  });
}

/** Host prefixes are in the sets of the home addresses. */
const HOST_LENGTH = 128;

/** What serving Mobile IPv4 adds to the kernel; undefined: it is not served. */
function mip4PlanPart({ homeAgent, mip4Subscribers }: Mip6HomeAgentConfig): HomeAgentPlanSite["mip4"] {
  const { mip4, prefixPool } = homeAgent;
  if (mip4 === undefined) return undefined;
  const lent = prefixPool === undefined ? [] : lentLengths(prefixPool).ipv6;
  const lengths = new Set([...lent, ...mip4Subscribers.flatMap(ipv6PrefixesOf).map(({ length }) => length)]);
  return { prefixLengths: [...lengths].filter((length) => length < HOST_LENGTH), gre: mip4.gre };
}

export function homeAgentPlanSite(config: Mip6HomeAgentConfig): HomeAgentPlanSite {
  const { addresses, homeLink, mtu, discovery, udpOverIpv6, multicast } = config.homeAgent;
  const profiles = new Map(Object.entries(config.tunnelProfiles));
  if (!profiles.has("default")) profiles.set("default", tunnelProfile.parse({}));
  const { security } = config;
  const negotiated =
    security.method === "ikev2"
      ? { slots: assignSlots(config.subscribers.map(({ homeAddress }) => homeAddress)), espInUdp: security.espInUdp }
      : undefined;
  return {
    addresses: { ipv6: addresses.ipv6, ipv4: localIpv4(config) },
    homePrefixes: homeLink.prefixes,
    homeDevice: homeLink.interface,
    mtu,
    profiles,
    mappedSignalling: config.subscribers.some(({ ipv4Signalling }) => ipv4Signalling === "soliman2004"),
    addressDiscovery: discovery.addressDiscovery,
    udpOverIpv6,
    multicast: multicast !== undefined,
    negotiated,
    prefixLengths: prefixLengths(config),
    mip4: mip4PlanPart(config),
  };
}

/** The IPv4 address that this machine has; nodes may know it by another one (a static NAT, RFC 5555 §1.3). */
export function localIpv4({ homeAgent: { addresses } }: Pick<HomeAgentConfig, "homeAgent">): Ipv4Address | undefined {
  return addresses.ipv4Local ?? addresses.ipv4;
}

export function discoverySite(config: Mip6HomeAgentConfig): DiscoverySite {
  const { addresses, homeLink, discovery } = config.homeAgent;
  return {
    address: addresses.ipv6,
    anycastAddresses: anycastAddresses(homeLink.prefixes),
    preference: discovery.preference,
    mobileRouters: servesMobileRouters(config),
  };
}

/** Of families of which there is something to lend. */
function lentLengths({ prefixes, ipv4Lengths, ipv6Lengths }: PrefixPoolConfig): NetworkPool["lengths"] {
  const has = (family: 4 | 6): boolean => prefixes.some(({ address }) => familyOf(address) === family);
  return { ipv4: has(4) ? ipv4Lengths : [], ipv6: has(6) ? ipv6Lengths : [] };
}

/** Which the firewall has sets for. Host prefixes are in those of the home addresses. */
function prefixLengths({
  subscribers,
  homeAgent,
}: Pick<HomeAgentConfig, "homeAgent"> & {
  readonly subscribers: readonly Pick<Subscriber, "prefixes">[];
}): HomeAgentPlanSite["prefixLengths"] {
  const { prefixPool } = homeAgent;
  const lent = prefixPool === undefined ? { ipv4: [], ipv6: [] } : lentLengths(prefixPool);
  const lengths = { 4: new Set<number>(lent.ipv4), 6: new Set<number>(lent.ipv6) };
  for (const { prefixes } of subscribers)
    for (const { address, length } of ownPrefixes(prefixes)) lengths[familyOf(address)].add(length);
  return { ipv4: [...lengths[4]], ipv6: [...lengths[6]] };
}

export function mobileNodeSite({ mobileNode, security }: MobileNodeConfig): MobileNodeSite {
  const { ipv4HomeAddress, prefixes, prefixLengths, furtherHomeAddresses, routeOptimisation, ...rest } = mobileNode;
  const own = { ipv4HomeAddress: ownAddress(ipv4HomeAddress), prefixes: ownPrefixes(prefixes) };
  const wishes = wishesOf(mobileNode);
  return {
    ...rest,
    ...own,
    ...(wishes === undefined ? {} : { wishes }),
    negotiatesKeys: security.method === "ikev2",
    movesKeys: movesKeys({ security }),
    mobike: movesByMobike(security),
  };
}

function wishedAddress(address: MobileNodeConfig["mobileNode"]["ipv4HomeAddress"]): Wishes["ipv4HomeAddress"] {
  if (address === "dynamic") return "own";
  return address === "from-prefix" ? "from-prefix" : "none";
}

/** Undefined if the node borrows nothing. */
function wishesOf({ ipv4HomeAddress, prefixes, prefixLengths }: MobileNodeConfig["mobileNode"]): Wishes | undefined {
  const wanted = wishedAddress(ipv4HomeAddress);
  const lengths = areLent(prefixes) ? prefixLengths : { ipv4: [], ipv6: [] };
  const nothing = wanted === "none" && !areLent(prefixes);
  return nothing ? undefined : { ipv4HomeAddress: wanted, lengths };
}

/** The IKE SA follows nodes by what binding updates say (the K flag). */
const movesKeys = ({ security }: Pick<HomeAgentConfig | MobileNodeConfig, "security">): boolean =>
  security.method === "ikev2" && security.movement !== "renegotiate";

const movesByMobike = (security: MobileNodeConfig["security"]): boolean =>
  security.method === "ikev2" && security.movement === "mobike";

export function mobileNodePlanSite(
  { mobileNode, tunnelProfile, security }: MobileNodeConfig,
  egressDevices: readonly string[] = [],
  rank = 0,
): MobileNodePlanSite {
  const furtherHomes = rank === 0 ? mobileNode.furtherHomeAddresses : [];
  const { homeAddress, ipv4HomeAddress, homePrefixes, homeAgent, prefixes, udpOverIpv6, multicast } = mobileNode;
  const negotiated = security.method === "ikev2";
  const mobike = movesByMobike(security);
  const home = { homeAddress, ipv4HomeAddress: ownAddress(ipv4HomeAddress), homePrefixes, homeAgent };
  const networks = { prefixes: ownPrefixes(prefixes), egressDevices };
  const mappedSignalling = mobileNode.ipv4Signalling === "soliman2004";
  const shared = { rank, furtherHomes, profile: tunnelProfile, negotiated, mobike };
  const routeOptimisation = optimisesRoutes({ mobileNode, tunnelProfile });
  const correspondent = asCorrespondent({ mobileNode, tunnelProfile }) !== undefined;
  const dualStackCorrespondents = routeOptimisation ? mobileNode.routeOptimisation?.ipv4?.correspondents : undefined;
  const direct = { routeOptimisation, correspondent, dualStackCorrespondents };
  return { ...home, ...shared, mappedSignalling, ...networks, udpOverIpv6, multicast, ...direct };
}
