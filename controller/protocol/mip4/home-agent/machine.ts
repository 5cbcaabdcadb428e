/**
 * The home agent of Mobile IPv4 (RFC 5944 §3.8) with reverse tunnels (RFC 3024), NAT traversal (RFC 3519) and IPv6 (RFC 5454), as a pure
 * machine: `step` takes one input at one moment and gives the effects. Must not know sockets, kernel objects, files, clocks or keys. The
 * checks of a request are in request.ts and tunnel.ts, the life of a binding in states.ts.
 */
import type { Ipv4Address } from "../../../base/ip.js";
import { exhaustive } from "../../../base/result.js";
import type { Instant } from "../../../base/time.js";
import { ReplyCode } from "../../../wire/mip4/registry.js";
import { answerIdentification, type ReplayState } from "../identification.js";
import type { DataPath } from "../inputs.js";
import { LIMITS } from "../timers.js";
import { type BindingEntry, type BindingView, deadlineOf, desiredPath, viewOf } from "./binding-table.js";
import type { HomeAgentEffect, HomeAgentInput, ProgrammedInput, RequestInput } from "./inputs.js";
import { giveUp, narrow, pathProgrammed, register, repeatAnswer } from "./registration.js";
import { deregister, endBinding, finishRemoval } from "./removal.js";
import type { Answer } from "./reply.js";
import {
  isDuplicate,
  judgeFreshness,
  judgeRequest,
  judgeSender,
  type ReadRequest,
  readRequest,
  type Sender,
} from "./request.js";
import { restore, takeBack } from "./storage.js";
import { answer, drop, type HomeAgentState, journal, refuse, type Turn } from "./turn.js";

export { HomeAgentState, ownershipOf } from "./turn.js";

/** The effects of one input, in the order in which they are to be performed. `now` never goes back. */
export function step(state: HomeAgentState, input: HomeAgentInput, now: Instant): readonly HomeAgentEffect[] {
  const turn: Turn = { state, now, effects: [] };
  switch (input.kind) {
    case "request":
      receive(turn, input);
      break;
    case "programmed":
      programmed(turn, input);
      break;
    case "timer":
      runDeadlines(turn);
      break;
    case "remove": {
      const entry = state.table.get(input.node);
      if (entry !== undefined) endBinding(turn, entry, "binding.removed", input.reason, input.servedOn === true);
      break;
    }
    case "storage":
      state.writable = input.writable;
      break;
    case "unstored": {
      const entry = state.table.get(input.node);
      if (entry !== undefined) takeBack(turn, entry, input.identification);
      break;
    }
    case "restore":
      for (const stored of input.nodes) restore(turn, stored);
      break;
    default:
      exhaustive(input);
  }
  return turn.effects;
}

/** When the next timer input is due. May change with every step. */
export function nextDeadline(state: HomeAgentState): Instant | undefined {
  return state.table.nextDeadline;
}

/** All data paths that should be there: what the plan is made of. */
export function* dataPaths(state: HomeAgentState): Generator<DataPath, void> {
  for (const entry of state.table.entries()) {
    const path = entry.state === "removing" ? undefined : desiredPath(entry);
    if (path !== undefined) yield path;
  }
}

/** The binding of the node that has this home address. */
export function lookup(state: HomeAgentState, address: Ipv4Address): BindingEntry | undefined {
  const node = state.ownership.ipv4.ownerOf(address);
  const entry = node === undefined ? undefined : state.table.get(node);
  return entry?.established?.registration.homeAddress === address ? entry : undefined;
}

/** All entries as people see them. */
export function* bindingViews(state: HomeAgentState, now: Instant): Generator<BindingView, void> {
  for (const entry of [...state.table.entries()]) yield viewOf(entry, now);
}

