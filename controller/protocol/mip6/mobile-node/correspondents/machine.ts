/**
 * Route optimisation at the mobile node as a machine, one for each home address: `step(state, input, now, cookie)` is the only thing that
 * changes its state, and effects are all it asks for.
 *
 * Theory of operation. Payload of the home address to somebody without a direct path is told as *demand*; who is worth it (worth.ts) gets
 * an *entry*. Both tests leave together ("testing"); with both tokens the kernel makes the path ready and the binding update leaves
 * ("updating"); its acknowledgement sends payload directly ("bound"), until tokens grow old and it begins again, while the binding holds.
 * A move is told here when the home agent has accepted it: payload goes by way of the home agent until the correspondent has, too. Coming
 * home, reaching a network without IPv6, a failure or disuse take the binding back from the home address, with the home token alone
 * ("leaving"). Who fails is left to the home agent for a while ("pause").
 *
 * Must not know: sockets, keys made of tokens, octets of messages, what a path is made of.
 */
import { type Ipv6Address, isIpv4 } from "../../../../base/ip.js";
import { exhaustive } from "../../../../base/result.js";
import { after, earliest, type Instant, seconds } from "../../../../base/time.js";
import { unsupported } from "./answers.js";
import { leave, restart } from "./entries.js";
import { hear } from "./hearing.js";
import type { CorrespondentsEffect, CorrespondentsInput, Whereabouts } from "./inputs.js";
import { type CorrespondentsState, type Entry, keyOf, NEW_PAIR, type Turn } from "./model.js";
import { ipv4Of, isPossible } from "./modes.js";
import { entriesOf, settlePath } from "./path.js";
import { advance, deadline, fail } from "./procedure.js";
import { restoredEntry } from "./record.js";
import { LAST_GRACE, USAGE_LOOK } from "./timers.js";
import { demanded, forgetPauses, forgottenAt, isWorth, passWaits } from "./worth.js";

export type { CorrespondentsEffect, CorrespondentsInput, DirectPath } from "./inputs.js";
export { type CorrespondentsSite, type CorrespondentsState, initialCorrespondents } from "./model.js";

export interface CorrespondentsStep {
  readonly state: CorrespondentsState;
  readonly effects: readonly CorrespondentsEffect[];
}

/** One input at one instant. `now` never goes back. `cookie`: gives 8 fresh random octets. */
export function step(
  state: CorrespondentsState,
  input: CorrespondentsInput,
  now: Instant,
  cookie: () => Uint8Array,
): CorrespondentsStep {
  if (state.stopping === "stopped") return { state, effects: [] };
  const { entries, pairs, candidates, pauses, ...rest } = state;
  const copies = { entries: new Map(entries), pairs: new Map(pairs) };
  const notes = { candidates: new Map(candidates), pauses: new Map(pauses) };
  const turn: Turn = { ...rest, ...copies, ...notes, now, cookie, effects: [] };
  apply(input, turn);
  for (const entry of turn.entries.values()) put(advance(entry, turn), turn);
  passWaits(turn);
  look(turn);
  if (turn.stopping === "leaving" && turn.entries.size === 0) {
    turn.stopping = "stopped";
    turn.effects.push({ kind: "stopped" });
  }
  const { effects, now: _now, cookie: _cookie, ...next } = turn;
  return { state: next, effects };
}

/** When to give the next timer input, unless another input comes first; any step may change it. Undefined: nothing to wait for. */
export function nextDeadline(state: CorrespondentsState, now: Instant): Instant | undefined {
  if (state.stopping === "stopped") return undefined;
  const { site, whereabouts, stopping, pairs } = state;
  let first = state.lookAt;
  for (const entry of state.entries.values())
    first = earliest(first, deadline(entry, { now, whereabouts, stopping, pairs }));
  for (const { since, askAt } of state.candidates.values()) first = earliest(first, askAt ?? forgottenAt(since, site));
  for (const { until, lifted, forgetAt } of state.pauses.values()) first = earliest(first, lifted ? forgetAt : until);
  return first;
}

function put(entry: Entry | undefined, turn: Turn): void {
  // Who ended it has taken it out already.
  if (entry !== undefined) turn.entries.set(keyOf(entry), entry);
}

function apply(input: CorrespondentsInput, turn: Turn): void {
  switch (input.kind) {
    case "whereabouts":
      return relocated(input.whereabouts, turn);
    case "demand":
      return isOurs(input, turn) ? demanded(input.correspondent, turn) : undefined;
    case "used":
      return isOurs(input, turn) ? used(input.correspondent, input.lastUsedAgoSeconds, turn) : undefined;
    case "message":
      return hear(input, turn);
    case "programmed":
      return isOurs(input, turn) ? programmed(input, turn) : undefined;
    case "unsupported":
      if (isOurs(input, turn))
        for (const entry of entriesOf(input.correspondent, turn)) put(unsupported(entry, turn), turn);
      return;
    case "timer":
      return;
    case "restore": {
      const entry = restoredEntry(input.record, input.ageSeconds, turn.now);
      // Whose addresses are not known to belong together any more nobody could answer.
      if (entry === undefined || !isConfigured(entry, turn)) return;
      turn.pairs.set(entry.correspondent, NEW_PAIR);
      // The policy may be another one by now.
      put(isWorth(entry.correspondent, turn.site) ? entry : leave(entry, "policy", turn), turn);
      return;
    }
    case "forget":
      for (const [key, entry] of turn.entries)
        if (input.correspondent === undefined || [key, entry.correspondent].includes(input.correspondent))
          put(leave(entry, "command", turn), turn);
      forgetPauses(input.correspondent, turn);
      return;
    case "stop":
      turn.stopping = "leaving";
      turn.candidates.clear();
      for (const entry of turn.entries.values()) {
        const last = after(turn.now, LAST_GRACE);
        const former = entry.former.map((one) => ({ ...one, until: earliest(one.until, last) ?? last }));
        put(leave({ ...entry, former }, "stop", turn), turn);
      }
      return;
    default:
      return exhaustive(input);
  }
}

