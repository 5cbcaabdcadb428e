/** What a home agent's reply does (RFC 5944 §3.7.3): which request it answers, whether it is believed, and what becomes of the visitor. */
import { toHex } from "../../../base/bytes.js";
import { IPV4_ANY, type Ipv4Address, isRoutableUnicast } from "../../../base/ip.js";
import { after, seconds } from "../../../base/time.js";
import { findExtension } from "../../../wire/mip4/extensions/registration.js";
import type { RegistrationReply } from "../../../wire/mip4/messages/control-message.js";
import { INFINITE_LIFETIME_SECONDS } from "../../../wire/mip4/messages/registration.js";
import { ReplyCode, registrationAccepted } from "../../../wire/mip4/registry.js";
import type { ForeignAgentDropReason, HomeAgentReplyInput, ToVisitor, VisitorPath } from "./inputs.js";
import { endOfAuthorized, judgeRivals, verdictsOn } from "./request.js";
import { isOwnAddress } from "./site.js";
import { TIMERS } from "./timers.js";
import { denial, deny, drop, journal, notify, relayedReply, send, type Turn } from "./turn.js";
import { type PendingRequest, type Visit, type VisitorEntry, visitorKey } from "./visitors.js";

/** Name of a request among those that wait: what its reply bears, and what the node is called. */
export function pendingKey(
  request: Pick<PendingRequest, "homeAgent" | "homeAddress" | "identifier" | "identification">,
): string {
  const { homeAgent, homeAddress, identifier, identification } = request;
  const name = homeAddress === IPV4_ANY ? `nai ${identifier ?? ""}` : homeAddress;
  return `${homeAgent} ${identification.low} ${name}`;
}

export function receiveReply(turn: Turn, input: HomeAgentReplyInput): void {
  const { message: reply } = input.located;
  if (reply.type !== "registration-reply") {
    drop(turn, "unexpected-type", `${reply.type} from ${input.source}`);
    return;
  }
  const pending = requestOf(turn, input, reply);
  if (pending === undefined) return;
  const wrong = wrongAuthentication(turn, input);
  if (wrong !== undefined) {
    drop(turn, wrong, `reply of ${input.source} for ${pending.homeAddress}`);
    turn.state.list.removePending(pending.key);
    deny(turn, pending, ReplyCode.agentHomeAgentAuthentication, "the home agent's reply is not authentic");
    return;
  }
  turn.state.list.removePending(pending.key);
  const end = endOfAuthorized(input.located);
  if (end === undefined) {
    deny(turn, pending, ReplyCode.agentPoorlyFormedReply, "the reply has no authentication for the node");
    return;
  }
  const answer = relayedReply(turn, pending, input.octets.slice(0, end), reply.homeAddress);
  if (registrationAccepted(reply.code)) accepted(turn, pending, reply, answer);
  else refused(turn, pending, reply, answer);
}

/** The request that it answers. Undefined: nobody's, and told so. */
function requestOf(turn: Turn, { source }: HomeAgentReplyInput, reply: RegistrationReply): PendingRequest | undefined {
  const { list } = turn.state;
  const identifier = findExtension(reply.extensions, "network-access-identifier")?.identifier;
  const named = identifier === undefined ? undefined : toHex(identifier);
  const { identification, homeAddress } = reply;
  // The home agent of a request that went to a directed broadcast refuses it from an address of its own (code 136).
  const found = [reply.homeAgent, source]
    .flatMap((homeAgent) => [
      pendingKey({ homeAgent, homeAddress, identifier: named, identification }),
      pendingKey({ homeAgent, homeAddress: IPV4_ANY, identifier: named, identification }),
    ])
    .map((key) => list.pending(key))
    .find((one) => one !== undefined);
  const pending = found ?? unnamed(turn, source, reply);
  if (pending === undefined) {
    drop(turn, nearMiss(turn, source, reply), `reply of ${source} for ${homeAddress}`);
    return undefined;
  }
  const isFromThere = source === pending.homeAgent && reply.homeAgent === pending.homeAgent;
  if (!isFromThere && registrationAccepted(reply.code)) {
    drop(turn, "wrong-source", `${source} accepts what ${pending.homeAgent} was asked for`);
    return undefined;
  }
  return pending;
}

