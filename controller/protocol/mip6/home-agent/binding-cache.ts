/**
 * The home agent's binding cache (RFC 6275 §9.1): one entry for each node, found by its IPv6 home address or by its IPv4 one, with the
 * entry's one next deadline. Only machine.ts and registration.ts change entries; all calls are O(1) or O(log n).
 */

import { DeadlineQueue } from "../../../base/deadline-queue.js";
import {
  formatPrefix,
  hostPrefix,
  type IpAddress,
  type Ipv4Address,
  type Ipv6Address,
  isIpv4,
  type Prefix,
} from "../../../base/ip.js";
import type { Seq16 } from "../../../base/seq16.js";
import { after, earliest, elapsed, type Instant, type Seconds, seconds } from "../../../base/time.js";
import { LIFETIME_UNIT_SECONDS } from "../../../wire/mip6/messages/registration.js";
import type { DataPath, Endpoint } from "../inputs.js";
import type { AnswerOption, Reply } from "./acknowledgement.js";
import type { Notice } from "./inputs.js";
import type { HomeSubscriber } from "./site.js";
import { type BindingEvent, type BindingState, nextBindingState } from "./states.js";

/** What one accepted update says; nothing in it changes later. */
export interface Registration {
  /** As the node claims it: Alternate Care-of Address or wire source; over IPv4 the IPv4 Care-of Address option (C-08). */
  readonly careOfAddress: IpAddress;
  /** Where payload goes. */
  readonly endpoint: Endpoint;
  /** Where the node's signalling came from; a NAT may give payload in plain IPv4 and signalling different fates (RFC 5555 §5.1). */
  readonly signalling: Endpoint;
  readonly natDetected: boolean;
  readonly forcedUdp: boolean;
  readonly ipv4HomeAddress: Ipv4Address | undefined;
  readonly linkLocalAddress: Ipv6Address | undefined;
  /** It is served as a mobile router (R flag, RFC 3963). */
  readonly mobileRouter: boolean;
  /** Of both families, its own in the subscriber's order and then lent ones: of the networks behind it that are forwarded to. */
  readonly prefixes: readonly Prefix[];
  /** Granted, in units of 4 seconds. */
  readonly lifetimeUnits: number;
}

export interface Established {
  readonly registration: Registration;
  readonly path: DataPath;
  readonly expiresAt: Instant;
}

/** An accepted update that waits for duplicate address detection or for the kernel. */
export interface PendingRegistration {
  readonly registration: Registration;
  readonly reply: Reply;
  readonly acknowledgements: readonly AnswerOption[];
  readonly deadline: Instant;
  /** What the kernel was asked for; undefined during duplicate address detection. */
  readonly path: DataPath | undefined;
  /** Addresses whose duplicate address detection is not over. */
  readonly probing: ReadonlySet<Ipv6Address>;
}

/** A de-registration that waits for the kernel to let go. */
export interface PendingRemoval {
  readonly reply: Reply;
  readonly acknowledgements: readonly AnswerOption[];
  readonly deadline: Instant;
  readonly revision: number;
}

/** A registration that has given way to another one, for the case that the disk does not take the other one. */
export interface Replaced {
  /** Sequence number of the update that took its place. */
  readonly by: Seq16;
  readonly at: Instant;
  /** Absent: there was no binding. */
  readonly before: Established | undefined;
}

export interface FormerEndpoint {
  readonly endpoint: Endpoint;
  readonly until: Instant;
}

export interface BindingEntry {
  readonly homeAddress: Ipv6Address;
  readonly subscriber: HomeSubscriber;
  state: BindingState;
  /** Of the last valid update, accepted or not (RFC 6275 §9.5.1). */
  sequence: Seq16;
  /** Of the data path last asked for. */
  revision: number;
  /** What the node was told and the kernel has. */
  established: Established | undefined;
  pending: PendingRegistration | undefined;
  /** The latest last. What was written long ago is left out: the disk has answered by now. */
  replaced: readonly Replaced[];
  removal: PendingRemoval | undefined;
  /** From which payload is still accepted, the latest first. */
  former: readonly FormerEndpoint[];
  /** Until when the sequence number of a binding that is over is remembered. */
  rememberedUntil: Instant | undefined;
  /** What the node is being told. */
  notice: Notice | undefined;
  /** When it is asked to refresh, if it has not by then. */
  askAt: Instant | undefined;
}

