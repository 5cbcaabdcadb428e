/** The home agent's mobility binding list (RFC 5944 §3.8.1): one entry for each node, with its one next deadline. All calls are O(1) or O(log n). */
import { DeadlineQueue } from "../../../base/deadline-queue.js";
import type { Ipv4Address, Ipv6Address } from "../../../base/ip.js";
import { earliest, elapsed, type Instant } from "../../../base/time.js";
import { type Identification, INFINITE_LIFETIME_SECONDS } from "../../../wire/mip4/messages/registration.js";
import type { DataPath, NodeName, RegisteredPrefix, TunnelEnd } from "../inputs.js";
import type { Answer } from "./reply.js";
import type { HomeSubscriber } from "./site.js";
import { type BindingEvent, type BindingState, nextBindingState } from "./states.js";

/** What one accepted request says; nothing in it changes later. */
export interface Registration {
  readonly homeAddress: Ipv4Address;
  /** As the node says: of its own, or of the foreign agent. */
  readonly careOfAddress: Ipv4Address;
  /** Where payload goes. */
  readonly end: TunnelEnd;
  /** The node decapsulates itself (D flag). */
  readonly coLocated: boolean;
  readonly reverseTunnelling: boolean;
  readonly natDetected: boolean;
  readonly prefixes: readonly RegisteredPrefix[];
  readonly linkLocalAddress: Ipv6Address | undefined;
  readonly identification: Identification;
  /** Granted; INFINITE_LIFETIME_SECONDS: without an end. */
  readonly lifetimeSeconds: number;
}

export interface Established {
  readonly registration: Registration;
  readonly path: DataPath;
  /** Undefined: without an end. */
  readonly expiresAt: Instant | undefined;
}

/** An accepted request that waits for the kernel. */
export interface Pending {
  readonly registration: Registration;
  readonly answer: Answer;
  readonly path: DataPath;
  readonly deadline: Instant;
}

/** A de-registration that waits for the kernel to let go. */
export interface Removal {
  readonly answer: Answer;
  readonly deadline: Instant;
}

/** A registration that has given way to another one, for the case that the disk does not take the other one. */
export interface Replaced {
  /** Identification of the acceptance that took its place. */
  readonly by: Identification;
  readonly at: Instant;
  /** Undefined: there was no binding. */
  readonly before: Established | undefined;
}

export interface FormerEnd {
  readonly end: TunnelEnd;
  readonly until: Instant;
}

export interface BindingEntry {
  readonly node: NodeName;
  readonly subscriber: HomeSubscriber;
  state: BindingState;
  /** Of the data path last asked for. */
  revision: number;
  /** What the node was told and the kernel has. */
  established: Established | undefined;
  /** The latest last. What was written long ago is left out: the disk has answered by now. */
  replaced: readonly Replaced[];
  pending: Pending | undefined;
  removal: Removal | undefined;
  /** From which payload is still accepted, the latest first. */
  former: readonly FormerEnd[];
}

export class BindingTable {
  readonly #onWhereabouts: (node: NodeName, careOf: readonly Ipv4Address[]) => void;
  readonly #entries = new Map<NodeName, BindingEntry>();
  readonly #deadlines = new DeadlineQueue<NodeName>();
  readonly #linkLocalHolders = new Map<Ipv6Address, NodeName>();
  readonly #linkLocals = new Map<NodeName, readonly Ipv6Address[]>();
  #revision = 0;

  /** `onWhereabouts`: the node is reached at these addresses now. */
  constructor(onWhereabouts: (node: NodeName, careOf: readonly Ipv4Address[]) => void) {
    this.#onWhereabouts = onWhereabouts;
  }

  get size(): number {
    return this.#entries.size;
  }

  get nextDeadline(): Instant | undefined {
    return this.#deadlines.next;
  }

  get(node: NodeName): BindingEntry | undefined {
    return this.#entries.get(node);
  }

  /** In the order in which they came. */
  entries(): IterableIterator<BindingEntry> {
    return this.#entries.values();
  }

  /** The entry of this node, made with state absent if there is none. */
  open(subscriber: HomeSubscriber): BindingEntry {
    const present = this.#entries.get(subscriber.node);
    if (present !== undefined) return present;
    const entry: BindingEntry = {
      node: subscriber.node,
      subscriber,
      state: "absent",
      revision: 0,
      established: undefined,
      replaced: [],
      pending: undefined,
      removal: undefined,
      former: [],
    };
    this.#entries.set(entry.node, entry);
    return entry;
  }

