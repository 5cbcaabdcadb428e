/** Questions that wait for their time: to routers that are in doubt or gone, and router solicitations. */
import { familyOf, type IpAddress, type Ipv6Address } from "../../../base/ip.js";
import { after, earliest, type Instant, seconds } from "../../../base/time.js";
import type { NetworkView } from "../network-view.js";
import { networkAddresses } from "./doubts.js";
import type { DetectionEffect, Doubt, KnownRouter, LinkBelief } from "./model.js";
import { isTrusted, sameRouter } from "./routers.js";

/** A question and at most two repetitions (RFC 4436 §2.1). */
const QUESTIONS = 3;
/** Then one to everybody, where a router of that address will do whatever its link-layer address. */
const OPEN_QUESTIONS = 1;
/** On a link an answer takes milliseconds, with a sleeping radio perhaps a hundred; a later one counts all the same. */
const QUESTION_INTERVAL = seconds(0.15);
/** Who has not answered is asked again, more and more seldom. */
const AGAIN_FIRST = seconds(3);
const AGAIN_MAX = seconds(30);
/** MAX_RTR_SOLICITATIONS and RTR_SOLICITATION_INTERVAL (RFC 4861 §10). */
export const SOLICITATIONS = 3;
const SOLICITATION_INTERVAL = seconds(4);

/** Sets the time for the questions of a link that can carry them; none while it cannot. */
export function armed(link: LinkBelief, now: Instant): LinkBelief {
  if (!link.usable) {
    const routers = link.routers.map((router) => ({ ...router, askAt: undefined }));
    return { ...link, soliciting: undefined, routers };
  }
  const idle = (router: KnownRouter): boolean => router.askAt === undefined && isWanted(link, router);
  if (!link.routers.some(idle)) return link;
  return { ...link, routers: link.routers.map((router) => (idle(router) ? { ...router, askAt: now } : router)) };
}

/** One that is gone and used to advertise itself will be heard when it is back; it is asked only where no other one is there. */
function isWanted({ routers }: LinkBelief, router: KnownRouter): boolean {
  if (router.trust !== "gone") return router.trust !== "sure";
  return (
    router.advertised === undefined ||
    !routers.some(({ trust, advertised }) => trust === "sure" && advertised !== undefined)
  );
}

export function soliciting(link: LinkBelief, now: Instant, left = SOLICITATIONS): LinkBelief {
  return link.usable && link.soliciting === undefined ? { ...link, soliciting: { left, at: now } } : link;
}

export function nextAskingOf({ routers, soliciting: wait }: LinkBelief): Instant | undefined {
  const ends = routers.map(({ trust, advertised }) => (trust === "sure" ? advertised?.until : undefined));
  return earliest(wait?.at, ...routers.map(({ askAt }) => askAt), ...ends);
}

/** Asks what is due. */
export function askDue(
  link: LinkBelief,
  { view, now, effects }: { readonly view: NetworkView; readonly now: Instant; readonly effects: DetectionEffect[] },
): LinkBelief {
  if (!link.usable) return link;
  let next = solicit(link, { view, now, effects });
  for (const router of link.routers) {
    // Who was changed by another's silence has a time of its own again.
    if (!next.routers.includes(router)) continue;
    if (router.askAt !== undefined && router.askAt <= now) next = ask(next, router, { view, now, effects });
  }
  return next;
}

interface Context {
  readonly view: NetworkView;
  readonly now: Instant;
  readonly effects: DetectionEffect[];
}

function solicit(link: LinkBelief, { view, now, effects }: Context): LinkBelief {
  const { soliciting: wait, index, device } = link;
  if (wait === undefined || wait.at > now) return link;
  if (wait.left === 0) {
    // Nobody advertises: without another way to an IPv6 address this is an IPv4-only network (RFC 5555 §4.4.4).
    const six = networkAddresses(view, device).some(
      (one) =>
        familyOf(one.address) === 6 &&
        !link.doubts.some((doubt) => doubt.what.address === one.address && !doubt.believed),
    );
    if (!six) effects.push({ kind: "report", event: "network.without-router", detail: { device } });
    return { ...link, soliciting: undefined };
  }
  const sender = linkLocal(view, device);
  effects.push({ kind: "solicit", index, device, ...(sender && { sender }) });
  return { ...link, soliciting: { left: wait.left - 1, at: after(now, SOLICITATION_INTERVAL) } };
}

