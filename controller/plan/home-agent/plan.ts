/**
 * What the kernel of a home agent holds: for the site (shared devices, firewall, signalling path), and for each binding (routes, set
 * elements, proxy neighbours). A binding touches nothing but its own objects, whatever their number.
 */

import type { Ipv4Address, Ipv6Address, Prefix } from "../../base/ip.js";
import { hostPrefix, IPV6_ANY, ipv6, isIpv4, isIpv6 } from "../../base/ip.js";
import type { DataPath, Endpoint } from "../../protocol/mip6/inputs.js";
import { compatibleAddress, homesOf, ONE_NEXT_HOP } from "../endpoints.js";
import type { NftElement } from "../objects/firewall.js";
import type { Link, Route } from "../objects/forwarding.js";
import type { KernelObject } from "../objects/objects.js";
import { boundOption } from "../security/mobility-headers.js";
import { protectedBinding } from "../security/payload-protection.js";
import { returnRoutabilityBinding } from "../security/return-routability-protection.js";
import { homeAgentSecuritySite } from "../security/subscriber.js";
import type { NodeProtection } from "../security/tunnel-associations.js";
import { deviceObjects, SIGNALLING_DEVICE, sysctl } from "../shared-objects.js";
import {
  DEVICE,
  DSMIP_PORT,
  type HomeAgentPlanSite,
  INTERNAL_ADDRESS,
  internalAddress,
  levelOf,
  MAIN_TABLE,
  nestedDevice,
  PLACEHOLDERS,
  placeholder,
  profileOf,
  protectsPayload,
  sendDevice,
  sendLevels,
  servesMip6,
  servesUdpOverIpv6,
  TUN_DEVICE,
  type TunnelClass,
  tunnelClasses,
  usesPlainTunnels,
} from "../site.js";
import { homeAgentFirewall } from "./firewall.js";
import { defended, deviceMtu, element, innerRoute, octetOfDscp } from "./inner-routes.js";
import { multicastSite } from "./multicast.js";
import { SETS, UDP_IPV6_SETS } from "./sets.js";

/** Without Mobile IPv6 no more than what Mobile IPv4 shares with it: the firewall, and the tunnels over IPv4. */
function planIpv4Site(site: HomeAgentPlanSite): readonly KernelObject[] {
  const { ipv4 } = site.addresses;
  const { homeDevice: device } = site;
  const forwardsIpv6 = (site.mip4?.prefixLengths.length ?? 0) > 0;
  return [
    ...(forwardsIpv6 ? [sysctl("net/ipv6/conf/all/forwarding", 1)] : []),
    sysctl("net/ipv4/ip_forward", 1),
    sysctl("net/ipv4/ip_forward_use_pmtu", 1),
    ...(device === undefined ? [] : [looseFilter(device), proxyAtOnce(device)]),
    ...(ipv4 === undefined ? [] : ipv4Objects(site, ipv4)),
    homeAgentFirewall(site),
  ];
}

/** A node that comes home sends directly before its route into the tunnel is gone; a strict filter would drop that. */
const looseFilter = (device: string): KernelObject => sysctl(`net/ipv4/conf/${device}/rp_filter`, 2);
const proxyAtOnce = (device: string): KernelObject => sysctl(`net/ipv4/neigh/${device}/proxy_delay`, 0);

export function planHomeAgentSite(site: HomeAgentPlanSite): readonly KernelObject[] {
  if (!servesMip6(site)) return planIpv4Site(site);
  return [
    sysctl("net/ipv6/conf/all/forwarding", 1),
    sysctl("net/ipv4/ip_forward", 1),
    // IPv4 packets without DF in IPv6: the kernel fragments by the path MTU it has learnt only with this.
    sysctl("net/ipv4/ip_forward_use_pmtu", 1),
    ...homeLinkSwitches(site.homeDevice),
    ...(usesPlainTunnels(site) ? plainTunnels(site) : []),
    ...(protectsPayload(site) ? [protectedDevice(deviceMtu(site))] : []),
    SIGNALLING_DEVICE,
    ...site.homePrefixes.flatMap(signallingRoutes),
    ...(site.mappedSignalling === true ? mappedAnswers(site) : []),
    ...homeAgentSecuritySite(site),
    homeAgentFirewall(site),
    ...multicastSite(site),
  ];
}

