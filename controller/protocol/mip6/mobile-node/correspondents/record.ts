/**
 * What the journal keeps of a correspondent: that it has a binding of ours, and where that leads. A restart goes on with the direct path,
 * and proves the addresses anew: tokens are never written.
 */
import { type IpAddress, isIpv4, parseIp } from "../../../../base/ip.js";
import { seq16 } from "../../../../base/seq16.js";
import { after, elapsed, type Instant, seconds } from "../../../../base/time.js";
import { IPV4_MODES } from "../../return-routability/modes.js";
import type { CorrespondentRecord } from "./inputs.js";
import { type Entry, type Ipv4Ends, UNPROVEN } from "./model.js";

export function recordOf(
  { correspondent, ipv4, binding, lastSequence }: Entry,
  now: Instant,
): CorrespondentRecord | null {
  if (binding === undefined) return null;
  return {
    correspondent,
    ...(ipv4 !== undefined && { ipv4HomeAddress: ipv4.homeAddress, ipv4Correspondent: ipv4.correspondent }),
    careOf: binding.careOf,
    ...(binding.mode !== undefined && { mode: binding.mode }),
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
  if (correspondent === undefined || isIpv4(correspondent) || careOf === undefined) return undefined;
  const ipv4 = ipv4Ends(record);
  if (ipv4 === "bad") return undefined;
  const mode = IPV4_MODES.find((one) => one === record["mode"]);
  if (mode === undefined && (ipv4 !== undefined || isIpv4(careOf))) return undefined;
  if (!isNumber(sequence) || !isNumber(lifetimeSeconds) || !isNumber(remainingSeconds)) return undefined;
  const remaining = Math.min(remainingSeconds, lifetimeSeconds) - Math.max(0, ageSeconds);
  if (!(remaining > 0)) return undefined;
  const lastSequence = seq16(sequence);
  const binding = {
    careOf,
    ...(mode !== undefined && { mode }),
    sequence: lastSequence,
    lifetime: seconds(lifetimeSeconds),
    acceptedAt: after(now, seconds(remaining - lifetimeSeconds)),
    expiresAt: after(now, seconds(remaining)),
    // There are no tokens with which it could be moved or taken back.
    renewAt: now,
  };
  return {
    ...{ correspondent, phase: "held", careOf: undefined, homeTest: UNPROVEN(now), careOfTest: UNPROVEN(now) },
    ...{ sent: [], attempts: 0, sendAt: now, lastSequence, binding, former: [] },
    ...{ startedAt: now, usedAt: now, lapses: 0 },
    ...(ipv4 !== undefined && { ipv4 }),
  };
}

/** Undefined: the entry is of the IPv6 home address. */
function ipv4Ends(record: CorrespondentRecord): Ipv4Ends | "bad" | undefined {
  if (record["ipv4HomeAddress"] === undefined) return undefined;
  const [homeAddress, correspondent] = [address(record["ipv4HomeAddress"]), address(record["ipv4Correspondent"])];
  const isWhole = homeAddress !== undefined && correspondent !== undefined;
  return isWhole && isIpv4(homeAddress) && isIpv4(correspondent) ? { homeAddress, correspondent } : "bad";
}

const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);
const address = (value: unknown): IpAddress | undefined => (typeof value === "string" ? parseIp(value) : undefined);
