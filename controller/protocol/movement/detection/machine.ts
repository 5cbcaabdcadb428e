/**
 * Movement detection: whether the network that a link is in is still the one its addresses came from (RFC 6275 §11.5.1, RFC 6059 for
 * IPv6, RFC 4436 for IPv4).
 *
 * Theory of operation. Each address has routers that vouch for it: those that advertised its prefix, else the next hops towards the
 * home agent. As long as nothing speaks against them all is believed as the kernel shows it. A lost carrier makes everything that stood
 * before unbelieved until its router has answered a question or new configuration has come. Other evidence (an advertisement of a router
 * not known here, the end of a router's lifetime, a neighbour that the kernel gives up, updates without an answer) makes the routers
 * doubtful: they are asked, and what they vouch for stops being believed when the answer is overdue. Who has gone is asked again now and
 * then, and an advertisement or answer brings its addresses back at once.
 *
 * Must not know: bindings, sockets, which address is used.
 */
import { exhaustive } from "../../../base/result.js";
import { earliest, type Instant } from "../../../base/time.js";
import type { NetworkLink, NetworkView } from "../network-view.js";
import { expire, hear } from "./advertisements.js";
import { armed, askDue, nextAskingOf, SOLICITATIONS, soliciting } from "./asking.js";
import { believedView } from "./believed-view.js";
import { answer, doubtRouters, loseCarrier, networkAddresses, prove, takeAddresses } from "./doubts.js";
import type {
  DetectionEffect,
  DetectionInput,
  DetectionState,
  DetectionStep,
  HomeAgentAddresses,
  KnownRouter,
  LinkBelief,
} from "./model.js";
import { nextHops, withNextHops } from "./routers.js";

export function initialDetection(homeAgent: HomeAgentAddresses): DetectionState {
  return { homeAgent, view: undefined, links: new Map() };
}

/** One input at one instant. `now` never goes back. */
export function step(state: DetectionState, input: DetectionInput, now: Instant): DetectionStep {
  const effects: DetectionEffect[] = [];
  const applied = apply(state, input, now);
  const { view } = applied;
  if (view === undefined) return { state: applied, effects };
  const links = new Map<number, LinkBelief>();
  for (const [index, link] of applied.links) {
    const next = askDue(armed(expire(link, view, now), now), { view, now, effects });
    tell(state.links.get(index), next, effects);
    links.set(index, next);
  }
  return { state: { ...applied, links }, effects };
}

/** When to give the next timer input, unless another input comes first. */
export function nextAsking({ links }: DetectionState): Instant | undefined {
  return earliest(...[...links.values()].map(nextAskingOf));
}

/** The network as the choice of an attachment may see it; undefined before the first view. */
export function believed({ view, links }: DetectionState): NetworkView | undefined {
  return view === undefined ? undefined : believedView(view, links.values());
}

function apply(state: DetectionState, input: DetectionInput, now: Instant): DetectionState {
  const { view } = state;
  switch (input.kind) {
    case "network":
      return seeNetwork(state, input.view, now);
    case "neighbour":
      return onLink(state, input.index, (link) => learn(link, input));
    case "reachable":
      return onLink(state, input.index, (link) => answer(link, input));
    case "advertisement":
      return onLink(state, input.index, (link) =>
        view === undefined ? link : hear(link, input.advertisement, view, now),
      );
    case "unreachable":
      return onLink(state, input.index, (link) =>
        view === undefined
          ? link
          : doubtRouters(link, view, ({ address }) => address === input.address, { silence: true, now }),
      );
    case "unanswered": {
      const index = view?.links.find(({ name }) => name === input.device)?.index;
      if (view === undefined || index === undefined) return state;
      return onLink(state, index, (link) => {
        const doubted = doubtRouters(link, view, ({ serves }) => serves.includes(input.family), { silence: true, now });
        return input.family === 6 ? soliciting(doubted, now, 1) : doubted;
      });
    }
    case "answered": {
      const index = view?.links.find(({ name }) => name === input.device)?.index;
      return index === undefined ? state : onLink(state, index, (link) => prove(link, input.address));
    }
    case "timer":
      return state;
    default:
      return exhaustive(input);
  }
}

