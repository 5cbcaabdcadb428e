/**
 * Whose Home Address options and type 2 routing headers the kernel accepts, and before what. From anybody before ESP and the messages
 * it protects: ESP policies and the machine decide what follows from them. Before all else only from and to the care-of address that is
 * bound, for that is what binds the home address to the packet (RFC 6275 §9.3.1, §6.4); what else comes dies, and the kernel reports it.
 */
import { IPV6_ANY, type Ipv6Address } from "../../base/ip.js";
import { type KernelObject, OWNERSHIP } from "../objects/objects.js";
import type { MobilityState, XfrmPolicy, XfrmState } from "../objects/security.js";
import { type HomeAgentPlanSite, type MobileNodePlanSite, POLICY_PRIORITY } from "../site.js";
import { TYPED_MESSAGE_MARK } from "./marks.js";
import { ANYBODY, between, ESP, ICMPV6, MOBILITY_HEADER, policy } from "./transport-associations.js";

type HeaderType = MobilityState["type"];

/** Of states without an association: which of them a policy means. */
export const HEADER_REQID = {
  wildcard: OWNERSHIP.reqidBase,
  homeAddressOption: OWNERSHIP.reqidBase + 1,
  bound: OWNERSHIP.reqidBase + 2,
  /** What we write into packets to and from correspondents. */
  direct: OWNERSHIP.reqidBase + 3,
  /** Of the first home address; the kernel asks by it who is sent to. The following are those of the further ones. */
  demand: OWNERSHIP.reqidBase + 4,
} as const;
/** In a template: any state of that type. */
export const ANY_REQID = 0;
const ANY_PROTOCOL = 0;

/** Without `careOf` for whatever address; with it the header is recognised from or to that one alone. */
export function headerState(
  type: HeaderType,
  ends: Pick<XfrmState, "source" | "destination">,
  careOf?: Ipv6Address,
): XfrmState {
  return {
    kind: "xfrm-state",
    ...ends,
    reqid: careOf === undefined ? HEADER_REQID.wildcard : HEADER_REQID.bound,
    // With the flag the kernel takes it for any sender.
    transform: { type, careOfAddress: careOf ?? IPV6_ANY, wildcard: ends.source === IPV6_ANY },
  };
}

function headerPolicy(
  type: HeaderType,
  reqid: number,
  rest: Pick<XfrmPolicy, "selector"> & Partial<XfrmPolicy>,
): XfrmPolicy {
  const priority = reqid === HEADER_REQID.bound ? POLICY_PRIORITY.bound : POLICY_PRIORITY.wildcard;
  const template = {
    protocol: type,
    mode: "route-optimisation",
    source: IPV6_ANY,
    destination: IPV6_ANY,
    reqid,
  } as const;
  return policy("in", rest.selector, priority, {
    ...rest,
    policyType: "sub",
    templates: [{ ...template, optional: true }],
  });
}

/**
 * The state that recognises the header from and to anybody. Without a policy for it the kernel drops the packet, and reports it where
 * the header is a Home Address option.
 */
export function recognised(type: HeaderType): XfrmState {
  return headerState(type, { source: IPV6_ANY, destination: IPV6_ANY });
}

/**
 * Accepts the header of anybody before ESP and what it protects. The kernel looks twice, first at the ESP header and then at what was in
 * it. From a bound pair the header meets the pair's own state, so the templates take any.
 */
export function wildcard(type: HeaderType): readonly KernelObject[] {
  return [
    recognised(type),
    ...[ESP, MOBILITY_HEADER, ICMPV6].map((protocol) =>
      headerPolicy(type, ANY_REQID, {
        selector: { source: ANYBODY, destination: ANYBODY, protocol },
        ...(protocol === ICMPV6 && { mark: TYPED_MESSAGE_MARK }),
      }),
    ),
  ];
}

/** Accepts the header between both ends before any protocol, if a state says that its care-of address is bound; and packets without it. */
export function acceptsBound(type: HeaderType, source: Ipv6Address, destination: Ipv6Address): XfrmPolicy {
  return headerPolicy(type, HEADER_REQID.bound, { selector: between(source, destination, ANY_PROTOCOL) });
}

/** At the home agent, for a binding over IPv6: from there alone the home address is believed. Changed in place at a move. */
export function boundOption(
  homeAddress: Ipv6Address,
  careOf: Ipv6Address,
  { addresses }: HomeAgentPlanSite,
): XfrmState {
  return headerState("home-address-option", { source: homeAddress, destination: addresses.ipv6 }, careOf);
}

/**
 * At the mobile node: the care-of addresses at which the home agent's own packets with a type 2 routing header are taken. During a move
 * they are two; of each pair of addresses the kernel knows one state, so the second one names no sender, which the policy does. With
 * correspondents the one that names no sender is the first, for a correspondent that is a mobile node sends from where it is.
 */
export function boundRoutingHeaders(
  careOfAddresses: readonly Ipv6Address[],
  { homeAddress, homeAgent, routeOptimisation }: MobileNodePlanSite,
): readonly XfrmState[] {
  const senders = routeOptimisation === true ? [IPV6_ANY, homeAgent.ipv6] : [homeAgent.ipv6, IPV6_ANY];
  return careOfAddresses
    .slice(0, senders.length)
    .map((careOf, i) =>
      headerState("type2-routing-header", { source: senders[i] ?? IPV6_ANY, destination: homeAddress }, careOf),
    );
}
