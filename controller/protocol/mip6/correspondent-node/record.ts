/**
 * What the journal keeps of a binding. Plain JSON values. Keys and nonces are not kept: an update with a token of an earlier run is asked to
 * get another one, so nothing of before a restart can be played back, and numbers of ended bindings need not be known.
 */
import { type Ipv6Address, parseIpv6 } from "../../../base/ip.js";
import { type Seq16, seq16 } from "../../../base/seq16.js";
import { elapsed, type Instant, seconds } from "../../../base/time.js";
import { RETURN_ROUTABILITY_TIMERS } from "../return-routability/timers.js";
import { type Binding, type CorrespondentEntry, pairKey } from "./binding-cache.js";
import type { Pair, StoredBinding } from "./inputs.js";

type JsonObject = Readonly<Record<string, unknown>>;

export function recordOf(
  { homeAddress, self, sequence }: CorrespondentEntry,
  binding: Binding,
  now: Instant,
): JsonObject {
  const { careOf, lifetime, expiresAt } = binding;
  const times = { lifetimeSeconds: lifetime, remainingSeconds: elapsed(now, expiresAt) };
  return { kind: "correspondent-binding", homeAddress, self, careOf, sequence, ...times };
}

export interface ParsedRecord extends Pair {
  readonly key: string;
  readonly careOf: Ipv6Address;
  readonly sequence: Seq16;
  readonly lifetimeSeconds: ReturnType<typeof seconds>;
  readonly remainingSeconds: ReturnType<typeof seconds>;
}

/** As of its age later; undefined: it is none, or its time is over. */
export function parseRecord({ record, ageSeconds }: StoredBinding): ParsedRecord | undefined {
  const [homeAddress, self, careOf] = [record["homeAddress"], record["self"], record["careOf"]].map(address);
  const { kind, sequence, lifetimeSeconds, remainingSeconds } = record as Record<string, unknown>;
  if (kind !== "correspondent-binding" || homeAddress === undefined || self === undefined || careOf === undefined)
    return;
  if (typeof sequence !== "number" || seq16(sequence) !== sequence) return;
  if (typeof lifetimeSeconds !== "number" || typeof remainingSeconds !== "number") return;
  const left = Math.min(remainingSeconds, lifetimeSeconds) - Math.max(0, ageSeconds);
  if (!(left > 0) || lifetimeSeconds > RETURN_ROUTABILITY_TIMERS.binding.default) return;
  return {
    ...{ key: pairKey({ homeAddress, self }), homeAddress, self, careOf, sequence: seq16(sequence) },
    lifetimeSeconds: seconds(lifetimeSeconds),
    remainingSeconds: seconds(left),
  };
}

const address = (value: unknown): Ipv6Address | undefined => (typeof value === "string" ? parseIpv6(value) : undefined);
