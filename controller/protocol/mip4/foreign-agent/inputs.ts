/** What goes into the foreign agent's machine and what comes out of it; `step` (machine.ts) is the only function between them. */
import type { Ipv4Address } from "../../../base/ip.js";
import type { Instant } from "../../../base/time.js";
import type { RegistrationExtension } from "../../../wire/mip4/extensions/registration.js";
import type { LocatedControlMessage, RegistrationReply } from "../../../wire/mip4/messages/control-message.js";
import type { ToLink } from "../advertisements.js";
import type { AuthenticationVerdict, Encapsulation } from "../inputs.js";

/** A link-layer address, lower-case hexadecimal with colons. */
export type LinkAddress = string;

/** A registration message as it came: what it says, its octets, and whether its authenticators are right. */
export interface ReceivedRegistration {
  readonly located: LocatedControlMessage;
  readonly octets: Uint8Array;
  /** One for each authentication extension, in their order. */
  readonly verdicts: readonly AuthenticationVerdict[];
}

/** From a mobile node on a visited link. */
export interface VisitorRequestInput extends ReceivedRegistration {
  readonly kind: "request";
  readonly device: string;
  readonly linkAddress: LinkAddress;
  readonly source: Ipv4Address;
  readonly sourcePort: number;
  /** As in the packet: ours, 224.0.0.11 or a broadcast address. */
  readonly destination: Ipv4Address;
  readonly timeToLive: number;
}

/** From a home agent. */
export interface HomeAgentReplyInput extends ReceivedRegistration {
  readonly kind: "reply";
  readonly source: Ipv4Address;
}

/** ICMP about a request that was relayed. */
export interface UnreachableInput {
  readonly kind: "unreachable";
  readonly homeAgent: Ipv4Address;
  readonly what: "network" | "host" | "port" | "other";
  /** Low half of the identification, where the error quotes so much. */
  readonly identification?: number | undefined;
}

export interface SolicitationInput {
  readonly kind: "solicitation";
  readonly device: string;
  readonly linkAddress: LinkAddress;
  /** 0.0.0.0: all are to hear the answer. */
  readonly source: Ipv4Address;
}

/** The kernel's answer for revision `revision` of a visitor's data path, or for its removal. */
export interface ProgrammedInput {
  readonly kind: "programmed";
  readonly visitor: string;
  readonly revision: number;
  /** Absent: realised. */
  readonly failure?: string | undefined;
}

export interface StoredVisitor {
  readonly record: Readonly<Record<string, unknown>>;
  /** Seconds since it was written. */
  readonly ageSeconds: number;
}

export type ForeignAgentInput =
  | VisitorRequestInput
  | HomeAgentReplyInput
  | UnreachableInput
  | SolicitationInput
  | ProgrammedInput
  /** The instant of `nextDeadline` has come. */
  | { readonly kind: "timer" }
  /** What the journal kept of an earlier life; the first input. */
  | { readonly kind: "restore"; readonly records: readonly StoredVisitor[] }
  /** An operator ends it. */
  | { readonly kind: "remove"; readonly visitor: string; readonly reason: string }
  /** Advertise from now on. */
  | { readonly kind: "begin" }
  /** Take leave of all links. */
  | { readonly kind: "stop" };

/** As of a step. */
export interface Moment {
  readonly now: Instant;
  /** Good randomness, 20 octets. */
  readonly entropy: Uint8Array;
}

/**
 * Octets that are sent as they came, what we add to them, and an authentication extension of ours that covers both; its authenticator is
 * made by who sends it.
 */
export interface RelayedOctets {
  readonly octets: Uint8Array;
  readonly extensions: readonly RegistrationExtension[];
  readonly authentication?:
    | { readonly kind: "foreign-home-authentication" | "mobile-foreign-authentication"; readonly spi: number }
    | undefined;
}

export interface ToHomeAgent {
  readonly to: "home-agent";
  readonly relayed: RelayedOctets;
  readonly homeAgent: Ipv4Address;
}

/** To a node that may have no address on the link: by its link-layer address, without ARP (RFC 5944 §3.7.2.3). */
export interface ToVisitor {
  readonly to: "visitor";
  readonly device: string;
  readonly linkAddress: LinkAddress;
  readonly source: Ipv4Address;
  readonly destination: Ipv4Address;
  readonly destinationPort: number;
  readonly content:
    | { readonly kind: "relayed"; readonly relayed: RelayedOctets }
    /** Our own; its authenticator is empty. */
    | { readonly kind: "denial"; readonly reply: RegistrationReply };
  /** Whose key signs it, as its association names it; undefined: nobody's. */
  readonly node: string | undefined;
}

/** Leaves after all that was journalled in the same turn is on the disk. */
export interface SendEffect {
  readonly kind: "send";
  readonly message: ToHomeAgent | ToVisitor | ToLink;
}

/** What the data path of a visitor needs; the plan turns it into kernel objects. */
export interface VisitorPath {
  /** Its name: home address and home agent. */
  readonly visitor: string;
  readonly homeAddress: Ipv4Address;
  readonly homeAgent: Ipv4Address;
  readonly device: string;
  readonly linkAddress: LinkAddress;
  /** False: it decapsulates itself (D flag), and only may send here. */
  readonly decapsulates: boolean;
  readonly reverseTunnelling: boolean;
  readonly encapsulation: Encapsulation;
  /** A small number of its own, from 1. */
  readonly number: number;
  /** That of its home agent. */
  readonly homeAgentNumber: number;
  /** Another visitor with the same home address, of another home agent, was there before: it is told from that one by the tunnel it comes from. */
  readonly separate: boolean;
}

export interface DataPathEffect {
  readonly kind: "data-path";
  readonly path: VisitorPath;
  readonly revision: number;
}

/** Answered by `programmed` once the kernel has let go. */
export interface DataPathRemovedEffect {
  readonly kind: "data-path-removed";
  readonly visitor: string;
  readonly revision: number;
}

export interface JournalEffect {
  readonly kind: "journal";
  readonly key: string;
  /** null forgets the key. */
  readonly record: Readonly<Record<string, unknown>> | null;
}

export interface VisitorEventEffect {
  readonly kind: "notify";
  readonly event:
    | "visitor.accepted"
    | "visitor.refreshed"
    | "visitor.moved"
    | "visitor.removed"
    | "visitor.expired"
    | "visitor.rejected"
    | "visitor.failed"
    | "agent.started";
  readonly homeAddress?: Ipv4Address | undefined;
  readonly detail: Readonly<Record<string, string | number | boolean>>;
}

/** Reasons for which a message is dropped without an answer; each is counted by this name. */
export type ForeignAgentDropReason =
  | "malformed"
  | "unexpected-type"
  | "wrong-source"
  | "wrong-destination"
  | "duplicate"
  | "no-outstanding-request"
  | "identification-mismatch"
  | "unauthenticated"
  | "authentication-failed"
  | "rate-limited";

export interface ForeignAgentDropEffect {
  readonly kind: "drop";
  readonly reason: ForeignAgentDropReason;
  readonly detail: string;
}

export type ForeignAgentEffect =
  | SendEffect
  | DataPathEffect
  | DataPathRemovedEffect
  | JournalEffect
  | VisitorEventEffect
  | ForeignAgentDropEffect;
