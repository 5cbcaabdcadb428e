/**
 * The correspondent node (RFC 6275 §9) as a pure machine: `step` takes one input at one moment and gives the effects. Must not know
 * sockets, kernel objects, files, clocks or where random octets come from.
 *
 * Nothing is kept of a node before its update has proved that it is reachable at both addresses. An update that changes where packets go is
 * acknowledged when the kernel has the new path; the one before stays as long as it has not.
 */
import type { Ipv6Address } from "../../../base/ip.js";
import { exhaustive } from "../../../base/result.js";
import { after, type Instant, seconds } from "../../../base/time.js";
import { answerWithBindingError, endedBindingError, unknownBindingError, unknownTypeError } from "../binding-error.js";
import type { OptionRefusedInput } from "../inputs.js";
import {
  type Binding,
  type CorrespondentCache,
  type CorrespondentEntry,
  type CorrespondentView,
  entryKey,
  viewOf,
} from "./binding-cache.js";
import type {
  CorrespondentNodeEffect,
  CorrespondentNodeInput,
  Moment,
  OtherMessageInput,
  Pair,
  ProgrammedInput,
  StoredBinding,
  UsedInput,
} from "./inputs.js";
import type { CorrespondentPath } from "./path.js";
import { type ParsedRecord, parseRecord } from "./record.js";
import {
  endBinding,
  establish,
  refuseWaiting,
  removed,
  requestRefresh,
  takeUpdate,
  withRefreshTime,
} from "./registration.js";
import { isIpv4HomeAddress, permits } from "./site.js";
import { answerTest } from "./tests.js";
import { LIMITS } from "./timers.js";
import { type CorrespondentNodeState, detailOf, drop, notify, pathOfPair, program, type Turn } from "./turn.js";

export { type Beginning, CorrespondentNodeState } from "./turn.js";

/** The effects of one input, in the order in which they are to be performed. `now` never goes back. */
export function step(
  state: CorrespondentNodeState,
  input: CorrespondentNodeInput,
  moment: Moment,
): readonly CorrespondentNodeEffect[] {
  const turn: Turn = { ...moment, state, effects: [] };
  switch (input.kind) {
    case "test-init":
      answerTest(turn, input);
      break;
    case "update":
      takeUpdate(turn, input);
      break;
    case "message":
      otherMessage(turn, input);
      break;
    case "option-refused":
      optionRefused(turn, input);
      break;
    case "programmed":
      programmed(turn, input);
      break;
    case "used":
      used(turn, input);
      break;
    case "remove": {
      for (const entry of Object.values(state.cache.pair(input)))
        if (entry !== undefined) endBinding(turn, entry, "binding.removed", input.reason);
      break;
    }
    case "restore":
      // The one that was told last is right where two do not agree.
      for (const record of [...input.records].sort((a, b) => b.ageSeconds - a.ageSeconds)) restore(turn, record);
      break;
    case "stop":
      for (const entry of state.cache.entries()) takeLeave(turn, entry);
      for (const entry of state.cache.entries()) endBinding(turn, entry, "binding.removed", "the correspondent ends");
      break;
    case "timer":
      runDeadlines(turn);
      break;
    default:
      exhaustive(input);
  }
  return turn.effects;
}

/** Payload goes by way of the home agent from then on, until the node finds somebody here again. */
function takeLeave(turn: Turn, entry: CorrespondentEntry): void {
  const { binding, homeAddress, self, family } = entry;
  if (binding === undefined) return;
  const { reach } = binding;
  // One for the pair; who is reached over IPv4 has sent no option that could be in error.
  const isTold = family === "ipv4" && turn.state.cache.get(entry, "ipv6")?.binding?.reach.via === "headers";
  const error = reach.via === "headers" && !isTold ? endedBindingError(homeAddress, self, reach.careOf) : undefined;
  if (error !== undefined) turn.effects.push(error);
}

/** When the next timer input is due. May change with every step. */
export function nextDeadline({ cache }: CorrespondentNodeState): Instant | undefined {
  return cache.nextDeadline;
}

/** All paths that should be there: what the plan is made of. */
export function* correspondentPaths(state: CorrespondentNodeState): Generator<CorrespondentPath, void> {
  for (const entry of state.cache.entries()) {
    if (entry.family === "ipv4" && state.cache.get(entry, "ipv6") !== undefined) continue;
    const path = pathOfPair(state, entry);
    if (path !== undefined) yield path;
  }
}

