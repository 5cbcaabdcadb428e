/** The kernel objects of one binding of Mobile IPv4. They are its own alone, whatever the number of bindings. */
import { hostPrefix, type IpAddress, type Ipv4Address, isIpv4, type Prefix, prefixContains } from "../../../base/ip.js";
import type { DataPath, RegisteredPrefix, TunnelEnd } from "../../../protocol/mip4/inputs.js";
import { compatibleAddress, ONE_NEXT_HOP } from "../../endpoints.js";
import { GRE_DEVICE } from "../../mip4/tunnel-data.js";
import type { NftElement } from "../../objects/firewall.js";
import type { Route } from "../../objects/forwarding.js";
import type { KernelObject } from "../../objects/objects.js";
import {
  DEVICE,
  type HomeAgentPlanSite,
  MAIN_TABLE,
  profileOf,
  sendDevice,
  type TunnelProfileSpec,
} from "../../site.js";
import { defended, deviceMtu, element, innerRoute, octetOfDscp } from "../inner-routes.js";
import { SETS } from "../sets.js";
import { MIP4_SETS } from "./sets.js";
import { homeAddressMtu, mip4SendDevice, mip4TunnelMtu } from "./site.js";

/** In a fixed order. Nothing for a subscriber with protected payload: that has no Mobile IPv4, and nothing of it leaves in clear. */
export function planMip4Binding(path: DataPath, site: HomeAgentPlanSite): readonly KernelObject[] {
  const profile = profileOf(site, path.profile);
  if (profile.protection === "esp") return [];
  const home = hostPrefix(path.homeAddress);
  const direct = path.prefixes.filter(({ mode }) => mode === "care-of-address").map(({ prefix }) => prefix);
  const overHome = path.prefixes.filter(({ mode }) => mode === "home-address").map(({ prefix }) => prefix);
  return [
    ...ingressElements(path),
    ...[home, ...direct].flatMap((inner) => egressElements(inner, path.egress)),
    element(MIP4_SETS.loops, [path.egress.address, path.homeAddress], home),
    ...(isGre(path.egress) && profile.dscp !== "copy" ? [element(SETS.fixed4, [], home)] : []),
    tunnelRoute(home, path, profile, site),
    ...direct.map((prefix) => tunnelRoute(prefix, path, profile, site)),
    ...overHome.flatMap((prefix) => [
      ...homeElements(prefix, path),
      homeAddressRoute(prefix, path.homeAddress, profile, site),
    ]),
    // Who comes from a foreign agent has sent all IPv6 in the tunnel to the home address, and does until it is answered.
    ...(path.ingress.length > 1 ? direct.flatMap((prefix) => homeElements(prefix, path)) : []),
    ...linkLocalObjects(path),
    ...defended(path.homeAddress, false, site),
    ...addressesOnHomeLink(path, site).flatMap((one) => defended(one, false, site)),
  ];
}

/** What takes payload of the path, and sends nothing: of a node that has taken its binding back. */
export function planMip4FormerWays(path: DataPath, site: HomeAgentPlanSite): readonly KernelObject[] {
  if (profileOf(site, path.profile).protection === "esp") return [];
  return [
    ...ingressElements(path),
    ...path.prefixes.flatMap(({ prefix, mode }) => (mode === "home-address" ? homeElements(prefix, path) : [])),
  ];
}

function ingressElements(path: DataPath): readonly NftElement[] {
  const home = hostPrefix(path.homeAddress);
  const direct = path.prefixes.filter(({ mode }) => mode === "care-of-address").map(({ prefix }) => prefix);
  return path.ingress.flatMap((end) => [
    ...(path.reverseTunnelling ? [ingressElement(home, end)] : carrier(path, end)),
    ...direct.map((prefix) => ingressElement(prefix, end)),
  ]);
}

/** An IPv6 home address that is registered as a prefix of its own: neighbours on the home link look for it there. */
function addressesOnHomeLink({ prefixes }: DataPath, { homePrefixes }: HomeAgentPlanSite): readonly IpAddress[] {
  return prefixes
    .map(({ prefix }) => prefix)
    .filter(({ length, address }) => length === 128 && homePrefixes.some((home) => prefixContains(home, address)))
    .map(({ address }) => address);
}

const isGre = ({ transport, encapsulation }: TunnelEnd): boolean => transport === "ip" && encapsulation === "gre";

const carriesIpv6 = ({ prefixes, linkLocalAddress }: DataPath): boolean =>
  linkLocalAddress !== undefined || prefixes.some(({ mode }: RegisteredPrefix) => mode === "home-address");

