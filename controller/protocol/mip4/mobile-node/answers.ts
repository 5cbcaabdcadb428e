/** What becomes of a reply: the binding it grants, or what is learnt from its refusal (RFC 5944 §3.6.2.2, §3.6.2.3). */
import { isRoutableUnicast } from "../../../base/ip.js";
import { after, elapsed, type Instant, seconds } from "../../../base/time.js";
import type { RegistrationReply } from "../../../wire/mip4/messages/control-message.js";
import { INFINITE_LIFETIME_SECONDS } from "../../../wire/mip4/messages/registration.js";
import { REPLY_CODE_REGISTRY, ReplyCode, registrationAccepted } from "../../../wire/mip4/registry.js";
import { nameOf } from "../../../wire/registry.js";
import { earliestSend, journal, sendSoon, stop, wantedOf } from "./exchange.js";
import { type Attachment, endOf } from "./inputs.js";
import { type Exchange, type Lessons, type MobileNodeState, notify, type Tunnel, type Turn } from "./model.js";
import { corrected } from "./own-identification.js";
import { type GrantedIpv6, grantedIpv6, keepaliveOf } from "./reply.js";
import { followWay, keepFormer } from "./way.js";

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
  keepFormer(turn);
  state.tunnel = undefined;
  journal(turn);
  if (state.stopping) {
    stop(turn, true);
    return;
  }
  followWay(turn);
  if (state.attachment?.kind !== "home") return;
  notify(turn, "home.returned", {
    device: state.attachment.device,
    requestToReplyMs: elapsedMs(exchange, moment.now),
  });
  announce(turn);
}

const elapsedMs = ({ sentAt }: Exchange, now: Instant): number => elapsed(sentAt, now) * 1000;

/**
 * Draws the home address to this link, before the home agent is asked to let go of it and when it has (RFC 5944 §4.6): a link that is just
 * up may lose the first one.
 */
export function announce({ state, effects }: Turn): void {
  const { attachment, homeAddress } = state;
  if (attachment?.kind === "home" && homeAddress !== undefined)
    effects.push({ kind: "announce", device: attachment.device, address: homeAddress });
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
  const before = state.tunnel;
  keepFormer(turn, endOf(attachment));
  state.leaving = undefined;
  state.tunnel = tunnelOf(state, attachment, exchange, reply, ipv6);
  journal(turn);
  followWay(turn);
  notify(turn, "registration.completed", {
    homeAddress: reply.homeAddress,
    careOfAddress: request.careOfAddress,
    device: attachment.device,
    requestToReplyMs: elapsedMs(exchange, moment.now),
    lifetimeSeconds: granted,
    prefixes: ipv6.prefixes.length,
    ...(ipv6.refused.length === 0 ? {} : { refusedPrefixes: ipv6.refused.join(" ") }),
  });
  const { keepaliveSeconds } = state.tunnel;
  if (before !== undefined && before.keepaliveSeconds !== keepaliveSeconds)
    notify(turn, "nat.changed", { udp: keepaliveSeconds !== undefined });
  if (ipv6.unsupported) notify(turn, "ipv6.unsupported", { homeAgent: reply.homeAgent });
  // Bound now: the link-local address of the tunnel can be asked for.
  if (first && site.delegation) sendSoon(turn);
}

function tunnelOf(
  state: MobileNodeState,
  attachment: Exclude<Attachment, { readonly kind: "home" }>,
  { sent: { request } }: Exchange,
  reply: RegistrationReply,
  { prefixes, linkLocalAddress }: GrantedIpv6,
): Tunnel {
  return {
    mode: "away",
    homeAddress: reply.homeAddress,
    homeAgent: reply.homeAgent,
    egress: endOf(attachment),
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
