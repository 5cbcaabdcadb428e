/** The mobile node's state, what moves it and what it asks for. Plain data; machine.ts is the machine. */
import type { Family, IpAddress, Ipv4Address, Ipv6Address, Prefix } from "../../../base/ip.js";
import type { Seq16 } from "../../../base/seq16.js";
import type { Instant } from "../../../base/time.js";
import type { MobilityMessage } from "../../../wire/mip6/messages/mobility-header.js";
import type { Attachment, CareOf, MobileNodeSite } from "../../movement/attachment.js";
import type { NetworkView } from "../../movement/network-view.js";
import type { AnnounceEffect, Arrival, DropEffect, NotifyEffect, ProgrammedInput, SendEffect } from "../inputs.js";
import type { Registration, SentUpdate } from "./binding-update-list.js";
import type { MobileNodeRecord } from "./record.js";
import type { Phase } from "./states.js";

export type MobileNodeInput =
  /** The network has changed, or is known for the first time: always the whole of it. */
  | { readonly kind: "network"; readonly view: NetworkView }
  | { readonly kind: "message"; readonly arrival: Arrival; readonly message: MobilityMessage }
  | ProgrammedInput
  /** `nextDeadline` has come. */
  | { readonly kind: "timer" }
  /** Only before the first network view: the journal's last record and how long ago it was written. */
  | { readonly kind: "restore"; readonly record: MobileNodeRecord; readonly ageSeconds: number }
  /**
   * Asked for by a person or by an observer of the traffic: register now, forgetting what was learnt about families and the home agent.
   * `forceUdp` asks for UDP from now on, for paths that lose protocol 41 or 4 (RFC 5555 §4.4.1).
   */
  | { readonly kind: "refresh"; readonly forceUdp?: boolean }
  /**
   * With negotiated keys: the associations that protect updates are there, or are not (any more). `failure`: an attempt to get them has
   * failed; the next one follows without being asked for.
   */
  | { readonly kind: "security"; readonly ready: boolean; readonly failure?: string }
  /** De-register and end. */
  | { readonly kind: "stop" };

/**
 * An end of the tunnel on this machine. The other one is the home agent's address of the same family (configuration). `gateway`: the
 * router towards the home agent on this device; absent: the home agent is on the link.
 */
export type LocalEndpoint =
  | {
      readonly format: "ipv6";
      readonly address: Ipv6Address;
      readonly device: string;
      readonly gateway?: Ipv6Address;
    }
  | {
      readonly format: "ipv4" | "udp";
      readonly address: Ipv4Address;
      readonly device: string;
      readonly gateway?: Ipv4Address;
    };

/** Absent `gateway`: on the link. */
export interface HomeRoute {
  readonly destination: Prefix;
  readonly gateway?: IpAddress;
}

/**
 * How payload of the home addresses travels; the plan turns it into kernel objects.
 *
 * detached  no way at all: payload waits or is unreachable, never leaves outside the tunnel
 * home      the home addresses are on `homeDevice`; payload goes that way, or through `egress` if the home agent does not answer there
 * away      the home addresses are on no link. Payload goes through `egress`; without it through `homeDevice` if that is there
 *           (leaving home: the node must not answer for its addresses there any more); without both it has no way yet
 */
export interface MobileNodeDataPath {
  readonly homeAddress: Ipv6Address;
  /** At home, or once the home agent has accepted it. */
  readonly ipv4HomeAddress?: Ipv4Address;
  readonly mode: "detached" | "home" | "away";
  readonly homeDevice?: string;
  /** The IPv4 default router on `homeDevice`. */
  readonly homeIpv4Gateway?: Ipv4Address;
  /** IPv6 routes of others through `homeDevice`, the best one to each destination. Payload takes these and no other way while it goes over the home link. */
  readonly homeRoutes?: readonly HomeRoute[];
  readonly egress?: LocalEndpoint;
  /**
   * Through which payload from the home agent is accepted. At an IPv4 one both plain and UDP, whatever `format` says: the home agent
   * changes over as soon as it sees a NAT, before this side knows.
   */
  readonly ingress: readonly LocalEndpoint[];
  /** The care-of address about which updates leave over IPv6: what the kernel writes into their source field. */
  readonly updateFrom?: Ipv6Address;
  /** Where MOBIKE moves the IKE SA: from where IKE shall speak. Absent: from nowhere yet. */
  readonly ikeEnd?: LocalEndpoint;
  /** Changes with the content. */
  readonly revision: number;
}

