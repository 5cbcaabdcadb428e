/**
 * Whether a binding update is accepted: the checks of RFC 6275 §9.5.1, §10.3.1 and §10.3.2, RFC 3963 §6.2 and RFC 5555 §4.5, in that
 * order. Each check lets the update pass, drops it without an answer, or refuses it with a status. Nothing is changed here.
 */
import {
  type IpAddress,
  type Ipv6Address,
  ipToBytes,
  ipv6FromBytes,
  isEdgeOf,
  isIpv6,
  isRoutableUnicast,
  prefixContains,
} from "../../../base/ip.js";
import { fromMapped } from "../../../base/mapped.js";
import { isAfter, type Seq16 } from "../../../base/seq16.js";
import type { BindingUpdate } from "../../../wire/mip6/messages/mobility-message.js";
import { findOption } from "../../../wire/mip6/options/mobility.js";
import { BindingStatus } from "../../../wire/mip6/registry.js";
import type { Ownership } from "../../ownership/ownership.js";
import type { Arrival, DropReason, Endpoint } from "../inputs.js";
import { isUsableSource, natDetected, payloadEndpoint } from "../nat-detection.js";
import { LIMITS } from "../timers.js";
import { type Reply, replyTo } from "./acknowledgement.js";
import type { BindingEntry } from "./binding-cache.js";
import { decideNetwork, isMobileRouter } from "./mobile-network.js";
import { forceUdpOf, type HomeAgentSite } from "./site.js";
import { isBound, isWaiting } from "./states.js";

/** A binding update with what follows from how it came. */
export interface UpdateRequest {
  readonly arrival: Arrival;
  readonly message: BindingUpdate;
  readonly reply: Reply;
  /** From the Home Address option or the inner source: the kernel shows both in the same place (RFC 6275 §9.5.1, C-10). */
  readonly homeAddress: Ipv6Address;
  /** As the node claims it. */
  readonly careOfAddress: IpAddress;
  /** Where its signalling comes from. */
  readonly signalling: Endpoint;
  /** Where payload is to go. */
  readonly endpoint: Endpoint;
  /** Over IPv4: payload travels in UDP whether there is a NAT or not. */
  readonly forcedUdp: boolean;
  /** Lifetime 0, or the care-of address is the home address (RFC 6275 §9.5.1). */
  readonly deregistration: boolean;
}

export function readUpdate(arrival: Arrival, message: BindingUpdate, site: HomeAgentSite): UpdateRequest {
  const reply = replyTo(arrival, message);
  const shared = { arrival, message, reply, homeAddress: arrival.source };
  if (arrival.path.type === "udp" && reply.source !== undefined) {
    const { address, port, claimed } = reply.source;
    const forcedUdp = message.flags.forceUdp || forceUdpOf(site, arrival.source) === "always";
    return {
      ...shared,
      careOfAddress: claimed ?? address,
      signalling: { format: "udp", address, port },
      endpoint: payloadEndpoint(reply.source, forcedUdp),
      forcedUdp,
      deregistration: message.lifetimeUnits === 0, // an IPv4 link is never home (C-22)
    };
  }
  const wireSource = wireSourceOf(arrival);
  const ipv4 = fromMapped(wireSource);
  if (ipv4 !== undefined) {
    const endpoint = { format: "ipv4", address: ipv4 } as const;
    const deregistration = message.lifetimeUnits === 0;
    return { ...shared, careOfAddress: ipv4, signalling: endpoint, endpoint, forcedUdp: false, deregistration };
  }
  const address = findOption(message.options, "alternate-care-of-address")?.address ?? wireSource;
  return {
    ...shared,
    careOfAddress: address,
    signalling: { format: "ipv6", address: wireSource },
    endpoint: { format: "ipv6", address },
    forcedUdp: false,
    deregistration: message.lifetimeUnits === 0 || address === arrival.source,
  };
}

/** The IPv6 source on the wire. */
function wireSourceOf({ path, source }: Arrival): Ipv6Address {
  return (path.type === "native" ? path.homeAddressOptionCareOf : undefined) ?? source;
}

export type Verdict =
  | { readonly kind: "accept" }
  | { readonly kind: "drop"; readonly reason: DropReason; readonly detail: string }
  | {
      readonly kind: "reject";
      readonly status: number;
      readonly reason: string;
      /** With status 135: the last one accepted. */
      readonly lastSequence?: Seq16;
    };

