/** What correspondents answer, and what else they say (RFC 6275 §11.3.5, §11.3.6, §11.6.2, §11.7.3, §11.7.4). */

import { isAfter, seq16 } from "../../../../base/seq16.js";
import { after, earliest, elapsed, type Instant, type Seconds, seconds } from "../../../../base/time.js";
import type { BindingAcknowledgement, MessageOfType } from "../../../../wire/mip6/messages/mobility-header.js";
import { LIFETIME_UNIT_SECONDS } from "../../../../wire/mip6/messages/registration.js";
import { NO_REFRESH_NEEDED } from "../../../../wire/mip6/options/dsmip.js";
import { findOption } from "../../../../wire/mip6/options/mobility.js";
import { BindingErrorStatus, BindingStatus } from "../../../../wire/mip6/registry.js";
import { MAX_RO_FAILURE } from "../../return-routability/timers.js";
import { registrationEnd } from "../binding-update-list.js";
import { journal, leave, notify, restart, unbound, withFormer } from "./entries.js";
import type { CorrespondentsInput } from "./inputs.js";
import { type Entry, keyOf, type SentUpdate, type Turn } from "./model.js";
import { modeIn } from "./modes.js";
import { fail } from "./procedure.js";
import { drop, tested, withoutIpv4 } from "./tests.js";
import { CURED, RENEW_AFTER, RENEW_FRACTION, UNSUPPORTED_PAUSE } from "./timers.js";

type MessageInput = Extract<CorrespondentsInput, { readonly kind: "message" }>;

/** The entry after the message; undefined: it is no more. */
export function heard(entry: Entry, input: MessageInput, turn: Turn): Entry | undefined {
  const { message } = input;
  switch (message.type) {
    case "home-test":
    case "care-of-test":
      return tested(entry, message, input, turn);
    case "binding-acknowledgement":
      return acknowledged(entry, message, input, turn);
    case "binding-error":
      return erred(entry, message, input, turn);
    case "binding-refresh-request":
      return asked(entry, input, turn);
    default:
      return drop(entry, turn, "unexpected-type", message.type);
  }
}

/** Statuses that say which nonces the correspondent does not know any more. Nothing authenticates them, for there is no key (RFC 6275 §9.5.4). */
const EXPIRED: Readonly<Record<number, { readonly home: boolean; readonly careOf: boolean }>> = {
  [BindingStatus.expiredHomeNonceIndex]: { home: true, careOf: false },
  [BindingStatus.expiredCareOfNonceIndex]: { home: false, careOf: true },
  [BindingStatus.expiredNonces]: { home: true, careOf: true },
};

function acknowledged(
  entry: Entry,
  message: BindingAcknowledgement,
  { arrival, isAuthorized }: MessageInput,
  turn: Turn,
): Entry | undefined {
  const { status } = message;
  const { now, site } = turn;
  if (arrival.destination !== site.homeAddress) return drop(entry, turn, "wrong-destination", message.type);
  const latest = entry.sent.at(-1);
  if (latest === undefined) return drop(entry, turn, "no-outstanding-update", message.type);
  const authorizes = ({ tokens, careOf }: SentUpdate): boolean => isAuthorized(tokens, careOf);
  if (status === BindingStatus.sequenceOutOfWindow) {
    if (!authorizes(latest)) return drop(entry, turn, "authentication-failed", message.type);
    const adopted: Entry = { ...entry, lastSequence: seq16(message.sequence), sent: [], sendAt: now };
    return entry.phase === "updating" || entry.phase === "leaving" ? adopted : entry;
  }
  const sent = entry.sent.find(({ sequence }) => sequence === message.sequence);
  if (sent === undefined) return drop(entry, turn, "sequence-mismatch", `${message.type} ${message.sequence}`);
  const expired = EXPIRED[status];
  if (expired !== undefined) return retest(entry, expired, status, turn);
  if (!authorizes(sent)) return drop(entry, turn, "authentication-failed", message.type);
  if (sent.lifetime === 0) {
    // Whatever the status: it has none, or lets it end by itself.
    const gone = unbound(entry, turn);
    journal(gone, turn);
    return gone;
  }
  const granted = seconds(Math.min(message.lifetimeUnits * LIFETIME_UNIT_SECONDS, sent.lifetime));
  if (status >= 128 || granted === 0) return fail({ ...entry, sent: [] }, `status ${status}`, turn);
  if (sent.mode !== undefined) {
    const mode = modeIn(message.options);
    if (mode === undefined) return withoutIpv4(entry, turn);
    if (mode !== "all" && mode !== sent.mode) return fail(entry, `mode ${mode}`, turn);
  }
  return accepted(entry, { sent, granted, keepalive: keepaliveOf(sent, message, turn) }, turn);
}

/** Behind a NAT (RO-7.2.4-02). */
function keepaliveOf({ mode }: SentUpdate, { options }: BindingAcknowledgement, { site }: Turn): Seconds | undefined {
  const suggested = findOption(options, "nat-detection")?.refreshSeconds ?? 0;
  if (suggested === NO_REFRESH_NEEDED || mode !== "ipv4-udp") return undefined;
  return suggested === 0 ? site.ipv4?.natKeepalive : seconds(suggested);
}

