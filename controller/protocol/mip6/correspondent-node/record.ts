/**
 * What the journal keeps of a binding. Plain JSON values. Keys and nonces are not kept: an update with a token of an earlier run is asked to
 * get another one, so nothing of before a restart can be played back, and numbers of ended bindings need not be known.
 */
import { type IpAddress, type Ipv4Address, isIpv4, isIpv6, parseIp, parseIpv4, parseIpv6 } from "../../../base/ip.js";
import { type Seq16, seq16 } from "../../../base/seq16.js";
import { elapsed, type Instant, seconds } from "../../../base/time.js";
import { IPV4_MODES, type Ipv4Mode, type Reach } from "../return-routability/modes.js";
import { RETURN_ROUTABILITY_TIMERS } from "../return-routability/timers.js";
import { type Binding, type CorrespondentEntry, entryKey } from "./binding-cache.js";
import type { Family, Pair, StoredBinding } from "./inputs.js";

type JsonObject = Readonly<Record<string, unknown>>;

export function recordOf(
  { homeAddress, self, sequence }: CorrespondentEntry,
  binding: Binding,
  now: Instant,
): JsonObject {
  const { reach, mode, ipv4HomeAddress, lifetime, expiresAt } = binding;
  const times = { lifetimeSeconds: lifetime, remainingSeconds: elapsed(now, expiresAt) };
  return {
    ...{ kind: "correspondent-binding", homeAddress, self, careOf: reach.careOf, sequence, ...times },
    ...(ipv4HomeAddress !== undefined && { ipv4HomeAddress }),
    ...(mode !== undefined && { mode }),
    ...(reach.via === "udp" && { observed: reach.observed }),
  };
}

export interface ParsedRecord extends Pair, Pick<Binding, "reach" | "mode" | "ipv4HomeAddress"> {
  readonly key: string;
  readonly family: Family;
  readonly sequence: Seq16;
  readonly lifetimeSeconds: ReturnType<typeof seconds>;
  readonly remainingSeconds: ReturnType<typeof seconds>;
}

/** As of its age later; undefined: it is none, or its time is over. */
export function parseRecord({ record, ageSeconds }: StoredBinding): ParsedRecord | undefined {
  const [homeAddress, self] = [record["homeAddress"], record["self"]].map((value) => read(value, parseIpv6));
  const ipv4HomeAddress = read(record["ipv4HomeAddress"], parseIpv4);
  const reach = reachOf(read(record["careOf"], parseIp), record["observed"]);
  const { kind, sequence, mode, lifetimeSeconds, remainingSeconds } = record as Record<string, unknown>;
  if (kind !== "correspondent-binding" || homeAddress === undefined || self === undefined || reach === undefined)
    return;
  if (record["ipv4HomeAddress"] !== undefined && ipv4HomeAddress === undefined) return;
  if (mode !== undefined && !isMode(mode)) return;
  if (typeof sequence !== "number" || seq16(sequence) !== sequence) return;
  if (typeof lifetimeSeconds !== "number" || typeof remainingSeconds !== "number") return;
  const left = Math.min(remainingSeconds, lifetimeSeconds) - Math.max(0, ageSeconds);
  if (!(left > 0) || lifetimeSeconds > RETURN_ROUTABILITY_TIMERS.binding.default) return;
  const family = ipv4HomeAddress === undefined ? "ipv6" : "ipv4";
  return {
    ...{ key: entryKey({ homeAddress, self }, family), family, homeAddress, self, reach, sequence: seq16(sequence) },
    ...(ipv4HomeAddress !== undefined && { ipv4HomeAddress }),
    ...(mode !== undefined && { mode }),
    lifetimeSeconds: seconds(lifetimeSeconds),
    remainingSeconds: seconds(left),
  };
}

const read = <A>(value: unknown, parse: (text: string) => A | undefined): A | undefined =>
  typeof value === "string" ? parse(value) : undefined;

const isMode = (value: unknown): value is Ipv4Mode => IPV4_MODES.some((one) => one === value);

function reachOf(careOf: IpAddress | undefined, observed: unknown): Reach | undefined {
  if (careOf === undefined) return undefined;
  if (isIpv6(careOf)) return { via: "headers", careOf };
  if (!isIpv4(careOf)) return undefined;
  if (observed === undefined) return { via: "ipv4", careOf };
  const seen = observedOf(observed);
  return seen && { via: "udp", careOf, observed: seen };
}

function observedOf(value: unknown): { readonly address: Ipv4Address; readonly port: number } | undefined {
  if (typeof value !== "object" || value === null || !("address" in value) || !("port" in value)) return undefined;
  const address = read(value.address, parseIpv4);
  const { port } = value;
  const isPort = typeof port === "number" && Number.isInteger(port) && port > 0 && port <= 0xffff;
  return address === undefined || !isPort ? undefined : { address, port };
}
