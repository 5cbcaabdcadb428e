/**
 * Mobile prefix discovery at the mobile node (RFC 6275 §11.4.2, §11.4.3) as a machine: what it knows of the home prefixes, when it asks,
 * and which answers it takes: its home agent's, under ESP, with a type 2 routing header, to a question of its own. What is not such an
 * answer changes nothing, but an advertisement that the home agent sends unasked is a reason to ask.
 */
import {
  formatPrefix,
  type Ipv6Address,
  isIpv6,
  type Prefix,
  parsePrefix,
  prefixContains,
} from "../../../../base/ip.js";
import { exhaustive } from "../../../../base/result.js";
import { after, type Instant, seconds } from "../../../../base/time.js";
import type {
  Arrival,
  DropEffect,
  MobilePrefixAdvertisement,
  MobilePrefixSolicitation,
  NotifyEffect,
  ProtocolEvent,
} from "../../inputs.js";
import {
  advertisedPrefix,
  lifetimeEnd,
  NEVER,
  type PrefixLifetimes,
  sameInstant,
  secondsLeft,
} from "../../prefix-lifetime.js";
import { LIMITS, TIMERS } from "../../timers.js";

export interface KnownPrefix extends PrefixLifetimes {
  readonly prefix: Prefix & { readonly address: Ipv6Address };
}

export interface NodePrefixesSite {
  readonly homeAddress: Ipv6Address;
  readonly homeAgent: Ipv6Address;
  /** registration: ask after the first acceptance, too. demand: when there is a reason to. off: never. */
  readonly when: "registration" | "demand" | "off";
}

/** What the journal keeps: durations count from the moment of writing. */
export type NodePrefixesRecord = Readonly<Record<string, unknown>>;

export type NodePrefixesInput =
  /** Accepted by the home agent. `necessary`: it says that we should ask (status 1, RFC 6275 §6.1.8). */
  | { readonly kind: "registered"; readonly necessary: boolean }
  /** At home, or nowhere. */
  | { readonly kind: "unregistered" }
  | { readonly kind: "advertisement"; readonly arrival: Arrival; readonly message: MobilePrefixAdvertisement }
  | { readonly kind: "restore"; readonly record: NodePrefixesRecord; readonly ageSeconds: number }
  | { readonly kind: "timer" };

export type NodePrefixesEffect =
  | { readonly kind: "send"; readonly message: MobilePrefixSolicitation }
  | { readonly kind: "journal"; readonly record: NodePrefixesRecord }
  | DropEffect
  | NotifyEffect;

/** A question, asked until it is answered. */
interface Question {
  readonly identifier: number;
  readonly attempts: number;
  readonly askAt: Instant;
}

export interface NodePrefixesState {
  readonly site: NodePrefixesSite;
  /** Undefined before the first answer. */
  readonly known: readonly KnownPrefix[] | undefined;
  readonly registered: boolean;
  readonly question: Question | undefined;
  /** Before the lifetimes end. */
  readonly askAt: Instant | undefined;
  /** Of the last solicitation: no more than one a second leaves, whatever comes in. */
  readonly askedAt: Instant | undefined;
}

export interface NodePrefixesStep {
  readonly state: NodePrefixesState;
  readonly effects: readonly NodePrefixesEffect[];
}

export function initialPrefixes(site: NodePrefixesSite): NodePrefixesState {
  return { site, known: undefined, registered: false, question: undefined, askAt: undefined, askedAt: undefined };
}

/** `random`: 0 up to, but not, 1. */
export function step(
  state: NodePrefixesState,
  input: NodePrefixesInput,
  now: Instant,
  random: () => number,
): NodePrefixesStep {
  switch (input.kind) {
    case "registered": {
      const first = state.site.when === "registration" && state.known === undefined;
      const registered = { ...state, registered: true };
      return input.necessary || first ? wonder(registered, now, random) : { state: registered, effects: [] };
    }
    case "unregistered":
      return { state: { ...state, registered: false, question: undefined }, effects: [] };
    case "advertisement":
      return hear(state, input, now, random);
    case "restore":
      return { state: restored(state, input, now), effects: [] };
    case "timer":
      return onTimer(state, now, random);
    default:
      return exhaustive(input);
  }
}

export function nextDeadline({ registered, question, askAt }: NodePrefixesState): Instant | undefined {
  return registered ? (question?.askAt ?? askAt) : undefined;
}

