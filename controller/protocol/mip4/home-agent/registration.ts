/**
 * From an accepted request to a binding: asks the kernel for a data path, and answers when it is there. A new path takes the old end along,
 * so that packets on their way are not lost; a refused one puts the old path back.
 */
import { IPV4_ANY, type Ipv4Address } from "../../../base/ip.js";
import { after, elapsed, type Instant, seconds } from "../../../base/time.js";
import type { RegistrationExtension } from "../../../wire/mip4/extensions/registration.js";
import { INFINITE_LIFETIME_SECONDS } from "../../../wire/mip4/messages/registration.js";
import { ReplyCode } from "../../../wire/mip4/registry.js";
import { type DataPath, formatEnd, type NotifyEffect, sameEnd, type TunnelEnd } from "../inputs.js";
import { LIMITS, TIMERS } from "../timers.js";
import type { BindingEntry, Established, FormerEnd, Pending, Registration, Replaced } from "./binding-table.js";
import type { ProgrammedInput } from "./inputs.js";
import { decidePrefixes, type Holders } from "./prefixes.js";
import type { Answer } from "./reply.js";
import type { ReadRequest, Sender } from "./request.js";
import { decideTunnel } from "./tunnel.js";
import { answer, journal, notify, refuse, releaseUnused, type Turn } from "./turn.js";

/** We hold one binding of a node: simultaneous ones are not supported, and each acceptance says so (RFC 5944 §3.8.2.2). */
const ACCEPTED = ReplyCode.acceptedNoSimultaneousBindings;

export function register(turn: Turn, read: ReadRequest, { subscriber }: Sender, to: Answer): void {
  const { site, ownership, table } = turn.state;
  const { request, arrival } = read.input;
  const tunnel = decideTunnel(read.input, read.covered, site, subscriber);
  if (tunnel.kind === "refused") {
    refuse(turn, to, tunnel.code, tunnel.reason);
    return;
  }
  const careOf = [arrival.source, request.careOfAddress];
  const homeAddress =
    request.homeAddress === IPV4_ANY ? ownership.ipv4.candidateFor(subscriber.node, careOf) : request.homeAddress;
  if (homeAddress === undefined) return; // the checks have seen to it
  ownership.ipv4.lease(subscriber.node, homeAddress);
  const coLocated = request.flags.decapsulatesItself;
  const ipv6 = decidePrefixes(read.covered, coLocated, subscriber, site, holdersOf(turn));
  const registration: Registration = {
    homeAddress,
    careOfAddress: request.careOfAddress,
    end: tunnel.end,
    coLocated,
    reverseTunnelling: request.flags.reverseTunnelling,
    natDetected: tunnel.natDetected,
    prefixes: ipv6.registered,
    linkLocalAddress: ipv6.linkLocalAddress,
    identification: request.identification,
    lifetimeSeconds: lifetimeFor(turn, request.lifetimeSeconds, subscriber.node),
  };
  const extensions: readonly RegistrationExtension[] = [...ipv6.replies, ...tunnel.replies];
  const entry = table.open(subscriber);
  takeIn(turn, entry, registration, { ...to, extensions });
  table.schedule(entry);
}

/** As long as was asked for and is allowed, and as what is lent with it lasts. */
function lifetimeFor({ state: { site, ownership } }: Turn, wanted: number, node: BindingEntry["node"]): number {
  const isLent = ownership.ipv4.leaseOf(node) !== undefined;
  const longest = Math.min(site.maxLifetimeSeconds, isLent ? (site.ipv4LeaseSeconds ?? Infinity) : Infinity);
  return Math.min(wanted, Math.max(1, Math.floor(longest)));
}

const holdersOf = ({ state: { ownership, table } }: Turn): Holders => ({
  lent: ownership.lent,
  linkLocalHolder: (address) => table.linkLocalHolder(address),
});

function takeIn(turn: Turn, entry: BindingEntry, registration: Registration, to: Answer): void {
  const { table } = turn.state;
  if (entry.state === "removing") {
    // It comes again before the kernel has let go: nothing of the old binding is taken over.
    entry.established = undefined;
    entry.replaced = [];
    entry.former = [];
    journal(turn, entry.node);
  }
  const { pending, established } = entry;
  if (pending !== undefined && fits(pending.path, registration)) {
    // A repetition: the kernel is at it already, and its answer will be told to the latest of them.
    table.transition(entry, "refresh");
    entry.pending = { ...pending, registration, answer: to };
  } else if (pending === undefined && established !== undefined && fits(established.path, registration)) {
    table.transition(entry, "refresh");
    establish(turn, entry, { registration, answer: to, path: established.path });
    releaseUnused(turn, entry.node, entry);
  } else {
    program(turn, entry, registration, to);
  }
}

