/** What goes into the mobile node's registration machine and what comes out of it; `step` (machine.ts) is the only function between them. */
import type { Ipv4Address, Ipv6Address, Prefix } from "../../../base/ip.js";
import type { Instant } from "../../../base/time.js";
import type { RegistrationReply, RegistrationRequest } from "../../../wire/mip4/messages/control-message.js";
import type { Identification } from "../../../wire/mip4/messages/registration.js";
import type { AuthenticationVerdict, Encapsulation, RegisteredPrefix } from "../inputs.js";

/** What an agent on the link says of itself, as far as a registration with it needs it. */
export interface ForeignAgent {
  /** Source of its advertisements. */
  readonly address: Ipv4Address;
  /** From which they came, "02:00:5e:10:00:01": a node that is away asks nobody by ARP (RFC 5944 §4.6). Absent: it was not told. */
  readonly linkLayerAddress?: string | undefined;
  readonly registrationLifetimeSeconds: number;
  readonly gre: boolean;
  readonly reverseTunnelling: boolean;
  /** The latest one (RFC 4721). */
  readonly challenge?: Uint8Array | undefined;
}

/** Where the node is. Which one it takes, of several, is decided elsewhere. */
export type Attachment =
  | { readonly kind: "home"; readonly device: string }
  | {
      readonly kind: "co-located";
      readonly device: string;
      readonly address: Ipv4Address;
      /** An agent of the link that demands a registration through it (R flag). */
      readonly through?: ForeignAgent | undefined;
    }
  | {
      readonly kind: "foreign-agent";
      readonly device: string;
      readonly careOfAddress: Ipv4Address;
      readonly agent: ForeignAgent;
    };

/** The two clocks and some randomness, as of a step. */
export interface Moment {
  readonly now: Instant;
  /** Ours, as an NTP time; it may be wrong, and the home agent tells by how much. */
  readonly timeOfDay: Identification;
  /** 32 bits. */
  readonly random: number;
}

export type MobileNodeInput =
  /** Undefined: nowhere. */
  | { readonly kind: "attach"; readonly attachment: Attachment | undefined }
  | {
      readonly kind: "reply";
      readonly source: Ipv4Address;
      readonly reply: RegistrationReply;
      /** One for each authentication extension of the reply, in their order. */
      readonly verdicts: readonly AuthenticationVerdict[];
    }
  /** These prefixes have been delegated by DHCPv6, and no others. */
  | { readonly kind: "delegated"; readonly prefixes: readonly Prefix[] }
  /** Register now: a keepalive was not answered, or a person wants it. */
  | { readonly kind: "refresh" }
  | { readonly kind: "timer" }
  /** Before the first attachment. */
  | {
      readonly kind: "restore";
      readonly record: Readonly<Record<string, unknown>>;
      /** Since it was written. */
      readonly ageSeconds: number;
    }
  /** De-register and end. */
  | { readonly kind: "stop" };

/** Its authenticator is empty: who sends it makes it. From and to port 434's peer as given. */
export interface RequestEffect {
  readonly kind: "request";
  readonly request: RegistrationRequest;
  readonly source: Ipv4Address;
  readonly destination: Ipv4Address;
  readonly ttl: number;
  readonly device: string;
}

/** Where a tunnel of the node's ends: with itself, or with a foreign agent on the link. */
export type PathEnd =
  | { readonly kind: "co-located"; readonly device: string; readonly address: Ipv4Address }
  | {
      readonly kind: "foreign-agent";
      readonly device: string;
      readonly agent: Ipv4Address;
      /** See ForeignAgent. */
      readonly linkLayerAddress?: string | undefined;
    };

export function endOf(attachment: Exclude<Attachment, { readonly kind: "home" }>): PathEnd {
  const { kind, device } = attachment;
  return kind === "co-located"
    ? { kind, device, address: attachment.address }
    : { kind, device, agent: attachment.agent.address, linkLayerAddress: attachment.agent.linkLayerAddress };
}

/** How payload travels; the plan turns it into kernel objects. */
export type NodePath =
  | {
      readonly mode: "detached";
      /** One that was found; absent: as configured. */
      readonly homeAgent?: Ipv4Address | undefined;
      readonly ingress?: readonly PathEnd[] | undefined;
      readonly homeDevice?: string | undefined;
    }
  | {
      readonly mode: "home";
      readonly device: string;
      readonly homeAddress: Ipv4Address;
      readonly homeAgent?: Ipv4Address | undefined;
      /** A place that is asked for, for the home agent changes over before its answer is here; and for a while the one that was left. */
      readonly ingress?: readonly PathEnd[] | undefined;
    }
  | {
      readonly mode: "away";
      readonly homeAddress: Ipv4Address;
      readonly homeAgent: Ipv4Address;
      /** Where payload goes out. */
      readonly egress: PathEnd;
      /** Where payload of the home agent may come in: there, at a place that is asked for, and for a while at the former one. */
      readonly ingress: readonly PathEnd[];
      /** The home link, where the answer to the de-registration comes. */
      readonly homeDevice?: string | undefined;
      /** With a co-located care-of address: of the tunnel that begins here. */
      readonly encapsulation: Encapsulation;
      /** In UDP, with a keepalive after so many seconds of silence. */
      readonly keepaliveSeconds?: number | undefined;
      readonly reverseTunnelling: boolean;
      readonly prefixes: readonly RegisteredPrefix[];
      readonly linkLocalAddress?: Ipv6Address | undefined;
    };

/** Gratuitous ARP on the home link: the address is here (RFC 5944 §4.6). */
export interface NodeAnnounceEffect {
  readonly kind: "announce";
  readonly device: string;
  readonly address: Ipv4Address;
}

export interface NodePathEffect {
  readonly kind: "data-path";
  readonly path: NodePath;
}

/** To be on stable storage before the request that follows it leaves. */
export interface NodeJournalEffect {
  readonly kind: "journal";
  readonly record: Readonly<Record<string, unknown>>;
}

export interface NodeEventEffect {
  readonly kind: "notify";
  readonly event:
    | "registration.started"
    | "registration.completed"
    | "registration.failed"
    | "registration.lost"
    | "home.returned"
    | "nat.changed"
    | "clock.corrected"
    | "ipv6.unsupported";
  readonly detail: Readonly<Record<string, string | number | boolean>>;
}

export type ReplyDropReason =
  | "no-outstanding-request"
  | "identification-mismatch"
  | "unauthenticated"
  | "authentication-failed"
  | "home-address-mismatch"
  | "wrong-source"
  | "malformed";

export interface ReplyDropEffect {
  readonly kind: "drop";
  readonly reason: ReplyDropReason;
  readonly detail: string;
}

export interface StoppedEffect {
  readonly kind: "stopped";
  readonly deregistered: boolean;
}

export type MobileNodeEffect =
  | RequestEffect
  | NodePathEffect
  | NodeAnnounceEffect
  | NodeJournalEffect
  | NodeEventEffect
  | ReplyDropEffect
  | StoppedEffect;
