/** Lifetimes of prefixes as router advertisements and mobile prefix advertisements tell them (RFC 4861 §4.6.2). */
import { type Ipv6Address, isRoutableUnicast, maskAddress, type Prefix } from "../../base/ip.js";
import { after, type Instant, instant, seconds } from "../../base/time.js";
import type { NdOption } from "../../wire/ip/nd-options.js";

/** On the wire: for ever. */
export const INFINITE_LIFETIME = 0xffffffff;
/** A lifetime that was only lengthened or shortened by how long its message took is the same. */
const JITTER_MS = 5000;

export interface PrefixLifetimes {
  readonly validUntil: Instant;
  readonly preferredUntil: Instant;
}

/** Never: an instant that no clock reaches. */
export const NEVER = instant(Number.POSITIVE_INFINITY);

export function lifetimeEnd(now: Instant, lifetimeSeconds: number): Instant {
  return lifetimeSeconds === INFINITE_LIFETIME ? NEVER : after(now, seconds(lifetimeSeconds));
}

/** Whole seconds for the wire; 0 when it is over. */
export function lifetimeLeft(until: Instant, now: Instant): number {
  if (until === NEVER) return INFINITE_LIFETIME;
  return Math.min(INFINITE_LIFETIME - 1, Math.max(0, Math.round((until - now) / 1000)));
}

/** Whole seconds for people; null: for ever. */
export function secondsLeft(until: Instant, now: Instant): number | null {
  return until === NEVER ? null : Math.max(0, Math.round((until - now) / 1000));
}

export function sameInstant(a: Instant, b: Instant): boolean {
  return a === b || Math.abs(a - b) <= JITTER_MS;
}

export type PrefixInformation = Extract<NdOption, { readonly kind: "prefix-information" }>;

/** The prefix of an option, whose host bits may be the sender's address (R, RFC 6275 §7.2); undefined for what no home address is out of. */
export function advertisedPrefix({
  prefix,
  prefixLength,
  ...lifetimes
}: PrefixInformation): (Prefix & { readonly address: Ipv6Address }) | undefined {
  if (prefixLength === 0 || prefixLength > 128 || !isRoutableUnicast(prefix)) return undefined;
  // RFC 4862 §5.5.3 (c).
  if (lifetimes.preferredLifetimeSeconds > lifetimes.validLifetimeSeconds) return undefined;
  return { address: maskAddress(prefix, prefixLength), length: prefixLength };
}
