/** The mobile node's state. Plain data; machine.ts is the machine. */
import type { Seq16 } from "../../../base/seq16.js";
import type { Instant } from "../../../base/time.js";
import type { Attachment, CareOf, MobileNodeSite } from "../../movement/attachment.js";
import type { NetworkView } from "../../movement/network-view.js";
import type { Silence } from "../../movement/silence.js";
import type { BindingErrorLimit } from "../binding-error.js";
import type { Registration, SentUpdate } from "./binding-update-list.js";
import type { MobileNodeDataPath } from "./inputs.js";
import type { Phase } from "./states.js";

/** Updates about one attachment, sent until one is answered. */
export interface Exchange {
  readonly sent: readonly SentUpdate[];
  /** Unanswered. */
  readonly attempts: number;
  /** Unanswered before, from the same care-of address, since the home agent was last heard. */
  readonly earlier: number;
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
  /** With what is lent to the node just now. */
  readonly site: MobileNodeSite;
  /** Acceptances in a row without all that is to be lent. */
  readonly lentRefusals: number;
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
  /** When it is asked for it again all the same; undefined: never. */
  readonly ipv4AskAt: Instant | undefined;
  readonly forceUdp: boolean;
  /** Number of the revocation that was obeyed last, which may come again. */
  readonly revocation: Seq16 | undefined;
  /** Care-of addresses from which the home agent was not heard. */
  readonly silences: readonly Silence[];
  /** When the last few updates left, for the rate limit. */
  readonly recentUpdates: readonly Instant[];
  readonly bindingErrors: BindingErrorLimit;
  readonly path: PathStatus | undefined;
  /** Updates can be protected: always with static keys. */
  readonly secured: boolean;
  /** The care-of address from which associations were last asked for. */
  readonly securing: CareOf | undefined;
}
