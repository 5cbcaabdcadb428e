/** What becomes of a reply: the binding it grants, or what is learnt from its refusal (RFC 5944 §3.6.2.2, §3.6.2.3). */
import { isRoutableUnicast } from "../../../base/ip.js";
import { after, elapsed, type Instant, seconds } from "../../../base/time.js";
import type { RegistrationReply } from "../../../wire/mip4/messages/control-message.js";
import { INFINITE_LIFETIME_SECONDS } from "../../../wire/mip4/messages/registration.js";
import { REPLY_CODE_REGISTRY, ReplyCode, registrationAccepted } from "../../../wire/mip4/registry.js";
import { nameOf } from "../../../wire/registry.js";
import { earliestSend, journal, sendSoon, stop, wantedOf } from "./exchange.js";
import { type Attachment, endOf, type NodePath, type PathEnd } from "./inputs.js";
import type { Exchange, Lessons, MobileNodeState, Turn } from "./model.js";
import { notify, setPath } from "./model.js";
import { corrected } from "./own-identification.js";
import { type GrantedIpv6, grantedIpv6, keepaliveOf } from "./reply.js";

/** Of its lifetime, after which a registration is renewed. */
const RENEWAL_FRACTION = 0.75;

/** A reply that is to be believed. `exchange`: the request that it answers. */
export function answered(turn: Turn, exchange: Exchange, reply: RegistrationReply, fromHomeAgent: boolean): void {
  const { state } = turn;
  if (fromHomeAgent) takeNonce(state, reply);
  if (!registrationAccepted(reply.code)) refused(turn, exchange, reply);
  else if (exchange.purpose === "deregister") deregistered(turn, exchange);
  else registered(turn, exchange, reply);
}

/** Each authentic reply brings the nonce of the next request (RFC 5944 §5.7.2). */
function takeNonce(state: MobileNodeState, { identification }: RegistrationReply): void {
  if (state.site.replayProtection.kind !== "nonces") return;
  state.identification = { ...state.identification, nonce: identification.high };
}

function deregistered(turn: Turn, exchange: Exchange): void {
  const { state, moment } = turn;
  state.mayBeBound = false;
  state.registered = undefined;
  state.exchange = undefined;
  state.attempts = 0;
  state.vain = 0;
  state.sendAt = undefined;
  journal(turn);
  if (state.stopping) {
    stop(turn, true);
    return;
  }
  if (state.attachment !== undefined)
    notify(turn, "home.returned", {
      device: state.attachment.device,
      requestToReplyMs: elapsedMs(exchange, moment.now),
    });
  atHome(turn);
}

const elapsedMs = ({ sentAt }: Exchange, now: Instant): number => elapsed(sentAt, now) * 1000;

/** Nothing of the tunnel is left; the home address is on the home link. */
export function atHome(turn: Turn): void {
  const { attachment, homeAddress } = turn.state;
  if (attachment?.kind === "home" && homeAddress !== undefined)
    setPath(turn, { mode: "home", device: attachment.device, homeAddress });
}

