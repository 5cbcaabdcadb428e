/**
 * Which IPv6 prefixes a request registers, and what each of its prefix requests is answered (RFC 5454 §3.3, §3.7). The answers never
 * change the code of the reply: IPv4 is served whatever becomes of IPv6.
 */
import {
  formatPrefix,
  type Ipv6Address,
  ipToBytes,
  isIpv6,
  isRoutableUnicast,
  type Prefix,
  samePrefix,
} from "../../../base/ip.js";
import {
  findExtension,
  findExtensions,
  type RegistrationExtension,
  type RegistrationExtensionOf,
} from "../../../wire/mip4/extensions/registration.js";
import { LINK_LOCAL_PREFIX_LENGTH, PrefixCode } from "../../../wire/mip4/registry.js";
import type { LentNetworks } from "../../ownership/lent-networks.js";
import type { NodeName, PrefixMode, RegisteredPrefix } from "../inputs.js";
import { LIMITS } from "../timers.js";
import type { HomeAgentSite, HomeSubscriber } from "./site.js";

type PrefixRequest = RegistrationExtensionOf<"ipv6-prefix-request">;

export interface PrefixDecision {
  readonly registered: readonly RegisteredPrefix[];
  readonly linkLocalAddress: Ipv6Address | undefined;
  /** One for each prefix that was asked for, in the order of the requests. */
  readonly replies: readonly RegistrationExtension[];
}

/** What is whose at the moment. */
export interface Holders {
  readonly lent: LentNetworks;
  linkLocalHolder(address: Ipv6Address): NodeName | undefined;
}

/** `covered`: the extensions that the node's authentication covers. What is granted out of the pool is lent from now on. */
export function decidePrefixes(
  covered: readonly RegistrationExtension[],
  coLocated: boolean,
  subscriber: HomeSubscriber,
  site: HomeAgentSite,
  { lent, linkLocalHolder }: Holders,
): PrefixDecision {
  const requests = distinct(findExtensions(covered, "ipv6-prefix-request").slice(0, LIMITS.prefixRequests));
  const own = (subscriber.prefixes ?? []).filter(({ address }) => isIpv6(address));
  const { prefixRegistration = "either" } = subscriber;
  if (requests.length === 0) {
    const implicit = prefixRegistration === "explicit" ? [] : own;
    const registered = implicit.map((prefix) => ({ prefix, mode: "home-address" as const }));
    return { registered, linkLocalAddress: undefined, replies: [] };
  }
  // With a foreign agent's care-of address the packets would end there (V4-4.5-12).
  const toCareOf = coLocated && site.careOfMode && findExtension(covered, "ipv6-tunnelling-mode") !== undefined;
  const mode: PrefixMode = toCareOf ? "care-of-address" : "home-address";
  const registered: RegisteredPrefix[] = [];
  let linkLocalAddress: Ipv6Address | undefined;
  const replies = requests.map((request) => {
    const { prefixLength, prefix: address } = request;
    let code: number;
    if (prefixLength === LINK_LOCAL_PREFIX_LENGTH) {
      const free = linkLocalAddress === undefined && !isOfHomeAgent(address, site);
      const isHeld = ![undefined, subscriber.node].includes(linkLocalHolder(address));
      code = judgeLinkLocal(address, subscriber, free && !isHeld);
      if (code === PrefixCode.acceptedHomeAddress) linkLocalAddress = address;
    } else {
      const prefix = { address, length: prefixLength };
      const mayAsk = prefixRegistration !== "implicit";
      code = judgePrefix(prefix, mayAsk ? { ...subscriber, prefixes: own } : { node: subscriber.node }, lent);
      if (code === PrefixCode.acceptedHomeAddress && toCareOf) code = PrefixCode.acceptedCareOfAddress;
      if (code <= PrefixCode.acceptedCareOfAddress) registered.push({ prefix, mode });
    }
    return { kind: "ipv6-prefix-reply", code, prefixLength, prefix: address } as const;
  });
  return { registered, linkLocalAddress, replies };
}

/** The first request for each prefix; bits after the length were cleared when it was read. */
function distinct(requests: readonly PrefixRequest[]): readonly PrefixRequest[] {
  const seen = new Map(requests.map((one) => [formatPrefix({ address: one.prefix, length: one.prefixLength }), one]));
  return [...seen.values()];
}

/** Always tunnelled to the home address (V4-4.7.1-06). One node has one, and it is nobody else's. */
function judgeLinkLocal(address: Ipv6Address, subscriber: HomeSubscriber, isFree: boolean): number {
  const [first = 0, second = 0] = ipToBytes(address);
  if (first !== 0xfe || (second & 0xc0) !== 0x80) return PrefixCode.unspecified;
  return subscriber.linkLocal === true && isFree
    ? PrefixCode.acceptedHomeAddress
    : PrefixCode.administrativelyProhibited;
}

/** Our end of the tunnels has an interface identifier of 0 and our IPv4 address (RFC 4213 §3.7). */
function isOfHomeAgent(linkLocal: Ipv6Address, { address, localAddress = address }: HomeAgentSite): boolean {
  const [, , ...identifier] = ipToBytes(linkLocal);
  const isPadded = identifier.slice(0, -4).every((octet) => octet === 0);
  const text = identifier.slice(-4).join(".");
  return isPadded && (text === address || text === localAddress);
}

type Entitlement = Pick<HomeSubscriber, "node" | "prefixes" | "borrowsPrefixes" | "linkLocal">;

/** A whole prefix of its own, or one of the pool that nobody else has: two nodes' never overlap (V4-4.3-08). DHCPv6 takes a link-local address. */
function judgePrefix(
  prefix: Prefix,
  { node, prefixes = [], borrowsPrefixes = false, linkLocal = false }: Entitlement,
  lent: LentNetworks,
): number {
  const { address, length } = prefix;
  if (length < 1 || length > 128 || !isRoutableUnicast(address)) return PrefixCode.unspecified;
  if (prefixes.some((one) => samePrefix(one, prefix))) return PrefixCode.acceptedHomeAddress;
  if (borrowsPrefixes && lent.restore(node, prefix, { delegated: linkLocal })) return PrefixCode.acceptedHomeAddress;
  return PrefixCode.administrativelyProhibited;
}
