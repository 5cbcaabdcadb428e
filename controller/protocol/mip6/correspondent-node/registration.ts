/** What an update does once it is judged: bindings that begin, move, are refreshed and end (RFC 6275 §9.5.2 to §9.5.6). */

import type { Secret } from "../../../base/secret.js";
import type { Seq16 } from "../../../base/seq16.js";
import { after, earliest, elapsed, type Instant, type Seconds, seconds } from "../../../base/time.js";
import { bindingAcknowledgementFlags, LIFETIME_UNIT_SECONDS } from "../../../wire/mip6/messages/registration.js";
import { AUTHENTICATOR_OCTETS } from "../../../wire/mip6/options/base.js";
import { BindingStatus } from "../../../wire/mip6/registry.js";
import type { ProtocolEvent } from "../inputs.js";
import { RETURN_ROUTABILITY_TIMERS } from "../return-routability/timers.js";
import type { Binding, CorrespondentEntry, Former, Waiting } from "./binding-cache.js";
import type { AuthorizedSendEffect, UpdateInput } from "./inputs.js";
import { LIMITS, TIMERS } from "./timers.js";
import { drop, journal, notify, program, type Turn, unprogram } from "./turn.js";
import { judgeUpdate, type ReadUpdate, readUpdate } from "./update.js";

/** Refused with these an update is answered whether it asks for an answer or not (RFC 6275 §9.5.4). */
const ALWAYS_TOLD: ReadonlySet<number> = new Set([
  BindingStatus.insufficientResources,
  BindingStatus.sequenceOutOfWindow,
  BindingStatus.expiredHomeNonceIndex,
  BindingStatus.expiredCareOfNonceIndex,
  BindingStatus.expiredNonces,
]);

/** A node is asked to refresh a binding in use when so much of its time is left, and at most this often. */
const REFRESH = { fraction: 0.2, atMost: seconds(60), requests: 3, least: seconds(2) } as const;

/** It is made when the message is encoded. */
const NOT_MADE = new Uint8Array(AUTHENTICATOR_OCTETS);

export function takeUpdate(turn: Turn, input: UpdateInput): void {
  const update = readUpdate(input);
  const verdict = judgeUpdate(turn, update);
  if (verdict.kind === "drop") return drop(turn, verdict.reason, verdict.detail);
  if (verdict.kind === "reject") return refuse(turn, update, verdict);
  if (update.isDeletion) deregister(turn, update, verdict.key);
  else register(turn, update, verdict.key);
}

interface Refusal {
  readonly status: number;
  readonly reason: string;
  readonly key?: Secret;
  readonly lastSequence?: Seq16;
}

function refuse(turn: Turn, update: ReadUpdate, { status, reason, key, lastSequence }: Refusal): void {
  const { homeAddress, self, message, careOf } = update;
  const answer = acknowledgement(update, { status, sequence: lastSequence ?? message.sequence, key });
  if (key === undefined && !turn.state.takeAnswer(turn.now))
    return drop(turn, "rate-limited", `binding update of ${homeAddress}: ${reason}`);
  if (message.flags.acknowledge || ALWAYS_TOLD.has(status)) turn.effects.push(answer);
  // Who proves nothing is no event: anybody could fill the list with them.
  if (key === undefined)
    return drop(
      turn,
      message.flags.homeRegistration ? "unexpected-type" : "stale-nonces",
      `binding update of ${homeAddress} from ${careOf}: ${reason}`,
    );
  notify(turn, "binding.rejected", { homeAddress, self }, { status, reason, careOfAddress: careOf });
}

interface Acknowledged {
  readonly status: number;
  readonly sequence: Seq16;
  readonly lifetime?: Seconds;
  readonly key?: Secret | undefined;
}

