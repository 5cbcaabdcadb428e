/**
 * ESP in tunnel mode between a mobile node, wherever it is, and its home agent: associations at either end. Those that receive name no
 * sender, because ESP itself says who it is, so nothing of them changes while the node's end moves; one stands ready for each of our own
 * ends and encapsulations that the other side may use.
 */
import { IPV4_ANY, IPV6_ANY, type IpAddress, type Ipv6Address, isIpv4, type Prefix } from "../base/ip.js";
import type { DataPath, Endpoint } from "../protocol/inputs.js";
import type { LocalEndpoint, MobileNodeDataPath } from "../protocol/mobile-node-model.js";
import { sameEndpoint } from "./endpoints.js";
import { endsAbroad, NOWHERE, ownReceptions, PARKED_WAY, type Reception, type Way, wayBetween } from "./esp-ways.js";
import { type Purpose, reqidOf, type Slots } from "./request-ids.js";
import { CLEAR_UDP_MARK, RECEIVING_PLAIN_MARK, RECEIVING_UDP_MARK, SENDING_MARK } from "./security-marks.js";
import type { EspState, XfrmState, XfrmTemplate } from "./security-objects.js";
import {
  type Association,
  type ChildAssociations,
  ESP_UDP_PORT,
  espClassMark,
  type HomeAgentPlanSite,
  type MobileNodePlanSite,
  type TunnelProfileSpec,
} from "./site.js";

/** Fits the kernel's largest bitmap; the half of it is the leap of a successor's sequence number (succession.ts). */
const REPLAY_WINDOW = 4096;
const NOTHING: ChildAssociations = { receive: [] };
/** Ports of the node's ESP in UDP as seen behind each address; its NAT may use another one than for signalling (RFC 5555 §5.1). */
export type ObservedEsp = ReadonlyMap<IpAddress, number>;

/** Where one end receives, and how it sends; absent `way`: not at all. */
export interface TunnelEnds {
  readonly receptions: readonly Reception[];
  readonly way: Way | undefined;
}

/** The home agent's ends for one binding; MOBIKE's word on them goes before the binding's. */
export function homeAgentEnds(
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
  const local = ({ format }: Endpoint): IpAddress | undefined => (format === "ipv6" ? addresses.ipv6 : addresses.ipv4);
  const always = negotiated?.espInUdp === "always";
  const receptions = ingress.flatMap((endpoint): Reception[] => {
    const address = local(endpoint);
    if (address === undefined) return [];
    if (endpoint.format === "ipv4" && always) return [false, true].map((udp) => ({ address, udp }));
    return [{ address, udp: endpoint.format === "udp" }];
  });
  // Behind a NAT only the node's own ESP tells the port. Until then it is still reached where it was before, if anywhere.
  const blind = egress.format === "udp" && observed?.has(egress.address) !== true;
  const reached = (blind ? ingress.find((endpoint) => !sameEndpoint(endpoint, egress)) : undefined) ?? egress;
  const source = local(reached);
  if (source === undefined) return { receptions, way: undefined };
  const inUdp = reached.format === "udp" || (reached.format === "ipv4" && always);
  const port = observed?.get(reached.address) ?? ESP_UDP_PORT;
  return { receptions, way: { source, destination: reached.address, udpPort: inUdp ? port : undefined } };
}

/** The mobile node's ends away from home; MOBIKE does not wait for the acknowledgement (RFC 5555 §5.1). */
export function mobileNodeEnds(
  path: MobileNodeDataPath,
  child: ChildAssociations | undefined,
  site: MobileNodePlanSite,
): TunnelEnds {
  const { egress, ingress, mode, homeDevice } = path;
  const receptions = ingress.flatMap(({ format, address }): Reception[] =>
    // Whether there is a NAT, the home agent knows before we do.
    (format === "ipv6" ? [false] : [false, true]).map((udp) => ({ address, udp })),
  );
  const ends = endsAbroad(child, homesOf(path));
  // What goes over the home link has no use for a tunnel.
  const tunnels = egress !== undefined || (mode === "away" && homeDevice === undefined);
  if (ends !== undefined && tunnels) return { receptions, way: wayBetween(ends, false) };
  return { receptions, way: egress === undefined ? undefined : wayFrom(egress, site) };
}

/** The node's home addresses. */
export function homesOf({
  homeAddress,
  ipv4HomeAddress,
}: Pick<DataPath, "homeAddress" | "ipv4HomeAddress">): readonly IpAddress[] {
  return ipv4HomeAddress === undefined ? [homeAddress] : [homeAddress, ipv4HomeAddress];
}

function wayFrom({ format, address }: LocalEndpoint, { homeAgent }: MobileNodePlanSite): Way | undefined {
  const destination = format === "ipv6" ? homeAgent.ipv6 : homeAgent.ipv4;
  if (destination === undefined) return undefined;
  return { source: address, destination, udpPort: format === "udp" ? ESP_UDP_PORT : undefined };
}

/** What is negotiated, at these ends. */
export function tunnelStates(
  reqid: number,
  child: ChildAssociations | undefined,
  { receptions, way = PARKED_WAY }: TunnelEnds,
  profile: TunnelProfileSpec,
): readonly XfrmState[] {
  const { receive, send } = child ?? NOTHING;
  const distinct = new Map(receptions.map((one) => [`${one.address} ${one.udp}`, one]));
  return [
    ...receive.flatMap((one) => [...distinct.values()].map((at) => receivingState(reqid, one, at, profile))),
    ...(send === undefined ? [] : [sendingState(reqid, send, way, profile)]),
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
  return tunnelStates(reqidOf(homeAddress, purpose, slots), child, { receptions: [NOWHERE], way: undefined }, profile);
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

/** All addresses of the family of `home`. */
export const everywhere = (home: IpAddress): Prefix => ({ address: isIpv4(home) ? IPV4_ANY : IPV6_ANY, length: 0 });