/** The kernel answers for home addresses at once instead of after a random pause of up to 0.8 s. */
function homeLinkSwitches(device: string | undefined): readonly KernelObject[] {
  if (device === undefined) return [];
  return [
    looseFilter(device),
    // Forwarding looks at the switch of "all" when a neighbour asks one of the proxied addresses whether it is still there.
    sysctl("net/ipv6/conf/all/proxy_ndp", 1),
    sysctl(`net/ipv6/conf/${device}/proxy_ndp`, 1),
    sysctl(`net/ipv6/neigh/${device}/proxy_delay`, 0),
    proxyAtOnce(device),
  ];
}

/** The devices of unprotected payload. */
function plainTunnels(site: HomeAgentPlanSite): readonly KernelObject[] {
  const { ipv4, ipv6: local } = site.addresses;
  return [
    ...(ipv4 === undefined ? [] : ipv4Objects(site, ipv4)),
    ...deviceObjects(ip6Device(site, DEVICE.receiveIpv6, { external: false, local }), INTERNAL_ADDRESS.receiveIpv6),
    ...deviceObjects(ip6Device(site, DEVICE.sendIpv6, { external: true }), INTERNAL_ADDRESS.sendIpv6),
    ...(servesUdpOverIpv6(site) ? udpOverIpv6Objects(site) : []),
  ];
}

function ipv4Objects(site: HomeAgentPlanSite, local: Ipv4Address): readonly KernelObject[] {
  const receiver: Link = {
    kind: "link",
    name: DEVICE.receiveIpv4,
    mtu: deviceMtu(site),
    up: true,
    // A DHCPv6 server hears nodes of Mobile IPv4 there.
    ...(site.mip4 !== undefined && { multicast: true }),
    link: { type: "sit", local, ttl: 0, trafficClass: "inherit", pathMtuDiscovery: false },
  };
  return [
    // Bound, or GUE to any other address of the machine would come out of UDP past everybody's filter.
    { kind: "fou-port", family: 4, port: DSMIP_PORT, encapsulation: "gue", local },
    ...deviceObjects(receiver, INTERNAL_ADDRESS.receiveIpv4),
    ...sendLevels(site).flatMap((level) =>
      tunnelClasses(site).flatMap((one) => [
        ...sendObjects(site, { format: "ipv4", level }, one),
        ...sendObjects(site, { format: "udp", level }, one),
      ]),
    ),
    // The kernel gives each sit device a route for ::/96, through which anybody could send IPv4 packets in our name.
    { kind: "route", destination: { address: ipv6("::"), length: 96 }, table: MAIN_TABLE, metric: 1, device: "lo" },
  ];
}

function sendObjects(
  site: HomeAgentPlanSite,
  { format, level }: { readonly format: "ipv4" | "udp"; readonly level: number },
  one: TunnelClass,
): readonly KernelObject[] {
  const local = internalAddress(format, one, level);
  const trafficClass = one.dscp === "copy" ? "inherit" : octetOfDscp(one.dscp);
  // The TTL is written by the firewall: a fixed one on the device would force DF on packets that allow fragments.
  const header = { ttl: 0, trafficClass, pathMtuDiscovery: false } as const;
  const udp = format === "udp" ? { udp: { sourcePort: DSMIP_PORT, destinationPort: DSMIP_PORT } } : {};
  return deviceObjects(
    {
      kind: "link",
      name: sendDevice(format, one, level),
      mtu: deviceMtu(site),
      up: true,
      link: { type: "sit", local, ...header, ...udp },
    },
    local,
  );
}

/** The largest that the kernel keeps for a route of IPv6. */
const LARGEST_ROUTE_MTU = 65_520;

/**
 * UDP over IPv6. The kernel finds a way to the placeholders before the firewall has put the node's address in their place: it leads into a
 * device that sends nothing there, and would make packets as small as that device's without an MTU of its own.
 */
