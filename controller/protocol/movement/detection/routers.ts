/** The routers of a link, and which of them vouches for which address. */
import {
  type Family,
  familyOf,
  type IpAddress,
  isLinkLocal,
  maskAddress,
  type Prefix,
  prefixContains,
} from "../../../base/ip.js";
import type { NetworkView } from "../network-view.js";
import type { Doubt, HomeAgentAddresses, KnownRouter, LinkBelief, LinkLayerAddress, Voucher } from "./model.js";

/** More routers than any link has; a forger of advertisements must not fill the memory. */
const MAX_ADVERTISING = 16;

export const NEVER_ASKED = { attempts: 0, askAt: undefined, askedAt: undefined } as const;

/** Whether two notes are about one router; without a link-layer address on either side the address has to do. */
export function sameRouter(a: Voucher, b: Voucher): boolean {
  if (a.address !== b.address) return false;
  return a.linkLayerAddress === undefined || b.linkLayerAddress === undefined
    ? true
    : a.linkLayerAddress === b.linkLayerAddress;
}

/** The next hops towards the home agent through a device and the families they serve; the home agent itself where it is on the link. */
export function nextHops(
  view: NetworkView,
  device: string,
  homeAgent: HomeAgentAddresses,
): ReadonlyMap<IpAddress, readonly Family[]> {
  const hops = new Map<IpAddress, readonly Family[]>();
  for (const route of view.routes) {
    const target = route.family === 6 ? homeAgent.ipv6 : homeAgent.ipv4;
    if (route.ours || route.device !== device || target === undefined) continue;
    if (!prefixContains(route.destination, target)) continue;
    const hop = route.via ?? target;
    const known = hops.get(hop) ?? [];
    if (!known.includes(route.family)) hops.set(hop, [...known, route.family]);
  }
  for (const { device: through, address, via } of view.ways ?? []) {
    if (through !== device || via === undefined) continue;
    const known = hops.get(via) ?? [];
    const family = familyOf(address);
    if (!known.includes(family)) hops.set(via, [...known, family]);
  }
  return hops;
}

/** Takes the routing table over: who serves what now, who has come, who is of no use any more. */
export function withNextHops(link: LinkBelief, hops: ReadonlyMap<IpAddress, readonly Family[]>): LinkBelief {
  const came = [...hops.keys()].filter(
    (address) => !link.routers.some((router) => router.address === address && router.serves.length > 0),
  );
  const routers = link.routers
    .map((router) => ({ ...router, serves: hops.get(router.address) ?? [] }))
    .filter((router) => router.serves.length > 0 || router.advertised !== undefined || isVoucher(link.doubts, router));
  const fresh = came.flatMap((address): KnownRouter[] => {
    // A route that somebody has made just now is new configuration: whatever was thought of its router before is over.
    if (routers.some((router) => router.address === address && isTrusted(router))) return [];
    return [newRouter(address, hops.get(address) ?? [], undefined)];
  });
  return { ...link, routers: [...routers, ...fresh] };
}

export function newRouter(
  address: IpAddress,
  serves: readonly Family[],
  linkLayerAddress: LinkLayerAddress | undefined,
): KnownRouter {
  return { address, ...(linkLayerAddress && { linkLayerAddress }), trust: "sure", serves, ...NEVER_ASKED };
}

export const isTrusted = ({ trust }: KnownRouter): boolean => trust === "sure" || trust === "asked";

export function isVoucher(doubts: readonly Doubt[], router: Voucher): boolean {
  return doubts.some(({ vouchers }) => vouchers.some((one) => sameRouter(one, router)));
}

/** An address or prefix for which somebody is to vouch. */
export interface Claim {
  readonly key: string;
  readonly family: Family;
  readonly what: Prefix;
  /** The address's own network. */
  readonly network: Prefix;
}

/**
 * Whoever has advertised the prefix. Where nobody has: the next hops of the family within the address's network, and in IPv6 those with
 * a link-local address; else all next hops of the family.
 */
export function vouchersOf({ routers }: LinkBelief, { family, what, network }: Claim): readonly KnownRouter[] {
  const advertising = routers.filter(({ advertised }) => advertises(advertised?.prefixes, what));
  if (advertising.length > 0) return advertising;
  const serving = routers.filter(({ serves }) => serves.includes(family));
  const near = serving.filter(({ address }) => isLinkLocal(address) || prefixContains(network, address));
  const candidates = near.length > 0 ? near : serving;
  // Who advertises other prefixes speaks for this one only where nobody else could.
  const silent = candidates.filter(({ advertised }) => advertised === undefined || advertised.prefixes.length === 0);
  return silent.length > 0 ? silent : candidates;
}

export function advertises(prefixes: readonly Prefix[] | undefined, { address, length }: Prefix): boolean {
  return prefixes?.some((prefix) => length >= prefix.length && prefixContains(prefix, address)) === true;
}

/** Room for one more that advertises itself: of those that serve nothing the first to come is the first to go. */
export function bounded(routers: readonly KnownRouter[]): readonly KnownRouter[] {
  const idle = routers.filter(({ serves, advertised }) => serves.length === 0 && advertised !== undefined);
  if (idle.length < MAX_ADVERTISING) return routers;
  return routers.filter((router) => router !== idle[0]);
}

export function claimOf(address: IpAddress, prefixLength: number, key: string): Claim {
  const family = familyOf(address);
  const network = { address: maskAddress(address, prefixLength), length: prefixLength };
  return { key, family, what: { address, length: family === 6 ? 128 : 32 }, network };
}