/** To where the update came from, and through a type 2 routing header if it had a Home Address option (RFC 6275 §9.5.4). */
function acknowledgement(
  { homeAddress, self, wireSource, careOf, throughOption }: ReadUpdate,
  { status, sequence, lifetime = seconds(0), key }: Acknowledged,
): AuthorizedSendEffect {
  const lifetimeUnits = Math.floor(lifetime / LIFETIME_UNIT_SECONDS);
  const flags = bindingAcknowledgementFlags();
  const authenticator = { kind: "binding-authorization-data", authenticator: NOT_MADE } as const;
  const options = key === undefined ? [] : [authenticator];
  return {
    kind: "send",
    message: { type: "binding-acknowledgement", status, flags, sequence, lifetimeUnits, options },
    source: self,
    destination: homeAddress,
    departure: throughOption ? { type: "native-routed", careOf: wireSource } : { type: "native-direct" },
    ...(key !== undefined && { authorization: { key, careOf } }),
  };
}

function register(turn: Turn, update: ReadUpdate, key: Secret): void {
  const { state, now } = turn;
  const { cache, site } = state;
  const { message, careOf } = update;
  const { sequence } = message;
  const lifetime = seconds(
    Math.min(
      message.lifetimeUnits * LIFETIME_UNIT_SECONDS,
      RETURN_ROUTABILITY_TIMERS.binding.default,
      site.maximumLifetime,
    ),
  );
  const entry = accepted(turn, update);
  // The node has ended its binding and begins anew: that one is over, and does not come back if the kernel refuses this one.
  const { waiting } = entry;
  if (waiting !== undefined && waiting.binding === undefined) removed(turn, entry, waiting);
  if (cache.bound >= site.maximumBindings && isUnbound(entry)) {
    const oldest = cache.oldestBut(entry.key);
    if (oldest !== undefined) endBinding(turn, oldest, "binding.removed", "gave way to a younger one");
  }
  const answer = acknowledgement(update, { status: BindingStatus.accepted, sequence, lifetime, key });
  const wanted = message.flags.acknowledge ? answer : undefined;
  const before = entry.binding;
  const fresh = { careOf, lifetime, expiresAt: after(now, lifetime) };
  if (before !== undefined && before.careOf === careOf && entry.waiting === undefined) {
    entry.binding = withRefreshTime({ ...fresh, former: before.former }, now);
    cache.touch(entry);
    cache.settle(entry);
    journal(turn, entry);
    if (wanted !== undefined) turn.effects.push(wanted);
    notify(turn, "binding.refreshed", entry, { careOfAddress: careOf, lifetimeSeconds: lifetime });
    return;
  }
  const binding = withRefreshTime(
    { ...fresh, former: formerOf(before, careOf, after(now, site.formerGrace), now) },
    now,
  );
  program(turn, entry, binding);
  entry.waiting = {
    ...{ binding, sequence, revision: entry.revision, answer: wanted },
    deadline: after(now, TIMERS.dataPath.default),
    denial: acknowledgement(update, { status: BindingStatus.insufficientResources, sequence, key }),
  };
  cache.touch(entry);
  cache.settle(entry);
}

const isUnbound = ({ binding, waiting }: CorrespondentEntry): boolean => (binding ?? waiting?.binding) === undefined;

/** The entry, which from now on knows the update's number, and that its nonces have begun to be used by now at the latest. */
function accepted(turn: Turn, update: ReadUpdate): CorrespondentEntry {
  const { sequence } = update.message;
  const entry = turn.state.cache.open(update, sequence, turn.now);
  entry.sequence = sequence;
  entry.replayableUntil = after(turn.now, RETURN_ROUTABILITY_TIMERS.nonce.default);
  return entry;
}

function formerOf(before: Binding | undefined, careOf: string, until: Instant, now: Instant): readonly Former[] {
  if (before === undefined || until <= now) return [];
  const all = [{ address: before.careOf, until }, ...before.former];
  return all.filter(({ address }) => address !== careOf).slice(0, LIMITS.formerAddresses.default);
}

