/** How doubts about the addresses of a link arise, and how they end. */
import { isLinkLocal, prefixContains } from "../../../base/ip.js";
import { after, type Instant, seconds } from "../../../base/time.js";
import type { NetworkAddress, NetworkView } from "../network-view.js";
import { addressKey, hostLength } from "./believed-view.js";
import type { Doubt, KnownRouter, LinkBelief, LinkLayerAddress } from "./model.js";
import {
  type Claim,
  claimOf,
  isTrusted,
  isVoucher,
  NEVER_ASKED,
  newRouter,
  sameRouter,
  vouchersOf,
} from "./routers.js";

/** Between two rounds of questions to one router, however many reasons come: a forger must not make us a source of traffic. */
const PAUSE = seconds(0.1);

const REFUSED = { believed: false, lastResort: false } as const;

/** The addresses of a link that a network has given it. */
export function networkAddresses(view: NetworkView, device: string): readonly NetworkAddress[] {
  return view.addresses.filter(
    (one) => one.device === device && !one.ours && (one.scope === "global" || one.scope === "site"),
  );
}

/** The carrier was lost: this may be any network now. Nothing that stood before is believed until its router has answered (RFC 4436 §2). */
export function loseCarrier(link: LinkBelief, view: NetworkView): LinkBelief {
  const routers = link.routers.map((router) => ({ ...router, ...NEVER_ASKED, trust: "unsure" as const }));
  // What a person has configured for good is no network's gift, and nobody configures it again: a router that was exchanged may do.
  const permanent = permanentKeys(view);
  const doubts = link.doubts.map(({ unproven, ...doubt }) => ({
    ...doubt,
    lenient: permanent.has(doubt.key),
    ...REFUSED,
  }));
  const unsure = { ...link, routers, doubts };
  const made = claims(view, link.device).flatMap((claim) =>
    doubtAbout(unsure, claim, { lenient: permanent.has(claim.key), ...REFUSED }),
  );
  return { ...unsure, doubts: [...doubts, ...made] };
}

const permanentKeys = ({ addresses }: NetworkView): ReadonlySet<string> =>
  new Set(addresses.filter((one) => one.permanent === true).map(addressKey));

/**
 * Something speaks against some of the routers, while the carrier has stayed: they are asked, and believed until the answer is overdue.
 * `silence`: it is no sign of another network.
 */
export function doubtRouters(
  link: LinkBelief,
  view: NetworkView,
  doubted: (router: KnownRouter) => boolean,
  { silence, now }: { readonly silence: boolean; readonly now: Instant },
): LinkBelief {
  if (!link.routers.some((router) => router.trust === "sure" && doubted(router))) return link;
  const routers = link.routers.map((router): KnownRouter => {
    if (router.trust !== "sure" || !doubted(router)) return router;
    const free = router.askedAt === undefined ? now : after(router.askedAt, PAUSE);
    return { ...router, trust: "asked", attempts: 0, askAt: free > now ? free : now };
  });
  const asked = { ...link, routers };
  const permanent = permanentKeys(view);
  const made = claims(view, link.device).flatMap((claim) =>
    // Where the link has not moved, a router may have been exchanged behind it; over IPv6 the new one advertises itself. Who answers for the
    // router's address elsewhere (hosts do that for all of their addresses) is not that router, which only the home agent's answer tells.
    doubtAbout(asked, claim, {
      lenient: silence && (claim.family === 4 || permanent.has(claim.key)),
      believed: true,
      lastResort: silence,
    }),
  );
  return { ...asked, doubts: [...link.doubts, ...made] };
}

/** None where somebody who vouches for it is beyond doubt, or where nobody could: what no router speaks for is a person's business. */
function doubtAbout(
  link: LinkBelief,
  claim: Claim,
  manner: Pick<Doubt, "lenient" | "believed" | "lastResort">,
): readonly Doubt[] {
  if (link.doubts.some(({ key }) => key === claim.key)) return [];
  const vouchers = vouchersOf(link, claim);
  if (vouchers.length === 0 || vouchers.some(({ trust }) => trust === "sure")) return [];
  const { key, family, what } = claim;
  return [{ key, family, what, vouchers: vouchers.map(voucher), ...manner }];
}

export const voucher = ({ address, linkLayerAddress }: KnownRouter): Doubt["vouchers"][number] =>
  linkLayerAddress === undefined ? { address } : { address, linkLayerAddress };

/** What stands on a link: its addresses, and IPv6 prefixes on which it has none (they too can make it the home link). */
export function claims(view: NetworkView, device: string): readonly Claim[] {
  const addresses = networkAddresses(view, device);
  const prefixes = view.routes.filter(
    ({ ours, family, via, destination, ...route }) =>
      route.device === device &&
      !ours &&
      family === 6 &&
      via === undefined &&
      destination.length > 0 &&
      destination.length < hostLength(destination.address) &&
      !isLinkLocal(destination.address) &&
      !destination.address.startsWith("ff") &&
      !addresses.some(({ address }) => prefixContains(destination, address)),
  );
  return [
    ...addresses.map((one) => claimOf(one.address, one.prefixLength, addressKey(one))),
    ...prefixes.map(({ destination }) => ({
      key: `on-link ${destination.address}/${destination.length}`,
      family: 6 as const,
      what: destination,
      network: destination,
    })),
  ];
}

