/**
 * The home agent (RFC 6275 §10, RFC 5555 §4.5) as a pure machine: `step` takes one input at one moment and gives the effects. Must not
 * know sockets, kernel objects, files or clocks. The life of a binding is in states.ts, the checks of an update in
 * update.ts.
 */
import { type IpAddress, type Ipv6Address, isIpv4, parseIpv6, prefixContains } from "../../../base/ip.js";
import { exhaustive } from "../../../base/result.js";
import { after, type Instant, seconds } from "../../../base/time.js";
import type { BindingUpdate } from "../../../wire/mip6/messages/mobility-message.js";
import { BindingStatus } from "../../../wire/mip6/registry.js";
import { answerWithBindingError, unknownBindingError, unknownTypeError } from "../binding-error.js";
import type { Arrival, DataPath, DropReason, Endpoint, OptionRefusedInput, SendEffect } from "../inputs.js";
import { LIMITS } from "../timers.js";
import {
  type BindingEntry,
  type BindingView,
  deadlineOf,
  desiredPath,
  type Established,
  isAround,
  type Registration,
  viewOf,
} from "./binding-cache.js";
import { parseRecord } from "./binding-record.js";
import { fits, giveUp, kernelRefusal, narrow, pathFor, programmed, refreshRequestTime } from "./data-path.js";
import type { HomeAgentEffect, HomeAgentInput, MessageInput, StoredBinding } from "./inputs.js";
import { refuseIpv4 } from "./ipv4-home-address.js";
import { askToRefresh, noticeDue, remove, revocationAcknowledged, tellNodes } from "./notices.js";
import { dadCompleted, register } from "./registration.js";
import { deregister, expire, finishRemoval, forget, giveUpRestored, removalProgrammed, takeBack } from "./removal.js";
import type { HomeAgentSite, HomeSubscriber } from "./site.js";
import { answer, entitled, type HomeAgentState, journal, refuse, type Turn } from "./turn.js";
import { isBehind, isServedHere, judgeUpdate, readUpdate, storesSequence, type UpdateRequest } from "./update.js";

export { HomeAgentState, ownershipOf } from "./turn.js";

/** The effects of one input, in the order in which they are to be performed. `now` never goes back. */
export function step(state: HomeAgentState, input: HomeAgentInput, now: Instant): readonly HomeAgentEffect[] {
  const turn: Turn = { state, now, effects: [] };
  switch (input.kind) {
    case "message":
      receive(turn, input);
      break;
    case "programmed":
      if (!removalProgrammed(turn, input)) programmed(turn, input);
      break;
    case "dad-completed":
      dadCompleted(turn, input);
      break;
    case "timer":
      runDeadlines(turn);
      break;
    case "remove":
      remove(turn, input);
      break;
    case "notice":
      tellNodes(turn, input);
      break;
    case "storage":
      state.writable = input.writable;
      break;
    case "unstored": {
      const entry = state.cache.get(input.homeAddress);
      if (entry !== undefined) takeBack(turn, entry, input.sequence);
      break;
    }
    case "option-refused":
      optionRefused(turn, input);
      break;
    case "restore":
      restoreAll(turn, input.bindings);
      break;
    default:
      exhaustive(input);
  }
  return turn.effects;
}

/** When the next timer input is due. May change with every step. */
export function nextDeadline(state: HomeAgentState): Instant | undefined {
  return state.cache.nextDeadline;
}

/** All data paths that should be there: what the plan is made of. */
export function* dataPaths(state: HomeAgentState): Generator<DataPath, void> {
  for (const entry of state.cache.entries()) {
    const path = desiredPath(entry);
    if (path !== undefined) yield path;
  }
}

/** The node that has bound this home address of either family, or the prefix in which the address lies. */
export function lookup(state: HomeAgentState, address: IpAddress): BindingEntry | undefined {
  const homeAddress = state.ownership.nodeAt(address) ?? state.ownership.routerTo(address);
  const entry = homeAddress === undefined ? undefined : state.cache.get(homeAddress);
  const registration = entry?.established?.registration;
  if (registration === undefined) return undefined;
  const { ipv4HomeAddress, prefixes } = registration;
  const isHome = address === homeAddress || address === ipv4HomeAddress;
  return isHome || prefixes.some((prefix) => prefixContains(prefix, address)) ? entry : undefined;
}

/** All entries as people see them. */
export function* bindingViews(state: HomeAgentState, now: Instant): Generator<BindingView, void> {
  // Those that there are now: one that is removed and comes again while they are read is not shown twice.
  for (const entry of [...state.cache.entries()]) yield viewOf(entry, now);
}

function drop(turn: Turn, reason: DropReason, detail: string): void {
  turn.effects.push({ kind: "drop", reason, detail });
}

