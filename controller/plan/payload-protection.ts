/**
 * Payload in ESP tunnel mode (RFC 5555 §5.2.2): policies and associations of one node, at either end. Associations that receive name no
 * sender, because ESP itself says who it is, so nothing of them changes while the node's end moves; one stands ready for each of our own
 * ends and encapsulations that the other side may use. The policies decide, by request id, that only the node's own association may bring
 * packets with its home addresses.
 */
import {
  hostPrefix,
  IPV4_ANY,
  IPV6_ANY,
  type IpAddress,
  type Ipv6Address,
  ipv6,
  isIpv4,
  type Prefix,
} from "../base/ip.js";
import type { DataPath, Endpoint } from "../protocol/inputs.js";
import type { LocalEndpoint, MobileNodeDataPath } from "../protocol/mobile-node-model.js";
import { sameEndpoint } from "./endpoints.js";
import { endsAbroad, NOWHERE, ownReceptions, PARKED_WAY, type Reception, type Way, wayBetween } from "./esp-ways.js";
import type { EspState, KernelObject, XfrmPolicy, XfrmState, XfrmTemplate } from "./objects.js";
import { reqidOf, type Slots } from "./request-ids.js";
import { CLEAR_UDP_MARK, RECEIVING_PLAIN_MARK, RECEIVING_UDP_MARK, SENDING_MARK } from "./security-marks.js";
import { policy } from "./security-plan.js";
import {
  type Association,
  type ChildAssociations,
  ESP_UDP_PORT,
  espClassMark,
  type HomeAgentPlanSite,
  type MobileNodePlanSite,
  POLICY_PRIORITY,
  profileOf,
  type TunnelProfileSpec,
} from "./site.js";

const ESP = 50;
const ICMPV6 = 58;
/** Fits the kernel's largest bitmap; the half of it is the leap of a successor's sequence number (succession.ts). */
const REPLAY_WINDOW = 4096;
const LINK_LOCAL: Prefix = { address: ipv6("fe80::"), length: 10 };
const NOTHING: ChildAssociations = { receive: [] };

/** Ports of the node's ESP in UDP as seen behind each address; its NAT may use another one than for signalling (RFC 5555 §5.1). */
export type ObservedEsp = ReadonlyMap<IpAddress, number>;

/** The home agent's end for one binding. */
export function protectedBinding(
  path: DataPath,
  payload: ChildAssociations | undefined,
  observed: ObservedEsp | undefined,
  site: HomeAgentPlanSite,
): readonly KernelObject[] {
  const { homeAddress, ipv4HomeAddress, egress, ingress } = path;
  const profile = profileOf(site, path.profile);
  const reqid = reqidOf(homeAddress, "payload", site.negotiated?.slots);
  const local = ({ format }: Endpoint): IpAddress | undefined =>
    format === "ipv6" ? site.addresses.ipv6 : site.addresses.ipv4;
  const always = site.negotiated?.espInUdp === "always";
  // With MOBIKE the node sends from its new address before anybody here has heard of it.
  const anywhere = payload?.ends === undefined ? undefined : ownReceptions(site);
  const known = ingress.flatMap((endpoint): Reception[] => {
    const address = local(endpoint);
    if (address === undefined) return [];
    if (endpoint.format === "ipv4" && always) return [false, true].map((udp) => ({ address, udp }));
    return [{ address, udp: endpoint.format === "udp" }];
  });
  // Behind a NAT only the node's own ESP tells the port. Until then it is still reached where it was before, if anywhere.
  const blind = egress.format === "udp" && observed?.has(egress.address) !== true;
  const reached = (blind ? ingress.find((endpoint) => !sameEndpoint(endpoint, egress)) : undefined) ?? egress;
  const source = local(reached);
  const inUdp = reached.format === "udp" || (reached.format === "ipv4" && always);
  const port = observed?.get(reached.address) ?? ESP_UDP_PORT;
  const byBinding: Way | undefined =
    source === undefined ? undefined : { source, destination: reached.address, udpPort: inUdp ? port : undefined };
  const homes = homesOf(homeAddress, ipv4HomeAddress);
  const ends = endsAbroad(payload, homes);
  const way = ends === undefined ? byBinding : wayBetween(ends, always);
  return [
    ...associations(reqid, payload ?? NOTHING, anywhere ?? known, way ?? PARKED_WAY, profile),
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
      templates: [tunnel(way, reqid)],
    }),
    policy("out", { ...selector, protocol: 0 }, POLICY_PRIORITY.bypass, {}),
    policy("out", { ...selector, source: LINK_LOCAL, protocol: 0 }, POLICY_PRIORITY.bypass, {}),
  ];
}

/**
 * Associations of a node that needs none just now, where no packet meets them. Their sequence numbers must outlast the binding: one number
 * used twice with one key would tell what both packets said (RFC 4106 §3).
 */
export function parkedAssociations(
  homeAddress: Ipv6Address,
  payload: ChildAssociations | undefined,
  slots?: Slots,
): readonly XfrmState[] {
  if (payload === undefined) return [];
  return associations(reqidOf(homeAddress, "payload", slots), payload, [NOWHERE], PARKED_WAY, {
    dscp: "copy",
    ttl: 64,
  });
}

