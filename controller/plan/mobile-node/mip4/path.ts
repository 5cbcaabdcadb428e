/**
 * The kernel objects of a path of a Mobile IPv4 node. Each care-of address of its own has tunnel devices that never change, one for each
 * encapsulation; IPv6 to the home address has one for all, whose packets go where those of the home address go. Behind a foreign agent
 * there is no tunnel: payload is that of a host of the link whose router is the agent.
 */
import { hostPrefix, IPV4_ANY, IPV6_ANY, type Ipv4Address, isIpv4, prefixContains } from "../../../base/ip.js";
import type { NodePath, PathEnd } from "../../../protocol/mip4/mobile-node/inputs.js";
import { INNER_IPV4_HEADER, LEAST_MTU, REGISTRATION_PORT } from "../../mip4/tunnel-data.js";
import type { Link, Route } from "../../objects/forwarding.js";
import type { KernelObject } from "../../objects/objects.js";
import { deviceObjects, sysctl } from "../../shared-objects.js";
import {
  DEFAULT_MTU,
  DEVICE,
  HOME_TABLE,
  INTERNAL_ADDRESS,
  RULE_PRIORITY,
  type TunnelProfileSpec,
} from "../../site.js";
import { careOfTable, hashOf, homeAddress, TUNNEL_PREFIX } from "../addresses.js";
import type { Mip4NodePlanSite } from "./given.js";

type Away = Extract<NodePath, { readonly mode: "away" }>;
type CoLocated = Extract<PathEnd, { readonly kind: "co-located" }>;

/** Of IPv6 to the home address. */
export const HOME_TUNNEL = `${TUNNEL_PREFIX}h`;
/** Where IPv6 of those prefixes goes whose way is not that of the first one. */
const SECOND_WAY_TABLE = 4196;
/** Of a route behind all others of its table. */
const LAST_METRIC = 0xffff;
const IPV4_EVERYWHERE = { address: IPV4_ANY, length: 0 } as const;
const IPV6_EVERYWHERE = { address: IPV6_ANY, length: 0 } as const;

/** In a fixed order. `site`: with what this path says (`withPath`). */
export function planMip4NodePath(path: NodePath, site: Mip4NodePlanSite): readonly KernelObject[] {
  switch (path.mode) {
    case "detached":
      return [
        ...arrivals(path, site),
        ...homeLink(path),
        ...(site.homeAddress === undefined ? [] : nowhere(site.homeAddress, site)),
      ];
    case "home":
      return [
        // As a host address: the home prefix as a route of ours would look like the home link.
        homeAddress(path.device, path.homeAddress),
        ...ipv6OnHomeLink(path.device, site),
        ...homeRoutes(path, site),
        ...arrivals(path, site),
      ];
    case "away":
      return [
        ...ends(path).flatMap((end) => objectsOf(end, site)),
        ...homeLink(path),
        ...(usesHomeTunnel(path) ? homeTunnel(path.homeAddress, site) : []),
        ...ipv4Routes(path, site),
        ...ipv6Routes(path, site),
      ];
  }
}

/**
 * At home, or nowhere yet: of a place that is asked for. The answer comes there (a strict reverse path filter takes it by the rule of the
 * care-of address alone), and before it payload.
 */
function arrivals({ ingress = [] }: Exclude<NodePath, Away>, site: Mip4NodePlanSite): readonly KernelObject[] {
  const { homeAddress: home, prefixes } = site;
  const overHome = home !== undefined && ingress.length > 0 && prefixes.length > 0;
  return [...ingress.flatMap((end) => objectsOf(end, site)), ...(overHome ? homeTunnel(home, site) : [])];
}

/** The answer to a de-registration comes by the home link while the way back still leads into the tunnel, or nowhere. */
const homeLink = ({ homeDevice }: Exclude<NodePath, { readonly mode: "home" }>): readonly KernelObject[] =>
  homeDevice === undefined ? [] : [sysctl(`net/ipv4/conf/${homeDevice}/rp_filter`, 2)];

const objectsOf = (end: PathEnd, site: Mip4NodePlanSite): readonly KernelObject[] =>
  end.kind === "co-located" ? tunnels(end, site) : visited(end);

/** With no way at all nothing leaves with another source, or in clear. */
function nowhere(home: Ipv4Address, { prefixes }: Mip4NodePlanSite): readonly Route[] {
  const base = { kind: "route", table: HOME_TABLE, device: DEVICE.homeAddresses } as const;
  return [
    { ...base, destination: IPV4_EVERYWHERE, metric: 0, preferredSource: home },
    ...(prefixes.length === 0 ? [] : [{ ...base, destination: IPV6_EVERYWHERE, metric: 1024 }]),
  ];
}

