/**
 * The binding cache of a correspondent (RFC 6275 §9.1), one entry for each home address and address of ours; the IPv4 home address of a node
 * has an entry of its own beside that of the IPv6 one (draft-oulai-mext-dsmip-ro-00 §6.1, §7.1.2). An entry without a binding only keeps
 * the last sequence number for as long as an update of before could be played back (§5.2.8). All calls are O(1) or O(log n).
 */
import { DeadlineQueue } from "../../../base/deadline-queue.js";
import type { Ipv4Address, Ipv6Address } from "../../../base/ip.js";
import type { Seq16 } from "../../../base/seq16.js";
import { earliest, type Instant, type Seconds } from "../../../base/time.js";
import { type Ipv4Mode, type Reach, sameReach } from "../return-routability/modes.js";
import type { AuthorizedSendEffect, Family, Pair } from "./inputs.js";

/** A former care-of address, from which something may still be on its way. */
export interface Former {
  readonly address: Ipv6Address;
  readonly until: Instant;
}

/** What was acknowledged. */
export interface Binding {
  /** The care-of address, IPv6 or IPv4, and how payload gets there. */
  readonly reach: Reach;
  /** Of an entry for it. */
  readonly ipv4HomeAddress?: Ipv4Address;
  /** Agreed on; absent: RFC 6275 alone. */
  readonly mode?: Ipv4Mode;
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
  /** Of the update among all; the entries of one that was about both home addresses have the same. */
  readonly order: number;
  readonly deadline: Instant;
  readonly answer: AuthorizedSendEffect | undefined;
  /** In the place of the answer, if the kernel refuses. */
  readonly denial: AuthorizedSendEffect | undefined;
}

/** What the entries of one pair of addresses have in common: one path in the kernel. */
export interface SharedPath {
  /** Of the path last asked for. */
  revision: number;
  /** Whose update was taken last: where the two say different things, the other is out of date. */
  latest: Family;
}

export interface CorrespondentEntry extends Pair {
  readonly key: string;
  readonly family: Family;
  readonly shared: SharedPath;
  /** Of the last update that was taken. */
  sequence: Seq16;
  /** By then no update of before can be valid any more. */
  replayableUntil: Instant;
  binding: Binding | undefined;
  waiting: Waiting | undefined;
  /** Keys under which it is found by an IPv4 home address. */
  claims: readonly string[];
}

/** The entries of a pair, of those that there are. */
export type PairEntries = { readonly [F in Family]?: CorrespondentEntry | undefined };

const pairKey = ({ homeAddress, self }: Pair): string => `${homeAddress} ${self}`;
export const entryKey = (pair: Pair, family: Family): string =>
  family === "ipv6" ? pairKey(pair) : `${pairKey(pair)} ipv4`;

/** What the entry is to have once the kernel has answered. */
export const wantedOf = ({ binding, waiting }: CorrespondentEntry): Binding | undefined =>
  waiting === undefined ? binding : waiting.binding;

const ipv4Key = (ipv4HomeAddress: Ipv4Address, self: Ipv6Address): string => `${ipv4HomeAddress} ${self}`;

export class CorrespondentCache {
  readonly #entries = new Map<string, CorrespondentEntry>();
  readonly #deadlines = new DeadlineQueue<string>();
  /** Keys of entries that have a binding or are about to have one, the one that was refreshed longest ago first. */
  readonly #bound = new Set<string>();
  /** Which entry an IPv4 home address belongs to, at one address of ours. */
  readonly #byIpv4 = new Map<string, CorrespondentEntry>();
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

  get(pair: Pair, family: Family): CorrespondentEntry | undefined {
    return this.#entries.get(entryKey(pair, family));
  }

  pair(pair: Pair): PairEntries {
    return { ipv6: this.get(pair, "ipv6"), ipv4: this.get(pair, "ipv4") };
  }

  entries(): IterableIterator<CorrespondentEntry> {
    return this.#entries.values();
  }

  /** The entry of this pair, made if there is none. */
  open(pair: Pair, family: Family, sequence: Seq16, now: Instant): CorrespondentEntry {
    const present = this.get(pair, family);
    if (present !== undefined) return present;
    const { homeAddress, self } = pair;
    const beside = this.get(pair, family === "ipv6" ? "ipv4" : "ipv6");
    const shared = beside?.shared ?? { revision: 0, latest: family };
    const key = entryKey(pair, family);
    const nothing = { binding: undefined, waiting: undefined, claims: [] };
    const entry: CorrespondentEntry = {
      ...{ key, family, shared, homeAddress, self, sequence, replayableUntil: now },
      ...nothing,
    };
    this.#entries.set(key, entry);
    return entry;
  }

