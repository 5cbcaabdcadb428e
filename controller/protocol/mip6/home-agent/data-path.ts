/**
 * Between the machine and the kernel: asks for a data path, and acknowledges or refuses when the answer is there. A new path takes the
 * old endpoint along, so that packets on their way are not lost (make before break); a refused one puts the old path back.
 */
import { formatPrefix, type IpAddress, type Ipv6Address, type Prefix, samePrefix } from "../../../base/ip.js";
import { after, elapsed, type Instant, seconds } from "../../../base/time.js";
import { BindingStatus } from "../../../wire/mip6/registry.js";
import {
  type DataPath,
  type Endpoint,
  formatEndpoint,
  type ProgrammedInput,
  type ProtocolEvent,
  sameEndpoint,
} from "../inputs.js";
import { LIMITS, TIMERS } from "../timers.js";
import type { Reply } from "./acknowledgement.js";
import {
  type BindingEntry,
  type Established,
  expiryOf,
  type FormerEndpoint,
  lifetimeOf,
  type PendingRegistration,
  type Registration,
  type Replaced,
} from "./binding-cache.js";
import { answer, journal, notify, refuse, releaseUnused, type Turn } from "./turn.js";

/** An accepted registration that nobody has been asked about yet. */
export type Candidate = Pick<PendingRegistration, "registration" | "reply" | "acknowledgements">;

/** Whether the registration needs nothing that the path does not have: then the kernel is left alone. */
export function fits(turn: Turn, path: DataPath, registration: Registration): boolean {
  return (
    sameEndpoint(path.egress, registration.endpoint) &&
    (path.nesting ?? 0) === nestingOf(turn, registration.endpoint) &&
    path.ipv4HomeAddress === registration.ipv4HomeAddress &&
    path.linkLocalAddress === registration.linkLocalAddress &&
    (path.mobileRouter ?? false) === registration.mobileRouter &&
    samePrefixes(path.prefixes ?? [], registration.prefixes)
  );
}

/** In how many networks of routers, one in another, the endpoint is now: each is a tunnel more (RFC 3963 §2). */
function nestingOf({ state: { ownership, cache } }: Turn, endpoint: Endpoint): number {
  let at: Endpoint | undefined = endpoint;
  for (let level = 0; level < LIMITS.nestedNetworks.default; level++) {
    const router: Ipv6Address | undefined = at === undefined ? undefined : ownership.routerTo(at.address);
    if (router === undefined) return level;
    at = cache.get(router)?.established?.registration.endpoint;
  }
  return LIMITS.nestedNetworks.default;
}

/** In one order on both sides: the subscriber's. */
const samePrefixes = (a: readonly Prefix[], b: readonly Prefix[]): boolean =>
  a.length === b.length && a.every((one, i) => samePrefix(one, b[i] ?? one));

/** The next revision of the entry's data path. */
export function pathFor(
  turn: Turn,
  entry: BindingEntry,
  registration: Registration,
  former: readonly Endpoint[],
): DataPath {
  entry.revision = turn.state.cache.nextRevision();
  const { endpoint, ipv4HomeAddress, linkLocalAddress, mobileRouter, prefixes } = registration;
  const nesting = nestingOf(turn, endpoint);
  const others = former.filter(
    (candidate, i) =>
      !sameEndpoint(candidate, endpoint) && former.findIndex((other) => sameEndpoint(other, candidate)) === i,
  );
  return {
    homeAddress: entry.homeAddress,
    ...(ipv4HomeAddress === undefined ? {} : { ipv4HomeAddress }),
    ...(linkLocalAddress === undefined ? {} : { linkLocalAddress }),
    ...(mobileRouter && { mobileRouter }),
    ...(prefixes.length > 0 && { prefixes }),
    ...(nesting > 0 && { nesting }),
    egress: endpoint,
    ingress: [endpoint, ...others.slice(0, LIMITS.formerEndpoints.default)],
    profile: entry.subscriber.profile,
    revision: entry.revision,
  };
}

/** Asks the kernel for the data path of a registration; the answer comes as `programmed` or not at all. */
export function program(turn: Turn, entry: BindingEntry, { registration, reply, acknowledgements }: Candidate): void {
  const graceful = turn.state.site.previousCareOfGraceSeconds > 0 && entry.established !== undefined;
  const former = graceful ? [entry.established?.path.egress, ...entry.former.map(({ endpoint }) => endpoint)] : [];
  const path = pathFor(
    turn,
    entry,
    registration,
    former.filter((endpoint) => endpoint !== undefined),
  );
  turn.state.cache.transition(entry, "program");
  const deadline = after(turn.now, TIMERS.dataPath.default);
  entry.pending = { registration, reply, acknowledgements, deadline, path, probing: new Set() };
  turn.effects.push({ kind: "data-path", path });
}

