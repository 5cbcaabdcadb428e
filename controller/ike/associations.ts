/**
 * Which of the negotiated associations are used, and for what: the life of keys from the moment the IKE daemon has installed them. Both
 * ends learn of new keys at slightly different times, so a new association receives at once and sends a little later, and an old one
 * receives for a while after the IKE daemon has let it go. Pure; time is given.
 */
import { DeadlineQueue } from "../base/deadline-queue.js";
import type { IpAddress, Ipv6Address } from "../base/ip.js";
import { after, earliest, type Instant, seconds } from "../base/time.js";
import type { AeadKey, EspState } from "../plan/objects/security.js";
import { PURPOSES, type Purpose, type RequestIds } from "../plan/security/request-ids.js";
import type { Association, AssociationEnds, Associations, ChildAssociations } from "../plan/site.js";

/** One direction of what was negotiated, as the kernel tells it. */
export interface Negotiated {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly reqid: number;
  readonly spi: number;
  readonly aead: AeadKey;
  readonly encapsulation?: EspState["encapsulation"];
}

/** The other end has the new keys by then. */
const SEND_AFTER = seconds(1);
/** What was sent under the old keys has arrived by then, or the next keys are there. */
const RECEIVE_ON = seconds(5);

export type Direction = "receive" | "send";

/** An association that must not be used again. */
export interface Spent {
  readonly homeAddress: Ipv6Address;
  readonly purpose: Purpose;
  readonly direction: Direction;
  readonly spi: number;
}

interface Known {
  readonly association: Association;
  readonly direction: Direction;
  readonly since: Instant;
  /** As the IKE daemon has it, as long as it has it. */
  ends: AssociationEnds;
  goneAt: Instant | undefined;
  /** The IKE daemon does not know it, or may not: it serves until there is another, and nobody takes it out of the kernel. */
  orphan: boolean;
  /** There is another; it stays in the kernel and must not come back from there. */
  superseded: boolean;
  /** It is the one that sends; when another one does, ours leaves the kernel. */
  sending: boolean;
  /** Ours has left or vanished with its sequence numbers, so it is not used any more, though the IKE daemon has its original. */
  spent: boolean;
}

interface Place {
  readonly homeAddress: Ipv6Address;
  readonly purpose: Purpose;
  readonly direction: Direction;
}

interface Node {
  /** By purpose, then by direction and SPI. */
  readonly children: Map<Purpose, Map<string, Known>>;
}

export class AssociationTable {
  readonly #ids: RequestIds;
  readonly #homeAgent: ReadonlySet<IpAddress>;
  readonly #role: "home-agent" | "mobile-node";
  readonly #nodes = new Map<Ipv6Address, Node>();
  /** When time alone changes something of a node the next time. */
  readonly #deadlines = new DeadlineQueue<Ipv6Address>();
  /** Told as spent when there was nothing known of them any more; until there is something new. */
  readonly #forgotten = new Set<string>();

  constructor(ids: RequestIds, homeAgent: ReadonlySet<IpAddress>, role: "home-agent" | "mobile-node") {
    this.#ids = ids;
    this.#homeAgent = homeAgent;
    this.#role = role;
  }

  /** The IKE daemon has installed it. Returns whose it is; undefined: nobody's we know. */
  add(state: Negotiated, now: Instant): Ipv6Address | undefined {
    const place = this.#place(state);
    if (place === undefined) return undefined;
    this.#put(state, place, now);
    this.#forgotten.clear();
    this.#settle(place.homeAddress, now);
    return place.homeAddress;
  }