export interface UpdateContext {
  readonly site: HomeAgentSite;
  readonly ownership: Ownership;
  /** The node's entry, if there is one. */
  readonly entry: BindingEntry | undefined;
  /** Where the payload of another node goes now, and where it is about to go. */
  readonly endpointsOf: (homeAddress: Ipv6Address) => readonly Endpoint[];
  /** The node whose link-local address on the home link this is (L flag). */
  readonly linkLocalOwner: (address: Ipv6Address) => Ipv6Address | undefined;
  /** Of a de-registration just now that found no binding (early-ends.ts). */
  readonly earlyEnd: Seq16 | undefined;
}

const drop = (reason: DropReason, detail: string): Verdict => ({ kind: "drop", reason, detail });
const reject = (status: number, reason: string): Verdict => ({ kind: "reject", status, reason });

interface Check {
  readonly source: string;
  /** "registration" and "deregistration" checks are left out for the other kind. */
  readonly applies: "always" | "registration" | "deregistration";
  readonly judge: (request: UpdateRequest, context: UpdateContext) => Verdict | undefined;
}

/** In the order in which they are made. */
export const UPDATE_CHECKS: readonly Check[] = [
  { source: "RFC 6275 §5.1", applies: "always", judge: checkProtection },
  { source: "RFC 6275 §9.5.1", applies: "always", judge: checkHomeAddress },
  { source: "draft-soliman-v4v6-mipv6-00 §3.3", applies: "always", judge: checkMapped },
  { source: "RFC 6275 §6.1.7", applies: "always", judge: checkCareOf },
  { source: "RFC 6275 §9.5.1", applies: "always", judge: checkSequence },
  { source: "RFC 6275 §9.5.1, RFC 3963 §6.2", applies: "always", judge: checkRegistrationType },
  { source: "RFC 6275 §10.3.2", applies: "deregistration", judge: checkBindingThere },
  { source: "RFC 6275 §10.3.1", applies: "registration", judge: checkServed },
  { source: "RFC 5846", applies: "registration", judge: checkRevocation },
  { source: "RFC 6275 §10.3.1", applies: "registration", judge: checkHomeAddressOption },
  { source: "RFC 6275 §10.3.1", applies: "registration", judge: checkLoop },
  { source: "RFC 6275 §10.3.1, §6.1.7", applies: "registration", judge: checkHostAddress },
  { source: "RFC 6275 §10.3.1", applies: "registration", judge: checkLinkLocal },
  { source: "RFC 3963 §6.2", applies: "registration", judge: checkMobileRouter },
  { source: "RFC 5555 §4.5", applies: "registration", judge: checkForcedUdp },
];

export function judgeUpdate(request: UpdateRequest, context: UpdateContext): Verdict {
  for (const { applies, judge } of UPDATE_CHECKS) {
    if (applies !== "always" && (applies === "deregistration") !== request.deregistration) continue;
    const verdict = judge(request, context);
    if (verdict !== undefined) return verdict;
  }
  return { kind: "accept" };
}

function checkProtection({ arrival }: UpdateRequest): Verdict | undefined {
  return arrival.protection === "esp" ? undefined : drop("unprotected", "binding update without ESP");
}

function checkHomeAddress({ homeAddress }: UpdateRequest): Verdict | undefined {
  return isRoutableUnicast(homeAddress) ? undefined : drop("home-address-mismatch", `home address ${homeAddress}`);
}

/**
 * An IPv4-mapped care-of address is for nodes of the 2004 profile alone, and of two of them the one under ESP must not be another
 * (contradiction C-50).
 */
function checkMapped({ arrival, message, homeAddress }: UpdateRequest, { site }: UpdateContext): Verdict | undefined {
  const wireSource = wireSourceOf(arrival);
  if (fromMapped(wireSource) === undefined) return undefined;
  if (site.subscribers.get(homeAddress)?.ipv4Signalling !== "soliman2004")
    return drop("mapped-source", `${wireSource} from ${homeAddress}, which has not the 2004 profile`);
  const claimed = findOption(message.options, "alternate-care-of-address")?.address ?? wireSource;
  return claimed === wireSource
    ? undefined
    : drop("mapped-source", `${wireSource} from ${homeAddress}, which says that it is at ${claimed}`);
}

