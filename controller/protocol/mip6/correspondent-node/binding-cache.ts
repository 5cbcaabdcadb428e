/**
 * The binding cache of a correspondent (RFC 6275 §9.1), one entry for each home address and address of ours. An entry without a binding only
 * keeps the last sequence number for as long as an update of before could be played back (§5.2.8). All calls are O(1) or O(log n).
 */
import { DeadlineQueue } from "../../../base/deadline-queue.js";
import type { Ipv6Address } from "../../../base/ip.js";
import type { Seq16 } from "../../../base/seq16.js";
import { earliest, type Instant, type Seconds } from "../../../base/time.js";
import type { AuthorizedSendEffect, Pair } from "./inputs.js";

/** A former care-of address, from which something may still be on its way. */
export interface Former {
  readonly address: Ipv6Address;
  readonly until: Instant;
}

/** What was acknowledged. */
export interface Binding {
  readonly careOf: Ipv6Address;
  readonly former: readonly Former[];
  readonly lifetime: Seconds;
  readonly expiresAt: Instant;
  /** When the node may be asked to refresh it; undefined: it was, as often as it may. */
  readonly askAt: Instant | undefined;
  readonly requests: number;
}

/** An accepted update that the kernel has not answered yet, or the end of a binding that it has not. */
export interface Waiting {
  readonly binding: Binding | undefined;
  readonly sequence: Seq16;
  readonly revision: number;
  readonly deadline: Instant;
  readonly answer: AuthorizedSendEffect | undefined;
  /** In the place of the answer, if the kernel refuses. */
  readonly denial: AuthorizedSendEffect | undefined;
}

export interface CorrespondentEntry extends Pair {
  readonly key: string;
  /** Of the last update that was taken. */
  sequence: Seq16;
  /** By then no update of before can be valid any more. */
  replayableUntil: Instant;
  binding: Binding | undefined;
  waiting: Waiting | undefined;
  /** Of the data path last asked for. */
  revision: number;
}

export const pairKey = ({ homeAddress, self }: Pair): string => `${homeAddress} ${self}`;

export class CorrespondentCache {
  readonly #entries = new Map<string, CorrespondentEntry>();
  readonly #deadlines = new DeadlineQueue<string>();
  /** Keys of entries that have a binding or are about to have one, the one that was refreshed longest ago first. */
  readonly #bound = new Set<string>();
  #revision = 0;

  /** Entries with a binding, or about to have one. */
  get bound(): number {
    return this.#bound.size;
  }

  get size(): number {
    return this.#entries.size;
  }

  get nextDeadline(): Instant | undefined {
    return this.#deadlines.next;
  }

  get(pair: Pair): CorrespondentEntry | undefined {
    return this.#entries.get(pairKey(pair));
  }

  entries(): IterableIterator<CorrespondentEntry> {
    return this.#entries.values();
  }

  /** The entry of this pair, made if there is none. */
  open(pair: Pair, sequence: Seq16, now: Instant): CorrespondentEntry {
    const present = this.get(pair);
    if (present !== undefined) return present;
    const key = pairKey(pair);
    const { homeAddress, self } = pair;
    const nothing = { binding: undefined, waiting: undefined, revision: 0 };
    const entry: CorrespondentEntry = { key, homeAddress, self, sequence, replayableUntil: now, ...nothing };
    this.#entries.set(key, entry);
    return entry;
  }

  forget(entry: CorrespondentEntry): void {
    this.#entries.delete(entry.key);
    this.#bound.delete(entry.key);
    this.#deadlines.set(entry.key, undefined);
  }

  /** Of those that have a binding the one that was taken longest ago, but not this one. */
  oldestBut(key: string): CorrespondentEntry | undefined {
    for (const one of this.#bound) if (one !== key) return this.#entries.get(one);
    return undefined;
  }

  /** An update was taken: it is the youngest now. */
  touch({ key }: CorrespondentEntry): void {
    this.#bound.delete(key);
    this.#bound.add(key);
  }

  /** To be called whenever something has changed that the entry's deadline or its being bound depends on. */
  settle(entry: CorrespondentEntry): void {
    const { binding, waiting, replayableUntil, key } = entry;
    const isBound = binding !== undefined || waiting?.binding !== undefined;
    if (!isBound) this.#bound.delete(key);
    else if (!this.#bound.has(key)) this.#bound.add(key);
    const ofBinding =
      binding === undefined
        ? replayableUntil
        : earliest(binding.expiresAt, binding.askAt, ...binding.former.map(({ until }) => until));
    this.#deadlines.set(key, waiting?.deadline ?? ofBinding);
  }

  takeDue(now: Instant): CorrespondentEntry | undefined {
    const key = this.#deadlines.takeDue(now);
    return key === undefined ? undefined : this.#entries.get(key);
  }

  nextRevision(): number {
    return ++this.#revision;
  }
}

/** What people see of a binding. */
export interface CorrespondentView extends Pair {
  readonly careOf: Ipv6Address;
  readonly state: "established" | "awaiting-data-path" | "updating" | "removing";
  readonly sequence: Seq16;
  readonly lifetimeSeconds: number;
  readonly remainingSeconds: number;
  readonly revision: number;
}

/** Undefined: it has none. */
export function viewOf(entry: CorrespondentEntry, now: Instant): CorrespondentView | undefined {
  const { homeAddress, self, waiting, revision } = entry;
  const binding = entry.binding ?? waiting?.binding;
  if (binding === undefined) return undefined;
  const state =
    waiting === undefined
      ? "established"
      : waiting.binding === undefined
        ? "removing"
        : entry.binding === undefined
          ? "awaiting-data-path"
          : "updating";
  return {
    ...{ homeAddress, self, state, revision, careOf: binding.careOf },
    sequence: entry.sequence,
    lifetimeSeconds: binding.lifetime,
    remainingSeconds: Math.max(0, (binding.expiresAt - now) / 1000),
  };
}
