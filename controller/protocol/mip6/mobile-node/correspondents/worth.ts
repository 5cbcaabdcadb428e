/** Which correspondents are worth a direct path: the operator's prefixes, the age of a flow, how many, and how it went before. */
import { type IpAddress, type Ipv6Address, isIpv4, isRoutableUnicast, prefixContains } from "../../../../base/ip.js";
import { after, type Instant, instant, type Seconds, seconds } from "../../../../base/time.js";
import { backOff } from "../timers.js";
import { begin } from "./entries.js";
import { type CorrespondentsSite, type Entry, keyOf, type Turn } from "./model.js";
import { ipv4Of, ipv6Of, isPossible } from "./modes.js";
import { ASKED_TOGETHER, CANDIDATE_MEMORY, FULL_PAUSE, REFUSED_PAUSE, REMEMBERED } from "./timers.js";

/** Whether the policy lets this address be a correspondent at all. The home agent is none: what is sent to it has a way of its own. */
export function isWorth(
  correspondent: Ipv6Address,
  { allow, deny, homeAgent, homeAddress }: CorrespondentsSite,
): boolean {
  if (!isRoutableUnicast(correspondent) || correspondent === homeAgent || correspondent === homeAddress) return false;
  const within = (prefix: CorrespondentsSite["allow"][number]): boolean => prefixContains(prefix, correspondent);
  return allow.some(within) && !deny.some(within);
}

/** Payload flows by way of the home agent. The first question notes it, the next one after the minimum age begins a procedure. */
export function demanded(correspondent: IpAddress, turn: Turn): void {
  const { site, now, entries, candidates, pauses, whereabouts } = turn;
  const entry = entries.get(correspondent);
  if (entry !== undefined && entry.phase !== "left") return;
  if (whereabouts.kind !== "away" || turn.stopping !== "no") return;
  const pause = pauses.get(correspondent);
  if (pause !== undefined && pause.until > now) return;
  const ends = endsOf(correspondent, turn);
  if (ends === undefined || !isWorth(ends.correspondent, site))
    return pauseFor(correspondent, REFUSED_PAUSE, "policy", turn);
  if (!isPossible(ends, whereabouts.careOf, turn)) return;
  const candidate = candidates.get(correspondent);
  if (site.minimumAge > 0 && (candidate === undefined || after(candidate.since, site.minimumAge) > now)) {
    if (candidate === undefined) {
      candidates.set(correspondent, { since: now, askAt: togetherWith(after(now, site.minimumAge)) });
      forgetOldest(candidates);
    }
    return;
  }
  if (!turn.pairs.has(ends.correspondent) && turn.pairs.size >= site.maximum)
    return pauseFor(correspondent, FULL_PAUSE, "maximum", turn);
  candidates.delete(correspondent);
  begin(ends, turn);
}

/** Whose entry it would be. Undefined: nobody knows to whom the IPv4 address belongs (RO-7-01). */
function endsOf(asked: IpAddress, { site, whereabouts }: Turn): Pick<Entry, "correspondent" | "ipv4"> | undefined {
  if (!isIpv4(asked)) return { correspondent: asked };
  const correspondent = ipv6Of(site, asked);
  const homeAddress = whereabouts.kind === "away" ? whereabouts.ipv4HomeAddress : undefined;
  if (correspondent === undefined || homeAddress === undefined) return undefined;
  return { correspondent, ipv4: { homeAddress, correspondent: asked } };
}

/** The end of the time in which this is, of those that are asked about together. */
function togetherWith(due: Instant): Instant {
  const together = ASKED_TOGETHER * 1000;
  return instant(Math.ceil(due / together) * together);
}

/** After a failure; each one makes the next pause twice as long. */
export function pauseAfterFailure(
  entry: Pick<Entry, "correspondent" | "ipv4">,
  { first, most, reason }: { readonly first: Seconds; readonly most: Seconds; readonly reason: string },
  turn: Turn,
): void {
  const key = keyOf(entry);
  const failures = turn.pauses.get(key)?.failures ?? 0;
  setPause(key, backOff(first, failures, most), failures + 1, reason, turn);
}

function pauseFor(correspondent: IpAddress, pause: Seconds, reason: string, turn: Turn): void {
  setPause(correspondent, pause, turn.pauses.get(correspondent)?.failures ?? 0, reason, turn);
}

function setPause(correspondent: IpAddress, pause: Seconds, failures: number, reason: string, turn: Turn): void {
  const { pauses, candidates, site, now } = turn;
  candidates.delete(correspondent);
  pauses.delete(correspondent);
  const until = after(now, pause);
  // How often it has failed counts for twice as long again.
  pauses.set(correspondent, { until, lifted: false, forgetAt: after(until, seconds(2 * pause)), failures, reason });
  turn.effects.push({ kind: "silence", homeAddress: site.homeAddress, correspondent, silent: true });
  for (const forgotten of forgetOldest(pauses))
    turn.effects.push({ kind: "silence", homeAddress: site.homeAddress, correspondent: forgotten, silent: false });
}

/** How it went before counts no more, of one correspondent or of all: who still sends is told of again. */
export function forgetPauses(correspondent: IpAddress | undefined, { pauses, site, effects }: Turn): void {
  const { homeAddress } = site;
  // Of both addresses of the correspondent.
  const others = correspondent === undefined || isIpv4(correspondent) ? undefined : ipv4Of(site, correspondent);
  const unanswered: IpAddress[] = [];
  for (const [one, { lifted }] of pauses) {
    if (correspondent !== undefined && one !== correspondent && one !== others) continue;
    pauses.delete(one);
    if (lifted) continue;
    effects.push({ kind: "silence", homeAddress, correspondent: one, silent: false });
    unanswered.push(one);
  }
  if (unanswered.length > 0) effects.push({ kind: "ask-again", homeAddress, unanswered });
}

function forgetOldest(map: Map<IpAddress, unknown>): readonly IpAddress[] {
  const oldest = [...map.keys()].slice(0, Math.max(0, map.size - REMEMBERED));
  for (const one of oldest) map.delete(one);
  return oldest;
}

/** Questions that are due, and pauses and candidates whose time is over. */
export function passWaits(turn: Turn): void {
  const { candidates, pauses, site, now } = turn;
  const { homeAddress } = site;
  const unanswered: IpAddress[] = [];
  for (const [correspondent, candidate] of candidates) {
    if (candidate.askAt !== undefined && candidate.askAt <= now) {
      unanswered.push(correspondent);
      candidates.set(correspondent, { ...candidate, askAt: undefined });
    } else if (forgottenAt(candidate.since, site) <= now) candidates.delete(correspondent);
  }
  for (const [correspondent, pause] of pauses) {
    if (pause.forgetAt <= now) pauses.delete(correspondent);
    if (pause.until > now || pause.lifted) continue;
    if (pause.forgetAt > now) pauses.set(correspondent, { ...pause, lifted: true });
    turn.effects.push({ kind: "silence", homeAddress, correspondent, silent: false });
    unanswered.push(correspondent);
  }
  if (unanswered.length > 0) turn.effects.push({ kind: "ask-again", homeAddress, unanswered });
}

export const forgottenAt = (since: Turn["now"], { minimumAge }: CorrespondentsSite): Turn["now"] =>
  after(since, seconds(minimumAge + CANDIDATE_MEMORY));