/** A new question, unless one is open. */
function wonder(state: NodePrefixesState, now: Instant, random: () => number): NodePrefixesStep {
  const { site, registered, question, askedAt } = state;
  if (site.when === "off" || !registered || question !== undefined) return { state, effects: [] };
  // Random (RFC 6275 §11.4.2); 0 is in what nobody has asked for.
  const identifier = 1 + Math.floor(random() * 0xffff);
  const allowed = askedAt === undefined ? now : after(askedAt, TIMERS.advertisementInterval.default);
  const next = { ...state, askAt: undefined, question: { identifier, attempts: 0, askAt: allowed } };
  return allowed > now ? { state: next, effects: [] } : ask(next, next.question, now);
}

function ask(state: NodePrefixesState, { identifier, attempts }: Question, now: Instant): NodePrefixesStep {
  const wait = Math.min(TIMERS.initialSolicitation.default * 2 ** attempts, TIMERS.maxBindingAcknowledgement.default);
  const question = { identifier, attempts: attempts + 1, askAt: after(now, seconds(wait)) };
  return {
    state: { ...state, question, askedAt: now },
    effects: [{ kind: "send", message: { type: "mobile-prefix-solicitation", identifier } }],
  };
}

function onTimer(state: NodePrefixesState, now: Instant, random: () => number): NodePrefixesStep {
  const { question, askAt, registered } = state;
  if (!registered) return { state, effects: [] };
  if (question === undefined)
    return askAt !== undefined && askAt <= now ? wonder(state, now, random) : { state, effects: [] };
  if (question.askAt > now) return { state, effects: [] };
  if (question.attempts < LIMITS.solicitations.default) return ask(state, question, now);
  return { state: { ...state, question: undefined, askAt: askingTime(state, now) }, effects: [] };
}

function hear(
  state: NodePrefixesState,
  { arrival, message }: NodePrefixesInput & { kind: "advertisement" },
  now: Instant,
  random: () => number,
): NodePrefixesStep {
  const { site, question } = state;
  const { source, destination, protection, path } = arrival;
  const refuse = (reason: DropEffect["reason"]): DropEffect => ({
    kind: "drop",
    reason,
    detail: `mobile prefix advertisement from ${source} to ${destination}`,
  });
  if (source !== site.homeAgent) return { state, effects: [refuse("wrong-source")] };
  if (destination !== site.homeAddress) return { state, effects: [refuse("wrong-destination")] };
  if (protection !== "esp") return { state, effects: [refuse("unprotected")] };
  if (path.routingHeaderHomeAddress === undefined) return { state, effects: [refuse("routing-header-missing")] };
  if (question === undefined || question.attempts === 0 || message.identifier !== question.identifier) {
    const next = wonder(state, now, random);
    return { state: next.state, effects: [refuse("identifier-mismatch"), ...next.effects] };
  }
  return accept({ ...state, question: undefined }, message, now);
}

function accept(before: NodePrefixesState, message: MobilePrefixAdvertisement, now: Instant): NodePrefixesStep {
  const known = knownOf(message, now);
  const state = { ...before, known };
  const present = { ...state, askAt: askingTime(state, now) };
  const effects: NodePrefixesEffect[] = [{ kind: "journal", record: recordOf(known, now) }];
  if (!sameKnown(before.known, known)) effects.push(notify(present, "home-prefixes.changed", tellAll(known, now)));
  const home = homePrefixOf(present);
  const isUsable = home !== undefined && home.preferredUntil > now;
  const was = homePrefixOf(before);
  if (!isUsable && (before.known === undefined || (was !== undefined && was.preferredUntil > now)))
    effects.push(notify(present, "home-prefix.withdrawn", withdrawal(home, now)));
  return { state: present, effects };
}

/** As in a router advertisement on the home link (RFC 4862 §5.5.3), but authenticated: what is told counts at once. */
function knownOf({ options }: MobilePrefixAdvertisement, now: Instant): readonly KnownPrefix[] {
  const known = new Map<string, KnownPrefix>();
  for (const option of options) {
    if (option.kind !== "prefix-information" || known.size >= LIMITS.homePrefixes.default) continue;
    const prefix = advertisedPrefix(option);
    if (prefix === undefined || option.validLifetimeSeconds === 0) continue;
    known.set(formatPrefix(prefix), {
      prefix,
      validUntil: lifetimeEnd(now, option.validLifetimeSeconds),
      preferredUntil: lifetimeEnd(now, option.preferredLifetimeSeconds),
    });
  }
  return [...known.values()];
}

function homePrefixOf({ known, site }: NodePrefixesState): KnownPrefix | undefined {
  return known?.find(({ prefix }) => prefixContains(prefix, site.homeAddress));
}