  #put(state: Negotiated, { homeAddress, purpose, direction }: Place, now: Instant): Known {
    const node = this.#nodes.get(homeAddress) ?? { children: new Map<Purpose, Map<string, Known>>() };
    this.#nodes.set(homeAddress, node);
    const children = node.children.get(purpose) ?? new Map<string, Known>();
    node.children.set(purpose, children);
    const key = `${direction} ${state.spi}`;
    const ends = endsOf(state, direction);
    const known = children.get(key);
    if (known !== undefined) {
      if (!known.superseded) known.goneAt = undefined;
      known.ends = ends;
      return known;
    }
    const fresh: Known = {
      association: { spi: state.spi, aead: state.aead },
      direction,
      since: now,
      ends,
      goneAt: undefined,
      orphan: false,
      superseded: false,
      sending: false,
      spent: false,
    };
    children.set(key, fresh);
    supersedeOrphans(children.values(), now);
    return fresh;
  }

  /** The IKE daemon has let it go. */
  remove(state: Negotiated, now: Instant): Ipv6Address | undefined {
    const place = this.#place(state);
    if (place === undefined) return undefined;
    const { homeAddress, purpose, direction } = place;
    const known = this.#nodes.get(homeAddress)?.children.get(purpose)?.get(`${direction} ${state.spi}`);
    if (known === undefined) return undefined;
    forget(known, now);
    this.#settle(homeAddress, now);
    return homeAddress;
  }

  /**
   * Ours has vanished from the kernel: no number may be used twice with one key, and none received twice, so it is not used again (RFC
   * 4106 §3, RFC 4303 §3.4.3). Returns whose it was and what for; undefined if that is known already, or nobody's. One that we have forgotten
   * may be gone with its original, without the IKE daemon's doing (a flush, and the reconciler took long to read the kernel).
   */
  spend(reqid: number, spi: number, direction: Direction): Spent | undefined {
    const owner = this.#ids.find(reqid);
    const known = owner && this.#nodes.get(owner.homeAddress)?.children.get(owner.purpose)?.get(`${direction} ${spi}`);
    if (owner === undefined || known?.spent === true) return undefined;
    if (known !== undefined) known.spent = true;
    else if (!this.#tellForgotten(`${reqid} ${direction} ${spi}`)) return undefined;
    return { ...owner, spi, direction };
  }

  /** Its copies vanish together; of each of them the reconciler tells. */
  #tellForgotten(name: string): boolean {
    if (this.#forgotten.has(name)) return false;
    this.#forgotten.add(name);
    return true;
  }

  /**
   * The IKE daemon is another one, or may be: associations that it does not know (all but those with the SPIs `kept`) are used until there
   * are new ones for the same purpose. Returns the nodes for which that is so already.
   */
  orphan(now: Instant, kept: ReadonlySet<number> = new Set()): readonly Ipv6Address[] {
    const touched = new Set<Ipv6Address>();
    for (const [homeAddress, { children }] of this.#nodes) {
      for (const all of children.values()) {
        for (const known of all.values()) known.orphan = !kept.has(known.association.spi);
        if (supersedeOrphans(all.values(), now)) touched.add(homeAddress);
      }
    }
    for (const homeAddress of touched) this.#settle(homeAddress, now);
    return [...touched];
  }

  /** Takes over what there is now, all of it. Returns everybody who has or had anything. */
  replace(states: Iterable<Negotiated>, now: Instant): ReadonlySet<Ipv6Address> {
    const present = new Set<Known>();
    for (const state of states) {
      const place = this.#place(state);
      if (place !== undefined) present.add(this.#put(state, place, now));
    }
    const everybody = new Set(this.#nodes.keys());
    for (const { children } of this.#nodes.values())
      for (const one of children.values())
        for (const known of one.values()) if (!present.has(known)) forget(known, now);
    for (const homeAddress of everybody) this.#settle(homeAddress, now);
    return everybody;
  }

  /** Returns the nodes whose time has come: their associations may be others now. */
  pass(now: Instant): ReadonlySet<Ipv6Address> {
    const touched = new Set<Ipv6Address>();
    for (let due = this.#deadlines.takeDue(now); due !== undefined; due = this.#deadlines.takeDue(now))
      touched.add(due);
    for (const homeAddress of touched) this.#settle(homeAddress, now);
    return touched;
  }

  /** When `pass` has something to do; undefined: not before something happens. */
  get nextDeadline(): Instant | undefined {
    return this.#deadlines.next;
  }

  /** `follow`: with the ends that the IKE daemon gives them. */
  of(homeAddress: Ipv6Address, now: Instant, follow = false): Associations {
    const result: { [P in Purpose]?: ChildAssociations } = {};
    for (const purpose of PURPOSES) {
      const children = this.#nodes.get(homeAddress)?.children.get(purpose);
      if (children !== undefined) result[purpose] = choose([...children.values()], now, follow);
    }
    return result;
  }

  #place({ source, destination, reqid }: Negotiated): Place | undefined {
    const owner = this.#ids.find(reqid);
    const toHomeAgent = this.#homeAgent.has(destination);
    if (owner === undefined || toHomeAgent === this.#homeAgent.has(source)) return undefined;
    const direction: Direction = toHomeAgent === (this.#role === "home-agent") ? "receive" : "send";
    return { ...owner, direction };
  }

  /** To be called whenever something of the node has changed. */
  #settle(homeAddress: Ipv6Address, now: Instant): void {
    const node = this.#nodes.get(homeAddress);
    if (node !== undefined) this.#forgetOver(homeAddress, node, now);
    this.#deadlines.set(homeAddress, node && nextOf(node, now));
  }

  #forgetOver(homeAddress: Ipv6Address, { children }: Node, now: Instant): void {
    for (const [purpose, all] of children) {
      for (const [key, known] of all) if (isOver(known, now) && !known.superseded) all.delete(key);
      if (all.size === 0) children.delete(purpose);
    }
    if (children.size === 0) this.#nodes.delete(homeAddress);
  }
}

/** The kernel has it no more. */
function forget(known: Known, now: Instant): void {
  known.goneAt ??= now;
  known.superseded = false;
}

/** Of one purpose: with a pair that the IKE daemon knows, the others have had their time. Whether that is news for any. */
function supersedeOrphans(all: Iterable<Known>, now: Instant): boolean {
  const list = [...all];
  const living = list.filter(({ orphan, goneAt }) => !orphan && goneAt === undefined);
  if (!(["receive", "send"] as const).every((wanted) => living.some(({ direction }) => direction === wanted)))
    return false;
  const over = list.filter(({ orphan, superseded }) => orphan && !superseded);
  for (const known of over) {
    known.superseded = true;
    known.goneAt ??= now;
  }
  return over.length > 0;
}

/** When time alone changes something of the node's the next time. */
function nextOf({ children }: Node, now: Instant): Instant | undefined {
  let next: Instant | undefined;
  for (const all of children.values()) {
    for (const { since, goneAt } of all.values()) {
      const usable = after(since, SEND_AFTER);
      const end = goneAt === undefined ? undefined : after(goneAt, RECEIVE_ON);
      next = earliest(next, usable > now ? usable : undefined, end !== undefined && end > now ? end : undefined);
    }
  }
  return next;
}

function isOver({ goneAt }: Known, now: Instant): boolean {
  return goneAt !== undefined && after(goneAt, RECEIVE_ON) <= now;
}

function endsOf({ source, destination, encapsulation }: Negotiated, direction: Direction): AssociationEnds {
  const [from, to] = [encapsulation?.sourcePort ?? 0, encapsulation?.destinationPort ?? 0];
  const sends = direction === "send";
  const udp = sends ? { localPort: from, remotePort: to } : { localPort: to, remotePort: from };
  const [local, remote] = sends ? [source, destination] : [destination, source];
  return { local, remote, ...(encapsulation !== undefined && { udp }) };
}

function choose(all: readonly Known[], now: Instant, follow: boolean): ChildAssociations {
  const living = all.filter((known) => !isOver(known, now));
  const usable = living.filter(({ spent }) => !spent);
  const isPresent = ({ goneAt }: Known): boolean => goneAt === undefined;
  const senders = usable.filter(sends);
  const present = senders.filter(isPresent);
  const settled = present.filter(({ since }) => after(since, SEND_AFTER) <= now);
  // The newest that the other end surely knows; else what was there before it; else whatever there is.
  const send = newest(settled) ?? oldest(senders.filter((one) => !isPresent(one))) ?? oldest(present);
  for (const one of senders) {
    // Nothing sends again that has given way: it would begin with numbers that have been used.
    if (one.sending && one !== send) one.spent = true;
    one.sending = one === send;
  }
  const originals = living.filter(sends);
  return {
    receive: usable.filter((known) => !sends(known)).map(({ association }) => association),
    send: send?.association,
    // All children of an IKE SA move together; one that is gone has stayed where it was.
    ...(follow && { ends: (newest(originals.filter(isPresent)) ?? newest(originals))?.ends }),
  };
}

const sends = ({ direction }: Known): boolean => direction === "send";
type MaybeKnown = Known | undefined;
const oldest = (list: readonly Known[]): MaybeKnown =>
  list.reduce<MaybeKnown>((best, one) => (best === undefined || one.since < best.since ? one : best), undefined);
const newest = (list: readonly Known[]): MaybeKnown =>
  list.reduce<MaybeKnown>((best, one) => (best === undefined || one.since > best.since ? one : best), undefined);

/** Everything that the node needs to speak and, where asked for, to have its payload protected. */
export function isComplete(associations: Associations, needed: readonly Purpose[]): boolean {
  return needed.every((purpose) => {
    const child = associations[purpose];
    return child !== undefined && child.receive.length > 0 && child.send !== undefined;
  });
}
