/** Where ESP of payload goes and arrives, and what MOBIKE has to say about it. */
import { type IpAddress, type Ipv6Address, ipv6, isIpv4, type Prefix, prefixContains } from "../../base/ip.js";
import { type AssociationEnds, type ChildAssociations, ESP_UDP_PORT, type HomeAgentPlanSite } from "../site.js";

/** One of our own ends at which ESP arrives. */
export interface Reception {
  readonly address: IpAddress;
  readonly udp: boolean;
}

/** From where to where we send. `udpPort`: the other side's, in UDP; absent: ESP as it is. */
export interface Way {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly udpPort: number | undefined;
}

/** The discard prefix (RFC 6666): on no wire, and no address of ours. */
const DISCARD: Prefix = { address: ipv6("100::"), length: 64 };
const HALF = 16;

/**
 * Where the associations with this request id wait. Each has a place of its own: SPIs that nodes choose may meet, by chance or by intent,
 * and the kernel takes one association only for an address and an SPI.
 */
export function parkingPlace(reqid: number): Ipv6Address {
  return ipv6(`100::${(reqid >>> HALF).toString(16)}:${(reqid & ((1 << HALF) - 1)).toString(16)}`);
}

export const isParkingPlace = (address: IpAddress): boolean => prefixContains(DISCARD, address);

/**
 * With MOBIKE: where the IKE daemon has the associations, which may be ahead of the binding or behind it. A node that was at home has its
 * IKE SA at its home address; on the way from there the binding says where it is, for into the tunnel to itself nothing can be sent.
 */
export function endsAbroad(
  payload: ChildAssociations | undefined,
  homes: readonly IpAddress[],
): AssociationEnds | undefined {
  const ends = payload?.ends;
  return ends === undefined || homes.includes(ends.local) || homes.includes(ends.remote) ? undefined : ends;
}

/** All of the home agent's. */
export function ownReceptions({ addresses: { ipv6: six, ipv4: four } }: HomeAgentPlanSite): readonly Reception[] {
  const overIpv4 = four === undefined ? [] : [false, true].map((udp) => ({ address: four, udp }));
  return [{ address: six, udp: false }, ...overIpv4];
}

/** charon leaves a NAT's UDP on for the time until the other side has answered from the new place; over IPv6 there is none. */
export function wayBetween({ local, remote, udp }: AssociationEnds, always: boolean): Way {
  const port = udp?.remotePort ?? (always ? ESP_UDP_PORT : undefined);
  return { source: local, destination: remote, udpPort: isIpv4(remote) ? port : undefined };
}
