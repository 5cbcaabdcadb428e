/**
 * The registrations of a mobile node of Mobile IPv4 (RFC 5944 §3.6, RFC 3519, RFC 5454 §3.5) as a pure machine: `step` takes one input at
 * one moment and gives the effects. It is told where the node is; which of several places it takes is decided elsewhere. Must not know
 * sockets, kernel objects, files, clocks or keys.
 *
 * Theory of operation: at each place the node has one purpose (exchange.ts): to register there, to de-register at home or at its end, or
 * none. A request is repeated with growing waits until it is answered; the answer (answers.ts) brings the tunnel, a lesson, or another
 * try after the wait. The former tunnel works until the new one is granted, and takes packets for a while after.
 */
import { exhaustive } from "../../../base/result.js";
import { earliest, type Instant } from "../../../base/time.js";
import { announce, answered } from "./answers.js";
import { journal, send, sendSoon, stop } from "./exchange.js";
import type { Attachment, MobileNodeEffect, MobileNodeInput, Moment } from "./inputs.js";
import { type MobileNodeState, notify, purposeOf, setPath, type Turn } from "./model.js";
import { parseRecord } from "./record.js";
import { judgeReply } from "./reply.js";
import { followWay } from "./way.js";

export { MobileNodeState } from "./model.js";

/** The effects of one input, in the order in which they are to be performed. `moment.now` never goes back; the time of day may. */
export function step(state: MobileNodeState, input: MobileNodeInput, moment: Moment): readonly MobileNodeEffect[] {
  const turn: Turn = { state, moment, effects: [] };
  if (state.stopped) return [];
  switch (input.kind) {
    case "attach":
      attach(turn, input.attachment);
      break;
    case "reply":
      receive(turn, input);
      break;
    case "delegated":
      delegated(turn, input.prefixes);
      break;
    case "refresh":
      if (state.exchange === undefined) sendSoon(turn);
      break;
    case "timer":
      runDeadlines(turn);
      break;
    case "restore":
      restore(turn, input);
      break;
    case "stop":
      beginStop(turn);
      break;
    default:
      exhaustive(input);
  }
  return turn.effects;
}

/** When the next timer input is due. */
export function nextDeadline({ sendAt, registered, former }: MobileNodeState): Instant | undefined {
  return earliest(sendAt, registered?.expiresAt, former?.until);
}

function attach(turn: Turn, attachment: Attachment | undefined): void {
  const { state } = turn;
  const before = state.attachment;
  state.attachment = attachment;
  if (sameAttachment(before, attachment)) {
    if (attachment === undefined) beNowhere(turn);
    return;
  }
  state.lessons = {};
  state.refusal = undefined;
  if (attachment === undefined) {
    state.exchange = undefined;
    state.sendAt = undefined;
    beNowhere(turn);
    return;
  }
  // What is asked there waits until payload takes the way that is right with it.
  state.attempts = 0;
  if (attachment.kind === "home") state.leaving = attachment.device;
  followWay(turn);
  announce(turn);
  sendSoon(turn);
}

function beNowhere(turn: Turn): void {
  const { state } = turn;
  state.former = undefined;
  state.tunnel = undefined;
  state.leaving = undefined;
  followWay(turn);
}

/** A new challenge is no new place: the next request takes it. */
function sameAttachment(a: Attachment | undefined, b: Attachment | undefined): boolean {
  const place = (one: Attachment | undefined): string =>
    JSON.stringify(one, (key, value: unknown) => (key === "challenge" ? undefined : value)) ?? "";
  return place(a) === place(b);
}

function receive(turn: Turn, input: Extract<MobileNodeInput, { readonly kind: "reply" }>): void {
  const { exchange } = turn.state;
  const verdict = judgeReply(input.reply, input.source, input.verdicts, exchange?.sent, turn.state.site);
  if (verdict.kind === "drop") turn.effects.push(verdict);
  else if (exchange !== undefined) answered(turn, exchange, input.reply, verdict.from === "home-agent");
}

function delegated(turn: Turn, prefixes: readonly (typeof turn.state.delegated)[number][]): void {
  const { state } = turn;
  if (JSON.stringify(prefixes) === JSON.stringify(state.delegated)) return;
  state.delegated = prefixes;
  if (purposeOf(state) === "register") sendSoon(turn);
}

function runDeadlines(turn: Turn): void {
  const { state, moment } = turn;
  const { registered } = state;
  if (registered?.expiresAt !== undefined && registered.expiresAt <= moment.now) {
    state.registered = undefined;
    state.tunnel = undefined;
    notify(turn, "registration.lost", { reason: "its lifetime is over" });
    followWay(turn);
  }
  if (state.former !== undefined && state.former.until <= moment.now) {
    state.former = undefined;
    followWay(turn);
  }
  if (state.sendAt !== undefined && state.sendAt <= moment.now) send(turn);
}

/** The tunnel is taken up as it was, until the first place is known. */
function restore(turn: Turn, { record, ageSeconds }: Extract<MobileNodeInput, { readonly kind: "restore" }>): void {
  const { state, moment } = turn;
  const kept = parseRecord(record, ageSeconds, moment.now);
  if (kept === undefined) {
    turn.effects.push({ kind: "drop", reason: "malformed", detail: "journal record" });
    return;
  }
  state.identification = kept.identification;
  state.mayBeBound = kept.mayBeBound;
  state.homeAddress ??= kept.homeAddress;
  if (state.site.findsHomeAgent === true) state.homeAgent = kept.homeAgent ?? state.homeAgent;
  const { binding } = kept;
  if (binding?.tunnel.homeAgent !== state.homeAgent || binding.tunnel.homeAddress !== state.homeAddress) return;
  state.registered = binding.registered;
  state.tunnel = binding.tunnel;
  setPath(turn, { ...binding.tunnel, ingress: [binding.tunnel.egress] });
}

function beginStop(turn: Turn): void {
  const { state } = turn;
  state.stopping = true;
  if (purposeOf(state) === "deregister") {
    sendSoon(turn);
    return;
  }
  journal(turn);
  stop(turn, !state.mayBeBound);
}
