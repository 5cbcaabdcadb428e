/** Mobility messages coming in to the mobile node (RFC 6275 §11.3.6, §11.7.3, §11.7.4). */
import { formatPrefix, type Ipv6Address } from "../../../base/ip.js";
import { exhaustive } from "../../../base/result.js";
import { after, elapsed, type Instant, seconds } from "../../../base/time.js";
import type {
  BindingAcknowledgement,
  BindingError,
  MobilityMessage,
} from "../../../wire/mip6/messages/mobility-header.js";
import { BindingErrorStatus, BindingStatus } from "../../../wire/mip6/registry.js";
import { type CareOf, formatAttachment, type MobileNodeSite, sameCareOf } from "../../movement/attachment.js";
import { type Lent, lacksLoans, withLent } from "../../movement/lent.js";
import { answered } from "../../movement/silence.js";
import { answerWithBindingError, unknownBindingError, unknownTypeError } from "../binding-error.js";
import type { Arrival, DropReason, OptionRefusedInput, SendEffect } from "../inputs.js";
import { judge, type Terms } from "./acknowledgement.js";
import { type Registration, refreshTime, registrationEnd, type SentUpdate } from "./binding-update-list.js";
import { revoked, switched } from "./commands.js";
import { beginExchange, journal, notify, restartExchange, type Turn, withdraw } from "./exchange.js";
import type { MobileNodeState } from "./model.js";
import { arriveHome, endStop, graceOthers } from "./moves.js";
import { backOff, PROHIBITED_RETRY, REFUSED_RETRY_FIRST, REFUSED_RETRY_MAX } from "./timers.js";

export function receive(
  state: MobileNodeState,
  arrival: Arrival,
  message: MobilityMessage,
  turn: Turn,
): MobileNodeState {
  const drop = (reason: DropReason, detail: string): MobileNodeState => {
    turn.effects.push({ kind: "drop", reason, detail });
    return state;
  };
  const { site } = state;
  // No message that the node sends is answered with one, so this can't go round.
  if (message.type === "unknown") {
    const detail = `MH type ${message.mhType} from ${arrival.source}`;
    return sendBindingError(state, unknownTypeError(arrival), { reason: "unexpected-type", detail }, turn);
  }
  if (arrival.source !== site.homeAgent.ipv6) return drop("wrong-source", arrival.source);
  const errorAtCareOf = message.type === "binding-error" && isCareOf(state, arrival.destination);
  if (arrival.destination !== site.homeAddress && !errorAtCareOf) return drop("wrong-destination", arrival.destination);
  const { path } = arrival;
  if (path.type === "udp" && path.outerSource !== site.homeAgent.ipv4 && path.outerSource !== site.homeAgent.ipv6)
    return drop("wrong-source", path.outerSource);
  const routed = path.type === "native" ? path.routingHeaderHomeAddress : undefined;
  if (routed !== undefined && routed !== site.homeAddress) return drop("home-address-mismatch", routed);

  switch (message.type) {
    case "binding-acknowledgement":
      if (arrival.protection !== "esp") return drop("unprotected", message.type);
      return acknowledged(state, message, turn);
    case "binding-error":
      return bindingError(state, message, turn);
    case "binding-refresh-request":
      if (arrival.protection !== "esp") return drop("unprotected", message.type);
      if (state.phase !== "registered") return drop("unexpected-type", `${message.type} in phase ${state.phase}`);
      return beginExchange(state, turn);
    case "binding-revocation-indication":
    case "home-agent-switch": {
      if (arrival.protection !== "esp") return drop("unprotected", message.type);
      // RFC 5846 §10.2: the home address stands in a type 2 routing header; over IPv4 in the inner header (C-10).
      if (path.type === "native" && routed === undefined) return drop("home-address-mismatch", message.type);
      return message.type === "home-agent-switch" ? switched(state, message, turn) : revoked(state, message, turn);
    }
    default:
      return drop("unexpected-type", message.type);
  }
}

