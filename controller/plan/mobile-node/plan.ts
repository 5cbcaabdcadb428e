/**
 * What the kernel of a mobile node holds. The home addresses live on a device of their own, so that they outlast every link; a rule
 * leads packets from them into a table of ours, whose routes say where payload goes now. Each care-of address has tunnel devices of its
 * own, named after it, which never change: an IPv4 one has two, one that sends plain and one that sends UDP. Either receives both.
 */
import {
  hostPrefix,
  type IpAddress,
  type Ipv4Address,
  type Ipv6Address,
  isIpv4,
  isIpv6,
  prefixContains,
} from "../../base/ip.js";
import { mappedAddress } from "../../base/mapped.js";
import type { LocalEndpoint, MobileNodeDataPath } from "../../protocol/mip6/mobile-node/inputs.js";
import type { HomeRoute } from "../../protocol/movement/home-routes.js";
import { defaultMetric, everywhere, homeAgentEnd, homesOf } from "../endpoints.js";
import type { Link, Route, Rule } from "../objects/forwarding.js";
import type { KernelObject } from "../objects/objects.js";
import { homeTestDevice } from "../route-optimisation/ipv4/shared.js";
import { planDirectSite } from "../route-optimisation/site.js";
import { ikeRules } from "../security/ike-way.js";
import { boundRoutingHeaders } from "../security/mobility-headers.js";
import { protectedNode } from "../security/payload-protection.js";
import { returnRoutabilityNode } from "../security/return-routability-protection.js";
import { homeAddressOptionState, mobileNodeSecuritySite } from "../security/subscriber.js";
import { deviceObjects, markedSignalling } from "../shared-objects.js";
import {
  ASKING_MARK,
  type Associations,
  DEFAULT_MTU,
  DEVICE,
  DSMIP_PORT,
  homeTable,
  INTERNAL_ADDRESS,
  isFirstHome,
  type MobileNodePlanSite,
  type NodeSecurity,
  RULE_PRIORITY,
} from "../site.js";
import { careOfTable, hashOf, homeAddress, ipv4Objects, TUNNEL_PREFIX } from "./addresses.js";
import { mobileNodeFirewall } from "./firewall.js";
import { multicastSite, reportsInto, tunnelHook } from "./multicast.js";
import { networkObjects, networkRoute } from "./network.js";

/** Of a route behind all others of its table. */
const LAST_METRIC = 0xffff;

/** Without static keys the associations are negotiated and planned for on their own. */
export function planMobileNodeSite(site: MobileNodePlanSite, keys: NodeSecurity | undefined): readonly KernelObject[] {
  const homeRule: Rule = {
    kind: "rule",
    family: 6,
    priority: RULE_PRIORITY.home,
    table: homeTable(site),
    from: hostPrefix(site.homeAddress),
  };
  return [
    ...(site.homeAgent.ipv4 === undefined
      ? []
      : [{ kind: "fou-port", family: 4, port: DSMIP_PORT, encapsulation: "gue" } as const]),
    ...(site.udpOverIpv6 === true
      ? [{ kind: "fou-port", family: 6, port: DSMIP_PORT, encapsulation: "gue" } as const]
      : []),
    { kind: "link", name: DEVICE.homeAddresses, mtu: 1500, up: true, link: { type: "dummy" } },
    homeAddress(DEVICE.homeAddresses, site.homeAddress),
    homeRule,
    { ...homeRule, priority: RULE_PRIORITY.unspecified, findSource: true },
    ...networkObjects(site),
    ...markedSignalling(),
    ...ikeRules(site),
    ...mobileNodeSecuritySite(site, keys),
    ...(site.routeOptimisation === true ? planDirectSite(site) : []),
    ...(isFirstHome(site) ? [mobileNodeFirewall(site)] : []),
    ...multicastSite(site),
  ];
}

/** The objects of the data path, in a fixed order. */
export function planMobileNode(
  path: MobileNodeDataPath,
  site: MobileNodePlanSite,
  associations: Associations = {},
): readonly KernelObject[] {
  const ipv4 = path.ipv4HomeAddress;
  const homes = homesOf(path);
  const tunnels = new Map<string, LocalEndpoint>();
  for (const endpoint of path.ingress) tunnels.set(`${endpoint.address} ${endpoint.device}`, endpoint);
  const esp = site.profile.protection === "esp";
  return [
    ...[...tunnels.values()].flatMap((endpoint) =>
      esp ? uplinkObjects(endpoint, site) : tunnelObjects(endpoint, site),
    ),
    ...(esp ? protectedNode(path, associations, site) : []),
    ...(site.negotiated === true ? returnRoutabilityNode(path, associations, site) : []),
    ...(ipv4 === undefined ? [] : ipv4Objects(ipv4, site)),
    ...(ipv4 === undefined || site.dualStackCorrespondents === undefined ? [] : homeTestDevice(ipv4, site)),
    ...(path.mode === "home" && path.homeDevice !== undefined
      ? homes.map((home) => homeAddress(path.homeDevice ?? "", home))
      : []),
    ...optionState(path, site),
    ...boundRoutingHeaders(boundAddresses(path), site),
    ...homes.flatMap((home) => routes(home, path, site)),
    ...reportsInto(site, path.egress === undefined || esp ? undefined : tunnelName(path.egress)),
    ...(ipv4 === undefined ? ipv4NetworkRoutes(path, site) : []),
  ];
}