/** One that is registered as a prefix of its own is an address of the home link; others are of networks behind the node. */
function ipv6OnHomeLink(device: string, { ipv6HomeAddress, prefixes }: Mip4NodePlanSite): readonly KernelObject[] {
  const registered = prefixes.some(({ address, length }) => length === 128 && address === ipv6HomeAddress);
  return ipv6HomeAddress !== undefined && registered ? [homeAddress(device, ipv6HomeAddress)] : [];
}

/** In our table too: the main one's would lead on over another link when this one is down, or that one is preferred. */
function homeRoutes(
  { device, homeAddress: home }: Extract<NodePath, { readonly mode: "home" }>,
  { homePrefixes, routers, prefixes, homeRoutes: ipv6 = [] }: Mip4NodePlanSite,
): readonly Route[] {
  const base6 = { kind: "route", table: HOME_TABLE, metric: 1024 } as const;
  const six = ipv6.map(
    ({ destination, gateway }): Route => ({
      ...base6,
      destination,
      device,
      ...(gateway !== undefined && { via: gateway, onlink: true }),
    }),
  );
  const nowhere6 = { ...base6, destination: IPV6_EVERYWHERE, metric: LAST_METRIC, device: DEVICE.homeAddresses };
  const base = { kind: "route", table: HOME_TABLE, metric: 0, device, preferredSource: home } as const;
  const router = routers?.get(device);
  return [
    ...homePrefixes
      .filter((prefix) => isIpv4(prefix.address) && prefixContains(prefix, home))
      .map((destination) => ({ ...base, destination })),
    ...(router === undefined ? [] : [{ ...base, destination: IPV4_EVERYWHERE, via: router, onlink: true }]),
    { ...base, destination: IPV4_EVERYWHERE, metric: LAST_METRIC, device: DEVICE.homeAddresses },
    ...(prefixes.length === 0 ? [] : [...six, nowhere6]),
  ];
}

/** All at which payload comes in, each once, and where it goes out. */
function ends({ egress, ingress }: Away): readonly PathEnd[] {
  const found = new Map<string, PathEnd>();
  for (const end of [egress, ...ingress])
    found.set(`${end.device} ${end.kind === "co-located" ? end.address : end.agent}`, end);
  return [...found.values()];
}

/** Encapsulations as letters: IP in IP, RFC 3519's UDP, GRE. */
type Letter = "p" | "n" | "g";

/** At most 15 octets, the same for the same care-of address whatever came before. */
export function mip4TunnelName(end: CoLocated, letter: Letter): string {
  return `${TUNNEL_PREFIX}${letter}${(hashOf(end) & 0xfffffff).toString(16).padStart(7, "0")}`;
}

/** Of one that carries IPv6 the configuration has seen to it that there is room (RFC 8200 §5). */
const tunnelMtu = ({ mtu = DEFAULT_MTU }: TunnelProfileSpec): number => mtu;

function tunnels(end: CoLocated, site: Mip4NodePlanSite): readonly KernelObject[] {
  const { homeAgent, profile } = site;
  const common = { kind: "link", mtu: tunnelMtu(profile), up: true } as const;
  const header = { ttl: 0, trafficClass: classOf(profile) } as const;
  const local = { local: end.address, remote: homeAgent } as const;
  const sit = { type: "sit", ...local, ...header, pathMtuDiscovery: false } as const;
  const udp = { sourcePort: REGISTRATION_PORT, destinationPort: REGISTRATION_PORT, gue: true } as const;
  const links: readonly Link[] = [
    { ...common, name: mip4TunnelName(end, "n"), link: { ...sit, udp } },
    // The kernel takes a second device with the same ends only if one of the two is bound to a device.
    { ...common, name: mip4TunnelName(end, "p"), link: { ...sit, device: end.device } },
    { ...common, name: mip4TunnelName(end, "g"), link: { type: "gre", external: false, ...local, ...header } },
  ];
  return [...links.flatMap((link) => deviceObjects(link, INTERNAL_ADDRESS.mobileNode)), ...uplink(end, site)];
}

const classOf = ({ dscp }: TunnelProfileSpec): "inherit" | number => (dscp === "copy" ? "inherit" : dscp << 2);

/** From a care-of address the home agent is reached through the link that the address belongs to. */
function uplink({ address, device }: CoLocated, { homeAgent, routers }: Mip4NodePlanSite): readonly KernelObject[] {
  const table = careOfTable({ address, device });
  const router = routers?.get(device);
  return [
    { kind: "rule", family: 4, priority: RULE_PRIORITY.careOf, table, from: hostPrefix(address) },
    {
      kind: "route",
      destination: hostPrefix(homeAgent),
      table,
      metric: 0,
      device,
      ...(router !== undefined && { via: router, onlink: true }),
    },
  ];
}

