/** What a registration reply says: whether it is to be believed (RFC 5944 §3.6.2.1), and what of the request was granted. */
import { formatPrefix, IPV4_ANY, type Ipv6Address, isRoutableUnicast } from "../../../base/ip.js";
import { findExtension, findExtensions } from "../../../wire/mip4/extensions/registration.js";
import { type AuthenticationKind, isAuthentication } from "../../../wire/mip4/messages/authenticated-octets.js";
import type { RegistrationReply, RegistrationRequest } from "../../../wire/mip4/messages/control-message.js";
import {
  LINK_LOCAL_PREFIX_LENGTH,
  PrefixCode,
  prefixAccepted,
  ReplyCode,
  registrationAccepted,
  udpTunnelAccepted,
} from "../../../wire/mip4/registry.js";
import type { AuthenticationVerdict, PrefixMode, RegisteredPrefix } from "../inputs.js";
import type { ReplyDropReason, RequestEffect } from "./inputs.js";
import { foreignSpi, type MobileNodeSite } from "./site.js";

export type ReplyVerdict =
  | { readonly kind: "believed"; readonly from: "home-agent" | "foreign-agent" }
  | { readonly kind: "drop"; readonly reason: ReplyDropReason; readonly detail: string };

/** Codes that a foreign agent answers with of its own; nobody signs them (RFC 5944 §3.4). 194 is one, and not of the others' range. */
const isForeignAgents = (code: number, asked: "agent" | "home-agent"): boolean =>
  (code >= 64 && code < 128) || (code === ReplyCode.invalidHomeAgentAddress && asked === "agent");

/** `sent`: the latest request, which alone can be answered. */
export function judgeReply(
  reply: RegistrationReply,
  source: string,
  verdicts: readonly AuthenticationVerdict[],
  sent: RequestEffect | undefined,
  site: Pick<MobileNodeSite, "foreignAssociations"> = {},
): ReplyVerdict {
  const drop = (reason: ReplyDropReason, detail: string): ReplyVerdict => ({ kind: "drop", reason, detail });
  if (sent === undefined) return drop("no-outstanding-request", `code ${reply.code} from ${source}`);
  const { request, destination } = sent;
  // Home agents that were asked at the broadcast address of their subnet answer as themselves, and refuse (RFC 5944 §3.8.2.1).
  const isOneOfMany = destination === request.homeAgent && reply.code === ReplyCode.unknownHomeAgent;
  if (source !== destination && !isOneOfMany) return drop("wrong-source", `${source}, not ${destination}`);
  if (reply.identification.low !== request.identification.low)
    return drop("identification-mismatch", `reply of ${source} to another request`);
  if (request.homeAddress !== IPV4_ANY && reply.homeAddress !== request.homeAddress)
    return drop("home-address-mismatch", `${reply.homeAddress}, not ${request.homeAddress}`);
  const authentications = reply.extensions.filter(isAuthentication);
  const verdictsOf = (wanted: AuthenticationKind): readonly (AuthenticationVerdict | undefined)[] =>
    authentications.flatMap(({ kind }, i) => (kind === wanted ? [verdicts[i]] : []));
  if (foreignSpi(site, destination) !== undefined) {
    const agents = verdictsOf("mobile-foreign-authentication");
    if (agents.length !== 1) return drop("unauthenticated", `${agents.length} Mobile-Foreign authentications`);
    if (agents[0] !== "valid") return drop("authentication-failed", `reply of the foreign agent ${source}`);
  }
  const asked = destination === request.homeAgent ? "home-agent" : "agent";
  if (isForeignAgents(reply.code, asked)) return { kind: "believed", from: "foreign-agent" };
  const own = verdictsOf("mobile-home-authentication");
  if (own.length !== 1) return drop("unauthenticated", `${own.length} Mobile-Home authentications`);
  if (own[0] !== "valid") return drop("authentication-failed", `reply of ${source}, code ${reply.code}`);
  if (registrationAccepted(reply.code)) {
    if (reply.homeAgent !== request.homeAgent) return drop("malformed", `accepted by ${reply.homeAgent}`);
    if (!isRoutableUnicast(reply.homeAddress)) return drop("malformed", `home address ${reply.homeAddress}`);
  }
  return { kind: "believed", from: "home-agent" };
}

export interface GrantedIpv6 {
  readonly prefixes: readonly RegisteredPrefix[];
  readonly linkLocalAddress: Ipv6Address | undefined;
  /** It was asked for prefixes and says nothing of any: it knows nothing of IPv6 (RFC 5454 §3.5). */
  readonly unsupported: boolean;
  /** As text: refused, or not answered. */
  readonly refused: readonly string[];
}

/** Each request by the reply that matches it; replies that match none are ignored (RFC 5454 §3.5). */
export function grantedIpv6({ extensions, flags }: RegistrationRequest, reply: RegistrationReply): GrantedIpv6 {
  const requests = findExtensions(extensions, "ipv6-prefix-request");
  const replies = findExtensions(covered(reply), "ipv6-prefix-reply");
  const prefixes: RegisteredPrefix[] = [];
  const refused: string[] = [];
  let linkLocalAddress: Ipv6Address | undefined;
  for (const { prefix: address, prefixLength: length } of requests) {
    const found = replies.find((one) => one.prefix === address && one.prefixLength === length);
    const isAccepted = registrationAccepted(reply.code) && found !== undefined && prefixAccepted(found.code);
    if (!isAccepted) refused.push(formatPrefix({ address, length }));
    else if (length === LINK_LOCAL_PREFIX_LENGTH) linkLocalAddress = address;
    else prefixes.push({ prefix: { address, length }, mode: modeOf(found.code, flags.decapsulatesItself) });
  }
  return { prefixes, linkLocalAddress, unsupported: requests.length > 0 && replies.length === 0, refused };
}

/** To a care-of address only if that is the node's own (RFC 5454 §3.5). */
const modeOf = (code: number, coLocated: boolean): PrefixMode =>
  code === PrefixCode.acceptedCareOfAddress && coLocated ? "care-of-address" : "home-address";

/** In front of the home agent's authentication. */
function covered({ extensions }: RegistrationReply) {
  const end = extensions.findIndex(({ kind }) => kind === "mobile-home-authentication");
  return extensions.slice(0, Math.max(0, end));
}

/** After how much silence a keepalive is due; undefined: payload is not in UDP. What was not asked for is not done. */
export function keepaliveOf(request: RegistrationRequest, reply: RegistrationReply, own: number): number | undefined {
  const asked = findExtension(request.extensions, "udp-tunnel-request");
  const answer = findExtension(covered(reply), "udp-tunnel-reply");
  if (asked === undefined || answer === undefined || !udpTunnelAccepted(answer.code)) return undefined;
  return answer.keepaliveSeconds === 0 ? own : answer.keepaliveSeconds;
}
