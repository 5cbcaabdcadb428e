/**
 * Whether a registration request is relayed: the checks of RFC 5944 §3.7.2, RFC 3024 §4.2.1 and RFC 4721 §3.2. Each lets the request pass,
 * drops it without an answer, or refuses it with a code. Nothing is changed here.
 */
import { toHex } from "../../../base/bytes.js";
import { IPV4_ANY, type Ipv4Address, ipv4, isEdgeOf, isRoutableUnicast, maskAddress } from "../../../base/ip.js";
import { findExtension } from "../../../wire/mip4/extensions/registration.js";
import { isAuthentication } from "../../../wire/mip4/messages/authenticated-octets.js";
import type { RegistrationRequest } from "../../../wire/mip4/messages/control-message.js";
import { INFINITE_LIFETIME_SECONDS } from "../../../wire/mip4/messages/registration.js";
import { ReplyCode } from "../../../wire/mip4/registry.js";
import type { AuthenticationVerdict } from "../inputs.js";
import type { Challenges } from "./challenges.js";
import type { ForeignAgentDropReason, ReceivedRegistration, VisitorRequestInput } from "./inputs.js";
import { type ForeignAgentSite, isOwnAddress, type MobileNodeAssociation, type VisitedLink } from "./site.js";
import { LIMITS } from "./timers.js";
import { type VisitorList, visitorKey } from "./visitors.js";

/** To all mobility agents of a link (RFC 5944 §2.3), and to all hosts. */
const ALL_AGENTS = ipv4("224.0.0.11");
const BROADCAST = ipv4("255.255.255.255");
/** Of a request to our own address: it has crossed no router (RFC 3024 §3.2); to the group it is 1 (C-31). */
const NEIGHBOUR_TTL = 255;
const GROUP_TTL = 1;

/** A request taken apart. */
export interface ReadRequest {
  readonly input: VisitorRequestInput;
  readonly request: RegistrationRequest;
  readonly link: VisitedLink;
  /** Octets up to the node's authentication for its home agent, which travel as they came. */
  readonly relayed: Uint8Array;
  readonly mobileForeign: readonly { readonly spi: number; readonly verdict: AuthenticationVerdict }[];
  /** NAI, in hexadecimal. */
  readonly identifier: string | undefined;
  readonly challenge: Uint8Array | undefined;
}

/** Where what the home agent is to see as it is ends: behind the last extension that authorizes it; undefined: there is none. */
export function endOfAuthorized({ spans }: ReceivedRegistration["located"]): number | undefined {
  return spans.findLast(
    ({ extension: { kind } }) => kind === "mobile-home-authentication" || kind === "mobile-aaa-authentication",
  )?.end;
}

/** The verdicts on authentication extensions of one kind. */
export function verdictsOn(
  { located: { spans }, verdicts }: ReceivedRegistration,
  kind: "mobile-foreign-authentication" | "foreign-home-authentication",
): readonly { readonly spi: number; readonly verdict: AuthenticationVerdict }[] {
  const found = spans.flatMap(({ extension }) => (isAuthentication(extension) ? [extension] : []));
  return found.flatMap((extension, i) =>
    extension.kind === kind ? [{ spi: extension.spi, verdict: verdicts[i] ?? "no-association" }] : [],
  );
}

export type ReadVerdict =
  | { readonly kind: "drop"; readonly reason: ForeignAgentDropReason; readonly detail: string }
  | { readonly kind: "read"; readonly read: ReadRequest };

/** Whether it is a request that somebody on a link of ours has sent to us. */
export function readRequest(input: VisitorRequestInput, site: ForeignAgentSite): ReadVerdict {
  const drop = (reason: ForeignAgentDropReason, detail: string): ReadVerdict => ({ kind: "drop", reason, detail });
  const { device, source, sourcePort, destination, located, octets } = input;
  const { message } = located;
  const link = site.links.find((one) => one.device === device);
  if (link === undefined) return drop("wrong-destination", `no visited link: ${device}`);
  if (!isForUs(site, link, destination)) return drop("wrong-destination", `sent to ${destination}`);
  if (sourcePort === 0 || !isSource(site, source)) return drop("wrong-source", `from ${source}:${sourcePort}`);
  if (message.type !== "registration-request") return drop("unexpected-type", `${message.type} from ${source}`);
  if (site.challenge && isBareChallenge(input))
    return drop("unauthenticated", `nothing covers the challenge of ${source}`);
  const end = endOfAuthorized(located);
  const identifier = findExtension(message.extensions, "network-access-identifier")?.identifier;
  return {
    kind: "read",
    read: {
      ...{ input, request: message, link },
      relayed: octets.subarray(0, end ?? octets.length),
      mobileForeign: verdictsOn(input, "mobile-foreign-authentication"),
      identifier: identifier === undefined ? undefined : toHex(identifier),
      challenge: findExtension(message.extensions, "mobile-foreign-challenge")?.challenge,
    },
  };
}

