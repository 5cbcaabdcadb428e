/**
 * One binding for each node, whoever of two protocols has it: both plan it into the same group of kernel objects, so that a registration by
 * the other one is a move to the reconciler, make before break. When the kernel has what one of them wants, the other's binding is over.
 */
import type { MobilityProtocol } from "../../../schemas/config/common.js";
import type { MobilityError } from "../../base/errors.js";
import type { Ipv6Address } from "../../base/ip.js";
import type { KernelObject } from "../../plan/objects/objects.js";
import type { GroupResult } from "../../reconcile/reconciler.js";
import type { GroupState, ServiceGroups } from "../groups.js";

/** The service of a protocol. */
export interface BindingOwner {
  readonly protocol: MobilityProtocol;
  /** The kernel's answer for this revision of the node's objects, or for their removal. */
  onResult(node: Ipv6Address, revision: number, failure: MobilityError | undefined): void;
  /** Wants the node's objects again, as they were; false: it has none. */
  planAgain(node: Ipv6Address): boolean;
  /** The node is registered by the other protocol, and the kernel has that. */
  onTaken(node: Ipv6Address, by: MobilityProtocol): void;
}

/** What one service does with the group that both share. */
export interface BindingGroups {
  set(node: Ipv6Address, objects: readonly KernelObject[], revision: number): void;
  remove(node: Ipv6Address, revision: number): void;
  stateOf(node: Ipv6Address): GroupState;
  /** Whether it was an answer for a binding; then it was passed on. */
  answered(result: GroupResult): boolean;
  /** The node is bound by the other protocol. */
  isElsewhere(node: Ipv6Address): boolean;
}

interface Ask {
  /** Never given twice, while revisions are counted by each machine. */
  readonly number: number;
  readonly protocol: MobilityProtocol;
  readonly revision: number;
  readonly removal: boolean;
}

interface Shared {
  /** Whose objects the kernel has. */
  holder: MobilityProtocol | undefined;
  /** Who has asked last. */
  claimant: MobilityProtocol;
  /** Not answered yet, in the order in which they were made. */
  asks: readonly Ask[];
}

const PREFIX = "binding ";
const groupOf = (node: Ipv6Address): string => `${PREFIX}${node}`;

export class OneBinding {
  readonly #owners = new Map<MobilityProtocol, BindingOwner>();
  readonly #nodes = new Map<Ipv6Address, Shared>();
  /** Of the service that has joined first; it brings the answers. */
  #groups: Pick<ServiceGroups, "setGroup" | "removeGroup" | "stateOf"> | undefined;
  #last = 0;

  join(groups: Pick<ServiceGroups, "setGroup" | "removeGroup" | "stateOf">, owner: BindingOwner): BindingGroups {
    const { protocol } = owner;
    this.#groups ??= groups;
    this.#owners.set(protocol, owner);
    return {
      set: (node, objects, revision) => this.#set(protocol, node, objects, revision),
      remove: (node, revision) => this.#remove(protocol, node, revision),
      stateOf: (node) => this.#groups?.stateOf(groupOf(node)) ?? "realised",
      answered: (result) => this.#answered(result),
      isElsewhere: (node) => {
        const holder = this.#nodes.get(node)?.holder;
        return holder !== undefined && holder !== protocol;
      },
    };
  }

  #set(protocol: MobilityProtocol, node: Ipv6Address, objects: readonly KernelObject[], revision: number): void {
    const number = this.#ask(protocol, node, { revision, removal: false });
    this.#groups?.setGroup(groupOf(node), objects, number);
  }

  #remove(protocol: MobilityProtocol, node: Ipv6Address, revision: number): void {
    const shared = this.#nodes.get(node);
    const isOthers = (one: MobilityProtocol | undefined): boolean => one !== undefined && one !== protocol;
    if (shared !== undefined && (isOthers(shared.holder) || isOthers(shared.claimant))) {
      if (!isOthers(shared.claimant)) this.#giveBack(shared, node);
      else if (shared.holder === protocol) shared.holder = undefined;
      // There is nothing of this one's in the kernel that the other one's would not replace.
      queueMicrotask(() => this.#owners.get(protocol)?.onResult(node, revision, undefined));
      return;
    }
    const number = this.#ask(protocol, node, { revision, removal: true });
    this.#groups?.removeGroup(groupOf(node), number);
  }

  /** What was wanted comes to nothing: the kernel shall have what it had. */
  #giveBack(shared: Shared, node: Ipv6Address): void {
    const { holder } = shared;
    if (holder === undefined || this.#owners.get(holder)?.planAgain(node) === true) return;
    const number = this.#ask(holder, node, { revision: 0, removal: true });
    this.#groups?.removeGroup(groupOf(node), number);
  }

  #ask(protocol: MobilityProtocol, node: Ipv6Address, about: Pick<Ask, "revision" | "removal">): number {
    const shared = this.#nodes.get(node) ?? { holder: undefined, claimant: protocol, asks: [] };
    const number = ++this.#last;
    shared.claimant = protocol;
    shared.asks = [...shared.asks, { number, protocol, ...about }];
    this.#nodes.set(node, shared);
    return number;
  }

  #answered({ group, revision, failure }: GroupResult): boolean {
    if (!group.startsWith(PREFIX)) return false;
    const node = group.slice(PREFIX.length) as Ipv6Address;
    const shared = this.#nodes.get(node);
    const ask = shared?.asks.find(({ number }) => number === revision);
    if (shared === undefined || ask === undefined) return true;
    // An earlier one that was never answered has been overtaken.
    shared.asks = shared.asks.filter(({ number }) => number > revision);
    const before = shared.holder;
    if (failure === undefined) shared.holder = ask.removal ? undefined : ask.protocol;
    if (shared.holder === undefined && shared.asks.length === 0) this.#nodes.delete(node);
    this.#owners.get(ask.protocol)?.onResult(node, ask.revision, failure);
    if (shared.holder === undefined || shared.holder === before || shared.claimant !== shared.holder) return true;
    for (const owner of this.#owners.values()) if (owner.protocol !== shared.holder) owner.onTaken(node, shared.holder);
    return true;
  }
}