function registered(turn: Turn, exchange: Exchange, reply: RegistrationReply): void {
  const { state, moment } = turn;
  const { attachment, site } = state;
  if (attachment === undefined || attachment.kind === "home") return;
  const { request } = exchange.sent;
  const granted = Math.min(reply.lifetimeSeconds, request.lifetimeSeconds);
  if (granted === 0) {
    failed(turn, exchange, "accepted for no time at all");
    return;
  }
  const first = state.registered === undefined;
  const ipv6 = grantedIpv6(request, reply);
  state.homeAddress = reply.homeAddress;
  state.exchange = undefined;
  state.attempts = 0;
  state.vain = 0;
  state.refusal = undefined;
  const expiresAt = expiryOf(exchange.sentAt, granted);
  state.registered = { attachment, grantedSeconds: granted, expiresAt };
  state.sendAt = renewalOf(state, exchange.sentAt, granted, moment.now);
  journal(turn);
  const before = state.path;
  keepFormer(turn, endOf(attachment));
  const path = awayPath(state, attachment, exchange, reply, ipv6);
  setPath(turn, path);
  notify(turn, "registration.completed", {
    homeAddress: reply.homeAddress,
    careOfAddress: request.careOfAddress,
    device: attachment.device,
    requestToReplyMs: elapsedMs(exchange, moment.now),
    lifetimeSeconds: granted,
    prefixes: ipv6.prefixes.length,
    ...(ipv6.refused.length === 0 ? {} : { refusedPrefixes: ipv6.refused.join(" ") }),
  });
  if (before.mode === "away" && before.keepaliveSeconds !== path.keepaliveSeconds)
    notify(turn, "nat.changed", { udp: path.keepaliveSeconds !== undefined });
  if (ipv6.unsupported) notify(turn, "ipv6.unsupported", { homeAgent: reply.homeAgent });
  // Bound now: the link-local address of the tunnel can be asked for.
  if (first && site.delegation) sendSoon(turn);
}

/** Packets that were sent before the home agent knew of the move are on their way to the old place. */
function keepFormer({ state, moment }: Turn, present: PathEnd): void {
  const { path, site } = state;
  if (path.mode !== "away" || sameEnd(path.egress, present)) return;
  const until = after(moment.now, seconds(site.previousCareOfGraceSeconds));
  state.former = { end: path.egress, until };
}

const sameEnd = (a: PathEnd, b: PathEnd): boolean => JSON.stringify(a) === JSON.stringify(b);

/** The present end first, each once. */
function ingressOf({ former }: MobileNodeState, ...ends: readonly PathEnd[]): readonly PathEnd[] {
  const all = former === undefined ? ends : [...ends, former.end];
  return all.filter((end, i) => all.findIndex((other) => sameEnd(other, end)) === i);
}

/** Before a place is registered packets may come there: the home agent changes over before its answer is here. */
export function expectHere(turn: Turn): void {
  const { path, attachment } = turn.state;
  const ends = attachment === undefined || attachment.kind === "home" ? [] : [endOf(attachment)];
  const ingress = ends.length === 0 ? {} : { ingress: ends };
  const home = attachment?.kind === "home" ? { homeDevice: attachment.device } : {};
  switch (path.mode) {
    case "detached":
      return setPath(turn, { mode: path.mode, ...ingress, ...home });
    case "home":
      return setPath(turn, { mode: path.mode, device: path.device, homeAddress: path.homeAddress, ...ingress });
    case "away": {
      const { homeDevice: _, ...way } = path;
      return setPath(turn, { ...way, ingress: ingressOf(turn.state, path.egress, ...ends), ...home });
    }
  }
}

/** The grace time of the former place is over. */
export function forgetFormer(turn: Turn): void {
  turn.state.former = undefined;
  expectHere(turn);
}

function awayPath(
  state: MobileNodeState,
  attachment: Exclude<Attachment, { readonly kind: "home" }>,
  { sent: { request } }: Exchange,
  reply: RegistrationReply,
  { prefixes, linkLocalAddress }: GrantedIpv6,
): Extract<NodePath, { readonly mode: "away" }> {
  return {
    mode: "away",
    homeAddress: reply.homeAddress,
    homeAgent: reply.homeAgent,
    egress: endOf(attachment),
    ingress: ingressOf(state, endOf(attachment)),
    encapsulation: request.flags.gre ? "gre" : "ip-in-ip",
    keepaliveSeconds: keepaliveOf(request, reply, state.site.udpTunnelling.keepaliveSeconds),
    reverseTunnelling: request.flags.reverseTunnelling,
    prefixes,
    linkLocalAddress,
  };
}

