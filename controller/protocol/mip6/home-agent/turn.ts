/** What one step of the home agent works on, and the effects that several parts of it have in common. */
import type { Instant } from "../../../base/time.js";
import { BindingStatus } from "../../../wire/mip6/registry.js";
import { Ipv4Ownership } from "../../ownership/ipv4.js";
import { type BindingErrorLimit, UNUSED_LIMIT } from "../binding-error.js";
import type { ProtocolEvent } from "../inputs.js";
import { type Answer, acknowledgement, type Reply } from "./acknowledgement.js";
import { BindingCache, type BindingEntry } from "./binding-cache.js";
import { recordOf } from "./binding-record.js";
import type { HomeAgentEffect } from "./inputs.js";
import { refuseIpv4 } from "./ipv4-home-address.js";
import type { HomeAgentSite } from "./site.js";

/** Who owns which IPv4 home address here. Throws InvariantError if two subscribers have the same one. */
export function ipv4OwnershipOf({ subscribers, ipv4Pool, addresses }: HomeAgentSite): Ipv4Ownership {
  return new Ipv4Ownership({ own: subscribers.values(), pool: ipv4Pool?.prefixes ?? [], reserved: addresses.ipv4 });
}

/** Everything the home agent knows. Changed by `step` only. */
export class HomeAgentState {
  readonly site: HomeAgentSite;
  readonly cache: BindingCache;
  readonly ipv4: Ipv4Ownership;
  bindingErrors: BindingErrorLimit = UNUSED_LIMIT;
  /** The journal can be written. */
  writable = true;

  /** `ipv4`: shared with the other machines of this home agent. */
  constructor(site: HomeAgentSite, ipv4 = ipv4OwnershipOf(site)) {
    this.site = site;
    this.ipv4 = ipv4;
    this.cache = new BindingCache((homeAddress, careOf) => ipv4.setCareOf(homeAddress, careOf));
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

export function answer(turn: Turn, reply: Reply, fields: Partial<Answer> & Pick<Answer, "status">): void {
  turn.effects.push(
    acknowledgement(
      reply,
      { sequence: reply.sequence, lifetimeUnits: 0, acknowledgements: [], forcedUdp: false, ...fields },
      turn.state.site,
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
