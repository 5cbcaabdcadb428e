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
import type { Ipv6Address } from "../../../../base/ip.js";
import { exhaustive } from "../../../../base/result.js";
import { after, earliest, type Instant, seconds } from "../../../../base/time.js";
import { heard, unsupported } from "./answers.js";
import { leave, restart, settlePath } from "./entries.js";
import type { CorrespondentsEffect, CorrespondentsInput, Whereabouts } from "./inputs.js";
import type { CorrespondentsState, Entry, Turn } from "./model.js";
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
  const { entries, candidates, pauses, ...rest } = state;
  const copies = { entries: new Map(entries), candidates: new Map(candidates), pauses: new Map(pauses) };
  const turn: Turn = { ...rest, ...copies, now, cookie, effects: [] };
  apply(input, turn);
  for (const [correspondent, entry] of turn.entries) put(correspondent, advance(entry, turn), turn);
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
  const { site, whereabouts, stopping } = state;
  let first = state.lookAt;
  for (const entry of state.entries.values()) first = earliest(first, deadline(entry, { now, whereabouts, stopping }));
  for (const { since, askAt } of state.candidates.values()) first = earliest(first, askAt ?? forgottenAt(since, site));
  for (const { until, lifted, forgetAt } of state.pauses.values()) first = earliest(first, lifted ? forgetAt : until);
  return first;
}

function put(correspondent: Ipv6Address, entry: Entry | undefined, turn: Turn): void {
  // Who ended it has taken it out already.
  if (entry !== undefined) turn.entries.set(correspondent, entry);
}

function apply(input: CorrespondentsInput, turn: Turn): void {
  switch (input.kind) {
    case "whereabouts":
      return relocated(input.whereabouts, turn);
    case "demand":
      return isOurs(input, turn) ? demanded(input.correspondent, turn) : undefined;
    case "used":
      return isOurs(input, turn) ? used(input.correspondent, input.lastUsedAgoSeconds, turn) : undefined;
    case "message": {
      const { source, path } = input.arrival;
      const entry = turn.entries.get(source);
      if (entry !== undefined) {
        const isCounted = path.type === "native" && path.routingHeaderHomeAddress !== undefined;
        return put(source, heard(isCounted ? { ...entry, messages: entry.messages + 1 } : entry, input, turn), turn);
      }
      const reason = input.message.type === "binding-acknowledgement" ? "no-outstanding-update" : "unexpected-type";
      turn.effects.push({ kind: "drop", reason, detail: `${input.message.type} from ${source}` });
      return;
    }
    case "programmed":
      return isOurs(input, turn) ? programmed(input, turn) : undefined;
    case "unsupported": {
      const entry = isOurs(input, turn) ? turn.entries.get(input.correspondent) : undefined;
      return entry === undefined ? undefined : put(input.correspondent, unsupported(entry, turn), turn);
    }
    case "timer":
      return;
    case "restore": {
      const entry = restoredEntry(input.record, input.ageSeconds, turn.now);
      if (entry === undefined) return;
      // The policy may be another one by now.
      put(entry.correspondent, isWorth(entry.correspondent, turn.site) ? entry : leave(entry, "policy", turn), turn);
      return;
    }
    case "forget":
      for (const [correspondent, entry] of turn.entries)
        if (input.correspondent === undefined || input.correspondent === correspondent)
          put(correspondent, leave(entry, "command", turn), turn);
      forgetPauses(input.correspondent, turn);
      return;
    case "stop":
      turn.stopping = "leaving";
      turn.candidates.clear();
      for (const [correspondent, entry] of turn.entries) {
        const last = after(turn.now, LAST_GRACE);
        const former = entry.former.map((one) => ({ ...one, until: earliest(one.until, last) ?? last }));
        put(correspondent, leave({ ...entry, former }, "stop", turn), turn);
      }
      return;
    default:
      return exhaustive(input);
  }
}

const isOurs = ({ homeAddress }: { readonly homeAddress: Ipv6Address }, { site }: Turn): boolean =>
  homeAddress === site.homeAddress;

function relocated(whereabouts: Whereabouts, turn: Turn): void {
  const before = turn.whereabouts;
  turn.whereabouts = whereabouts;
  if (whereabouts.kind !== "away" && whereabouts.kind !== "between") turn.candidates.clear();
  for (const [correspondent, entry] of turn.entries) put(correspondent, carried(entry, whereabouts, turn), turn);
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
    case "away-ipv4":
      return leave(entry, "network without IPv6", turn);
    default:
      return exhaustive(whereabouts);
  }
}

function programmed(
  { correspondent, revision, failure }: Extract<CorrespondentsInput, { readonly kind: "programmed" }>,
  turn: Turn,
): void {
  const entry = turn.entries.get(correspondent);
  if (entry?.path === undefined || entry.path.path.revision !== revision) return;
  if (failure === undefined) return put(correspondent, { ...entry, path: { ...entry.path, status: "realised" } }, turn);
  // What the kernel refuses it may refuse again: the home agent's way needs nothing of it.
  if (entry.phase === "leaving" || entry.phase === "left")
    return put(correspondent, { ...entry, path: { ...entry.path, status: "realised" } }, turn);
  put(correspondent, fail(entry, failure, turn), turn);
}

function used(correspondent: Ipv6Address, agoSeconds: number, turn: Turn): void {
  const { now, site } = turn;
  const entry = turn.entries.get(correspondent);
  if (entry === undefined || entry.binding === undefined) return;
  const usedAt = Math.max(entry.usedAt, after(now, seconds(-Math.max(0, agoSeconds)))) as Instant;
  const next: Entry = { ...entry, usedAt };
  const isIdle = entry.phase === "bound" && after(usedAt, site.idle) <= now;
  const left = isIdle ? leave(next, "idle", turn) : next;
  put(correspondent, left === undefined ? undefined : settlePath(left, turn), turn);
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