/**
 * What Home Address options go with: over IPv6 the care-of address as source field. From an IPv4 network updates have none, and in a
 * mobile prefix solicitation the home address is in both places (RFC 5555 §2.2).
 */
function optionState({ updateFrom, egress }: MobileNodeDataPath, site: MobileNodePlanSite): readonly KernelObject[] {
  if (updateFrom !== undefined) return [homeAddressOptionState(site, updateFrom)];
  return egress === undefined || egress.format === "ipv6" ? [] : [homeAddressOptionState(site, site.homeAddress)];
}

/** A router without an IPv4 home address has IPv4 networks only away from home: nothing says where home's IPv4 router is. */
function ipv4NetworkRoutes({ egress }: MobileNodeDataPath, site: MobileNodePlanSite): readonly Route[] {
  const prefix = site.prefixes?.find(({ address }) => isIpv4(address));
  if (prefix === undefined) return [];
  const tunnel = egress === undefined || site.profile.protection === "esp" ? undefined : tunnelName(egress);
  return [networkRoute(prefix, tunnel ?? DEVICE.homeAddresses)];
}

/** IPv6 care-of addresses at which the home agent may reach us: the bound one first. */
function boundAddresses({ egress, ingress }: MobileNodeDataPath): readonly Ipv6Address[] {
  const ways = [...(egress === undefined ? [] : [egress]), ...ingress];
  return [...new Set(ways.flatMap((way) => (isOverIpv6(way) ? [way.address] : [])))];
}

/**
 * The device that sends in the endpoint's format. At most 15 octets: the care-of address as a hash, the same for the same address
 * whatever came before, and a letter for the format.
 */
export function tunnelName(endpoint: LocalEndpoint): string {
  const digits = (hashOf(endpoint) & 0xfffffff).toString(16).padStart(7, "0");
  const letter = isIpv6(endpoint.address) && endpoint.format === "udp" ? "v" : LETTER[endpoint.format];
  return `${TUNNEL_PREFIX}${letter}${digits}`;
}

const LETTER = { ipv6: "s", ipv4: "p", udp: "u" } as const;

type Ipv4Endpoint = Extract<LocalEndpoint, { readonly address: Ipv4Address }>;

function tunnelDevice(link: Link, site: MobileNodePlanSite): readonly KernelObject[] {
  return [...deviceObjects(link, INTERNAL_ADDRESS.mobileNode), ...tunnelHook(site, link.name)];
}

function tunnelObjects(endpoint: LocalEndpoint, site: MobileNodePlanSite): readonly KernelObject[] {
  const { homeAgent, profile, mappedSignalling } = site;
  const common = { kind: "link", mtu: profile.mtu ?? DEFAULT_MTU, up: true } as const;
  const trafficClass = profile.dscp === "copy" ? "inherit" : profile.dscp << 2;
  const udp = { sourcePort: DSMIP_PORT, destinationPort: DSMIP_PORT };
  if (isOverIpv6(endpoint)) {
    const ends = { type: "ip6tnl", external: false, local: endpoint.address, remote: homeAgent.ipv6 } as const;
    const header = { ttl: profile.ttl, trafficClass } as const;
    const links: Link[] = [
      { ...common, name: tunnelName({ ...endpoint, format: "ipv6" }), link: { ...ends, ...header } },
    ];
    // Two with the same ends: as below.
    if (site.udpOverIpv6 === true)
      links.push({
        ...common,
        name: tunnelName({ ...endpoint, format: "udp" }),
        link: { ...ends, ...header, device: endpoint.device, udp },
      });
    return [...links.flatMap((link) => tunnelDevice(link, site)), ...uplink(endpoint, homeAgent.ipv6, site)];
  }
  const { ipv4 } = homeAgent;
  if (ipv4 === undefined) return [];
  const ends = { type: "sit", local: endpoint.address, remote: ipv4 } as const;
  const header = { ttl: 0, trafficClass, pathMtuDiscovery: false } as const;
  // The kernel takes a second device with the same ends only if one of the two is bound to a device.
  const plain: Link = {
    ...common,
    name: tunnelName({ ...endpoint, format: "ipv4" }),
    link: { ...ends, ...header, device: endpoint.device },
  };
  if (mappedSignalling === true)
    return [...tunnelDevice(plain, site), ...uplink(endpoint, ipv4, site), ...mappedSource(endpoint, plain.name, site)];
  const links: readonly Link[] = [
    { ...common, name: tunnelName({ ...endpoint, format: "udp" }), link: { ...ends, ...header, udp } },
    plain,
  ];
  return [...links.flatMap((link) => tunnelDevice(link, site)), ...uplink(endpoint, ipv4, site)];
}

