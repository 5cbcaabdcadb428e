/**
 * The mobile node as a machine: `step(state, input, now)` is the only thing that changes its state, and effects are all it asks for.
 *
 * Theory of operation. There is at most one *target*, the attachment that is best in the present view of the network, and at most one
 * *registration*, what the home agent last accepted. Whenever the target changes, the data path is asked for with a way in through the
 * new care-of address ("preparing"); when the kernel has it, updates about the new address leave, while payload keeps using the old one
 * ("registering"); the acceptance moves the way out and starts the grace time of the old way in ("registered"). Going home is the same
 * with the home addresses on the home link ("returning") and lifetime 0 ("deregistering"). The registration survives being out of reach
 * and unanswered or refused updates; only its lifetime ends it. An answer counts only for an update of the present target that is still
 * unanswered; everything else is dropped, because a later update follows anyway.
 *
 * Must not know: sockets, interface indices, timers, keys, what a tunnel is made of.
 */
import { exhaustive } from "../../../base/result.js";
import { type Seq16, seq16 } from "../../../base/seq16.js";
import { after, earliest, type Instant } from "../../../base/time.js";
import {
  chooseAttachment,
  isInUdp,
  type MobileNodeSite,
  sameAttachment,
  sameCareOf,
} from "../../movement/attachment.js";
import { withLent } from "../../movement/lent.js";
import { UNUSED_LIMIT } from "../binding-error.js";
import type { ProgrammedInput } from "../inputs.js";
import { optionRefused, receive } from "./answers.js";
import { withdrawn } from "./commands.js";
import { sameContent, wantedPath } from "./data-path.js";
import { beginExchange, journal, notify, possiblyBound, restartExchange, sendUpdate, type Turn } from "./exchange.js";
import type { MobileNodeEffect, MobileNodeInput } from "./inputs.js";
import type { MobileNodeState, PathStatus } from "./model.js";
import { arriveHome, endStop, memoryOf, seeNetwork, startMove, startStop, stopFromBound } from "./moves.js";
import { restoredFacts, restoredLoans } from "./record.js";
import { checkTransition } from "./states.js";
import { backOff, PATH_RETRY_FIRST, PATH_RETRY_MAX, STOP_ATTEMPTS } from "./timers.js";
import { countSilence, leave, leaveSilence, passTrials, trialDeadline } from "./trials.js";

export type {
  DataPathEffect,
  JournalEffect,
  LocalEndpoint,
  MobileNodeDataPath,
  MobileNodeEffect,
  MobileNodeInput,
  StoppedEffect,
} from "./inputs.js";
export type { MobileNodeState } from "./model.js";

/** A node that knows nothing yet. Without a journal its first update has the number after `lastSequence`. */
export function initialMobileNode(site: MobileNodeSite, lastSequence: Seq16 = seq16(0)): MobileNodeState {
  return {
    site,
    lentRefusals: 0,
    phase: "detached",
    view: undefined,
    target: undefined,
    registration: undefined,
    exchange: undefined,
    retryAt: undefined,
    refusals: 0,
    lastSequence,
    boundUntil: undefined,
    receptions: [],
    homeDevice: undefined,
    ipv4Bound: false,
    ipv4Unsupported: false,
    ipv4AskAt: undefined,
    forceUdp: site.forceUdp,
    revocation: undefined,
    silences: [],
    recentUpdates: [],
    bindingErrors: UNUSED_LIMIT,
    path: undefined,
    secured: site.negotiatesKeys !== true,
    securing: undefined,
  };
}

export interface MobileNodeStep {
  readonly state: MobileNodeState;
  readonly effects: readonly MobileNodeEffect[];
}

/** One input at one instant. `now` never goes back. Throws InvariantError only for a bug, ours or the caller's. */
export function step(state: MobileNodeState, input: MobileNodeInput, now: Instant): MobileNodeStep {
  const turn: Turn = { now, effects: [] };
  if (state.phase === "stopped") return { state, effects: [] };
  const next = settle(apply(state, input, turn), turn);
  if (input.kind !== "option-refused") checkTransition(state.phase, input.kind, next.phase);
  return { state: next, effects: turn.effects };
}

/** When to give the next timer input, unless another input comes first; any step may change it. Undefined: nothing to wait for. */
export function nextDeadline(state: MobileNodeState): Instant | undefined {
  if (state.phase === "stopped") return undefined;
  return earliest(
    state.exchange?.sendAt,
    state.retryAt,
    state.registration?.expiresAt,
    state.phase === "registered" ? state.registration?.refreshAt : undefined,
    state.phase === "deregistering" ? state.boundUntil : undefined,
    state.path?.retryAt,
    trialDeadline(state),
    ...state.receptions.map((one) => one.until),
  );
}

