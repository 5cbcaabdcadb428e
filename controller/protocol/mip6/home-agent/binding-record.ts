/**
 * What the journal keeps of a binding, so that a restart forgets neither a binding nor a sequence number: plain JSON values, with the
 * time that was left when it was written instead of a point on a clock that does not survive.
 */
import {
  formatPrefix,
  type Ipv4Address,
  type Ipv6Address,
  isIpv4,
  parseIp,
  parseIpv4,
  parseIpv6,
  parsePrefix,
} from "../../../base/ip.js";
import { type Seq16, seq16 } from "../../../base/seq16.js";
import { elapsed, type Instant } from "../../../base/time.js";
import type { Endpoint } from "../inputs.js";
import { type BindingEntry, lifetimeOf, type Registration } from "./binding-cache.js";
import type { StoredBinding } from "./inputs.js";

export interface BoundRecord {
  readonly kind: "bound";
  readonly homeAddress: Ipv6Address;
  readonly sequence: Seq16;
  readonly registration: Registration;
  readonly remainingSeconds: number;
}

/** Of a binding that is over: only its sequence number. */
export interface InvalidatedRecord {
  readonly kind: "invalidated";
  readonly homeAddress: Ipv6Address;
  readonly sequence: Seq16;
  readonly remainingSeconds: number;
}

export type BindingRecord = BoundRecord | InvalidatedRecord;

/** The record of an entry that is bound or remembered; undefined if there is nothing to keep. */
export function recordOf(entry: BindingEntry, now: Instant): Readonly<Record<string, unknown>> | undefined {
  const { homeAddress, sequence, established, rememberedUntil } = entry;
  if (established !== undefined) {
    const { ipv4HomeAddress, linkLocalAddress, prefixes, lifetimeUnits, ...registration } = established.registration;
    return {
      kind: "bound",
      homeAddress,
      sequence,
      ...registration,
      ipv4HomeAddress: ipv4HomeAddress ?? null,
      linkLocalAddress: linkLocalAddress ?? null,
      prefixes: prefixes.map(formatPrefix),
      lifetimeSeconds: lifetimeOf(established.registration),
      remainingSeconds: elapsed(now, established.expiresAt),
    };
  }
  if (rememberedUntil === undefined) return undefined;
  return { kind: "invalidated", homeAddress, sequence, remainingSeconds: elapsed(now, rememberedUntil) };
}

/** The record in `value` as of `ageSeconds` later; undefined if it is none or its time is over. */
export function parseRecord({ record, ageSeconds }: StoredBinding): BindingRecord | undefined {
  const homeAddress = read(record, "homeAddress", ipv6Of);
  const sequence = read(record, "sequence", unsigned16);
  const remaining = read(record, "remainingSeconds", numberOf);
  if (homeAddress === undefined || sequence === undefined || remaining === undefined) return undefined;
  const shared = { homeAddress, sequence: seq16(sequence), remainingSeconds: remaining - Math.max(0, ageSeconds) };
  if (!(shared.remainingSeconds > 0)) return undefined;
  // What can't be read of a binding costs the sequence number nothing.
  const registration = record["kind"] === "bound" ? registrationOf(record) : undefined;
  return registration === undefined ? { kind: "invalidated", ...shared } : { kind: "bound", ...shared, registration };
}

type JsonObject = Readonly<Record<string, unknown>>;

function registrationOf(record: JsonObject): Registration | undefined {
  const careOfAddress = read(record, "careOfAddress", (value) =>
    typeof value === "string" ? parseIp(value) : undefined,
  );
  const endpoint = read(record, "endpoint", endpointOf);
  const signalling = read(record, "signalling", endpointOf);
  const natDetected = read(record, "natDetected", booleanOf);
  const forcedUdp = read(record, "forcedUdp", booleanOf);
  const lifetimeSeconds = read(record, "lifetimeSeconds", numberOf);
  const ipv4HomeAddress = read(record, "ipv4HomeAddress", nullable(ipv4Of));
  const linkLocalAddress = read(record, "linkLocalAddress", nullable(ipv6Of));
  const network = networkOf(record);
  if (careOfAddress === undefined || endpoint === undefined || signalling === undefined) return undefined;
  if (natDetected === undefined || forcedUdp === undefined || lifetimeSeconds === undefined) return undefined;
  if (ipv4HomeAddress === undefined || linkLocalAddress === undefined || network === undefined) return undefined;
  const lifetimeUnits = lifetimeSeconds / 4;
  if (unsigned16(lifetimeUnits) === undefined || lifetimeUnits === 0) return undefined;
  return {
    careOfAddress,
    endpoint,
    signalling,
    natDetected,
    forcedUdp,
    ipv4HomeAddress: ipv4HomeAddress ?? undefined,
    linkLocalAddress: linkLocalAddress ?? undefined,
    ...network,
    lifetimeUnits,
  };
}

/** Records from before there were mobile routers have neither. */
function networkOf(record: JsonObject): Pick<Registration, "mobileRouter" | "prefixes"> | undefined {
  const { mobileRouter = false, prefixes = [] } = record;
  if (typeof mobileRouter !== "boolean" || !Array.isArray(prefixes)) return undefined;
  const parsed = prefixes.map((one) => (typeof one === "string" ? parsePrefix(one) : undefined));
  const whole = parsed.filter((one) => one !== undefined);
  return whole.length === parsed.length ? { mobileRouter, prefixes: whole } : undefined;
}

function endpointOf(value: unknown): Endpoint | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { format, address: text, port: number } = value as JsonObject;
  const address = typeof text === "string" ? parseIp(text) : undefined;
  if (address === undefined) return undefined;
  const port = unsigned16(number);
  if (format === "udp") return port === undefined ? undefined : { format, address, port };
  if (!isIpv4(address)) return format === "ipv6" ? { format, address: address as Ipv6Address } : undefined;
  return format === "ipv4" ? { format, address } : undefined;
}

function read<T>(record: JsonObject, key: string, parse: (value: unknown) => T | undefined): T | undefined {
  return parse(record[key]);
}

const ipv4Of = (value: unknown): Ipv4Address | undefined => (typeof value === "string" ? parseIpv4(value) : undefined);
const ipv6Of = (value: unknown): Ipv6Address | undefined => (typeof value === "string" ? parseIpv6(value) : undefined);
const booleanOf = (value: unknown): boolean | undefined => (typeof value === "boolean" ? value : undefined);
const numberOf = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isFinite(value) ? value : undefined;
const unsigned16 = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 0xffff ? value : undefined;
const nullable =
  <T>(parse: (value: unknown) => T | undefined) =>
  (value: unknown): T | null | undefined =>
    value === null ? null : parse(value);