/** The kernel has answered; answers about paths that are not asked for any more are nothing. */
export function programmed(turn: Turn, input: ProgrammedInput): void {
  const { cache } = turn.state;
  const entry = cache.get(input.homeAddress);
  if (entry === undefined || entry.revision !== input.revision) return;
  const { pending } = entry;
  if (pending?.path !== undefined) {
    if (input.failure !== undefined) {
      giveUp(turn, entry, { status: kernelRefusal(pending), reason: input.failure });
      return;
    }
    cache.transition(entry, "programmed");
    entry.pending = undefined;
    establish(turn, entry, pending, pending.path);
    releaseUnused(turn, entry);
    cache.schedule(entry);
  } else if (input.failure !== undefined && entry.state === "established") {
    // Nobody waits for an answer: the path was narrowed, put back or restored. The service asks for it again.
    notify(turn, "binding.failed", entry, { reason: input.failure, revision: input.revision });
  }
}

/**
 * The status for what the kernel does not take: of a mobile router the one that says that nothing is forwarded to its networks
 * (RFC 3963 §6.2), whichever object it was.
 */
export function kernelRefusal({ registration, reply }: Pick<PendingRegistration, "registration" | "reply">): number {
  if (registration.prefixes.length === 0) return BindingStatus.insufficientResources;
  return reply.namesPrefixes ? BindingStatus.invalidPrefix : BindingStatus.forwardingSetupFailed;
}

/** Makes the registration the one that counts, and says so to the node, to the home link, to the journal and to people. */
export function establish(turn: Turn, entry: BindingEntry, candidate: Candidate, path: DataPath): void {
  const { registration, reply, acknowledgements } = candidate;
  const before = entry.established;
  entry.former = formerAfter(turn, entry, path);
  entry.replaced = withReplaced(entry.replaced, { by: reply.sequence, at: turn.now, before });
  entry.established = { registration, path, expiresAt: expiryOf(registration, turn.now) };
  entry.rememberedUntil = undefined;
  entry.askAt = refreshRequestTime(turn, entry.established);
  journal(turn, entry);
  const addresses = interceptedAnew(before?.path, path);
  if (addresses.length > 0) turn.effects.push({ kind: "announce", addresses, router: registration.mobileRouter });
  moveKeyManagement(turn, entry, before, candidate);
  const { lifetimeUnits, forcedUdp } = registration;
  const status =
    turn.state.site.hasPrefixNews?.(entry.homeAddress) === true
      ? BindingStatus.acceptedPrefixDiscoveryNecessary
      : BindingStatus.accepted;
  answer(turn, reply, { status, lifetimeUnits, acknowledgements, forcedUdp });
  notify(turn, eventFor(before, registration), entry, {
    endpoint: formatEndpoint(registration.endpoint),
    sequence: reply.sequence,
    lifetimeSeconds: lifetimeOf(registration),
    ...(registration.ipv4HomeAddress === undefined ? {} : { ipv4HomeAddress: registration.ipv4HomeAddress }),
    ...routerDetail(registration, reply),
  });
}

/** Of its lifetime: a node that refreshes by itself has done so before. */
const REQUEST_FRACTION = 0.9;

/** When a node is asked to refresh; undefined: never. */
export function refreshRequestTime(
  { state: { site } }: Pick<Turn, "state">,
  { registration, expiresAt }: Pick<Established, "registration" | "expiresAt">,
): Instant | undefined {
  if (site.refreshRequests !== true) return undefined;
  return after(expiresAt, seconds(-lifetimeOf(registration) * (1 - REQUEST_FRACTION)));
}

function withReplaced(replaced: readonly Replaced[], latest: Replaced): readonly Replaced[] {
  const recent = replaced.filter(({ at }) => elapsed(at, latest.at) < TIMERS.unstoredAnswer.default);
  return [...recent, latest].slice(-LIMITS.replacedRegistrations.default);
}

/** What became of the R flag. */
function routerDetail({ mobileRouter, prefixes }: Registration, reply: Reply): ProtocolEvent["detail"] {
  if (mobileRouter) return { prefixes: prefixes.map(formatPrefix).join(" ") };
  return reply.mobileRouter ? { mobileRouter: "served as a host: the subscriber has no prefixes" } : {};
}