/** How many seconds the home address may still be used; undefined: nothing limits it, nothing is known, or it is over: the home agent decides. */
export function homeAddressValidFor(state: NodePrefixesState, now: Instant): number | undefined {
  const home = homePrefixOf(state);
  return home === undefined || home.validUntil === NEVER || home.validUntil <= now
    ? undefined
    : (home.validUntil - now) / 1000;
}

/** So much of a lifetime may pass before it is asked for again. */
const ASK_AFTER = 0.8;
const SHORTEST_PAUSE = TIMERS.maxBindingAcknowledgement.default;

/** Before the home address is to be used no more, or is invalid (RFC 6275 §11.4.2); undefined where that never is. */
function askingTime(state: NodePrefixesState, now: Instant): Instant | undefined {
  const home = homePrefixOf(state);
  if (home === undefined || state.site.when === "off") return undefined;
  const end = home.preferredUntil > now ? home.preferredUntil : home.validUntil;
  if (end === NEVER || end <= now) return undefined;
  const pause = ((end - now) / 1000) * ASK_AFTER;
  return after(now, seconds(state.question === undefined ? pause : Math.max(pause, SHORTEST_PAUSE)));
}

function sameKnown(before: readonly KnownPrefix[] | undefined, present: readonly KnownPrefix[]): boolean {
  return (
    before?.length === present.length &&
    present.every((one) => {
      const former = before.find(({ prefix }) => formatPrefix(prefix) === formatPrefix(one.prefix));
      return (
        former !== undefined &&
        sameInstant(former.validUntil, one.validUntil) &&
        sameInstant(former.preferredUntil, one.preferredUntil)
      );
    })
  );
}

const tell = ({ prefix, preferredUntil, validUntil }: KnownPrefix, now: Instant): string =>
  `${formatPrefix(prefix)} preferred ${secondsLeft(preferredUntil, now) ?? "infinite"} valid ${secondsLeft(validUntil, now) ?? "infinite"}`;

const tellAll = (known: readonly KnownPrefix[], now: Instant): ProtocolEvent["detail"] => ({
  prefixes: known.map((one) => tell(one, now)).join(", "),
});

/** The binding stays for as long as the home agent grants it; whoever runs the node has to know that its address goes. */
const withdrawal = (home: KnownPrefix | undefined, now: Instant): ProtocolEvent["detail"] =>
  home === undefined
    ? { reason: "the home agent does not advertise the prefix of the home address" }
    : { reason: "the prefix of the home address is not to be used any more", prefix: tell(home, now) };

const notify = (
  { site }: NodePrefixesState,
  event: ProtocolEvent["event"],
  detail: ProtocolEvent["detail"],
): NotifyEffect => ({ kind: "notify", event: { event, homeAddress: site.homeAddress, detail } });

function recordOf(known: readonly KnownPrefix[], now: Instant): NodePrefixesRecord {
  return {
    prefixes: known.map(({ prefix, validUntil, preferredUntil }) => ({
      prefix: formatPrefix(prefix),
      validSeconds: secondsLeft(validUntil, now),
      preferredSeconds: secondsLeft(preferredUntil, now),
    })),
  };
}

/** What is no such record is nothing. */
function restored(
  state: NodePrefixesState,
  { record, ageSeconds }: NodePrefixesInput & { kind: "restore" },
  now: Instant,
): NodePrefixesState {
  const { prefixes } = record;
  // Who does not ask any more would be bound to what was said then for ever.
  if (!Array.isArray(prefixes) || state.site.when === "off") return state;
  const age = Number.isFinite(ageSeconds) ? Math.max(0, ageSeconds) : 0;
  const known = (prefixes as readonly unknown[]).flatMap((one): readonly KnownPrefix[] => {
    const { prefix: text, validSeconds, preferredSeconds } = (one ?? {}) as Readonly<Record<string, unknown>>;
    const prefix = typeof text === "string" ? parsePrefix(text) : undefined;
    const validUntil = endOf(validSeconds, age, now);
    const preferredUntil = endOf(preferredSeconds, age, now);
    if (prefix === undefined || !isIpv6(prefix.address) || validUntil === undefined || preferredUntil === undefined)
      return [];
    return validUntil > now ? [{ prefix: { ...prefix, address: prefix.address }, validUntil, preferredUntil }] : [];
  });
  // Nothing that holds still: it is asked for as if it had never been.
  if (known.length === 0) return state;
  const next = { ...state, known };
  return { ...next, askAt: askingTime(next, now) };
}

function endOf(value: unknown, age: number, now: Instant): Instant | undefined {
  if (value === null) return NEVER;
  return typeof value === "number" && Number.isFinite(value) && value >= 0
    ? after(now, seconds(value - age))
    : undefined;
}
