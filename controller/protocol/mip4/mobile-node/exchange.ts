/** Sending: what is asked for at the moment, when it is sent, and again (RFC 5944 §3.6.3). */
import { tunnelLinkLocal } from "../../../base/mapped.js";
import { after, type Instant, type Seconds, seconds } from "../../../base/time.js";
import { INFINITE_LIFETIME_SECONDS } from "../../../wire/mip4/messages/registration.js";
import { TIMERS } from "../timers.js";
import type { RequestEffect } from "./inputs.js";
import { type Exchange, type MobileNodeState, notify, purposeOf, setPath, type Turn } from "./model.js";
import { nextIdentification } from "./own-identification.js";
import { recordOf } from "./record.js";
import { deregistration, registration, type Wanted } from "./request.js";
import { followWay } from "./way.js";

/** De-registrations of a node that ends, before it ends without an answer; requests to a home agent that was found, before it is looked for. */
const LAST_ATTEMPTS = 3;
/** Requests from two places. */
const VAIN_PER_DOUBLING = 6;

export function wantedOf(state: MobileNodeState): Wanted {
  const { site, lessons, homeAddress, homeAgent, registered, delegated } = state;
  // First the IPv4 home address, then DHCPv6 through its tunnel (V4-4.7.1-02).
  const asksLinkLocal = site.delegation && registered !== undefined && homeAddress !== undefined;
  return {
    homeAddress,
    homeAgent,
    lifetimeSeconds: lessons.lifetimeSeconds ?? site.lifetimeSeconds,
    encapsulation: lessons.encapsulation ?? site.encapsulation,
    reverseTunnelling: lessons.reverseTunnelling ?? site.reverseTunnelling !== "never",
    prefixes: [...site.prefixes, ...delegated],
    linkLocalAddress: asksLinkLocal ? tunnelLinkLocal(homeAddress) : undefined,
  };
}

/** Has a request sent as soon as one may be: never two within a second. */
export function sendSoon(turn: Turn): void {
  const { state, moment } = turn;
  state.exchange = undefined;
  state.attempts = 0;
  state.sendAt = purposeOf(state) === undefined ? undefined : earliestSend(state, moment.now);
  if (state.sendAt !== undefined && state.sendAt <= moment.now) send(turn);
}

export function earliestSend({ lastSentAt }: MobileNodeState, now: Instant): Instant {
  if (lastSentAt === undefined) return now;
  const next = after(lastSentAt, TIMERS.requestSpacing);
  return next > now ? next : now;
}

export function send(turn: Turn): void {
  const { state, moment, effects } = turn;
  const { attempts } = state;
  const purpose = purposeOf(state);
  if (purpose === undefined) {
    state.sendAt = undefined;
    return;
  }
  if (state.stopping && attempts >= LAST_ATTEMPTS) {
    stop(turn, false);
    return;
  }
  // Perhaps it is another one by now.
  if (state.site.findsHomeAgent === true && purpose === "register" && attempts >= LAST_ATTEMPTS)
    state.homeAgent = state.site.homeAgent;
  const sent = requestFor(turn, purpose);
  // Where several places are tried in turn, and none leads anywhere, the waits grow all the same.
  const wait = waitAfter(Math.max(attempts, Math.floor(state.vain / VAIN_PER_DOUBLING)), state.site.lifetimeSeconds);
  if (purpose === "register") state.mayBeBound = true;
  state.identification = { ...state.identification, latest: sent.request.identification };
  state.exchange = { sent, purpose, sentAt: moment.now, wait };
  state.attempts = attempts + 1;
  state.vain += 1;
  state.lastSentAt = moment.now;
  state.sendAt = after(moment.now, wait);
  journal(turn);
  followWay(turn);
  if (attempts === 0) notify(turn, "registration.started", { purpose, careOfAddress: sent.request.careOfAddress });
  effects.push(sent);
}

/** With nonces what was not answered is sent unchanged; with timestamps each is a new one (RFC 5944 §3.6.3). */
function requestFor({ state, moment }: Turn, purpose: Exchange["purpose"]): RequestEffect {
  const { site, exchange, attachment, homeAddress, homeAgent, identification } = state;
  if (exchange?.purpose === purpose && site.replayProtection.kind === "nonces") return exchange.sent;
  if (attachment === undefined) throw new TypeError("nowhere to register from");
  const fresh = nextIdentification(identification, site.replayProtection, moment);
  if (purpose === "deregister" && homeAddress !== undefined)
    return deregistration(site, homeAddress, homeAgent, attachment, fresh);
  if (attachment.kind === "home") throw new TypeError("no registration at home");
  return registration(site, wantedOf(state), attachment, fresh);
}

/** 1 s, doubled each time, up to the lifetime that is asked for and to half a minute. */
function waitAfter(attempts: number, lifetimeSeconds: number): Seconds {
  const most =
    lifetimeSeconds === INFINITE_LIFETIME_SECONDS ? TIMERS.maxRequest : Math.min(TIMERS.maxRequest, lifetimeSeconds);
  return seconds(Math.max(TIMERS.requestSpacing, Math.min(most, TIMERS.requestSpacing * 2 ** Math.min(attempts, 16))));
}

export function journal({ state, moment, effects }: Turn): void {
  effects.push({ kind: "journal", record: recordOf(state, moment.now) });
}

export function stop(turn: Turn, deregistered: boolean): void {
  const { state } = turn;
  state.stopped = true;
  state.exchange = undefined;
  state.sendAt = undefined;
  setPath(turn, { mode: "detached" });
  turn.effects.push({ kind: "stopped", deregistered });
}
