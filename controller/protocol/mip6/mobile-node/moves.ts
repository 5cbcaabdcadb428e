/** The mobile node's changes of place: to another attachment, home, and to its end. */
import { after, elapsed, type Instant, seconds } from "../../../base/time.js";
import {
  type Attachment,
  type AttachmentMemory,
  careOfPresent,
  chooseAttachment,
  formatAttachment,
  isHomeLink,
  sameAttachment,
  sameCareOf,
} from "../../movement/attachment.js";
import { ipv4AtHome } from "../../movement/lent.js";
import { linkUsable, type NetworkView } from "../../movement/network-view.js";
import { silentNow, stillKnown } from "../../movement/silence.js";
import { TIMERS } from "../timers.js";
import { isMobileRouter } from "./binding-update.js";
import type { SentUpdate } from "./binding-update-list.js";
import { journal, notify, possiblyBound, type Turn } from "./exchange.js";
import type { MobileNodeState, Reception } from "./model.js";

/** What is attached to `target` from now on; the updates about the former target are given up, their late answers mean nothing. */
export function startMove(state: MobileNodeState, target: Attachment | undefined, turn: Turn): MobileNodeState {
  const detail = { from: formatAttachment(state.target), to: formatAttachment(target) };
  notify(state, turn, "attachment.changed", detail);
  if (state.phase === "home" && target?.kind !== "home") notify(state, turn, "home.left", { to: detail.to });
  const phase = target === undefined ? "detached" : target.kind === "home" ? "returning" : "preparing";
  const staysAway = target?.kind === "away";
  return {
    ...state,
    target,
    phase,
    exchange: undefined,
    retryAt: undefined,
    refusals: 0,
    // Elsewhere nothing is negotiated for it any more.
    securing: staysAway ? state.securing : undefined,
  };
}

/** Takes over a new view of the network: forgets what has vanished and moves if there is a better attachment. */
export function seeNetwork(state: MobileNodeState, view: NetworkView, turn: Turn): MobileNodeState {
  const { homeDevice } = state;
  const next: MobileNodeState = {
    ...state,
    view,
    receptions: state.receptions.filter(({ careOf }) => careOfPresent(view, careOf)),
    // Without the home prefix it is another network behind the same device, and payload would leave without a tunnel.
    homeDevice: homeDevice !== undefined && isHomeLink(view, state.site, homeDevice) ? homeDevice : undefined,
    silences: stillKnown(state.silences, view),
  };
  if (next.phase === "stopping") return canSend(next, view) ? next : (stopFromBound(next, turn) ?? endStop(next, turn));
  const target = chooseAttachment(view, next.site, memoryOf(next, turn.now));
  return sameAttachment(target, next.target) ? next : startMove(next, target, turn);
}

export function memoryOf(state: MobileNodeState, now: Instant): AttachmentMemory {
  return { present: state.target, silent: silentNow(state.silences, now) };
}

function canSend(state: MobileNodeState, view: NetworkView): boolean {
  const { target } = state;
  if (target === undefined) return false;
  if (target.kind === "home") return linkUsable(view, target.device);
  return careOfPresent(view, target.careOf);
}

/** Starts the grace time of the care-of addresses that the home agent no longer sends to; `present` is the one it does. */
export function graceOthers(state: MobileNodeState, present: Attachment, now: Instant): readonly Reception[] {
  const until = after(now, seconds(state.site.previousCareOfGraceSeconds));
  return state.receptions.map((one) => {
    const stays = one.until !== undefined || (present.kind === "away" && sameCareOf(present.careOf, one.careOf));
    return stays ? one : { ...one, until };
  });
}

/** At home and not bound any more (`acknowledged`: the update that the home agent has just answered): the addresses are ours to answer for (RFC 6275 §11.5.5). */
export function arriveHome(
  state: MobileNodeState,
  device: string,
  turn: Turn,
  acknowledged?: SentUpdate,
): MobileNodeState {
  const { site } = state;
  const ipv4 = ipv4AtHome(site);
  const addresses = ipv4 === undefined ? [site.homeAddress] : [site.homeAddress, ipv4];
  const next: MobileNodeState = {
    ...state,
    phase: "home",
    registration: undefined,
    boundUntil: undefined,
    exchange: undefined,
    refusals: 0,
    homeDevice: device,
    ipv4Bound: ipv4 !== undefined,
    receptions: graceOthers(state, { kind: "home", device }, turn.now),
  };
  const answer = acknowledged === undefined ? {} : { buToBaMs: elapsed(acknowledged.sentAt, turn.now) * 1000 };
  notify(next, turn, "home.returned", { device, ...answer });
  journal(next, turn);
  turn.effects.push({ kind: "announce", addresses, router: isMobileRouter(site), device });
  return next;
}

/**
 * De-registers from where the node is, if there is anything to take back and a way to say so; else ends at once. The update leaves when
 * the kernel has the data path for it, or without that when an answer would have been due.
 */
export function startStop(state: MobileNodeState, turn: Turn): MobileNodeState {
  const { registration, view } = state;
  if (state.phase === "stopping" || state.phase === "stopped") return state;
  // While the way through a new care-of address is being made, the present one is the one that surely works.
  const former = state.phase === "preparing" ? registration?.careOf : undefined;
  const target: Attachment | undefined =
    former !== undefined && view !== undefined && careOfPresent(view, former)
      ? { kind: "away", careOf: former }
      : state.target;
  const next: MobileNodeState = { ...state, target, retryAt: undefined };
  if (!possiblyBound(next, turn.now) || view === undefined || !canSend(next, view)) return endStop(next, turn);
  const sendAt = after(turn.now, TIMERS.initialBindingAcknowledgement.default);
  const exchange = { sent: [], attempts: 0, earlier: 0, first: false, sendAt };
  return { ...next, phase: "stopping", exchange };
}

/**
 * The registered care-of address takes the binding back where an update from the present target, perhaps one on trial, was in vain or has
 * lost its way; undefined: the node is bound to no other that is there.
 */
export function stopFromBound(state: MobileNodeState, turn: Turn): MobileNodeState | undefined {
  const { registration, target, view, exchange } = state;
  if (registration === undefined || view === undefined || exchange === undefined) return undefined;
  const bound: Attachment = { kind: "away", careOf: registration.careOf };
  if (sameAttachment(target, bound) || !careOfPresent(view, bound.careOf)) return undefined;
  const sendAt = after(turn.now, TIMERS.initialBindingAcknowledgement.default);
  return { ...state, target: bound, exchange: { ...exchange, attempts: 0, sendAt } };
}

/** The end. What the home agent could not be told stays in the journal for the next start. */
export function endStop(state: MobileNodeState, turn: Turn): MobileNodeState {
  const deregistered = !possiblyBound(state, turn.now);
  const next: MobileNodeState = {
    ...state,
    phase: "stopped",
    exchange: undefined,
    registration: deregistered ? undefined : state.registration,
    retryAt: undefined,
  };
  if (!deregistered)
    notify(next, turn, "registration.failed", { reason: "the home agent did not confirm the end of the binding" });
  journal(next, turn);
  turn.effects.push({ kind: "stopped", deregistered });
  return next;
}
