/**
 * Which networks stay out of the tunnel: those behind the machine's own links (containers, tethering, a VPN's network), where wanted also
 * the visited link's, and what the operator excludes. Read from the machine's own routes, and no longer there than these.
 *
 * Must not know: tables, rules, bindings.
 */
import {
  type Family,
  familyOf,
  formatPrefix,
  type IpAddress,
  isRoutableUnicast,
  type Prefix,
  prefixContains,
  prefixesOverlap,
} from "../../base/ip.js";
import { type AttachmentSite, isHomeLink, type MobileNodeSite, uplinkDevices } from "./attachment.js";
import type { NetworkAddress, NetworkRoute, NetworkView } from "./network-view.js";

export interface LocalNetwork {
  readonly destination: Prefix;
  readonly device: string;
  /** Absent: on the link. */
  readonly gateway?: IpAddress;
  /** What packets whose source is not chosen yet get, so that the home address is not taken and the answers find back. */
  readonly source?: IpAddress;
}

export interface LocalNetworks {
  /** Behind links that are no uplink: packets from the home addresses stay local too, as answers to somebody there do. */
  readonly own: readonly LocalNetwork[];
  /** On or behind an uplink: for packets whose source is not chosen yet alone, for those from a home address belong into the tunnel. */
  readonly visited: readonly LocalNetwork[];
}

/** Shorter ones are default routes in disguise (0.0.0.0/1 and 128.0.0.0/1), whatever device they name. */
const SHORTEST_NETWORK = { 4: 8, 6: 7 } as const;

export type LocalNetworksSite = AttachmentSite & Pick<MobileNodeSite, "localNetworks" | "exclude">;

/** `busy`: devices that carry the tunnel or the home link just now, whether or not they could be chosen at this moment. */
export function localNetworks(view: NetworkView, site: LocalNetworksSite, busy: Iterable<string>): LocalNetworks {
  const uplinks = new Set([...uplinkDevices(view, site), ...(site.interfaces ?? []), ...busy]);
  const routes = view.routes.filter((route) => isForeign(view, route));
  const connected = routes.filter((route) => route.via === undefined && isNetwork(route.destination, site));
  const { localNetworks: wanted, exclude } = site;
  const own = wanted === "none" ? [] : connected.filter(({ device }) => !uplinks.has(device));
  const visited =
    wanted === "own-and-visited"
      ? connected.filter(
          ({ device, destination }) =>
            uplinks.has(device) &&
            !isHomeLink(view, site, device) &&
            // The home network behind a visited link of the same numbers is what the tunnel is for.
            !site.homePrefixes.some((home) => prefixesOverlap(home, destination)),
        )
      : [];
  return {
    own: networksOf(view, own),
    visited: networksOf(view, [...visited, ...exclude.flatMap((prefix) => excluded(routes, prefix))]),
  };
}

/** Routes of others through links that can carry packets; the kernel takes none through a link that is down. */
function isForeign({ links }: NetworkView, { ours, device, destination }: NetworkRoute): boolean {
  const link = links.find(({ name }) => name === device);
  const usable = link?.up === true && !link.ours && device !== "lo";
  return usable && !ours && (destination.length === 0 || isRoutableUnicast(destination.address));
}

function isNetwork(destination: Prefix, { homeAgent, homeAddress }: LocalNetworksSite): boolean {
  if (destination.length < SHORTEST_NETWORK[familyOf(destination.address)]) return false;
  const ends = [homeAgent.ipv6, homeAgent.ipv4, homeAddress];
  return !ends.some((end) => end !== undefined && prefixContains(destination, end));
}

/** The routes that a prefix is reached by: those within it, and the narrowest one around it as far as the prefix goes. */
function excluded(routes: readonly NetworkRoute[], prefix: Prefix): readonly NetworkRoute[] {
  const within = routes.filter(
    ({ destination }) => destination.length >= prefix.length && prefixContains(prefix, destination.address),
  );
  const [around] = routes
    .filter(({ destination }) => destination.length < prefix.length && prefixContains(destination, prefix.address))
    .sort((a, b) => b.destination.length - a.destination.length || a.metric - b.metric);
  return around === undefined ? within : [...within, { ...around, destination: prefix }];
}

/** One route to each destination, the one that the kernel prefers; in a fixed order, because the outcome is compared. */
function networksOf(view: NetworkView, routes: readonly NetworkRoute[]): readonly LocalNetwork[] {
  const best = new Map<string, NetworkRoute>();
  for (const route of routes) {
    const key = formatPrefix(route.destination);
    const known = best.get(key);
    if (known === undefined || route.metric < known.metric) best.set(key, route);
  }
  return [...best]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { destination, device, via }]) => {
      const source = sourceOn(view, device, destination);
      return {
        destination,
        device,
        ...(via === undefined ? {} : { gateway: via }),
        ...(source === undefined ? {} : { source }),
      };
    });
}

function sourceOn(view: NetworkView, device: string, destination: Prefix): IpAddress | undefined {
  const family: Family = familyOf(destination.address);
  const last = (one: NetworkAddress): number =>
    4 * Number(one.deprecated) + 2 * Number(!prefixContains(destination, one.address)) + Number(one.temporary);
  const [first] = view.addresses
    .filter((one) => one.device === device && familyOf(one.address) === family)
    .filter((one) => !one.ours && !one.tentative && one.scope === "global")
    .sort((a, b) => last(a) - last(b) || (a.address < b.address ? -1 : 1));
  return first?.address;
}
