/** What one step of the home agent works on, and the effects that several parts of it have in common. */
import { samePrefix } from "../../../base/ip.js";
import { seq16 } from "../../../base/seq16.js";
import type { Instant } from "../../../base/time.js";
import { BindingStatus } from "../../../wire/mip6/registry.js";
import type { Ipv4Ownership } from "../../ownership/ipv4.js";
import { type Lent, Ownership, type OwnershipUser } from "../../ownership/ownership.js";
import { type BindingErrorLimit, UNUSED_LIMIT } from "../binding-error.js";
import type { ProtocolEvent } from "../inputs.js";
import { type Answer, acknowledgement, type Reply } from "./acknowledgement.js";
import { BindingCache, type BindingEntry, type Registration } from "./binding-cache.js";
import { recordOf } from "./binding-record.js";
import { EarlyEnds } from "./early-ends.js";
import type { HomeAgentEffect } from "./inputs.js";
import { refuseIpv4 } from "./ipv4-home-address.js";
import { isMobileRouter } from "./mobile-network.js";
import type { HomeAgentSite, HomeSubscriber } from "./site.js";

/** Who owns which home address and which prefix here. Throws InvariantError if something belongs to two subscribers. */
export function ownershipOf({ subscribers, ipv4Pool, prefixPool, homePrefixes, addresses }: HomeAgentSite): Ownership {
  return new Ownership({
    nodes: subscribers.values(),
    pool: ipv4Pool?.prefixes ?? [],
    networkPool: prefixPool,
    reserved: [addresses.ipv6, addresses.ipv4, addresses.ipv4Local].filter((one) => one !== undefined),
    homePrefixes,
  });
}

/** Everything the home agent knows. Changed by `step` only. */
export class HomeAgentState implements OwnershipUser {
  readonly site: HomeAgentSite;
  readonly cache: BindingCache;
  readonly ownership: Ownership;
  readonly earlyEnds = new EarlyEnds();
  bindingErrors: BindingErrorLimit = UNUSED_LIMIT;
  /** Of the latest revocation. */
  revocationSequence = seq16(0);
  /** The journal can be written. */
  writable = true;

  /** `ownership`: shared with the other machines of this home agent. */
  constructor(site: HomeAgentSite, ownership = ownershipOf(site)) {
    this.site = site;
    this.ownership = ownership;
    this.cache = new BindingCache((homeAddress, careOf) => ownership.setCareOf(homeAddress, careOf, this));
    ownership.join(this);
  }

  uses(homeAddress: BindingEntry["homeAddress"]): readonly Lent[] {
    const entry = this.cache.get(homeAddress);
    return entry === undefined ? [] : registrationsOf(entry);
  }

  get ipv4(): Ipv4Ownership {
    return this.ownership.ipv4;
  }
}

/** One step: where it reads, what time it is, and what it asks for. */
export interface Turn {
  readonly state: HomeAgentState;
  readonly now: Instant;
  readonly effects: HomeAgentEffect[];
}

export function notify(
  turn: Turn,
  event: ProtocolEvent["event"],
  entry: { readonly homeAddress: BindingEntry["homeAddress"] },
  detail: ProtocolEvent["detail"] = {},
): void {
  turn.effects.push({ kind: "notify", event: { event, homeAddress: entry.homeAddress, detail } });
}

/** Has the entry written as it is now; one that was never bound is not worth it. */
export function journal(turn: Turn, entry: BindingEntry): void {
  const record = recordOf(entry, turn.now);
  if (record !== undefined) turn.effects.push({ kind: "journal", key: entry.homeAddress, record });
}

/** R where the node has set it and is served as a mobile router (RFC 3963 §4.2). */
export function answer(turn: Turn, reply: Reply, fields: Partial<Answer> & Pick<Answer, "status">): void {
  const { site } = turn.state;
  const mobileRouter = isMobileRouter(reply.mobileRouter, site.subscribers.get(reply.arrival.source));
  turn.effects.push(
    acknowledgement(
      reply,
      { sequence: reply.sequence, lifetimeUnits: 0, acknowledgements: [], forcedUdp: false, mobileRouter, ...fields },
      site,
    ),
  );
}

/** Refuses the update; with status 135 the sequence number is the last one accepted. */
export function refuse(turn: Turn, reply: Reply, status: number, reason: string, sequence = reply.sequence): void {
  answer(turn, reply, { status, sequence, acknowledgements: refuseIpv4(reply.ipv4Options) });
  const event = status === BindingStatus.insufficientResources ? "binding.failed" : "binding.rejected";
  notify(turn, event, { homeAddress: reply.arrival.source }, { status, reason, sequence: reply.sequence });
}

/** Gives back what is lent to the node and neither its binding nor an update on its way has any more: address and networks. */
export function releaseUnused(turn: Turn, entry: BindingEntry): void {
  const { ipv4, ownership } = turn.state;
  const { homeAddress } = entry;
  const inUse = [...registrationsOf(entry), ...ownership.usedBesides(turn.state, homeAddress)];
  const lent = ipv4.leaseOf(homeAddress);
  if (lent !== undefined && !inUse.some(({ ipv4HomeAddress }) => ipv4HomeAddress === lent)) ipv4.release(homeAddress);
  for (const prefix of ownership.lent.leasesOf(homeAddress)) {
    const isUsed = inUse.some(({ prefixes }) => prefixes.some((one) => samePrefix(one, prefix)));
    if (!isUsed) ownership.lent.release(homeAddress, prefix);
  }
}

const registrationsOf = ({ established, pending }: BindingEntry): readonly Registration[] =>
  [established, pending].flatMap((part) => (part === undefined ? [] : [part.registration]));

/** What of the registration the node may still have, lent to it again where it was lent: for one of an earlier life, or taken back. */
export function entitled(turn: Turn, subscriber: HomeSubscriber, stored: Registration): Registration {
  const { ipv4, ownership } = turn.state;
  const { homeAddress, prefixes: own = [], borrowsPrefixes } = subscriber;
  const had = stored.ipv4HomeAddress;
  const ipv4HomeAddress = had !== undefined && ipv4.canRestore(homeAddress, had) ? had : undefined;
  if (ipv4HomeAddress !== undefined) ipv4.lease(homeAddress, ipv4HomeAddress);
  const mobileRouter = isMobileRouter(stored.mobileRouter, subscriber);
  const registered = mobileRouter ? own.filter((one) => stored.prefixes.some((had) => samePrefix(one, had))) : [];
  const lent =
    mobileRouter && borrowsPrefixes === true
      ? stored.prefixes.filter((one) => ownership.lent.restore(homeAddress, one))
      : [];
  return { ...stored, ipv4HomeAddress, mobileRouter, prefixes: [...registered, ...lent] };
}