/** Takes the addresses over: what has gone is no question any more, and what was configured since is this network's. */
export function takeAddresses(link: LinkBelief, view: NetworkView): LinkBelief {
  const addresses = networkAddresses(view, link.device);
  const seen = new Map(addresses.map((one) => [addressKey(one), one.configuredAt]));
  const standing = new Set(claims(view, link.device).map(({ key }) => key));
  const isNew = (key: string): boolean => !link.seen.has(key) || link.seen.get(key) !== seen.get(key);
  const doubts = link.doubts.filter(({ key }) => standing.has(key) && !(seen.has(key) && isNew(key)));
  const configured = addresses.filter((one) => isNew(addressKey(one)));
  return configured.reduce<LinkBelief>((next, one) => trustConfigured(next, one), { ...link, doubts, seen });
}

/**
 * The routers that serve an address just configured, unless one of them is believed already, count as new ones of this network: in two
 * networks they often have the same address. What was known of the former one stays for the addresses that it vouched for.
 */
function trustConfigured(link: LinkBelief, { address, prefixLength, permanent }: NetworkAddress): LinkBelief {
  const claim = claimOf(address, prefixLength, "");
  const serving = link.routers.filter(({ serves }) => serves.includes(claim.family));
  const within = serving.filter((router) => prefixContains(claim.network, router.address));
  // An IPv6 address that came by an advertisement says nothing of other routers: its own one has spoken, or will be heard in a moment.
  if (within.length === 0 && claim.family === 6 && permanent !== true) return link;
  const near = within.length > 0 ? within : serving;
  if (near.length === 0 || near.some(isTrusted)) return link;
  const fresh = [...new Set(near.map((router) => router.address))].map((hop) =>
    newRouter(hop, near.find((router) => router.address === hop)?.serves ?? [], undefined),
  );
  const kept = link.routers.filter(
    (router) => !fresh.some((one) => one.address === router.address) || isVoucher(link.doubts, router),
  );
  return { ...link, routers: [...kept, ...fresh] };
}

/** The router has answered: it, and what it vouches for, is believed. A stranger in its place makes what lets it unproven. */
export function confirm(
  link: LinkBelief,
  found: KnownRouter,
  linkLayerAddress: LinkLayerAddress | undefined,
): LinkBelief {
  const address = linkLayerAddress ?? found.linkLayerAddress;
  const sure: KnownRouter = {
    ...found,
    ...(address !== undefined && { linkLayerAddress: address }),
    ...NEVER_ASKED,
    askedAt: found.askedAt,
    trust: "sure",
  };
  const doubts = link.doubts
    .filter(({ vouchers }) => !vouchers.some((one) => sameRouter(one, sure)))
    .map(
      (doubt): Doubt => (lets(doubt, sure) ? { ...doubt, lenient: false, lastResort: true, unproven: true } : doubt),
    );
  return { ...link, routers: [...withoutReplaced(link.routers, { found, sure, doubts }), sure], doubts };
}

/** Whether a router of this address, though another one, will do for the time being. */
const lets = ({ lenient, vouchers }: Doubt, { address }: Pick<KnownRouter, "address">): boolean =>
  lenient && vouchers.some((one) => one.address === address);

/** Without notes of the same address that nothing depends on; a former one that still vouches for something stays, and is asked. */
function withoutReplaced(
  routers: readonly KnownRouter[],
  { found, sure, doubts }: { found: KnownRouter; sure: KnownRouter; doubts: readonly Doubt[] },
): readonly KnownRouter[] {
  return routers.filter((router) => {
    if (router.address !== sure.address) return true;
    if (router === found && sameRouter(router, sure)) return false;
    return isVoucher(doubts, router);
  });
}

/** The home agent has answered there: whatever the network is, the address is good in it. */
export function prove(link: LinkBelief, address: Claim["what"]["address"]): LinkBelief {
  const doubts = link.doubts.filter(({ what }) => what.address !== address);
  if (doubts.length === link.doubts.length) return link;
  // A former router whose place another one has taken is asked no more.
  const routers = link.routers.filter(
    (router) =>
      isTrusted(router) ||
      isVoucher(doubts, router) ||
      !link.routers.some((other) => other.address === router.address && isTrusted(other)),
  );
  return { ...link, routers, doubts };
}

/**
 * The neighbour of this address and link-layer address is there. One of another link-layer address is not the router that was known;
 * where that does not matter it takes its place.
 */
export function answer(
  link: LinkBelief,
  from: { readonly address: KnownRouter["address"]; readonly linkLayerAddress?: LinkLayerAddress },
): LinkBelief {
  const named = link.routers.filter(({ address }) => address === from.address);
  const exact = named.find(
    ({ linkLayerAddress }) => linkLayerAddress !== undefined && linkLayerAddress === from.linkLayerAddress,
  );
  const found =
    exact ?? named.find((router) => sameRouter(router, from)) ?? named.find((router) => stands(link, router));
  return found === undefined ? link : confirm(link, found, from.linkLayerAddress);
}

/** Whether a router of this address may take the place of this one. */
function stands({ doubts }: LinkBelief, router: KnownRouter): boolean {
  return router.trust === "sure" || doubts.some((doubt) => lets(doubt, router));
}
