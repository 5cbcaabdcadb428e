/**
 * The foreign agent of Mobile IPv4 (RFC 5944 §2.3, §3.7) with reverse tunnels (RFC 3024) and challenges (RFC 4721), as a pure machine:
 * `step` takes one input at one moment and gives the effects. Must not know sockets, kernel objects, files, clocks or keys. The checks of
 * a request are in request.ts, what a reply does in replies.ts. It knows nothing of IPv6: that passes it in tunnels of the nodes
 * (RFC 5454 §4.4).
 */
import { toHex } from "../../../base/bytes.js";
import { ipv4 } from "../../../base/ip.js";
import { exhaustive } from "../../../base/result.js";
import { after, earliest, type Instant, seconds } from "../../../base/time.js";
import { ReplyCode } from "../../../wire/mip4/registry.js";
import { type AdvertisementClock, nextSequence, type ToLink } from "../advertisements.js";
import { advertisementOf } from "./advertisements.js";
import type {
  ForeignAgentEffect,
  ForeignAgentInput,
  Moment,
  ProgrammedInput,
  SolicitationInput,
  StoredVisitor,
  UnreachableInput,
  VisitorPath,
  VisitorRequestInput,
} from "./inputs.js";
import { AGENT_KEY, agentRecord, parseRecord } from "./record.js";
import { askFor, endVisit, establish, letGo, pendingKey, receiveReply } from "./replies.js";
import { judgeRequest, type ReadRequest, readRequest } from "./request.js";
import type { VisitedLink } from "./site.js";
import { LIMITS, TIMERS } from "./timers.js";
import { deny, drop, type ForeignAgentState, notify, send, type Turn } from "./turn.js";
import { type PendingRequest, type VisitorEntry, type VisitorView, viewOf } from "./visitors.js";

export { ForeignAgentState } from "./turn.js";

const ALL_AGENTS = ipv4("224.0.0.11");
/** So many numbers of advertisements are put on the disk at a time. */
const RESERVED_NUMBERS = 256;

/** The effects of one input, in the order in which they are to be performed. `now` never goes back. */
export function step(
  state: ForeignAgentState,
  input: ForeignAgentInput,
  moment: Moment,
): readonly ForeignAgentEffect[] {
  const turn: Turn = { ...moment, state, effects: [] };
  switch (input.kind) {
    case "request":
      receiveRequest(turn, input);
      break;
    case "reply":
      receiveReply(turn, input);
      break;
    case "unreachable":
      unreachable(turn, input);
      break;
    case "solicitation":
      solicited(turn, input);
      break;
    case "programmed":
      programmed(turn, input);
      break;
    case "timer":
      runDeadlines(turn);
      break;
    case "restore":
      for (const record of input.records) restore(turn, record);
      break;
    case "remove": {
      const entry = state.list.get(input.visitor);
      if (entry !== undefined) endVisit(turn, entry, "visitor.removed", input.reason);
      break;
    }
    case "begin":
      for (const clock of state.clocks) clock.begin(turn.now);
      notify(turn, "agent.started", undefined, { careOfAddress: state.site.careOfAddress, sequence: state.sequence });
      break;
    case "stop":
      for (const clock of state.clocks) {
        clock.stop();
        advertise(turn, clock, { leaving: true });
      }
      break;
    default:
      exhaustive(input);
  }
  return turn.effects;
}

/** When the next timer input is due. May change with every step. */
export function nextDeadline({ list, clocks }: ForeignAgentState): Instant | undefined {
  return earliest(list.nextDeadline, ...clocks.map(({ due }) => due));
}

/** All data paths that should be there: what the plan is made of. */
export function* visitorPaths({ list }: ForeignAgentState): Generator<VisitorPath, void> {
  for (const { next, visit } of list.entries()) {
    const path = next?.visit.path ?? visit?.path;
    if (path !== undefined) yield path;
  }
}

export function* visitorViews({ list }: ForeignAgentState, now: Instant): Generator<VisitorView, void> {
  for (const { visit, expiresAt } of [...list.entries()]) if (visit !== undefined) yield viewOf(visit, expiresAt, now);
}