/** One home address or prefix in the cache; those of one node share everything else (RFC 5555 §2.3). */
export interface CacheEntry {
  readonly address: IpAddress;
  /** Bits: 128 or 32 of a home address. */
  readonly length: number;
  readonly careOfAddress: IpAddress;
  readonly endpoint: Endpoint;
  readonly sequence: Seq16;
  readonly lifetime: Seconds;
  readonly expiresAt: Instant;
}

/** The IPv4 addresses at which a node is reached, as it says and as it is seen. */
export function ipv4CareOfAddresses(
  one: Pick<Registration, "careOfAddress" | "endpoint" | "signalling">,
): readonly Ipv4Address[] {
  return [one.careOfAddress, one.endpoint.address, one.signalling.address].filter(isIpv4);
}

/** Those to which something of the home agent's goes, or from where it comes; not what a node behind a NAT calls itself. */
function whereabouts({ established, pending, former }: BindingEntry): readonly IpAddress[] {
  const endpoints = [established?.registration, pending?.registration].flatMap((one) =>
    one === undefined ? [] : [one.endpoint, one.signalling],
  );
  return [...endpoints, ...former.map(({ endpoint }) => endpoint)].map(({ address }) => address);
}

function reachedAt(entry: BindingEntry): readonly IpAddress[] {
  return [...new Set(whereabouts(entry))];
}

/** Whether the node is there, is about to be or was there just now. */
export function isAround(entry: BindingEntry, address: IpAddress): boolean {
  return whereabouts(entry).includes(address);
}

export class BindingCache {
  readonly #onWhereabouts: (homeAddress: Ipv6Address, careOf: readonly IpAddress[]) => void;
  readonly #entries = new Map<Ipv6Address, BindingEntry>();
  readonly #deadlines = new DeadlineQueue<Ipv6Address>();
  /** By node, and whose each is (L flag). */
  readonly #linkLocals = new Map<Ipv6Address, Ipv6Address>();
  readonly #linkLocalOwners = new Map<Ipv6Address, Ipv6Address>();
  #revision = 0;

  /** `onWhereabouts`: the node is reached at these addresses now. */
  constructor(onWhereabouts: (homeAddress: Ipv6Address, careOf: readonly IpAddress[]) => void = () => undefined) {
    this.#onWhereabouts = onWhereabouts;
  }

  get size(): number {
    return this.#entries.size;
  }

  get nextDeadline(): Instant | undefined {
    return this.#deadlines.next;
  }

  /** Comparisons that keeping the deadlines in order has cost. */
  get deadlineSteps(): number {
    return this.#deadlines.steps;
  }

  get(homeAddress: Ipv6Address): BindingEntry | undefined {
    return this.#entries.get(homeAddress);
  }

  /** All entries, in the order in which they came. */
  entries(): IterableIterator<BindingEntry> {
    return this.#entries.values();
  }

  /** The entry of this node, made with state absent if there is none. */
  open(subscriber: HomeSubscriber, sequence: Seq16): BindingEntry {
    const present = this.#entries.get(subscriber.homeAddress);
    if (present !== undefined) return present;
    const entry: BindingEntry = {
      homeAddress: subscriber.homeAddress,
      subscriber,
      state: "absent",
      sequence,
      revision: 0,
      established: undefined,
      pending: undefined,
      replaced: [],
      removal: undefined,
      former: [],
      rememberedUntil: undefined,
      notice: undefined,
      askAt: undefined,
    };
    this.#entries.set(subscriber.homeAddress, entry);
    return entry;
  }

  /** Moves the entry along its table, and out of the cache when it becomes absent. */
  transition(entry: BindingEntry, event: BindingEvent): void {
    entry.state = nextBindingState(entry.state, event);
    if (entry.state !== "absent") return;
    this.#entries.delete(entry.homeAddress);
    this.#holdLinkLocal(entry.homeAddress, undefined);
    this.#deadlines.set(entry.homeAddress, undefined);
    this.#onWhereabouts(entry.homeAddress, []);
  }

  /** To be called whenever something of the entry changed that its deadline or the node's whereabouts depend on. */
  schedule(entry: BindingEntry): void {
    if (entry.state === "absent") return;
    this.#deadlines.set(entry.homeAddress, deadlineOf(entry));
    const { established, pending } = entry;
    const linkLocal = established?.registration.linkLocalAddress ?? pending?.registration.linkLocalAddress;
    this.#holdLinkLocal(entry.homeAddress, linkLocal);
    this.#onWhereabouts(entry.homeAddress, reachedAt(entry));
  }