  forget(entry: CorrespondentEntry): void {
    this.#entries.delete(entry.key);
    this.#bound.delete(entry.key);
    this.#claim(entry, []);
    this.#deadlines.set(entry.key, undefined);
  }

  /** Of those that have a binding the one that was taken longest ago, but none of these. */
  oldestBut(keys: readonly string[]): CorrespondentEntry | undefined {
    for (const one of this.#bound) if (!keys.includes(one)) return this.#entries.get(one);
    return undefined;
  }

  /** Of another node than this, with the same IPv4 home address: an address has one place. */
  rivalOf(entry: CorrespondentEntry, ipv4HomeAddress: Ipv4Address): CorrespondentEntry | undefined {
    const present = this.#byIpv4.get(ipv4Key(ipv4HomeAddress, entry.self));
    return present === entry ? undefined : present;
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
    const addresses = [binding?.ipv4HomeAddress, waiting?.binding?.ipv4HomeAddress];
    this.#claim(
      entry,
      addresses.flatMap((address) => (address === undefined ? [] : [ipv4Key(address, entry.self)])),
    );
    const ofBinding =
      binding === undefined
        ? replayableUntil
        : earliest(binding.expiresAt, binding.askAt, ...binding.former.map(({ until }) => until));
    this.#deadlines.set(key, waiting?.deadline ?? ofBinding);
  }

  #claim(entry: CorrespondentEntry, keys: readonly string[]): void {
    for (const key of entry.claims) if (this.#byIpv4.get(key) === entry) this.#byIpv4.delete(key);
    for (const key of keys) this.#byIpv4.set(key, entry);
    entry.claims = keys;
  }

  takeDue(now: Instant): CorrespondentEntry | undefined {
    const key = this.#deadlines.takeDue(now);
    return key === undefined ? undefined : this.#entries.get(key);
  }

  /** Greater than all before. */
  nextRevision(): number {
    return ++this.#revision;
  }
}

/** What people see of a binding. */
export interface CorrespondentView extends Pair, Pick<Binding, "reach" | "mode" | "ipv4HomeAddress"> {
  readonly family: Family;
  readonly state: "established" | "awaiting-data-path" | "updating" | "removing";
  /** The entry of the other home address says since that the node is somewhere else. */
  readonly isOutdated: boolean;
  readonly sequence: Seq16;
  readonly lifetimeSeconds: number;
  readonly remainingSeconds: number;
  readonly revision: number;
}

/** Whether its payload takes the way of the home agent until it is told, too, where the node is now. */
export function isOutdated(entry: CorrespondentEntry, beside: CorrespondentEntry | undefined): boolean {
  const [own, other] = [wantedOf(entry), beside && wantedOf(beside)];
  if (own === undefined || other === undefined || sameReach(own.reach, other.reach)) return false;
  return entry.shared.latest !== entry.family;
}

/** `beside`: the entry of the pair's other home address. Undefined: it has none. */
export function viewOf(
  entry: CorrespondentEntry,
  beside: CorrespondentEntry | undefined,
  now: Instant,
): CorrespondentView | undefined {
  const { homeAddress, self, family, waiting, shared } = entry;
  const binding = entry.binding ?? waiting?.binding;
  if (binding === undefined) return undefined;
  const { reach, mode, ipv4HomeAddress } = binding;
  const state =
    waiting === undefined
      ? "established"
      : waiting.binding === undefined
        ? "removing"
        : entry.binding === undefined
          ? "awaiting-data-path"
          : "updating";
  return {
    ...{ homeAddress, self, family, state, reach, revision: shared.revision },
    ...(mode !== undefined && { mode }),
    ...(ipv4HomeAddress !== undefined && { ipv4HomeAddress }),
    isOutdated: isOutdated(entry, beside),
    sequence: entry.sequence,
    lifetimeSeconds: binding.lifetime,
    remainingSeconds: Math.max(0, (binding.expiresAt - now) / 1000),
  };
}
