/**
 * Whether a registration request is accepted: the checks of RFC 5944 §3.8.2, in that order, those of RFC 3024 and RFC 3519 in tunnel.ts.
 * Each lets the request pass, drops it without an answer, or refuses it with a code. Nothing is changed here.
 */
import { IPV4_ANY, type Ipv4Address, isEdgeOf, isRoutableUnicast } from "../../../base/ip.js";
import {
  findExtension,
  type RegistrationExtension,
  type RegistrationExtensionOf,
} from "../../../wire/mip4/extensions/registration.js";
import { isAuthentication } from "../../../wire/mip4/messages/authenticated-octets.js";
import { ReplyCode } from "../../../wire/mip4/registry.js";
import { type Freshness, freshness, sameIdentification } from "../identification.js";
import type { AuthenticationVerdict, DropReason } from "../inputs.js";
import type { BindingEntry } from "./binding-table.js";
import type { RequestInput } from "./inputs.js";
import { isOurs } from "./reply.js";
import type { ForeignAgentAssociation, HomeAgentSite, HomeSubscriber, SecurityAssociation } from "./site.js";
import type { HomeAgentState } from "./turn.js";

interface Judged<K extends RegistrationExtension["kind"]> {
  readonly extension: RegistrationExtensionOf<K>;
  readonly verdict: AuthenticationVerdict;
}

/** A request taken apart. */
export interface ReadRequest {
  readonly input: RequestInput;
  /** Those in front of the node's authentication, which covers them; what follows is the foreign agent's (RFC 5944 §3.6.1.3). */
  readonly covered: readonly RegistrationExtension[];
  readonly mobileHome: readonly Judged<"mobile-home-authentication">[];
  readonly foreignHome: readonly Judged<"foreign-home-authentication">[];
  /** NAI, as text. */
  readonly identifier: string | undefined;
  readonly deregistration: boolean;
}

export function readRequest(input: RequestInput): ReadRequest {
  const { extensions, lifetimeSeconds } = input.request;
  const verdicts = input.verdicts[Symbol.iterator]();
  const mobileHome: Judged<"mobile-home-authentication">[] = [];
  const foreignHome: Judged<"foreign-home-authentication">[] = [];
  for (const extension of extensions.filter(isAuthentication)) {
    const verdict = verdicts.next().value ?? "no-association";
    if (extension.kind === "mobile-home-authentication") mobileHome.push({ extension, verdict });
    if (extension.kind === "foreign-home-authentication") foreignHome.push({ extension, verdict });
  }
  const covered = coveredOf(extensions);
  const identifier = identifierIn(covered);
  return { input, covered, mobileHome, foreignHome, identifier, deregistration: lifetimeSeconds === 0 };
}

const identifierIn = (covered: readonly RegistrationExtension[]): string | undefined =>
  textOf(findExtension(covered, "network-access-identifier")?.identifier);

/** What stands in front of the node's authentication. */
function coveredOf(extensions: readonly RegistrationExtension[]): readonly RegistrationExtension[] {
  const end = extensions.findIndex(({ kind }) => kind === "mobile-home-authentication");
  return extensions.slice(0, Math.max(0, end));
}

/** NAI of the node that the request says it is from. */
export const identifierOf = ({ extensions }: RequestInput["request"]): string | undefined =>
  identifierIn(coveredOf(extensions));

/** Undefined too for octets that are no UTF-8: nobody's name. */
function textOf(octets: Uint8Array | undefined): string | undefined {
  try {
    return octets === undefined ? undefined : new TextDecoder("utf-8", { fatal: true }).decode(octets);
  } catch {
    return undefined;
  }
}

/** Who sent the request, by its authentication. */
export interface Sender {
  readonly subscriber: HomeSubscriber;
  readonly association: SecurityAssociation;
  /** The foreign agent that sent it, if we have an association with it. */
  readonly foreignAgent: ForeignAgentAssociation | undefined;
}

export type SenderVerdict =
  | { readonly kind: "drop"; readonly reason: DropReason; readonly detail: string }
  /** It says that it is this node, and the authenticator is wrong; a foreign agent vouches for having got it from somebody. */
  | { readonly kind: "impostor"; readonly sender: Sender }
  | { readonly kind: "authentic"; readonly sender: Sender };

/**
 * RFC 5944 §3.8.2.1 a. Without an association, without the extension or with two of them nobody is told anything. A wrong authenticator is
 * answered (131) only where the RFC demands it: for a foreign agent that is authentic itself.
 */
