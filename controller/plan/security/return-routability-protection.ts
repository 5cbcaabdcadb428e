/**
 * ESP in tunnel mode for the part of the return routability procedure that goes by way of the home agent: Home Test Init from the node,
 * Home Test to it (RFC 4877 §4.3, RFC 6275 §5.2.5), whatever becomes of other payload. Its keys are negotiated when the first Home Test
 * Init is on its way; until then neither message passes. Incoming ones are told from other Mobility Headers by a mark of the firewall.
 */
import { hostPrefix, IPV4_ANY, type Ipv4Address, type Ipv6Address } from "../../base/ip.js";
import type { DataPath } from "../../protocol/mip6/inputs.js";
import type { MobileNodeDataPath } from "../../protocol/mip6/mobile-node/inputs.js";
import type { KernelObject } from "../objects/objects.js";
import type { XfrmPolicy, XfrmSelector } from "../objects/security.js";
import { type Associations, type HomeAgentPlanSite, type MobileNodePlanSite, POLICY_PRIORITY } from "../site.js";
import { TYPED_MESSAGE_MARK } from "./marks.js";
import { ANYBODY, MOBILITY_HEADER, policy } from "./transport-associations.js";
import {
  anyTunnelTemplate,
  homeAgentTunnel,
  mobileNodeTunnel,
  type NodeProtection,
  tunnelTemplate,
} from "./tunnel-associations.js";

/** Mobility Header types (RFC 6275 §6.1). */
export const HOME_TEST_INIT = 1;
export const HOME_TEST = 3;
const IPV6_IN_IPV4 = 41;

const from = (homeAddress: Ipv6Address): XfrmSelector => ({
  source: hostPrefix(homeAddress),
  destination: ANYBODY,
  protocol: MOBILITY_HEADER,
});
const to = (homeAddress: Ipv6Address): XfrmSelector => ({
  source: ANYBODY,
  destination: hostPrefix(homeAddress),
  protocol: MOBILITY_HEADER,
});
/**
 * A Home Test for an IPv4 home address is a packet in IPv4 (draft-oulai-mext-dsmip-ro-00 §7.1.1.1), of which the kernel reads no message type:
 * all of protocol 41 to that address goes in ESP (C-57).
 */
const inIpv4To = (homeAddress: Ipv4Address): XfrmSelector => ({
  source: { address: IPV4_ANY, length: 0 },
  destination: hostPrefix(homeAddress),
  protocol: IPV6_IN_IPV4,
});
const only = (direction: XfrmPolicy["direction"], selector: XfrmSelector, rest: Partial<XfrmPolicy>): XfrmPolicy =>
  policy(direction, selector, POLICY_PRIORITY.returnRoutability, rest);

/** The home agent's end for one binding. */
export function returnRoutabilityBinding(
  path: DataPath,
  protection: NodeProtection,
  site: HomeAgentPlanSite,
): readonly KernelObject[] {
  const { homeAddress } = path;
  const { reqid, way, states } = homeAgentTunnel("return-routability", path, protection, site);
  const outward: Partial<XfrmPolicy> =
    way === undefined ? { action: "block" } : { templates: [tunnelTemplate(way, reqid)] };
  return [
    ...states,
    only("forward", from(homeAddress), { mark: TYPED_MESSAGE_MARK, templates: [anyTunnelTemplate(reqid, false)] }),
    only("out", to(homeAddress), { mark: TYPED_MESSAGE_MARK, ...outward }),
    // Until there are keys what others have in protocol 41 goes on as it did; a node that waits for a Home Test takes none in clear.
    ...(path.ipv4HomeAddress === undefined || way === undefined
      ? []
      : [only("out", inIpv4To(path.ipv4HomeAddress), outward)]),
  ];
}

/** The mobile node's end. At home both messages go their ordinary way. */
export function returnRoutabilityNode(
  path: MobileNodeDataPath,
  associations: Associations,
  site: MobileNodePlanSite,
): readonly KernelObject[] {
  const { homeAddress } = path;
  const { reqid, way, states, inPlay } = mobileNodeTunnel("return-routability", path, associations, site);
  if (!inPlay) return states;
  const selector = { ...from(homeAddress), mobilityHeaderType: HOME_TEST_INIT };
  return [
    ...states,
    only("in", to(homeAddress), { mark: TYPED_MESSAGE_MARK, templates: [anyTunnelTemplate(reqid, false)] }),
    ...(path.ipv4HomeAddress === undefined
      ? []
      : [only("in", inIpv4To(path.ipv4HomeAddress), { templates: [anyTunnelTemplate(reqid, true)] })]),
    ...(way === undefined ? [] : [only("out", selector, { templates: [tunnelTemplate(way, reqid)] })]),
  ];
}
