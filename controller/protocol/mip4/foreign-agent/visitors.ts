/**
 * The visitor list (RFC 5944 §3.7.1): who is registered through us, and which requests wait for their home agents. A request changes
 * nothing of a visitor before its home agent has accepted it. All calls are O(1) or O(log n).
 */
import { DeadlineQueue } from "../../../base/deadline-queue.js";
import type { Ipv4Address } from "../../../base/ip.js";
import { earliest, elapsed, type Instant } from "../../../base/time.js";
import { INFINITE_LIFETIME_SECONDS } from "../../../wire/mip4/messages/registration.js";
import type { LinkAddress, ToVisitor, VisitorPath } from "./inputs.js";
import { LeavingVisits } from "./leaving.js";

/** Where an answer to a node goes. */
export type ReturnAddress = Pick<ToVisitor, "device" | "linkAddress" | "source" | "destinationPort">;

/** A request on its way to a home agent. Not kept over a restart: its node asks again a second later, and the late answer is nobody's. */
export interface PendingRequest {
  readonly key: string;
  readonly returnAddress: ReturnAddress;
  /** 0.0.0.0: the home agent is asked for one. */
  readonly homeAddress: Ipv4Address;
  readonly homeAgent: Ipv4Address;
  readonly careOfAddress: Ipv4Address;
  readonly identification: { readonly high: number; readonly low: number };
  /** NAI, in hexadecimal. */
  readonly identifier: string | undefined;
  readonly lifetimeSeconds: number;
  /** D. */
  readonly coLocated: boolean;
  readonly gre: boolean;
  readonly reverseTunnelling: boolean;
  readonly challenge: string | undefined;
  readonly deadline: Instant;
}

/** What a home agent has accepted. */
export interface Visit {
  readonly path: VisitorPath;
  readonly careOfAddress: Ipv4Address;
  readonly identifier: string | undefined;
  /** Identification of the request; undefined: of an earlier life. */
  readonly accepted: PendingRequest["identification"] | undefined;
  /** Granted, and at most ours; INFINITE_LIFETIME_SECONDS: without an end. */
  readonly lifetimeSeconds: number;
}

export interface VisitorEntry {
  readonly key: string;
  /** Told to the node, and in the kernel. */
  visit: Visit | undefined;
  /** Undefined: without an end. */
  expiresAt: Instant | undefined;
  /** Accepted by the home agent, and not in the kernel yet. */
  next:
    | { readonly visit: Visit; readonly answer: ToVisitor; readonly denial: ToVisitor; readonly deadline: Instant }
    | undefined;
  /** Of the data path last asked for, or to be asked for when nobody is in the way any more. */
  revision: number;
  /** What the kernel was asked for last and has not answered yet: it may have any form that was asked for since its last answer. */
  asked: number | undefined;
}

export const visitorKey = (homeAddress: Ipv4Address, homeAgent: Ipv4Address): string => `${homeAddress} ${homeAgent}`;

/** Small numbers from 1 for names, the lowest free one first. */
export class Numbers {
  readonly #used = new Map<string, { readonly number: number; users: number }>();
  readonly #taken = new Set<number>();
  /** All below are taken. */
  #lowest = 1;

  /** The number of this name, made if it has none; each user gives it back. `wanted`: if it is free. */
  take(name: string, wanted?: number): number {
    const present = this.#used.get(name);
    if (present !== undefined) {
      present.users++;
      return present.number;
    }
    while (this.#taken.has(this.#lowest)) this.#lowest++;
    const number = wanted !== undefined && !this.#taken.has(wanted) ? wanted : this.#lowest;
    this.#taken.add(number);
    this.#used.set(name, { number, users: 1 });
    return number;
  }

  give(name: string): void {
    const present = this.#used.get(name);
    if (present === undefined || --present.users > 0) return;
    this.#used.delete(name);
    this.#taken.delete(present.number);
    this.#lowest = Math.min(this.#lowest, present.number);
  }
}

export class VisitorList {
  readonly #visitors = new Map<string, VisitorEntry>();
  readonly #deadlines = new DeadlineQueue<string>();
  readonly #pending = new Map<string, PendingRequest>();
  readonly #pendingOfOne = new Map<LinkAddress, number>();
  /** Names of visitors by home address; the first has the common table. */
  readonly #byHome = new Map<Ipv4Address, Map<string, boolean>>();
  readonly leaving = new LeavingVisits<VisitorEntry>();
  readonly numbers = new Numbers();
  readonly homeAgents = new Numbers();
  #revision = 0;

  get size(): number {
    return this.#visitors.size;
  }

  get pendingSize(): number {
    return this.#pending.size;
  }

