/** What moves the correspondent node and what it asks for: closed unions, plain data. */
import type { IpAddress, Ipv6Address } from "../../../base/ip.js";
import type { Secret } from "../../../base/secret.js";
import type { Instant } from "../../../base/time.js";
import type { BindingUpdate, MessageOfType, MobilityMessage } from "../../../wire/mip6/messages/mobility-message.js";
import type { Arrival, DropReason, NotifyEffect, OptionRefusedInput, SendEffect } from "../inputs.js";
import type { CorrespondentPath } from "./path.js";

/** When an input comes, and random octets in case that a nonce is due. */
export interface Moment {
  readonly now: Instant;
  /** At least NONCE_OCTETS. */
  readonly entropy: Uint8Array;
}

/** A binding: home address, and the address of ours that the node speaks to. */
export interface Pair {
  readonly homeAddress: Ipv6Address;
  readonly self: Ipv6Address;
}

/** Whose home address an entry of the cache is about: both of a pair have one of their own (draft-oulai-mext-dsmip-ro-00 §7.1.2). */
export type Family = "ipv6" | "ipv4";

export interface UpdateInput {
  readonly kind: "update";
  readonly arrival: Arrival;
  readonly message: BindingUpdate;
  /** What each of its authenticators covers, with the care-of address as `careOfAddressOf` gives it. Absent: it has none. */
  readonly covered?: Uint8Array;
}

export interface TestInitInput {
  readonly kind: "test-init";
  readonly arrival: Arrival;
  readonly message: MessageOfType<"home-test-init" | "care-of-test-init">;
}

/** Any other message. */
export interface OtherMessageInput {
  readonly kind: "message";
  readonly arrival: Arrival;
  readonly message: Exclude<MobilityMessage, BindingUpdate | TestInitInput["message"]>;
}

/** The kernel's answer for this revision of a pair's path, or of its end. */
export interface ProgrammedInput extends Pair {
  readonly kind: "programmed";
  readonly revision: number;
  /** Absent: realised. */
  readonly failure?: string;
}

/** How long ago the kernel has last sent something to the care-of address of a binding that is about to expire. */
export interface UsedInput extends Pair {
  readonly kind: "used";
  readonly family: Family;
  readonly agoSeconds: number;
}

/** An operator ends what is bound to a pair. */
export interface RemoveInput extends Pair {
  readonly kind: "remove";
  readonly reason: string;
}

export interface StoredBinding {
  readonly record: Readonly<Record<string, unknown>>;
  readonly ageSeconds: number;
}

export type CorrespondentNodeInput =
  | UpdateInput
  | TestInitInput
  | OtherMessageInput
  | OptionRefusedInput
  | ProgrammedInput
  | UsedInput
  | RemoveInput
  | { readonly kind: "restore"; readonly records: readonly StoredBinding[] }
  /** Nobody will answer any more: who is bound is told. */
  | { readonly kind: "stop" }
  | { readonly kind: "timer" };

/** With what a message is authenticated when it is encoded (RFC 6275 §6.2.7). */
export interface Authorization {
  /** Of the IPv6 home address and of the IPv4 one where the update was about both (C-45), else one. */
  readonly keys: readonly Secret[];
  readonly careOf: IpAddress;
}

export interface AuthorizedSendEffect extends SendEffect {
  /** Absent: it leaves without an authenticator. */
  readonly authorization?: Authorization;
}

/** The kernel shall have this path; answered by `programmed`. */
export interface DataPathEffect {
  readonly kind: "data-path";
  readonly path: CorrespondentPath;
}

export interface DataPathRemovedEffect extends Pair {
  readonly kind: "data-path-removed";
  readonly revision: number;
}

export interface JournalEffect {
  readonly kind: "journal";
  readonly key: string;
  readonly record: Readonly<Record<string, unknown>> | null;
}

/** Whether the binding is in use is to be found out; answered by `used`. */
export interface AskUseEffect extends Pair {
  readonly kind: "ask-use";
  readonly family: Family;
}

export type CorrespondentDropReason =
  | DropReason
  | "authorization-missing"
  | "authentication-failed"
  | "stale-nonces"
  | "not-permitted";

export type CorrespondentNodeEffect =
  | AuthorizedSendEffect
  | DataPathEffect
  | DataPathRemovedEffect
  | JournalEffect
  | AskUseEffect
  | NotifyEffect
  | { readonly kind: "drop"; readonly reason: CorrespondentDropReason; readonly detail: string };
