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
import { answerWithBindingError, unknownBindingError, unknownTypeError } from "../binding-error.js";
import type { OptionRefusedInput } from "../inputs.js";
import { type Binding, type CorrespondentEntry, type CorrespondentView, viewOf } from "./binding-cache.js";
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
import { parseRecord } from "./record.js";
import {
  endBinding,
  establish,
  refuseWaiting,
  removed,
  requestRefresh,
  takeUpdate,
  withRefreshTime,
} from "./registration.js";
import { permits } from "./site.js";
import { answerTest } from "./tests.js";
import { LIMITS } from "./timers.js";
import { type CorrespondentNodeState, drop, notify, pathOf, program, type Turn } from "./turn.js";

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
      const entry = state.cache.get(input);
      if (entry !== undefined) endBinding(turn, entry, "binding.removed", input.reason);
      break;
    }
    case "restore":
      for (const record of input.records) restore(turn, record);
      break;
    case "timer":
      runDeadlines(turn);
      break;
    default:
      exhaustive(input);
  }
  return turn.effects;
}

/** When the next timer input is due. May change with every step. */
export function nextDeadline({ cache }: CorrespondentNodeState): Instant | undefined {
  return cache.nextDeadline;
}

/** All paths that should be there: what the plan is made of. */
export function* correspondentPaths({ cache }: CorrespondentNodeState): Generator<CorrespondentPath, void> {
  for (const entry of cache.entries()) {
    const path = pathOfEntry(entry);
    if (path !== undefined) yield path;
  }
}

export function correspondentPath({ cache }: CorrespondentNodeState, pair: Pair): CorrespondentPath | undefined {
  const entry = cache.get(pair);
  return entry && pathOfEntry(entry);
}

/** At each of our addresses. */
export function* correspondentPathsOf(
  { cache, site }: CorrespondentNodeState,
  homeAddress: Ipv6Address,
): Generator<CorrespondentPath, void> {
  for (const self of site.addresses) {
    const entry = cache.get({ homeAddress, self });
    const path = entry && pathOfEntry(entry);
    if (path !== undefined) yield path;
  }
}

function pathOfEntry(entry: CorrespondentEntry): CorrespondentPath | undefined {
  const { waiting } = entry;
  const binding = waiting === undefined ? entry.binding : waiting.binding;
  return binding && pathOf(entry, binding);
}

export function* correspondentViews(
  { cache }: CorrespondentNodeState,
  now: Instant,
): Generator<CorrespondentView, void> {
  for (const entry of cache.entries()) {
    const view = viewOf(entry, now);
    if (view !== undefined) yield view;
  }
}

/** At each of our addresses. */
export function* correspondentViewsOf(
  { cache, site }: CorrespondentNodeState,
  homeAddress: Ipv6Address,
  now: Instant,
): Generator<CorrespondentView, void> {
  for (const self of site.addresses) {
    const entry = cache.get({ homeAddress, self });
    const view = entry && viewOf(entry, now);
    if (view !== undefined) yield view;
  }
}

function otherMessage(turn: Turn, { arrival, message }: OtherMessageInput): void {
  const { source, destination } = arrival;
  if (!turn.state.site.addresses.includes(destination))
    return drop(turn, "wrong-destination", `${message.type} from ${source} to ${destination}`);
  if (message.type !== "unknown") return drop(turn, "unexpected-type", `${message.type} from ${source}`);
  const why = { reason: "unexpected-type", detail: `MH type ${message.mhType} from ${source}` } as const;
  const answered = answerWithBindingError(unknownTypeError(arrival), why, turn.state.bindingErrors, turn.now);
  turn.state.bindingErrors = answered.limit;
  for (const effect of answered.effects) turn.effects.push(effect);
}

function optionRefused(turn: Turn, packet: OptionRefusedInput): void {
  if (!turn.state.site.addresses.includes(packet.destination)) return;
  const detail = `Home Address option ${packet.homeAddress} from ${packet.source}`;
  const entry = turn.state.cache.get({ homeAddress: packet.homeAddress, self: packet.destination });
  if (entry !== undefined && isExcused(entry, packet.source, turn.now)) return drop(turn, "unknown-binding", detail);
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
  if (waiting?.binding?.careOf === source) return true;
  const former = [...(binding?.former ?? []), ...(waiting?.binding?.former ?? [])];
  return former.some(({ address, until }) => address === source && until > now);
}

function programmed(turn: Turn, input: ProgrammedInput): void {
  const entry = turn.state.cache.get(input);
  const waiting = entry?.waiting;
  if (entry === undefined || waiting === undefined || waiting.revision !== input.revision) return;
  if (waiting.binding === undefined) removed(turn, entry, waiting);
  else if (input.failure === undefined) establish(turn, entry, waiting, waiting.binding);
  else refuseWaiting(turn, entry, waiting, input.failure);
}

function used(turn: Turn, input: UsedInput): void {
  const entry = turn.state.cache.get(input);
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
    else refuseWaiting(turn, entry, waiting, "no answer from the kernel in time");
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
  if (former.length < binding.former.length) program(turn, entry, entry.binding);
  if (isAsked) turn.effects.push({ kind: "ask-use", homeAddress: entry.homeAddress, self: entry.self });
  state.cache.settle(entry);
}

function restore(turn: Turn, stored: StoredBinding): void {
  const { state, now } = turn;
  const { cache, site } = state;
  const parsed = parseRecord(stored);
  const isServed =
    parsed !== undefined &&
    site.addresses.includes(parsed.self) &&
    permits(site, parsed.homeAddress) &&
    cache.get(parsed) === undefined &&
    cache.bound < site.maximumBindings;
  if (parsed === undefined || !isServed) {
    const { homeAddress, self } = stored.record;
    if (
      typeof homeAddress === "string" &&
      typeof self === "string" &&
      cache.get({ homeAddress, self } as Pair) === undefined
    )
      turn.effects.push({ kind: "journal", key: `${homeAddress} ${self}`, record: null });
    return;
  }
  const { careOf, sequence, lifetimeSeconds, remainingSeconds } = parsed;
  const entry = cache.open(parsed, sequence, now);
  const binding: Binding = withRefreshTime(
    { careOf, former: [], lifetime: lifetimeSeconds, expiresAt: after(now, seconds(remainingSeconds)) },
    now,
  );
  entry.binding = binding;
  program(turn, entry, binding);
  cache.settle(entry);
  notify(turn, "binding.accepted", entry, { careOfAddress: careOf, reason: "restored" });
}
