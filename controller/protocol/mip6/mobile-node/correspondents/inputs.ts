/**
 * What moves the machine that a mobile node has for its correspondents (RFC 6275 §11.1, §11.6, §11.7.2), and what it asks for. Plain data;
 * `step` (machine.ts) is the only function that turns one into the other. One machine for each home address.
 */
import type { IpAddress, Ipv4Address, Ipv6Address } from "../../../../base/ip.js";
import type { MobilityMessage } from "../../../../wire/mip6/messages/mobility-header.js";
import type { Arrival, DropEffect, NotifyEffect, SendEffect } from "../../inputs.js";
import type { Ipv4Mode } from "../../return-routability/modes.js";

/**
 * What the kernel needs for the payload of a home address to and from one correspondent; the plan turns it into kernel objects.
 *
 * updating  updates to the correspondent bear the Home Address option, with `careOf` in the source field, and packets with a type 2 routing
 *           header that the correspondent sends to `careOf` are taken; other payload goes by way of the home agent
 * bound     payload to the correspondent goes directly, too
 * receiving packets with a type 2 routing header are taken at `careOf`, and nothing that is sent bears the option
 *
 * Home Test Inits never bear the option.
 */
export interface DirectPath {
  readonly homeAddress: Ipv6Address;
  readonly correspondent: Ipv6Address;
  readonly stage: "updating" | "bound" | "receiving";
  /** As the node has it on its link. */
  readonly careOf: Ipv6Address | Ipv4Address;
  /** Payload over IPv6 takes the path, too. */
  readonly ipv6: boolean;
  /** IPv4 payload between these two takes it in this mode. Absent: it goes by way of the home agent. */
  readonly ipv4?: {
    readonly homeAddress: Ipv4Address;
    readonly correspondent: Ipv4Address;
    readonly mode: Ipv4Mode;
  };
  /**
   * With an IPv4 care-of address alone: the correspondent's IPv4 address, and whether UDP carries payload and updates (mode 4) or
   * protocols 41 and 4 do.
   */
  readonly outer?: { readonly correspondent: Ipv4Address; readonly udp: boolean };
  /** Of this family payload comes in alone: the update about it is under way, and until it is answered its way out is the home agent's. */
  readonly inOnly?: "ipv6" | "ipv4";
  /** At which packets of the correspondent with a routing header are taken for a while: where it sends to just now first, then the latest. */
  readonly former: readonly Ipv6Address[];
  /** The same of IPv4 care-of addresses, where packets in protocols 41 and 4 and in UDP are taken. */
  readonly formerIpv4?: readonly Ipv4Address[];
  /** Changes with the content. */
  readonly revision: number;
}

/** Where the node is, as far as correspondents are concerned. */
export type Whereabouts =
  /** The home agent has accepted this care-of address: what the home address sends and gets goes by way of the home agent. */
  | {
      readonly kind: "away";
      readonly careOf: IpAddress;
      /** That the home agent serves in this binding. */
      readonly ipv4HomeAddress?: Ipv4Address | undefined;
    }
  /** On the home link, with no binding at the home agent. */
  | { readonly kind: "home" }
  /** On the way from one to the other, or nowhere. `careOf`: the address that still works. */
  | { readonly kind: "between"; readonly careOf?: IpAddress | undefined };

/** Of one return routability procedure. Never to be shown. `careOf` is absent where the home token alone makes the key (RFC 6275 §5.2.5). */
export interface KeygenTokens {
  readonly home: Uint8Array;
  readonly careOf?: Uint8Array | undefined;
}

/** JSON: what the journal keeps of one correspondent (record.ts). */
export type CorrespondentRecord = Readonly<Record<string, unknown>>;

interface Pair {
  readonly homeAddress: Ipv6Address;
  readonly correspondent: Ipv6Address;
}