/** A care-of address that no packet could be sent to is met with silence, and so is one that is only claimed. */
function checkCareOf({ signalling, reply, careOfAddress }: UpdateRequest): Verdict | undefined {
  const usable =
    reply.source === undefined
      ? isRoutableUnicast(careOfAddress) && isRoutableUnicast(signalling.address)
      : isUsableSource(reply.source);
  return usable ? undefined : drop("care-of-not-unicast", `care-of address ${careOfAddress}`);
}

/**
 * Any number is good without an entry, but for a registration that the node has taken back before it came; while an update is being worked on,
 * its exact copies are not worth an answer.
 */
function checkSequence({ message, deregistration }: UpdateRequest, context: UpdateContext): Verdict | undefined {
  const { entry } = context;
  const lastSequence = entry?.sequence ?? (deregistration ? undefined : context.earlyEnd);
  if (lastSequence === undefined || isAfter(message.sequence, lastSequence)) return undefined;
  if (entry !== undefined && message.sequence === entry.sequence && isWaiting(entry.state)) {
    return drop("duplicate", `sequence number ${message.sequence} is being worked on`);
  }
  return {
    ...{ kind: "reject", status: BindingStatus.sequenceOutOfWindow, reason: "sequence number out of window" },
    lastSequence,
  };
}

function checkRegistrationType({ message }: UpdateRequest, { entry }: UpdateContext): Verdict | undefined {
  const { homeRegistration, mobileRouter } = message.flags;
  if (homeRegistration) {
    const nonces = findOption(message.options, "nonce-indices");
    return nonces === undefined ? undefined : drop("malformed", "nonce indices in a home registration");
  }
  if (entry !== undefined && isBound(entry.state)) {
    return reject(BindingStatus.registrationTypeChange, "the binding is a home registration");
  }
  if (mobileRouter) return reject(BindingStatus.mobileRouterNotPermitted, "R flag without H flag");
  return drop("not-home-registration", "H flag clear: no bindings of correspondent nodes here");
}

function checkBindingThere(_request: UpdateRequest, { entry }: UpdateContext): Verdict | undefined {
  return entry === undefined ? reject(BindingStatus.notHomeAgent, "no binding to remove") : undefined;
}

function checkServed({ homeAddress, message }: UpdateRequest, { site }: UpdateContext): Verdict | undefined {
  const prefixes = site.homePrefixes.filter(({ address }) => isIpv6(address));
  const { mapRegistration, proxyRegistration } = message.flags;
  if (prefixes.length === 0 || mapRegistration || proxyRegistration) {
    return reject(BindingStatus.homeRegistrationNotSupported, "this kind of registration is not offered");
  }
  if (!prefixes.some((prefix) => prefixContains(prefix, homeAddress))) {
    return reject(BindingStatus.notHomeSubnet, "home address outside the home prefixes");
  }
  if (!site.subscribers.has(homeAddress)) return reject(BindingStatus.notHomeAgent, "not a subscriber");
  return undefined;
}

/** What is being ended is not begun again at the same time. */
function checkRevocation(_request: UpdateRequest, { entry }: UpdateContext): Verdict | undefined {
  const subject = entry?.notice?.subject;
  return subject?.kind === "revocation" && !subject.ipv4Only
    ? reject(BindingStatus.administrativelyProhibited, "the binding is being ended by an operator")
    : undefined;
}

/** Away on IPv6 the option is a must; over IPv4 the inner source is the home address itself (C-10). */
function checkHomeAddressOption({ arrival }: UpdateRequest): Verdict | undefined {
  const { path } = arrival;
  if (path.type === "udp" || path.homeAddressOptionCareOf !== undefined) return undefined;
  return drop("home-address-option-missing", "registration of a care-of address without Home Address option");
}

/** A tunnel that ends at this home agent, or in another of its tunnels, would run in circles. */
function checkLoop(request: UpdateRequest, context: UpdateContext): Verdict | undefined {
  for (const one of [request.endpoint, request.signalling]) {
    const { address } = one;
    if (isServedHere(one, context)) return reject(BindingStatus.invalidCareOfAddress, `${address} is served here`);
    if (isBehind(request.homeAddress, one, context))
      return reject(BindingStatus.invalidCareOfAddress, `${address} is behind the node itself`);
  }
  return undefined;
}

/** Whether the endpoint is this home agent itself or somebody's home address, for ever or lent. */
export function isServedHere(
  { address }: Endpoint,
  { site: { addresses }, ownership }: Pick<UpdateContext, "site" | "ownership">,
): boolean {
  const { ipv6, ipv4, ipv4Local } = addresses;
  return [ipv6, ipv4, ipv4Local].includes(address as Ipv6Address) || ownership.nodeAt(address) !== undefined;
}

