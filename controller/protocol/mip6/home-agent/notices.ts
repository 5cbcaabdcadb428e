/**
 * What the home agent tells a node of its own accord: that its binding ends (RFC 5846), that it is to take another home agent (RFC 5142), that
 * it is to register anew (RFC 6275 §6.1.2). A node has one notice at a time, which is repeated until its answer is there: the acknowledgement
 * of a revocation, an update with lifetime 0, any update. What is revoked ends without an answer too. The messages are protected like all
 * others between the two, and go to where the node's signalling came from last.
 */
import { isIpv4 } from "../../../base/ip.js";
import { mappedAddress } from "../../../base/mapped.js";
import { nextSeq } from "../../../base/seq16.js";
import { after, seconds } from "../../../base/time.js";
import type { MessageOfType, MobilityMessage } from "../../../wire/mip6/messages/mobility-message.js";
import type { MobilityOption } from "../../../wire/mip6/options/mobility.js";
import { RevocationTrigger } from "../../../wire/mip6/registry.js";
import type { Arrival, Departure, Endpoint, ProtocolEvent } from "../inputs.js";
import { LIMITS, TIMERS } from "../timers.js";
import type { BindingEntry, Established } from "./binding-cache.js";
import type { Notice, NoticeInput, NoticeSubject, RemoveInput } from "./inputs.js";
import { revoke, revokeIpv4 } from "./removal.js";
import type { HomeAgentSite } from "./site.js";
import { isBound } from "./states.js";
import { notify, type Turn } from "./turn.js";

type RevocationAcknowledgement = MessageOfType<"binding-revocation-acknowledgement">;
type SiteAddresses = HomeAgentSite["addresses"];
type Revocation = Extract<NoticeSubject, { readonly kind: "revocation" }>;

/** An operator ends a binding, or its IPv4 part. A node that does not count as registered yet hears it from the answer to its update. */
export function remove(turn: Turn, { homeAddress, ipv4Only = false, untold }: RemoveInput): void {
  const entry = turn.state.cache.get(homeAddress);
  if (entry === undefined || !isBound(entry.state)) return;
  if (untold !== undefined) {
    revoke(turn, entry, { reason: untold });
    return;
  }
  const { subject } = entry.notice ?? {};
  // What is being ended as a whole is not kept by who wants less ended.
  if (subject?.kind === "revocation" && (ipv4Only || !subject.ipv4Only)) return;
  if (entry.established !== undefined) tell(turn, entry, { kind: "revocation", ipv4Only });
  else if (!ipv4Only) revoke(turn, entry);
}

/** What a node is being told is not forgotten over something less: who is to end, or to go elsewhere, need not register anew. */
const RANK = { refresh: 0, switch: 1, revocation: 2 } as const satisfies Record<NoticeSubject["kind"], number>;

/** The nodes of one command are told one after the other, so that their answers do not come all at once. */
export function tellNodes(turn: Turn, { homeAddresses, subject }: NoticeInput): void {
  let told = 0;
  for (const homeAddress of homeAddresses) {
    const entry = turn.state.cache.get(homeAddress);
    if (entry?.established === undefined || RANK[entry.notice?.subject.kind ?? "refresh"] > RANK[subject.kind])
      continue;
    tell(turn, entry, subject, seconds(Math.floor(told++) / LIMITS.noticeRate.default));
  }
}

/** The binding is near its end: the node is asked once, with repetitions, unless it is being told something else. */
export function askToRefresh(turn: Turn, entry: BindingEntry): void {
  entry.askAt = undefined;
  if (entry.notice === undefined) tell(turn, entry, { kind: "refresh" });
}

function tell(turn: Turn, entry: BindingEntry, subject: NoticeSubject, delay = seconds(0)): void {
  const { state, now } = turn;
  const sequence = subject.kind === "revocation" ? nextSeq(state.revocationSequence) : state.revocationSequence;
  state.revocationSequence = sequence;
  entry.notice = { subject, sequence, attempts: 0, sendAt: after(now, delay) };
  if (delay === 0) noticeDue(turn, entry);
  state.cache.schedule(entry);
}

/** The notice is sent, or sent again, or has been sent often enough. */
export function noticeDue(turn: Turn, entry: BindingEntry): void {
  const { notice, established } = entry;
  if (notice === undefined) return;
  const { subject, attempts } = notice;
  const most = subject.kind === "revocation" ? LIMITS.revocationAttempts.default : LIMITS.noticeAttempts.default;
  if (established === undefined) {
    entry.notice = undefined;
  } else if (attempts < most) {
    send(turn, entry, established, notice);
    entry.notice = { ...notice, attempts: attempts + 1, sendAt: after(turn.now, waitFor(subject, attempts)) };
    if (attempts === 0) notify(turn, "notice.sent", entry, { about: subject.kind });
  } else if (subject.kind === "revocation") {
    endRevoked(turn, entry, subject, { acknowledged: false });
  } else {
    entry.notice = undefined;
    notify(turn, "notice.unanswered", entry, { about: subject.kind, attempts });
  }
}