function receive(turn: Turn, { arrival, message }: MessageInput): void {
  if (arrival.destination !== turn.state.site.addresses.ipv6) {
    drop(turn, "wrong-destination", `sent to ${arrival.destination}`);
  } else if (message.type === "binding-update") {
    receiveUpdate(turn, arrival, message);
  } else if (message.type === "binding-revocation-acknowledgement") {
    revocationAcknowledged(turn, arrival, message);
  } else if (message.type === "unknown") {
    const detail = `MH type ${message.mhType} from ${arrival.source}`;
    sendBindingError(turn, unknownTypeError(arrival), { reason: "unexpected-type", detail });
  } else {
    drop(turn, "unexpected-type", message.type);
  }
}

/** Counts the drop of what the error is about, and sends the error if one is due and the limit allows it. */
function sendBindingError(
  turn: Turn,
  error: SendEffect | undefined,
  drop: { reason: DropReason; detail: string },
): void {
  const answer = answerWithBindingError(error, drop, turn.state.bindingErrors, turn.now);
  turn.state.bindingErrors = answer.limit;
  for (const effect of answer.effects) turn.effects.push(effect);
}

/**
 * A node on the move has packets under way from where it was, and after a start the kernel may not have its binding yet. That is no sign of a
 * binding lost, and some nodes give their home agent up on an error (seen in UMIP: for seven minutes).
 */
function optionRefused(turn: Turn, packet: OptionRefusedInput): void {
  const entry = turn.state.cache.get(packet.homeAddress);
  const known = entry !== undefined && isAround(entry, packet.source);
  sendBindingError(turn, known ? undefined : unknownBindingError(packet), {
    reason: "unknown-binding",
    detail: `Home Address option ${packet.homeAddress} from ${packet.source}`,
  });
}

function receiveUpdate(turn: Turn, arrival: Arrival, message: BindingUpdate): void {
  const { site, ownership, cache } = turn.state;
  const request = readUpdate(arrival, message, site);
  if (arrival.protection === "esp") settle(turn, request.homeAddress);
  const entry = cache.get(request.homeAddress);
  const verdict = judgeUpdate(request, {
    ...{ site, ownership, entry },
    endpointsOf: (node) => endpointsOf(cache.get(node)),
    linkLocalOwner: (address) => cache.linkLocalOwner(address),
    earlyEnd: turn.state.earlyEnds.sequenceOf(request.homeAddress, turn.now),
  });
  if (verdict.kind === "drop") {
    drop(turn, verdict.reason, verdict.detail);
  } else if (verdict.kind === "reject") {
    if (entry !== undefined && storesSequence(verdict.status)) {
      entry.sequence = message.sequence;
      journal(turn, entry);
    }
    if (entry === undefined && request.deregistration && site.subscribers.has(request.homeAddress))
      turn.state.earlyEnds.note(request.homeAddress, message.sequence, turn.now);
    refuse(turn, request.reply, verdict.status, verdict.reason, verdict.lastSequence);
  } else if (!turn.state.writable && !request.deregistration) {
    // The end of a binding is not put off: a node at home would share its address with us. Its answer does not say success either.
    refuseUnstored(turn, request);
  } else {
    const subscriber = site.subscribers.get(request.homeAddress);
    if (!request.deregistration && subscriber !== undefined) register(turn, request, subscriber);
    else if (entry !== undefined) deregister(turn, request, entry);
  }
}

/** With the networks that the configuration gives to whom now. */
function isAroundItself({ state }: Turn, { registration }: Established, { homeAddress }: BindingEntry): boolean {
  const { cache, ownership } = state;
  const context = { ownership, endpointsOf: (node: Ipv6Address) => endpointsOf(cache.get(node)) };
  return [registration.endpoint, registration.signalling].some((one) => isBehind(homeAddress, one, context));
}

function endpointsOf(entry: BindingEntry | undefined): readonly Endpoint[] {
  return [entry?.established, entry?.pending].flatMap((one) => (one === undefined ? [] : [one.registration.endpoint]));
}

/** Whatever the answer would promise, a crash could make it untrue. Counted, and no event for each: every node asks again and again. */
function refuseUnstored(turn: Turn, { reply }: UpdateRequest): void {
  drop(turn, "journal-unwritable", `update of ${reply.arrival.source}`);
  if (turn.state.site.journalFailure === "silent") return;
  const acknowledgements = refuseIpv4(reply.ipv4Options);
  answer(turn, reply, { status: BindingStatus.insufficientResources, acknowledgements });
}

/** Lets happen to the entry what its deadlines say should have happened by now. */
function settle(turn: Turn, homeAddress: Ipv6Address): void {
  for (;;) {
    const entry = turn.state.cache.get(homeAddress);
    const deadline = entry === undefined ? undefined : deadlineOf(entry);
    if (entry === undefined || deadline === undefined || deadline > turn.now) return;
    runDeadline(turn, entry);
  }
}

function runDeadlines(turn: Turn): void {
  for (let count = 0; count < LIMITS.deadlinesPerStep.default; count++) {
    const entry = turn.state.cache.takeDue(turn.now);
    if (entry === undefined) return;
    runDeadline(turn, entry);
  }
}

