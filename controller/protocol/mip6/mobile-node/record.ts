/**
 * What a mobile node keeps in its journal: enough to go on with its sequence numbers, to keep payload flowing over a restart, and to
 * know that the home agent may hold a binding. Durations count from the moment of writing, so no clock has to survive.
 */
import {
  formatPrefix,
  type IpAddress,
  isIpv4,
  isIpv6,
  type Prefix,
  parseIpv4,
  parseIpv6,
  parsePrefix,
} from "../../../base/ip.js";
import { seq16 } from "../../../base/seq16.js";
import { after, type Instant, seconds } from "../../../base/time.js";
import type { CareOf } from "../../movement/attachment.js";
import { type BorrowingSite, type Lent, NOTHING_LENT } from "../../movement/lent.js";
import type { Registration } from "./binding-update-list.js";
import type { MobileNodeRecord } from "./inputs.js";
import type { MobileNodeState } from "./model.js";

export function recordOf(state: MobileNodeState, now: Instant): MobileNodeRecord {
  const { registration, boundUntil, site } = state;
  return {
    sequence: state.lastSequence,
    boundSeconds: boundUntil === undefined ? 0 : Math.max(0, (boundUntil - now) / 1000),
    registration: registration === undefined ? null : registrationRecord(registration, now),
    ...(site.lent === undefined ? {} : { lent: loansRecord(site.lent) }),
  };
}

function registrationRecord(registration: Registration, now: Instant): MobileNodeRecord {
  const { careOf, format, sequence, lifetime, keepalive, ipv4HomeAddress, prefixes } = registration;
  return {
    address: careOf.address,
    device: careOf.device,
    format,
    sequence,
    lifetimeSeconds: lifetime,
    remainingSeconds: (registration.expiresAt - now) / 1000,
    keepaliveSeconds: keepalive ?? null,
    ipv4HomeAddress: ipv4HomeAddress ?? null,
    prefixes: prefixes.map(formatPrefix),
  };
}

function loansRecord({ ipv4HomeAddress, networks }: Lent): MobileNodeRecord {
  const text = (prefix: Prefix | undefined): string | null => (prefix === undefined ? null : formatPrefix(prefix));
  return { ipv4HomeAddress: ipv4HomeAddress ?? null, ipv4: networks.ipv4.map(text), ipv6: networks.ipv6.map(text) };
}

/** What the node had on loan, and asks for again; nothing where its wishes are others by now. */
export function restoredLoans({ lent }: MobileNodeRecord, { wishes }: BorrowingSite): Lent {
  if (!isRecord(lent) || wishes === undefined) return NOTHING_LENT;
  const { ipv4HomeAddress, ipv4, ipv6 } = lent;
  const networks = (value: unknown, { length }: readonly number[], is: (address: IpAddress) => boolean) => {
    if (!Array.isArray(value) || value.length !== length) return [];
    return value.map((one) => {
      const prefix = typeof one === "string" ? parsePrefix(one) : undefined;
      return prefix !== undefined && is(prefix.address) ? prefix : undefined;
    });
  };
  const isOwn = wishes.ipv4HomeAddress === "own" && typeof ipv4HomeAddress === "string";
  return {
    ipv4HomeAddress: isOwn ? parseIpv4(ipv4HomeAddress) : undefined,
    networks: { ipv4: networks(ipv4, wishes.lengths.ipv4, isIpv4), ipv6: networks(ipv6, wishes.lengths.ipv6, isIpv6) },
  };
}

export interface RestoredFacts {
  readonly lastSequence: MobileNodeState["lastSequence"];
  readonly boundUntil: Instant | undefined;
  readonly registration: Registration | undefined;
}

/** The facts of a record that was written `ageSeconds` ago, without what has ended since; undefined if it is no such record. */
export function restoredFacts(record: MobileNodeRecord, ageSeconds: number, now: Instant): RestoredFacts | undefined {
  const { sequence, boundSeconds, registration: inner } = record;
  if (!isSequence(sequence) || !isDuration(boundSeconds)) return undefined;
  // A wall clock that was set back must not make anything last longer.
  const age = Number.isFinite(ageSeconds) ? Math.max(0, ageSeconds) : 0;
  const registration = isRecord(inner) ? restoredRegistration(inner, age, now) : undefined;
  return {
    lastSequence: seq16(sequence),
    boundUntil: boundSeconds > age ? after(now, seconds(boundSeconds - age)) : undefined,
    registration,
  };
}

function restoredRegistration(record: MobileNodeRecord, age: number, now: Instant): Registration | undefined {
  const { address, device, format, sequence, lifetimeSeconds, remainingSeconds, keepaliveSeconds, ipv4HomeAddress } =
    record;
  const careOf =
    typeof address === "string" && typeof device === "string" ? restoredCareOf(address, device) : undefined;
  if (careOf === undefined || (format !== "ipv6" && format !== "ipv4" && format !== "udp")) return undefined;
  if (careOf.family === 6 ? format === "ipv4" : format === "ipv6") return undefined;
  if (!isSequence(sequence) || !isDuration(lifetimeSeconds) || !isDuration(remainingSeconds)) return undefined;
  if (remainingSeconds <= age) return undefined;
  return {
    careOf: careOf.family === 6 && format === "udp" ? { ...careOf, inUdp: true } : careOf,
    format,
    sequence: seq16(sequence),
    acceptedAt: now,
    lifetime: seconds(lifetimeSeconds),
    expiresAt: after(now, seconds(remainingSeconds - age)),
    refreshAt: now,
    keepalive: isDuration(keepaliveSeconds) ? seconds(keepaliveSeconds) : undefined,
    ipv4HomeAddress: typeof ipv4HomeAddress === "string" ? parseIpv4(ipv4HomeAddress) : undefined,
    prefixes: restoredPrefixes(record["prefixes"]),
  };
}

/** Records from before there were mobile routers have none. */
function restoredPrefixes(value: unknown): readonly Prefix[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((one) => (typeof one === "string" ? (parsePrefix(one) ?? []) : []));
}

function restoredCareOf(text: string, device: string): CareOf | undefined {
  const ipv6 = parseIpv6(text);
  if (ipv6 !== undefined) return { family: 6, address: ipv6, device };
  const ipv4 = parseIpv4(text);
  return ipv4 === undefined ? undefined : { family: 4, address: ipv4, device };
}

function isRecord(value: unknown): value is MobileNodeRecord {
  return typeof value === "object" && value !== null;
}

function isSequence(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffff;
}

function isDuration(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}
