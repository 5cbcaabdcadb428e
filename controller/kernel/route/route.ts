/**
 * Routes ⇄ RTM_NEWROUTE, both families. What is particular:
 * - Our mark is rtm_protocol. The kernel filters dumps by it and refuses to delete a route that has another one.
 * - create is NLM_F_EXCL: an IPv4 route with the same destination and metric, or an IPv6 route likewise, is EEXIST, whatever its next hop.
 * - update is NLM_F_REPLACE, which the kernel does in one step for both families: no packet finds no route in between.
 * - IPv6 knows no metric 0 (the kernel turns it into 1024), so 0 is refused here.
 * Source: linux/rtnetlink.h, linux/lwtunnel.h.
 */
import { EncodeError } from "../../base/errors.js";
import { type Family, familyOf, IPV4_ANY, IPV6_ANY, type IpAddress, ipToBytes, isIpv4, isIpv6 } from "../../base/ip.js";
import { Attribute, type AttributeMap, AttributeWriter, readAttributes } from "../../netlink/attribute.js";
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from "../../netlink/constants.js";
import {
  LWTUNNEL_ENCAP_IP,
  LWTUNNEL_ENCAP_IP6,
  LWTUNNEL_IP_DST,
  LWTUNNEL_IP_FLAGS,
  LWTUNNEL_IP_SRC,
  LWTUNNEL_IP_TOS,
  LWTUNNEL_IP_TTL,
  LWTUNNEL_IP6_DST,
  LWTUNNEL_IP6_HOPLIMIT,
  LWTUNNEL_IP6_SRC,
  LWTUNNEL_IP6_TC,
  RT_SCOPE_LINK,
  RT_SCOPE_NOWHERE,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_UNSPEC,
  RTA_DST,
  RTA_ENCAP,
  RTA_ENCAP_TYPE,
  RTA_GATEWAY,
  RTA_METRICS,
  RTA_OIF,
  RTA_PREFSRC,
  RTA_PRIORITY,
  RTA_TABLE,
  RTA_VIA,
  RTAX_ADVMSS,
  RTAX_LOCK,
  RTAX_MTU,
  RTM_DELROUTE,
  RTM_F_CLONED,
  RTM_GETROUTE,
  RTM_NEWROUTE,
  RTN_LOCAL,
  RTN_UNICAST,
  RTNH_F_ONLINK,
  TUNNEL_DONT_FRAGMENT,
} from "../../netlink/rtnetlink.js";
import type { Ip4Encapsulation, Route } from "../../plan/objects/forwarding.js";
import { OWNERSHIP } from "../../plan/objects/objects.js";
import type { KernelNames, NetlinkMessage, NetlinkRequest, ObjectCodec } from "../codec.js";
import {
  decodeRouteHeader,
  encodeRouteHeader,
  familyNumber,
  familyOfNumber,
  ROUTE_HEADER_LENGTH,
  type RouteHeader,
} from "./headers.js";

export const routeCodec: ObjectCodec<Route> = {
  kind: "route",
  family: "route",

  create: (route, names) => [newRoute(route, names, NLM_F_CREATE | NLM_F_EXCL)],

  update: (route, _previous, names) => [newRoute(route, names, NLM_F_CREATE | NLM_F_REPLACE)],

  remove(route, names) {
    const writer = key(route, { scope: RT_SCOPE_NOWHERE });
    // Metric 0 means "any" to the kernel; the device narrows it down to the one that we mean.
    if (route.metric === 0) writer.u32(RTA_OIF, names.interfaceIndex(route.device));
    return [{ family: "route", type: RTM_DELROUTE, flags: 0, body: writer.finish() }];
  },

  dump: (ownOnly = true) =>
    ([4, 6] as const).map((family) => dumpRoutes(family, ownOnly ? { protocol: OWNERSHIP.protocol } : {})),

  decode(message, names, ownOnly) {
    if (message.type !== RTM_NEWROUTE && message.type !== RTM_DELROUTE) return undefined;
    const header = decodeRouteHeader(message.body);
    if (ownOnly && header.protocol !== OWNERSHIP.protocol) return undefined;
    return decodeRoute(header, message, names);
  },
};

/** Asks for all routes of a family that fit the filter; the kernel filters (strict checking). */
export function dumpRoutes(family: Family, filter: { protocol?: number; table?: number }): NetlinkRequest {
  const writer = new AttributeWriter(32).raw(
    encodeRouteHeader({ family: familyNumber(family), protocol: filter.protocol ?? 0 }),
  );
  if (filter.table !== undefined) writer.u32(RTA_TABLE, filter.table);
  return { family: "route", type: RTM_GETROUTE, flags: 0, body: writer.finish() };
}