const kernelStatus = ({ pending }: BindingEntry): number =>
  pending === undefined ? BindingStatus.insufficientResources : kernelRefusal(pending);

function runDeadline(turn: Turn, entry: BindingEntry): void {
  if (entry.notice !== undefined && entry.notice.sendAt <= turn.now) noticeDue(turn, entry);
  else runStateDeadline(turn, entry);
  turn.state.cache.schedule(entry);
}

function runStateDeadline(turn: Turn, entry: BindingEntry): void {
  switch (entry.state) {
    case "awaiting-dad":
      giveUp(turn, entry, { status: BindingStatus.reasonUnspecified, reason: "no end of duplicate address detection" });
      break;
    case "awaiting-data-path":
    case "updating":
      giveUp(turn, entry, { status: kernelStatus(entry), reason: "no answer from the kernel in time" });
      break;
    case "removing":
      finishRemoval(turn, entry, "no answer from the kernel in time");
      break;
    case "invalidated":
      forget(turn, entry);
      break;
    case "established":
      if (entry.established === undefined || entry.established.expiresAt <= turn.now) expire(turn, entry);
      else if (entry.askAt !== undefined && entry.askAt <= turn.now) askToRefresh(turn, entry);
      else narrow(turn, entry, entry.established);
      break;
    case "absent":
      break;
    default:
      exhaustive(entry.state);
  }
}

/** The paths are made when all bindings are there: how many tunnels a node is in depends on those of the routers that it is behind. */
function restoreAll(turn: Turn, bindings: readonly StoredBinding[]): void {
  const entries = bindings.map((stored) => restore(turn, stored));
  for (const entry of entries) {
    if (entry?.established === undefined) continue;
    if (isAroundItself(turn, entry.established, entry)) {
      giveUpRestored(turn, entry, "its care-of address is behind the node itself");
      continue;
    }
    const { registration, path: first } = entry.established;
    const path = fits(turn, first, registration) ? first : pathFor(turn, entry, registration, []);
    entry.established = { ...entry.established, path };
    turn.effects.push({ kind: "data-path", path });
  }
}

/**
 * Takes up one binding of an earlier life if the node is still a subscriber, its care-of address is nobody's home address and its format still offered, with its IPv4 home address if that is still its own. Else
 * its sequence number alone is remembered, and whatever the kernel still has of it is not planned for any more.
 */
function restore(turn: Turn, stored: StoredBinding): BindingEntry | undefined {
  const { cache, site } = turn.state;
  const record = parseRecord(stored);
  const subscriber = record === undefined ? undefined : site.subscribers.get(record.homeAddress);
  if (record === undefined || subscriber === undefined) {
    forgetRecord(turn, stored);
    return undefined;
  }
  if (cache.get(record.homeAddress) !== undefined) return undefined;
  const entry = cache.open(subscriber, record.sequence);
  const until = after(turn.now, seconds(record.remainingSeconds));
  if (
    record.kind === "bound" &&
    !isServedHere(record.registration.endpoint, turn.state) &&
    isOffered(record.registration, subscriber, site)
  ) {
    restoreBinding(turn, entry, record.registration, until);
  } else {
    // Its number stays known: an update of that time must not bind the node again.
    cache.transition(entry, "restore-invalidated");
    entry.rememberedUntil = until;
    if (stored.record["kind"] !== "invalidated") journal(turn, entry);
  }
  cache.schedule(entry);
  return entry;
}

/** UDP over IPv6 and the 2004 profile are switched on, where payload or messages go in them. */
function isOffered(
  { endpoint, signalling }: Registration,
  { ipv4Signalling }: HomeSubscriber,
  site: HomeAgentSite,
): boolean {
  if (signalling.format === "ipv4" && ipv4Signalling !== "soliman2004") return false;
  const isInUdp = [endpoint, signalling].some(({ format, address }) => format === "udp" && !isIpv4(address));
  return !isInUdp || site.udpOverIpv6 === true;
}

function restoreBinding(turn: Turn, entry: BindingEntry, stored: Registration, expiresAt: Instant): void {
  const { cache } = turn.state;
  const { linkLocalAddress: had } = stored;
  // What the configuration does not entitle any more is not forwarded to; what two nodes say of the home link, only the first has.
  const linkLocalAddress = had !== undefined && cache.linkLocalOwner(had) === undefined ? had : undefined;
  const registration = { ...entitled(turn, entry.subscriber, stored), linkLocalAddress };
  cache.transition(entry, "restore");
  entry.established = { registration, path: pathFor(turn, entry, registration, []), expiresAt };
  entry.askAt = refreshRequestTime(turn, entry.established);
}

/** A record that is of no use any more. */
function forgetRecord(turn: Turn, { record }: StoredBinding): void {
  const { homeAddress } = record;
  const key = typeof homeAddress === "string" ? parseIpv6(homeAddress) : undefined;
  if (key === undefined) drop(turn, "malformed", "journal record without home address");
  else turn.effects.push({ kind: "journal", key, record: null });
}