/**
 * Whether what goes to the endpoint comes by the node itself: it is in the node's own network, or in that of a router that is (visiting
 * another's network is no harm). Too many routers one behind the other count as a circle.
 */
export function isBehind(
  node: Ipv6Address,
  { address }: Endpoint,
  context: Pick<UpdateContext, "ownership" | "endpointsOf">,
  levels: number = LIMITS.nestedNetworks.default,
): boolean {
  const router = context.ownership.routerTo(address);
  if (router === undefined) return false;
  if (router === node || levels === 1) return true;
  return context.endpointsOf(router).some((at) => isBehind(node, at, context, levels - 1));
}

/** fe80::/64 with the interface identifier of the home address (L flag, RFC 6275 §6.1.7). */
export function linkLocalOf(homeAddress: Ipv6Address): Ipv6Address {
  return ipv6FromBytes(Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, ...ipToBytes(homeAddress).subarray(8)));
}

/** The home link has it once, and duplicate address detection would not see that we defend it for another node already. */
function checkLinkLocal({ message, homeAddress }: UpdateRequest, context: UpdateContext): Verdict | undefined {
  if (!message.flags.linkLocalCompatibility) return undefined;
  const address = linkLocalOf(homeAddress);
  const owner = context.linkLocalOwner(address);
  return owner === undefined || owner === homeAddress
    ? undefined
    : reject(BindingStatus.dadFailed, `${address} is that of ${owner} on the home link`);
}

/** Network and broadcast addresses of networks that we know are nobody's; the kernel would refuse a route to them. */
function checkHostAddress({ endpoint }: UpdateRequest, { site }: UpdateContext): Verdict | undefined {
  const { address } = endpoint;
  if (isIpv6(address)) return undefined;
  const isEdge =
    site.isNetworkEdge?.(address) === true || site.homePrefixes.some((prefix) => isEdgeOf(prefix, address));
  return isEdge
    ? reject(BindingStatus.invalidCareOfAddress, `${address} is the network or broadcast address of a network here`)
    : undefined;
}

/** A binding stays that of a host or of a router, whatever R says; a router gets all prefixes that it asks for, or is refused. */
function checkMobileRouter(request: UpdateRequest, context: UpdateContext): Verdict | undefined {
  const { message, homeAddress, careOfAddress, endpoint, signalling } = request;
  const { site, entry } = context;
  const subscriber = site.subscribers.get(homeAddress);
  const isRouter = isMobileRouter(message.flags.mobileRouter, subscriber);
  const present = entry !== undefined && isBound(entry.state) ? (entry.pending ?? entry.established) : undefined;
  if (present !== undefined && present.registration.mobileRouter !== isRouter) {
    const what = isRouter ? "a host" : "a mobile router";
    return reject(BindingStatus.registrationTypeChange, `the binding is that of ${what}`);
  }
  if (!isRouter || subscriber === undefined) return undefined;
  // Whether there is something to lend is seen by lending it.
  const selection = context.ownership.lent.select(homeAddress, [careOfAddress, endpoint.address, signalling.address]);
  const decision = decideNetwork(message, subscriber, selection);
  selection.abandon();
  return decision.kind === "refused" ? reject(decision.status, decision.reason) : undefined;
}

/** Over IPv6 UDP is not to be used (RFC 5555 §4.1, §4.5), so it can't be forced there. */
function checkForcedUdp({ message, reply, homeAddress }: UpdateRequest, { site }: UpdateContext): Verdict | undefined {
  if (!message.flags.forceUdp) return undefined;
  if (reply.source === undefined) return reject(BindingStatus.forcedUdpNotSupported, "UDP can't be forced over IPv6");
  return forceUdpOf(site, homeAddress) !== "refuse"
    ? undefined
    : reject(BindingStatus.forcedUdpNotSupported, "UDP is not forced here");
}

/**
 * Whether the sequence number of an update refused with this status is kept in the entry: all those that passed the tests of RFC 6275
 * §9.5.1, so that a refused update can't be played back later and be accepted.
 */
export function storesSequence(status: number): boolean {
  return status !== BindingStatus.sequenceOutOfWindow && status !== BindingStatus.registrationTypeChange;
}

/** Whether a NAT changed the source of the update. */
export function isNatted({ reply }: UpdateRequest): boolean {
  return reply.source !== undefined && natDetected(reply.source);
}