/** Without a reverse tunnel what comes through the tunnel from the home address is IPv6 to the home agent, and nothing else. */
function carrier(path: DataPath, end: TunnelEnd): readonly NftElement[] {
  if (!carriesIpv6(path)) return [];
  const home = hostPrefix(path.homeAddress);
  if (end.transport === "udp") return [element(MIP4_SETS.onlyUdp, [end.address, end.port], home)];
  return [element(end.encapsulation === "gre" ? MIP4_SETS.onlyGre : MIP4_SETS.onlyIpv4, [end.address], home)];
}

function ingressElement(inner: Prefix, end: TunnelEnd): NftElement {
  const four = isIpv4(inner.address);
  if (end.transport === "udp") return element(four ? MIP4_SETS.udp4 : MIP4_SETS.udp6, [end.address, end.port], inner);
  if (end.encapsulation === "gre") return element(four ? MIP4_SETS.gre4 : MIP4_SETS.gre6, [end.address], inner);
  return element(four ? SETS.ipv4_4 : SETS.ipv4_6, [end.address], inner);
}

/** Of a node behind a NAT: two ways to it stand side by side during a handover. */
function egressElements(inner: Prefix, egress: TunnelEnd): readonly NftElement[] {
  if (egress.transport !== "udp") return [];
  const set = isIpv4(inner.address) ? MIP4_SETS.port4 : MIP4_SETS.port6;
  return [{ ...element(set, [egress.address], inner), value: egress.port }];
}

/**
 * From whom IPv6 for a prefix comes when it is tunnelled to the home address. Without a reverse tunnel the carrier may come as it is, too: a
 * foreign agent forwards it like any packet of its visitor.
 */
function homeElements(prefix: Prefix, { homeAddress, reverseTunnelling }: DataPath): readonly NftElement[] {
  return [
    element(MIP4_SETS.home6, [homeAddress], prefix),
    ...(reverseTunnelling ? [] : [element(SETS.ipv4_6, [homeAddress], prefix)]),
  ];
}

/** Payload in the tunnel that was negotiated. */
function tunnelRoute(inner: Prefix, path: DataPath, profile: TunnelProfileSpec, site: HomeAgentPlanSite): Route {
  const { dscp, ttl } = profile;
  const { egress } = path;
  const mtu = profile.mtu ?? site.mtu;
  const common = innerRoute(inner, isIpv4(inner.address) && carriesIpv6(path) ? mip4TunnelMtu(mtu) : mtu, site);
  if (isGre(egress)) {
    const encapsulation = {
      source: site.addresses.ipv4 ?? egress.address,
      destination: egress.address,
      ttl,
      trafficClass: dscp === "copy" ? ("inherit" as const) : octetOfDscp(dscp),
      // C-33: the outer DF is the inner one for IPv4, for which a rule takes it away where it is not inside; never for IPv6.
      ...(isIpv4(inner.address) && { dontFragment: true }),
    };
    return { ...common, device: GRE_DEVICE, via: ONE_NEXT_HOP, encapsulation };
  }
  const device = egress.transport === "udp" ? mip4SendDevice("udp", profile) : sendDevice("ipv4", profile);
  return { ...common, device, via: nextHop(inner, egress.address), onlink: true };
}

const nextHop = ({ address }: Prefix, outer: Ipv4Address): NonNullable<Route["via"]> =>
  isIpv4(address) ? outer : compatibleAddress(outer);

/** IPv6 in protocol 41 to the home address, which its own route leads into the tunnel (RFC 5454 §3.3.2). */
function homeAddressRoute(
  prefix: Prefix,
  homeAddress: Ipv4Address,
  profile: TunnelProfileSpec,
  site: HomeAgentPlanSite,
): Route {
  const { mtu: _, ...route } = innerRoute(prefix, undefined, site);
  const largest = homeAddressMtu(deviceMtu(site));
  const mtu = homeAddressMtu(mip4TunnelMtu(profile.mtu ?? site.mtu));
  return {
    ...route,
    ...(mtu < largest && { mtu }),
    device: mip4SendDevice("home-address", profile),
    via: compatibleAddress(homeAddress),
    onlink: true,
  };
}

/** DHCPv6 with the node (RFC 5454 §3.7.1): an answer leaves by the device on which the question came in. */
function linkLocalObjects({ homeAddress, linkLocalAddress }: DataPath): readonly KernelObject[] {
  if (linkLocalAddress === undefined) return [];
  const destination = hostPrefix(linkLocalAddress);
  return [
    element(MIP4_SETS.home6, [homeAddress], destination),
    {
      kind: "route",
      destination,
      table: MAIN_TABLE,
      metric: 1024,
      device: DEVICE.receiveIpv4,
      via: compatibleAddress(homeAddress),
      onlink: true,
    },
  ];
}