  /** The node that has this link-local address on the home link, or is about to. */
  linkLocalOwner(address: Ipv6Address): Ipv6Address | undefined {
    return this.#linkLocalOwners.get(address);
  }

  #holdLinkLocal(homeAddress: Ipv6Address, address: Ipv6Address | undefined): void {
    const before = this.#linkLocals.get(homeAddress);
    if (before === address) return;
    if (before !== undefined && this.#linkLocalOwners.get(before) === homeAddress) this.#linkLocalOwners.delete(before);
    if (address === undefined) this.#linkLocals.delete(homeAddress);
    else {
      this.#linkLocals.set(homeAddress, address);
      this.#linkLocalOwners.set(address, homeAddress);
    }
  }

  /** An entry whose deadline has come; it has none until it is scheduled again. */
  takeDue(now: Instant): BindingEntry | undefined {
    const homeAddress = this.#deadlines.takeDue(now);
    return homeAddress === undefined ? undefined : this.#entries.get(homeAddress);
  }

  /** Never given twice, so that an answer of the kernel belongs to one data path. */
  nextRevision(): number {
    return ++this.#revision;
  }
}

/** When something happens to the entry by itself. */
export function deadlineOf(entry: BindingEntry): Instant | undefined {
  return earliest(stateDeadline(entry), entry.notice?.sendAt);
}

function stateDeadline(entry: BindingEntry): Instant | undefined {
  switch (entry.state) {
    case "absent":
      return undefined;
    case "awaiting-dad":
    case "awaiting-data-path":
    case "updating":
      return entry.pending?.deadline;
    case "removing":
      return entry.removal?.deadline;
    case "invalidated":
      return entry.rememberedUntil;
    case "established":
      return earliest(entry.established?.expiresAt, entry.askAt, ...entry.former.map(({ until }) => until));
  }
}

export function lifetimeOf(registration: Registration): Seconds {
  return seconds(registration.lifetimeUnits * LIFETIME_UNIT_SECONDS);
}

export function expiryOf(registration: Registration, now: Instant): Instant {
  return after(now, lifetimeOf(registration));
}

/** The data path that the entry stands for: the one being made, or the one that is there. */
export function desiredPath(entry: BindingEntry): DataPath | undefined {
  return entry.pending?.path ?? entry.established?.path;
}

/** The cache as RFC 5555 §2.3 sees it: an entry for each home address and prefix that is bound. */
export function cacheEntries(entry: BindingEntry): readonly CacheEntry[] {
  if (entry.established === undefined) return [];
  const { registration, expiresAt } = entry.established;
  const { careOfAddress, endpoint, ipv4HomeAddress, prefixes } = registration;
  const shared = { careOfAddress, endpoint, sequence: entry.sequence, lifetime: lifetimeOf(registration), expiresAt };
  const homes = ipv4HomeAddress === undefined ? [entry.homeAddress] : [entry.homeAddress, ipv4HomeAddress];
  return [...homes.map(hostPrefix), ...prefixes].map((prefix) => ({ ...prefix, ...shared }));
}

/** What people see of an entry; the shape of the control interface's binding document. */
export interface BindingView {
  readonly homeAddress: Ipv6Address;
  readonly ipv4HomeAddress: Ipv4Address | null;
  readonly mobileRouter: boolean;
  /** As text. */
  readonly prefixes: readonly string[];
  readonly state: BindingState;
  readonly endpoint: Endpoint | null;
  readonly acceptedFrom: readonly Endpoint[];
  readonly sequence: number;
  readonly lifetimeSeconds: number | null;
  readonly remainingSeconds: number | null;
  readonly profile: string;
  readonly revision: number;
}

export function viewOf(entry: BindingEntry, now: Instant): BindingView {
  const { established } = entry;
  const registration = established?.registration;
  return {
    homeAddress: entry.homeAddress,
    ipv4HomeAddress: registration?.ipv4HomeAddress ?? null,
    mobileRouter: registration?.mobileRouter ?? false,
    prefixes: (registration?.prefixes ?? []).map(formatPrefix),
    state: entry.state,
    endpoint: registration?.endpoint ?? null,
    acceptedFrom: established?.path.ingress ?? [],
    sequence: entry.sequence,
    lifetimeSeconds: registration === undefined ? null : lifetimeOf(registration),
    remainingSeconds: established === undefined ? null : Math.max(0, elapsed(now, established.expiresAt)),
    profile: entry.subscriber.profile,
    revision: entry.revision,
  };
}