function newRoute(route: Route, names: KernelNames, flags: number): NetlinkRequest {
  const family = familyOf(route.destination.address);
  const scope = isOnLink(route) ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  const type = route.local === true ? RTN_LOCAL : RTN_UNICAST;
  const writer = key(route, { scope, type, flags: route.onlink === true ? RTNH_F_ONLINK : 0 });
  writer.u32(RTA_OIF, names.interfaceIndex(route.device));
  if (route.via !== undefined) writeVia(writer, family, route.via);
  if (route.preferredSource !== undefined)
    writer.address(RTA_PREFSRC, sameFamily("preferredSource", family, route.preferredSource));
  if (route.mtu !== undefined || route.advertisedMss !== undefined) writeMetrics(writer, route);
  if (route.encapsulation !== undefined) writeEncapsulation(writer, route.encapsulation);
  return { family: "route", type: RTM_NEWROUTE, flags, body: writer.finish() };
}

/**
 * iproute2's rule: an IPv4 route without a gateway leads onto the link. Not so a default route, which a tunnel's is: the kernel would take it
 * for the link of every gateway that somebody names without a device. IPv6 has no scopes.
 */
const isOnLink = ({ destination, via }: Route): boolean =>
  familyOf(destination.address) === 4 && via === undefined && destination.length > 0;

function key(route: Route, header: Partial<RouteHeader>): AttributeWriter {
  const { destination, table, metric } = route;
  const family = familyOf(destination.address);
  if (family === 6 && metric === 0)
    throw new EncodeError("metric", "an IPv6 route has no metric 0: the kernel makes 1024 of it");
  const writer = new AttributeWriter(160).raw(
    encodeRouteHeader({
      family: familyNumber(family),
      destinationLength: destination.length,
      table: table < 256 ? table : RT_TABLE_UNSPEC,
      protocol: OWNERSHIP.protocol,
      ...header,
    }),
  );
  writer.u32(RTA_TABLE, table);
  if (destination.length > 0) writer.address(RTA_DST, destination.address);
  return metric === 0 ? writer : writer.u32(RTA_PRIORITY, metric);
}

function sameFamily(field: string, family: Family, address: IpAddress): IpAddress {
  if (familyOf(address) !== family) throw new EncodeError(field, `${address} is not of the route's family`);
  return address;
}

function writeVia(writer: AttributeWriter, family: Family, via: IpAddress): void {
  if (familyOf(via) === family) {
    writer.address(RTA_GATEWAY, via);
    return;
  }
  if (family === 6) throw new EncodeError("via", `an IPv6 route cannot lead via ${via}`);
  const octets = new Uint8Array(18); // struct rtvia: family in native order, address
  new Uint16Array(octets.buffer, 0, 1)[0] = familyNumber(6);
  octets.set(ipToBytes(via), 2);
  writer.bytes(RTA_VIA, octets);
}

function writeMetrics(writer: AttributeWriter, route: Route): void {
  writer.nested(RTA_METRICS, (metrics) => {
    if (route.mtu !== undefined) metrics.u32(RTAX_LOCK, 1 << RTAX_MTU).u32(RTAX_MTU, route.mtu);
    if (route.advertisedMss !== undefined) metrics.u32(RTAX_ADVMSS, route.advertisedMss);
  });
}

/** Low bit of an outer TOS octet: the kernel copies the inner one. */
const TOS_INHERIT = 1;

function writeEncapsulation(writer: AttributeWriter, outer: NonNullable<Route["encapsulation"]>): void {
  if ("ttl" in outer) {
    writeIp4Encapsulation(writer, outer);
    return;
  }
  writer.u16(RTA_ENCAP_TYPE, LWTUNNEL_ENCAP_IP6).nested(RTA_ENCAP, (encap) => {
    encap
      .address(LWTUNNEL_IP6_DST, outer.destination)
      .address(LWTUNNEL_IP6_SRC, outer.source)
      .u8(LWTUNNEL_IP6_HOPLIMIT, outer.hopLimit)
      .u8(LWTUNNEL_IP6_TC, outer.trafficClass);
  });
}

function writeIp4Encapsulation(writer: AttributeWriter, outer: Ip4Encapsulation): void {
  writer.u16(RTA_ENCAP_TYPE, LWTUNNEL_ENCAP_IP).nested(RTA_ENCAP, (encap) => {
    encap
      .address(LWTUNNEL_IP_DST, outer.destination)
      .address(LWTUNNEL_IP_SRC, outer.source)
      .u8(LWTUNNEL_IP_TTL, outer.ttl)
      .u8(LWTUNNEL_IP_TOS, outer.trafficClass === "inherit" ? TOS_INHERIT : outer.trafficClass)
      .u16be(LWTUNNEL_IP_FLAGS, outer.dontFragment === true ? TUNNEL_DONT_FRAGMENT : 0);
  });
}