/** Whether the registration needs nothing that the path does not have: then the kernel is left alone. */
function fits(path: DataPath, registration: Registration): boolean {
  return (
    sameEnd(path.egress, registration.end) &&
    path.homeAddress === registration.homeAddress &&
    path.reverseTunnelling === registration.reverseTunnelling &&
    path.linkLocalAddress === registration.linkLocalAddress &&
    // In the order of the node's requests: another order is another path, and costs one round of the kernel.
    JSON.stringify(path.prefixes) === JSON.stringify(registration.prefixes)
  );
}

/** The next revision of the entry's data path. */
export function pathFor(
  turn: Turn,
  entry: BindingEntry,
  registration: Registration,
  former: readonly TunnelEnd[],
): DataPath {
  entry.revision = turn.state.table.nextRevision();
  const { homeAddress, end, reverseTunnelling, prefixes, linkLocalAddress } = registration;
  const others = former.filter((one, i) => !sameEnd(one, end) && former.findIndex((two) => sameEnd(two, one)) === i);
  return {
    node: entry.node,
    homeAddress,
    egress: end,
    ingress: [end, ...others.slice(0, LIMITS.formerEnds)],
    reverseTunnelling,
    prefixes,
    ...(linkLocalAddress === undefined ? {} : { linkLocalAddress }),
    profile: entry.subscriber.profile,
    revision: entry.revision,
  };
}

function program(turn: Turn, entry: BindingEntry, registration: Registration, to: Answer): void {
  const { site, table } = turn.state;
  const graceful = site.previousCareOfGraceSeconds > 0 && entry.established !== undefined;
  const ends = graceful ? [entry.established?.path.egress, ...entry.former.map(({ end }) => end)] : [];
  const path = pathFor(
    turn,
    entry,
    registration,
    ends.filter((end) => end !== undefined),
  );
  table.transition(entry, "program");
  entry.removal = undefined;
  entry.pending = { registration, answer: to, path, deadline: after(turn.now, TIMERS.dataPath) };
  turn.effects.push({ kind: "data-path", path });
}

/** The kernel has answered for the path that is being made. */
export function pathProgrammed(turn: Turn, entry: BindingEntry, { failure, revision }: ProgrammedInput): void {
  const { table } = turn.state;
  const { pending } = entry;
  if (pending !== undefined) {
    if (failure !== undefined) {
      giveUp(turn, entry, failure);
      return;
    }
    table.transition(entry, "programmed");
    entry.pending = undefined;
    establish(turn, entry, pending);
    releaseUnused(turn, entry.node, entry);
    table.schedule(entry);
  } else if (failure !== undefined && entry.established !== undefined) {
    // Nobody waits for an answer: the path was narrowed, put back or restored. The reconciler goes on trying.
    notify(turn, "binding.failed", about(entry), { reason: failure, revision });
  }
}

const about = ({ node, established }: BindingEntry) => ({ node, homeAddress: established?.registration.homeAddress });

/** Makes the registration the one that counts, and says so to the journal, to the home link, to the node and to people. */
function establish(
  turn: Turn,
  entry: BindingEntry,
  { registration, answer: to, path }: Omit<Pending, "deadline">,
): void {
  const before = entry.established;
  const { lifetimeSeconds, homeAddress } = registration;
  entry.former = formerAfter(turn, entry, path);
  entry.replaced = withReplaced(entry.replaced, { by: to.identification, at: turn.now, before });
  entry.established = { registration, path, expiresAt: expiryOf(registration, turn.now) };
  journal(turn, entry.node);
  const had = before?.registration.homeAddress;
  if (had !== homeAddress) {
    if (had !== undefined) turn.effects.push({ kind: "announce", address: had, holder: "mobile-node" });
    turn.effects.push({ kind: "announce", address: homeAddress, holder: "home-agent" });
  }
  answer(turn, to, { code: ACCEPTED, lifetimeSeconds, homeAddress, extensions: to.extensions });
  notify(
    turn,
    eventFor(before, registration),
    { node: entry.node, homeAddress },
    {
      endpoint: formatEnd(registration.end),
      careOfAddress: registration.careOfAddress,
      lifetimeSeconds,
      prefixes: registration.prefixes.length,
    },
  );
}