function apply(state: MobileNodeState, input: MobileNodeInput, turn: Turn): MobileNodeState {
  switch (input.kind) {
    case "network":
      return seeNetwork(state, input.view, turn);
    case "message":
      return receive(state, input.arrival, input.message, turn);
    case "programmed":
      return programmed(state, input, turn);
    case "option-refused":
      return optionRefused(state, input, turn);
    case "timer":
      return passTime(state, turn);
    case "restore":
      return restore(state, input, turn.now);
    case "security":
      return security(state, input, turn);
    case "refresh":
      if (input.forgets !== false) return refresh(state, input.forceUdp, turn);
      return state.phase === "registered" ? beginExchange(state, turn) : state;
    case "withdraw":
      return withdrawn(state, turn);
    case "stop":
      return startStop(state, turn);
    default:
      return exhaustive(input);
  }
}

/** Asks for the data path that the state wants, and goes on with what waited for the kernel, until nothing changes. */
function settle(state: MobileNodeState, turn: Turn): MobileNodeState {
  if (state.view === undefined || state.phase === "stopped") return state;
  const content = wantedPath(state, state.view);
  if (state.path === undefined || !sameContent(content, state.path.path)) {
    const path = { ...content, revision: (state.path?.path.revision ?? 0) + 1 };
    turn.effects.push({ kind: "data-path", path });
    return { ...state, path: { path, status: "pending", failures: 0, retryAt: undefined } };
  }
  if (state.path.status !== "realised") return state;
  if (!state.secured && state.phase !== "stopping") return secure(state, turn);
  if (state.phase === "preparing") return settle(beginExchange(state, turn), turn);
  if (state.phase === "stopping") return state.exchange?.attempts === 0 ? sendUpdate(state, turn) : state;
  if (state.phase !== "returning" || state.target?.kind !== "home") return state;
  return settle(
    possiblyBound(state, turn.now) ? beginExchange(state, turn) : arriveHome(state, state.target.device, turn),
    turn,
  );
}

/** Asks for associations from the target once; at home only what is there already can be used. */
function secure(state: MobileNodeState, turn: Turn): MobileNodeState {
  const { target, securing } = state;
  if (target?.kind !== "away") {
    if (state.phase !== "returning" || target === undefined) return state;
    return possiblyBound(state, turn.now) ? beginExchange(state, turn) : arriveHome(state, target.device, turn);
  }
  if (securing !== undefined && sameCareOf(securing, target.careOf)) return state;
  turn.effects.push({ kind: "secure", careOf: target.careOf });
  return { ...state, securing: target.careOf };
}

function security(
  state: MobileNodeState,
  { ready, failure }: MobileNodeInput & { kind: "security" },
  turn: Turn,
): MobileNodeState {
  if (ready) {
    if (state.secured) return state;
    const next: MobileNodeState = { ...state, secured: true, securing: undefined };
    // What was told under the former associations is told again under these; what has not been told yet leaves now.
    const silent = next.phase === "preparing" || next.phase === "returning" || next.phase === "home";
    if (silent || next.phase === "detached" || next.phase === "stopping") return next;
    return next.exchange === undefined ? beginExchange(next, turn) : restartExchange(next, turn);
  }
  const next: MobileNodeState = {
    ...state,
    secured: false,
    securing: failure === undefined ? undefined : state.securing,
  };
  if (failure === undefined) return next;
  notify(next, turn, "registration.failed", { reason: failure });
  return next.phase === "preparing" ? (leave(next, turn) ?? next) : next;
}

function programmed(state: MobileNodeState, input: ProgrammedInput, turn: Turn): MobileNodeState {
  const { path, site } = state;
  if (path === undefined || input.homeAddress !== site.homeAddress || input.revision !== path.path.revision)
    return state;
  if (input.failure === undefined)
    return { ...state, path: { ...path, status: "realised", failures: 0, retryAt: undefined } };
  notify(state, turn, "registration.failed", { reason: input.failure });
  const retryAt = after(turn.now, backOff(PATH_RETRY_FIRST, path.failures, PATH_RETRY_MAX));
  return { ...state, path: { ...path, status: "failed", failures: path.failures + 1, retryAt } };
}