export function judgeSender(read: ReadRequest, state: HomeAgentState): SenderVerdict {
  const { arrival, request } = read.input;
  const drop = (reason: DropReason, detail: string): SenderVerdict => ({ kind: "drop", reason, detail });
  if (!isRoutableUnicast(arrival.source) || arrival.sourcePort === 0)
    return drop("wrong-source", `from ${arrival.source}:${arrival.sourcePort}`);
  if (!isOurs(state.site, arrival.destination) && !isBroadcast(arrival.destination, state.site))
    return drop("wrong-destination", `sent to ${arrival.destination}`);
  const [authentication, second] = read.mobileHome;
  const who = `${read.identifier ?? request.homeAddress} at ${arrival.source}`;
  if (authentication === undefined) return drop("unauthenticated", `no Mobile-Home authentication: ${who}`);
  if (second !== undefined) return drop("malformed", `two Mobile-Home authentications: ${who}`);
  const subscriber = state.subscriberFor(request.homeAddress, read.identifier);
  if (subscriber === undefined) return drop("not-a-subscriber", who);
  const { spi } = authentication.extension;
  const association = subscriber.associations.find((one) => one.spi === spi);
  const foreignAgent = state.site.foreignAgents?.find(({ address }) => address === arrival.source);
  if (association !== undefined && authentication.verdict === "valid")
    return { kind: "authentic", sender: { subscriber, association, foreignAgent } };
  const vouched = foreignAgent !== undefined && judgeForeignAgent(read, foreignAgent) === undefined;
  const [known = undefined] = association === undefined ? subscriber.associations : [association];
  if (authentication.verdict === "invalid" && vouched && known !== undefined && read.foreignHome.length === 1)
    return { kind: "impostor", sender: { subscriber, association: known, foreignAgent } };
  return authentication.verdict === "invalid"
    ? drop("authentication-failed", `SPI ${spi}: ${who}`)
    : drop("unauthenticated", `no security association ${spi}: ${who}`);
}

/** 255.255.255.255, or the broadcast or network address of a network here (RFC 5944 §3.8.2.1). */
function isBroadcast(destination: Ipv4Address, { homePrefixes, isNetworkEdge }: HomeAgentSite): boolean {
  if (destination === "255.255.255.255" || isNetworkEdge?.(destination) === true) return true;
  return homePrefixes.some((prefix) => isEdgeOf(prefix, destination));
}

/** What is wrong with the foreign agent's authentication, where there has to be one (RFC 5944 §3.8.2.1 c). */
function judgeForeignAgent(read: ReadRequest, { spi }: ForeignAgentAssociation): string | undefined {
  if (read.deregistration) return undefined;
  const [found, second] = read.foreignHome;
  if (found === undefined) return "no Foreign-Home authentication";
  if (second !== undefined) return "more than one Foreign-Home authentication";
  return found.extension.spi === spi && found.verdict === "valid" ? undefined : "wrong Foreign-Home authentication";
}

/** Whether the request is the one that is accepted already, or being worked on: then it is answered, and extends nothing. */
export function isDuplicate(read: ReadRequest, entry: BindingEntry | undefined): "accepted" | "pending" | undefined {
  if (read.deregistration) return undefined;
  const { identification, careOfAddress } = read.input.request;
  const same = (one: {
    readonly registration: Pick<
      NonNullable<BindingEntry["pending"]>["registration"],
      "identification" | "careOfAddress"
    >;
  }): boolean =>
    sameIdentification(one.registration.identification, identification) &&
    one.registration.careOfAddress === careOfAddress;
  if (entry?.pending !== undefined && same(entry.pending)) return "pending";
  return entry?.established !== undefined && same(entry.established) ? "accepted" : undefined;
}

export function judgeFreshness(
  read: ReadRequest,
  { subscriber, association }: Sender,
  state: HomeAgentState,
): Freshness {
  const { request, timeOfDay } = read.input;
  const replay = state.replay.get(subscriber.node) ?? {};
  return freshness(request.identification, replay, association.replayProtection, timeOfDay);
}

export type Verdict =
  | { readonly kind: "accept" }
  | { readonly kind: "drop"; readonly reason: DropReason; readonly detail: string }
  | { readonly kind: "reject"; readonly code: number; readonly reason: string };

const reject = (code: number, reason: string): Verdict => ({ kind: "reject", code, reason });

interface Check {
  readonly source: string;
  /** Left out for a de-registration. */
  readonly registrationOnly?: true;
  readonly judge: (read: ReadRequest, sender: Sender, state: HomeAgentState) => Verdict | undefined;
}

/** Of a request that is authentic and fresh, in the order in which they are made. */
export const REQUEST_CHECKS: readonly Check[] = [
  { source: "RFC 5944 §3.8.2.1 c, d", judge: checkForeignAgent },
  { source: "RFC 5944 §3.8.2.1, §3.8.3.2", judge: checkHomeAgent },
  { source: "RFC 5944 §3.8.2.3", judge: checkReserved },
  { source: "RFC 5944 §3.8.3.2", judge: checkHomeAddress },
  { source: "RFC 5944 §3.3", registrationOnly: true, judge: checkCareOf },
];