type Visited = Extract<PathEnd, { readonly kind: "foreign-agent" }>;

/**
 * Nobody on a visited link is told by ARP that the home address is here (RFC 5944 §4.6): it is no address of this device, and the agent,
 * whose link-layer address its advertisements have shown, is not asked for.
 */
function visited({ device, agent, linkLayerAddress }: Visited): readonly KernelObject[] {
  return [
    sysctl(`net/ipv4/conf/${device}/arp_ignore`, 1),
    sysctl(`net/ipv4/conf/${device}/rp_filter`, 2),
    ...(linkLayerAddress === undefined
      ? []
      : [{ kind: "permanent-neighbour", device, address: agent, linkAddress: linkLayerAddress } as const]),
  ];
}

/** A foreign agent hands on nothing else of IPv6, as soon as the home agent knows of it. */
const usesHomeTunnel = ({ prefixes, linkLocalAddress, ingress }: Away): boolean =>
  linkLocalAddress !== undefined ||
  prefixes.some(({ mode }) => mode === "home-address") ||
  (prefixes.length > 0 && ingress.some(({ kind }) => kind === "foreign-agent"));

/** Both ends have a link-local address (RFC 4213 §3.7), which the kernel makes of the home address. */
function homeTunnel(local: Ipv4Address, { homeAgent, profile }: Mip4NodePlanSite): readonly KernelObject[] {
  const link: Link = {
    kind: "link",
    name: HOME_TUNNEL,
    mtu: Math.max(tunnelMtu(profile) - INNER_IPV4_HEADER, LEAST_MTU.ipv6),
    up: true,
    link: {
      type: "sit",
      local,
      remote: homeAgent,
      ttl: 0,
      trafficClass: classOf(profile),
      pathMtuDiscovery: false,
    },
  };
  return deviceObjects(link, INTERNAL_ADDRESS.mobileNode);
}

/** Device by which payload leaves; undefined behind a foreign agent, where there is no tunnel here. */
export function egressTunnel({ egress, encapsulation, keepaliveSeconds }: Away): string | undefined {
  if (egress.kind !== "co-located") return undefined;
  if (keepaliveSeconds !== undefined) return mip4TunnelName(egress, "n");
  return mip4TunnelName(egress, encapsulation === "gre" ? "g" : "p");
}

/**
 * Without a reverse tunnel a node with a care-of address of its own sends as any host of the link does, but for what is for the home agent:
 * that is IPv6 to it, or a keepalive.
 */
function ipv4Routes(path: Away, { routers }: Mip4NodePlanSite): readonly Route[] {
  const { egress, homeAddress: home, homeAgent, reverseTunnelling } = path;
  const base = { kind: "route", table: HOME_TABLE, metric: 0, preferredSource: home } as const;
  const all = { ...base, destination: IPV4_EVERYWHERE } as const;
  const tunnel = egressTunnel(path);
  if (egress.kind === "foreign-agent" || tunnel === undefined)
    return [
      { ...all, device: egress.device, ...(egress.kind === "foreign-agent" && { via: egress.agent, onlink: true }) },
    ];
  if (reverseTunnelling) return [{ ...all, device: tunnel }];
  const router = routers?.get(egress.device);
  return [
    { ...base, destination: hostPrefix(homeAgent), device: tunnel },
    { ...all, device: egress.device, ...(router !== undefined && { via: router, onlink: true }) },
  ];
}

/** Into the tunnel to the care-of address, or to the home address, as the home agent has said of each prefix (RFC 5454 §3.3.2). */
function ipv6Routes(path: Away, { prefixes: own }: Mip4NodePlanSite): readonly KernelObject[] {
  const base = { kind: "route", destination: IPV6_EVERYWHERE, table: HOME_TABLE, metric: 1024 } as const;
  const tunnel = egressTunnel(path);
  const deviceOf = (mode: "home-address" | "care-of-address"): string =>
    mode === "home-address" || tunnel === undefined ? HOME_TUNNEL : tunnel;
  const [first] = path.prefixes;
  if (first === undefined) return own.length === 0 ? [] : [{ ...base, device: DEVICE.homeAddresses }];
  const others = path.prefixes.filter(({ mode }) => mode !== first.mode);
  const [other] = others;
  return [
    { ...base, device: deviceOf(first.mode) },
    ...(other === undefined ? [] : [{ ...base, table: SECOND_WAY_TABLE, device: deviceOf(other.mode) } as const]),
    ...others.map(
      ({ prefix }): KernelObject => ({
        kind: "rule",
        family: 6,
        priority: RULE_PRIORITY.signalling,
        table: SECOND_WAY_TABLE,
        from: prefix,
      }),
    ),
  ];
}
