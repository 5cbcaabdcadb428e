/**
 * What the journal keeps of a correspondent: that it has a binding of ours, and where that leads. A restart goes on with the direct path,
 * and proves the addresses anew: tokens are never written.
 */
import { type Ipv6Address, parseIpv6 } from "../../../../base/ip.js";
import { seq16 } from "../../../../base/seq16.js";
import { after, elapsed, type Instant, seconds } from "../../../../base/time.js";
import type { CorrespondentRecord } from "./inputs.js";
import { type Entry, UNPROVEN } from "./model.js";

export function recordOf({ correspondent, binding, lastSequence }: Entry, now: Instant): CorrespondentRecord | null {
  if (binding === undefined) return null;
  return {
    correspondent,
    careOf: binding.careOf,
    sequence: lastSequence,
    lifetimeSeconds: binding.lifetime,
    remainingSeconds: Math.max(0, elapsed(now, binding.expiresAt)),
  };
}

/** The entry of a record that was written `ageSeconds` ago; undefined if its binding has ended since, or it is no such record. */
export function restoredEntry(record: CorrespondentRecord, ageSeconds: number, now: Instant): Entry | undefined {
  const { sequence, lifetimeSeconds, remainingSeconds } = record;
  const correspondent = address(record["correspondent"]);
  const careOf = address(record["careOf"]);
  if (correspondent === undefined || careOf === undefined) return undefined;
  if (!isNumber(sequence) || !isNumber(lifetimeSeconds) || !isNumber(remainingSeconds)) return undefined;
  const remaining = Math.min(remainingSeconds, lifetimeSeconds) - Math.max(0, ageSeconds);
  if (!(remaining > 0)) return undefined;
  const lastSequence = seq16(sequence);
  const binding = {
    careOf,
    sequence: lastSequence,
    lifetime: seconds(lifetimeSeconds),
    acceptedAt: after(now, seconds(remaining - lifetimeSeconds)),
    expiresAt: after(now, seconds(remaining)),
    // There are no tokens with which it could be moved or taken back.
    renewAt: now,
  };
  return {
    ...{ correspondent, phase: "held", careOf: undefined, homeTest: UNPROVEN(now), careOfTest: UNPROVEN(now) },
    ...{ sent: [], attempts: 0, sendAt: now, lastSequence, binding, former: [], path: undefined },
    ...{
      messages: 0,
      startedAt: now,
      usedAt: now,
      lapses: 0,
      recent: { "home-test": [], "care-of-test": [], update: [] },
    },
  };
}

const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);
const address = (value: unknown): Ipv6Address | undefined => (typeof value === "string" ? parseIpv6(value) : undefined);
