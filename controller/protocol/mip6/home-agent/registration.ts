/**
 * Takes in registrations that passed all checks, up to the point where the kernel is asked (data-path.ts): the IPv4 home
 * address, the lifetime, duplicate address detection. The rules are in states.ts.
 */
import { type Ipv6Address, isIpv4, type Prefix } from "../../../base/ip.js";
import { after } from "../../../base/time.js";
import { LIFETIME_UNIT_SECONDS } from "../../../wire/mip6/messages/registration.js";
import { BindingStatus } from "../../../wire/mip6/registry.js";
import type { NetworkSelection } from "../../ownership/lent-networks.js";
import { TIMERS } from "../timers.js";
import type { BindingEntry, Registration } from "./binding-cache.js";
import { ipv4CareOfAddresses } from "./binding-cache.js";
import { type Candidate, establish, fits, giveUp, program } from "./data-path.js";
import type { DadCompletedInput } from "./inputs.js";
import { decideIpv4, type Ipv4Decision } from "./ipv4-home-address.js";
import { decideNetwork, isMobileRouter } from "./mobile-network.js";
import type { HomeSubscriber } from "./site.js";
import { isBound } from "./states.js";
import type { Turn } from "./turn.js";
import { isNatted, linkLocalOf, type UpdateRequest } from "./update.js";

export function register(turn: Turn, request: UpdateRequest, subscriber: HomeSubscriber): void {
  const { cache, ipv4, ownership } = turn.state;
  const entry = cache.open(subscriber, request.message.sequence);
  const { careOfAddress, endpoint, signalling } = request;
  const lent = ownership.lent.select(entry.homeAddress, [careOfAddress, endpoint.address, signalling.address]);
  const network = networkOf(request, subscriber, lent);
  const own = (subscriber.prefixes ?? []).filter(({ address }) => isIpv4(address));
  const decision = decideIpv4(request.reply.ipv4Options, {
    homeAddress: entry.homeAddress,
    bound: entry.established?.registration.ipv4HomeAddress,
    addresses: ipv4,
    careOf: ipv4CareOfAddresses(request),
    homePrefixes: turn.state.site.homePrefixes,
    mayAllocate: true,
    prefixes: network === undefined ? [] : own,
    boundPrefixes: entry.established?.registration.prefixes ?? [],
    lent: network !== undefined && subscriber.borrowsPrefixes === true ? lent : undefined,
  });
  if (decision.address !== undefined) ipv4.lease(entry.homeAddress, decision.address);
  entry.sequence = request.message.sequence;
  if (entry.notice?.subject.kind === "refresh") entry.notice = undefined;
  const granted = [...(network?.prefixes ?? []), ...(network?.ipv4 === true ? own : decision.prefixes)];
  const registration: Registration = {
    ...registrationOf(request, decision),
    lifetimeUnits: lifetimeFor(turn, request, decision, lent),
    mobileRouter: network !== undefined,
    prefixes: [...(subscriber.prefixes ?? []).filter((one) => granted.includes(one)), ...ordered(turn, entry, lent)],
  };
  const lentOptions = (network?.unnamed ?? []).map(
    ({ address, length }) =>
      ({ kind: "mobile-network-prefix", prefix: address as Ipv6Address, prefixLength: length }) as const,
  );
  const acknowledgements = [...decision.acknowledgements, ...lentOptions];
  takeIn(turn, entry, { registration, reply: request.reply, acknowledgements });
  cache.schedule(entry);
}

/** The lent networks of the registration, in an order that does not change with that of the update's options. */
function ordered(turn: Turn, { homeAddress }: BindingEntry, lent: NetworkSelection): readonly Prefix[] {
  return turn.state.ownership.lent.leasesOf(homeAddress).filter((one) => lent.chosen.includes(one));
}

/** The binding lasts as long as was asked for, as the home agent allows, and as anything in it is lent for (RFC 5555 §2.5). */
function lifetimeFor(turn: Turn, request: UpdateRequest, ipv4: Ipv4Decision, lent: NetworkSelection): number {
  const { site, ipv4: addresses } = turn.state;
  const isLent = ipv4.address !== undefined && addresses.leaseOf(request.homeAddress) === ipv4.address;
  const longest = Math.min(
    site.maxLifetimeSeconds,
    isLent ? (site.ipv4Pool?.leaseSeconds ?? Infinity) : Infinity,
    lent.chosen.length > 0 ? (site.prefixPool?.leaseSeconds ?? Infinity) : Infinity,
    site.validFor?.(request.homeAddress) ?? Infinity,
  );
  const longestUnits = Math.max(1, Math.floor(longest / LIFETIME_UNIT_SECONDS));
  return Math.min(request.message.lifetimeUnits, longestUnits);
}

