/**
 * The way of one entry: tests, update, renewal, farewell (RFC 6275 §5.2, §11.6, §11.7.2). Both tests leave together, the care-of test
 * first; a node that moves has a home token that still holds, and needs the care-of test alone.
 */

import { type IpAddress, isIpv4 } from "../../../../base/ip.js";
import { exhaustive } from "../../../../base/result.js";
import type { Instant } from "../../../../base/time.js";
import { earliest } from "../../../../base/time.js";
import { MAX_RO_FAILURE } from "../../return-routability/timers.js";
import { journal, leave, notify, remove, restart, unbound, usable } from "./entries.js";
import type { CorrespondentsState, Entry, Probe, Turn } from "./model.js";
import { pairOf, settlePath } from "./path.js";
import { sendCareOfTest, sendFarewell, sendHomeTest, sendRegistration } from "./sending.js";
import { FAILURE_PAUSE_FIRST, FAILURE_PAUSE_MAX, FAREWELLS, LAST_FAREWELLS } from "./timers.js";
import { pauseAfterFailure } from "./worth.js";

/** Goes on with whatever is due; undefined: the entry is no more. */
export function advance(before: Entry, turn: Turn): Entry | undefined {
  const { now } = turn;
  const former = before.former.filter(({ until }) => until > now);
  let entry = former.length === before.former.length ? before : { ...before, former };
  if (entry.binding !== undefined && entry.binding.expiresAt <= now) entry = expired(entry, turn);
  switch (entry.phase) {
    case "bound":
      return renew(entry, turn);
    case "testing":
      return test(entry, turn);
    case "updating":
      return update(entry, turn);
    case "leaving":
      return sayFarewell(settlePath(entry, turn), turn);
    case "held":
      if (entry.binding === undefined && entry.former.length === 0) return void remove(entry, turn);
      return settlePath(entry, turn);
    case "left":
      if (entry.former.length === 0) return void remove(entry, turn);
      return settlePath(entry, turn);
    default:
      return exhaustive(entry.phase);
  }
}

/** With new tests, or, to keep a NAT's mapping, with the tokens that there are. */
function renew(entry: Entry, turn: Turn): Entry | undefined {
  const { now } = turn;
  const { careOf, binding } = entry;
  if (careOf === undefined || binding === undefined) return settlePath(entry, turn);
  if (binding.renewAt <= now) return test(restart(entry, careOf, now, "fresh"), turn);
  if (binding.keepaliveAt !== undefined && binding.keepaliveAt <= now) return test(restart(entry, careOf, now), turn);
  return settlePath(entry, turn);
}

function expired(entry: Entry, turn: Turn): Entry {
  notify(entry, turn, "correspondent.lost", { reason: "lifetime" });
  if (entry.phase === "leaving") return unbound(entry, turn);
  const next: Entry = { ...entry, binding: undefined };
  journal(next, turn);
  return next;
}

/** Payload goes directly: a binding holds at the address that the procedure is about. */
const isDirect = ({ binding, careOf }: Entry): boolean => binding !== undefined && binding.careOf === careOf;

const isExhausted = ({ attempts, sendAt }: Probe, now: Instant): boolean => attempts >= MAX_RO_FAILURE && sendAt <= now;

function test(entry: Entry, turn: Turn): Entry | undefined {
  const { now } = turn;
  const { careOf, homeTest, careOfTest } = entry;
  if (careOf === undefined) return settlePath({ ...entry, phase: "held" }, turn);
  const home = usable(homeTest, now);
  const there = usable(careOfTest, now);
  if (home !== undefined && there !== undefined)
    return update({ ...entry, phase: "updating", attempts: 0, sendAt: now }, turn);
  const noHome = home === undefined && isExhausted(homeTest, now);
  const noCareOf = there === undefined && isExhausted(careOfTest, now);
  // While a binding holds, silence on the way of the home agent harms nothing. That on the direct way alone says that it carries nothing.
  if (isDirect(entry) ? noCareOf && home !== undefined : noHome || noCareOf)
    return fail(entry, noCareOf ? "care-of test unanswered" : "home test unanswered", turn);
  let next = entry;
  if (there === undefined && careOfTest.sendAt <= now) next = sendCareOfTest(next, careOf, turn);
  if (home === undefined && homeTest.sendAt <= now) next = sendHomeTest(next, turn);
  return settlePath(next, turn);
}