  /** Moves the entry along its table, and out of the list when it becomes absent. */
  transition(entry: BindingEntry, event: BindingEvent): void {
    entry.state = nextBindingState(entry.state, event);
    if (entry.state !== "absent") return;
    this.#entries.delete(entry.node);
    this.#deadlines.set(entry.node, undefined);
    this.#holdLinkLocals(entry.node, []);
    this.#onWhereabouts(entry.node, []);
  }

  /** To be called whenever something of the entry changed that its deadline, the node's whereabouts or its link-local address depend on. */
  schedule(entry: BindingEntry): void {
    if (entry.state === "absent") return;
    this.#deadlines.set(entry.node, deadlineOf(entry));
    const ends = [entry.established?.registration.end, entry.pending?.registration.end];
    const addresses = [...ends, ...entry.former.map(({ end }) => end)].flatMap((end) =>
      end === undefined ? [] : [end.address],
    );
    this.#onWhereabouts(entry.node, [...new Set(addresses)]);
    const registrations = [entry.established?.registration, entry.pending?.registration];
    this.#holdLinkLocals(
      entry.node,
      registrations.flatMap((one) => (one?.linkLocalAddress === undefined ? [] : [one.linkLocalAddress])),
    );
  }

  /** Whose end of a tunnel has this address; all nodes' tunnels are one link here. */
  linkLocalHolder(address: Ipv6Address): NodeName | undefined {
    return this.#linkLocalHolders.get(address);
  }

  #holdLinkLocals(node: NodeName, addresses: readonly Ipv6Address[]): void {
    for (const one of this.#linkLocals.get(node) ?? [])
      if (this.#linkLocalHolders.get(one) === node) this.#linkLocalHolders.delete(one);
    for (const one of addresses) if (!this.#linkLocalHolders.has(one)) this.#linkLocalHolders.set(one, node);
    if (addresses.length === 0) this.#linkLocals.delete(node);
    else this.#linkLocals.set(node, addresses);
  }

  /** An entry whose deadline has come; it has none until it is scheduled again. */
  takeDue(now: Instant): BindingEntry | undefined {
    const node = this.#deadlines.takeDue(now);
    return node === undefined ? undefined : this.#entries.get(node);
  }

  /** Never given twice, so that an answer of the kernel belongs to one data path. */
  nextRevision(): number {
    return ++this.#revision;
  }
}

/** When something happens to the entry by itself. */
export function deadlineOf(entry: BindingEntry): Instant | undefined {
  switch (entry.state) {
    case "absent":
      return undefined;
    case "awaiting-data-path":
    case "updating":
      return entry.pending?.deadline;
    case "removing":
      return entry.removal?.deadline;
    case "established":
      return earliest(entry.established?.expiresAt, ...entry.former.map(({ until }) => until));
  }
}

/** The data path that the entry stands for: the one being made, or the one that is there. */
export function desiredPath(entry: BindingEntry): DataPath | undefined {
  return entry.pending?.path ?? entry.established?.path;
}

/** What people see of an entry. */
export interface BindingView {
  readonly node: NodeName;
  readonly homeAddress: Ipv4Address | null;
  readonly careOfAddress: Ipv4Address | null;
  readonly coLocated: boolean;
  readonly reverseTunnelling: boolean;
  readonly end: TunnelEnd | null;
  /** From where payload is accepted. */
  readonly acceptedFrom: readonly TunnelEnd[];
  readonly prefixes: readonly RegisteredPrefix[];
  readonly linkLocalAddress: Ipv6Address | null;
  readonly state: BindingState;
  /** null: nothing is bound, or without an end. */
  readonly lifetimeSeconds: number | null;
  readonly remainingSeconds: number | null;
  readonly profile: string;
  readonly revision: number;
}

export function viewOf(entry: BindingEntry, now: Instant): BindingView {
  const { established } = entry;
  const registration = established?.registration;
  const lifetime = registration?.lifetimeSeconds ?? INFINITE_LIFETIME_SECONDS;
  return {
    node: entry.node,
    homeAddress: registration?.homeAddress ?? null,
    careOfAddress: registration?.careOfAddress ?? null,
    coLocated: registration?.coLocated ?? false,
    reverseTunnelling: registration?.reverseTunnelling ?? false,
    end: registration?.end ?? null,
    acceptedFrom: established?.path.ingress ?? [],
    prefixes: registration?.prefixes ?? [],
    linkLocalAddress: registration?.linkLocalAddress ?? null,
    state: entry.state,
    lifetimeSeconds: lifetime === INFINITE_LIFETIME_SECONDS ? null : lifetime,
    remainingSeconds: established?.expiresAt === undefined ? null : Math.max(0, elapsed(now, established.expiresAt)),
    profile: entry.subscriber.profile,
    revision: entry.revision,
  };
}