function ask(link: LinkBelief, router: KnownRouter, context: Context): LinkBelief {
  const { now, effects, view } = context;
  const mine = link.doubts.filter(({ vouchers }) => vouchers.some((one) => sameRouter(one, router)));
  if (mine.length === 0 && router.serves.length === 0) return replace(link, router, { ...router, askAt: undefined });
  const lenient = mine.length === 0 || mine.some((doubt) => doubt.lenient);
  const gone = router.trust === "gone";
  if (!gone && router.attempts >= QUESTIONS + (lenient && router.linkLayerAddress !== undefined ? OPEN_QUESTIONS : 0))
    return giveUp(link, router, context);
  const sender = senderFor(view, link.device, router, mine);
  // Without an address to ask from there is nothing to ask; a change of the addresses begins anew.
  if (sender === undefined) return replace(link, router, { ...router, askAt: undefined });
  const open = lenient && (gone ? router.attempts % 2 === 0 : router.attempts >= QUESTIONS);
  const { index, device } = link;
  const known = open ? undefined : router.linkLayerAddress;
  effects.push({
    kind: "ask",
    index,
    device,
    router: router.address,
    ...(known !== undefined && { linkLayerAddress: known }),
    sender,
  });
  const attempts = router.attempts + 1;
  const askAt = gone ? againAt(link, router, attempts, now) : after(now, QUESTION_INTERVAL);
  return replace(link, router, { ...router, attempts, askAt, askedAt: now });
}

/** Overdue: what nobody else vouches for belongs to another network. Those who had gone before may be back instead. */
function giveUp(link: LinkBelief, router: KnownRouter, { now, effects }: Context): LinkBelief {
  const routers = link.routers.map((one): KnownRouter => {
    if (one === router) return { ...one, trust: "gone", attempts: 0, askAt: againAt(link, one, 0, now) };
    return one.trust === "gone" ? { ...one, attempts: 0, askAt: now } : one;
  });
  const left: string[] = [];
  const doubts = link.doubts.map((doubt) => {
    const hope = routers.some((one) => isTrusted(one) && doubt.vouchers.some((voucher) => sameRouter(voucher, one)));
    if (hope || !doubt.vouchers.some((voucher) => sameRouter(voucher, router))) return doubt;
    if (doubt.unproven !== true) left.push(doubt.what.address);
    return { ...doubt, believed: false };
  });
  if (left.length > 0)
    effects.push({
      kind: "report",
      event: "network.left",
      detail: { device: link.device, router: router.address, addresses: left.join(" ") },
    });
  return { ...link, routers, doubts };
}

function againAt(link: LinkBelief, router: KnownRouter, rounds: number, now: Instant): Instant | undefined {
  if (!isWanted(link, { ...router, trust: "gone" })) return undefined;
  return after(now, seconds(Math.min(AGAIN_MAX, AGAIN_FIRST * 2 ** Math.min(rounds, 8))));
}

/** IPv4: the address in question (RFC 4436 §2.1). IPv6: the link-local address, which every network lets us use. */
function senderFor(
  view: NetworkView,
  device: string,
  router: KnownRouter,
  doubts: readonly Doubt[],
): IpAddress | undefined {
  const family = familyOf(router.address);
  const own = networkAddresses(view, device).filter((one) => familyOf(one.address) === family && !one.tentative);
  if (family === 6) return linkLocal(view, device) ?? own[0]?.address;
  return own.find(({ address }) => doubts.some(({ what }) => what.address === address))?.address ?? own[0]?.address;
}

function linkLocal(view: NetworkView, device: string): Ipv6Address | undefined {
  const found = view.addresses.find(
    (one) => one.device === device && one.scope === "link" && familyOf(one.address) === 6 && !one.tentative,
  );
  return found?.address as Ipv6Address | undefined;
}

function replace(link: LinkBelief, router: KnownRouter, by: KnownRouter): LinkBelief {
  return { ...link, routers: link.routers.map((one) => (one === router ? by : one)) };
}