const isOurs = ({ homeAddress }: { readonly homeAddress: Ipv6Address }, { site }: Turn): boolean =>
  homeAddress === site.homeAddress;

function isConfigured({ correspondent, ipv4, binding }: Entry, { site }: Turn): boolean {
  const end = ipv4Of(site, correspondent);
  if (ipv4 !== undefined) return end === ipv4.correspondent;
  return end !== undefined || binding === undefined || !isIpv4(binding.careOf);
}

function relocated(whereabouts: Whereabouts, turn: Turn): void {
  const before = turn.whereabouts;
  turn.whereabouts = whereabouts;
  if (whereabouts.kind === "home") turn.candidates.clear();
  for (const entry of turn.entries.values()) put(carried(entry, whereabouts, turn), turn);
  // Who began to send elsewhere asks once only.
  if (whereabouts.kind === "away" && before.kind !== "away")
    turn.effects.push({
      ...{ kind: "ask-again", homeAddress: turn.site.homeAddress },
      unanswered: [...turn.candidates.keys()],
    });
}

/** The entry where the node is now. */
function carried(entry: Entry, whereabouts: Whereabouts, turn: Turn): Entry | undefined {
  const { now } = turn;
  if (entry.phase === "left") return entry;
  if (entry.phase === "leaving") {
    const homeTest = { ...entry.homeTest, cookies: [], attempts: 0, sendAt: now };
    return { ...entry, homeTest, attempts: 0, sendAt: now };
  }
  switch (whereabouts.kind) {
    case "away": {
      const { careOf } = whereabouts;
      if (!isPossible(entry, careOf, turn))
        return leave(entry, isIpv4(careOf) ? "network without IPv6" : "no IPv4 home address", turn);
      if (entry.careOf === careOf && entry.phase !== "held") return entry;
      const holds = entry.binding?.careOf === careOf && entry.binding.renewAt > now;
      if (holds && entry.careOf === careOf) return { ...entry, phase: "bound" };
      return restart(entry, careOf, now);
    }
    case "between":
      return whereabouts.careOf !== undefined && whereabouts.careOf === entry.careOf
        ? entry
        : { ...entry, phase: "held" };
    case "home":
      return leave(entry, "home", turn);
    default:
      return exhaustive(whereabouts);
  }
}

function programmed(
  { correspondent, revision, failure }: Extract<CorrespondentsInput, { readonly kind: "programmed" }>,
  turn: Turn,
): void {
  const pair = turn.pairs.get(correspondent);
  if (pair?.path === undefined || pair.path.path.revision !== revision) return;
  turn.pairs.set(correspondent, { ...pair, path: { ...pair.path, status: "realised" } });
  if (failure === undefined) return;
  // What the kernel refuses it may refuse again: the home agent's way needs nothing of it.
  for (const entry of entriesOf(correspondent, turn))
    if (entry.phase !== "leaving" && entry.phase !== "left") put(fail(entry, failure, turn), turn);
}

/** The kernel counts for both home addresses together. */
function used(correspondent: Ipv6Address, agoSeconds: number, turn: Turn): void {
  const { now, site } = turn;
  for (const entry of entriesOf(correspondent, turn)) {
    if (entry.binding === undefined) continue;
    const usedAt = Math.max(entry.usedAt, after(now, seconds(-Math.max(0, agoSeconds)))) as Instant;
    const next: Entry = { ...entry, usedAt };
    const isIdle = entry.phase === "bound" && after(usedAt, site.idle) <= now;
    const left = isIdle ? leave(next, "idle", turn) : next;
    put(left === undefined ? undefined : settlePath(left, turn), turn);
  }
}

/** Asks what the direct paths carry, every so often, while there are any. */
function look(turn: Turn): void {
  const { site, now } = turn;
  const isAny = [...turn.entries.values()].some(({ phase, binding }) => phase !== "leaving" && binding !== undefined);
  if (!isAny) {
    turn.lookAt = undefined;
    return;
  }
  if (turn.lookAt !== undefined && turn.lookAt <= now)
    turn.effects.push({ kind: "ask-usage", homeAddress: site.homeAddress });
  if (turn.lookAt === undefined || turn.lookAt <= now) {
    const interval = Math.min(Math.max(site.idle / 4, USAGE_LOOK.least), USAGE_LOOK.most);
    turn.lookAt = after(now, seconds(interval));
  }
}
