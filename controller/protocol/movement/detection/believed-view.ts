/** The network without what is not believed: addresses and prefixes of networks that a link has left, and routes through their routers. */
import { familyOf, type IpAddress, prefixContains } from "../../../base/ip.js";
import type { NetworkAddress, NetworkRoute, NetworkView } from "../network-view.js";
import type { Doubt, LinkBelief } from "./model.js";

export const addressKey = ({ address, prefixLength }: Pick<NetworkAddress, "address" | "prefixLength">): string =>
  `${address}/${prefixLength}`;

export const hostLength = (address: IpAddress): number => (familyOf(address) === 6 ? 128 : 32);

/** What the choice of an attachment may see. What only detection needs (carrier counts, times of configuration) is left out. */
export function believedView(view: NetworkView, links: Iterable<LinkBelief>): NetworkView {
  const beliefs = new Map([...links].map((link) => [link.device, link]));
  const addresses = view.addresses.flatMap((one): NetworkAddress[] => {
    const doubt = overdue(beliefs.get(one.device), addressKey(one));
    if (doubt === undefined) return [one];
    return doubt.lastResort ? [{ ...one, deprecated: true, ...(doubt.unproven && { unproven: true }) }] : [];
  });
  return {
    ...view,
    links: view.links.map(({ carrierChanges, ...link }) => link),
    addresses: addresses.map(({ configuredAt, ...address }) => address),
    ...(view.ways !== undefined && {
      ways: view.ways.filter((way) => believesRoute(beliefs.get(way.device), way, addresses)),
    }),
    routes: view.routes.filter((route) => route.ours || believesRoute(beliefs.get(route.device), route, addresses)),
  };
}

/** The doubt about an address whose router has not answered. */
function overdue(link: LinkBelief | undefined, key: string): Doubt | undefined {
  return link?.doubts.find((doubt) => doubt.key === key && !doubt.believed);
}

function believesRoute(
  link: LinkBelief | undefined,
  route: Pick<NetworkRoute, "device" | "via"> & Partial<Pick<NetworkRoute, "destination">>,
  believed: readonly NetworkAddress[],
): boolean {
  if (link === undefined) return true;
  const { via, destination, device } = route;
  if (via !== undefined) return believesRouter(link, via);
  if (destination === undefined) return true;
  const within = (doubt: Doubt): boolean =>
    !doubt.believed &&
    (!doubt.lastResort || doubt.unproven === true) &&
    prefixContains(destination, doubt.what.address);
  if (destination.length === hostLength(destination.address) || !link.doubts.some(within)) return true;
  // Our home address stands on the home link, or where that was a moment ago: it says nothing about the network.
  return believed.some(
    (one) => !one.ours && one.unproven !== true && one.device === device && prefixContains(destination, one.address),
  );
}

/** Whether packets may be given to this next hop. One that nobody has a word about may be used. */
export function believesRouter({ routers }: LinkBelief, address: IpAddress): boolean {
  const known = routers.filter((router) => router.address === address);
  return known.length === 0 || known.some(({ trust }) => trust === "sure" || trust === "asked");
}