export interface DataPathEffect {
  readonly kind: "data-path";
  readonly path: MobileNodeDataPath;
}

/** To be durable before the `send` that follows it leaves. */
export interface JournalEffect {
  readonly kind: "journal";
  readonly key: Ipv6Address;
  readonly record: MobileNodeRecord;
}

/** Nothing more will come: the kernel objects may go. */
export interface StoppedEffect {
  readonly kind: "stopped";
  /** The home agent has confirmed, or there was nothing to take back. */
  readonly deregistered: boolean;
}

/** Associations with the home agent are needed from this care-of address; answered by `security`, again and again until they are there. */
export interface SecureEffect {
  readonly kind: "secure";
  readonly careOf: CareOf;
}

/** The home agent has accepted this care-of address. `moved`: its end of the IKE SA has followed; else the SA is to be made anew (RFC 5555 §5.1). */
export interface KeyManagementEffect {
  readonly kind: "key-management";
  readonly careOf: CareOf;
  readonly moved: boolean;
}

export type MobileNodeEffect =
  | SendEffect
  | NotifyEffect
  | AnnounceEffect
  | DropEffect
  | DataPathEffect
  | JournalEffect
  | SecureEffect
  | KeyManagementEffect
  | StoppedEffect;

/** Updates about one attachment, sent until one is answered. */
export interface Exchange {
  readonly sent: readonly SentUpdate[];
  /** Unanswered since the family was changed. */
  readonly attempts: number;
  /** There is no registration yet. */
  readonly first: boolean;
  /** When the next one leaves. */
  readonly sendAt: Instant;
}

/** A care-of address to which the home agent may still send. */
export interface Reception {
  readonly careOf: CareOf;
  /** Absent: until the home agent has answered an update about another one. */
  readonly until: Instant | undefined;
}

/** The data path last asked for, and what the kernel said. */
export interface PathStatus {
  readonly path: MobileNodeDataPath;
  readonly status: "pending" | "realised" | "failed";
  readonly failures: number;
  readonly retryAt: Instant | undefined;
}

export interface MobileNodeState {
  readonly site: MobileNodeSite;
  readonly phase: Phase;
  /** Absent before the first one. */
  readonly view: NetworkView | undefined;
  readonly target: Attachment | undefined;
  readonly registration: Registration | undefined;
  readonly exchange: Exchange | undefined;
  /** In phase "refused": when to ask again. */
  readonly retryAt: Instant | undefined;
  /** Refusals since the last success or move. */
  readonly refusals: number;
  /** Of the last update sent. */
  readonly lastSequence: Seq16;
  /** Until then the home agent may hold a binding of ours: an update asking for one has left. */
  readonly boundUntil: Instant | undefined;
  readonly receptions: readonly Reception[];
  /** The home link that payload uses, from arriving there until bound elsewhere. */
  readonly homeDevice: string | undefined;
  /** The IPv4 home address is usable: at home, or the last acceptance said so. */
  readonly ipv4Bound: boolean;
  /** The home agent has accepted an update without a word on its IPv4 Home Address option (C-05). */
  readonly ipv4Unsupported: boolean;
  readonly forceUdp: boolean;
  readonly ipv6Silent: readonly string[];
  readonly avoid: Family | undefined;
  /** How often the family was changed since for want of an answer. */
  readonly familySwitches: number;
  /** When the last few updates left, for the rate limit. */
  readonly recentUpdates: readonly Instant[];
  readonly path: PathStatus | undefined;
  /** Updates can be protected: always with static keys. */
  readonly secured: boolean;
  /** The care-of address from which associations were last asked for. */
  readonly securing: CareOf | undefined;
}
