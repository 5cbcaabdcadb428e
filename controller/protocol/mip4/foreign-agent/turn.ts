/** What one step of the foreign agent works on, and the effects that several parts of it have in common. */
import { IPV4_ANY, type Ipv4Address, ipv4 } from "../../../base/ip.js";
import { elapsed, type Instant } from "../../../base/time.js";
import type { RegistrationExtension } from "../../../wire/mip4/extensions/registration.js";
import type { RegistrationReply } from "../../../wire/mip4/messages/control-message.js";
import { ReplyCode } from "../../../wire/mip4/registry.js";
import { AdvertisementClock } from "../advertisements.js";
import { Challenges } from "./challenges.js";
import type {
  ForeignAgentDropReason,
  ForeignAgentEffect,
  Moment,
  RelayedOctets,
  ToVisitor,
  VisitorEventEffect,
} from "./inputs.js";
import { recordOf } from "./record.js";
import { associationWithNode } from "./request.js";
import type { ForeignAgentSite, VisitedLink } from "./site.js";
import { LIMITS, TIMERS } from "./timers.js";
import { type PendingRequest, type Visit, type VisitorEntry, VisitorList } from "./visitors.js";

const BROADCAST = ipv4("255.255.255.255");

/** Everything the foreign agent knows. Changed by `step` only. */
export class ForeignAgentState {
  readonly site: ForeignAgentSite;
  readonly list = new VisitorList();
  readonly challenges = new Challenges();
  readonly clocks: readonly AdvertisementClock<VisitedLink>[];
  /** Of the next advertisement. */
  sequence = 0;
  /** Up to here the journal knows of numbers that may have been used. */
  reserved: number | undefined;
  /** By link-layer address, the oldest first. */
  readonly denied = new Map<string, Instant>();

  constructor(site: ForeignAgentSite) {
    this.site = site;
    this.clocks = site.links.map((link) => new AdvertisementClock(link));
  }
}

export interface Turn extends Moment {
  readonly state: ForeignAgentState;
  readonly effects: ForeignAgentEffect[];
}

export function drop(turn: Turn, reason: ForeignAgentDropReason, detail: string): void {
  turn.effects.push({ kind: "drop", reason, detail });
}

export function notify(
  turn: Turn,
  event: VisitorEventEffect["event"],
  homeAddress: Ipv4Address | undefined,
  detail: VisitorEventEffect["detail"],
): void {
  turn.effects.push({ kind: "notify", event, ...(homeAddress === undefined ? {} : { homeAddress }), detail });
}

export function journal(turn: Turn, entry: VisitorEntry, visit: Visit | undefined): void {
  const record = visit === undefined ? null : recordOf(entry, visit, turn.now);
  turn.effects.push({ kind: "journal", key: entry.key, record });
}

/** What is known of whom an answer is for. */
export type Addressee = Pick<
  PendingRequest,
  "returnAddress" | "homeAddress" | "homeAgent" | "identification" | "identifier" | "lifetimeSeconds"
>;

/** Authenticators are made when it is sent. */
const NOT_MADE = new Uint8Array(0);

/** Our own answer to a request, with its lifetime, or the longest where that was too long (RFC 5944 §3.7.2.3). */
export function denial(turn: Turn, to: Addressee, code: number): ToVisitor {
  const { homeAddress, homeAgent, identification, returnAddress, identifier, lifetimeSeconds } = to;
  const association = associationWithNode(turn.state.site, homeAddress, identifier);
  const extensions: RegistrationExtension[] = [
    ...challengeFor(turn, returnAddress.linkAddress),
    ...(association === undefined
      ? []
      : [{ kind: "mobile-foreign-authentication" as const, spi: association.spi, authenticator: NOT_MADE }]),
  ];
  const lifetime =
    code === ReplyCode.agentLifetimeTooLong ? turn.state.site.registrationLifetimeSeconds : lifetimeSeconds;
  const reply: RegistrationReply = {
    type: "registration-reply",
    code,
    lifetimeSeconds: lifetime,
    ...{ homeAddress, homeAgent, identification, extensions },
  };
  const destination = homeAddress === IPV4_ANY ? BROADCAST : homeAddress;
  return { to: "visitor", ...returnAddress, destination, content: { kind: "denial", reply }, node: association?.node };
}

/** A home agent's answer, as it came but for what is not the node's (RFC 5944 §3.7.3.2). */
export function relayedReply(
  turn: Turn,
  { returnAddress, identifier }: Addressee,
  octets: Uint8Array,
  told: Ipv4Address,
): ToVisitor {
  const association = associationWithNode(turn.state.site, told, identifier);
  const relayed: RelayedOctets = {
    octets,
    extensions: challengeFor(turn, returnAddress.linkAddress),
    authentication:
      association === undefined ? undefined : { kind: "mobile-foreign-authentication", spi: association.spi },
  };
  const destination = told === IPV4_ANY ? BROADCAST : told;
  return {
    to: "visitor",
    ...returnAddress,
    destination,
    content: { kind: "relayed", relayed },
    node: association?.node,
  };
}

/** A new one for the node's next request (RFC 4721 §3.3). */
function challengeFor({ state, entropy }: Turn, linkAddress: string): readonly RegistrationExtension[] {
  if (!state.site.challenge) return [];
  const challenge = entropy.slice(0, LIMITS.challengeOctets);
  state.challenges.issue(linkAddress, challenge);
  return [{ kind: "mobile-foreign-challenge", challenge }];
}

export function send(turn: Turn, message: Extract<ForeignAgentEffect, { kind: "send" }>["message"]): void {
  turn.effects.push({ kind: "send", message });
}

/** At most one a second to one node (RFC 5944 §3.7.2). */
export function deny(turn: Turn, to: Addressee, code: number, reason: string): void {
  const { denied } = turn.state;
  const { linkAddress, device } = to.returnAddress;
  const last = denied.get(linkAddress);
  const { homeAddress, homeAgent } = to;
  if (last !== undefined && elapsed(last, turn.now) < TIMERS.denialSpacing) {
    drop(turn, "rate-limited", `denial ${code} to ${linkAddress}: ${reason}`);
    return;
  }
  denied.delete(linkAddress);
  denied.set(linkAddress, turn.now);
  const [oldest] = denied.size > LIMITS.denied ? denied.keys() : [];
  if (oldest !== undefined) denied.delete(oldest);
  send(turn, denial(turn, to, code));
  notify(turn, "visitor.rejected", homeAddress, { code, reason, homeAgent, device, linkAddress });
}
