/**
 * Payload in ESP tunnel mode (RFC 5555 §5.2.2): policies and associations of one node, at either end. The policies decide, by request id,
 * that only the node's own association may bring packets with its home addresses.
 */
import { aggregated } from "../../base/aggregates.js";
import { hostPrefix, type Ipv6Address, ipv4, ipv6, isIpv4, type Prefix } from "../../base/ip.js";
import type { DataPath } from "../../protocol/mip6/inputs.js";
import type { MobileNodeDataPath } from "../../protocol/mip6/mobile-node/inputs.js";
import { everywhere, homesOf } from "../endpoints.js";
import type { KernelObject } from "../objects/objects.js";
import type { XfrmPolicy, XfrmSelector } from "../objects/security.js";
import { type Associations, type HomeAgentPlanSite, type MobileNodePlanSite, POLICY_PRIORITY } from "../site.js";
import type { Way } from "./esp-ways.js";
import { ESP, ICMPV6, MOBILITY_HEADER, policy } from "./transport-associations.js";
import {
  anyTunnelTemplate,
  homeAgentTunnel,
  mobileNodeTunnel,
  type NodeProtection,
  tunnelTemplate,
} from "./tunnel-associations.js";

const LINK_LOCAL: Prefix = { address: ipv6("fe80::"), length: 10 };

/** The home agent's end for one binding. */
export function protectedBinding(
  path: DataPath,
  protection: NodeProtection,
  site: HomeAgentPlanSite,
): readonly KernelObject[] {
  const { reqid, way, states } = homeAgentTunnel("payload", path, protection, site);
  // 6.1 walks all policies that name a prefix for each one that is made: of a node's neighbouring networks there is one.
  const inner = [...homesOf(path).map(hostPrefix), ...aggregated(path.prefixes ?? [])];
  return [
    ...states,
    // A node that comes from its home link or goes there speaks in clear on that link; tunnels let nothing of it in (firewall).
    ...inner.flatMap((one) => [incoming("forward", from(one), reqid, true), incoming("in", from(one), reqid, true)]),
    ...(way === undefined
      ? []
      : [...inner.map((one) => outgoing(to(one), way, reqid)), ...exceptHomeAgent(path.homeAddress, way, reqid, site)]),
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

/**
 * The mobile node's end. Nothing but the parked associations at home; on the way from or to home packets in clear come in over the home
 * link too. Where there is neither a way nor the home link, the policies alone keep payload in, whatever becomes of our routes.
 */
export function protectedNode(
  path: MobileNodeDataPath,
  associations: Associations,
  site: MobileNodePlanSite,
): readonly KernelObject[] {
  const { homeAddress, homeDevice } = path;
  const { reqid, way, states, inPlay } = mobileNodeTunnel("payload", path, associations, site);
  const homes = homesOf(path).map(hostPrefix);
  const networks = aggregated(site.prefixes ?? []);
  const keptIn =
    way === undefined && homeDevice === undefined
      ? [
          ...homes.flatMap((home) => [
            policy("out", from(home), POLICY_PRIORITY.payload, { action: "block" }),
            policy("out", { ...from(home), destination: home }, POLICY_PRIORITY.bypass, {}),
          ]),
          ...networks.map((network) => policy("out", from(network), POLICY_PRIORITY.payload, { action: "block" })),
          ...withinNetworks(networks, ["out"]),
        ]
      : [];
  if (!inPlay) return [...states, ...keptIn];
  return [
    ...states,
    ...keptIn,
    ...networks.map((network) => incoming("forward", to(network), reqid, homeDevice !== undefined)),
    // The router's own addresses in its networks: by those it speaks with its neighbours there too, in clear.
    ...networks.map((network) => incoming("in", to(network), reqid, true)),
    ...withinNetworks(networks, way === undefined ? ["forward"] : ["forward", "out"]),
    ...homes.map((home) => incoming("in", to(home), reqid, homeDevice !== undefined)),
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
          ...[...homes, ...networks].map((inner) => outgoing(from(inner), way, reqid)),
          // Whatever payload goes directly, of mobility messages updates alone do.
          ...(site.routeOptimisation === true
            ? [
                policy(
                  "out",
                  { ...from(hostPrefix(homeAddress)), protocol: MOBILITY_HEADER },
                  POLICY_PRIORITY.mobilityMessagesInEsp,
                  { templates: [tunnelTemplate(way, reqid)] },
                ),
              ]
            : []),
          policy(
            "out",
            { source: hostPrefix(homeAddress), destination: hostPrefix(site.homeAgent.ipv6), protocol: 0 },
            POLICY_PRIORITY.bypass,
            {},
          ),
        ]),
  ];
}

const MULTICAST: readonly Prefix[] = [
  { address: ipv6("ff00::"), length: 8 },
  // And broadcast: 224.0.0.0 up to 255.255.255.255.
  { address: ipv4("224.0.0.0"), length: 3 },
];

/** What stays in the networks behind a mobile router is not the home agent's business. */
function withinNetworks(
  networks: readonly Prefix[],
  directions: readonly ("out" | "forward")[],
): readonly XfrmPolicy[] {
  const pairs = networks.flatMap((source) =>
    [...networks, ...MULTICAST]
      .filter(({ address }) => isIpv4(address) === isIpv4(source.address))
      .map((destination) => ({ source, destination, protocol: 0 })),
  );
  return pairs.flatMap((selector) =>
    directions.map((direction) => policy(direction, selector, POLICY_PRIORITY.bypass, {})),
  );
}

const from = (inner: Prefix): XfrmSelector => ({
  source: inner,
  destination: everywhere(inner.address),
  protocol: 0,
});
const to = (inner: Prefix): XfrmSelector => ({
  source: everywhere(inner.address),
  destination: inner,
  protocol: 0,
});

function outgoing(selector: XfrmSelector, way: Way, reqid: number): XfrmPolicy {
  return policy("out", selector, POLICY_PRIORITY.payload, { templates: [tunnelTemplate(way, reqid)] });
}

function incoming(direction: "in" | "forward", selector: XfrmSelector, reqid: number, optional: boolean): XfrmPolicy {
  return policy(direction, selector, POLICY_PRIORITY.payload, { templates: [anyTunnelTemplate(reqid, optional)] });
}
