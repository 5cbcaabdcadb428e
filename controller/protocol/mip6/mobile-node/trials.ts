/**
 * Care-of addresses on trial. What the home agent has accepted goes on carrying payload while another address is tried, and is not let run
 * out for that: a trial that is in the way of its refresh ends. The refresh is the move back.
 */
import { after, earliest, elapsed, type Instant, seconds } from "../../../base/time.js";
import {
  type Attachment,
  type AttachmentMemory,
  careOfCandidates,
  careOfPresent,
  chooseAttachment,
  formatAttachment,
  isInUdp,
  sameAttachment,
  sameCareOf,
} from "../../movement/attachment.js";
import { fallenSilent, isSilent, nextTrial, pausesOver, silentAlike, silentNow } from "../../movement/silence.js";
import { LIMITS } from "../timers.js";
import { beginExchange, notify, type Turn } from "./exchange.js";
import type { MobileNodeState } from "./model.js";
import { memoryOf, startMove } from "./moves.js";

/** Unanswered updates after which another address is worth more (RFC 5555 §4.4.1 has three for IPv6). */
const VAIN = LIMITS.ipv6Attempts.default;
/** Less than that before the refresh of what works, a trial does not begin: it takes 1 + 2 + 4 s. */
const TRIAL = seconds(8);
/** Updates that a trial gets in any case, and how long the kernel may take to prepare for it. */
const LEAST_ATTEMPTS = 2;
const PREPARATION = seconds(1);

/**
 * The present target has not been answered: it counts as silent. With an untried IPv4 address at hand so do all other untried IPv6 ones, for
 * IPv4 comes next (RFC 5555 §4.4.1); not what is registered, which has answered.
 */
function givenUp(state: MobileNodeState, now: Instant): MobileNodeState {
  const { target, exchange, view, site, registration } = state;
  if (target?.kind !== "away" || view === undefined) return state;
  const { careOf } = target;
  const unanswered = (exchange?.earlier ?? 0) + (exchange?.attempts ?? VAIN);
  const silences = fallenSilent(state.silences, careOf, unanswered, now);
  const candidates = careOfCandidates(view, site);
  const ipv4Next = careOf.family === 6 && candidates.some((one) => one.family === 4 && !isSilent(silences, one, now));
  if (!ipv4Next) return { ...state, silences };
  const others = candidates.filter(
    (one) => one.family === 6 && !isInUdp(one) && !(registration !== undefined && sameCareOf(registration.careOf, one)),
  );
  return { ...state, silences: silentAlike(silences, others, careOf) };
}

/** Gives the present target up for the best other attachment; undefined: there is none. */
export function leave(state: MobileNodeState, turn: Turn): MobileNodeState | undefined {
  const next = givenUp(state, turn.now);
  const other = otherAttachment(next, turn.now);
  return other === undefined ? undefined : startMove(next, other, turn);
}

function otherAttachment(state: MobileNodeState, now: Instant): Attachment | undefined {
  const { view, site, target } = state;
  if (view === undefined) return undefined;
  const best = chooseAttachment(view, site, { ...memoryOf(state, now), silent: silentFor(state, now) });
  return sameAttachment(best, target) ? undefined : best;
}

/** Before the last resort has had its turn nobody gets a second one, though a pause be over by then. */
function silentFor({ site, silences }: MobileNodeState, now: Instant): AttachmentMemory["silent"] {
  const untried = site.udpOverIpv6 === true && !silences.some(({ careOf }) => isInUdp(careOf));
  return untried ? silences.filter(({ answeredAt }) => answeredAt === undefined) : silentNow(silences, now);
}

const vain = ({ target, exchange }: MobileNodeState): boolean => {
  const attempts = exchange?.attempts ?? 0;
  return target?.kind === "away" && attempts >= VAIN && attempts % VAIN === 0;
};

/** Another update was in vain; with every third one the address counts as silent. */
export const countSilence = (state: MobileNodeState, now: Instant): MobileNodeState =>
  vain(state) ? givenUp(state, now) : state;

/** After every third vain update the best other attachment is next; undefined: it is not time, or there is none. */
export function leaveSilence(state: MobileNodeState, turn: Turn): MobileNodeState | undefined {
  const { target, exchange } = state;
  const other = vain(state) ? otherAttachment(state, turn.now) : undefined;
  if (other === undefined || target?.kind !== "away") return undefined;
  const attempts = exchange?.attempts ?? 0;
  const reason = `no answer over IPv${target.careOf.family}`;
  notify(state, turn, "registration.failed", { reason, careOf: formatAttachment(target), attempts });
  return startMove(state, other, turn);
}

/**
 * When a trial has to end for the refresh of what works. Not before it has had a chance, or a handover that happens to meet a refresh would
 * wait for an uplink that is perhaps just going.
 */
function abandonedAt(state: MobileNodeState): Instant | undefined {
  const { phase, registration, target, view, exchange, silences, secured } = state;
  const trying = phase === "preparing" || phase === "registering";
  if (!trying || !secured || registration === undefined || target?.kind !== "away" || view === undefined)
    return undefined;
  const { careOf } = registration;
  const silent = silences.some((one) => one.retryAt !== undefined && sameCareOf(one.careOf, careOf));
  if (silent || !careOfPresent(view, careOf) || sameCareOf(careOf, target.careOf)) return undefined;
  if (exchange === undefined) return after(registration.refreshAt, PREPARATION);
  return exchange.attempts < LEAST_ATTEMPTS ? undefined : registration.refreshAt;
}

/** When `passTrials` has something to do. */
export function trialDeadline(state: MobileNodeState): Instant | undefined {
  const again = state.phase === "registered" ? nextTrial(state.silences) : undefined;
  return earliest(abandonedAt(state), again);
}

/** Ends a trial for the refresh of what works, or begins the next one; undefined: neither is due. */
export function passTrials(state: MobileNodeState, turn: Turn): MobileNodeState | undefined {
  const { now } = turn;
  const { registration, silences, view, site } = state;
  const abandon = abandonedAt(state);
  if (abandon !== undefined && abandon <= now && registration !== undefined) {
    const attempts = state.exchange?.attempts ?? 0;
    notify(state, turn, "registration.failed", { reason: "no answer before the binding's refresh is due", attempts });
    return startMove(givenUp(state, now), { kind: "away", careOf: registration.careOf }, turn);
  }
  const due = nextTrial(silences);
  if (state.phase !== "registered" || due === undefined || due > now || view === undefined) return undefined;
  if (registration !== undefined && refreshComesFirst(registration, now)) return beginExchange(state, turn);
  const next: MobileNodeState = { ...state, silences: pausesOver(silences, now) };
  const target = chooseAttachment(view, site, memoryOf(next, now));
  return sameAttachment(target, next.target) ? next : startMove(next, target, turn);
}

/** A binding so short that it always would has its trials ended instead. */
function refreshComesFirst(
  { refreshAt, acceptedAt }: NonNullable<MobileNodeState["registration"]>,
  now: Instant,
): boolean {
  return elapsed(now, refreshAt) < TRIAL && elapsed(acceptedAt, refreshAt) > 2 * TRIAL;
}