function receive(turn: Turn, input: RequestInput): void {
  const { state } = turn;
  const read = readRequest(input);
  const who = judgeSender(read, state);
  if (who.kind === "drop") {
    drop(turn, who.reason, who.detail);
    return;
  }
  const { sender } = who;
  const { node } = sender.subscriber;
  settle(turn, node);
  const entry = state.table.get(node);
  if (who.kind === "impostor") {
    refuse(turn, answerTo(turn, read, sender, false), ReplyCode.mobileNodeAuthentication, "wrong authenticator");
    return;
  }
  const duplicate = isDuplicate(read, entry);
  if (duplicate === "pending") {
    drop(turn, "duplicate", `${input.request.homeAddress} is being worked on`);
    return;
  }
  const freshness = duplicate === "accepted" ? { fresh: true as const } : judgeFreshness(read, sender, state);
  if (!freshness.fresh) {
    remember(turn, read, sender, false);
    refuse(turn, answerTo(turn, read, sender, false), ReplyCode.identificationMismatch, freshness.reason);
    return;
  }
  if (duplicate === undefined) remember(turn, read, sender, true);
  const to = answerTo(turn, read, sender, true);
  const verdict = judgeRequest(read, sender, state);
  if (verdict.kind === "drop") {
    if (state.unwritten.has(node)) journal(turn, node);
    drop(turn, verdict.reason, verdict.detail);
  } else if (verdict.kind === "reject") refuse(turn, to, verdict.code, verdict.reason);
  else if (duplicate === "accepted" && entry !== undefined) repeatAnswer(turn, read, sender, to, entry);
  else if (read.deregistration) deregister(turn, read, sender, to);
  else if (!state.writable) refuseUnstored(turn, to);
  else register(turn, read, sender, to);
}

/**
 * What is fresh is so once, even if it is refused for another reason. A nonce that the node was given stays good until it uses it: else
 * whoever plays back an old request could take it away from the node.
 */
function remember(turn: Turn, { input }: ReadRequest, { subscriber, association }: Sender, fresh: boolean): void {
  const { replay, unwritten } = turn.state;
  const before = replay.get(subscriber.node);
  const next = nextReplay(before ?? {}, input, association.replayProtection.kind === "nonces", fresh);
  if (next === undefined) return;
  replay.set(subscriber.node, next);
  unwritten.add(subscriber.node);
}

function nextReplay(
  before: ReplayState,
  { request, nonce }: RequestInput,
  nonces: boolean,
  fresh: boolean,
): ReplayState | undefined {
  const other = nonce === request.identification.high ? (nonce + 1) >>> 0 : nonce;
  if (nonces) return fresh || before.nonce === undefined ? { ...before, nonce: other } : undefined;
  return fresh ? { ...before, latest: request.identification } : undefined;
}

function answerTo(turn: Turn, { input }: ReadRequest, sender: Sender, fresh: boolean): Answer {
  const { subscriber, association, foreignAgent } = sender;
  const nonce = turn.state.replay.get(subscriber.node)?.nonce ?? input.nonce;
  const { identification } = input.request;
  const facts = { fresh, timeOfDay: input.timeOfDay, nonce };
  return {
    input: { arrival: input.arrival, request: input.request },
    node: subscriber.node,
    spi: association.spi,
    foreignAgentSpi: foreignAgent?.spi,
    identification: answerIdentification(identification, association.replayProtection, facts),
    extensions: [],
  };
}

/** Whatever the answer would promise, a crash could make it untrue. Counted, and no event for each: every node asks again and again. */
function refuseUnstored(turn: Turn, to: Answer): void {
  drop(turn, "journal-unwritable", `request of ${to.input.arrival.source}`);
  if (turn.state.site.journalFailure === "silent") return;
  answer(turn, to, { code: ReplyCode.insufficientResources, lifetimeSeconds: 0 });
}

function programmed(turn: Turn, input: ProgrammedInput): void {
  const entry = turn.state.table.get(input.node);
  if (entry === undefined || entry.revision !== input.revision) return;
  if (entry.state === "removing") finishRemoval(turn, entry);
  else pathProgrammed(turn, entry, input);
}

/** Lets happen to the entry what its deadlines say should have happened by now. */
function settle(turn: Turn, node: BindingEntry["node"]): void {
  for (;;) {
    const entry = turn.state.table.get(node);
    const deadline = entry === undefined ? undefined : deadlineOf(entry);
    if (entry === undefined || deadline === undefined || deadline > turn.now) return;
    runDeadline(turn, entry);
  }
}

function runDeadlines(turn: Turn): void {
  for (let count = 0; count < LIMITS.deadlinesPerStep; count++) {
    const entry = turn.state.table.takeDue(turn.now);
    if (entry === undefined) return;
    runDeadline(turn, entry);
  }
}

function runDeadline(turn: Turn, entry: BindingEntry): void {
  const { established } = entry;
  switch (entry.state) {
    case "absent":
      break;
    case "awaiting-data-path":
    case "updating":
      giveUp(turn, entry, "no answer from the kernel in time");
      break;
    case "removing":
      finishRemoval(turn, entry);
      break;
    case "established":
      if (established?.expiresAt !== undefined && established.expiresAt <= turn.now)
        endBinding(turn, entry, "binding.expired", "its lifetime is over");
      else if (established !== undefined) narrow(turn, entry, established);
      break;
    default:
      exhaustive(entry.state);
  }
  turn.state.table.schedule(entry);
}