/** A first registration comes from where the IKE SA was made; after that the SA follows the node, if the node has asked for it. */
function moveKeyManagement(
  turn: Turn,
  { homeAddress }: BindingEntry,
  before: Established | undefined,
  { registration, reply }: Candidate,
): void {
  const { addresses, keyManagementMobility } = turn.state.site;
  if (keyManagementMobility !== true || !reply.keyManagementMobility || before === undefined) return;
  const remote = registration.signalling.address;
  const local = registration.signalling.format === "ipv6" ? addresses.ipv6 : (addresses.ipv4Local ?? addresses.ipv4);
  if (local === undefined || before.registration.signalling.address === remote) return;
  turn.effects.push({ kind: "key-management-moved", homeAddress, local, remote });
}

/** The endpoints of `path` other than the present one, with the time they are left. */
function formerAfter(turn: Turn, entry: BindingEntry, path: DataPath): readonly FormerEndpoint[] {
  const until = after(turn.now, seconds(turn.state.site.previousCareOfGraceSeconds));
  const egress = entry.established?.path.egress;
  const left: FormerEndpoint[] = egress === undefined ? [] : [{ endpoint: egress, until }];
  return path.ingress.flatMap((endpoint) => {
    if (sameEndpoint(endpoint, path.egress)) return [];
    return [left, entry.former]
      .flatMap((list) => list.filter((former) => sameEndpoint(former.endpoint, endpoint)))
      .slice(0, 1);
  });
}

/** Home addresses that packets on the home link have to be drawn to from now on (RFC 6275 §10.4.1); none after a mere move. */
function interceptedAnew(before: DataPath | undefined, path: DataPath): readonly IpAddress[] {
  const addressesOf = (one: DataPath | undefined): readonly (IpAddress | undefined)[] =>
    one === undefined ? [] : [one.homeAddress, one.ipv4HomeAddress, one.linkLocalAddress];
  const known = addressesOf(before);
  return addressesOf(path).filter((address) => address !== undefined && !known.includes(address)) as IpAddress[];
}

function eventFor(before: Established | undefined, registration: Registration): ProtocolEvent["event"] {
  if (before === undefined) return "binding.accepted";
  const { endpoint, careOfAddress } = before.registration;
  if (sameEndpoint(endpoint, registration.endpoint)) return "binding.refreshed";
  const bothUdp = endpoint.format === "udp" && registration.endpoint.format === "udp";
  return bothUdp && careOfAddress === registration.careOfAddress ? "nat.changed" : "binding.moved";
}

export interface Refusal {
  readonly status: number;
  readonly reason: string;
}

/**
 * An accepted update comes to nothing: a new binding is dropped, a binding that was to change stays what it was, in the kernel too
 * (RFC 6275 §10.3.1).
 */
export function giveUp(turn: Turn, entry: BindingEntry, { status, reason }: Refusal): void {
  const { cache } = turn.state;
  const { pending, established } = entry;
  if (pending === undefined) return;
  entry.pending = undefined;
  cache.transition(entry, "refused");
  if (established === undefined) {
    if (pending.path !== undefined) dropPath(turn, entry);
  } else {
    const path = pathFor(
      turn,
      entry,
      established.registration,
      entry.former.map(({ endpoint }) => endpoint),
    );
    entry.established = { ...established, path };
    turn.effects.push({ kind: "data-path", path });
    journal(turn, entry);
  }
  refuse(turn, pending.reply, status, reason);
  releaseUnused(turn, entry);
  if (entry.state === "invalidated" && entry.rememberedUntil === undefined) cache.transition(entry, "forget");
  cache.schedule(entry);
}

/** Tells the kernel that the entry has no data path any more. */
export function dropPath(turn: Turn, entry: BindingEntry): void {
  entry.revision = turn.state.cache.nextRevision();
  turn.effects.push({ kind: "data-path-removed", homeAddress: entry.homeAddress, revision: entry.revision });
}

/** Payload from endpoints whose grace time is over is not accepted any more. */
export function narrow(turn: Turn, entry: BindingEntry, established: Established): void {
  turn.state.cache.transition(entry, "narrow");
  entry.former = entry.former.filter(({ until }) => until > turn.now);
  const path = pathFor(
    turn,
    entry,
    established.registration,
    entry.former.map(({ endpoint }) => endpoint),
  );
  entry.established = { ...established, path };
  turn.effects.push({ kind: "data-path", path });
}