/** What the kernel asks about: `correspondent` is of the family of the home address that sends to it. */
interface Question {
  readonly homeAddress: Ipv6Address;
  readonly correspondent: IpAddress;
}

export type CorrespondentsInput =
  | { readonly kind: "whereabouts"; readonly whereabouts: Whereabouts }
  /** Payload flows from the home address, or the IPv4 home address, to somebody for whom there is no direct path. */
  | ({ readonly kind: "demand" } & Question)
  /** How long the direct path to the correspondent has carried no payload, either way. */
  | ({ readonly kind: "used"; readonly lastUsedAgoSeconds: number } & Pair)
  | {
      readonly kind: "message";
      readonly arrival: Arrival;
      readonly message: MobilityMessage;
      /** It came out of the tunnel from the home agent, or under the protection that the tunnel has. */
      readonly throughHomeAgent: boolean;
      /** Whether its Binding Authorization Data is that of these tokens and this care-of address; false without any. */
      readonly isAuthorized: (tokens: KeygenTokens, careOf: IpAddress) => boolean;
    }
  /** The kernel's answer for revision `revision` of the path. */
  | ({ readonly kind: "programmed"; readonly revision: number; readonly failure?: string } & Pair)
  /** The correspondent has answered a mobility message of ours with an ICMPv6 Parameter Problem (RFC 6275 §11.3.5). */
  | ({ readonly kind: "unsupported" } & Pair)
  /** `nextDeadline` has come. */
  | { readonly kind: "timer" }
  /** Before all else: a record of the journal, and how long ago it was written. */
  | { readonly kind: "restore"; readonly record: CorrespondentRecord; readonly ageSeconds: number }
  /** An operator wants no direct path to it any more; absent: to none of them. */
  | { readonly kind: "forget"; readonly correspondent?: IpAddress }
  /** De-registers with all of them, and ends. */
  | { readonly kind: "stop" };

/** `authorization`: its last option is Binding Authorization Data that whoever sends it fills in (RFC 6275 §6.2.7). */
export interface CorrespondentSendEffect extends SendEffect<MobilityMessage> {
  readonly authorization?: { readonly tokens: KeygenTokens; readonly careOf: IpAddress } | undefined;
}

/** Answered by `programmed`. */
export interface DirectPathEffect {
  readonly kind: "direct-path";
  readonly path: DirectPath;
}

/** Payload to the correspondent goes by way of the home agent again, and nothing is left of the path. */
export interface NoDirectPathEffect extends Pair {
  readonly kind: "no-direct-path";
}

/** Whether the kernel is to tell no demand for this correspondent: it is not worth it, or does not want it. */
export interface SilenceEffect extends Question {
  readonly kind: "silence";
  readonly silent: boolean;
}

/**
 * Who still sends shall be told of again: a connected socket asks once only, and about the same correspondent nobody asks while the kernel
 * waits for an answer.
 */
export interface AskAgainEffect {
  readonly kind: "ask-again";
  readonly homeAddress: Ipv6Address;
  /** About whom it has asked without getting one: it shall wait no more. */
  readonly unanswered: readonly IpAddress[];
}

/** How long each of these direct paths has carried nothing is wanted; answered by `used`. */
export interface AskUsageEffect {
  readonly kind: "ask-usage";
  readonly homeAddress: Ipv6Address;
}

/** To be durable before the `send` that follows it leaves. null forgets. */
export interface CorrespondentJournalEffect {
  readonly kind: "journal";
  /** The key of the entry: the correspondent's address in the family of the home address. */
  readonly correspondent: IpAddress;
  readonly record: CorrespondentRecord | null;
}

export type CorrespondentsEffect =
  | CorrespondentSendEffect
  | DirectPathEffect
  | NoDirectPathEffect
  | SilenceEffect
  | AskAgainEffect
  | AskUsageEffect
  | CorrespondentJournalEffect
  | NotifyEffect
  | DropEffect
  /** Nothing more will come. */
  | { readonly kind: "stopped" };
