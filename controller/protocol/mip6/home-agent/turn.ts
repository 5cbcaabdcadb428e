/** What one step of the home agent works on, and the effects that several parts of it have in common. */
import { seq16 } from "../../../base/seq16.js";
import type { Instant } from "../../../base/time.js";
import { BindingStatus } from "../../../wire/mip6/registry.js";
import type { Ipv4Ownership } from "../../ownership/ipv4.js";
import { Ownership } from "../../ownership/ownership.js";
import { type BindingErrorLimit, UNUSED_LIMIT } from "../binding-error.js";
import type { ProtocolEvent } from "../inputs.js";
import { type Answer, acknowledgement, type Reply } from "./acknowledgement.js";
import { BindingCache, type BindingEntry } from "./binding-cache.js";
import { recordOf } from "./binding-record.js";
import type { HomeAgentEffect } from "./inputs.js";
import { refuseIpv4 } from "./ipv4-home-address.js";
import { isMobileRouter } from "./mobile-network.js";
import type { HomeAgentSite } from "./site.js";

/** Who owns which home address and which prefix here. Throws InvariantError if something belongs to two subscribers. */
export function ownershipOf({ subscribers, ipv4Pool, addresses: { ipv6, ipv4 } }: HomeAgentSite): Ownership {
  return new Ownership({
    nodes: subscribers.values(),
    pool: ipv4Pool?.prefixes ?? [],
    reserved: ipv4 === undefined ? [ipv6] : [ipv6, ipv4],
  });
}

/** Everything the home agent knows. Changed by `step` only. */
export class HomeAgentState {
  readonly site: HomeAgentSite;
  readonly cache: BindingCache;
  readonly ownership: Ownership;
  bindingErrors: BindingErrorLimit = UNUSED_LIMIT;
  /** Of the latest revocation. */
  revocationSequence = seq16(0);
  /** The journal can be written. */
  writable = true;

  /** `ownership`: shared with the other machines of this home agent. */
  constructor(site: HomeAgentSite, ownership = ownershipOf(site)) {
    this.site = site;
    this.ownership = ownership;
    this.cache = new BindingCache((homeAddress, careOf) => ownership.ipv4.setCareOf(homeAddress, careOf));
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

/** Gives a lent IPv4 home address back that neither the binding nor an update on its way has any more. */
export function releaseUnusedLease(turn: Turn, entry: BindingEntry): void {
  const { ipv4 } = turn.state;
  const lent = ipv4.leaseOf(entry.homeAddress);
  if (lent === undefined) return;
  const inUse = [entry.established, entry.pending].some((part) => part?.registration.ipv4HomeAddress === lent);
  if (!inUse) ipv4.release(entry.homeAddress);
}