export function judgeRequest(read: ReadRequest, sender: Sender, state: HomeAgentState): Verdict {
  for (const { registrationOnly, judge } of REQUEST_CHECKS) {
    if (registrationOnly === true && read.deregistration) continue;
    const verdict = judge(read, sender, state);
    if (verdict !== undefined) return verdict;
  }
  return { kind: "accept" };
}

function checkForeignAgent(read: ReadRequest, { foreignAgent }: Sender): Verdict | undefined {
  const { source } = read.input.arrival;
  if (foreignAgent !== undefined) {
    const fault = judgeForeignAgent(read, foreignAgent);
    return fault === undefined ? undefined : reject(ReplyCode.foreignAgentAuthentication, `${fault}: ${source}`);
  }
  return read.foreignHome.length === 0
    ? undefined
    : { kind: "drop", reason: "foreign-agent-unknown", detail: `Foreign-Home authentication of ${source}` };
}

/** Whatever address the node used, it learns the right one from the answer. */
function checkHomeAgent(
  { input: { arrival, request } }: ReadRequest,
  _: Sender,
  { site }: HomeAgentState,
): Verdict | undefined {
  if (!isOurs(site, arrival.destination))
    return reject(ReplyCode.unknownHomeAgent, `sent to the broadcast address ${arrival.destination}`);
  return request.homeAgent === site.address
    ? undefined
    : reject(ReplyCode.unknownHomeAgent, `home agent ${request.homeAgent} is not ${site.address}`);
}

function checkReserved({ input: { request } }: ReadRequest, _: Sender, { site }: HomeAgentState): Verdict | undefined {
  return site.strictReservedBits === true && request.flags.reserved
    ? reject(ReplyCode.poorlyFormedRequest, "the reserved bit x is set")
    : undefined;
}

/** Its own, the one it has or had last, or, for 0.0.0.0, any; which one is found later. */
function checkHomeAddress(
  { input }: ReadRequest,
  { subscriber }: Sender,
  { ownership, site }: HomeAgentState,
): Verdict | undefined {
  const { arrival, request } = input;
  const { homeAddress } = request;
  if (homeAddress !== IPV4_ANY) {
    return ownership.ipv4.mayUse(
      subscriber.node,
      homeAddress,
      whereabouts(arrival.source, request.careOfAddress, homeAddress),
    )
      ? undefined
      : reject(ReplyCode.administrativelyProhibited, `${homeAddress} is not the home address of this node`);
  }
  if (ownership.ipv4.addressOf(subscriber.node) !== undefined) return undefined;
  if (request.lifetimeSeconds === 0) return reject(ReplyCode.unspecified, "no home address to de-register");
  if (site.ipv4LeaseSeconds === undefined)
    return reject(ReplyCode.administrativelyProhibited, "no home addresses are lent here");
  const found = ownership.ipv4.candidateFor(subscriber.node, [arrival.source, request.careOfAddress]);
  return found === undefined ? reject(ReplyCode.insufficientResources, "no home address is free") : undefined;
}

/** Where the node says that it is, but for its home. */
const whereabouts = (...[source, careOf, homeAddress]: readonly Ipv4Address[]): readonly Ipv4Address[] =>
  [source, careOf].filter((one) => one !== undefined && one !== homeAddress) as readonly Ipv4Address[];

/** A tunnel that ends here, at somebody's home address or behind the node itself would run in circles. */
function checkCareOf(
  { input }: ReadRequest,
  { subscriber }: Sender,
  { site, ownership }: HomeAgentState,
): Verdict | undefined {
  const { careOfAddress, homeAddress } = input.request;
  if (!isRoutableUnicast(careOfAddress))
    return reject(ReplyCode.poorlyFormedRequest, `care-of address ${careOfAddress}`);
  for (const address of [careOfAddress, input.arrival.source]) {
    // A home address that was lent before is nobody's until it is lent again.
    if (isOurs(site, address) || address === homeAddress || ownership.nodeAt(address) !== undefined)
      return reject(ReplyCode.administrativelyProhibited, `${address} is served here`);
    if (ownership.routerTo(address) === subscriber.node)
      return reject(ReplyCode.administrativelyProhibited, `${address} is behind the node itself`);
  }
  return isBroadcast(careOfAddress, site)
    ? reject(
        ReplyCode.administrativelyProhibited,
        `${careOfAddress} is the network or broadcast address of a network here`,
      )
    : undefined;
}
