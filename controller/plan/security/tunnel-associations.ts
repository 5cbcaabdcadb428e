/**
 * ESP in tunnel mode between a mobile node, wherever it is, and its home agent: associations at either end. Those that receive name no
 * sender, because ESP itself says who it is, so nothing of them changes while the node's end moves; one stands ready for each of our own
 * ends and encapsulations that the other side may use.
 */
import { IPV4_ANY, IPV6_ANY, type IpAddress, type Ipv6Address, isIpv4 } from "../../base/ip.js";
import type { DataPath } from "../../protocol/mip6/inputs.js";
import type { LocalEndpoint, MobileNodeDataPath } from "../../protocol/mip6/mobile-node/inputs.js";
import { homeAgentEnd, homesOf, isUdpOverIpv4, sameEndpoint } from "../endpoints.js";
import type { EspState, XfrmState, XfrmTemplate } from "../objects/security.js";
import {
  type Association,
  type Associations,
  type ChildAssociations,
  ESP_UDP_PORT,
  espClassMark,
  type HomeAgentPlanSite,
  type MobileNodePlanSite,
  profileOf,
  type TunnelProfileSpec,
} from "../site.js";
import { endsAbroad, ownReceptions, parkingPlace, type Reception, type Way, wayBetween } from "./esp-ways.js";
import { CLEAR_UDP_MARK, RECEIVING_PLAIN_MARK, RECEIVING_UDP_MARK, SENDING_MARK } from "./marks.js";
import { type Purpose, reqidOf, type Slots, type TunnelPurpose } from "./request-ids.js";

/** Fits the kernel's largest bitmap; the half of it is the leap of a successor's sequence number (succession.ts). */
const REPLAY_WINDOW = 4096;
const NOTHING: ChildAssociations = { receive: [] };
/** Ports of the node's ESP in UDP as seen behind each address; its NAT may use another one than for signalling (RFC 5555 §5.1). */
export type ObservedEsp = ReadonlyMap<IpAddress, number>;

/** What IKE has brought for one node. */
export interface NodeProtection {
  readonly associations: Associations;
  readonly observedEsp?: ObservedEsp | undefined;
}

/** Where one end receives, and how it sends; absent `way`: not at all. */
interface TunnelEnds {
  readonly receptions: readonly Reception[];
  readonly way: Way | undefined;
}

/** One end of what is negotiated for a purpose: the associations, and what policies name of them. */
export interface Tunnel {
  readonly reqid: number;
  /** Absent: nothing can be sent. */
  readonly way: Way | undefined;
  readonly states: readonly XfrmState[];
}

/** The home agent's end for one binding. */
export function homeAgentTunnel(
  purpose: TunnelPurpose,
  path: DataPath,
  { associations, observedEsp }: NodeProtection,
  site: HomeAgentPlanSite,
): Tunnel {
  const child = associations[purpose];
  const reqid = reqidOf(path.homeAddress, purpose, site.negotiated?.slots);
  const ends = homeAgentEnds(path, child, observedEsp, site);
  return { reqid, way: ends.way, states: tunnelStates(reqid, child, ends, profileOf(site, path.profile)) };
}

/** The mobile node's end; without `inPlay` it is at home, and nothing but the parked associations is wanted. */
export function mobileNodeTunnel(
  purpose: TunnelPurpose,
  path: MobileNodeDataPath,
  associations: Associations,
  site: MobileNodePlanSite,
): Tunnel & { readonly inPlay: boolean } {
  const { homeAddress, egress, ingress } = path;
  const child = associations[purpose];
  const reqid = reqidOf(homeAddress, purpose);
  if (ingress.length === 0 && egress === undefined)
    return { reqid, way: undefined, states: parkedAssociations(homeAddress, purpose, child), inPlay: false };
  const ends = mobileNodeEnds(path, child, site);
  return { reqid, way: ends.way, states: tunnelStates(reqid, child, ends, site.profile), inPlay: true };
}

/** MOBIKE's word on the ends goes before the binding's. */
function homeAgentEnds(
  path: DataPath,
  child: ChildAssociations | undefined,
  observed: ObservedEsp | undefined,
  site: HomeAgentPlanSite,
): TunnelEnds {
  const bound = boundEnds(path, observed, site);
  const ends = endsAbroad(child, homesOf(path));
  return {
    // With MOBIKE the node sends from its new address before anybody here has heard of it.
    receptions: child?.ends === undefined ? bound.receptions : ownReceptions(site),
    way: ends === undefined ? bound.way : wayBetween(ends, site.negotiated?.espInUdp === "always"),
  };
}