function update(before: Entry, turn: Turn): Entry | undefined {
  const { now } = turn;
  const entry = settlePath(before, turn);
  const { careOf } = entry;
  if (careOf === undefined) return { ...entry, phase: "held" };
  const { path } = pairOf(entry, turn);
  const isReady = path?.status === "realised" && path.path.careOf === careOf && path.path.stage !== "receiving";
  if (!isReady || entry.sendAt > now) return entry;
  if (entry.attempts >= MAX_RO_FAILURE && !isDirect(entry)) return fail(entry, "binding update unanswered", turn);
  const home = usable(entry.homeTest, now);
  const there = usable(entry.careOfTest, now);
  if (home === undefined || there === undefined) return test(restart(entry, careOf, now), turn);
  if (entry.attempts > 0 && isIpv4(careOf)) return testAgain(entry, careOf, turn);
  return sendRegistration(entry, careOf, { home, careOf: there }, turn);
}

/** A NAT that has got another port since the care-of test makes its token void without a word (C-49). */
function testAgain(entry: Entry, careOf: IpAddress, turn: Turn): Entry | undefined {
  const lapses = entry.lapses + 1;
  if (lapses > MAX_RO_FAILURE) return fail(entry, "binding update unanswered", turn);
  const careOfTest = { ...entry.careOfTest, proof: undefined };
  return test(restart({ ...entry, lapses, careOfTest }, careOf, turn.now), turn);
}

/** Back to the home agent, for a while. */
export function fail(entry: Entry, reason: string, turn: Turn, pause = DEFAULT_PAUSE): Entry | undefined {
  notify(entry, turn, "correspondent.failed", { reason });
  pauseAfterFailure(entry, { ...pause, reason }, turn);
  const next = leave(entry, reason, turn);
  return next === undefined ? undefined : settlePath(next, turn);
}
const DEFAULT_PAUSE = { first: FAILURE_PAUSE_FIRST, most: FAILURE_PAUSE_MAX } as const;

function sayFarewell(entry: Entry, turn: Turn): Entry | undefined {
  const { now } = turn;
  const due = farewellAt(entry, turn);
  if (due === undefined || due > now) return entry;
  if (isMute(turn) || isSilent(entry, turn)) return void remove(entry, turn);
  const home = usable(entry.homeTest, now);
  if (home === undefined) return sendHomeTest(entry, turn);
  return sendFarewell(entry, home, turn);
}

type Surroundings = Pick<Turn, "now" | "whereabouts" | "stopping"> & Pick<CorrespondentsState, "pairs">;

/** The node ends where it can say nothing to anybody. */
const isMute = ({ stopping, whereabouts }: Surroundings): boolean =>
  stopping !== "no" && whereabouts.kind === "between";

/** The correspondent says nothing to farewells, or to the home tests before them. */
const isSilent = ({ attempts, homeTest }: Entry, { stopping }: Surroundings): boolean => {
  const most = stopping === "no" ? FAREWELLS : LAST_FAREWELLS;
  return attempts >= most || homeTest.attempts >= most;
};

function farewellAt(entry: Entry, surroundings: Surroundings): Instant | undefined {
  const { now, whereabouts, stopping } = surroundings;
  if (isMute(surroundings)) return now;
  const next = entry.homeTest.attempts > 0 ? entry.homeTest.sendAt : entry.sendAt;
  // It sends to the care-of address until its binding ends, and that is taken.
  if (isSilent(entry, surroundings)) return stopping !== "no" || entry.binding === undefined ? next : undefined;
  if (whereabouts.kind === "between") return undefined;
  // What leaves from the home address must find no path that puts the option on it.
  const { path } = pairOf(entry, surroundings);
  if (path !== undefined && path.status !== "realised") return undefined;
  return usable(entry.homeTest, now) === undefined ? entry.homeTest.sendAt : entry.sendAt;
}

/** When something is due for the entry. */
export function deadline(entry: Entry, surroundings: Surroundings): Instant | undefined {
  const { phase, binding, homeTest, careOfTest } = entry;
  const { now } = surroundings;
  const { path } = pairOf(entry, surroundings);
  const ends = earliest(binding?.expiresAt, ...entry.former.map(({ until }) => until));
  switch (phase) {
    case "bound":
      return earliest(ends, binding?.renewAt, binding?.keepaliveAt);
    case "testing": {
      const home = usable(homeTest, now) === undefined ? homeTest.sendAt : undefined;
      const there = usable(careOfTest, now) === undefined ? careOfTest.sendAt : undefined;
      return earliest(ends, home, there);
    }
    case "updating":
      return earliest(ends, path?.status === "realised" ? entry.sendAt : undefined);
    case "leaving":
      return earliest(ends, farewellAt(entry, surroundings));
    case "held":
    case "left":
      return ends;
    default:
      return exhaustive(phase);
  }
}