/** Binding errors go to the address on the wire of what they are about (RFC 6275 §9.3.3): where we are bound, or updates are about. */
function isCareOf({ registration, target }: MobileNodeState, address: Ipv6Address): boolean {
  const present = target?.kind === "away" ? target.careOf.address : undefined;
  return address === registration?.careOf.address || address === present;
}

/** The node keeps no bindings of others: whoever sends a Home Address option is told so (RFC 6275 §9.3.1). */
export function optionRefused(state: MobileNodeState, packet: OptionRefusedInput, turn: Turn): MobileNodeState {
  const detail = `Home Address option ${packet.homeAddress} from ${packet.source}`;
  return sendBindingError(state, unknownBindingError(packet), { reason: "unknown-binding", detail }, turn);
}

function sendBindingError(
  state: MobileNodeState,
  error: SendEffect | undefined,
  drop: { readonly reason: DropReason; readonly detail: string },
  turn: Turn,
): MobileNodeState {
  const { limit, effects } = answerWithBindingError(error, drop, state.bindingErrors, turn.now);
  for (const effect of effects) turn.effects.push(effect);
  return { ...state, bindingErrors: limit };
}

/**
 * "No binding for this home address" from the home agent: register again (RFC 6275 §11.3.6). Nothing protects this message, so it only
 * makes an update earlier; what the node believes changes with the acknowledgement.
 */
function bindingError(state: MobileNodeState, message: BindingError, turn: Turn): MobileNodeState {
  const ours = message.status === BindingErrorStatus.unknownBinding && message.homeAddress === state.site.homeAddress;
  if (ours && state.phase === "registered") {
    notify(state, turn, "registration.lost", { reason: "the home agent has no binding" });
    return beginExchange(state, turn);
  }
  const detail = `binding error ${message.status} for ${message.homeAddress} in phase ${state.phase}`;
  turn.effects.push({ kind: "drop", reason: "unexpected-type", detail });
  return state;
}

function acknowledged(state: MobileNodeState, message: BindingAcknowledgement, turn: Turn): MobileNodeState {
  const { site, lastSequence, target } = state;
  const careOf = target?.kind === "away" ? target.careOf : undefined;
  const verdict = judge(message, { site, lastSequence, careOf, outstanding: state.exchange?.sent ?? [] });
  switch (verdict.kind) {
    case "ignored":
      turn.effects.push({ kind: "drop", reason: verdict.reason, detail: verdict.detail });
      return state;
    case "adopt-sequence":
      return restartExchange({ ...state, lastSequence: verdict.sequence }, turn);
    case "without-force-udp":
      notify(state, turn, "registration.failed", { status: message.status, retry: "without F" });
      return restartExchange({ ...state, forceUdp: false }, turn);
    case "refused":
      return refused(state, verdict, turn);
    case "served-as-host":
      return servedAsHost(state, turn);
    case "deregistered": {
      const unbound: MobileNodeState = { ...state, boundUntil: undefined };
      if (state.phase === "stopping") return endStop(unbound, turn);
      return target?.kind === "home" ? arriveHome(unbound, target.device, turn, verdict.sent) : unbound;
    }
    case "accepted":
      return careOf === undefined ? state : accepted(state, { careOf, sent: verdict.sent, terms: verdict.terms }, turn);
    default:
      return exhaustive(verdict);
  }
}

interface Acceptance {
  readonly careOf: CareOf;
  readonly sent: SentUpdate;
  readonly terms: Terms;
}

