/** The state of the machine for correspondents. Plain data; machine.ts is the machine. */
import type { IpAddress, Ipv4Address, Ipv6Address, Prefix } from "../../../../base/ip.js";
import { type Seq16, seq16 } from "../../../../base/seq16.js";
import type { Instant, Seconds } from "../../../../base/time.js";
import type { Ipv4Mode } from "../../return-routability/modes.js";
import type { CorrespondentsEffect, DirectPath, KeygenTokens, Whereabouts } from "./inputs.js";

/** Which correspondents are worth a return routability procedure, as the operator says. */
export interface CorrespondentsSite {
  readonly homeAddress: Ipv6Address;
  readonly homeAgent: Ipv6Address;
  readonly allow: readonly Prefix[];
  /** Stronger than `allow`. */
  readonly deny: readonly Prefix[];
  /** Of a flow. */
  readonly minimumAge: Seconds;
  /** Correspondents at a time. */
  readonly maximum: number;
  /** Without payload, after which a direct path is given up. */
  readonly idle: Seconds;
  /** How long packets to a former care-of address are taken. */
  readonly grace: Seconds;
  /** With IPv4 route optimisation (draft-oulai-mext-dsmip-ro-00). Absent: IPv4 at either side goes by way of the home agent (C-40). */
  readonly ipv4?: Ipv4Profile | undefined;
}

export interface Ipv4Profile {
  /** Which addresses belong to one correspondent; each address stands here once (RO-7-01). */
  readonly correspondents: readonly { readonly ipv6: Ipv6Address; readonly ipv4: Ipv4Address }[];
  /** Asked for where the care-of address is an IPv4 one; with an IPv6 one it is IPv6 encapsulation. */
  readonly mode: "ipv4-encapsulation" | "ipv4-udp";
  /** Between two updates behind a NAT, where the correspondent suggests nothing. */
  readonly natKeepalive: Seconds;
}

/** What a test has brought. */
export interface Proof {
  readonly token: Uint8Array;
  readonly nonceIndex: number;
  readonly at: Instant;
  /** Of a care-of test: how IPv4 goes from then on. Absent: nothing was said of it. */
  readonly mode?: Ipv4Mode | undefined;
}

/** One of the two tests (RFC 6275 §5.2.5). */
export interface Probe {
  /** Of the messages that may still be answered, the latest last. */
  readonly cookies: readonly Uint8Array[];
  /** Unanswered. */
  readonly attempts: number;
  readonly sentAt: Instant | undefined;
  /** When the next message is due. */
  readonly sendAt: Instant;
  readonly proof: Proof | undefined;
}

/** An update that may still be answered. */
export interface SentUpdate {
  readonly sequence: Seq16;
  readonly sentAt: Instant;
  /** 0 de-registers. */
  readonly lifetime: Seconds;
  readonly tokens: KeygenTokens;
  /** When the older one of them came. */
  readonly provenAt: Instant;
  /** The one that it registers; the home address where it de-registers. */
  readonly careOf: IpAddress;
  /** That it bears. */
  readonly mode?: Ipv4Mode | undefined;
}

/** What the correspondent has accepted last. */
export interface Binding {
  readonly careOf: IpAddress;
  /** How IPv4 goes, be it payload or what stands around it. */
  readonly mode?: Ipv4Mode | undefined;
  readonly sequence: Seq16;
  readonly lifetime: Seconds;
  readonly acceptedAt: Instant;
  readonly expiresAt: Instant;
  readonly renewAt: Instant;
  /** When an update is due that keeps the mapping of a NAT (RO-7.2.4-02). Absent: there is none. */
  readonly keepaliveAt?: Instant | undefined;
}

/** The IPv4 addresses of an entry for the IPv4 home address. */
export interface Ipv4Ends {
  readonly homeAddress: Ipv4Address;
  readonly correspondent: Ipv4Address;
}

/**
 * testing   both tests, or the one that is missing, are under way
 * updating  both have passed: the kernel makes the path ready, then updates leave until one is answered
 * bound     nothing to do before the next renewal
 * held      the node is between networks
 * leaving   the binding is taken back
 * left      nothing but the grace time of the way in is left
 */
export type EntryPhase = "testing" | "updating" | "bound" | "held" | "leaving" | "left";

export interface PathStatus {
  readonly path: DirectPath;
  readonly status: "pending" | "realised";
}

/**
 * An entry of the binding update list (RFC 6275 §11.1): of the home address, or of the IPv4 home address, which has one of its own with the
 * same correspondent (RO-6.1-02).
 */
