/** Everything the registration machine knows, and what one step works on. */
import type { Ipv4Address, Prefix } from "../../../base/ip.js";
import type { Instant, Seconds } from "../../../base/time.js";
import type { Encapsulation } from "../inputs.js";
import type { Attachment, MobileNodeEffect, Moment, NodePath, PathEnd, RequestEffect } from "./inputs.js";
import { type IdentificationState, NO_HISTORY } from "./own-identification.js";
import type { MobileNodeSite } from "./site.js";

/** A request without an answer yet. */
export interface Exchange {
  readonly sent: RequestEffect;
  readonly purpose: "register" | "deregister";
  readonly sentAt: Instant;
  /** Until the next one. */
  readonly wait: Seconds;
}

/** What the home agent has granted. */
export interface Registered {
  readonly attachment: Exclude<Attachment, { readonly kind: "home" }>;
  readonly grantedSeconds: number;
  /** Reckoned from when the request was sent; undefined: without an end. */
  readonly expiresAt: Instant | undefined;
}

/** A way that the home agent has granted, wherever the node is about to go. */
export type Tunnel = Omit<Extract<NodePath, { readonly mode: "away" }>, "ingress" | "homeDevice">;

/** A place that the node has left, and until when packets may still come there. */
export interface FormerEnd {
  readonly end: PathEnd;
  readonly until: Instant;
}

/** What refusals have taught about where the node is now; forgotten when it moves. */
export interface Lessons {
  readonly encapsulation?: Encapsulation;
  readonly reverseTunnelling?: boolean;
  readonly lifetimeSeconds?: number;
}

export class MobileNodeState {
  readonly site: MobileNodeSite;
  attachment: Attachment | undefined;
  identification: IdentificationState = NO_HISTORY;
  /** Its own, or the one that is lent to it. */
  homeAddress: Ipv4Address | undefined;
  homeAgent: Ipv4Address;
  exchange: Exchange | undefined;
  /** Requests in a row that were not answered, or refused; the one under way counts. */
  attempts = 0;
  /** The same from all places, since the home agent or a foreign agent last granted anything. */
  vain = 0;
  registered: Registered | undefined;
  /** Why the latest request was not granted, if it was answered. */
  refusal: string | undefined;
  /** The home agent has a binding of the node, or may have one. */
  mayBeBound = false;
  lessons: Lessons = {};
  delegated: readonly Prefix[] = [];
  /** When a request is sent, if nothing happens before. */
  sendAt: Instant | undefined;
  /** When the latest request left. */
  lastSentAt: Instant | undefined;
  former: FormerEnd | undefined;
  /** As the home agent has last granted it, while that lasts. */
  tunnel: Tunnel | undefined;
  /** The home link, until something is granted elsewhere. */
  leaving: string | undefined;
  path: NodePath = { mode: "detached" };
  stopping = false;
  stopped = false;

  constructor(site: MobileNodeSite) {
    this.site = site;
    this.homeAddress = site.homeAddress;
    this.homeAgent = site.homeAgent;
  }
}

/** What the node wants to be at the moment; undefined: it has nothing to say to anybody. */
export function purposeOf(state: MobileNodeState): Exchange["purpose"] | undefined {
  const { attachment, mayBeBound, homeAddress, stopping } = state;
  if (attachment === undefined) return undefined;
  if (stopping || attachment.kind === "home") return mayBeBound && homeAddress !== undefined ? "deregister" : undefined;
  return "register";
}

export interface Turn {
  readonly state: MobileNodeState;
  readonly moment: Moment;
  readonly effects: MobileNodeEffect[];
}

export function notify(
  turn: Turn,
  event: Extract<MobileNodeEffect, { kind: "notify" }>["event"],
  detail: Extract<MobileNodeEffect, { kind: "notify" }>["detail"] = {},
): void {
  turn.effects.push({ kind: "notify", event, detail });
}

export function setPath(turn: Turn, path: NodePath): void {
  if (JSON.stringify(path) === JSON.stringify(turn.state.path)) return;
  turn.state.path = path;
  turn.effects.push({ kind: "data-path", path });
}