/** Undefined for a host. What is refused has not come to here. */
function networkOf({ message }: UpdateRequest, subscriber: HomeSubscriber, lent: NetworkSelection) {
  if (!isMobileRouter(message.flags.mobileRouter, subscriber)) return undefined;
  const decision = decideNetwork(message, subscriber, lent);
  return decision.kind === "granted" ? decision : undefined;
}

function takeIn(turn: Turn, entry: BindingEntry, candidate: Candidate): void {
  const { state, pending, established } = entry;
  if (!isBound(state)) {
    startAnew(turn, entry, candidate);
  } else if (state === "awaiting-dad") {
    turn.state.cache.transition(entry, "refresh");
    continueProbing(turn, entry, candidate);
  } else if (pending?.path !== undefined && fits(turn, pending.path, candidate.registration)) {
    // A repetition, most often: the kernel is at it already, and its answer will be told to the latest of them.
    turn.state.cache.transition(entry, "refresh");
    entry.pending = { ...pending, ...candidate };
  } else if (
    pending === undefined &&
    established !== undefined &&
    fits(turn, established.path, candidate.registration)
  ) {
    turn.state.cache.transition(entry, "refresh");
    establish(turn, entry, candidate, established.path);
  } else {
    program(turn, entry, candidate);
  }
}

function registrationOf(
  request: UpdateRequest,
  ipv4: Ipv4Decision,
): Omit<Registration, "mobileRouter" | "prefixes" | "lifetimeUnits"> {
  const { linkLocalCompatibility } = request.message.flags;
  return {
    careOfAddress: request.careOfAddress,
    endpoint: request.endpoint,
    signalling: request.signalling,
    natDetected: isNatted(request),
    forcedUdp: request.forcedUdp,
    ipv4HomeAddress: ipv4.address,
    linkLocalAddress: linkLocalCompatibility ? linkLocalOf(request.homeAddress) : undefined,
  };
}

/** A first registration, or one after the end of an earlier binding, of which nothing is taken over. */
function startAnew(turn: Turn, entry: BindingEntry, candidate: Candidate): void {
  entry.removal = undefined;
  if (turn.state.site.duplicateAddressDetection) startProbing(turn, entry, candidate);
  else program(turn, entry, candidate);
}

function startProbing(turn: Turn, entry: BindingEntry, candidate: Candidate): void {
  turn.state.cache.transition(entry, "probe");
  const { linkLocalAddress } = candidate.registration;
  const addresses = [entry.homeAddress, ...(linkLocalAddress === undefined ? [] : [linkLocalAddress])];
  const deadline = after(turn.now, TIMERS.duplicateAddressDetection.default);
  entry.pending = { ...candidate, deadline, path: undefined, probing: new Set(addresses) };
  for (const address of addresses) probe(turn, entry, address);
}

/** A newer update while the addresses are being probed: only the link-local one can come or go. */
function continueProbing(turn: Turn, entry: BindingEntry, candidate: Candidate): void {
  const { pending } = entry;
  if (pending === undefined) return;
  const before = pending.registration.linkLocalAddress;
  const wanted = candidate.registration.linkLocalAddress;
  const probing = new Set(pending.probing);
  if (before !== undefined && wanted === undefined) probing.delete(before);
  if (before === undefined && wanted !== undefined) {
    probing.add(wanted);
    probe(turn, entry, wanted);
  }
  entry.pending = { ...pending, ...candidate, probing };
  if (probing.size === 0) program(turn, entry, candidate);
}

function probe(turn: Turn, { homeAddress }: BindingEntry, address: Ipv6Address): void {
  turn.effects.push({ kind: "dad", homeAddress, address });
}

/** The home link has answered for one address (RFC 6275 §10.3.1); an answer that nobody waits for any more is nothing. */
export function dadCompleted(turn: Turn, input: DadCompletedInput): void {
  const entry = turn.state.cache.get(input.homeAddress);
  const pending = entry?.pending;
  if (entry?.state !== "awaiting-dad" || pending === undefined || !pending.probing.has(input.address)) return;
  if (input.conflict) {
    giveUp(turn, entry, { status: BindingStatus.dadFailed, reason: `${input.address} is in use on the home link` });
    return;
  }
  const probing = new Set(pending.probing);
  probing.delete(input.address);
  entry.pending = { ...pending, probing };
  if (probing.size === 0) program(turn, entry, pending);
  turn.state.cache.schedule(entry);
}