function boundEnds(
  { egress, ingress }: DataPath,
  observed: ObservedEsp | undefined,
  { addresses, negotiated }: HomeAgentPlanSite,
): TunnelEnds {
  const always = negotiated?.espInUdp === "always";
  const receptions = ingress.flatMap((endpoint): Reception[] => {
    const address = homeAgentEnd(endpoint, addresses);
    if (address === undefined) return [];
    if (endpoint.format === "ipv4" && always) return [false, true].map((udp) => ({ address, udp }));
    return [{ address, udp: isUdpOverIpv4(endpoint) }];
  });
  // Behind a NAT only the node's own ESP tells the port. Until then it is still reached where it was before, if anywhere.
  const blind = isUdpOverIpv4(egress) && observed?.has(egress.address) !== true;
  const reached = (blind ? ingress.find((endpoint) => !sameEndpoint(endpoint, egress)) : undefined) ?? egress;
  const source = homeAgentEnd(reached, addresses);
  if (source === undefined) return { receptions, way: undefined };
  const inUdp = isUdpOverIpv4(reached) || (reached.format === "ipv4" && always);
  const port = observed?.get(reached.address) ?? ESP_UDP_PORT;
  return { receptions, way: { source, destination: reached.address, udpPort: inUdp ? port : undefined } };
}

/** Away from home; MOBIKE does not wait for the acknowledgement (RFC 5555 §5.1). */
function mobileNodeEnds(
  path: MobileNodeDataPath,
  child: ChildAssociations | undefined,
  site: MobileNodePlanSite,
): TunnelEnds {
  const { egress, ingress, mode, homeDevice } = path;
  const receptions = ingress.flatMap(({ address }): Reception[] =>
    // Whether there is a NAT, the home agent knows before we do.
    (isIpv4(address) ? [false, true] : [false]).map((udp) => ({ address, udp })),
  );
  const ends = endsAbroad(child, homesOf(path));
  // What goes over the home link has no use for a tunnel.
  const tunnels = egress !== undefined || (mode === "away" && homeDevice === undefined);
  if (ends !== undefined && tunnels) return { receptions, way: wayBetween(ends, false) };
  return { receptions, way: egress === undefined ? undefined : wayFrom(egress, site) };
}

function wayFrom(endpoint: LocalEndpoint, { homeAgent }: MobileNodePlanSite): Way | undefined {
  const destination = homeAgentEnd(endpoint, homeAgent);
  if (destination === undefined) return undefined;
  return { source: endpoint.address, destination, udpPort: isUdpOverIpv4(endpoint) ? ESP_UDP_PORT : undefined };
}

/** What is negotiated, at these ends. */
function tunnelStates(
  reqid: number,
  child: ChildAssociations | undefined,
  { receptions, way }: TunnelEnds,
  profile: TunnelProfileSpec,
): readonly XfrmState[] {
  const { receive, send } = child ?? NOTHING;
  const place = parkingPlace(reqid);
  const sendingWay = way ?? { source: place, destination: place, udpPort: undefined };
  const distinct = new Map(receptions.map((one) => [`${one.address} ${one.udp}`, one]));
  return [
    ...receive.flatMap((one) => [...distinct.values()].map((at) => receivingState(reqid, one, at, profile))),
    ...(send === undefined ? [] : [sendingState(reqid, send, sendingWay, profile)]),
  ];
}

/**
 * Associations of a node that needs none just now, where no packet meets them. Their sequence numbers must outlast the binding: one number
 * used twice with one key would tell what both packets said (RFC 4106 §3).
 */
export function parkedAssociations(
  homeAddress: Ipv6Address,
  purpose: Purpose,
  child: ChildAssociations | undefined,
  slots?: Slots,
): readonly XfrmState[] {
  const profile: TunnelProfileSpec = { dscp: "copy", ttl: 64 };
  const reqid = reqidOf(homeAddress, purpose, slots);
  const receptions = [{ address: parkingPlace(reqid), udp: false }];
  return tunnelStates(reqid, child, { receptions, way: undefined }, profile);
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

function tunnelState(association: Association): EspState {
  return { type: "esp", mode: "tunnel", ...association, replayWindow: REPLAY_WINDOW };
}

/** Asks for ESP in tunnel mode on this way. */
export const tunnelTemplate = (
  { source, destination }: Pick<Way, "source" | "destination">,
  reqid: number,
): XfrmTemplate => ({
  protocol: "esp",
  mode: "tunnel",
  source,
  destination,
  reqid,
  optional: false,
});

/** Through whatever of our ends it came. */
export const anyTunnelTemplate = (reqid: number, optional: boolean): XfrmTemplate => ({
  ...tunnelTemplate({ source: IPV6_ANY, destination: IPV6_ANY }, reqid),
  optional,
});
