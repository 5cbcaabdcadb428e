/** What plans of route optimisation are made of: templates and sub policies for Home Address options and type 2 routing headers. */
import { hostPrefix, IPV6_ANY, type IpAddress, type Ipv6Address, type Prefix } from "../../base/ip.js";
import type { MobilityState, XfrmPolicy, XfrmState, XfrmTemplate } from "../objects/security.js";
import { SENDING_MARK } from "../security/marks.js";
import { HEADER_REQID } from "../security/mobility-headers.js";
import { ANYBODY, between, ICMPV6, MOBILITY_HEADER, policy } from "../security/transport-associations.js";
import { POLICY_PRIORITY } from "../site.js";

type HeaderType = MobilityState["type"];

export const ANY_PROTOCOL = 0;
/** IPv4 in IPv6, of which RFC 6275's headers are mode 1 (draft-oulai-mext-dsmip-ro-00 §7.1.3). */
export const IPV4_IN_IPV6 = 4;
/** Mobility Header type (RFC 6275 §6.1.7). */
export const BINDING_UPDATE = 5;

/** With `optional` the packet passes without the header too. */
export const headerTemplate = (protocol: HeaderType, reqid: number, optional: boolean): XfrmTemplate => ({
  protocol,
  mode: "route-optimisation",
  source: IPV6_ANY,
  destination: IPV6_ANY,
  reqid,
  optional,
});

/** The state with which we write the header into what goes from one to the other. */
export const writtenHeader = (
  type: HeaderType,
  source: Ipv6Address,
  destination: Ipv6Address,
  careOfAddress: Ipv6Address,
): XfrmState => ({
  kind: "xfrm-state",
  source,
  destination,
  reqid: HEADER_REQID.direct,
  transform: { type, careOfAddress, wildcard: false },
});

export const subPolicy = (
  direction: XfrmPolicy["direction"],
  selector: XfrmPolicy["selector"],
  priority: number,
  ...templates: readonly XfrmTemplate[]
): XfrmPolicy => policy(direction, selector, priority, { policyType: "sub", templates });

/** No sub policy behind this one is asked. */
export const exempt = (
  source: IpAddress,
  destination: Prefix,
  protocol: number,
  priority: number,
  icmpv6Type?: number,
): XfrmPolicy =>
  subPolicy(
    "out",
    { source: hostPrefix(source), destination, protocol, ...(icmpv6Type !== undefined && { icmpv6Type }) },
    priority,
  );

/**
 * No demand policy asks about the two. Beside RFC 6275's policies for the pair it is without effect, and by the mark, which every packet has,
 * none of them, nor a demand policy for the pair alone: all come and go on their own.
 */
export const silence = (own: IpAddress, other: IpAddress): XfrmPolicy => ({
  ...exempt(own, hostPrefix(other), ANY_PROTOCOL, POLICY_PRIORITY.silence),
  mark: SENDING_MARK,
});

/** Neighbour Solicitation and Advertisement (RFC 4861 §4.3, §4.4). */
const NEIGHBOUR_DISCOVERY = [135, 136] as const;

/**
 * Mobility messages of this address have no header of the kernel's making: whoever sends one says what belongs into it. Binding updates
 * to correspondents have policies of their own before this one. Neighbour discovery has none either (RFC 6275 §9.3.2): a node that has come
 * home asks for our link-layer address while it is still bound elsewhere, and could never tell us otherwise.
 */
export const messagesAsTheyAre = (self: Ipv6Address): readonly XfrmPolicy[] => [
  exempt(self, ANYBODY, MOBILITY_HEADER, POLICY_PRIORITY.mobilityMessages),
  ...NEIGHBOUR_DISCOVERY.map((type) => exempt(self, ANYBODY, ICMPV6, POLICY_PRIORITY.mobilityMessages, type)),
];

export const updatesTo = (homeAddress: Ipv6Address, correspondent: Ipv6Address): XfrmPolicy["selector"] => ({
  ...between(homeAddress, correspondent),
  mobilityHeaderType: BINDING_UPDATE,
});

/** `protocol`: of what goes directly, where that is not everything. */
export const payload = (
  source: IpAddress,
  destination: IpAddress,
  protocol: number = ANY_PROTOCOL,
): XfrmPolicy["selector"] => between(source, destination, protocol);
