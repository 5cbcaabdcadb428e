/**
 * What the kernel of a mobile node holds. The home addresses live on a device of their own, so that they outlast every link; a rule
 * leads packets from them into a table of ours, whose routes say where payload goes now. Each care-of address has one tunnel device, named
 * after it, which receives plain and UDP alike; only the format of sending changes in place.
 */
import {
  hostPrefix,
  IPV4_ANY,
  IPV6_ANY,
  type IpAddress,
  type Ipv4Address,
  isIpv4,
  prefixContains,
} from "../base/ip.js";
import type { LocalEndpoint, MobileNodeDataPath } from "../protocol/mobile-node-model.js";
import { mobileNodeFirewall, TUNNEL_PREFIX } from "./mobile-node-firewall.js";
import type { Address, KernelObject, Link, Route } from "./objects.js";
import { homeAddressOptionState, mobileNodeSecuritySite } from "./security-plan.js";
import { signallingObjects, sysctl } from "./shared-objects.js";
import {
  DEFAULT_MTU,
  DEVICE,
  DSMIP_PORT,
  HOME_TABLE,
  type MobileNodePlanSite,
  type NodeSecurity,
  RULE_PRIORITY,
} from "./site.js";

export function planMobileNodeSite(site: MobileNodePlanSite, keys: NodeSecurity): readonly KernelObject[] {
  return [
    ...(site.homeAgent.ipv4 === undefined
      ? []
      : [{ kind: "fou-port", family: 4, port: DSMIP_PORT, encapsulation: "gue" } as const]),
    { kind: "link", name: DEVICE.homeAddresses, mtu: 1500, up: true, link: { type: "dummy" } },
    homeAddress(DEVICE.homeAddresses, site.homeAddress),
    {
      kind: "rule",
      family: 6,
      priority: RULE_PRIORITY.home,
      table: HOME_TABLE,
      from: hostPrefix(site.homeAddress),
      findSource: true,
    },
    ...signallingObjects(),
    ...mobileNodeSecuritySite(site, keys),
    mobileNodeFirewall(site),
  ];
}

/** The objects of the data path, in a fixed order. */
export function planMobileNode(path: MobileNodeDataPath, site: MobileNodePlanSite): readonly KernelObject[] {
  const ipv4 = path.ipv4HomeAddress;
  const homes: readonly IpAddress[] = [path.homeAddress, ...(ipv4 === undefined ? [] : [ipv4])];
  const tunnels = new Map<string, LocalEndpoint>();
  for (const endpoint of [...path.ingress, ...(path.egress === undefined ? [] : [path.egress])])
    tunnels.set(tunnelName(endpoint), endpoint);
  return [
    ...[...tunnels.values()].flatMap((endpoint) => tunnelObjects(endpoint, site)),
    ...(ipv4 === undefined ? [] : ipv4Objects(ipv4)),
    ...(path.mode === "home" && path.homeDevice !== undefined
      ? homes.map((home) => homeAddress(path.homeDevice ?? "", home))
      : []),
    ...(path.updateFrom === undefined ? [] : [homeAddressOptionState(site, path.updateFrom)]),
    ...homes.flatMap((home) => routes(home, path, site)),
  ];
}

/** IFA_F_HOMEADDRESS makes the kernel prefer it as a source, and take it in a type 2 routing header. */
function homeAddress(device: string, address: IpAddress): Address {
  const four = isIpv4(address);
  return { kind: "address", device, address, prefixLength: four ? 32 : 128, home: !four, noPrefixRoute: false };
}

/** A packet whose source is not chosen yet looks into our table too, and takes the home address from the route it finds there. */
function ipv4Objects(address: Ipv4Address): readonly KernelObject[] {
  const rule = { kind: "rule", family: 4, table: HOME_TABLE } as const;
  return [
    homeAddress(DEVICE.homeAddresses, address),
    { ...rule, priority: RULE_PRIORITY.home, from: hostPrefix(address) },
    { ...rule, priority: RULE_PRIORITY.unspecified, from: hostPrefix(IPV4_ANY) },
  ];
}

/** At most 15 octets: the care-of address as a hash, the same for the same address whatever came before. */
export function tunnelName({ address, device }: LocalEndpoint): string {
  let hash = 0x811c9dc5;
  for (const letter of `${address}%${device}`) hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  return `${TUNNEL_PREFIX}${hash.toString(16).padStart(8, "0")}`;
}

function tunnelObjects(endpoint: LocalEndpoint, site: MobileNodePlanSite): readonly KernelObject[] {
  const { homeAgent, profile } = site;
  const name = tunnelName(endpoint);
  const common = { kind: "link", name, mtu: profile.mtu ?? DEFAULT_MTU, up: true } as const;
  const trafficClass = profile.dscp === "copy" ? "inherit" : profile.dscp << 2;
  if (endpoint.format === "ipv6") {
    const link: Link = {
      ...common,
      link: {
        type: "ip6tnl",
        external: false,
        local: endpoint.address,
        remote: homeAgent.ipv6,
        ttl: profile.ttl,
        trafficClass,
      },
    };
    return [link, ...switches(name)];
  }
  if (homeAgent.ipv4 === undefined) return [];
  const udp = endpoint.format === "udp" ? { udp: { sourcePort: DSMIP_PORT, destinationPort: DSMIP_PORT } } : {};
  const header = { ttl: 0, trafficClass, pathMtuDiscovery: false } as const;
  const link: Link = {
    ...common,
    link: { type: "sit", local: endpoint.address, remote: homeAgent.ipv4, ...header, ...udp },
  };
  return [link, ...switches(name)];
}

/** Payload arrives through whichever tunnel the home agent uses; its way back may be another one. */
function switches(device: string): readonly KernelObject[] {
  return [sysctl(`net/ipv4/conf/${device}/rp_filter`, 2), sysctl(`net/ipv4/conf/${device}/send_redirects`, 0)];
}

/**
 * Where packets from this home address go. Without any way they go nowhere (into the device of the home addresses) rather than out of
 * the tunnel; at home the main table serves IPv6, while IPv4 needs routes that say which source to take.
 */
function routes(home: IpAddress, path: MobileNodeDataPath, site: MobileNodePlanSite): readonly Route[] {
  const four = isIpv4(home);
  const base = { kind: "route", table: HOME_TABLE, metric: four ? 0 : 1024, preferredSource: home } as const;
  const everywhere = { address: four ? IPV4_ANY : IPV6_ANY, length: 0 };
  if (path.egress !== undefined) return [{ ...base, destination: everywhere, device: tunnelName(path.egress) }];
  if (path.homeDevice === undefined) return [{ ...base, destination: everywhere, device: DEVICE.homeAddresses }];
  const device = path.homeDevice;
  if (!four) return [];
  const onLink = site.homePrefixes
    .filter((prefix) => isIpv4(prefix.address) && prefixContains(prefix, home))
    .map((destination): Route => ({ ...base, destination, device }));
  const gateway = path.homeIpv4Gateway;
  return gateway === undefined
    ? onLink
    : [...onLink, { ...base, destination: everywhere, device, via: gateway, onlink: true }];
}
