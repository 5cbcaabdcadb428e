/** What goes into the home agent's machine and what comes out of it; `step` (machine.ts) is the only function between them. */
import type { Ipv4Address } from "../../../base/ip.js";
import type { RegistrationReply, RegistrationRequest } from "../../../wire/mip4/messages/control-message.js";
import type { Identification } from "../../../wire/mip4/messages/registration.js";
import type { Arrival, AuthenticationVerdict, DataPath, DropEffect, NodeName, NotifyEffect } from "../inputs.js";

export interface RequestInput {
  readonly kind: "request";
  readonly arrival: Arrival;
  readonly request: RegistrationRequest;
  /** One for each authentication extension of the request, in their order. */
  readonly verdicts: readonly AuthenticationVerdict[];
  /** Ours, as an NTP time. */
  readonly timeOfDay: Identification;
  /** 32 bits of good randomness. */
  readonly nonce: number;
}

/** The kernel's answer for revision `revision` of a node's data path, or for its removal. */
export interface ProgrammedInput {
  readonly kind: "programmed";
  readonly node: NodeName;
  readonly revision: number;
  /** Absent: realised. */
  readonly failure?: string;
}

/** The instant of `nextDeadline` has come. Too early or too often does no harm. */
export interface TimerInput {
  readonly kind: "timer";
}

/** The binding ends by the will of an operator, or because the node is bound by another protocol now. No message tells the node. */
export interface RemoveInput {
  readonly kind: "remove";
  readonly node: NodeName;
  readonly reason: string;
  /** The home address is served on by another protocol: nothing on the home link changes. */
  readonly servedOn?: boolean;
}

/** A record of a node as the journal gives it back. */
export interface StoredNode {
  readonly record: Readonly<Record<string, unknown>>;
  /** Seconds since it was written. */
  readonly ageSeconds: number;
}

/** What the journal kept of an earlier life; the first input, before any message. */
export interface RestoreInput {
  readonly kind: "restore";
  readonly nodes: readonly StoredNode[];
}

/** Whether the journal can be written. While it can't, nothing is promised to anybody. */
export interface StorageInput {
  readonly kind: "storage";
  readonly writable: boolean;
}

/** What was recorded of this node is not on the disk, and the acceptance with this Identification has been withheld. */
export interface UnstoredInput {
  readonly kind: "unstored";
  readonly node: NodeName;
  readonly identification: Identification;
}

export type HomeAgentInput =
  | RequestInput
  | ProgrammedInput
  | TimerInput
  | RemoveInput
  | RestoreInput
  | StorageInput
  | UnstoredInput;

/**
 * Its authenticators are empty: who sends it makes them, with the keys of the node and of the foreign agent that the SPIs stand for.
 * home-link: straight onto the home link, as if there were no binding (RFC 5944 §3.8.3.1).
 */
export interface ReplyEffect {
  readonly kind: "reply";
  readonly reply: RegistrationReply;
  readonly node: NodeName;
  readonly source: Ipv4Address;
  readonly destination: Ipv4Address;
  readonly destinationPort: number;
  readonly departure: "routed" | "home-link";
}

export interface DataPathEffect {
  readonly kind: "data-path";
  readonly path: DataPath;
}

/** The node has no data path any more. Answered by `programmed` with the same revision once the kernel has let go. */
export interface DataPathRemovedEffect {
  readonly kind: "data-path-removed";
  readonly node: NodeName;
  readonly revision: number;
  /** By which payload of a node that is at home may still be on its way: taken for the grace time of former ends, with no way back. */
  readonly former?: DataPath;
}

/** Gratuitous ARP on the home link: the address is ours from now on, or the node's own again (RFC 5944 §4.6). */
export interface AnnounceEffect {
  readonly kind: "announce";
  readonly address: Ipv4Address;
  readonly holder: "home-agent" | "mobile-node";
}

/** To be on stable storage before the replies that follow it in the same list of effects. */
export interface JournalEffect {
  readonly kind: "journal";
  readonly key: NodeName;
  /** null forgets the key. */
  readonly record: Readonly<Record<string, unknown>> | null;
}

export type HomeAgentEffect =
  | ReplyEffect
  | DataPathEffect
  | DataPathRemovedEffect
  | AnnounceEffect
  | JournalEffect
  | NotifyEffect
  | DropEffect;
