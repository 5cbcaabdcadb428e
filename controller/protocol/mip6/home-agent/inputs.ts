/**
 * What goes into the home agent's machine and what comes out of it. Everything here is plain data; `step` (machine.ts) is the only
 * function that turns one into the other.
 */
import type { IpAddress, Ipv4Address, Ipv6Address, Prefix } from "../../../base/ip.js";
import type { MobilityMessage } from "../../../wire/mip6/messages/mobility-message.js";
import type {
  AnnounceEffect,
  Arrival,
  DadEffect,
  DataPath,
  DropEffect,
  NotifyEffect,
  ProgrammedInput,
  SendEffect,
} from "../inputs.js";
import type { StoredBinding } from "./binding-record.js";

/** A mobile node that this home agent serves. */
export interface HomeSubscriber {
  readonly homeAddress: Ipv6Address;
  /** Its own for ever; without one, and with a pool, an address is lent to it (RFC 5555 §2.5). */
  readonly ipv4HomeAddress?: Ipv4Address | undefined;
  /** Name of a tunnel profile. */
  readonly profile: string;
}

/** IPv4 home addresses to lend to nodes that ask for one with 0.0.0.0. */
export interface Ipv4Pool {
  readonly prefixes: readonly Prefix[];
  /** A binding with a lent address lasts at most this long at a time (RFC 5555 §2.5). */
  readonly leaseSeconds: number;
}

/** What the operator decided. */
export interface HomeAgentSite {
  readonly addresses: { readonly ipv6: Ipv6Address; readonly ipv4?: Ipv4Address | undefined };
  /** Both families. */
  readonly homePrefixes: readonly Prefix[];
  readonly maxLifetimeSeconds: number;
  /** Refresh time told to nodes behind a NAT (RFC 5555 §3.2.2). */
  readonly natRefreshSeconds: number;
  /** Answer to the F flag over IPv4. */
  readonly forceUdp: "grant" | "refuse";
  /** On the home link before a first registration; false where the home link is virtual. */
  readonly duplicateAddressDetection: boolean;
  /** How long payload from a former care-of address is accepted after a move. */
  readonly previousCareOfGraceSeconds: number;
  /** By home address. */
  readonly subscribers: ReadonlyMap<Ipv6Address, HomeSubscriber>;
  readonly ipv4Pool?: Ipv4Pool | undefined;
  /** Suggested to nodes as the time of their next update, where it is shorter than the lifetime granted (RFC 6275 §6.2.4). */
  readonly refreshAdviceSeconds?: number | undefined;
  /** Keys are negotiated, and the IKE SA can follow a node (K flag). */
  readonly keyManagementMobility?: boolean | undefined;
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

/** An operator ends a binding. */
export interface RemoveInput {
  readonly kind: "remove";
  readonly homeAddress: Ipv6Address;
}

/** What the journal kept of an earlier life; the first input, before any message. */
export interface RestoreInput {
  readonly kind: "restore";
  readonly bindings: readonly StoredBinding[];
}

export type HomeAgentInput =
  | MessageInput
  | ProgrammedInput
  | DadCompletedInput
  | TimerInput
  | RemoveInput
  | RestoreInput;

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