function receiveRequest(turn: Turn, input: VisitorRequestInput): void {
  const { site, list, challenges } = turn.state;
  const verdict = readRequest(input, site);
  if (verdict.kind === "drop") {
    drop(turn, verdict.reason, verdict.detail);
    return;
  }
  const { read } = verdict;
  const pending = pendingOf(turn, read);
  const replayed = replaying(turn, pending);
  if (replayed !== undefined) {
    drop(turn, "duplicate", `${input.linkAddress} sends what ${replayed} has registered with`);
    return;
  }
  const before = list.pending(pending.key);
  if (before !== undefined && before.returnAddress.linkAddress !== input.linkAddress) {
    drop(turn, "duplicate", `${input.linkAddress} sends what ${before.returnAddress.linkAddress} has sent`);
    return;
  }
  // What is sent again takes no room of another's.
  if (before !== undefined) list.removePending(before.key);
  const refusal = judgeRequest(read, site, list, challenges);
  if (refusal !== undefined) {
    deny(turn, pending, refusal.code, refusal.reason);
    return;
  }
  if (read.challenge !== undefined) challenges.use(input.linkAddress, read.challenge);
  list.addPending(pending);
  const association = site.homeAgents.find(({ address }) => address === pending.homeAgent);
  const isSigned = association !== undefined && read.request.lifetimeSeconds > 0;
  send(turn, {
    to: "home-agent",
    relayed: {
      octets: read.relayed,
      extensions: [],
      authentication: isSigned ? { kind: "foreign-home-authentication", spi: association.spi } : undefined,
    },
    homeAgent: pending.homeAgent,
  });
}

/**
 * Of whom this is the request that its home agent has accepted, in the mouth of another one. The home agent would say once more that it is
 * accepted, and the visitor would seem to have moved.
 */
function replaying(turn: Turn, { homeAddress, homeAgent, identification, returnAddress }: PendingRequest) {
  for (const entry of turn.state.list.at(homeAddress)) {
    const { path, accepted } = (entry.next ?? entry).visit ?? {};
    const isTheSame = accepted?.high === identification.high && accepted.low === identification.low;
    if (path?.homeAgent === homeAgent && isTheSame && path.linkAddress !== returnAddress.linkAddress)
      return path.linkAddress;
  }
  return undefined;
}

function pendingOf(
  { now, state: { site } }: Turn,
  { input, request, link, identifier, challenge }: ReadRequest,
): PendingRequest {
  const { homeAddress, homeAgent, careOfAddress, identification, lifetimeSeconds, flags } = request;
  const { device, linkAddress, sourcePort, destination } = input;
  const isUnicast = destination === link.address || destination === site.careOfAddress;
  const source = isUnicast && destination !== ALL_AGENTS ? destination : link.address;
  return {
    key: pendingKey({ homeAgent, homeAddress, identifier, identification }),
    returnAddress: { device, linkAddress, source, destinationPort: sourcePort },
    ...{ homeAddress, homeAgent, careOfAddress, identification, identifier, lifetimeSeconds },
    coLocated: flags.decapsulatesItself,
    gre: flags.gre,
    reverseTunnelling: flags.reverseTunnelling,
    challenge: challenge === undefined ? undefined : toHex(challenge),
    deadline: after(now, TIMERS.pendingRequest),
  };
}

const UNREACHABLE_CODES = {
  network: ReplyCode.homeNetworkUnreachable,
  host: ReplyCode.homeAgentHostUnreachable,
  port: ReplyCode.homeAgentPortUnreachable,
  other: ReplyCode.homeAgentUnreachable,
} as const;

/** All that wait for this home agent, or the one whose request the error quotes. */
function unreachable(turn: Turn, { homeAgent, what, identification }: UnreachableInput): void {
  const { list } = turn.state;
  const concerned = [...list.pendingRequests()].filter(
    (one) => one.homeAgent === homeAgent && (identification === undefined || one.identification.low === identification),
  );
  if (concerned.length === 0) drop(turn, "no-outstanding-request", `ICMP error about ${homeAgent}`);
  for (const one of concerned) {
    list.removePending(one.key);
    deny(turn, one, UNREACHABLE_CODES[what], `home agent ${homeAgent}: ${what} unreachable`);
  }
}

function programmed(turn: Turn, { visitor, revision, failure }: ProgrammedInput): void {
  letGo(turn, visitor, revision);
  const entry = turn.state.list.get(visitor);
  if (entry?.next === undefined || entry.revision !== revision) return;
  if (failure === undefined) enterNext(turn, entry, entry.next);
  else giveUp(turn, entry, entry.next, failure);
}

function enterNext(turn: Turn, entry: VisitorEntry, next: NonNullable<VisitorEntry["next"]>): void {
  establish(turn, entry, next.visit, entry.visit === undefined ? "visitor.accepted" : "visitor.moved");
  send(turn, next.answer);
}

/** What was there before stays, if there was something. */
function giveUp(turn: Turn, entry: VisitorEntry, next: NonNullable<VisitorEntry["next"]>, reason: string): void {
  const { homeAddress, homeAgent } = next.visit.path;
  send(turn, next.denial);
  if (entry.visit === undefined) {
    endVisit(turn, entry, "visitor.failed", reason);
    return;
  }
  entry.next = undefined;
  entry.revision = turn.state.list.nextRevision();
  turn.state.list.schedule(entry);
  askFor(turn, entry, entry.visit.path);
  notify(turn, "visitor.failed", homeAddress, { homeAgent, reason });
}

