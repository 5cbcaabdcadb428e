/**
 * Links, addresses and main-table routes of the machine, whoever made them, built up from dump replies and announcements. Applying old
 * announcements to a newer dump does no harm: they come in order, so the last word about each entry stands. No sockets here.
 */
import { type Family, IPV4_ANY, IPV6_ANY } from "../../base/ip.js";
import { type AttributeMap, LITTLE, readAttributes } from "../../netlink/attribute.js";
import { NLM_F_REPLACE } from "../../netlink/constants.js";
import type { NetlinkMessage } from "../../netlink/message.js";
import * as rt from "../../netlink/rtnetlink.js";
import { OWNERSHIP } from "../../plan/objects/objects.js";
import type {
  DiscardedNetwork,
  NetworkAddress,
  NetworkLink,
  NetworkRoute,
  NetworkView,
} from "../../protocol/movement/network-view.js";
import {
  ADDRESS_HEADER_LENGTH,
  decodeAddressHeader,
  decodeLinkHeader,
  decodeRouteHeader,
  familyOfNumber,
  LINK_HEADER_LENGTH,
  ROUTE_HEADER_LENGTH,
  type RouteHeader,
} from "./headers.js";
import { type NextHop, NextHopObjects } from "./next-hop-objects.js";
import { gatewayOfOtherFamily } from "./route.js";
import { tunnelEnds } from "./tunnel-ends.js";

/** What an announcement leaves open: "routes" must be dumped again, because the kernel removes or replaces some without a word. */
export type Doubt = "routes" | undefined;

type Indexed<T> = Omit<T, "device"> & { readonly index: number };

const DISCARDING: ReadonlySet<number> = new Set([rt.RTN_BLACKHOLE, rt.RTN_UNREACHABLE, rt.RTN_PROHIBIT]);

const SCOPES: ReadonlyMap<number, NetworkAddress["scope"]> = new Map([
  [rt.RT_SCOPE_UNIVERSE, "global"],
  [rt.RT_SCOPE_SITE, "site"],
  [rt.RT_SCOPE_LINK, "link"],
  [rt.RT_SCOPE_HOST, "host"],
]);

export class NetworkPicture {
  readonly #links = new Map<number, NetworkLink>();
  readonly #addresses = new Map<string, Indexed<NetworkAddress>>();
  readonly #routes = new Map<string, Indexed<NetworkRoute>>();
  readonly #discarded = new Map<string, DiscardedNetwork>();
  readonly #nextHopObjects = new NextHopObjects();

  clear(): void {
    this.#links.clear();
    this.#addresses.clear();
    this.clearRoutes();
  }

  /** And next hop objects, which are read before them. */
  clearRoutes(): void {
    this.#routes.clear();
    this.#discarded.clear();
    this.#nextHopObjects.clear();
  }

  apply(message: NetlinkMessage): Doubt {
    switch (message.type) {
      case rt.RTM_NEWLINK:
      case rt.RTM_DELLINK:
        return this.#applyLink(message);
      case rt.RTM_NEWADDR:
      case rt.RTM_DELADDR:
        return this.#applyAddress(message);
      case rt.RTM_NEWROUTE:
      case rt.RTM_DELROUTE:
        return this.#applyRoute(message);
      default:
        // Of the routes that name it nothing is said.
        return this.#nextHopObjects.apply(message) ? "routes" : undefined;
    }
  }