function accepted(state: MobileNodeState, acceptance: Acceptance, turn: Turn): MobileNodeState {
  const { careOf, sent, terms } = acceptance;
  const site = terms.lent === undefined ? state.site : keepLent(state.site, terms.lent);
  // Of what the home agent knows nothing about it is not asked again (C-05).
  const lacking = lacksLoans(site) && terms.ipv4.kind !== "unsupported";
  const registration = registrationOf(state, acceptance, lacking, turn);
  const next: MobileNodeState = {
    ...state,
    site,
    lentRefusals: lacking ? state.lentRefusals + 1 : 0,
    phase: "registered",
    registration,
    exchange: undefined,
    refusals: 0,
    homeDevice: undefined,
    ipv4Bound: terms.ipv4.kind === "accepted",
    ...unsupported(state, terms, turn.now),
    receptions: graceOthers(state, { kind: "away", careOf }, turn.now),
    silences: answered(state.silences, careOf, turn.now),
  };
  turn.effects.push({ kind: "answered", device: careOf.device, address: careOf.address });
  tellAcceptance(state, next, registration, { sent, terms }, turn);
  if (terms.prefixDiscoveryNecessary) turn.effects.push({ kind: "prefix-discovery" });
  if (state.site.negotiatesKeys === true)
    turn.effects.push({ kind: "key-management", careOf, moved: terms.keyManagementMoved });
  journal(next, turn);
  return next;
}

/** Whether IPv4 is asked for in updates to come, and when again (C-05). */
function unsupported(
  { ipv4Unsupported, ipv4AskAt, site }: MobileNodeState,
  { ipv4 }: Terms,
  now: Instant,
): Pick<MobileNodeState, "ipv4Unsupported" | "ipv4AskAt"> {
  if (ipv4.kind === "not-asked") return { ipv4Unsupported, ipv4AskAt };
  if (ipv4.kind !== "unsupported") return { ipv4Unsupported: false, ipv4AskAt: undefined };
  const { ipv4RetrySeconds } = site;
  return {
    ipv4Unsupported: true,
    ipv4AskAt: ipv4RetrySeconds === undefined ? undefined : after(now, seconds(ipv4RetrySeconds)),
  };
}

/** The same site if nothing has changed: what is made of it stands. */
function keepLent(site: MobileNodeSite, lent: Lent): MobileNodeSite {
  return JSON.stringify(lent) === JSON.stringify(site.lent) ? site : withLent(site, lent);
}

/** `lacking`: something that is to be lent was not; it is asked for again before the refresh is due (RFC 5555 §4.4.2). */
function registrationOf(
  { lentRefusals, site }: MobileNodeState,
  { careOf, sent, terms }: Acceptance,
  lacking: boolean,
  turn: Turn,
): Registration {
  const { now } = turn;
  const end = registrationEnd(sent, terms.granted, now);
  const retry = after(now, backOff(REFUSED_RETRY_FIRST, lentRefusals, PROHIBITED_RETRY));
  // Who need not be reached lets the NAT forget (RFC 5555 §4.3).
  const keepalive = site.reachability === "on-demand" ? undefined : terms.keepalive;
  const refreshAt = refreshTime(sent, { ...terms, keepalive, now, end });
  return {
    careOf,
    format: terms.format,
    sequence: sent.sequence,
    acceptedAt: now,
    lifetime: terms.granted,
    expiresAt: end,
    refreshAt: lacking && retry < refreshAt ? retry : refreshAt,
    keepalive: terms.keepalive,
    ipv4HomeAddress: terms.ipv4.kind === "accepted" ? terms.ipv4.address : undefined,
    prefixes: terms.prefixes,
  };
}

function tellAcceptance(
  before: MobileNodeState,
  present: MobileNodeState,
  registration: Registration,
  { sent, terms }: { sent: SentUpdate; terms: Terms },
  turn: Turn,
): void {
  const { careOf, keepalive } = registration;
  notify(present, turn, "registration.completed", {
    careOf: formatAttachment({ kind: "away", careOf }),
    format: registration.format,
    sequence: registration.sequence,
    lifetimeSeconds: registration.lifetime,
    nat: keepalive !== undefined,
    refreshed: before.phase === "refreshing",
    buToBaMs: elapsed(sent.sentAt, turn.now) * 1000,
  });
  const former = before.registration;
  if (
    former !== undefined &&
    sameCareOf(former.careOf, careOf) &&
    (former.keepalive === undefined) !== (keepalive === undefined)
  ) {
    notify(present, turn, "nat.changed", { nat: keepalive !== undefined, format: registration.format });
  }
  const { ipv4 } = terms;
  if (ipv4.kind === "unsupported" || ipv4.kind === "refused") {
    const answer = ipv4.kind === "refused" ? { status: ipv4.status } : {};
    notify(present, turn, "registration.failed", { reason: `IPv4 home address ${ipv4.kind}`, ...answer });
  }
  const { prefixes = [] } = before.site;
  const without = prefixes.filter((prefix) => !terms.prefixes.includes(prefix)).map(formatPrefix);
  const had = former?.prefixes.length ?? prefixes.length;
  if (without.length > 0 && had !== terms.prefixes.length)
    notify(present, turn, "registration.failed", {
      reason: `not forwarded to by the home agent: ${without.join(" ")}`,
    });
}

