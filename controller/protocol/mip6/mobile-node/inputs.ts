/** What moves the mobile node's machine and what it asks for. Plain data; `step` (machine.ts) is the only function that turns one into the other. */
import type { Family, IpAddress, Ipv4Address, Ipv6Address } from "../../../base/ip.js";
import type { MobilityMessage } from "../../../wire/mip6/messages/mobility-header.js";
import type { CareOf } from "../../movement/attachment.js";
import type { HomeRoute } from "../../movement/home-routes.js";
import type { NetworkView } from "../../movement/network-view.js";
import type {
  AnnounceEffect,
  Arrival,
  DropEffect,
  NotifyEffect,
  OptionRefusedInput,
  ProgrammedInput,
  SendEffect,
} from "../inputs.js";

/** JSON: what the journal keeps of the node (record.ts). */
export type MobileNodeRecord = Readonly<Record<string, unknown>>;

export type MobileNodeInput =
  /** The network has changed, or is known for the first time: always the whole of it. */
  | { readonly kind: "network"; readonly view: NetworkView }
  | { readonly kind: "message"; readonly arrival: Arrival; readonly message: MobilityMessage }
  | ProgrammedInput
  | OptionRefusedInput
  /** `nextDeadline` has come. */
  | { readonly kind: "timer" }
  /** Only before the first network view: the journal's last record and how long ago it was written. */
  | { readonly kind: "restore"; readonly record: MobileNodeRecord; readonly ageSeconds: number }
  /**
   * Asked for by a person or by an observer of the traffic: register now, forgetting what was learnt about families and the home agent.
   * `forceUdp` asks for UDP from now on, for paths that lose protocol 41 or 4 (RFC 5555 §4.4.1). `forgets: false`: what was learnt stands, and
   * only who is registered tells the home agent where it is (RFC 5555 §4.3).
   */
  | { readonly kind: "refresh"; readonly forceUdp?: boolean; readonly forgets?: false }
  /**
   * With negotiated keys: the associations that protect updates are there, or are not (any more). `failure`: an attempt to get them has
   * failed; the next one follows without being asked for.
   */
  | { readonly kind: "security"; readonly ready: boolean; readonly failure?: string }
  /** The home agent wants us elsewhere and there is nowhere else to go: de-register, and come back later (RFC 5142). */
  | { readonly kind: "withdraw" }
  /** De-register and end. */
  | { readonly kind: "stop" };

/**
 * An end of the tunnel on this machine. The other one is the home agent's address of the same family (configuration). `gateway`: the
 * router towards the home agent on this device; absent: the home agent is on the link.
 */
export type LocalEndpoint =
  | {
      /** "udp": as the last resort. */
      readonly format: "ipv6" | "udp";
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
  /** One of `ingress`. */
  readonly egress?: LocalEndpoint;
  /**
   * Through which payload from the home agent is accepted. At an IPv4 one both plain and UDP, whatever `format` says: the home agent
   * changes over as soon as it sees a NAT, before this side knows.
   */
  readonly ingress: readonly LocalEndpoint[];
  /** The care-of address about which updates leave over IPv6: what the kernel writes into their source field. IPv4-mapped: in IPv4. */
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

/** The home agent has accepted this care-of address: its answer came back there. */
export interface AnsweredEffect {
  readonly kind: "answered";
  readonly device: string;
  readonly address: IpAddress;
}

/** An update that left through this link has not been answered in time: is the link where it was? */
export interface UnansweredEffect {
  readonly kind: "unanswered";
  readonly device: string;
  readonly family: Family;
}

/** The home agent wants us to take another one: one of these, the best first, or any (RFC 5142). It waits for an update with lifetime 0. */
export interface SwitchEffect {
  readonly kind: "switch";
  readonly homeAgents: readonly Ipv6Address[];
}

/** The home agent says that its prefixes have changed, and are to be asked for (status 1, RFC 6275 §6.1.8). */
export interface PrefixDiscoveryEffect {
  readonly kind: "prefix-discovery";
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
  | AnsweredEffect
  | PrefixDiscoveryEffect
  | UnansweredEffect
  | SwitchEffect
  | StoppedEffect;
