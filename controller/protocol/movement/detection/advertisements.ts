/** What a router advertisement says about the network a link is in (RFC 6275 §11.5.1, RFC 6059 §4). */
import { prefixesOverlap } from "../../../base/ip.js";
import { after, type Instant, seconds } from "../../../base/time.js";
import type { NetworkView } from "../network-view.js";
import { claims, confirm, doubtRouters } from "./doubts.js";
import type { Doubt, KnownRouter, LinkBelief, RouterAdvertisement } from "./model.js";
import { advertises, bounded, newRouter, sameRouter } from "./routers.js";

/**
 * The router is there, and so are the networks of its prefixes. If it was not known here just now, the link may be in another network,
 * and all others are asked. A router that advertises nothing any more of what it did is another one with the same address.
 */
export function hear(
  link: LinkBelief,
  advertisement: RouterAdvertisement,
  view: NetworkView,
  now: Instant,
): LinkBelief {
  const { router: address, linkLayerAddress, prefixes, lifetimeSeconds } = advertisement;
  const from = { address, ...(linkLayerAddress && { linkLayerAddress }) };
  const changed = forgetReplaced(link, advertisement, view);
  const named = changed.routers.filter((router) => sameRouter(router, from));
  const known = named.find((router) => router.linkLayerAddress !== undefined) ?? named[0];
  // The first word of one that the routing table names already, after a start for example, is news as well.
  const isNews = known?.trust !== "sure" || known.advertised === undefined;
  const until = lifetimeSeconds > 0 ? after(now, seconds(lifetimeSeconds)) : undefined;
  const router: KnownRouter = {
    ...(known ?? newRouter(address, [], linkLayerAddress)),
    advertised: { prefixes, until },
  };
  const routers =
    known === undefined
      ? [...bounded(changed.routers), router]
      : changed.routers.map((one) => (one === known ? router : one));
  const heard = confirm({ ...changed, routers }, router, linkLayerAddress);
  const doubts = heard.doubts.filter(({ what }) => !advertises(prefixes, what));
  const next = { ...heard, doubts, soliciting: undefined };
  if (!isNews) return next;
  const warned = { ...next, doubts: doubts.map(warnedOf) };
  return doubtRouters(warned, view, (one) => one.address !== address, { silence: false, now });
}

/** Silence, together with another network's router, is more than silence. */
function warnedOf(doubt: Doubt): Doubt {
  return doubt.lastResort ? { ...doubt, lenient: false, lastResort: false } : doubt;
}

function forgetReplaced(
  link: LinkBelief,
  { router: address, prefixes }: RouterAdvertisement,
  view: NetworkView,
): LinkBelief {
  const former = link.routers.flatMap((one) => (one.address === address ? (one.advertised?.prefixes ?? []) : []));
  const kept = former.some((prefix) => prefixes.some((one) => prefixesOverlap(prefix, one)));
  if (former.length === 0 || prefixes.length === 0 || kept) return link;
  const others = link.routers.filter((one) => one.address !== address && one.trust === "sure");
  const lost = claims(view, link.device).filter(
    ({ what, family }) =>
      family === 6 &&
      advertises(former, what) &&
      !others.some(({ advertised }) => advertises(advertised?.prefixes, what)),
  );
  const made = lost.map(
    ({ key, family, what }): Doubt => ({
      ...{ key, family, what, vouchers: [] },
      ...{ lenient: false, believed: false, lastResort: false },
    }),
  );
  return { ...link, doubts: [...link.doubts.filter(({ key }) => !lost.some((one) => one.key === key)), ...made] };
}

/** A router whose lifetime as a default router is over, without another word, is asked. */
export function expire(link: LinkBelief, view: NetworkView, now: Instant): LinkBelief {
  const over = ({ advertised }: KnownRouter): boolean => advertised?.until !== undefined && advertised.until <= now;
  if (!link.routers.some((router) => router.trust === "sure" && over(router))) return link;
  const asked = doubtRouters(link, view, over, { silence: true, now });
  const routers = asked.routers.map((router) =>
    over(router) && router.advertised ? { ...router, advertised: { ...router.advertised, until: undefined } } : router,
  );
  return { ...asked, routers };
}