/** A refusal of another address than the one that was asked, or the answer to a node without an address that does not repeat its name. */
function unnamed(turn: Turn, source: string, reply: RegistrationReply): PendingRequest | undefined {
  for (const one of turn.state.list.pendingRequests()) {
    if (one.identification.low !== reply.identification.low) continue;
    const isNameless = one.homeAddress === IPV4_ANY && one.homeAgent === source;
    const isElsewhere = reply.code === ReplyCode.unknownHomeAgent && one.homeAddress === reply.homeAddress;
    if (isNameless || isElsewhere) return one;
  }
  return undefined;
}

function nearMiss(turn: Turn, source: string, { homeAddress }: RegistrationReply): ForeignAgentDropReason {
  for (const one of turn.state.list.pendingRequests())
    if (one.homeAgent === source && one.homeAddress === homeAddress) return "identification-mismatch";
  return "no-outstanding-request";
}

/** RFC 5944 §3.7.3.1, and §3.7.1: of replies that end a registration it is not demanded. */
function wrongAuthentication(turn: Turn, input: HomeAgentReplyInput): ForeignAgentDropReason | undefined {
  const { message } = input.located;
  const association = turn.state.site.homeAgents.find(({ address }) => address === input.source);
  if (association === undefined) return undefined;
  const [found, second] = verdictsOn(input, "foreign-home-authentication");
  const demanded = message.type === "registration-reply" && message.lifetimeSeconds > 0;
  if (found === undefined) return demanded ? "unauthenticated" : undefined;
  return second === undefined && found.spi === association.spi && found.verdict === "valid"
    ? undefined
    : "authentication-failed";
}

function refused(
  turn: Turn,
  { homeAddress, homeAgent }: PendingRequest,
  { code }: RegistrationReply,
  answer: ToVisitor,
): void {
  send(turn, answer);
  notify(turn, "visitor.rejected", homeAddress, { code, reason: "the home agent refuses", homeAgent });
}

function accepted(turn: Turn, pending: PendingRequest, reply: RegistrationReply, answer: ToVisitor): void {
  const { homeAddress } = reply;
  const key = visitorKey(homeAddress, pending.homeAgent);
  if (pending.lifetimeSeconds === 0 || reply.lifetimeSeconds === 0) {
    const entry = turn.state.list.get(key);
    if (entry !== undefined) endVisit(turn, entry, "visitor.removed", "it has de-registered");
    send(turn, answer);
    return;
  }
  if (!isRoutableUnicast(homeAddress) || isOwnAddress(turn.state.site, homeAddress)) {
    deny(turn, pending, ReplyCode.agentPoorlyFormedReply, `home address ${homeAddress} in the reply`);
    return;
  }
  const refusal = judgeRivals({ ...pending, homeAddress }, turn.state);
  if (refusal !== undefined) {
    deny(turn, pending, refusal.code, refusal.reason);
    return;
  }
  supersede(turn, pending, key, homeAddress);
  const entry = turn.state.list.open(key);
  const visit = visitOf(turn, entry, pending, reply);
  const { visit: present } = entry;
  if (present !== undefined && entry.next === undefined && samePath(present.path, visit.path)) {
    establish(turn, entry, visit, "visitor.refreshed");
    send(turn, answer);
    return;
  }
  const revision = turn.state.list.nextRevision();
  const failed = denial(turn, { ...pending, homeAddress }, ReplyCode.agentInsufficientResources);
  entry.revision = revision;
  entry.next = { visit, answer, denial: failed, deadline: after(turn.now, TIMERS.dataPath) };
  turn.state.list.schedule(entry);
  askOrHold(turn, entry, visit.path);
}

/** Has the kernel make the entry's next data path, as soon as it may. */
function askOrHold(turn: Turn, entry: VisitorEntry, path: VisitorPath): void {
  const { list } = turn.state;
  if (list.isInTheWay(path.homeAddress, entry.key)) list.leaving.hold(path.homeAddress, entry);
  else askFor(turn, entry, path);
}

/** The entry's data path, of its present revision. */
export function askFor({ effects }: Turn, entry: VisitorEntry, path: VisitorPath): void {
  entry.asked = entry.revision;
  effects.push({ kind: "data-path", path, revision: entry.revision });
}