/** The mobile node's end. Nothing but the parked associations at home; on the way from or to home packets in clear come in over the home link too. */
export function protectedNode(
  path: MobileNodeDataPath,
  payload: ChildAssociations | undefined,
  site: MobileNodePlanSite,
): readonly KernelObject[] {
  const { homeAddress, ipv4HomeAddress, egress, ingress, homeDevice, mode } = path;
  if (ingress.length === 0 && egress === undefined) return parkedAssociations(homeAddress, payload);
  const reqid = reqidOf(homeAddress, "payload");
  const receptions = ingress.flatMap(({ format, address }): Reception[] =>
    // Whether there is a NAT, the home agent knows before we do.
    (format === "ipv6" ? [false] : [false, true]).map((udp) => ({ address, udp })),
  );
  const homes = homesOf(homeAddress, ipv4HomeAddress);
  const ends = endsAbroad(payload, homes);
  const byBinding = egress === undefined ? undefined : wayFrom(egress, site);
  // MOBIKE does not wait for the acknowledgement (RFC 5555 §5.1); only what goes over the home link has no use for a tunnel.
  const tunnels = egress !== undefined || (mode === "away" && homeDevice === undefined);
  const way = ends === undefined || !tunnels ? byBinding : wayBetween(ends, false);
  return [
    ...associations(reqid, payload ?? NOTHING, receptions, way ?? PARKED_WAY, site.profile),
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

function wayFrom({ format, address }: LocalEndpoint, { homeAgent }: MobileNodePlanSite): Way | undefined {
  const destination = format === "ipv6" ? homeAgent.ipv6 : homeAgent.ipv4;
  if (destination === undefined) return undefined;
  return { source: address, destination, udpPort: format === "udp" ? ESP_UDP_PORT : undefined };
}

const homesOf = (homeAddress: IpAddress, ipv4: IpAddress | undefined): readonly IpAddress[] =>
  ipv4 === undefined ? [homeAddress] : [homeAddress, ipv4];

const everywhere = (home: IpAddress): Prefix => ({ address: isIpv4(home) ? IPV4_ANY : IPV6_ANY, length: 0 });

function associations(
  reqid: number,
  { receive, send }: ChildAssociations,
  receptions: readonly Reception[],
  way: Way,
  profile: TunnelProfileSpec,
): readonly XfrmState[] {
  const distinct = new Map(receptions.map((one) => [`${one.address} ${one.udp}`, one]));
  return [
    ...receive.flatMap((one) => [...distinct.values()].map((at) => receivingState(reqid, one, at, profile))),
    ...(send === undefined ? [] : [sendingState(reqid, send, way, profile)]),
  ];
}

function receivingState(
  reqid: number,
  association: Association,
  { address, udp }: Reception,
  profile: TunnelProfileSpec,
): XfrmState {
  const encapsulation = { sourcePort: ESP_UDP_PORT, destinationPort: ESP_UDP_PORT };
  return {
    kind: "xfrm-state",
    source: isIpv4(address) ? IPV4_ANY : IPV6_ANY,
    destination: address,
    reqid,
    transform: {
      ...tunnelState(association),
      mark: udp ? RECEIVING_UDP_MARK : RECEIVING_PLAIN_MARK,
      ...(udp && { encapsulation, setMark: CLEAR_UDP_MARK }),
      ...(profile.decapsulateDscp === true && { decapsulateDscp: true }),
    },
  };
}

function sendingState(
  reqid: number,
  association: Association,
  { source, destination, udpPort }: Way,
  profile: TunnelProfileSpec,
): XfrmState {
  return {
    kind: "xfrm-state",
    source,
    destination,
    reqid,
    transform: {
      ...tunnelState(association),
      mark: SENDING_MARK,
      setMark: espClassMark(profile),
      ...(udpPort !== undefined && { encapsulation: { sourcePort: ESP_UDP_PORT, destinationPort: udpPort } }),
    },
  };
}

function tunnelState({ spi, aead }: Association): EspState {
  return { type: "esp", spi, mode: "tunnel", aead, replayWindow: REPLAY_WINDOW };
}

const tunnel = ({ source, destination }: Pick<Way, "source" | "destination">, reqid: number): XfrmTemplate => ({
  protocol: "esp",
  mode: "tunnel",
  source,
  destination,
  reqid,
  optional: false,
});

/** Through whatever of our ends it came. */
const anyTunnel = (reqid: number, optional: boolean): XfrmTemplate => ({
  ...tunnel({ source: IPV6_ANY, destination: IPV6_ANY }, reqid),
  optional,
});

function outgoing(source: Prefix, destination: Prefix, way: Way, reqid: number): XfrmPolicy {
  return policy("out", { source, destination, protocol: 0 }, POLICY_PRIORITY.payload, {
    templates: [tunnel(way, reqid)],
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
    templates: [anyTunnel(reqid, optional)],
  });
}

function arriving(home: IpAddress, reqid: number, optional: boolean): XfrmPolicy {
  return policy(
    "in",
    { source: everywhere(home), destination: hostPrefix(home), protocol: 0 },
    POLICY_PRIORITY.payload,
    { templates: [anyTunnel(reqid, optional)] },
  );
}
