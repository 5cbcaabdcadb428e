/** What an update does once it is judged: bindings that begin, move, are refreshed and end (RFC 6275 §9.5.2 to §9.5.6). */

import type { Secret } from "../../../base/secret.js";
import type { Seq16 } from "../../../base/seq16.js";
import { after, earliest, elapsed, type Instant, type Seconds, seconds } from "../../../base/time.js";
import { bindingAcknowledgementFlags, LIFETIME_UNIT_SECONDS } from "../../../wire/mip6/messages/registration.js";
import { AUTHENTICATOR_OCTETS } from "../../../wire/mip6/options/base.js";
import { BindingStatus } from "../../../wire/mip6/registry.js";
import type { Departure, ProtocolEvent } from "../inputs.js";
import { type Reach, sameReach } from "../return-routability/modes.js";
import { RETURN_ROUTABILITY_TIMERS } from "../return-routability/timers.js";
import { type Binding, type CorrespondentEntry, type Former, isOutdated, type Waiting } from "./binding-cache.js";
import type { AuthorizedSendEffect, Family, UpdateInput } from "./inputs.js";
import { backTo, modeOption, natOptions } from "./mode.js";
import { LIMITS, TIMERS } from "./timers.js";
import { detailOf, drop, journal, notify, program, type Turn } from "./turn.js";
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
  const update = readUpdate(input, turn.state.site);
  const verdict = judgeUpdate(turn, update);
  if (verdict.kind === "drop") return drop(turn, verdict.reason, verdict.detail);
  if (verdict.kind === "reject") return refuse(turn, update, verdict);
  if (update.isDeletion) deregister(turn, update, verdict.keys);
  else register(turn, update, verdict.keys);
}

interface Refusal {
  readonly status: number;
  readonly reason: string;
  readonly keys?: readonly Secret[];
  readonly lastSequence?: Seq16;
}

function refuse(turn: Turn, update: ReadUpdate, { status, reason, keys, lastSequence }: Refusal): void {
  const { homeAddress, self, message, reach } = update;
  const answer = acknowledgement(update, { status, sequence: lastSequence ?? message.sequence, keys });
  if (keys === undefined && !turn.state.takeAnswer(turn.now))
    return drop(turn, "rate-limited", `binding update of ${homeAddress}: ${reason}`);
  if (isAnswered(update) || ALWAYS_TOLD.has(status)) turn.effects.push(answer);
  // Who proves nothing is no event: anybody could fill the list with them.
  if (keys === undefined)
    return drop(
      turn,
      message.flags.homeRegistration ? "unexpected-type" : "stale-nonces",
      `binding update of ${homeAddress} from ${reach.careOf}: ${reason}`,
    );
  if (turn.state.takeRefusalEvent(turn.now))
    notify(turn, "binding.rejected", { homeAddress, self }, { status, reason, careOfAddress: reach.careOf });
  else drop(turn, "rate-limited", `status ${status} for ${homeAddress}: ${reason}`);
}

/** One of the draft always is (RO-7.1.2-08). */
const isAnswered = ({ message, isOfDraft }: ReadUpdate): boolean => message.flags.acknowledge || isOfDraft;

interface Acknowledged {
  readonly status: number;
  readonly sequence: Seq16;
  readonly lifetime?: Seconds;
  readonly keys?: readonly Secret[] | undefined;
}

/**
 * To where the update came from, in what it came in, and through a type 2 routing header if it had a Home Address option (RFC 6275 §9.5.4).
 * To what an update of the draft wants to know of it the mode is said, and that there is a NAT (RO-7.1.2-09, C-47).
 */
function acknowledgement(
  { homeAddress, self, wireSource, overIpv4, reach, mode, throughOption }: ReadUpdate,
  { status, sequence, lifetime = seconds(0), keys = [] }: Acknowledged,
): AuthorizedSendEffect {
  const lifetimeUnits = Math.floor(lifetime / LIFETIME_UNIT_SECONDS);
  const flags = bindingAcknowledgementFlags();
  const options = [
    ...(mode === undefined ? [] : [modeOption(mode)]),
    ...natOptions(overIpv4),
    ...keys.map(() => ({ kind: "binding-authorization-data", authenticator: NOT_MADE }) as const),
  ];
  const native: Departure = throughOption ? { type: "native-routed", careOf: wireSource } : { type: "native-direct" };
  return {
    kind: "send",
    message: { type: "binding-acknowledgement", status, flags, sequence, lifetimeUnits, options },
    source: self,
    destination: homeAddress,
    departure: overIpv4 === undefined ? native : backTo(overIpv4),
    ...(keys.length > 0 && { authorization: { keys, careOf: reach.careOf } }),
  };
}

