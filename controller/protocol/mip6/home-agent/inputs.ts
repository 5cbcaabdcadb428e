/**
 * What goes into the home agent's machine and what comes out of it. Everything here is plain data; `step` (machine.ts) is the only
 * function that turns one into the other.
 */
import type { IpAddress, Ipv6Address } from "../../../base/ip.js";
import type { Seq16 } from "../../../base/seq16.js";
import type { Instant } from "../../../base/time.js";
import type { MobilityMessage } from "../../../wire/mip6/messages/mobility-message.js";
import type {
  AnnounceEffect,
  Arrival,
  DadEffect,
  DataPath,
  DropEffect,
  NotifyEffect,
  OptionRefusedInput,
  ProgrammedInput,
  SendEffect,
} from "../inputs.js";

/** A record of a binding as the journal gives it back. */
export interface StoredBinding {
  readonly record: Readonly<Record<string, unknown>>;
  /** Seconds since it was written. */
  readonly ageSeconds: number;
}

export interface MessageInput {
  readonly kind: "message";
  readonly arrival: Arrival;
  readonly message: MobilityMessage;
}

/** The end of a duplicate address detection that a DadEffect asked for. */
export interface DadCompletedInput {
  readonly kind: "dad-completed";
  readonly homeAddress: Ipv6Address;
  /** The address that was probed, as in the effect. */
  readonly address: Ipv6Address;
  readonly conflict: boolean;
}

/** The instant of `nextDeadline` has come. Too early or too often does no harm. */
export interface TimerInput {
  readonly kind: "timer";
}

/** An operator ends a binding, or its IPv4 part alone. The node is told first; it has some seconds to acknowledge that (RFC 5846). */
export interface RemoveInput {
  readonly kind: "remove";
  readonly homeAddress: Ipv6Address;
  /** Absent: the whole binding. */
  readonly ipv4Only?: boolean;
  /** Present: it is over at once, for this reason, and the node is told nothing; it is registered by another protocol now. */
  readonly untold?: string;
}

/** What a node is told of the home agent's own accord, again and again until it has done what it is told, or for too long. */
export type NoticeSubject =
  /** Its binding, or the IPv4 part alone, ends (RFC 5846). */
  | { readonly kind: "revocation"; readonly ipv4Only: boolean }
  /** It is to take another home agent: one of these, the best first, or one that it finds itself (RFC 5142). */
  | { readonly kind: "switch"; readonly homeAgents: readonly Ipv6Address[] }
  /** It is to register anew (RFC 6275 §6.1.2). */
  | { readonly kind: "refresh" };

export interface Notice {
  readonly subject: NoticeSubject;
  /** Of a revocation, the same in each repetition. */
  readonly sequence: Seq16;
  /** How often it has been sent. */
  readonly attempts: number;
  /** When it is sent again, or given up. */
  readonly sendAt: Instant;
}

/** An operator has these nodes told something; those that are not bound hear nothing. */
export interface NoticeInput {
  readonly kind: "notice";
  readonly homeAddresses: readonly Ipv6Address[];
  readonly subject: Exclude<NoticeSubject, { readonly kind: "revocation" }>;
}

/** What the journal kept of an earlier life; the first input, before any message. */
export interface RestoreInput {
  readonly kind: "restore";
  readonly bindings: readonly StoredBinding[];
}

/** Whether the journal can be written. While it can't, nothing is promised to anybody. */
export interface StorageInput {
  readonly kind: "storage";
  readonly writable: boolean;
}

/** What was recorded of this node is not on the disk, and the acceptance of the update with this number has been withheld. */
export interface UnstoredInput {
  readonly kind: "unstored";
  readonly homeAddress: Ipv6Address;
  readonly sequence: Seq16;
}

export type HomeAgentInput =
  | MessageInput
  | ProgrammedInput
  | DadCompletedInput
  | TimerInput
  | RemoveInput
  | NoticeInput
  | RestoreInput
  | StorageInput
  | UnstoredInput
  | OptionRefusedInput;

/** The data path of this home address is to be as given. Answered by `programmed` with the same revision. */
export interface DataPathEffect {
  readonly kind: "data-path";
  readonly path: DataPath;
}

/**
 * This home address has no data path any more. Answered by `programmed` with the same revision once the kernel has let go: only then
 * does the acknowledgement of a de-registration leave, so that nothing of ours catches the packets of a node that is at home.
 */
export interface DataPathRemovedEffect {
  readonly kind: "data-path-removed";
  readonly homeAddress: Ipv6Address;
  readonly revision: number;
}

/** The node's end of its IKE SA is now at `remote`: where its signalling comes from (RFC 5555 §5.1). Addresses of one family. */
export interface KeyManagementMovedEffect {
  readonly kind: "key-management-moved";
  readonly homeAddress: Ipv6Address;
  readonly local: IpAddress;
  readonly remote: IpAddress;
}

/** To be on stable storage before the sends that follow it in the same list of effects; null forgets the key. */
export interface JournalEffect {
  readonly kind: "journal";
  readonly key: Ipv6Address;
  readonly record: Readonly<Record<string, unknown>> | null;
}

export type HomeAgentEffect =
  | SendEffect
  | NotifyEffect
  | AnnounceEffect
  | DadEffect
  | DropEffect
  | DataPathEffect
  | DataPathRemovedEffect
  | KeyManagementMovedEffect
  | JournalEffect;