  get nextDeadline(): Instant | undefined {
    // Pending requests have all waited equally long: the first is the first to be given up.
    const [first] = this.#pending.values();
    return earliest(first?.deadline, this.#deadlines.next);
  }

  get(key: string): VisitorEntry | undefined {
    return this.#visitors.get(key);
  }

  entries(): IterableIterator<VisitorEntry> {
    return this.#visitors.values();
  }

  /** The entry of this name, made if there is none. */
  open(key: string): VisitorEntry {
    const present = this.#visitors.get(key);
    if (present !== undefined) return present;
    const entry: VisitorEntry = {
      key,
      visit: undefined,
      expiresAt: undefined,
      next: undefined,
      revision: 0,
      asked: undefined,
    };
    this.#visitors.set(key, entry);
    return entry;
  }

  close(key: string): void {
    this.#visitors.delete(key);
    this.#deadlines.set(key, undefined);
  }

  /** To be called whenever something changed that the entry's deadline depends on. */
  schedule(entry: VisitorEntry): void {
    this.#deadlines.set(entry.key, entry.next?.deadline ?? entry.expiresAt);
  }

  takeDue(now: Instant): VisitorEntry | undefined {
    const key = this.#deadlines.takeDue(now);
    return key === undefined ? undefined : this.#visitors.get(key);
  }

  nextRevision(): number {
    return ++this.#revision;
  }

  /** Whether the visitor has to be told from another one with the same home address. The answer stays the same until it is `left`. */
  isSeparate(homeAddress: Ipv4Address, key: string, wanted?: boolean): boolean {
    const names = this.#byHome.get(homeAddress) ?? new Map<string, boolean>();
    const known = names.get(key);
    if (known !== undefined) return known;
    const commonIsTaken = [...names.values()].some((separate) => !separate);
    const separate = commonIsTaken || wanted === true;
    this.#byHome.set(homeAddress, names.set(key, separate));
    return separate;
  }

  /** All with this home address. */
  at(homeAddress: Ipv4Address): readonly VisitorEntry[] {
    return [...(this.#byHome.get(homeAddress)?.keys() ?? [])].flatMap((key) => this.get(key) ?? []);
  }

  /** Who else sends with this home address from there, as the kernel tells visitors from each other. */
  rivals(homeAddress: Ipv4Address, linkAddress: LinkAddress, key: string): readonly VisitorEntry[] {
    const isThere = (visit: Visit | undefined): boolean => visit?.path.linkAddress === linkAddress;
    return this.at(homeAddress).filter(
      ({ key: other, visit, next }) => other !== key && (isThere(visit) || isThere(next?.visit)),
    );
  }

  /**
   * Whether the kernel may have something of another visitor with this home address that is neither what the list says of that one nor
   * gone: nobody's data path is asked for beside it.
   */
  isInTheWay(homeAddress: Ipv4Address, key: string): boolean {
    const isUnsettled = (other: VisitorEntry): boolean => other.key !== key && other.asked !== undefined;
    return this.leaving.isInTheWay(homeAddress, key) || this.at(homeAddress).some(isUnsettled);
  }

  left(homeAddress: Ipv4Address, key: string): void {
    const names = this.#byHome.get(homeAddress);
    if (names?.delete(key) === true && names.size === 0) this.#byHome.delete(homeAddress);
  }

  pending(key: string): PendingRequest | undefined {
    return this.#pending.get(key);
  }

  pendingRequests(): IterableIterator<PendingRequest> {
    return this.#pending.values();
  }

  pendingOf(linkAddress: LinkAddress): number {
    return this.#pendingOfOne.get(linkAddress) ?? 0;
  }

  /** Behind all others: none has a later deadline. */
  addPending(request: PendingRequest): void {
    this.removePending(request.key);
    this.#pending.set(request.key, request);
    const { linkAddress } = request.returnAddress;
    this.#pendingOfOne.set(linkAddress, this.pendingOf(linkAddress) + 1);
  }

  removePending(key: string): void {
    const request = this.#pending.get(key);
    if (request === undefined) return;
    this.#pending.delete(key);
    const { linkAddress } = request.returnAddress;
    const left = this.pendingOf(linkAddress) - 1;
    if (left > 0) this.#pendingOfOne.set(linkAddress, left);
    else this.#pendingOfOne.delete(linkAddress);
  }

  takeOverdue(now: Instant): PendingRequest | undefined {
    const [first] = this.#pending.values();
    if (first === undefined || first.deadline > now) return undefined;
    this.removePending(first.key);
    return first;
  }
}

/** What people see of a visitor. */
export interface VisitorView {
  readonly homeAddress: Ipv4Address;
  readonly homeAgent: Ipv4Address;
  readonly careOfAddress: Ipv4Address;
  readonly device: string;
  readonly linkAddress: LinkAddress;
  readonly coLocated: boolean;
  readonly reverseTunnelling: boolean;
  readonly encapsulation: VisitorPath["encapsulation"];
  /** null: without an end. */
  readonly lifetimeSeconds: number | null;
  readonly remainingSeconds: number | null;
}

export function viewOf(
  { path, careOfAddress, lifetimeSeconds }: Visit,
  expiresAt: Instant | undefined,
  now: Instant,
): VisitorView {
  const { homeAddress, homeAgent, device, linkAddress, decapsulates, reverseTunnelling, encapsulation } = path;
  return {
    ...{ homeAddress, homeAgent, careOfAddress, device, linkAddress, reverseTunnelling, encapsulation },
    coLocated: !decapsulates,
    lifetimeSeconds: lifetimeSeconds === INFINITE_LIFETIME_SECONDS ? null : lifetimeSeconds,
    remainingSeconds: expiresAt === undefined ? null : Math.max(0, elapsed(now, expiresAt)),
  };
}