function udpOverIpv6Objects(site: HomeAgentPlanSite): readonly KernelObject[] {
  const { ipv6: local } = site.addresses;
  const udp = { sourcePort: DSMIP_PORT, destinationPort: DSMIP_PORT };
  const devices = sendLevels(site).flatMap((level) =>
    tunnelClasses(site).map((one): Link => {
      const trafficClass = one.dscp === "copy" ? "inherit" : octetOfDscp(one.dscp);
      const ends = { external: false, local, remote: placeholder(one, level) };
      return {
        kind: "link",
        name: sendDevice("udp-ipv6", one, level),
        mtu: deviceMtu(site),
        up: true,
        link: { type: "ip6tnl", ttl: one.ttl, trafficClass, ...ends, udp },
      };
    }),
  );
  return [
    { kind: "fou-port", family: 6, port: DSMIP_PORT, encapsulation: "gue", local },
    {
      kind: "route",
      destination: PLACEHOLDERS,
      table: MAIN_TABLE,
      metric: 1024,
      device: DEVICE.receiveIpv6,
      via: ONE_NEXT_HOP,
      mtu: LARGEST_ROUTE_MTU,
    },
    ...devices.flatMap((link) => deviceObjects(link, INTERNAL_ADDRESS.sendUdpIpv6)),
  ];
}

function ip6Device(
  site: HomeAgentPlanSite,
  name: string,
  ends: { readonly external: boolean; readonly local?: Ipv6Address },
): Link {
  return {
    kind: "link",
    name,
    mtu: deviceMtu(site),
    up: true,
    link: { type: "ip6tnl", ttl: ends.external ? 0 : 64, trafficClass: ends.external ? 0 : "inherit", ...ends },
  };
}

const LAST_METRIC = 0xffffffff;

/**
 * A socket that is bound to the TUN device finds its way to any home address, whatever other routes there are. For nobody else: the kernel
 * asks the first route before the second, and it refuses, so that what is for no registered node never comes to us. A rule with a mark
 * would do the same, but from the first IPv6 rule on every packet costs a walk through all rules.
 */
function signallingRoutes(destination: Prefix): readonly Route[] {
  return isIpv4(destination.address) ? [] : forBoundSockets(destination, TUN_DEVICE);
}

function forBoundSockets(destination: Prefix, device: string): readonly Route[] {
  const route = { kind: "route", destination, table: MAIN_TABLE } as const;
  return [
    { ...route, metric: LAST_METRIC - 1, device: "lo" },
    { ...route, metric: LAST_METRIC, device },
  ];
}

/**
 * Answers to nodes of the 2004 profile: the kernel finds the IPv4 address in the 6to4 form of the care-of address, and the output hook
 * writes the IPv4-mapped form. Only a socket that is bound to the device finds the route; a route to 2002::/16, with whatever metric,
 * would take what others send to real 6to4 addresses away from the default route.
 */
function mappedAnswers(site: HomeAgentPlanSite): readonly KernelObject[] {
  const name = DEVICE.sendMapped;
  const local = INTERNAL_ADDRESS.sendMapped;
  const link: Link = {
    kind: "link",
    name,
    mtu: deviceMtu(site),
    up: true,
    link: { type: "sit", local, ttl: 0, trafficClass: "inherit", pathMtuDiscovery: false },
  };
  return [...deviceObjects(link, local), ...forBoundSockets({ address: IPV6_ANY, length: 0 }, name)];
}

function protectedDevice(mtu: number): Link {
  return { kind: "link", name: DEVICE.protectedPayload, mtu, up: true, link: { type: "dummy" } };
}

/** The objects of one binding, in a fixed order. */
export function planBinding(
  path: DataPath,
  site: HomeAgentPlanSite,
  protection: NodeProtection = { associations: {} },
): readonly KernelObject[] {
  const profile = profileOf(site, path.profile);
  const esp = profile.protection === "esp";
  const way = (inner: Prefix): readonly KernelObject[] =>
    esp
      ? [protectedRoute(inner, profile.mtu, site)]
      : [
          ...path.ingress.map((endpoint) => ingressElement(inner, endpoint)),
          ...egressElements(inner, path.egress, profile.dscp),
          route(inner, path, site),
        ];
  const isRouter = path.mobileRouter === true;
  return [
    ...(esp ? protectedBinding(path, protection, site) : []),
    ...(site.negotiated === undefined ? [] : returnRoutabilityBinding(path, protection, site)),
    ...(path.egress.format === "ipv6" ? [boundOption(path.homeAddress, path.egress.address, site)] : []),
    ...(esp ? [] : nestedTunnel(path, site)),
    ...homesOf(path).flatMap((home) => [...way(hostPrefix(home)), ...defended(home, isRouter, site)]),
    ...(path.prefixes ?? []).flatMap(way),
    // Nothing that is sent to it is tunnelled: it stays on the home link (RFC 6275 §10.4.2).
    ...(path.linkLocalAddress === undefined ? [] : defended(path.linkLocalAddress, isRouter, site)),
  ];
}

