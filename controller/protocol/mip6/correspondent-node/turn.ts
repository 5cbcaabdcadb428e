/** What one step of the correspondent node works on, and the effects that several parts of it have in common. */
import type { Secret } from "../../../base/secret.js";
import { elapsed, type Instant } from "../../../base/time.js";
import { type BindingErrorLimit, UNUSED_LIMIT } from "../binding-error.js";
import type { ProtocolEvent } from "../inputs.js";
import { sameReach } from "../return-routability/modes.js";
import { NonceTable } from "../return-routability/nonces.js";
import { type Binding, CorrespondentCache, type CorrespondentEntry, wantedOf } from "./binding-cache.js";
import type { CorrespondentDropReason, CorrespondentNodeEffect, Moment, Pair } from "./inputs.js";
import type { CorrespondentPath } from "./path.js";
import { recordOf } from "./record.js";
import type { CorrespondentNodeSite } from "./site.js";
import { LIMITS } from "./timers.js";

/** What a correspondent begins with; random, and told to nobody. */
export interface Beginning {
  /** KCN_OCTETS. Nothing keeps it: what an earlier run has given out is void. */
  readonly kcn: Secret;
  /** Any number, for the first index of a nonce. */
  readonly firstIndex: number;
}

/** Everything the correspondent node knows. Changed by `step` only. */
export class CorrespondentNodeState {
  readonly site: CorrespondentNodeSite;
  readonly kcn: Secret;
  readonly nonces: NonceTable;
  readonly cache = new CorrespondentCache();
  bindingErrors: BindingErrorLimit = UNUSED_LIMIT;
  readonly #answers = new Allowance(LIMITS.testRate.default, 2);
  readonly #refusals = new Allowance(LIMITS.refusalEvents.default, 5);
  /** Updates that the kernel was asked about. */
  #orders = 0;

  constructor(site: CorrespondentNodeSite, { kcn, firstIndex }: Beginning) {
    this.site = site;
    this.kcn = kcn;
    this.nonces = new NonceTable(firstIndex);
  }

  nextOrder(): number {
    return ++this.#orders;
  }

  /** Whether one more answer to what nobody vouches for may leave. */
  takeAnswer(now: Instant): boolean {
    return this.#answers.take(now);
  }

  /** Whether one more refusal is worth an event. */
  takeRefusalEvent(now: Instant): boolean {
    return this.#refusals.take(now);
  }
}

/** So many in each second, and a multiple of them at once. */
class Allowance {
  readonly #rate: number;
  readonly #most: number;
  #tokens: number;
  #filledAt: Instant | undefined;

  constructor(rate: number, atOnce: number) {
    this.#rate = rate;
    this.#most = rate * atOnce;
    this.#tokens = this.#most;
  }

  take(now: Instant): boolean {
    const gained = this.#filledAt === undefined ? 0 : Math.max(0, elapsed(this.#filledAt, now)) * this.#rate;
    this.#tokens = Math.min(this.#most, this.#tokens + gained);
    this.#filledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}

export interface Turn extends Moment {
  readonly state: CorrespondentNodeState;
  readonly effects: CorrespondentNodeEffect[];
}

export function drop(turn: Turn, reason: CorrespondentDropReason, detail: string): void {
  turn.effects.push({ kind: "drop", reason, detail });
}

export function notify(
  turn: Turn,
  event: ProtocolEvent["event"],
  { homeAddress, self }: Pick<CorrespondentEntry, "homeAddress" | "self">,
  detail: ProtocolEvent["detail"],
): void {
  turn.effects.push({ kind: "notify", event: { event, homeAddress, detail: { correspondent: self, ...detail } } });
}

/** Puts what is acknowledged of the entry into the journal. */
export function journal(turn: Turn, entry: CorrespondentEntry): void {
  const record = entry.binding === undefined ? null : recordOf(entry, entry.binding, turn.now);
  turn.effects.push({ kind: "journal", key: entry.key, record });
}

/** What the kernel is to have of a pair; undefined: nothing. Where its entries say different things, the one that was told last is right. */
export function pathOfPair({ cache, site }: CorrespondentNodeState, pair: Pair): CorrespondentPath | undefined {
  const { ipv6, ipv4 } = cache.pair(pair);
  const { homeAddress, self } = pair;
  const shared = (ipv6 ?? ipv4)?.shared;
  const [six, four] = [ipv6 && wantedOf(ipv6), ipv4 && wantedOf(ipv4)];
  if (shared === undefined || (six ?? four) === undefined) return undefined;
  const agree = six === undefined || four === undefined || sameReach(six.reach, four.reach);
  const ofIpv6 = agree || shared.latest === "ipv6" ? six?.reach : undefined;
  const ofIpv4 = agree || shared.latest === "ipv4" ? four : undefined;
  const ipv4Self = site.ipv4?.addresses.get(self);
  const former = new Set([...(six?.former ?? []), ...(four?.former ?? [])].map(({ address }) => address));
  for (const { reach } of [six, four].filter((one) => one !== undefined))
    if (reach.via === "headers") former.delete(reach.careOf);
  return {
    ...{ homeAddress, self },
    ...(ofIpv6 !== undefined && { ipv6: ofIpv6 }),
    ...(ofIpv4?.ipv4HomeAddress !== undefined &&
      ipv4Self !== undefined && {
        ipv4: { homeAddress: ofIpv4.ipv4HomeAddress, self: ipv4Self, reach: ofIpv4.reach },
      }),
    ...(ipv4Self !== undefined && { ipv4Self }),
    ...{ former: [...former], revision: shared.revision },
  };
}

/** Asks the kernel for what the entries of the pair want now. */
export function program({ state, effects }: Turn, { homeAddress, self, shared }: CorrespondentEntry): void {
  const { cache } = state;
  shared.revision = cache.nextRevision();
  const path = pathOfPair(state, { homeAddress, self });
  if (path !== undefined) effects.push({ kind: "data-path", path });
  else effects.push({ kind: "data-path-removed", homeAddress, self, revision: shared.revision });
}

/** What events tell of a binding. */
export const detailOf = ({ reach, mode, ipv4HomeAddress }: Binding): ProtocolEvent["detail"] => ({
  careOfAddress: reach.careOf,
  ...(reach.via === "udp" && { observed: `${reach.observed.address}:${reach.observed.port}` }),
  ...(ipv4HomeAddress !== undefined && { ipv4HomeAddress }),
  ...(mode !== undefined && { mode }),
});
