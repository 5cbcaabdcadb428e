/** What one step of the home agent works on, and the effects that several parts of it have in common. */
import type { Ipv4Address } from "../../../base/ip.js";
import { samePrefix } from "../../../base/ip.js";
import type { Instant } from "../../../base/time.js";
import { type Lent, Ownership, type OwnershipUser } from "../../ownership/ownership.js";
import type { ReplayState } from "../identification.js";
import type { DropReason, NodeName, NotifyEffect } from "../inputs.js";
import { type BindingEntry, BindingTable } from "./binding-table.js";
import type { HomeAgentEffect } from "./inputs.js";
import { recordOf } from "./record.js";
import { type Answer, type Outcome, replyTo } from "./reply.js";
import type { HomeAgentSite, HomeSubscriber } from "./site.js";

/** The store of a home agent that serves nothing but Mobile IPv4; with two protocols both machines have one. Throws InvariantError. */
export function ownershipOf(
  site: HomeAgentSite,
  pool: Partial<ConstructorParameters<typeof Ownership>[0]> = {},
): Ownership {
  const { address, localAddress, homePrefixes, subscribers } = site;
  const reserved = [address, localAddress].filter((one) => one !== undefined);
  const nodes = subscribers.map(({ node, ipv4HomeAddress, prefixes }) => ({
    homeAddress: node,
    ipv4HomeAddress,
    prefixes,
  }));
  return new Ownership({ nodes, pool: [], reserved, homePrefixes, ...pool });
}

/** Everything the home agent knows. Changed by `step` only. */
export class HomeAgentState implements OwnershipUser {
  readonly site: HomeAgentSite;
  readonly ownership: Ownership;
  readonly table: BindingTable;
  /** By node, whether it is bound or not. */
  readonly replay = new Map<NodeName, ReplayState>();
  /** Whose replay protection has changed since it was written: nothing is answered before. A request that waits for the kernel is written once. */
  readonly unwritten = new Set<NodeName>();
  /** The journal can be written. */
  writable = true;
  readonly #byNode: ReadonlyMap<NodeName, HomeSubscriber>;
  readonly #byIdentifier: ReadonlyMap<string, HomeSubscriber>;

  /** `ownership`: shared with the other machines of this home agent. */
  constructor(site: HomeAgentSite, ownership = ownershipOf(site)) {
    this.site = site;
    this.ownership = ownership;
    this.table = new BindingTable((node, careOf) => ownership.setCareOf(node, careOf, this));
    ownership.join(this);
    this.#byNode = new Map(site.subscribers.map((one) => [one.node, one]));
    this.#byIdentifier = new Map(
      site.subscribers.flatMap((one) => (one.identifier === undefined ? [] : [[one.identifier, one] as const])),
    );
  }

  uses(node: NodeName): readonly Lent[] {
    const entry = this.table.get(node);
    return entry === undefined ? [] : lentOf(entry);
  }

  subscriber(node: NodeName): HomeSubscriber | undefined {
    return this.#byNode.get(node);
  }

  /** By NAI, or by the home address that it has, for ever or lent. */
  subscriberFor(homeAddress: Ipv4Address, identifier: string | undefined): HomeSubscriber | undefined {
    const named = identifier === undefined ? undefined : this.#byIdentifier.get(identifier);
    const node = this.ownership.ipv4.ownerOf(homeAddress);
    return named ?? (node === undefined ? undefined : this.#byNode.get(node));
  }
}

/** One step: where it reads, what time it is, and what it asks for. */
export interface Turn {
  readonly state: HomeAgentState;
  readonly now: Instant;
  readonly effects: HomeAgentEffect[];
}

export function drop(turn: Turn, reason: DropReason, detail: string): void {
  turn.effects.push({ kind: "drop", reason, detail });
}

export function notify(
  turn: Turn,
  event: NotifyEffect["event"]["event"],
  about: { readonly node: NodeName; readonly homeAddress?: Ipv4Address | undefined },
  detail: NotifyEffect["event"]["detail"] = {},
): void {
  const { node, homeAddress } = about;
  turn.effects.push({
    kind: "notify",
    event: { event, node, ...(homeAddress === undefined ? {} : { homeAddress }), detail },
  });
}

/** Has what is known of the node written as it is now; a node of which nothing is known is forgotten. */
export function journal(turn: Turn, node: NodeName): void {
  const { table, replay, unwritten } = turn.state;
  unwritten.delete(node);
  const record = recordOf(node, table.get(node)?.established, replay.get(node), turn.now);
  turn.effects.push({ kind: "journal", key: node, record: record ?? null });
}

export function answer(turn: Turn, to: Answer, outcome: Outcome): void {
  if (turn.state.unwritten.has(to.node)) journal(turn, to.node);
  turn.effects.push(replyTo(turn.state.site, to, outcome));
}

/** Nothing is changed by what is refused; IPv6 is refused with it (V4-4.2-01). */
export function refuse(turn: Turn, to: Answer, code: number, reason: string): void {
  answer(turn, to, { code, lifetimeSeconds: 0 });
  const { homeAddress } = to.input.request;
  notify(turn, "binding.rejected", { node: to.node, homeAddress }, { code, reason, source: to.input.arrival.source });
}

/** Gives back what is lent to the node and neither its binding nor a request on its way has any more: address and prefixes. */
export function releaseUnused({ state }: Turn, node: NodeName, entry: BindingEntry | undefined): void {
  const { ownership } = state;
  const inUse = [...(entry === undefined ? [] : lentOf(entry)), ...ownership.usedBesides(state, node)];
  const address = ownership.ipv4.leaseOf(node);
  if (address !== undefined && !inUse.some(({ ipv4HomeAddress }) => ipv4HomeAddress === address))
    ownership.ipv4.release(node);
  for (const prefix of ownership.lent.leasesOf(node)) {
    const isUsed = inUse.some(({ prefixes }) => prefixes.some((one) => samePrefix(one, prefix)));
    if (!isUsed) ownership.lent.release(node, prefix);
  }
}

function lentOf({ established, pending }: BindingEntry): readonly Lent[] {
  return [established, pending].flatMap((one) => {
    if (one === undefined) return [];
    const { homeAddress: ipv4HomeAddress, prefixes } = one.registration;
    return [{ ipv4HomeAddress, prefixes: prefixes.map(({ prefix }) => prefix) }];
  });
}