/** Neither we nor somebody's AAA could tell who has answered it: silently discarded, whatever it asks for (RFC 4721 §3.2). */
function isBareChallenge({ located: { spans } }: ReceivedRegistration): boolean {
  const challenge = spans.findIndex(({ extension: { kind } }) => kind === "mobile-foreign-challenge");
  const covers = ({ extension: { kind } }: (typeof spans)[number]): boolean =>
    kind === "mobile-foreign-authentication" || kind === "mobile-aaa-authentication";
  return challenge >= 0 && !spans.slice(challenge + 1).some(covers);
}

function isForUs(site: ForeignAgentSite, { address, prefixLength }: VisitedLink, destination: Ipv4Address): boolean {
  if (destination === ALL_AGENTS || destination === BROADCAST || isOwnAddress(site, destination)) return true;
  return isEdgeOf({ address: maskAddress(address, prefixLength), length: prefixLength }, destination);
}

/** A home address, one on the link, or none (0.0.0.0). */
const isSource = (site: ForeignAgentSite, source: Ipv4Address): boolean =>
  source === IPV4_ANY || (isRoutableUnicast(source) && !isOwnAddress(site, source));

export interface Refusal {
  readonly code: number;
  readonly reason: string;
}

/** Undefined: it is relayed. */
export function judgeRequest(
  read: ReadRequest,
  site: ForeignAgentSite,
  list: VisitorList,
  challenges: Challenges,
): Refusal | undefined {
  return (
    judgeForm(read, site) ??
    judgeAuthentication(read, site) ??
    judgeAddresses(read, site) ??
    judgeTunnel(read, site) ??
    judgeChallenge(read, site, list, challenges) ??
    judgeRivals(registrantOf(read), { site, list }) ??
    judgeRoom(read, site, list)
  );
}

const refuse = (code: number, reason: string): Refusal => ({ code, reason });

/** RFC 5944 §3.7.2.1: reserved bits; §3.3: at least one extension authorizes. */
function judgeForm({ request, relayed, input }: ReadRequest, site: ForeignAgentSite): Refusal | undefined {
  if (site.strictReservedBits && request.flags.reserved)
    return refuse(ReplyCode.agentPoorlyFormedRequest, "a reserved bit is set");
  if (endOfAuthorized(input.located) === undefined || relayed.length === 0)
    return refuse(ReplyCode.agentPoorlyFormedRequest, "no authentication for the home agent");
  return undefined;
}

/** Who is asked for by name is found by name, and by the home address that it may have. */
export function associationWithNode(
  { mobileNodes }: ForeignAgentSite,
  homeAddress: Ipv4Address,
  identifier: string | undefined,
): MobileNodeAssociation | undefined {
  return mobileNodes.find(({ node }) => node === homeAddress || node === identifier);
}

const isForAaa = ({ located: { spans } }: ReceivedRegistration): boolean =>
  spans.some(({ extension: { kind } }) => kind === "mobile-aaa-authentication");

function judgeAuthentication(
  { request, input, mobileForeign, identifier }: ReadRequest,
  site: ForeignAgentSite,
): Refusal | undefined {
  const association = associationWithNode(site, request.homeAddress, identifier);
  const [found, second] = mobileForeign;
  const failed = (reason: string): Refusal => refuse(ReplyCode.agentMobileNodeAuthentication, reason);
  if (association === undefined) {
    const isOursToCheck = site.challenge && found !== undefined && !isForAaa(input);
    return isOursToCheck ? failed("Mobile-Foreign authentication under no key of ours") : undefined;
  }
  if (found === undefined) return failed("no Mobile-Foreign authentication");
  if (second !== undefined) return failed("more than one Mobile-Foreign authentication");
  if (found.spi !== association.spi || found.verdict !== "valid") return failed("wrong Mobile-Foreign authentication");
  return undefined;
}

function judgeAddresses({ request, identifier }: ReadRequest, site: ForeignAgentSite): Refusal | undefined {
  const { homeAddress, homeAgent, careOfAddress, lifetimeSeconds, flags } = request;
  if (!isRoutableUnicast(homeAgent) || isOwnAddress(site, homeAgent))
    return refuse(ReplyCode.invalidHomeAgentAddress, `home agent ${homeAgent}`);
  if (homeAddress === IPV4_ANY && identifier === undefined)
    return refuse(ReplyCode.missingIdentifier, "neither a home address nor a NAI");
  if (homeAddress !== IPV4_ANY && (!isRoutableUnicast(homeAddress) || isOwnAddress(site, homeAddress)))
    return refuse(ReplyCode.agentProhibited, `home address ${homeAddress}`);
  const { registrationLifetimeSeconds: most } = site;
  if (most !== INFINITE_LIFETIME_SECONDS && lifetimeSeconds > most)
    return refuse(ReplyCode.agentLifetimeTooLong, `${lifetimeSeconds} s, ${most} at most`);
  if (lifetimeSeconds === 0) return undefined;
  const isOurs = careOfAddress === site.careOfAddress;
  if (!flags.decapsulatesItself && !isOurs)
    return refuse(ReplyCode.agentInvalidCareOfAddress, `care-of address ${careOfAddress}`);
  if (flags.decapsulatesItself && (!isRoutableUnicast(careOfAddress) || isOwnAddress(site, careOfAddress)))
    return refuse(ReplyCode.agentInvalidCareOfAddress, `care-of address ${careOfAddress} is no node's own`);
  return undefined;
}

