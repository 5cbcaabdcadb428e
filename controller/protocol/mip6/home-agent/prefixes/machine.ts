/**
 * Mobile prefix discovery at the home agent (RFC 6275 §10.6) as a machine: what the home link says of its prefixes goes to the nodes that
 * are away, when they ask and when it changes. A node has at most one advertisement a second (§6.8); one that it has not asked for is
 * repeated until it asks, which is how it confirms (§10.6.2, §11.4.3).
 */
import { DeadlineQueue } from "../../../../base/deadline-queue.js";
import { type Ipv6Address, isLinkLocal, type Prefix } from "../../../../base/ip.js";
import { exhaustive } from "../../../../base/result.js";
import { after, earliest, type Instant, seconds } from "../../../../base/time.js";
import type {
  Arrival,
  DropEffect,
  MobilePrefixAdvertisement,
  MobilePrefixSolicitation,
  NotifyEffect,
} from "../../inputs.js";
import { secondsLeft } from "../../prefix-lifetime.js";
import { LIMITS, TIMERS } from "../../timers.js";
import { HomePrefixes, type RouterAdvertisement } from "./home-prefixes.js";

export type PrefixesInput =
  /** From a router of the home link, ourselves too, with a hop limit of 255. */
  | { readonly kind: "router"; readonly source: Ipv6Address; readonly advertisement: RouterAdvertisement }
  | { readonly kind: "solicitation"; readonly arrival: Arrival; readonly message: MobilePrefixSolicitation }
  /** The node's update was accepted. */
  | { readonly kind: "bound"; readonly homeAddress: Ipv6Address }
  | { readonly kind: "unbound"; readonly homeAddress: Ipv6Address }
  | { readonly kind: "timer" };

export interface AdvertiseEffect {
  readonly kind: "send";
  readonly homeAddress: Ipv6Address;
  readonly message: MobilePrefixAdvertisement;
  /** Of the solicitation, whose way back it takes; absent: to where the node is bound. */
  readonly arrival?: Arrival;
}

export type PrefixesEffect = AdvertiseEffect | DropEffect | NotifyEffect;

export interface PrefixesSite {
  /** The home agent's address. */
  readonly address: Ipv6Address;
  readonly homePrefixes: readonly Prefix[];
  isSubscriber(homeAddress: Ipv6Address): boolean;
}

/** Of one node that is away. */
interface Delivery {
  readonly sentAt: Instant | undefined;
  /** The latest question that is not answered yet, because the last advertisement left less than a second ago. */
  readonly question: { readonly arrival: Arrival; readonly identifier: number } | undefined;
  /** There has been a change that the node has not confirmed. */
  readonly news: boolean;
  /** Advertisements of the change sent without an answer. */
  readonly attempts: number;
  /** When the next one leaves that nobody has asked for. */
  readonly due: Instant | undefined;
}

const IDLE: Delivery = { sentAt: undefined, question: undefined, news: false, attempts: 0, due: undefined };
/** In an advertisement that answers no question. */
const UNSOLICITED = 0;

/** `random`: 0 up to, but not, 1. */
export class PrefixesState {
  readonly prefixes: HomePrefixes;
  readonly site: PrefixesSite;
  readonly random: () => number;
  readonly deliveries = new Map<Ipv6Address, Delivery>();
  readonly queue = new DeadlineQueue<Ipv6Address>();
  /** When all nodes are to be told of a change, and when they were last. */
  tellAt: Instant | undefined;
  toldAt: Instant | undefined;

  constructor(site: PrefixesSite, random: () => number) {
    this.site = site;
    this.random = random;
    this.prefixes = new HomePrefixes(site.homePrefixes);
  }

  /** The node is to be told, in answers to its updates too, that it should ask (RFC 6275 §6.1.8). */
  hasNews(homeAddress: Ipv6Address): boolean {
    return this.deliveries.get(homeAddress)?.news === true;
  }
}

export function step(state: PrefixesState, input: PrefixesInput, now: Instant): readonly PrefixesEffect[] {
  switch (input.kind) {
    case "router":
      if (!isLinkLocal(input.source)) return [strangeRouter(input.source)];
      return state.prefixes.learn(input.source, input.advertisement, now) ? changed(state, now) : [];
    case "solicitation":
      return asked(state, input, now);
    case "bound":
      bound(state, input.homeAddress, now);
      return [];
    case "unbound":
      state.deliveries.delete(input.homeAddress);
      state.queue.set(input.homeAddress, undefined);
      return [];
    case "timer":
      return [
        ...(state.prefixes.expire(now) ? changed(state, now) : []),
        ...tellDue(state, now),
        ...deliverDue(state, now),
      ];
    default:
      return exhaustive(input);
  }
}

/** RFC 4861 §6.1.2. */
const strangeRouter = (source: Ipv6Address): DropEffect => ({
  kind: "drop",
  reason: "wrong-source",
  detail: `router advertisement from ${source}`,
});

export function nextDeadline({ queue, prefixes, tellAt }: PrefixesState): Instant | undefined {
  return earliest(queue.next, prefixes.nextExpiry, tellAt);
}

function put(state: PrefixesState, homeAddress: Ipv6Address, delivery: Delivery, now: Instant): void {
  const { question, sentAt, due } = delivery;
  const allowed = sentAt === undefined ? now : after(sentAt, TIMERS.advertisementInterval.default);
  const wanted = question === undefined ? due : now;
  state.deliveries.set(homeAddress, delivery);
  state.queue.set(homeAddress, wanted === undefined || wanted > allowed ? wanted : allowed);
}