function withReplaced(replaced: readonly Replaced[], latest: Replaced): readonly Replaced[] {
  const recent = replaced.filter(({ at }) => elapsed(at, latest.at) < TIMERS.unstoredAnswer);
  return [...recent, latest].slice(-LIMITS.replacedRegistrations);
}

export function expiryOf({ lifetimeSeconds }: Registration, now: Instant): Instant | undefined {
  return lifetimeSeconds === INFINITE_LIFETIME_SECONDS ? undefined : after(now, seconds(lifetimeSeconds));
}

/** The ends of `path` other than the present one, with the time they are left. */
function formerAfter(turn: Turn, entry: BindingEntry, path: DataPath): readonly FormerEnd[] {
  const until = after(turn.now, seconds(turn.state.site.previousCareOfGraceSeconds));
  const egress = entry.established?.path.egress;
  const left: readonly FormerEnd[] = egress === undefined ? entry.former : [{ end: egress, until }, ...entry.former];
  return path.ingress.flatMap((end) => {
    if (sameEnd(end, path.egress)) return [];
    const found = left.find((former) => sameEnd(former.end, end));
    return found === undefined ? [] : [found];
  });
}

function eventFor(
  before: Established | undefined,
  { end, careOfAddress }: Registration,
): NotifyEffect["event"]["event"] {
  if (before === undefined) return "binding.accepted";
  const { registration: had } = before;
  if (sameEnd(had.end, end)) return "binding.refreshed";
  const bothUdp = had.end.transport === "udp" && end.transport === "udp";
  return bothUdp && had.careOfAddress === careOfAddress ? "nat.changed" : "binding.moved";
}

/** An accepted request comes to nothing (130): a new binding is dropped, one that was to change stays what it was, in the kernel too. */
export function giveUp(turn: Turn, entry: BindingEntry, reason: string): void {
  const { table } = turn.state;
  const { pending, established } = entry;
  if (pending === undefined) return;
  entry.pending = undefined;
  table.transition(entry, "refused");
  if (established === undefined) dropPath(turn, entry);
  else putPath(turn, entry, established);
  refuse(turn, pending.answer, ReplyCode.insufficientResources, reason);
  releaseUnused(turn, entry.node, established === undefined ? undefined : entry);
  table.schedule(entry);
}

/** Asks again for the path of the binding that is there, with what former ends are left. */
export function putPath(turn: Turn, entry: BindingEntry, established: Established): void {
  const former = entry.former.map(({ end }) => end);
  const path = pathFor(turn, entry, established.registration, former);
  entry.established = { ...established, path };
  turn.effects.push({ kind: "data-path", path });
}

/** Payload from ends whose grace time is over is not accepted any more. */
export function narrow(turn: Turn, entry: BindingEntry, established: Established): void {
  turn.state.table.transition(entry, "narrow");
  entry.former = entry.former.filter(({ until }) => until > turn.now);
  putPath(turn, entry, established);
}

/** Tells the kernel that the node has no data path any more. */
export function dropPath(turn: Turn, entry: BindingEntry, former?: DataPath): void {
  entry.revision = turn.state.table.nextRevision();
  const { node, revision } = entry;
  turn.effects.push({ kind: "data-path-removed", node, revision, ...(former !== undefined && { former }) });
}

/** The answer to a request that is accepted already: what is left of the lifetime, and not more (RFC 5944 §3.8.2.2). */
export function repeatAnswer(turn: Turn, read: ReadRequest, sender: Sender, to: Answer, entry: BindingEntry): void {
  const { established } = entry;
  if (established === undefined) return;
  const { registration, expiresAt } = established;
  const { site } = turn.state;
  const tunnel = decideTunnel(read.input, read.covered, site, sender.subscriber);
  const ipv6 = decidePrefixes(read.covered, registration.coLocated, sender.subscriber, site, holdersOf(turn));
  const left = expiresAt === undefined ? INFINITE_LIFETIME_SECONDS : Math.floor(elapsed(turn.now, expiresAt));
  answer(turn, to, {
    code: ACCEPTED,
    lifetimeSeconds: Math.max(1, left),
    homeAddress: registration.homeAddress,
    extensions: [...ipv6.replies, ...(tunnel.kind === "granted" ? tunnel.replies : [])],
  });
  releaseUnused(turn, entry.node, entry);
}

/** Of a binding that ends: the home address is the node's own business again. */
export function giveBack(turn: Turn, address: Ipv4Address): void {
  turn.effects.push({ kind: "announce", address, holder: "mobile-node" });
}