/**
 * The IPv4-mapped form of the care-of address on the visited interface, to which answers come (draft-soliman-v4v6-mipv6-00 §3.3), and the
 * way of what has it as its source: into the tunnel.
 */
function mappedSource(
  { address, ...end }: Ipv4Endpoint,
  tunnel: string,
  site: MobileNodePlanSite,
): readonly KernelObject[] {
  const homeAgent = site.homeAgent.ipv6;
  const mapped = mappedAddress(address);
  const table = careOfTable({ address, ...end }, site);
  return [
    {
      kind: "address",
      device: end.device,
      address: mapped,
      prefixLength: 128,
      home: false,
      noPrefixRoute: true,
    },
    { kind: "rule", family: 6, priority: RULE_PRIORITY.careOf, table, from: hostPrefix(mapped) },
    {
      kind: "route",
      destination: hostPrefix(homeAgent),
      table,
      metric: defaultMetric(homeAgent),
      device: tunnel,
    },
  ];
}

const isOverIpv6 = (endpoint: LocalEndpoint): endpoint is Extract<LocalEndpoint, { readonly address: Ipv6Address }> =>
  isIpv6(endpoint.address);

function uplinkObjects(endpoint: LocalEndpoint, site: MobileNodePlanSite): readonly KernelObject[] {
  const remote = homeAgentEnd(endpoint, site.homeAgent);
  return remote === undefined ? [] : uplink(endpoint, remote, site);
}

/**
 * From a care-of address the home agent is reached through the link that the address belongs to, whatever other uplinks there are and
 * whichever of them the main table prefers: updates from a new address, the tunnel, and what strict rp_filter lets in. From an IPv4 one the
 * correspondents that are known by theirs too, before there is a path: tests and their answers come first.
 */
function uplink(endpoint: LocalEndpoint, homeAgent: IpAddress, site: MobileNodePlanSite): readonly KernelObject[] {
  const { address, device, gateway } = endpoint;
  const four = isIpv4(address);
  const table = careOfTable(endpoint, site);
  const via = gateway === undefined ? {} : { via: gateway, onlink: true };
  return [
    {
      kind: "rule",
      family: four ? 4 : 6,
      priority: RULE_PRIORITY.careOf,
      table,
      from: hostPrefix(address),
      unlessMark: ASKING_MARK,
    },
    ...[homeAgent, ...(four ? (site.dualStackCorrespondents ?? []).map((one) => one.ipv4) : [])].map(
      (other): Route => ({
        ...{ kind: "route", destination: hostPrefix(other), table, metric: defaultMetric(address), device },
        ...via,
      }),
    ),
  ];
}

/**
 * Where packets from this home address go. Without any way they go nowhere (into the device of the home addresses) rather than out of
 * the tunnel or with another source. The home link's routes are here too: were they the main table's, packets would go on over another
 * link, in clear, from the moment in which the home link is down or another one preferred. With the link the kernel takes its routes
 * away; what is behind them stays.
 */
function routes(home: IpAddress, path: MobileNodeDataPath, site: MobileNodePlanSite): readonly Route[] {
  const four = isIpv4(home);
  const base = { kind: "route", table: homeTable(site), metric: defaultMetric(home), preferredSource: home } as const;
  const all = { ...base, destination: everywhere(home) };
  if (path.egress !== undefined) {
    // Protected payload is taken by a policy before it gets to a device; what no policy takes goes nowhere.
    const device = site.profile.protection === "esp" ? DEVICE.homeAddresses : tunnelName(path.egress);
    return [{ ...all, device }];
  }
  const nowhere = { ...all, device: DEVICE.homeAddresses };
  if (path.homeDevice === undefined) return [nowhere];
  const device = path.homeDevice;
  const overHome = (four ? ipv4HomeRoutes(home, path, site) : (path.homeRoutes ?? [])).map(
    ({ destination, gateway }): Route => ({
      ...base,
      destination,
      device,
      ...(gateway !== undefined && { via: gateway, onlink: true }),
    }),
  );
  return [...overHome, { ...nowhere, metric: LAST_METRIC }];
}

function ipv4HomeRoutes(
  home: IpAddress,
  { homeIpv4Gateway }: MobileNodeDataPath,
  { homePrefixes }: MobileNodePlanSite,
): readonly HomeRoute[] {
  const onLink = homePrefixes.filter((prefix) => isIpv4(prefix.address) && prefixContains(prefix, home));
  return [
    ...onLink.map((destination) => ({ destination })),
    ...(homeIpv4Gateway === undefined ? [] : [{ destination: everywhere(home), gateway: homeIpv4Gateway }]),
  ];
}