/** At most so many nodes a second learn of a change: they ask in return. */
const NODES_A_SECOND = 50;

/**
 * RFC 6275 has one minute up to a day for this (§10.6.2, MinMobPfxAdvInterval, MaxMobPfxAdvInterval), to spread what a change sets off.
 * Here it is a second and as long as the number of nodes asks for: a prefix that goes away is worth knowing of at once.
 */
function spread({ deliveries, random }: PrefixesState, now: Instant): Instant {
  const longest = Math.min(TIMERS.maxPrefixAdvertisement.default, Math.max(1, deliveries.size / NODES_A_SECOND));
  return after(now, seconds(TIMERS.advertisementInterval.default + random() * longest));
}

/**
 * To be told to all. Nobody vouches for router advertisements, and each costs a look at every node: what changes again and again is gathered.
 */
function changed(state: PrefixesState, now: Instant): readonly PrefixesEffect[] {
  const { toldAt } = state;
  const allowed = toldAt === undefined ? now : after(toldAt, TIMERS.advertisementInterval.default);
  state.tellAt = allowed > now ? allowed : now;
  return tellDue(state, now);
}

function tellDue(state: PrefixesState, now: Instant): readonly PrefixesEffect[] {
  if (state.tellAt === undefined || state.tellAt > now) return [];
  state.tellAt = undefined;
  state.toldAt = now;
  return tellAll(state, now);
}

function tellAll(state: PrefixesState, now: Instant): readonly PrefixesEffect[] {
  for (const [homeAddress, delivery] of state.deliveries) {
    // Whose turn has not come hears all of it then, and is not put off.
    const waits = delivery.news && delivery.attempts === 0 && delivery.due !== undefined;
    const due = waits ? delivery.due : spread(state, now);
    put(state, homeAddress, { ...delivery, news: true, attempts: 0, due }, now);
  }
  const told = state.prefixes.at(now).map(({ prefix, preferredUntil, validUntil }) => {
    const lifetime = (until: Instant): string => `${secondsLeft(until, now) ?? "infinite"}`;
    return `${prefix.address}/${prefix.length} preferred ${lifetime(preferredUntil)} valid ${lifetime(validUntil)}`;
  });
  return [{ kind: "notify", event: { event: "home-prefixes.changed", detail: { prefixes: told.join(", ") } } }];
}

/** A binding that is new has a day for its first one (RFC 6275 §10.6.2); with each update what was not confirmed begins again. */
function bound(state: PrefixesState, homeAddress: Ipv6Address, now: Instant): void {
  const known = state.deliveries.get(homeAddress);
  if (known === undefined) put(state, homeAddress, { ...IDLE, due: someday(state, now) }, now);
  else if (known.news) put(state, homeAddress, { ...known, attempts: 0, due: spread(state, now) }, now);
}

function someday({ random }: PrefixesState, now: Instant): Instant {
  const shortest = TIMERS.minPrefixAdvertisement.default;
  const longest = TIMERS.maxPrefixAdvertisement.default;
  return after(now, seconds(shortest + random() * (longest - shortest)));
}

function asked(
  state: PrefixesState,
  { arrival, message }: PrefixesInput & { kind: "solicitation" },
  now: Instant,
): readonly PrefixesEffect[] {
  const { source, destination, protection } = arrival;
  const refuse = (reason: DropEffect["reason"]): readonly PrefixesEffect[] => [
    { kind: "drop", reason, detail: `mobile prefix solicitation from ${source} to ${destination}` },
  ];
  if (destination !== state.site.address) return refuse("wrong-destination");
  if (!state.site.isSubscriber(source)) return refuse("not-a-subscriber");
  if (protection !== "esp") return refuse("unprotected");
  const known = state.deliveries.get(source);
  const { identifier } = message;
  const delivery = { ...(known ?? IDLE), news: false, attempts: 0, due: undefined, question: { arrival, identifier } };
  const allowed = known?.sentAt === undefined || after(known.sentAt, TIMERS.advertisementInterval.default) <= now;
  if (allowed) return [advertise(state, source, delivery, now)];
  put(state, source, delivery, now);
  return [];
}

function deliverDue(state: PrefixesState, now: Instant): readonly PrefixesEffect[] {
  const effects: PrefixesEffect[] = [];
  for (let i = 0; i < LIMITS.deadlinesPerStep.default; i++) {
    const homeAddress = state.queue.takeDue(now);
    const delivery = homeAddress && state.deliveries.get(homeAddress);
    if (homeAddress === undefined || delivery === undefined) break;
    effects.push(advertise(state, homeAddress, delivery, now));
  }
  return effects;
}

/** Whoever has asked has the answer, which has all that was to be told unasked. */
function advertise(state: PrefixesState, homeAddress: Ipv6Address, delivery: Delivery, now: Instant): AdvertiseEffect {
  const { question } = delivery;
  const attempts = question === undefined && delivery.news ? delivery.attempts + 1 : 0;
  const again = attempts > 0 && attempts <= LIMITS.prefixAdvertisementRetries.default;
  const wait = seconds(TIMERS.prefixAdvertisement.default * 2 ** (attempts - 1));
  put(
    state,
    homeAddress,
    { ...delivery, sentAt: now, question: undefined, attempts, due: again ? after(now, wait) : someday(state, now) },
    now,
  );
  return {
    kind: "send",
    homeAddress,
    message: {
      type: "mobile-prefix-advertisement",
      identifier: question?.identifier ?? UNSOLICITED,
      ...state.prefixes.advertisement(now),
    },
    ...(question !== undefined && { arrival: question.arrival }),
  };
}