function register(turn: Turn, update: ReadUpdate, keys: readonly Secret[]): void {
  const { state, now } = turn;
  const { cache, site } = state;
  const { message, reach, families, mode, ipv4HomeAddress } = update;
  const { sequence } = message;
  const lifetime = seconds(
    Math.min(
      message.lifetimeUnits * LIFETIME_UNIT_SECONDS,
      RETURN_ROUTABILITY_TIMERS.binding.default,
      site.maximumLifetime,
    ),
  );
  const entries = families.map((family) => accepted(turn, update, family));
  // The node has ended its binding and begins anew: that one is over, and does not come back if the kernel refuses this one.
  for (const entry of entries) {
    const { waiting } = entry;
    if (waiting !== undefined && waiting.binding === undefined) removed(turn, entry, waiting);
  }
  makeRoom(turn, entries, update);
  const answer = acknowledgement(update, { status: BindingStatus.accepted, sequence, lifetime, keys });
  const wanted = isAnswered(update) ? answer : undefined;
  const fresh = (family: Family) => ({
    ...{ reach, lifetime, expiresAt: after(now, lifetime) },
    ...(mode !== undefined && { mode }),
    ...(family === "ipv4" && ipv4HomeAddress !== undefined && { ipv4HomeAddress }),
  });
  if (entries.every((entry) => isInPlace(turn, entry, update))) {
    for (const entry of entries) {
      const former = entry.binding?.former ?? [];
      const binding = withRefreshTime({ ...fresh(entry.family), former }, now);
      entry.binding = binding;
      cache.touch(entry);
      cache.settle(entry);
      journal(turn, entry);
      notify(turn, "binding.refreshed", entry, { ...detailOf(binding), lifetimeSeconds: lifetime });
    }
    if (wanted !== undefined) turn.effects.push(wanted);
    return;
  }
  const denial = acknowledgement(update, { status: BindingStatus.insufficientResources, sequence, keys });
  const order = state.nextOrder();
  entries.forEach((entry, i) => {
    const former = formerOf(entry.binding, reach, after(now, site.formerGrace), now);
    entry.waiting = {
      ...{ binding: withRefreshTime({ ...fresh(entry.family), former }, now), sequence, order },
      deadline: after(now, TIMERS.dataPath.default),
      // One answer, however many entries it is about.
      ...(i === 0 ? { answer: wanted, denial } : { answer: undefined, denial: undefined }),
    };
    entry.shared.latest = entry.family;
    cache.touch(entry);
    cache.settle(entry);
  });
  const [first] = entries;
  if (first !== undefined) program(turn, first);
}

/** Nothing changes for the kernel: the same way to the same home address, and what is beside it says nothing else. */
function isInPlace({ state: { cache } }: Turn, entry: CorrespondentEntry, update: ReadUpdate): boolean {
  const { binding, waiting, family } = entry;
  if (binding === undefined || waiting !== undefined || !sameReach(binding.reach, update.reach)) return false;
  if (family === "ipv4" && binding.ipv4HomeAddress !== update.ipv4HomeAddress) return false;
  return !isOutdated(entry, cache.get(entry, family === "ipv6" ? "ipv4" : "ipv6"));
}

/** For entries that have no binding yet; and an IPv4 home address that was another node's is this one's now: it was reached there last. */
function makeRoom(turn: Turn, entries: readonly CorrespondentEntry[], { ipv4HomeAddress }: ReadUpdate): void {
  const { cache, site } = turn.state;
  for (const entry of entries) {
    const rival = entry.family === "ipv4" && ipv4HomeAddress && cache.rivalOf(entry, ipv4HomeAddress);
    if (rival) endBinding(turn, rival, "binding.removed", "its IPv4 home address is another node's now");
  }
  const keys = entries.map(({ key }) => key);
  for (let more = cache.bound + entries.filter(isUnbound).length - site.maximumBindings; more > 0; more--) {
    const oldest = cache.oldestBut(keys);
    if (oldest === undefined || !entries.some(isUnbound)) return;
    endBinding(turn, oldest, "binding.removed", "gave way to a younger one");
  }
}