/** From when the request was sent, so that it is over here no later than there (RFC 5944 §3.6.2.2). */
export function expiryOf(sentAt: Instant, grantedSeconds: number): Instant | undefined {
  return grantedSeconds === INFINITE_LIFETIME_SECONDS ? undefined : after(sentAt, seconds(grantedSeconds));
}

function renewalOf(state: MobileNodeState, sentAt: Instant, grantedSeconds: number, now: Instant): Instant | undefined {
  if (grantedSeconds === INFINITE_LIFETIME_SECONDS) return undefined;
  const due = after(sentAt, seconds(grantedSeconds * RENEWAL_FRACTION));
  const earliest = earliestSend(state, now);
  return Math.max(due, earliest) as Instant;
}

/** A refusal that can be mended is, and asked again as soon as may be; else it is asked again after the wait that the request had. */
function refused(turn: Turn, exchange: Exchange, reply: RegistrationReply): void {
  const { state, moment } = turn;
  const { site } = state;
  const { code } = reply;
  let mended = false;
  if (code === ReplyCode.identificationMismatch) {
    correctClock(turn, reply);
    // Three in a row are no matter of clocks and nonces any more.
    mended = state.attempts < 3;
  }
  if (code === ReplyCode.unknownHomeAgent && site.findsHomeAgent === true && state.homeAgent === site.homeAgent) {
    mended = isRoutableUnicast(reply.homeAgent) && reply.homeAgent !== site.homeAgent;
    if (mended) state.homeAgent = reply.homeAgent;
  }
  const lesson = lessonOf(state, reply);
  if (lesson !== undefined) {
    state.lessons = { ...state.lessons, ...lesson };
    mended = true;
  }
  if (mended) {
    state.exchange = undefined;
    state.sendAt = earliestSend(state, moment.now);
    journal(turn);
  } else {
    failed(turn, exchange, `${code} ${nameOf(REPLY_CODE_REGISTRY, code) ?? "unknown code"}`);
  }
}

function correctClock(turn: Turn, reply: RegistrationReply): void {
  const { state, moment } = turn;
  if (state.site.replayProtection.kind !== "timestamps") return;
  const before = state.identification.correctionSeconds;
  state.identification = corrected(state.identification, reply.identification, moment);
  const seconds = state.identification.correctionSeconds;
  if (seconds !== before) notify(turn, "clock.corrected", { seconds });
}

function failed(turn: Turn, exchange: Exchange, reason: string): void {
  const { state } = turn;
  state.refusal = reason;
  notify(turn, "registration.failed", { reason, purpose: exchange.purpose, attempts: state.attempts });
  state.exchange = undefined;
  // The next one leaves when this one would have been repeated.
  state.sendAt = after(exchange.sentAt, exchange.wait);
}

/** Each is learnt once: undefined if there is nothing more to be given up. */
function lessonOf(state: MobileNodeState, { code, lifetimeSeconds }: RegistrationReply): Lessons | undefined {
  const { encapsulation, reverseTunnelling, lifetimeSeconds: asked } = wantedOf(state);
  const { site } = state;
  switch (code) {
    case ReplyCode.agentLifetimeTooLong:
      return lifetimeSeconds > 0 && lifetimeSeconds < asked ? { lifetimeSeconds } : undefined;
    case ReplyCode.encapsulationUnavailable:
    case ReplyCode.agentEncapsulationUnavailable:
    case ReplyCode.udpEncapsulationUnavailable:
      return encapsulation === "gre" ? { encapsulation: "ip-in-ip" } : undefined;
    case ReplyCode.reverseTunnelUnavailable:
    case ReplyCode.agentReverseTunnelUnavailable:
      return reverseTunnelling && site.reverseTunnelling === "preferred" ? { reverseTunnelling: false } : undefined;
    case ReplyCode.reverseTunnelMandatory:
    case ReplyCode.agentReverseTunnelMandatory:
      return reverseTunnelling || site.reverseTunnelling === "never" ? undefined : { reverseTunnelling: true };
    default:
      return undefined;
  }
}