function restore(state: MobileNodeState, input: MobileNodeInput & { kind: "restore" }, now: Instant): MobileNodeState {
  const facts = restoredFacts(input.record, input.ageSeconds, now);
  if (facts === undefined) return state;
  // Of what the configuration does not have any more there is no way in.
  const isOffered = facts.registration === undefined || !isInUdp(facts.registration.careOf) || state.site.udpOverIpv6;
  const registration = isOffered === true ? facts.registration : undefined;
  const site = withLent(state.site, restoredLoans(input.record, state.site));
  return {
    ...state,
    ...facts,
    registration,
    site,
    receptions: registration === undefined ? [] : [{ careOf: registration.careOf, until: undefined }],
    ipv4Bound: registration?.ipv4HomeAddress !== undefined && registration.ipv4HomeAddress === site.ipv4HomeAddress,
  };
}

function refresh(state: MobileNodeState, forceUdp: boolean | undefined, turn: Turn): MobileNodeState {
  const { view } = state;
  if (state.phase === "stopping" || view === undefined) return state;
  const next: MobileNodeState = {
    ...state,
    silences: [],
    ipv4Unsupported: false,
    ipv4AskAt: undefined,
    refusals: 0,
    forceUdp: forceUdp ?? state.site.forceUdp,
  };
  const target = chooseAttachment(view, next.site, memoryOf(next, turn.now));
  if (!sameAttachment(target, next.target)) return startMove(next, target, turn);
  const talking = next.registration !== undefined || next.exchange !== undefined || next.phase === "refused";
  const waiting = next.phase === "preparing" || next.phase === "returning" || next.phase === "detached";
  return talking && !waiting ? beginExchange(next, turn) : next;
}

function passTime(state: MobileNodeState, turn: Turn): MobileNodeState {
  const { now } = turn;
  let next: MobileNodeState = {
    ...state,
    receptions: state.receptions.filter(({ until }) => until === undefined || until > now),
    path: state.path === undefined ? undefined : retryPath(state.path, turn),
  };
  if (next.registration !== undefined && next.registration.expiresAt <= now) next = loseRegistration(next, turn);
  const { target } = next;
  if (next.phase === "deregistering" && target?.kind === "home" && !possiblyBound(next, now)) {
    return arriveHome(next, target.device, turn);
  }
  const refreshDue = next.phase === "registered" && (next.registration?.refreshAt ?? now) <= now;
  const retryDue = next.retryAt !== undefined && next.retryAt <= now;
  if (refreshDue || retryDue) return beginExchange(next, turn);
  const onTrial = passTrials(next, turn);
  if (onTrial !== undefined) return onTrial;
  return next.exchange !== undefined && next.exchange.sendAt <= now ? unanswered(next, turn) : next;
}

function retryPath(status: PathStatus, turn: Turn): PathStatus {
  if (status.retryAt === undefined || status.retryAt > turn.now) return status;
  const path = { ...status.path, revision: status.path.revision + 1 };
  turn.effects.push({ kind: "data-path", path });
  return { ...status, path, status: "pending", retryAt: undefined };
}

/** The lifetime is over without a refresh: nothing goes out any more, and the exchange goes on as a first registration. */
function loseRegistration(state: MobileNodeState, turn: Turn): MobileNodeState {
  const { registration } = state;
  notify(state, turn, "registration.lost", { reason: "lifetime" });
  const next: MobileNodeState = {
    ...state,
    registration: undefined,
    phase: state.phase === "refreshing" ? "registering" : state.phase,
    receptions: state.receptions.filter(
      (one) =>
        state.exchange !== undefined || registration === undefined || !sameCareOf(one.careOf, registration.careOf),
    ),
  };
  journal(next, turn);
  return next;
}

/** No answer in time: once more, from another care-of address after three attempts, or not at all when stopping. */
function unanswered(state: MobileNodeState, turn: Turn): MobileNodeState {
  const { exchange, target } = state;
  const attempts = exchange?.attempts ?? 0;
  if (state.phase === "stopping")
    return stopFromBound(state, turn) ?? (attempts >= STOP_ATTEMPTS ? endStop(state, turn) : sendUpdate(state, turn));
  if (target !== undefined && attempts > 0) {
    const { device, family } = target.kind === "home" ? { device: target.device, family: 6 as const } : target.careOf;
    turn.effects.push({ kind: "unanswered", device, family });
  }
  const next = countSilence(state, turn.now);
  return leaveSilence(next, turn) ?? sendUpdate(next, turn);
}
