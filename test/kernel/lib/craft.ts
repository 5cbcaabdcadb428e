/** Packets nobody's stack would send: encapsulated by hand, put on a wire by a packet socket. */
import type { IpAddress, Ipv6Address } from "../../../controller/base/ip.js";
import { isIpv4 } from "../../../controller/base/ip.js";
import { ETH_P_IP, ETH_P_IPV6 } from "../../../controller/io/constants.js";
import { PacketSocket } from "../../../controller/io/ip/packet-socket.js";
import { encodeIpv4Packet, ipv4Header } from "../../../controller/wire/ip/ipv4.js";
import { encodeIpv6Packet } from "../../../controller/wire/ip/ipv6.js";
import { encodeUdp } from "../../../controller/wire/ip/udp.js";
import type { JsonObject, Namespace } from "./namespace.js";
import { STATION_PORT } from "./station.js";

const PROTOCOL = { ipv4: 4, udp: 17, ipv6: 41 } as const;

export interface Addresses {
  readonly source: IpAddress;
  readonly destination: IpAddress;
}

/** An IP packet of either family, hop limit 64. */
export function ipPacket({ source, destination }: Addresses, protocol: number, payload: Uint8Array): Uint8Array {
  if (isIpv4(source) && isIpv4(destination)) {
    return encodeIpv4Packet({ header: ipv4Header({ source, destination, protocol }), payload });
  }
  const header = { source: source as Ipv6Address, destination: destination as Ipv6Address };
  return encodeIpv6Packet({
    header: { ...header, trafficClass: 0, flowLabel: 0, nextHeader: protocol, hopLimit: 64 },
    payload,
  });
}

/** What a Station sends to a Station. */
export function stationPacket(addresses: Addresses, text: string): Uint8Array {
  const datagram = { sourcePort: STATION_PORT, destinationPort: STATION_PORT, payload: Buffer.from(text, "latin1") };
  return ipPacket(addresses, PROTOCOL.udp, encodeUdp(datagram, addresses));
}

/** A packet in a packet: IPv6, or protocol 41 or 4 over IPv4, or with `ports` UDP over IPv4. */
export function encapsulate(
  outer: Addresses,
  inner: Uint8Array,
  ports?: { readonly sourcePort: number; readonly destinationPort: number },
): Uint8Array {
  if (ports !== undefined) return ipPacket(outer, PROTOCOL.udp, encodeUdp({ ...ports, payload: inner }, outer));
  return ipPacket(outer, (inner[0] ?? 0) >> 4 === 6 ? PROTOCOL.ipv6 : PROTOCOL.ipv4, inner);
}

/** The same packet with another version in its first four bits. */
export function withVersion(packet: Uint8Array, version: number): Uint8Array {
  const copy = packet.slice();
  copy[0] = (version << 4) | ((copy[0] ?? 0) & 0xf);
  return copy;
}

/** Sends IP packets out of a device to one neighbour, past the routing of both. */
export class Injector {
  readonly #socket: PacketSocket;
  readonly #interfaceIndex: number;
  readonly #destination: Uint8Array;

  constructor(from: { namespace: Namespace; device: string }, to: { namespace: Namespace; device: string }) {
    const facts = (end: typeof from): JsonObject => end.namespace.ipJson(`link show dev ${end.device}`)[0] ?? {};
    this.#interfaceIndex = facts(from)["ifindex"] as number;
    this.#destination = Buffer.from((facts(to)["address"] as string).replaceAll(":", ""), "hex");
    this.#socket = PacketSocket.open({ type: "dgram", netns: from.namespace.path });
  }

  send(...packets: readonly Uint8Array[]): void {
    const common = { interfaceIndex: this.#interfaceIndex, destination: this.#destination };
    const frames = packets.map((data) => ({
      ...common,
      data,
      protocol: (data[0] ?? 0) >> 4 === 6 ? ETH_P_IPV6 : ETH_P_IP,
    }));
    const { sent, error } = this.#socket.send(frames);
    if (sent !== packets.length) throw error ?? new Error("the kernel did not take all packets");
  }

  close(): void {
    this.#socket.close();
  }
}