function deregister(turn: Turn, update: ReadUpdate, key: Secret): void {
  const { state, now } = turn;
  const { cache, site } = state;
  const { sequence, flags } = update.message;
  const answer = flags.acknowledge
    ? acknowledgement(update, { status: BindingStatus.accepted, sequence, key })
    : undefined;
  const present = cache.get(update);
  const isKnown = present !== undefined || cache.size < LIMITS.remembered.default * site.maximumBindings;
  const entry = isKnown ? accepted(turn, update) : undefined;
  if (entry === undefined || isUnbound(entry)) {
    // An earlier update that is still on its way is seen to be old.
    if (entry !== undefined) cache.settle(entry);
    if (answer !== undefined) turn.effects.push(answer);
    return;
  }
  unprogram(turn, entry);
  entry.waiting = {
    ...{ binding: undefined, sequence, revision: entry.revision, answer, denial: undefined },
    deadline: after(now, TIMERS.dataPath.default),
  };
  cache.settle(entry);
}

/** The kernel has let go, or will some time: the reconciler sees to that. */
export function removed(turn: Turn, entry: CorrespondentEntry, { answer }: Waiting): void {
  finish(turn, entry);
  if (answer !== undefined) turn.effects.push(answer);
  notify(turn, "binding.removed", entry, { reason: "by the node" });
}

/** Without a question to anybody; what is in the kernel goes. */
export function endBinding(
  turn: Turn,
  entry: CorrespondentEntry,
  event: Extract<ProtocolEvent["event"], `binding.${string}`>,
  reason: string,
): void {
  if (isUnbound(entry)) return;
  unprogram(turn, entry);
  finish(turn, entry);
  notify(turn, event, entry, { reason });
}

/** What is over stays known for as long as it could be played back. */
function finish(turn: Turn, entry: CorrespondentEntry): void {
  const { cache } = turn.state;
  entry.binding = undefined;
  entry.waiting = undefined;
  journal(turn, entry);
  if (entry.replayableUntil > turn.now) cache.settle(entry);
  else cache.forget(entry);
}

export function establish(turn: Turn, entry: CorrespondentEntry, waiting: Waiting, binding: Binding): void {
  const moved = entry.binding !== undefined;
  const { careOf, lifetime } = binding;
  entry.binding = binding;
  entry.waiting = undefined;
  turn.state.cache.settle(entry);
  journal(turn, entry);
  if (waiting.answer !== undefined) turn.effects.push(waiting.answer);
  const detail = { careOfAddress: careOf, lifetimeSeconds: lifetime };
  notify(turn, moved ? "binding.moved" : "binding.accepted", entry, detail);
}

/** What was there before stays, if there was something. */
export function refuseWaiting(turn: Turn, entry: CorrespondentEntry, waiting: Waiting, reason: string): void {
  if (waiting.denial !== undefined) turn.effects.push(waiting.denial);
  notify(turn, "binding.failed", entry, { reason });
  entry.waiting = undefined;
  if (entry.binding === undefined) {
    unprogram(turn, entry);
    finish(turn, entry);
    return;
  }
  program(turn, entry, entry.binding);
  turn.state.cache.settle(entry);
}

export function withRefreshTime(binding: Omit<Binding, "askAt" | "requests">, now: Instant): Binding {
  const left = elapsed(now, binding.expiresAt);
  const before = Math.min(REFRESH.atMost, left * REFRESH.fraction);
  return { ...binding, askAt: after(now, seconds(left - before)), requests: 0 };
}

/** RFC 6275 §9.5.5: a binding that is in use and about to end; the next request when half of what is left has gone by. */
export function requestRefresh(turn: Turn, entry: CorrespondentEntry, binding: Binding, agoSeconds: number): void {
  const { now, state } = turn;
  const left = elapsed(now, binding.expiresAt);
  if (left <= 0 || binding.requests >= REFRESH.requests || binding.askAt !== undefined) return;
  // What has not been used in as long as it has left will not be missed.
  if (agoSeconds > REFRESH.atMost) return;
  turn.effects.push({
    kind: "send",
    message: { type: "binding-refresh-request", options: [] },
    source: entry.self,
    destination: entry.homeAddress,
    departure: { type: "native-routed", careOf: binding.careOf },
  });
  const next = left / 2 < REFRESH.least ? undefined : after(now, seconds(left / 2));
  entry.binding = { ...binding, requests: binding.requests + 1, askAt: earliest(next) };
  state.cache.settle(entry);
}