const isUnbound = ({ binding, waiting }: CorrespondentEntry): boolean => (binding ?? waiting?.binding) === undefined;

/** The entry, which from now on knows the update's number, and that its nonces have begun to be used by now at the latest. */
function accepted(turn: Turn, update: ReadUpdate, family: Family): CorrespondentEntry {
  const { sequence } = update.message;
  const entry = turn.state.cache.open(update, family, sequence, turn.now);
  entry.sequence = sequence;
  entry.replayableUntil = after(turn.now, RETURN_ROUTABILITY_TIMERS.nonce.default);
  return entry;
}

/** Of IPv6: from an IPv4 one nothing brings a Binding Error. */
function formerOf(before: Binding | undefined, { careOf }: Reach, until: Instant, now: Instant): readonly Former[] {
  if (before === undefined || until <= now) return [];
  const last = before.reach.via === "headers" ? [{ address: before.reach.careOf, until }] : [];
  const all = [...last, ...before.former];
  return all.filter(({ address }) => address !== careOf).slice(0, LIMITS.formerAddresses.default);
}

function deregister(turn: Turn, update: ReadUpdate, keys: readonly Secret[]): void {
  const { state, now } = turn;
  const { cache, site } = state;
  const { sequence } = update.message;
  const answer = isAnswered(update)
    ? acknowledgement(update, { status: BindingStatus.accepted, sequence, keys })
    : undefined;
  const most = LIMITS.remembered.default * site.maximumBindings;
  const entries = update.families
    .filter((family) => cache.get(update, family) !== undefined || cache.size < most)
    .map((family) => accepted(turn, update, family));
  const bound = entries.filter((entry) => !isUnbound(entry));
  // An earlier update that is still on its way is seen to be old.
  for (const entry of entries) cache.settle(entry);
  const [first] = bound;
  if (first === undefined) {
    if (answer !== undefined) turn.effects.push(answer);
    return;
  }
  const order = state.nextOrder();
  bound.forEach((entry, i) => {
    entry.waiting = {
      ...{ binding: undefined, sequence, order, answer: i === 0 ? answer : undefined, denial: undefined },
      deadline: after(now, TIMERS.dataPath.default),
    };
    cache.settle(entry);
  });
  program(turn, first);
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
  entry.binding = undefined;
  entry.waiting = undefined;
  program(turn, entry);
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
  entry.binding = binding;
  entry.waiting = undefined;
  turn.state.cache.settle(entry);
  journal(turn, entry);
  if (waiting.answer !== undefined) turn.effects.push(waiting.answer);
  const detail = { ...detailOf(binding), lifetimeSeconds: binding.lifetime };
  notify(turn, moved ? "binding.moved" : "binding.accepted", entry, detail);
}

/** What was there before stays, if there was something. `entries`: of one pair, that wait for the same. */
export function refuseWaiting(turn: Turn, entries: readonly CorrespondentEntry[], reason: string): void {
  for (const entry of entries) {
    const denial = entry.waiting?.denial;
    if (denial !== undefined) turn.effects.push(denial);
    notify(turn, "binding.failed", entry, { reason });
    entry.waiting = undefined;
    if (entry.binding === undefined) finish(turn, entry);
    else turn.state.cache.settle(entry);
  }
  const [first] = entries;
  if (first !== undefined) program(turn, first);
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
  // Over IPv4 nobody counts what is sent, and the keepalives keep the binding.
  if (binding.reach.via !== "headers") return;
  // What has not been used in as long as it has left will not be missed.
  if (agoSeconds > REFRESH.atMost) return;
  turn.effects.push({
    kind: "send",
    message: { type: "binding-refresh-request", options: [] },
    source: entry.self,
    destination: entry.homeAddress,
    departure: { type: "native-routed", careOf: binding.reach.careOf },
  });
  const next = left / 2 < REFRESH.least ? undefined : after(now, seconds(left / 2));
  entry.binding = { ...binding, requests: binding.requests + 1, askAt: earliest(next) };
  state.cache.settle(entry);
}