  /** A copy that does not change any more. What stands on a device that is not known (any more) is left out. */
  view(): NetworkView {
    const named = <T extends { readonly index: number }>({
      index,
      ...rest
    }: T): (Omit<T, "index"> & { device: string })[] => {
      const device = this.#links.get(index)?.name;
      return device === undefined ? [] : [{ ...rest, device }];
    };
    return {
      links: [...this.#links.values()],
      addresses: [...this.#addresses.values()].flatMap(named),
      routes: [...this.#routes.values()].flatMap(named),
      ...(this.#discarded.size > 0 && { discarded: [...this.#discarded.values()] }),
    };
  }

  /** The next hops in a route message, whatever table it is of; those that the kernel holds for dead left out. */
  hopsOf(message: NetlinkMessage): readonly (NextHop & Pick<NetworkRoute, "destination" | "metric">)[] {
    const header = decodeRouteHeader(message.body);
    if (header.type !== rt.RTN_UNICAST) return [];
    const attributes = readAttributes(message.body.subarray(ROUTE_HEADER_LENGTH), ROUTE_HEADER_LENGTH);
    const family = familyOfNumber(header.family);
    if (family === undefined) return [];
    const metric = attributes.get(rt.RTA_PRIORITY)?.u32() ?? 0;
    const address = attributes.get(rt.RTA_DST)?.address() ?? (family === 4 ? IPV4_ANY : IPV6_ANY);
    const destination = { address, length: header.destinationLength };
    return nextHops(header, attributes, this.#nextHopObjects).map((one) => ({ ...one, destination, metric }));
  }

  #applyLink(message: NetlinkMessage): Doubt {
    const { family, index, flags } = decodeLinkHeader(message.body);
    const attributes = readAttributes(message.body.subarray(LINK_HEADER_LENGTH), LINK_HEADER_LENGTH);
    const name = attributes.get(rt.IFLA_IFNAME)?.string();
    if (family !== 0 || name === undefined) return undefined; // a bridge about its port
    if (message.type === rt.RTM_DELLINK) {
      this.#links.delete(index);
      for (const [key, address] of this.#addresses) if (address.index === index) this.#addresses.delete(key);
      return "routes";
    }
    const wasUp = this.#links.get(index)?.up === true;
    const up = (flags & rt.IFF_UP) !== 0;
    const kind = attributes.get(rt.IFLA_LINKINFO)?.nested().get(rt.IFLA_INFO_KIND)?.string();
    this.#links.set(index, {
      index,
      name,
      up,
      running: (flags & rt.IFF_RUNNING) !== 0,
      ...(kind === undefined ? {} : { kind }),
      ours: name.startsWith(OWNERSHIP.linkPrefix) && attributes.get(rt.IFLA_IFALIAS)?.string() === OWNERSHIP.linkAlias,
      ...carrierOf(attributes),
      ...tunnelEnds(attributes),
      ...((flags & rt.IFF_NOARP) !== 0 && { resolves: false }),
    });
    return wasUp && !up ? "routes" : undefined;
  }

  #applyAddress(message: NetlinkMessage): Doubt {
    const header = decodeAddressHeader(message.body);
    const attributes = readAttributes(message.body.subarray(ADDRESS_HEADER_LENGTH), ADDRESS_HEADER_LENGTH);
    const address = (attributes.get(rt.IFA_LOCAL) ?? attributes.get(rt.IFA_ADDRESS))?.address();
    if (address === undefined || familyOfNumber(header.family) === undefined) return undefined;
    const { index, prefixLength } = header;
    const key = `${index} ${address}/${prefixLength}`;
    if (message.type === rt.RTM_DELADDR) {
      this.#addresses.delete(key);
      return familyOfNumber(header.family) === 4 ? "routes" : undefined; // those with it as their preferred source
    }
    const flags = attributes.get(rt.IFA_FLAGS)?.u32() ?? header.flags;
    this.#addresses.set(key, {
      index,
      address,
      prefixLength,
      scope: SCOPES.get(header.scope) ?? "global",
      tentative: (flags & (rt.IFA_F_TENTATIVE | rt.IFA_F_DADFAILED)) !== 0,
      deprecated: (flags & rt.IFA_F_DEPRECATED) !== 0,
      temporary: familyOfNumber(header.family) === 6 && (flags & rt.IFA_F_TEMPORARY) !== 0,
      ours: attributes.get(rt.IFA_PROTO)?.u8() === OWNERSHIP.protocol,
      ...((flags & rt.IFA_F_PERMANENT) !== 0 && { permanent: true }),
      ...configurationOf(attributes),
    });
    return undefined;
  }

