/**
 * Which IPv6 prefixes a DHCPv6 client on this machine has been delegated (RFC 5454 §3.7.1), by what it leaves in the kernel, whatever client it is:
 * a route that discards what of the prefix is not in use (dhcpcd, systemd-networkd; RFC 7084 WPD-5), or addresses on the links behind the node
 * (wide-dhcpv6-client, which leaves nothing else).
 */
import {
  formatPrefix,
  isIpv6,
  isRoutableUnicast,
  maskAddress,
  type Prefix,
  prefixContains,
  prefixesOverlap,
} from "../../base/ip.js";
import type { NetworkAddress, NetworkView } from "./network-view.js";

export interface DelegationSite {
  /** Prefixes that are registered anyway. */
  readonly prefixes: readonly Prefix[];
  /** By which the node attaches; undefined: by any with a default route. Networks on them are visited. */
  readonly interfaces?: readonly string[] | undefined;
}

/** A host's own address, which is no network. */
const HOST_LENGTH = 128;
/** More is delegated to nobody: who discards that has another reason. */
const LARGEST = 32;
const LOOPBACK = "lo";
/** rtm_protocol of routes of the kernel's own and of those learnt from router advertisements. */
const NOT_BY_HAND: ReadonlySet<number> = new Set([2, 9]);
/** As many as the home agent answers, and one request holds. */
export const MOST_DELEGATED = 8;

/** Each once, the same ones always in the same order. */
export function delegatedPrefixes(view: NetworkView, site: DelegationSite): readonly Prefix[] {
  const { discarded = [] } = view;
  const whole = discarded
    .map(({ destination }) => destination)
    .filter((one) => isNetwork(one) && one.length >= LARGEST);
  const assigned = view.addresses.filter((one) => isBehind(one, view, site)).map(networkOf);
  const found = new Map([...whole, ...assigned.filter(isNetwork)].map((one) => [formatPrefix(one), one]));
  const all = [...found.values()];
  const isWithin = (inner: Prefix, outer: Prefix): boolean =>
    inner !== outer && inner.length >= outer.length && prefixContains(outer, inner.address);
  return all
    .filter(
      (one) => !site.prefixes.some((own) => prefixesOverlap(own, one)) && !all.some((other) => isWithin(one, other)),
    )
    .sort((a, b) => (formatPrefix(a) < formatPrefix(b) ? -1 : 1))
    .slice(0, MOST_DELEGATED);
}

const networkOf = ({ address, prefixLength }: NetworkAddress): Prefix => ({
  address: maskAddress(address, prefixLength),
  length: prefixLength,
});

const isNetwork = ({ address, length }: Prefix): boolean =>
  isIpv6(address) && length > 0 && length < HOST_LENGTH && isRoutableUnicast(address);

/** Given by somebody who manages the link, not learnt there. */
function isBehind(one: NetworkAddress, view: NetworkView, { interfaces }: DelegationSite): boolean {
  const { device, address, prefixLength, scope, ours, permanent, temporary } = one;
  if (ours || temporary || scope !== "global" || !isIpv6(address) || device === LOOPBACK) return false;
  if (view.links.some((link) => link.name === device && (link.ours || link.tunnel !== undefined))) return false;
  const isUplink =
    interfaces?.includes(device) ??
    view.routes.some((route) => !route.ours && route.device === device && route.destination.length === 0);
  if (isUplink) return false;
  if (permanent === true) return true;
  const { address: network } = networkOf(one);
  return view.routes.some(
    ({ device: at, destination, via, protocol }) =>
      at === device &&
      via === undefined &&
      destination.address === network &&
      destination.length === prefixLength &&
      !NOT_BY_HAND.has(protocol),
  );
}