/** RFC 3024 §4.2.1. Who decapsulates itself does both by itself. */
function judgeTunnel({ request, input }: ReadRequest, site: ForeignAgentSite): Refusal | undefined {
  const { flags, lifetimeSeconds } = request;
  if (lifetimeSeconds === 0) return undefined;
  if (!flags.decapsulatesItself && (flags.minimalEncapsulation || (flags.gre && !site.gre)))
    return refuse(ReplyCode.agentEncapsulationUnavailable, flags.gre ? "GRE" : "minimal encapsulation");
  if (request.extensions.some(({ kind }) => kind === "encapsulating-delivery"))
    return refuse(ReplyCode.agentDeliveryStyleUnavailable, "encapsulating delivery style");
  if (!flags.reverseTunnelling && site.reverseTunnelling === "required")
    return refuse(ReplyCode.agentReverseTunnelMandatory, "without T");
  if (!flags.reverseTunnelling) return undefined;
  if (input.timeToLive < NEIGHBOUR_TTL && !(input.destination === ALL_AGENTS && input.timeToLive === GROUP_TTL))
    return refuse(ReplyCode.agentTooDistant, `TTL ${input.timeToLive}`);
  if (site.reverseTunnelling === "refused") return refuse(ReplyCode.agentReverseTunnelUnavailable, "T");
  return undefined;
}

/** Who is authentic for us needs none; a request that is sent again may use it again. */
function judgeChallenge(
  { request, input, challenge, identifier }: ReadRequest,
  site: ForeignAgentSite,
  list: VisitorList,
  challenges: Challenges,
): Refusal | undefined {
  if (!site.challenge || request.lifetimeSeconds === 0) return undefined;
  if (challenge === undefined && associationWithNode(site, request.homeAddress, identifier) !== undefined)
    return undefined;
  const code = challenges.judge(input.linkAddress, challenge);
  if (code === undefined || (code === ReplyCode.staleChallenge && isSentAgain(input, list, challenge)))
    return undefined;
  return refuse(code, "challenge");
}

function isSentAgain(
  { linkAddress, located }: VisitorRequestInput,
  list: VisitorList,
  challenge: Uint8Array | undefined,
): boolean {
  const { message } = located;
  if (message.type !== "registration-request" || challenge === undefined) return false;
  for (const { returnAddress, homeAddress, homeAgent, challenge: used } of list.pendingRequests())
    if (returnAddress.linkAddress === linkAddress && used === toHex(challenge))
      if (homeAddress === message.homeAddress && homeAgent === message.homeAgent) return true;
  return false;
}

/** Who wants to be a visitor, and from where. */
interface Registrant extends Pick<RegistrationRequest, "homeAddress" | "homeAgent" | "lifetimeSeconds"> {
  readonly identifier: string | undefined;
  readonly returnAddress: { readonly linkAddress: string };
}

const registrantOf = ({ request, input: { linkAddress }, identifier }: ReadRequest): Registrant => ({
  ...request,
  identifier,
  returnAddress: { linkAddress },
});

/**
 * Of a node that is registered with another home agent. Anybody can have its link-layer address and home address and a home agent that says
 * yes, and a visitor's registration is its home agent's and its own to change (RFC 5944 §3.7.2): without a key between it and us it first
 * has to de-register there, or its time to end.
 */
export function judgeRivals(
  { homeAddress, homeAgent, lifetimeSeconds, identifier, returnAddress: { linkAddress } }: Registrant,
  { site, list }: { readonly site: ForeignAgentSite; readonly list: VisitorList },
): Refusal | undefined {
  if (lifetimeSeconds === 0 || associationWithNode(site, homeAddress, identifier) !== undefined) return undefined;
  const [rival] = list.rivals(homeAddress, linkAddress, visitorKey(homeAddress, homeAgent));
  const there = (rival?.next ?? rival)?.visit?.path.homeAgent;
  return rival === undefined
    ? undefined
    : refuse(ReplyCode.agentProhibited, `${homeAddress} is registered with home agent ${there}`);
}

function judgeRoom({ request, input }: ReadRequest, site: ForeignAgentSite, list: VisitorList): Refusal | undefined {
  const { homeAddress, homeAgent, lifetimeSeconds } = request;
  const isNew = list.get(visitorKey(homeAddress, homeAgent)) === undefined;
  if (isNew && lifetimeSeconds > 0 && list.size >= site.mostVisitors)
    return refuse(ReplyCode.agentInsufficientResources, `${list.size} visitors`);
  if (list.pendingSize >= LIMITS.pending || list.pendingOf(input.linkAddress) >= LIMITS.pendingOfOne)
    return refuse(ReplyCode.agentInsufficientResources, "too many requests wait for their home agents");
  return undefined;
}