function waitFor({ kind }: NoticeSubject, attempts: number) {
  const doubled = TIMERS.initialNotice.default * 2 ** attempts;
  return seconds(kind === "revocation" ? Math.min(doubled, TIMERS.maxNotice.default) : doubled);
}

/** The node has answered a revocation; what it says is only told, for the binding ends in any case (RFC 5846). */
export function revocationAcknowledged(turn: Turn, arrival: Arrival, message: RevocationAcknowledgement): void {
  const { protection, source } = arrival;
  if (protection !== "esp") {
    turn.effects.push({ kind: "drop", reason: "unprotected", detail: `${message.type} without ESP` });
    return;
  }
  const entry = turn.state.cache.get(source);
  const notice = entry?.notice;
  if (entry === undefined || notice?.subject.kind !== "revocation" || notice.sequence !== message.sequence) {
    const detail = `${message.type} ${message.sequence} of ${source}`;
    turn.effects.push({ kind: "drop", reason: "no-outstanding-notice", detail });
    return;
  }
  endRevoked(turn, entry, notice.subject, { acknowledged: true, status: message.status });
}

function endRevoked(turn: Turn, entry: BindingEntry, subject: Revocation, detail: ProtocolEvent["detail"]): void {
  const { established, notice } = entry;
  if (!subject.ipv4Only) {
    revoke(turn, entry, detail);
  } else if (entry.state === "established" && established !== undefined) {
    entry.notice = undefined;
    revokeIpv4(turn, entry, established, detail);
  } else if (notice !== undefined) {
    // An update of the node is with the kernel: what it makes has an IPv4 part, or none.
    entry.notice = { ...notice, attempts: LIMITS.revocationAttempts.default, sendAt: after(turn.now, seconds(1)) };
    turn.state.cache.schedule(entry);
  }
}

function send(turn: Turn, entry: BindingEntry, established: Established, notice: Notice): void {
  const { ipv6: source } = turn.state.site.addresses;
  const departure = departureTo(established.registration.signalling, turn.state.site.addresses);
  if (departure === undefined) return;
  const message = messageOf(notice, established);
  turn.effects.push({ kind: "send", message, source, destination: entry.homeAddress, departure });
}

/**
 * The way of what a node has not asked for: to where its signalling came from last, and as that did, for only that way is known to be open.
 * Undefined: we have no address of that family any more.
 */
export function departureTo(
  signalling: Endpoint,
  { ipv6, ipv4, ipv4Local = ipv4 }: SiteAddresses,
): Departure | undefined {
  switch (signalling.format) {
    case "ipv6":
      return { type: "native-routed", careOf: signalling.address };
    // The 2004 profile: in UDP it would come in RFC 5555's format.
    case "ipv4":
      return { type: "native-routed", careOf: mappedAddress(signalling.address) };
    case "udp": {
      const { address: remoteAddress, port: remotePort } = signalling;
      const localAddress = isIpv4(remoteAddress) ? ipv4Local : ipv6;
      return localAddress && { type: "udp", localAddress, remoteAddress, remotePort };
    }
  }
}

function messageOf({ subject, sequence }: Notice, { registration }: Established): MobilityMessage {
  switch (subject.kind) {
    case "refresh":
      return { type: "binding-refresh-request", options: [] };
    case "switch":
      return { type: "home-agent-switch", addresses: subject.homeAgents, options: [] };
    case "revocation": {
      const { ipv4Only } = subject;
      return {
        type: "binding-revocation-indication",
        trigger: RevocationTrigger.administrative,
        sequence,
        flags: { proxyBinding: false, ipv4HomeAddressOnly: ipv4Only, global: false },
        options: ipv4Only ? ipv4Options(registration) : [],
      };
    }
  }
}

/** The V bit speaks of the addresses in these (RFC 5846 §5.1). */
function ipv4Options({ ipv4HomeAddress, prefixes }: Established["registration"]): readonly MobilityOption[] {
  const kind = "ipv4-home-address";
  const home =
    ipv4HomeAddress === undefined
      ? []
      : [{ kind, prefixLength: 32, mobileNetworkPrefix: false, address: ipv4HomeAddress } as const];
  const networks = prefixes.flatMap(({ address, length }) =>
    isIpv4(address) ? [{ kind, prefixLength: length, mobileNetworkPrefix: true, address } as const] : [],
  );
  return [...home, ...networks];
}