/** The tests that have become void are made again, as often as a correspondent may fail. */
function retest(
  entry: Entry,
  { home, careOf }: { readonly home: boolean; readonly careOf: boolean },
  status: number,
  turn: Turn,
): Entry | undefined {
  const { now } = turn;
  if (entry.phase !== "updating" && entry.phase !== "leaving")
    return drop(entry, turn, "unexpected-type", `status ${status}`);
  const lapses = entry.lapses + 1;
  if (lapses > MAX_RO_FAILURE) return fail({ ...entry, sent: [] }, `status ${status}`, turn);
  const without = { ...entry, lapses, sent: [] };
  const next: Entry = {
    ...without,
    homeTest: home ? { ...entry.homeTest, proof: undefined } : entry.homeTest,
    careOfTest: careOf ? { ...entry.careOfTest, proof: undefined } : entry.careOfTest,
  };
  if (entry.phase === "leaving")
    return { ...next, homeTest: { ...next.homeTest, cookies: [], attempts: 0, sendAt: now }, attempts: 0, sendAt: now };
  return entry.careOf === undefined ? next : restart(next, entry.careOf, now);
}

interface Acceptance {
  readonly sent: SentUpdate;
  readonly granted: Seconds;
  readonly keepalive: Seconds | undefined;
}

function accepted(entry: Entry, { sent, granted, keepalive }: Acceptance, turn: Turn): Entry {
  const { now, site } = turn;
  const expiresAt = registrationEnd(sent, granted, now);
  const renewAt =
    earliest(after(sent.sentAt, seconds(granted * RENEW_FRACTION)), after(sent.provenAt, RENEW_AFTER)) ?? expiresAt;
  const { careOf, sequence, mode } = sent;
  const before = entry.binding;
  const keepaliveAt = keepalive && after(sent.sentAt, keepalive);
  const binding = { careOf, mode, sequence, lifetime: granted, acceptedAt: now, expiresAt, renewAt, keepaliveAt };
  const moved = before?.careOf !== careOf;
  const former = (moved ? withFormer(entry, before?.careOf, after(now, site.grace)) : entry.former).filter(
    (one) => one.careOf !== careOf,
  );
  const isCured = before !== undefined && elapsed(entry.startedAt, now) >= CURED;
  const isPresent = careOf === entry.careOf && (entry.phase === "updating" || entry.phase === "testing");
  const next: Entry = {
    ...entry,
    binding,
    former,
    sent: entry.sent.filter((one) => isAfter(one.sequence, sequence)),
    ...(entry.phase !== "leaving" && { attempts: 0 }),
    ...(isCured && { lapses: 0 }),
    ...(isPresent && { phase: "bound" as const }),
    ...(before === undefined && { usedAt: now }),
    ...(mode !== undefined && { knowsIpv4: true }),
  };
  if (isCured) turn.pauses.delete(keyOf(entry));
  if (moved)
    notify(next, turn, "correspondent.bound", {
      careOf,
      lifetimeSeconds: granted,
      ...(mode !== undefined && { mode }),
    });
  journal(next, turn);
  return next;
}

/**
 * Status 1: the correspondent has forgotten the binding; payload goes by way of the home agent while it is made anew (RFC 6275 §11.3.6).
 * Nothing protects this message. Who sends it only to harm makes payload take the longer way, and no more often than a few times.
 */
function erred(
  entry: Entry,
  message: MessageOfType<"binding-error">,
  { arrival }: MessageInput,
  turn: Turn,
): Entry | undefined {
  const { now, site } = turn;
  const { status, homeAddress } = message;
  const atCareOf = arrival.destination === entry.careOf || arrival.destination === entry.binding?.careOf;
  if (!atCareOf && arrival.destination !== site.homeAddress)
    return drop(entry, turn, "wrong-destination", message.type);
  if (status === BindingErrorStatus.unknownMessageType) return unsupported(entry, turn);
  if (status !== BindingErrorStatus.unknownBinding || homeAddress !== site.homeAddress || entry.binding === undefined)
    return drop(entry, turn, "unexpected-type", `binding error ${status} for ${homeAddress}`);
  notify(entry, turn, "correspondent.lost", { reason: "the correspondent has no binding" });
  const lapses = entry.lapses + 1;
  const { careOf, expiresAt } = entry.binding;
  // Where it has not said so itself, it goes on sending there.
  const former = withFormer(entry, careOf, expiresAt);
  const next: Entry = { ...entry, lapses, binding: undefined, sent: [], former };
  journal(next, turn);
  if (entry.phase === "leaving") return unbound(next, turn);
  if (lapses >= MAX_RO_FAILURE) return fail(next, "binding errors", turn);
  return entry.careOf === undefined || entry.phase === "held" ? next : restart(next, entry.careOf, now, "fresh");
}

/** It answers mobility messages with errors: it is left alone for long (RFC 6275 §11.3.5). One that has accepted a binding knows them. */
export function unsupported(entry: Entry, turn: Turn): Entry | undefined {
  if (entry.binding !== undefined || (entry.phase !== "testing" && entry.phase !== "updating"))
    return drop(entry, turn, "unexpected-type", "an error about a mobility message");
  const pause = { first: UNSUPPORTED_PAUSE, most: UNSUPPORTED_PAUSE };
  return fail({ ...entry, sent: [] }, "not supported by the correspondent", turn, pause);
}

/** Once for a binding that is in use; a binding without payload is left to end (RFC 6275 §11.7.4). */
function asked(entry: Entry, { arrival }: MessageInput, turn: Turn): Entry | undefined {
  const { now, site } = turn;
  const { binding, careOf, phase } = entry;
  if (arrival.destination !== site.homeAddress)
    return drop(entry, turn, "wrong-destination", "binding-refresh-request");
  if (phase !== "bound" || binding === undefined || careOf === undefined || wasJustRenewed(binding.acceptedAt, now))
    return drop(entry, turn, "unexpected-type", "binding-refresh-request");
  if (elapsed(entry.usedAt, now) >= site.idle) return leave(entry, "idle", turn);
  return restart(entry, careOf, now);
}

const REQUEST_INTERVAL = seconds(10);
const wasJustRenewed = (acceptedAt: Instant, now: Instant): boolean => elapsed(acceptedAt, now) < REQUEST_INTERVAL;
