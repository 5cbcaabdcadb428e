/**
 * What stands on a platform: a service is one machine with its plan, its sockets and its views. Several stand side by side (a second
 * protocol at one home agent, a correspondent in a mobile node); the platform brings each what is addressed to it.
 */
import type {
  BindingDocument,
  CommandDocument,
  CommandRequest,
  CorrespondentDocument,
  HomePrefixDocument,
  MulticastGroupDocument,
  SecurityDocument,
  StatusDocument,
  VisitorDocument,
} from "../../schemas/control.js";
import type { IpAddress, Ipv6Address } from "../base/ip.js";
import type { KernelNames } from "../kernel/codec.js";
import type { InterfaceNames } from "../kernel/names.js";
import type { MoveAnnouncement } from "../kernel/xfrm/migrate.js";
import type { StateCounters } from "../kernel/xfrm/security-messages.js";
import type { Logger } from "../log.js";
import type { KernelObject } from "../plan/objects/objects.js";
import type { XfrmState } from "../plan/objects/security.js";
import type { ObjectOwner } from "../plan/owner.js";
import type { NotifyEffect, SignallingEffect } from "../protocol/mip6/inputs.js";
import type { GroupResult } from "../reconcile/reconciler.js";
import type { Counters, NotedEvent } from "../store/events.js";
import type { JournalRecord } from "../store/journal.js";
import type { GroupState, ServiceGroups } from "./groups.js";
import type { SignallingListener, SignallingSite } from "./signalling/signalling.js";

/** The group of what all of a service's nodes share. */
export const SITE_GROUP = "site";

/** Objects that stand and fall together, and whether the kernel has them. */
export interface PlannedGroup {
  readonly objects: readonly KernelObject[];
  readonly state: GroupState;
}

/** What a service shows of its machine. */
export interface ServiceViews {
  bindings(): Iterable<BindingDocument>;
  /** Of the node with this IPv6 or IPv4 home address. */
  binding(address: IpAddress): BindingDocument | undefined;
  /** What it wants of the kernel for this node; empty for a node that is not its own. */
  plan(homeAddress: Ipv6Address): readonly PlannedGroup[];
  /** Home addresses of all nodes, bound or not. */
  nodes(): Iterable<Ipv6Address>;
  /** Of the node with this IPv6 or IPv4 home address. */
  nodeAt(address: IpAddress): Ipv6Address | undefined;
  /** Of its own nodes alone. */
  security(nodes: readonly Ipv6Address[]): Promise<SecurityDocument>;
  /** Of a mobile node; null at a home agent. */
  readiness(): StatusDocument["readiness"];
  /** What is known of the prefixes of the home link. Absent: nothing. */
  homePrefixes?(): readonly HomePrefixDocument[];
  /** Groups that nodes have joined. Absent: none. */
  multicast?(): readonly MulticastGroupDocument[];
  /** Who is registered through a foreign agent. Absent: nobody. */
  visitors?(): readonly VisitorDocument[];
  /** With route optimisation, at either end. Absent: none. */
  correspondents?(): readonly CorrespondentDocument[];
}

/** In the order of its life; the platform calls, and calls nothing before what stands above it. */
export interface Service {
  /** No two on one platform have the same. */
  readonly name: string;
  /** Of ours, that it serves: for people. */
  readonly addresses: readonly IpAddress[];
  readonly views: ServiceViews;
  /** Takes up what the journal kept. Returned are the groups without which it cannot work. */
  prepare(): ReadonlyMap<string, readonly KernelObject[]>;
  /** The kernel has all that services cannot do without: from here on messages come in. */
  listen(): void;
  /** Everything is open, and the machine is set going. */
  begin(): void;
  /** The kernel's answer for one of its groups. */
  onGroupResult(result: GroupResult): void;
  /** Somebody else has taken an object of its own out of the kernel that cannot be made again. */
  onLoss(object: KernelObject): void;
  /** Called every few seconds: what goes without a word is looked for, and put back. */
  look?(): void;
  /** The objects that it wants for this node. */
  objectsOf(homeAddress: Ipv6Address): readonly KernelObject[];
  /** Whose the object is; undefined: none that this service would want. */
  ownerOf(object: KernelObject): ObjectOwner | undefined;
  /** Does what an operator asks for; undefined: it has no such command. Rejects with MobilityError. */
  command?(request: CommandRequest): Promise<CommandDocument> | undefined;
  /** Closes what it opened, whatever it was about. */
  abandon(): void;
  /** Takes leave of its peers where that is the role's duty, and ends the machine. The kernel keeps what it has. */
  close(): Promise<void>;
}

/** Its part of the journal. */
export interface ServiceRecords {
  /** The last one of each key, with the seconds since it was written. */
  entries(): Iterable<readonly [key: string, entry: { readonly record: JournalRecord; readonly ageSeconds: number }]>;
  /** Told whether the disk takes what is written, at each change from here on, and at once if it refuses already. */
  onWritable(listener: (writable: boolean) => void): void;
  /** null forgets the key. Durable after the next `flush`. */
  append(key: string, record: JournalRecord | null): void;
}

/** What a service finds under its feet. */
export interface ServiceGround {
  readonly log: Logger;
  readonly names: KernelNames & Pick<InterfaceNames, "identity">;
  /** Failed negotiations of keys. */
  readonly negotiation: Counters;
  readonly groups: ServiceGroups;
  readonly records: ServiceRecords;
  /**
   * Holds an address that was not known when the platform was opened, until the returned function lets it go or the platform is closed.
   * Throws MobilityError (MIP_BUSY) if another daemon serves it.
   */
  hold(address: IpAddress): () => void;
  /** How many packets each counter of our firewall has seen, and how many messages have been read, or dropped after that. */
  messageCounts(): Promise<{ readonly firewall: Readonly<Record<string, number>>; readonly read: number }>;
  /** What the kernel has counted for these states of ours, of those that are there. Rejects with KernelError. */
  readStates(states: readonly XfrmState[]): Promise<readonly StateCounters[]>;
  /** Tells the IKE daemon where SAs lie now. Rejects with KernelError. */
  announceMove(moves: readonly MoveAnnouncement[]): Promise<void>;
  /** Messages to `site.self` come to the listener, unless an earlier one takes them, until the returned function is called. */
  listen(site: SignallingSite, listener: SignallingListener): () => void;
  send(effect: SignallingEffect): void;
  notify(effect: NotifyEffect): void;
  note(event: NotedEvent): void;
  /** Counts a message that did not come or go by the signalling sockets, by its type. */
  count(direction: "received" | "sent", type: string): void;
  /** `reason`: under which it is counted; of the protocol's machines, and always the same words. */
  drop(reason: string, detail: string): void;
  /** Writes what was appended to the journal, and says whether it is on the disk; undefined if there is nothing. Never rejects. */
  flush(): Promise<boolean> | undefined;
}
