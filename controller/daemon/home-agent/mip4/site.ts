/** From the configuration to what the machine of Mobile IPv4 needs to know. Pure. */
import { areLent, ownPrefixes } from "../../../../schemas/config/common.js";
import {
  type HomeAgentConfig,
  type HomeAgentMip4,
  mayUse,
  type Subscriber,
} from "../../../../schemas/config/home-agent.js";
import { hostPrefix, type Ipv4Address, isIpv4, isIpv6, type Prefix } from "../../../base/ip.js";
import type { Mip4Keys } from "../../../config/keys.js";
import { addressOnHomeLink, namesOf } from "../../../config/mip4.js";
import type { AdvertisedHome } from "../../../protocol/mip4/home-agent/advertiser.js";
import type { HomeAgentSite, HomeSubscriber } from "../../../protocol/mip4/home-agent/site.js";
import { advertisedLink } from "../../mip4/advertised-link.js";
import { HomeAgentAssociations } from "./associations.js";
import { nodeNameOf } from "./node-names.js";

/** A home agent that serves Mobile IPv4. */
export interface Mip4Part {
  readonly settings: HomeAgentMip4;
  readonly address: Ipv4Address;
  readonly subscribers: readonly Subscriber[];
}

/** Undefined: it serves no Mobile IPv4. */
export function mip4Of({ homeAgent, subscribers }: HomeAgentConfig): Mip4Part | undefined {
  const { mip4: settings, addresses } = homeAgent;
  if (settings === undefined || addresses.ipv4 === undefined) return undefined;
  return { settings, address: addresses.ipv4, subscribers: subscribers.filter((one) => mayUse(one, "mip4")) };
}

export function mip4Associations({ subscribers, address }: Mip4Part, keys: Mip4Keys): HomeAgentAssociations {
  const nodes = subscribers.map((one) => ({ node: nodeNameOf(one), names: namesOf(one) }));
  return new HomeAgentAssociations(nodes, keys, address);
}

export function mip4HomeAgentSite(
  { homeAgent }: Pick<HomeAgentConfig, "homeAgent">,
  { settings, address, subscribers }: Mip4Part,
  associations: HomeAgentAssociations,
): HomeAgentSite {
  const { addresses, homeLink, ipv4Pool, previousCareOfGraceSeconds, journalFailure } = homeAgent;
  return {
    address,
    localAddress: addresses.ipv4Local,
    homePrefixes: homeLink.prefixes.filter((prefix) => isIpv4(prefix.address)),
    maxLifetimeSeconds: settings.maxLifetimeSeconds,
    reverseTunnelling: settings.reverseTunnelling,
    // The kernel has no device that takes GRE out of the tunnel data of RFC 3519.
    encapsulations: { gre: settings.gre, greInUdp: false },
    udpTunnelling: {
      allowed: settings.natTraversal,
      forced: settings.udp === "always" ? "always" : settings.udp === "grant",
      keepaliveSeconds: settings.keepaliveSeconds,
    },
    careOfMode: settings.tunnellingMode === "requested",
    strictReservedBits: settings.strictReservedBits,
    previousCareOfGraceSeconds,
    subscribers: subscribers.map((one) => homeSubscriber(one, associations, settings)),
    foreignAgents: settings.foreignAgents.flatMap((foreignAgent) => {
      const spi = associations.spiOf(foreignAgent);
      return spi === undefined ? [] : [{ address: foreignAgent, spi }];
    }),
    ipv4LeaseSeconds: ipv4Pool?.leaseSeconds,
    journalFailure,
  };
}

function homeSubscriber(
  subscriber: Subscriber,
  associations: HomeAgentAssociations,
  { replayToleranceSeconds }: HomeAgentMip4,
): HomeSubscriber {
  const { ipv4HomeAddress, nai, profile, reverseTunnelling, linkLocal, mobileRouter, prefixes } = subscriber;
  const node = nodeNameOf(subscriber);
  const registers = mobileRouter !== "no";
  return {
    node,
    ipv4HomeAddress,
    identifier: nai,
    associations: associations.of(node, replayToleranceSeconds),
    profile,
    reverseTunnelling,
    prefixes: registers ? ipv6PrefixesOf(subscriber) : [],
    borrowsPrefixes: registers && areLent(prefixes),
    linkLocal,
    prefixRegistration: mobileRouter === "no" ? "either" : mobileRouter,
  };
}

/** What the home link is told; undefined: nothing. */
export function advertisedHome(
  { homeAgent }: HomeAgentConfig,
  { settings, address }: Mip4Part,
): AdvertisedHome | undefined {
  const { advertisements, maxLifetimeSeconds, gre } = settings;
  const { interface: device } = homeAgent.homeLink;
  const own = addressOnHomeLink(homeAgent);
  if (advertisements === undefined || device === undefined || own === undefined) return undefined;
  return {
    link: advertisedLink(device, own, advertisements),
    homeAgent: address,
    registrationLifetimeSeconds: maxLifetimeSeconds,
    gre,
    routesCommonTraffic: advertisements.routesCommonTraffic,
  };
}

/** Its networks, and the IPv6 home address that it has by Mobile IPv6: here that is a prefix of one address. */
export function ipv6PrefixesOf({ prefixes, homeAddress }: Subscriber): readonly Prefix[] {
  const networks = ownPrefixes(prefixes).filter(({ address }) => isIpv6(address));
  return homeAddress === undefined ? networks : [hostPrefix(homeAddress), ...networks];
}
