/**
 * What is remembered of care-of addresses from which the home agent was not heard: an uplink that carries nothing (a captive portal, a
 * full cell) looks like any other. Each is left alone for a while that doubles with every vain trial, and an answer counts as a cure only
 * when it has lasted: so an uplink that comes and goes is tried less and less often.
 *
 * Must not know: updates, bindings.
 */
import { after, earliest, elapsed, type Instant, type Seconds, seconds } from "../../base/time.js";
import { type AttachmentMemory, type CareOf, careOfPresent, sameCareOf } from "./attachment.js";
import type { NetworkView } from "./network-view.js";

/** From a vain trial to the next one: doubling from the first to the second. A trial sends three updates in seven seconds. */
export const SILENT_RETRY_FIRST = seconds(10);
export const SILENT_RETRY_MAX = seconds(320);
/** An address that has answered and kept answering for so long is as good as a new one. */
export const SILENT_CURED = seconds(120);

export interface Silence {
  readonly careOf: CareOf;
  /** Vain trials, until cured. */
  readonly trials: number;
  /** Updates in vain since the home agent was last heard from anywhere: where the back-off of retransmissions goes on. */
  readonly unanswered: number;
  /** When it is worth a trial again; absent: by now it is. */
  readonly retryAt: Instant | undefined;
  /** When it answered again. */
  readonly answeredAt: Instant | undefined;
}

export const unansweredOf = (silences: readonly Silence[], careOf: CareOf): number =>
  silences.find((one) => sameCareOf(one.careOf, careOf))?.unanswered ?? 0;

/** So many updates from there, all since the last answer from anywhere, were in vain. */
export function fallenSilent(
  silences: readonly Silence[],
  careOf: CareOf,
  unanswered: number,
  now: Instant,
): readonly Silence[] {
  const known = silences.find((one) => sameCareOf(one.careOf, careOf));
  const cured = known?.answeredAt !== undefined && elapsed(known.answeredAt, now) >= SILENT_CURED;
  const trials = known === undefined || cured ? 1 : known.trials + 1;
  const retryAt = after(now, retryWait(trials));
  return [...without(silences, careOf), { careOf, trials, unanswered, retryAt, answeredAt: undefined }];
}

/** Counted as silent with another one and as long as that, untried: what is said of IPv6 on one link is said of it on all (RFC 5555 §4.4.1). */
export function silentAlike(silences: readonly Silence[], others: readonly CareOf[], like: CareOf): readonly Silence[] {
  const model = silences.find((one) => sameCareOf(one.careOf, like));
  if (model === undefined) return silences;
  const fresh = others.filter((careOf) => !silences.some((one) => sameCareOf(one.careOf, careOf)));
  return [...silences, ...fresh.map((careOf) => ({ ...model, careOf, trials: 0, unanswered: 0 }))];
}

/** The home agent was heard from there: for the others the back-off of retransmissions begins anew, their own pause does not. */
export function answered(silences: readonly Silence[], careOf: CareOf, now: Instant): readonly Silence[] {
  return silences.map((one) => {
    if (!sameCareOf(one.careOf, careOf)) return { ...one, unanswered: 0 };
    return { ...one, unanswered: 0, retryAt: undefined, answeredAt: one.answeredAt ?? now };
  });
}

/**
 * Without what is gone. A link that was down, or an IPv4 address that was, may be in another network by now. IPv6 that was silent stays so for
 * the next address of its link (RFC 5555 §4.4.1: after a move the family of the last success is kept), one for each link.
 */
export function stillKnown(silences: readonly Silence[], view: NetworkView): readonly Silence[] {
  return silences.filter(({ careOf, retryAt }, i) => {
    if (careOfPresent(view, careOf)) return true;
    if (careOf.family === 4 || retryAt === undefined) return false;
    if (!view.links.some(({ name }) => name === careOf.device)) return false;
    return !silences.slice(i + 1).some((other) => other.careOf.family === 6 && other.careOf.device === careOf.device);
  });
}

/** When the next one is worth a trial. */
export const nextTrial = (silences: readonly Silence[]): Instant | undefined =>
  earliest(...silences.map(({ retryAt }) => retryAt));

/** Those whose pause is over are as good as any other. */
export function pausesOver(silences: readonly Silence[], now: Instant): readonly Silence[] {
  return silences.map((one) =>
    one.retryAt !== undefined && one.retryAt <= now ? { ...one, retryAt: undefined } : one,
  );
}

/** For the choice of an attachment. */
export function silentNow(silences: readonly Silence[], now: Instant): AttachmentMemory["silent"] {
  return silences
    .filter(({ retryAt }) => retryAt !== undefined && retryAt > now)
    .map(({ careOf, unanswered }) => ({ careOf, unanswered }));
}

export const isSilent = (silences: readonly Silence[], careOf: CareOf, now: Instant): boolean =>
  silentNow(silences, now).some((one) => sameCareOf(one.careOf, careOf));

const retryWait = (trials: number): Seconds =>
  seconds(Math.min(SILENT_RETRY_MAX, SILENT_RETRY_FIRST * 2 ** Math.min(trials - 1, 30)));

const without = (silences: readonly Silence[], careOf: CareOf): readonly Silence[] =>
  silences.filter((one) => !sameCareOf(one.careOf, careOf));
