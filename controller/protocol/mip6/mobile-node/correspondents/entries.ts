/** Entries of the binding update list for correspondents: how they begin, what the kernel needs for them, how they end. */
import type { Ipv6Address } from "../../../../base/ip.js";
import { isAfter } from "../../../../base/seq16.js";
import { after, elapsed, type Instant, seconds } from "../../../../base/time.js";
import type { ProtocolEvent } from "../../inputs.js";
import type { DirectPath } from "./inputs.js";
import { type Entry, type Probe, type Proof, type Turn, UNPROVEN } from "./model.js";
import { recordOf } from "./record.js";
import { LAST_GRACE, TOKEN_USABLE } from "./timers.js";

export function notify(
  entry: Pick<Entry, "correspondent">,
  turn: Turn,
  event: ProtocolEvent["event"],
  detail: ProtocolEvent["detail"] = {},
): void {
  const { homeAddress } = turn.site;
  const all = { correspondent: entry.correspondent, ...detail };
  turn.effects.push({ kind: "notify", event: { event, homeAddress, detail: all } });
}

export function journal(entry: Entry, turn: Turn): void {
  turn.effects.push({ kind: "journal", correspondent: entry.correspondent, record: recordOf(entry, turn.now) });
}

export function begin(correspondent: Ipv6Address, turn: Turn): void {
  const { now, whereabouts } = turn;
  if (whereabouts.kind !== "away") return;
  const before = turn.entries.get(correspondent);
  const entry: Entry = {
    correspondent,
    phase: "testing",
    careOf: whereabouts.careOf,
    homeTest: UNPROVEN(now),
    careOfTest: UNPROVEN(now),
    sent: [],
    attempts: 0,
    sendAt: now,
    lastSequence: before?.lastSequence ?? turn.firstSequence,
    binding: undefined,
    former: before?.former ?? [],
    path: before?.path,
    messages: before?.messages ?? 0,
    startedAt: now,
    usedAt: now,
    lapses: 0,
    recent: before?.recent ?? { "home-test": [], "care-of-test": [], update: [] },
  };
  turn.entries.set(correspondent, entry);
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
export function restart(entry: Entry, careOf: Ipv6Address, now: Instant, tokens: "fresh" | "held" = "held"): Entry {
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

export function withFormer(entry: Entry, careOf: Ipv6Address | undefined, until: Instant): Entry["former"] {
  if (careOf === undefined) return entry.former;
  return [...entry.former.filter((one) => one.careOf !== careOf), { careOf, until }];
}

export function remove(entry: Entry, turn: Turn): void {
  const { correspondent, path, lastSequence } = entry;
  const { homeAddress } = turn.site;
  turn.entries.delete(correspondent);
  if (isAfter(lastSequence, turn.firstSequence)) turn.firstSequence = lastSequence;
  turn.effects.push({ kind: "journal", correspondent, record: null });
  if (path === undefined) return;
  turn.effects.push({ kind: "no-direct-path", homeAddress, correspondent });
  // A connected socket that was silent for long, or has begun meanwhile, is not told that the path is gone.
  if (turn.whereabouts.kind === "away" && turn.stopping === "no")
    turn.effects.push({ kind: "ask-again", homeAddress, unanswered: [] });
}

/** Asks for the path that the entry needs now, if it is another one. */
export function settlePath(entry: Entry, turn: Turn): Entry {
  const { homeAddress } = turn.site;
  const { correspondent, path } = entry;
  const content = wantedPath(entry, turn);
  if (content === undefined) {
    if (path !== undefined) turn.effects.push({ kind: "no-direct-path", homeAddress, correspondent });
    return path === undefined ? entry : { ...entry, path: undefined };
  }
  if (path !== undefined && sameContent(path.path, content)) return entry;
  const next: DirectPath = { homeAddress, correspondent, ...content, revision: (path?.path.revision ?? 0) + 1 };
  turn.effects.push({ kind: "direct-path", path: next });
  return { ...entry, path: { path: next, status: "pending" } };
}

type Content = Omit<DirectPath, "homeAddress" | "correspondent" | "revision">;

/**
 * Make before break: the way in at an address is there before the first update about it leaves, the way out changes when the correspondent
 * has accepted it, and what has been a way in stays one for the grace time.
 */
function wantedPath(entry: Entry, { whereabouts, now }: Turn): Content | undefined {
  const { binding, phase, careOf } = entry;
  const former = entry.former.flatMap((one) => (one.until > now ? [one.careOf] : [])).reverse();
  const present = whereabouts.kind === "away" || whereabouts.kind === "between" ? whereabouts.careOf : undefined;
  const about = (stage: Content["stage"], at: Ipv6Address, others: readonly Ipv6Address[]): Content => ({
    stage,
    careOf: at,
    ipv6: true,
    former: [...new Set(others)].filter((one) => one !== at),
  });
  const bound = binding === undefined ? [] : [binding.careOf];
  if (phase !== "leaving" && phase !== "left") {
    if (binding !== undefined && binding.careOf === present) return about("bound", present, former);
    const updates = phase === "updating" || binding !== undefined || entry.sent.length > 0 || former.length > 0;
    if (careOf !== undefined && careOf === present && updates) return about("updating", careOf, [...bound, ...former]);
  }
  const [first, ...rest] = [...bound, ...former];
  return first === undefined ? undefined : about("receiving", first, rest);
}

const sameContent = (a: Content, b: Content): boolean =>
  a.stage === b.stage && a.careOf === b.careOf && a.former.join() === b.former.join();