/** The tunnel of its own that a node behind a router has over IPv6. */
function nestedTunnel({ egress, nesting, profile }: DataPath, site: HomeAgentPlanSite): readonly KernelObject[] {
  if (egress.format !== "ipv6" || levelOf(nesting) === 0) return [];
  const { dscp, ttl } = profileOf(site, profile);
  const ends = { local: site.addresses.ipv6, remote: egress.address };
  const header = { ttl, trafficClass: dscp === "copy" ? "inherit" : octetOfDscp(dscp) } as const;
  const link: Link = {
    kind: "link",
    name: nestedDevice(egress.address),
    mtu: deviceMtu(site),
    up: true,
    link: { type: "ip6tnl", external: false, ...ends, ...header },
  };
  return deviceObjects(link, INTERNAL_ADDRESS.nestedIpv6);
}

function ingressElement(inner: Prefix, endpoint: Endpoint): NftElement {
  const four = isIpv4(inner.address);
  switch (endpoint.format) {
    case "ipv6":
      return element(four ? SETS.ipv6_4 : SETS.ipv6_6, [endpoint.address], inner);
    case "ipv4":
      return element(four ? SETS.ipv4_4 : SETS.ipv4_6, [endpoint.address], inner);
    case "udp": {
      const { udp4, udp6 } = isIpv4(endpoint.address) ? SETS : UDP_IPV6_SETS;
      return element(four ? udp4 : udp6, [endpoint.address as Ipv4Address | Ipv6Address, endpoint.port], inner);
    }
  }
}

/** The port of a node behind a NAT, by its outer and inner address: two ways to one node stand side by side during a handover. */
function egressElements(inner: Prefix, egress: Endpoint, dscp: "copy" | number): readonly NftElement[] {
  const four = isIpv4(inner.address);
  if (egress.format === "udp" && isIpv6(egress.address)) {
    const { careOf4, careOf6, port4, port6 } = UDP_IPV6_SETS;
    return [
      { ...element(four ? careOf4 : careOf6, [], inner), value: egress.address },
      { ...element(four ? port4 : port6, [], inner), value: egress.port },
    ];
  }
  if (egress.format === "udp")
    return [{ ...element(four ? SETS.port4 : SETS.port6, [egress.address as Ipv4Address], inner), value: egress.port }];
  if (egress.format === "ipv6" && dscp !== "copy") return [element(four ? SETS.fixed4 : SETS.fixed6, [], inner)];
  return [];
}

/** A policy takes the packet before it gets to the device, where what has no policy ends. */
function protectedRoute(inner: Prefix, mtu: number | undefined, site: HomeAgentPlanSite): Route {
  return { ...innerRoute(inner, mtu, site), device: DEVICE.protectedPayload };
}

function route(inner: Prefix, { egress, profile, nesting }: DataPath, site: HomeAgentPlanSite): Route {
  const { dscp, ttl, mtu } = profileOf(site, profile);
  const common = innerRoute(inner, mtu, site);
  const level = levelOf(nesting);
  if (egress.format === "ipv6" && level > 0)
    return { ...common, device: nestedDevice(egress.address), via: ONE_NEXT_HOP };
  if (egress.format === "ipv6") {
    const encapsulation = {
      source: site.addresses.ipv6,
      destination: egress.address,
      hopLimit: ttl,
      trafficClass: dscp === "copy" ? 0 : octetOfDscp(dscp),
    };
    return { ...common, device: DEVICE.sendIpv6, via: ONE_NEXT_HOP, encapsulation };
  }
  if (isIpv6(egress.address))
    return { ...common, device: sendDevice("udp-ipv6", { dscp, ttl }, level), via: ONE_NEXT_HOP };
  const device = sendDevice(egress.format, { dscp, ttl }, level);
  // sit takes the outer destination of an IPv6 packet from an IPv4-compatible next hop (::a.b.c.d).
  const via = isIpv4(inner.address) ? egress.address : compatibleAddress(egress.address);
  return { ...common, device, via, onlink: true };
}