function decodeRoute(header: RouteHeader, message: NetlinkMessage, names: KernelNames): Route | undefined {
  const family = familyOfNumber(header.family);
  const local = header.type === RTN_LOCAL;
  const notOfOurShape = !(local || header.type === RTN_UNICAST) || header.tos !== 0 || header.sourceLength !== 0;
  if (family === undefined || notOfOurShape || (header.flags & RTM_F_CLONED) !== 0) return undefined;
  const attributes = readAttributes(message.body.subarray(ROUTE_HEADER_LENGTH), ROUTE_HEADER_LENGTH);
  const index = attributes.get(RTA_OIF)?.u32();
  const device = index === undefined ? undefined : names.interfaceName(index);
  if (device === undefined) return undefined;
  const destination = attributes.get(RTA_DST);
  const via = decodeVia(attributes);
  const encapsulation = decodeEncapsulation(attributes);
  const metrics = attributes.get(RTA_METRICS)?.nested();
  const mtuLocked = ((metrics?.get(RTAX_LOCK)?.u32() ?? 0) & (1 << RTAX_MTU)) !== 0;
  const mtu = mtuLocked ? metrics?.get(RTAX_MTU)?.u32() : undefined;
  const preferredSource = attributes.get(RTA_PREFSRC);
  const advertisedMss = metrics?.get(RTAX_ADVMSS)?.u32();
  return {
    kind: "route",
    destination: {
      address: destination === undefined ? (family === 4 ? IPV4_ANY : IPV6_ANY) : destination.address(),
      length: header.destinationLength,
    },
    table: attributes.get(RTA_TABLE)?.u32() ?? header.table,
    metric: attributes.get(RTA_PRIORITY)?.u32() ?? 0,
    device,
    ...(via === undefined ? {} : { via }),
    ...((header.flags & RTNH_F_ONLINK) === 0 ? {} : { onlink: true }),
    ...(encapsulation === undefined ? {} : { encapsulation }),
    ...(mtu === undefined ? {} : { mtu }),
    ...(preferredSource === undefined ? {} : { preferredSource: preferredSource.address() }),
    ...(advertisedMss === undefined ? {} : { advertisedMss }),
    ...(local && { local }),
  };
}

function decodeVia(attributes: AttributeMap): IpAddress | undefined {
  return attributes.get(RTA_GATEWAY)?.address() ?? gatewayOfOtherFamily(attributes);
}

/** RTA_VIA, struct rtvia: family (2 octets), address. */
export function gatewayOfOtherFamily(attributes: AttributeMap): IpAddress | undefined {
  const via = attributes.get(RTA_VIA);
  return via && new Attribute(via.type, via.payload.subarray(2), via.offset + 2).address();
}

function decodeEncapsulation(attributes: AttributeMap): Route["encapsulation"] {
  const type = attributes.get(RTA_ENCAP_TYPE)?.u16();
  const encap = attributes.get(RTA_ENCAP)?.nested();
  if (type === LWTUNNEL_ENCAP_IP) return encap && decodeIp4Encapsulation(encap);
  if (type !== LWTUNNEL_ENCAP_IP6) return undefined;
  const address = (type: number): IpAddress => encap?.get(type)?.address() ?? IPV6_ANY;
  const source = address(LWTUNNEL_IP6_SRC);
  const destination = address(LWTUNNEL_IP6_DST);
  if (!isIpv6(source) || !isIpv6(destination)) return undefined;
  return {
    source,
    destination,
    hopLimit: encap?.get(LWTUNNEL_IP6_HOPLIMIT)?.u8() ?? 0,
    trafficClass: encap?.get(LWTUNNEL_IP6_TC)?.u8() ?? 0,
  };
}

function decodeIp4Encapsulation(encap: AttributeMap): Ip4Encapsulation | undefined {
  const source = encap.get(LWTUNNEL_IP_SRC)?.address() ?? IPV4_ANY;
  const destination = encap.get(LWTUNNEL_IP_DST)?.address() ?? IPV4_ANY;
  if (!isIpv4(source) || !isIpv4(destination)) return undefined;
  const tos = encap.get(LWTUNNEL_IP_TOS)?.u8() ?? 0;
  return {
    source,
    destination,
    ttl: encap.get(LWTUNNEL_IP_TTL)?.u8() ?? 0,
    trafficClass: (tos & TOS_INHERIT) !== 0 ? "inherit" : tos,
    dontFragment: ((encap.get(LWTUNNEL_IP_FLAGS)?.u16be() ?? 0) & TUNNEL_DONT_FRAGMENT) !== 0,
  };
}
