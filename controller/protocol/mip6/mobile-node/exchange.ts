/** Binding updates going out: the exchange about one attachment, its retransmissions and the rate limit. */
import { InvariantError } from "../../../base/errors.js";
import { nextSeq } from "../../../base/seq16.js";
import { after, type Instant, seconds } from "../../../base/time.js";
import { LIFETIME_UNIT_SECONDS } from "../../../wire/mip6/messages/registration.js";
import { type CareOf, careOfPresent, formatAttachment, sameCareOf, sendsMapped } from "../../movement/attachment.js";
import { unansweredOf } from "../../movement/silence.js";
import type { ProtocolEvent } from "../inputs.js";
import { LIMITS, TIMERS } from "../timers.js";
import { bindingUpdate, ipv4Options, lifetimeUnits } from "./binding-update.js";
import { remember } from "./binding-update-list.js";
import type { MobileNodeEffect } from "./inputs.js";
import type { Exchange, MobileNodeState, Reception } from "./model.js";
import { recordOf } from "./record.js";
import type { Phase } from "./states.js";
import { backOff, HOME_DRAIN } from "./timers.js";

/** One step in the making: the instant it happens at, and what it has asked for so far. */
export interface Turn {
  readonly now: Instant;
  readonly effects: MobileNodeEffect[];
}

export function notify(
  state: MobileNodeState,
  turn: Turn,
  event: ProtocolEvent["event"],
  detail: ProtocolEvent["detail"],
): void {
  turn.effects.push({ kind: "notify", event: { event, homeAddress: state.site.homeAddress, detail } });
}

export function journal(state: MobileNodeState, turn: Turn): void {
  turn.effects.push({ kind: "journal", key: state.site.homeAddress, record: recordOf(state, turn.now) });
}

/** Whether the home agent may hold a binding of ours. */
export function possiblyBound(state: MobileNodeState, now: Instant): boolean {
  return state.boundUntil !== undefined && state.boundUntil > now;
}

/**
 * Starts telling the home agent about the target: at once if the rate allows it, at home only when the tunnel has run empty.
 */
export function beginExchange(state: MobileNodeState, turn: Turn): MobileNodeState {
  const { target, registration } = state;
  if (target === undefined) throw new InvariantError("an exchange needs an attachment");
  const earlier = target.kind === "away" ? unansweredOf(state.silences, target.careOf) : 0;
  const exchange: Exchange = { sent: [], attempts: 0, earlier, first: registration === undefined, sendAt: turn.now };
  if (target.kind === "home") {
    const draining =
      state.view !== undefined && registration !== undefined && careOfPresent(state.view, registration.careOf);
    const sendAt = draining ? after(turn.now, HOME_DRAIN) : turn.now;
    const next: MobileNodeState = {
      ...state,
      phase: "deregistering",
      exchange: { ...exchange, sendAt },
      retryAt: undefined,
    };
    return draining ? next : sendUpdate(next, turn);
  }
  const known = registration !== undefined && sameCareOf(registration.careOf, target.careOf);
  const phase: Phase = known ? "refreshing" : "registering";
  if (!known) notify(state, turn, "registration.started", { careOf: formatAttachment(target) });
  return sendUpdate({ ...state, phase, exchange, retryAt: undefined }, turn);
}

/** Sends the next update of the exchange, with a sequence number of its own, or puts it off until the rate allows it. */
export function sendUpdate(state: MobileNodeState, turn: Turn): MobileNodeState {
  const { exchange, target, site } = state;
  const { now } = turn;
  if (exchange === undefined || target === undefined) throw new InvariantError("no exchange to send an update of");
  const sendAt = allowedAt(state.recentUpdates, now);
  if (sendAt > now) return { ...state, exchange: { ...exchange, sendAt } };

  const leaving = state.phase === "deregistering" || state.phase === "stopping";
  // Not longer than the home address is valid (RFC 6275 §11.4.2).
  const longest = seconds(Math.min(site.lifetimeSeconds, site.validFor?.() ?? Number.POSITIVE_INFINITY));
  const lifetime = seconds(leaving ? 0 : lifetimeUnits(longest) * LIFETIME_UNIT_SECONDS);
  const sequence = nextSeq(state.lastSequence);
  const careOf = target.kind === "away" ? target.careOf : undefined;
  const forceUdp = state.forceUdp && careOf?.family === 4 && !sendsMapped(site) && !leaving;
  const asksIpv4 = !state.ipv4Unsupported || (state.ipv4AskAt !== undefined && state.ipv4AskAt <= now);
  const ipv4 = ipv4Options(site).length > 0 && asksIpv4 && !leaving;
  const update = { sequence, sentAt: now, lifetime, forceUdp, ipv4Requested: ipv4 };
  const attempts = exchange.attempts + 1;
  const end = after(now, lifetime);
  const next: MobileNodeState = {
    ...state,
    lastSequence: sequence,
    recentUpdates: [...state.recentUpdates, now].slice(-LIMITS.updateRate.default),
    exchange: {
      ...exchange,
      sent: remember(exchange.sent, update),
      attempts,
      sendAt: after(now, waitFor(exchange.earlier + attempts, exchange.first)),
    },
    boundUntil: leaving || (state.boundUntil !== undefined && state.boundUntil > end) ? state.boundUntil : end,
    receptions: careOf === undefined || leaving ? state.receptions : withReception(state.receptions, careOf),
  };
  journal(next, turn);
  turn.effects.push(bindingUpdate(site, target, { sequence, lifetime, forceUdp, ipv4 }));
  return next;
}

/**
 * Takes back what the home agent has just accepted, without waiting for its answer: it is not what was asked for. From where the node is
 * away; the number is the next one.
 */
export function withdraw(state: MobileNodeState, careOf: CareOf, turn: Turn): MobileNodeState {
  const sequence = nextSeq(state.lastSequence);
  const next: MobileNodeState = { ...state, lastSequence: sequence };
  journal(next, turn);
  const facts = { sequence, lifetime: seconds(0), forceUdp: false, ipv4: false };
  turn.effects.push(bindingUpdate(state.site, { kind: "away", careOf }, facts));
  return next;
}

/** The home agent has answered, so the unanswered attempts count no more: asks again at once, waiting only for the new number. */
export function restartExchange(state: MobileNodeState, turn: Turn): MobileNodeState {
  if (state.exchange === undefined) throw new InvariantError("no exchange to start again");
  return sendUpdate({ ...state, exchange: { ...state.exchange, sent: [], attempts: 0, earlier: 0 } }, turn);
}

/** How long to wait for an answer to the `attempts`-th update from an address; every return to one goes on where it stopped. */
function waitFor(attempts: number, first: boolean) {
  const start = first ? TIMERS.initialBindingAcknowledgementFirst : TIMERS.initialBindingAcknowledgement;
  return backOff(start.default, attempts - 1, TIMERS.maxBindingAcknowledgement.default);
}

/** MAX_UPDATE_RATE: when the next update may leave. */
function allowedAt(recent: readonly Instant[], now: Instant): Instant {
  const [oldest] = recent;
  if (oldest === undefined || recent.length < LIMITS.updateRate.default) return now;
  const free = after(oldest, seconds(1));
  return free > now ? free : now;
}

function withReception(receptions: readonly Reception[], careOf: CareOf): readonly Reception[] {
  return [...receptions.filter((one) => !sameCareOf(one.careOf, careOf)), { careOf, until: undefined }];
}