function runDeadlines(turn: Turn): void {
  const { list, clocks } = turn.state;
  for (let count = 0; count < LIMITS.deadlinesPerStep; count++) {
    const overdue = list.takeOverdue(turn.now);
    if (overdue === undefined) break;
    deny(turn, overdue, ReplyCode.agentRegistrationTimeout, `home agent ${overdue.homeAgent} does not answer`);
  }
  for (let count = 0; count < LIMITS.deadlinesPerStep; count++) {
    const entry = list.takeDue(turn.now);
    if (entry === undefined) break;
    if (entry.next !== undefined) giveUp(turn, entry, entry.next, "no answer from the kernel in time");
    else if (entry.expiresAt !== undefined && entry.expiresAt <= turn.now)
      endVisit(turn, entry, "visitor.expired", "its lifetime is over");
    else list.schedule(entry);
  }
  for (const clock of clocks) if (clock.isDue(turn.now)) advertise(turn, clock, {});
}

function solicited(turn: Turn, { device, linkAddress, source }: SolicitationInput): void {
  const clock = turn.state.clocks.find(({ link }) => link.device === device);
  if (clock === undefined) {
    drop(turn, "wrong-destination", `solicitation on ${device}`);
    return;
  }
  const answer = clock.solicited({ linkAddress, source }, turn.now);
  if (answer === "none") drop(turn, "rate-limited", `solicitation of ${linkAddress}`);
  else if (answer === "all") advertise(turn, clock, {});
  else if (answer !== "later") advertise(turn, clock, { receiver: answer });
}

function advertise(
  turn: Turn,
  clock: AdvertisementClock<VisitedLink>,
  { receiver, leaving }: { readonly receiver?: ToLink["receiver"]; readonly leaving?: boolean },
): void {
  const { state, entropy } = turn;
  const { site, list, challenges } = state;
  const { link } = clock;
  const challenge = site.challenge ? entropy.slice(0, LIMITS.challengeOctets) : undefined;
  if (challenge !== undefined && receiver === undefined && challenges.latest !== toHex(challenge))
    challenges.advertised(challenge);
  else if (challenge !== undefined && receiver !== undefined) challenges.issue(receiver.linkAddress, challenge);
  reserveNumbers(turn);
  const busy = list.size >= site.mostVisitors;
  const advertisement = advertisementOf(site, link, { sequence: state.sequence, busy, leaving, challenge });
  state.sequence = nextSequence(state.sequence);
  if (receiver === undefined && leaving !== true) clock.sentToAll(turn.now, (entropy.at(-1) ?? 0) / 255);
  send(turn, { to: "link", device: link.device, source: link.address, advertisement, receiver });
}

/** After a restart that has kept the visitors no number comes again, or nodes would think that we have lost them. */
function reserveNumbers(turn: Turn): void {
  const { state } = turn;
  if (state.reserved !== undefined && state.sequence !== state.reserved) return;
  let reserved = state.sequence;
  for (let i = 0; i < RESERVED_NUMBERS; i++) reserved = nextSequence(reserved);
  state.reserved = reserved;
  turn.effects.push({ kind: "journal", key: AGENT_KEY, record: agentRecord(reserved) });
}

function restore(turn: Turn, stored: StoredVisitor): void {
  const { state } = turn;
  const { list, site } = state;
  const parsed = parseRecord(stored);
  if (parsed?.kind === "agent") {
    state.sequence = parsed.sequence;
    return;
  }
  const key = stored.record["key"];
  const isServed =
    parsed !== undefined &&
    site.links.some(({ device }) => device === parsed.visit.path.device) &&
    (!parsed.visit.path.decapsulates || parsed.visit.careOfAddress === site.careOfAddress) &&
    (parsed.visit.path.encapsulation !== "gre" || site.gre) &&
    list.get(parsed.key) === undefined;
  if (parsed === undefined || !isServed) {
    if (typeof key === "string") turn.effects.push({ kind: "journal", key, record: null });
    return;
  }
  const { path } = parsed.visit;
  const entry = list.open(parsed.key);
  const visit = {
    ...parsed.visit,
    path: {
      ...path,
      number: list.numbers.take(parsed.key, path.number),
      homeAgentNumber: list.homeAgents.take(path.homeAgent, path.homeAgentNumber),
      separate: list.isSeparate(path.homeAddress, parsed.key, path.separate),
    },
  };
  entry.visit = visit;
  entry.revision = list.nextRevision();
  entry.expiresAt =
    parsed.remainingSeconds === undefined ? undefined : after(turn.now, seconds(parsed.remainingSeconds));
  list.schedule(entry);
  askFor(turn, entry, visit.path);
  notify(turn, "visitor.accepted", path.homeAddress, { homeAgent: path.homeAgent, reason: "restored" });
}

/** An agent that has lost its visitors begins with number 0 (RFC 5944 §2.3.2); so does one that had none. */
export function beginsAnew(state: ForeignAgentState): void {
  if (state.list.size === 0) state.sequence = 0;
}