  #applyRoute(message: NetlinkMessage): Doubt {
    const header = decodeRouteHeader(message.body);
    const family = familyOfNumber(header.family);
    const discards = family === 6 && DISCARDING.has(header.type);
    if (family === undefined || (header.type !== rt.RTN_UNICAST && !discards)) return undefined;
    if ((header.flags & rt.RTM_F_CLONED) !== 0) return undefined;
    const attributes = readAttributes(message.body.subarray(ROUTE_HEADER_LENGTH), ROUTE_HEADER_LENGTH);
    const table = attributes.get(rt.RTA_TABLE)?.u32() ?? header.table;
    if (table !== rt.RT_TABLE_MAIN) return undefined;
    // Which of several routes to the same destination was replaced, and whether all next hops are in one message, is not said.
    if ((message.flags & NLM_F_REPLACE) !== 0) return "routes";
    if (discards) {
      this.#applyDiscarded(message.type === rt.RTM_DELROUTE, header, attributes);
      return undefined;
    }
    const routes = nextHops(header, attributes, this.#nextHopObjects).map((hop) =>
      decodeRoute(family, table, header, attributes, hop),
    );
    for (const route of routes) {
      const key = `${route.destination.address}/${route.destination.length} ${route.metric} ${header.tos} ${route.index} ${route.via ?? ""}`;
      if (message.type === rt.RTM_DELROUTE) this.#routes.delete(key);
      else this.#routes.set(key, route);
    }
    return undefined;
  }

  #applyDiscarded(
    isGone: boolean,
    { destinationLength: length, protocol }: RouteHeader,
    attributes: AttributeMap,
  ): void {
    if (protocol === OWNERSHIP.protocol) return;
    const address = attributes.get(rt.RTA_DST)?.address() ?? IPV6_ANY;
    const metric = attributes.get(rt.RTA_PRIORITY)?.u32() ?? 0;
    const key = `${address}/${length} ${metric}`;
    if (isGone) this.#discarded.delete(key);
    else this.#discarded.set(key, { destination: { address, length }, metric, protocol });
  }
}

function carrierOf(attributes: AttributeMap): Pick<NetworkLink, "carrierChanges"> {
  const carrierChanges = attributes.get(rt.IFLA_CARRIER_CHANGES)?.u32();
  return carrierChanges === undefined ? {} : { carrierChanges };
}

/** struct ifa_cacheinfo: preferred and valid lifetime, time of creation, time of the last update. */
function configurationOf(attributes: AttributeMap): Pick<NetworkAddress, "configuredAt"> {
  const bytes = attributes.get(rt.IFA_CACHEINFO)?.payload;
  if (bytes === undefined || bytes.length < 16) return {};
  return { configuredAt: new DataView(bytes.buffer, bytes.byteOffset, 16).getUint32(12, LITTLE) };
}

function decodeRoute(
  family: Family,
  table: number,
  header: RouteHeader,
  attributes: AttributeMap,
  hop: NextHop,
): Indexed<NetworkRoute> {
  const destination = attributes.get(rt.RTA_DST)?.address();
  const any = family === 4 ? IPV4_ANY : IPV6_ANY;
  return {
    family,
    destination: {
      address: destination ?? any,
      length: header.destinationLength,
    },
    ...hop,
    metric: attributes.get(rt.RTA_PRIORITY)?.u32() ?? 0,
    table,
    protocol: header.protocol,
    ours: header.protocol === OWNERSHIP.protocol,
  };
}

function nextHops(header: RouteHeader, attributes: AttributeMap, objects: NextHopObjects): readonly NextHop[] {
  if ((header.flags & rt.RTNH_F_DEAD) !== 0) return [];
  const several = attributes.get(rt.RTA_MULTIPATH)?.payload;
  if (several !== undefined) return readNextHops(several);
  const index = attributes.get(rt.RTA_OIF)?.u32();
  if (index !== undefined) return [hop(index, attributes)];
  const id = attributes.get(rt.RTA_NH_ID)?.u32();
  return id === undefined ? [] : objects.hopsOf(id);
}

/** struct rtnexthop, 8 octets: length, flags, weight, interface; then attributes. */
function readNextHops(bytes: Uint8Array): NextHop[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const hops: NextHop[] = [];
  for (let at = 0; at + 8 <= bytes.length; ) {
    const length = view.getUint16(at, LITTLE);
    if (length < 8 || at + length > bytes.length) break;
    const dead = ((bytes[at + 2] ?? 0) & rt.RTNH_F_DEAD) !== 0;
    if (!dead) hops.push(hop(view.getInt32(at + 4, LITTLE), readAttributes(bytes.subarray(at + 8, at + length))));
    at += (length + 3) & ~3;
  }
  return hops;
}

function hop(index: number, attributes: AttributeMap): NextHop {
  const via = attributes.get(rt.RTA_GATEWAY)?.address() ?? gatewayOfOtherFamily(attributes);
  return via === undefined ? { index } : { index, via };
}
