/** What one step of the correspondent node works on, and the effects that several parts of it have in common. */
import type { Secret } from "../../../base/secret.js";
import { elapsed, type Instant } from "../../../base/time.js";
import { type BindingErrorLimit, UNUSED_LIMIT } from "../binding-error.js";
import type { ProtocolEvent } from "../inputs.js";
import { NonceTable } from "../return-routability/nonces.js";
import { type Binding, CorrespondentCache, type CorrespondentEntry } from "./binding-cache.js";
import type { CorrespondentDropReason, CorrespondentNodeEffect, Moment } from "./inputs.js";
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
  /** Of answers to what nobody vouches for. */
  #tokens = 2 * LIMITS.testRate.default;
  #filledAt: Instant | undefined;

  constructor(site: CorrespondentNodeSite, { kcn, firstIndex }: Beginning) {
    this.site = site;
    this.kcn = kcn;
    this.nonces = new NonceTable(firstIndex);
  }

  /** Whether one more answer to what nobody vouches for may leave. */
  takeAnswer(now: Instant): boolean {
    const rate = LIMITS.testRate.default;
    const gained = this.#filledAt === undefined ? 0 : Math.max(0, elapsed(this.#filledAt, now)) * rate;
    this.#tokens = Math.min(2 * rate, this.#tokens + gained);
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

/** What the kernel is to have of a binding. */
export function pathOf({ homeAddress, self, revision }: CorrespondentEntry, binding: Binding): CorrespondentPath {
  const { careOf, former } = binding;
  const ipv6 = { via: "headers", careOf } as const;
  return { homeAddress, self, ipv6, former: former.map(({ address }) => address), revision };
}

export function program(turn: Turn, entry: CorrespondentEntry, binding: Binding): void {
  entry.revision = turn.state.cache.nextRevision();
  turn.effects.push({ kind: "data-path", path: pathOf(entry, binding) });
}

export function unprogram(turn: Turn, entry: CorrespondentEntry): void {
  entry.revision = turn.state.cache.nextRevision();
  const { homeAddress, self, revision } = entry;
  turn.effects.push({ kind: "data-path-removed", homeAddress, self, revision });
}