export interface Entry {
  readonly correspondent: Ipv6Address;
  /** Of the IPv4 home address. Absent: of the home address. */
  readonly ipv4?: Ipv4Ends | undefined;
  readonly phase: EntryPhase;
  /** What the tests and updates are about; undefined: nothing just now. */
  readonly careOf: IpAddress | undefined;
  readonly homeTest: Probe;
  readonly careOfTest: Probe;
  readonly sent: readonly SentUpdate[];
  /** Unanswered updates of this procedure. */
  readonly attempts: number;
  readonly sendAt: Instant;
  readonly lastSequence: Seq16;
  readonly binding: Binding | undefined;
  readonly former: readonly { readonly careOf: IpAddress; readonly until: Instant }[];
  readonly startedAt: Instant;
  /** When the path was last seen to carry payload. */
  readonly usedAt: Instant;
  /** Procedures that the correspondent has undone or refused, since the last binding that has held. */
  readonly lapses: number;
  /** Whether the correspondent knows IPv4 route optimisation. Absent: not known. */
  readonly knowsIpv4?: boolean | undefined;
}

/** What the entries of one correspondent have in common. */
export interface Pair {
  readonly path: PathStatus | undefined;
  /** Mobility messages, out and in, that had the headers of payload: the kernel counts them with it. */
  readonly messages: number;
  /** When the last few messages left, by type, for the rate limit. */
  readonly recent: Readonly<Record<MessageKind, readonly Instant[]>>;
}
export const NEW_PAIR: Pair = {
  path: undefined,
  messages: 0,
  recent: { "home-test": [], "care-of-test": [], update: [] },
};
export type MessageKind = "home-test" | "care-of-test" | "update";

/** Somebody without a direct path who is not asked about again before its time. */
export interface Pause {
  readonly until: Instant;
  /** Its time is over, and the kernel tells of demand again. */
  readonly lifted: boolean;
  /** Until then failures count. */
  readonly forgetAt: Instant;
  readonly failures: number;
  readonly reason: string;
}

/** Somebody who was sent to. */
export interface Candidate {
  readonly since: Instant;
  /** When it is asked whether anybody still sends; undefined: it has been. */
  readonly askAt: Instant | undefined;
}

export interface CorrespondentsState {
  readonly site: CorrespondentsSite;
  readonly whereabouts: Whereabouts;
  /** By the correspondent's address in the family of the home address that the entry is of (`keyOf`). */
  readonly entries: ReadonlyMap<IpAddress, Entry>;
  readonly pairs: ReadonlyMap<Ipv6Address, Pair>;
  readonly candidates: ReadonlyMap<IpAddress, Candidate>;
  readonly pauses: ReadonlyMap<IpAddress, Pause>;
  /** Where the numbers of new entries begin. */
  readonly firstSequence: Seq16;
  /** When it is next looked at what the paths carry. */
  readonly lookAt: Instant | undefined;
  readonly stopping: "no" | "leaving" | "stopped";
}

export function initialCorrespondents(site: CorrespondentsSite, firstSequence: Seq16 = seq16(0)): CorrespondentsState {
  return {
    site,
    whereabouts: { kind: "between" },
    entries: new Map(),
    pairs: new Map(),
    candidates: new Map(),
    pauses: new Map(),
    firstSequence,
    lookAt: undefined,
    stopping: "no",
  };
}

/** One step in the making. The maps are its own copies. */
export interface Turn {
  readonly now: Instant;
  /** 8 fresh random octets. */
  readonly cookie: () => Uint8Array;
  readonly site: CorrespondentsSite;
  whereabouts: Whereabouts;
  readonly entries: Map<IpAddress, Entry>;
  readonly pairs: Map<Ipv6Address, Pair>;
  readonly candidates: Map<IpAddress, Candidate>;
  readonly pauses: Map<IpAddress, Pause>;
  firstSequence: Seq16;
  lookAt: Instant | undefined;
  stopping: CorrespondentsState["stopping"];
  readonly effects: CorrespondentsEffect[];
}

export const keyOf = ({ correspondent, ipv4 }: Pick<Entry, "correspondent" | "ipv4">): IpAddress =>
  ipv4?.correspondent ?? correspondent;

/** Of a home token and a care-of token. */
export const UNPROVEN = (now: Instant): Probe => ({
  cookies: [],
  attempts: 0,
  sentAt: undefined,
  sendAt: now,
  proof: undefined,
});
