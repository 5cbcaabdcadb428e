/**
 * The kernel objects of each pair of a home address of ours and another address: what the node wants as the mobile end (`direct`), and what it
 * wants as the other's correspondent (`bound`). The kernel takes one policy for a pair and direction, so both make one group; each end hears
 * of the revision that it has asked for itself.
 */
import type { Ipv6Address } from "../../base/ip.js";
import type { KernelObject } from "../../plan/objects/objects.js";
import type { CorrespondentPath } from "../../protocol/mip6/correspondent-node/path.js";
import type { DirectPath } from "../../protocol/mip6/mobile-node/correspondents/inputs.js";
import type { GroupResult } from "../../reconcile/reconciler.js";
import type { GroupState, ServiceGroups } from "../groups.js";

export interface PairEnds {
  readonly direct?: DirectPath | undefined;
  readonly bound?: CorrespondentPath | undefined;
}
export type PairEnd = keyof PairEnds;

export interface PairGroupsParts {
  readonly groups: Pick<ServiceGroups, "setGroup" | "stateOf">;
  readonly plan: (other: Ipv6Address, ends: PairEnds) => readonly KernelObject[];
}

/** The kernel's answer to one end for its revision. */
export type EndAnswered = (other: Ipv6Address, revision: number, failure: GroupResult["failure"]) => void;

interface Waiting {
  /** The end's own. */
  readonly revision: number;
  /** The group's first one in which it is. */
  readonly since: number;
}

interface Pair extends PairEnds {
  readonly waiting: Readonly<Partial<Record<PairEnd, Waiting>>>;
}

const GROUP = "pair ";
const NOTHING: Pair = { waiting: {} };

export class PairGroups {
  readonly #parts: PairGroupsParts;
  readonly #pairs = new Map<Ipv6Address, Pair>();
  readonly #listeners = new Map<PairEnd, EndAnswered>();
  #revision = 0;
  /** The last one of what is wanted together with the site. */
  #prepared = 0;
  /** Changed since. */
  readonly #changed = new Set<Ipv6Address>();
  #begun = false;

  constructor(parts: PairGroupsParts) {
    this.#parts = parts;
  }

  onAnswered(end: PairEnd, listener: EndAnswered): void {
    this.#listeners.set(end, listener);
  }

  /** `revision`: the end's own, which its answer bears; absent: it waits for none. */
  set<End extends PairEnd>(end: End, other: Ipv6Address, path: PairEnds[End], revision?: number): void {
    const { waiting, ...ends } = this.#pairs.get(other) ?? NOTHING;
    this.#revision += 1;
    const { [end]: _, ...others } = waiting;
    const own = revision === undefined ? {} : { [end]: { revision, since: this.#revision } };
    this.#pairs.set(other, { ...ends, [end]: path, waiting: { ...others, ...own } });
    this.#want(other);
  }

  /** What both ends want is made of something else now. */
  replan(other: Ipv6Address): void {
    if (!this.#pairs.has(other)) return;
    this.#revision += 1;
    this.#want(other);
  }

  get(other: Ipv6Address): PairEnds {
    return this.#pairs.get(other) ?? NOTHING;
  }

  /** The other addresses for which this end has a path. */
  *others(end: PairEnd): Generator<Ipv6Address, void> {
    for (const [other, pair] of this.#pairs) if (pair[end] !== undefined) yield other;
  }

  objectsOf(other: Ipv6Address): readonly KernelObject[] {
    const pair = this.#pairs.get(other);
    return pair === undefined ? [] : this.#parts.plan(other, pair);
  }

  /** By their names. */
  groups(): ReadonlyMap<string, readonly KernelObject[]> {
    return new Map([...this.#pairs.keys()].map((other) => [GROUP + other, this.objectsOf(other)]));
  }

  stateOf(other: Ipv6Address): GroupState {
    return this.#parts.groups.stateOf(GROUP + other);
  }

  /** What was set before this: it is wanted together with the site, and `begin` says that it is there. */
  prepare(): ReadonlyMap<string, readonly KernelObject[]> {
    this.#prepared = this.#revision;
    this.#changed.clear();
    return this.groups();
  }

  begin(): void {
    this.#begun = true;
    for (const other of this.#changed) this.#want(other);
    for (const other of [...this.#pairs.keys()]) this.#answer(other, this.#prepared, undefined);
  }

  /** Whether the group is one of these. */
  onGroupResult({ group, revision, failure }: GroupResult): boolean {
    if (!group.startsWith(GROUP)) return false;
    this.#answer(group.slice(GROUP.length) as Ipv6Address, revision, failure);
    return true;
  }

  #answer(other: Ipv6Address, revision: number, failure: GroupResult["failure"]): void {
    const pair = this.#pairs.get(other);
    if (pair === undefined) return;
    const all = Object.entries(pair.waiting) as [PairEnd, Waiting][];
    const answered = all.filter(([, { since }]) => since <= revision);
    const waiting = Object.fromEntries(all.filter(([, { since }]) => since > revision));
    if (pair.direct === undefined && pair.bound === undefined && Object.keys(waiting).length === 0)
      this.#pairs.delete(other);
    else this.#pairs.set(other, { ...pair, waiting });
    for (const [end, own] of answered) this.#listeners.get(end)?.(other, own.revision, failure);
  }

  #want(other: Ipv6Address): void {
    if (!this.#begun) return void this.#changed.add(other);
    this.#parts.groups.setGroup(GROUP + other, this.objectsOf(other), this.#revision);
  }
}