/** A node has one home agent for a home address: what it had registered with another one is over, as it has proved to us that it wants. */
function supersede(
  turn: Turn,
  { homeAgent, returnAddress: { linkAddress } }: PendingRequest,
  key: string,
  homeAddress: Ipv4Address,
): void {
  for (const other of turn.state.list.rivals(homeAddress, linkAddress, key))
    endVisit(turn, other, "visitor.removed", `it has registered with home agent ${homeAgent}`);
}

/** The kernel has answered for a visitor: what had ended before is out of the way, and who has waited for that is made. */
export function letGo(turn: Turn, key: string, revision: number): void {
  const { list } = turn.state;
  const entry = list.get(key);
  const answered = entry?.asked !== undefined && entry.asked <= revision ? entry : undefined;
  if (answered !== undefined) answered.asked = undefined;
  const gone = list.leaving.gone(key, revision);
  for (const { homeAgent } of gone) {
    list.numbers.give(key);
    list.homeAgents.give(homeAgent);
  }
  const path = answered?.next?.visit.path ?? answered?.visit?.path;
  for (const homeAddress of new Set([...gone, ...(path === undefined ? [] : [path])].map((one) => one.homeAddress)))
    for (const held of list.leaving.released(homeAddress))
      if (held.next !== undefined && list.get(held.key) === held) askOrHold(turn, held, held.next.visit.path);
}

/** Numbers and table are those that it has, or the next free ones. */
function visitOf(
  { state: { list, site } }: Turn,
  entry: VisitorEntry,
  pending: PendingRequest,
  { homeAddress, lifetimeSeconds }: RegistrationReply,
): Visit {
  const known = entry.visit?.path ?? entry.next?.visit.path;
  const { homeAgent, returnAddress, coLocated, reverseTunnelling, gre, careOfAddress, identifier } = pending;
  const { identification: accepted } = pending;
  const path: VisitorPath = {
    visitor: entry.key,
    ...{ homeAddress, homeAgent },
    device: returnAddress.device,
    linkAddress: returnAddress.linkAddress,
    decapsulates: !coLocated,
    reverseTunnelling: reverseTunnelling && !coLocated,
    encapsulation: gre && !coLocated ? "gre" : "ip-in-ip",
    number: known?.number ?? list.numbers.take(entry.key),
    homeAgentNumber: known?.homeAgentNumber ?? list.homeAgents.take(homeAgent),
    separate: list.isSeparate(homeAddress, entry.key),
  };
  const most = site.registrationLifetimeSeconds;
  return { path, careOfAddress, identifier, accepted, lifetimeSeconds: Math.min(lifetimeSeconds, most) };
}

const samePath = (a: VisitorPath, b: VisitorPath): boolean =>
  (Object.keys(a) as (keyof VisitorPath)[]).every((key) => a[key] === b[key]);

/** From now on it is what the node is told. */
export function establish(
  turn: Turn,
  entry: VisitorEntry,
  visit: Visit,
  event: "visitor.accepted" | "visitor.refreshed" | "visitor.moved",
): void {
  const { lifetimeSeconds, path } = visit;
  entry.visit = visit;
  entry.next = undefined;
  entry.expiresAt =
    lifetimeSeconds === INFINITE_LIFETIME_SECONDS ? undefined : after(turn.now, seconds(lifetimeSeconds));
  turn.state.list.schedule(entry);
  journal(turn, entry, visit);
  const { homeAgent, device, linkAddress, reverseTunnelling } = path;
  notify(turn, event, path.homeAddress, { homeAgent, device, linkAddress, reverseTunnelling, lifetimeSeconds });
}

/** The visitor is none any more; the kernel is told, and nobody waits for it. */
export function endVisit(
  turn: Turn,
  entry: VisitorEntry,
  event: "visitor.removed" | "visitor.expired" | "visitor.failed",
  reason: string,
): void {
  const { list } = turn.state;
  const { path } = entry.visit ?? entry.next?.visit ?? {};
  list.close(entry.key);
  if (path === undefined) return;
  const { homeAddress, homeAgent } = path;
  const revision = list.nextRevision();
  list.leaving.add({ key: entry.key, homeAddress, homeAgent, revision });
  list.left(homeAddress, entry.key);
  journal(turn, entry, undefined);
  turn.effects.push({ kind: "data-path-removed", visitor: entry.key, revision });
  notify(turn, event, homeAddress, { homeAgent, reason });
}