/** A mobile router does not stay where its networks are not forwarded to (RFC 3963 §5.3): it asks again, but seldom. */
function servedAsHost(state: MobileNodeState, turn: Turn): MobileNodeState {
  const { target, phase } = state;
  if (phase === "stopping" || target?.kind !== "away") return state;
  const reason = "the home agent serves us as a host, not as a mobile router; it needs our prefixes";
  notify(state, turn, "registration.failed", { reason, retrySeconds: PROHIBITED_RETRY });
  const refused: MobileNodeState = {
    ...state,
    phase: "refused",
    registration: undefined,
    refusals: state.refusals + 1,
    exchange: undefined,
    retryAt: after(turn.now, PROHIBITED_RETRY),
  };
  return withdraw(refused, target.careOf, turn);
}

/** We have become a router, or a host again, and the home agent still has the other in us: that binding ends before ours begins. */
function otherKind(state: MobileNodeState, careOf: CareOf, turn: Turn): MobileNodeState {
  const wait = backOff(REFUSED_RETRY_FIRST, state.refusals, REFUSED_RETRY_MAX);
  notify(state, turn, "registration.failed", { status: BindingStatus.registrationTypeChange, retrySeconds: wait });
  const refused: MobileNodeState = {
    ...state,
    phase: "refused",
    registration: undefined,
    refusals: state.refusals + 1,
    exchange: undefined,
    retryAt: after(turn.now, wait),
  };
  return withdraw(refused, careOf, turn);
}

/** Lent networks that the home agent does not have for us any more, so it refuses the whole update: others are asked for in their place. */
function withoutNetworks(state: MobileNodeState, status: number): MobileNodeState | undefined {
  const { lent } = state.site;
  const isAboutThem = status === BindingStatus.invalidPrefix || status === BindingStatus.notAuthorizedForPrefix;
  if (!isAboutThem || state.exchange === undefined || lent?.networks.ipv6.every((one) => one === undefined) !== false)
    return undefined;
  const networks = { ...lent.networks, ipv6: [] };
  return { ...state, site: withLent(state.site, { ...lent, networks }) };
}

function refused(
  state: MobileNodeState,
  { status, prohibited }: { status: number; prohibited: boolean },
  turn: Turn,
): MobileNodeState {
  if (state.phase === "stopping") return endStop(state, turn);
  const { target } = state;
  if (status === BindingStatus.registrationTypeChange && target?.kind === "away")
    return otherKind(state, target.careOf, turn);
  const without = withoutNetworks(state, status);
  if (without !== undefined) return restartExchange(without, turn);
  const wait = prohibited ? PROHIBITED_RETRY : backOff(REFUSED_RETRY_FIRST, state.refusals, REFUSED_RETRY_MAX);
  const retryAt = after(turn.now, wait);
  notify(state, turn, "registration.failed", { status, retrySeconds: wait });
  const refusals = state.refusals + 1;
  if (state.phase === "deregistering" && state.exchange !== undefined) {
    return { ...state, refusals, exchange: { ...state.exchange, sent: [], attempts: 0, sendAt: retryAt } };
  }
  return { ...state, phase: "refused", refusals, exchange: undefined, retryAt };
}
