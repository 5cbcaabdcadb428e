/** Entries of the binding update list for correspondents: how they begin, what the kernel needs for them, how they end. */
import type { IpAddress } from "../../../../base/ip.js";
import { isAfter, type Seq16, seq16 } from "../../../../base/seq16.js";
import { after, elapsed, type Instant, seconds } from "../../../../base/time.js";
import type { ProtocolEvent } from "../../inputs.js";
import { type Entry, keyOf, NEW_PAIR, type Probe, type Proof, type Turn, UNPROVEN } from "./model.js";
import { forgetPair } from "./path.js";
import { recordOf } from "./record.js";
import { LAST_GRACE, TOKEN_USABLE } from "./timers.js";

export function notify(
  entry: Pick<Entry, "correspondent" | "ipv4">,
  turn: Turn,
  event: ProtocolEvent["event"],
  detail: ProtocolEvent["detail"] = {},
): void {
  const { homeAddress } = turn.site;
  const { correspondent, ipv4 } = entry;
  const over = ipv4 && { ipv4HomeAddress: ipv4.homeAddress, ipv4Correspondent: ipv4.correspondent };
  const all = { correspondent, ...over, ...detail };
  turn.effects.push({ kind: "notify", event: { event, homeAddress, detail: all } });
}

export function journal(entry: Entry, turn: Turn): void {
  turn.effects.push({ kind: "journal", correspondent: keyOf(entry), record: recordOf(entry, turn.now) });
}

/** Numbers of the two entries of a correspondent begin far apart, so that an answer is one's alone. */
const opposite = (sequence: Seq16): Seq16 => seq16((sequence + 0x8000) & 0xffff);

export function begin({ correspondent, ipv4 }: Pick<Entry, "correspondent" | "ipv4">, turn: Turn): void {
  const { now, whereabouts } = turn;
  if (whereabouts.kind !== "away") return;
  const key = keyOf({ correspondent, ipv4 });
  const before = turn.entries.get(key);
  const first = ipv4 === undefined ? turn.firstSequence : opposite(turn.firstSequence);
  const entry: Entry = {
    correspondent,
    ...(ipv4 !== undefined && { ipv4 }),
    phase: "testing",
    careOf: whereabouts.careOf,
    homeTest: UNPROVEN(now),
    careOfTest: UNPROVEN(now),
    sent: [],
    attempts: 0,
    sendAt: now,
    lastSequence: before?.lastSequence ?? first,
    binding: undefined,
    former: before?.former ?? [],
    startedAt: now,
    usedAt: now,
    lapses: 0,
  };
  turn.entries.set(key, entry);
  if (!turn.pairs.has(correspondent)) turn.pairs.set(correspondent, NEW_PAIR);
  notify(entry, turn, "correspondent.started", { careOf: whereabouts.careOf });
}

/** What has been proved, if it may still be used. */
export function usable({ proof }: Probe, now: Instant): Proof | undefined {
  return proof !== undefined && elapsed(proof.at, now) < TOKEN_USABLE ? proof : undefined;
}

/**
 * Tells the correspondent anew where the node is: from `careOf`, and with the tokens that still hold unless `fresh` ones are wanted. A proof
 * of another care-of address is none.
 */
export function restart(entry: Entry, careOf: IpAddress, now: Instant, tokens: "fresh" | "held" = "held"): Entry {
  const again = (probe: Probe): Probe =>
    tokens === "fresh" ? UNPROVEN(now) : { ...probe, cookies: [], attempts: 0, sendAt: now };
  return {
    ...entry,
    phase: "testing",
    careOf,
    homeTest: again(entry.homeTest),
    careOfTest: careOf === entry.careOf ? again(entry.careOfTest) : UNPROVEN(now),
    attempts: 0,
    sendAt: now,
  };
}

/** Takes a binding back, or ends where there is none to be known of. Payload goes by way of the home agent from here on. */
export function leave(entry: Entry, reason: string, turn: Turn): Entry | undefined {
  const { now } = turn;
  if (entry.binding === undefined && entry.sent.every(({ lifetime }) => lifetime === 0)) {
    if (entry.former.length > 0) return { ...entry, phase: "left", sent: [] };
    remove(entry, turn);
    return undefined;
  }
  if (entry.phase === "leaving" || entry.phase === "left") return entry;
  notify(entry, turn, "correspondent.left", { reason });
  return {
    ...entry,
    phase: "leaving",
    homeTest: { ...entry.homeTest, cookies: [], attempts: 0, sendAt: now },
    attempts: 0,
    sendAt: now,
  };
}

/** The correspondent has no binding any more: what it sent before still comes in for the grace time. */
export function unbound(entry: Entry, turn: Turn): Entry {
  const { now, site, stopping } = turn;
  const grace = stopping === "no" ? site.grace : seconds(Math.min(site.grace, LAST_GRACE));
  const former = withFormer(entry, entry.binding?.careOf, after(now, grace));
  return { ...entry, phase: "left", binding: undefined, sent: [], former };
}

export function withFormer(entry: Entry, careOf: IpAddress | undefined, until: Instant): Entry["former"] {
  if (careOf === undefined) return entry.former;
  return [...entry.former.filter((one) => one.careOf !== careOf), { careOf, until }];
}

export function remove(entry: Entry, turn: Turn): void {
  const { correspondent, ipv4, lastSequence } = entry;
  const { homeAddress } = turn.site;
  turn.entries.delete(keyOf(entry));
  const last = ipv4 === undefined ? lastSequence : opposite(lastSequence);
  if (isAfter(last, turn.firstSequence)) turn.firstSequence = last;
  turn.effects.push({ kind: "journal", correspondent: keyOf(entry), record: null });
  if (!forgetPair(correspondent, turn)) return;
  // A connected socket that was silent for long, or has begun meanwhile, is not told that the path is gone.
  if (turn.whereabouts.kind === "away" && turn.stopping === "no")
    turn.effects.push({ kind: "ask-again", homeAddress, unanswered: [] });
}
