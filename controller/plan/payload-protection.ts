/**
 * Payload in ESP tunnel mode (RFC 5555 §5.2.2): policies and associations of one node, at either end. The policies decide, by request id,
 * that only the node's own association may bring packets with its home addresses.
 */
import { hostPrefix, type IpAddress, type Ipv6Address, ipv6, type Prefix } from "../base/ip.js";
import type { DataPath } from "../protocol/inputs.js";
import type { MobileNodeDataPath } from "../protocol/mobile-node-model.js";
import type { Way } from "./esp-ways.js";
import type { KernelObject } from "./objects.js";
import { reqidOf } from "./request-ids.js";
import type { XfrmPolicy } from "./security-objects.js";
import {
  type ChildAssociations,
  type HomeAgentPlanSite,
  type MobileNodePlanSite,
  POLICY_PRIORITY,
  profileOf,
} from "./site.js";
import { ESP, ICMPV6, policy } from "./transport-associations.js";
import {
  anyTunnelTemplate,
  everywhere,
  homeAgentEnds,
  homesOf,
  mobileNodeEnds,
  type ObservedEsp,
  parkedAssociations,
  tunnelStates,
  tunnelTemplate,
} from "./tunnel-associations.js";

const LINK_LOCAL: Prefix = { address: ipv6("fe80::"), length: 10 };

/** The home agent's end for one binding. */
export function protectedBinding(
  path: DataPath,
  payload: ChildAssociations | undefined,
  observed: ObservedEsp | undefined,
  site: HomeAgentPlanSite,
): readonly KernelObject[] {
  const { homeAddress } = path;
  const reqid = reqidOf(homeAddress, "payload", site.negotiated?.slots);
  const ends = homeAgentEnds(path, payload, observed, site);
  const { way } = ends;
  const homes = homesOf(path);
  return [
    ...tunnelStates(reqid, payload, ends, profileOf(site, path.profile)),
    // A node that comes from its home link or goes there speaks in clear on that link; tunnels let nothing of it in (firewall).
    ...homes.flatMap((home) => [
      incoming("forward", home, everywhere(home), reqid, true),
      incoming("in", home, everywhere(home), reqid, true),
    ]),
    ...(way === undefined
      ? []
      : [
          ...homes.map((home) => outgoing(everywhere(home), hostPrefix(home), way, reqid)),
          ...exceptHomeAgent(homeAddress, way, reqid, site),
        ]),
  ];
}

/**
 * Nothing between the home agent itself and the node but ICMPv6 errors, which are about protected packets. Neighbour discovery stays on
 * the home link: by it the node finds the home agent when it comes home.
 */
function exceptHomeAgent(
  homeAddress: Ipv6Address,
  way: Way,
  reqid: number,
  { addresses }: HomeAgentPlanSite,
): readonly XfrmPolicy[] {
  const selector = { source: hostPrefix(addresses.ipv6), destination: hostPrefix(homeAddress) };
  return [
    policy("out", { ...selector, protocol: ICMPV6, icmpv6Errors: true }, POLICY_PRIORITY.bypassErrors, {
      templates: [tunnelTemplate(way, reqid)],
    }),
    policy("out", { ...selector, protocol: 0 }, POLICY_PRIORITY.bypass, {}),
    policy("out", { ...selector, source: LINK_LOCAL, protocol: 0 }, POLICY_PRIORITY.bypass, {}),
  ];
}

/** The mobile node's end. Nothing but the parked associations at home; on the way from or to home packets in clear come in over the home link too. */
export function protectedNode(
  path: MobileNodeDataPath,
  payload: ChildAssociations | undefined,
  site: MobileNodePlanSite,
): readonly KernelObject[] {
  const { homeAddress, egress, ingress, homeDevice } = path;
  if (ingress.length === 0 && egress === undefined) return parkedAssociations(homeAddress, "payload", payload);
  const reqid = reqidOf(homeAddress, "payload");
  const ends = mobileNodeEnds(path, payload, site);
  const { way } = ends;
  const homes = homesOf(path);
  return [
    ...tunnelStates(reqid, payload, ends, site.profile),
    ...homes.map((home) => arriving(home, reqid, homeDevice !== undefined)),
    // With a type 2 routing header the kernel looks at an acknowledgement before its ESP is off, and again after.
    policy(
      "in",
      { source: hostPrefix(site.homeAgent.ipv6), destination: hostPrefix(homeAddress), protocol: ESP },
      POLICY_PRIORITY.bypass,
      {},
    ),
    ...(way === undefined
      ? []
      : [
          ...homes.map((home) => outgoing(hostPrefix(home), everywhere(home), way, reqid)),
          policy(
            "out",
            { source: hostPrefix(homeAddress), destination: hostPrefix(site.homeAgent.ipv6), protocol: 0 },
            POLICY_PRIORITY.bypass,
            {},
          ),
        ]),
  ];
}

function outgoing(source: Prefix, destination: Prefix, way: Way, reqid: number): XfrmPolicy {
  return policy("out", { source, destination, protocol: 0 }, POLICY_PRIORITY.payload, {
    templates: [tunnelTemplate(way, reqid)],
  });
}

function incoming(
  direction: "in" | "forward",
  home: IpAddress,
  destination: Prefix,
  reqid: number,
  optional: boolean,
): XfrmPolicy {
  return policy(direction, { source: hostPrefix(home), destination, protocol: 0 }, POLICY_PRIORITY.payload, {
    templates: [anyTunnelTemplate(reqid, optional)],
  });
}

function arriving(home: IpAddress, reqid: number, optional: boolean): XfrmPolicy {
  return policy(
    "in",
    { source: everywhere(home), destination: hostPrefix(home), protocol: 0 },
    POLICY_PRIORITY.payload,
    { templates: [anyTunnelTemplate(reqid, optional)] },
  );
}