function onLink(state: DetectionState, index: number, change: (link: LinkBelief) => LinkBelief): DetectionState {
  const link = state.links.get(index);
  if (link === undefined) return state;
  const next = change(link);
  return next === link ? state : { ...state, links: new Map(state.links).set(index, next) };
}

/** Gives a link-layer address to a router that has none yet. */
function learn(link: LinkBelief, input: DetectionInput & { kind: "neighbour" }): LinkBelief {
  const { address, linkLayerAddress } = input;
  const lacks = (router: KnownRouter): boolean =>
    router.address === address && router.trust === "sure" && router.linkLayerAddress === undefined;
  if (!link.routers.some(lacks)) return link;
  return { ...link, routers: link.routers.map((router) => (lacks(router) ? { ...router, linkLayerAddress } : router)) };
}

function seeNetwork(state: DetectionState, view: NetworkView, now: Instant): DetectionState {
  const links = new Map<number, LinkBelief>();
  for (const one of view.links) {
    if (!one.ours && one.resolves !== false) links.set(one.index, seeLink(state, view, one, now));
  }
  return { ...state, view, links };
}

function seeLink(state: DetectionState, view: NetworkView, one: NetworkLink, now: Instant): LinkBelief {
  const { index, name: device, up, running, carrierChanges } = one;
  const before = state.links.get(index);
  const hops = nextHops(view, device, state.homeAgent);
  const usable = up && running;
  const first = before ?? {
    ...{ index, device, usable: false, carrierChanges, routers: [], doubts: [], soliciting: undefined },
    seen: new Map(
      networkAddresses(view, device).map((each) => [`${each.address}/${each.prefixLength}`, each.configuredAt]),
    ),
  };
  const lost = before !== undefined && carrierChanges !== before.carrierChanges;
  const kept = lost ? loseCarrier({ ...first, device }, view) : { ...first, device };
  const next = { ...withNextHops(takeAddresses(kept, view), hops), usable, carrierChanges };
  const up6 = usable && (lost || !first.usable);
  // At the start only networks that advertise are asked: they are the ones whose advertisements tell who vouches for what.
  const wants =
    before === undefined
      ? networkAddresses(view, device).some(isAutomatic)
      : view.addresses.some((each) => each.device === device);
  return up6 && wants ? soliciting({ ...next, soliciting: undefined }, now, SOLICITATIONS) : next;
}

const isAutomatic = ({ address, permanent }: { address: string; permanent?: boolean }): boolean =>
  address.includes(":") && permanent !== true;

/** Doubts that have come or gone, for the log; what was overdue has been told already. */
function tell(before: LinkBelief | undefined, link: LinkBelief, effects: DetectionEffect[]): void {
  const { device } = link;
  const keys = new Set(link.doubts.map(({ key }) => key));
  const known = new Set(before?.doubts.map(({ key }) => key));
  const came = link.doubts.filter(({ key }) => !known.has(key));
  const ended = (before?.doubts ?? []).filter(({ key }) => !keys.has(key));
  const name = (doubts: typeof came): string => doubts.map(({ what }) => what.address).join(" ");
  const unproven = link.doubts.filter((one) => one.unproven && !before?.doubts.some((other) => other === one));
  if (unproven.length > 0)
    effects.push({ kind: "report", event: "network.unproven", detail: { device, addresses: name(unproven) } });
  if (came.length > 0)
    effects.push({ kind: "report", event: "network.doubted", detail: { device, addresses: name(came) } });
  if (ended.length > 0)
    effects.push({ kind: "report", event: "network.confirmed", detail: { device, addresses: name(ended) } });
}