export function correspondentPath(state: CorrespondentNodeState, pair: Pair): CorrespondentPath | undefined {
  return pathOfPair(state, pair);
}

/** At each of our addresses. */
export function* correspondentPathsOf(
  state: CorrespondentNodeState,
  homeAddress: Ipv6Address,
): Generator<CorrespondentPath, void> {
  for (const self of state.site.addresses) {
    const path = pathOfPair(state, { homeAddress, self });
    if (path !== undefined) yield path;
  }
}

export function* correspondentViews(
  { cache }: CorrespondentNodeState,
  now: Instant,
): Generator<CorrespondentView, void> {
  for (const entry of cache.entries()) {
    const view = viewOf(entry, besides(cache, entry), now);
    if (view !== undefined) yield view;
  }
}

/** At each of our addresses. */
export function* correspondentViewsOf(
  { cache, site }: CorrespondentNodeState,
  homeAddress: Ipv6Address,
  now: Instant,
): Generator<CorrespondentView, void> {
  for (const self of site.addresses)
    for (const entry of Object.values(cache.pair({ homeAddress, self }))) {
      const view = entry && viewOf(entry, besides(cache, entry), now);
      if (view !== undefined) yield view;
    }
}

const besides = (cache: CorrespondentCache, entry: CorrespondentEntry): CorrespondentEntry | undefined =>
  cache.get(entry, entry.family === "ipv6" ? "ipv4" : "ipv6");

function otherMessage(turn: Turn, { arrival, message }: OtherMessageInput): void {
  const { source, destination } = arrival;
  if (!turn.state.site.addresses.includes(destination))
    return drop(turn, "wrong-destination", `${message.type} from ${source} to ${destination}`);
  if (message.type !== "unknown") return drop(turn, "unexpected-type", `${message.type} from ${source}`);
  const why = { reason: "unexpected-type", detail: `MH type ${message.mhType} from ${source}` } as const;
  // A Binding Error goes over IPv6.
  if (arrival.path.type !== "native") return drop(turn, why.reason, why.detail);
  const answered = answerWithBindingError(unknownTypeError(arrival), why, turn.state.bindingErrors, turn.now);
  turn.state.bindingErrors = answered.limit;
  for (const effect of answered.effects) turn.effects.push(effect);
}

function optionRefused(turn: Turn, packet: OptionRefusedInput): void {
  if (!turn.state.site.addresses.includes(packet.destination)) return;
  const detail = `Home Address option ${packet.homeAddress} from ${packet.source}`;
  const pair = turn.state.cache.pair({ homeAddress: packet.homeAddress, self: packet.destination });
  if (Object.values(pair).some((entry) => entry !== undefined && isExcused(entry, packet.source, turn.now)))
    return drop(turn, "unknown-binding", detail);
  const error = unknownBindingError(packet);
  const answered = answerWithBindingError(
    error,
    { reason: "unknown-binding", detail },
    turn.state.bindingErrors,
    turn.now,
  );
  turn.state.bindingErrors = answered.limit;
  for (const effect of answered.effects) turn.effects.push(effect);
}

/**
 * Whether the kernel has refused what was on its way when the node moved, or what comes before the kernel has the path. The node has a
 * binding, which an error would make it give up.
 */
function isExcused({ binding, waiting }: CorrespondentEntry, source: Ipv6Address, now: Instant): boolean {
  if (waiting?.binding?.reach.careOf === source) return true;
  const former = [...(binding?.former ?? []), ...(waiting?.binding?.former ?? [])];
  return former.some(({ address, until }) => address === source && until > now);
}

/** The entries of a pair that wait for the kernel are answered together; if it refuses, the one whose update came last is. */
function programmed(turn: Turn, input: ProgrammedInput): void {
  const pair = Object.values(turn.state.cache.pair(input)).filter((one) => one !== undefined);
  const waiting = pair.filter((one) => one.waiting !== undefined && one.shared.revision === input.revision);
  const isBeginning = ({ waiting: what }: CorrespondentEntry): boolean => what?.binding !== undefined;
  if (input.failure !== undefined && waiting.some(isBeginning)) {
    const last = waiting.filter(isBeginning).reduce((most, one) => Math.max(most, orderOf(one)), 0);
    refuseWaiting(
      turn,
      waiting.filter((one) => isBeginning(one) && orderOf(one) === last),
      input.failure,
    );
    return;
  }
  for (const entry of waiting) {
    const what = entry.waiting;
    if (what?.binding === undefined) what && removed(turn, entry, what);
    else establish(turn, entry, what, what.binding);
  }
}

