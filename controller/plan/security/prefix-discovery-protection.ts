/**
 * ESP in transport mode for mobile prefix discovery: solicitations to the home agent, advertisements to the node (RFC 4877 §4.3, C-18). Its
 * keys are negotiated when the first solicitation is on its way; until then nothing passes. Static keys are those of the updates.
 */
import { hostPrefix, type Ipv6Address } from "../../base/ip.js";
import type { KernelObject } from "../objects/objects.js";
import type { XfrmSelector, XfrmTemplate } from "../objects/security.js";
import {
  type ChildAssociations,
  DIRECT_MARK,
  type HomeAgentPlanSite,
  type MobileNodePlanSite,
  POLICY_PRIORITY,
} from "../site.js";
import { TYPED_MESSAGE_MARK } from "./marks.js";
import { reqidOf } from "./request-ids.js";
import { ANYBODY, between, ICMPV6, policy, transportStates, transportTemplate } from "./transport-associations.js";

/** ICMPv6 types (RFC 6275 §6.7, §6.8). */
export const MOBILE_PREFIX_SOLICITATION = 146;
export const MOBILE_PREFIX_ADVERTISEMENT = 147;

/** What comes in is told by a mark of the firewall, what goes out by its type. */
const incoming = { mark: TYPED_MESSAGE_MARK } as const;
const icmpv6 = (source: Ipv6Address, destination: Ipv6Address, icmpv6Type?: number): XfrmSelector => ({
  ...between(source, destination, ICMPV6),
  ...(icmpv6Type !== undefined && { icmpv6Type }),
});

/** For all subscribers at the home agent: without protection neither message passes. */
export function blockedPrefixDiscovery(homeAgent: Ipv6Address): readonly KernelObject[] {
  const self = hostPrefix(homeAgent);
  const block = { action: "block" } as const;
  return [
    policy("in", { source: ANYBODY, destination: self, protocol: ICMPV6 }, POLICY_PRIORITY.blockPrefixDiscovery, {
      ...incoming,
      ...block,
    }),
    policy(
      "out",
      { source: self, destination: ANYBODY, protocol: ICMPV6, icmpv6Type: MOBILE_PREFIX_ADVERTISEMENT },
      POLICY_PRIORITY.blockPrefixDiscovery,
      block,
    ),
  ];
}

/** One subscriber that has the keys, at the home agent. */
export function prefixDiscoverySubscriber(
  homeAddress: Ipv6Address,
  child: ChildAssociations | undefined,
  site: HomeAgentPlanSite,
): readonly KernelObject[] {
  if (child === undefined) return [];
  const self = site.addresses.ipv6;
  const reqid = reqidOf(homeAddress, "prefix", site.negotiated?.slots);
  return [
    ...transportStates({ self, peer: homeAddress, reqid, protocol: ICMPV6 }, child),
    ...subscriberPrefixPolicies(homeAddress, self, reqid),
  ];
}

/** At the home agent, for associations with this request id. */
export function subscriberPrefixPolicies(
  homeAddress: Ipv6Address,
  self: Ipv6Address,
  reqid: number,
): readonly KernelObject[] {
  const templates = [transportTemplate(reqid)];
  return [
    policy("in", icmpv6(homeAddress, self), POLICY_PRIORITY.signalling, { ...incoming, templates }),
    policy("out", icmpv6(self, homeAddress, MOBILE_PREFIX_ADVERTISEMENT), POLICY_PRIORITY.signalling, { templates }),
  ];
}

/** Sent as they are, without a Home Address option. Into the TUN device they go with one, unlike updates (C-18). */
const DIRECT = { value: DIRECT_MARK, mask: 0xffff } as const;

/**
 * The mobile node's policies for associations with this request id; where they are negotiated, a solicitation that finds none makes the
 * kernel ask for keys. `option`: as for updates over IPv6.
 */
export function prefixDiscoveryPolicies(
  { homeAddress, homeAgent }: MobileNodePlanSite,
  option: XfrmTemplate,
  reqid: number,
): readonly KernelObject[] {
  const esp = transportTemplate(reqid);
  const solicitations = icmpv6(homeAddress, homeAgent.ipv6, MOBILE_PREFIX_SOLICITATION);
  const advertisements = icmpv6(homeAgent.ipv6, homeAddress);
  return [
    policy("in", advertisements, POLICY_PRIORITY.signalling, { ...incoming, templates: [esp] }),
    policy("out", solicitations, POLICY_PRIORITY.signalling, { mark: DIRECT, templates: [esp] }),
    policy("out", solicitations, POLICY_PRIORITY.signallingWithOption, { templates: [option, esp] }),
  ];
}

/** The mobile node's associations. */
export function prefixDiscoveryNode(
  { homeAddress, homeAgent }: MobileNodePlanSite,
  child: ChildAssociations | undefined,
): readonly KernelObject[] {
  const ends = { self: homeAddress, peer: homeAgent.ipv6, reqid: reqidOf(homeAddress, "prefix"), protocol: ICMPV6 };
  return transportStates(ends, child);
}