const orderOf = ({ waiting }: CorrespondentEntry): number => waiting?.order ?? 0;

function used(turn: Turn, input: UsedInput): void {
  const entry = turn.state.cache.get(input, input.family);
  if (entry?.binding === undefined || entry.waiting !== undefined) return;
  requestRefresh(turn, entry, entry.binding, input.agoSeconds);
}

function runDeadlines(turn: Turn): void {
  const { cache } = turn.state;
  for (let count = 0; count < LIMITS.deadlinesPerStep.default; count++) {
    const entry = cache.takeDue(turn.now);
    if (entry === undefined) break;
    reachDeadline(turn, entry);
  }
}

function reachDeadline(turn: Turn, entry: CorrespondentEntry): void {
  const { now, state } = turn;
  const { waiting, binding } = entry;
  if (waiting !== undefined) {
    if (waiting.deadline > now) state.cache.settle(entry);
    else if (waiting.binding === undefined) removed(turn, entry, waiting);
    else refuseWaiting(turn, sameUpdate(turn, entry), "no answer from the kernel in time");
    return;
  }
  if (binding === undefined) {
    if (entry.replayableUntil <= now) state.cache.forget(entry);
    else state.cache.settle(entry);
    return;
  }
  if (binding.expiresAt <= now) {
    endBinding(turn, entry, "binding.expired", "its lifetime is over");
    return;
  }
  const former = binding.former.filter(({ until }) => until > now);
  const isAsked = binding.askAt !== undefined && binding.askAt <= now;
  entry.binding = { ...binding, former, askAt: isAsked ? undefined : binding.askAt };
  if (former.length < binding.former.length) program(turn, entry);
  const { homeAddress, self, family } = entry;
  if (isAsked) turn.effects.push({ kind: "ask-use", homeAddress, self, family });
  state.cache.settle(entry);
}

/** The entries that this one's update is about. */
function sameUpdate({ state: { cache } }: Turn, entry: CorrespondentEntry): readonly CorrespondentEntry[] {
  const beside = besides(cache, entry);
  return beside?.waiting !== undefined && orderOf(beside) === orderOf(entry) ? [entry, beside] : [entry];
}

function restore(turn: Turn, stored: StoredBinding): void {
  const { state, now } = turn;
  const { cache } = state;
  const parsed = parseRecord(stored);
  if (parsed === undefined || !isServed(state, parsed)) {
    const { homeAddress, self, ipv4HomeAddress } = stored.record;
    if (typeof homeAddress !== "string" || typeof self !== "string") return;
    const family = ipv4HomeAddress === undefined ? "ipv6" : "ipv4";
    const pair = { homeAddress, self } as Pair;
    if (cache.get(pair, family) === undefined)
      turn.effects.push({ kind: "journal", key: entryKey(pair, family), record: null });
    return;
  }
  const { reach, mode, ipv4HomeAddress, sequence, lifetimeSeconds, remainingSeconds } = parsed;
  const entry = cache.open(parsed, parsed.family, sequence, now);
  const binding: Binding = withRefreshTime(
    {
      ...{ reach, former: [], lifetime: lifetimeSeconds, expiresAt: after(now, seconds(remainingSeconds)) },
      ...(mode !== undefined && { mode }),
      ...(ipv4HomeAddress !== undefined && { ipv4HomeAddress }),
    },
    now,
  );
  entry.binding = binding;
  entry.shared.latest = entry.family;
  program(turn, entry);
  cache.settle(entry);
  notify(turn, "binding.accepted", entry, { ...detailOf(binding), reason: "restored" });
}

/** By the configuration of today. */
function isServed({ cache, site }: CorrespondentNodeState, { reach, mode, ...parsed }: ParsedRecord): boolean {
  const { self, homeAddress, family, ipv4HomeAddress } = parsed;
  const withIpv4 = family === "ipv4" || reach.via !== "headers";
  if (withIpv4 && (site.ipv4?.addresses.has(self) !== true || mode === undefined || !site.ipv4.modes.has(mode)))
    return false;
  if (ipv4HomeAddress !== undefined && !isIpv4HomeAddress(site, ipv4HomeAddress)) return false;
  return (
    site.addresses.includes(self) &&
    permits(site, homeAddress) &&
    cache.get(parsed, family) === undefined &&
    cache.bound < site.maximumBindings
  );
}
