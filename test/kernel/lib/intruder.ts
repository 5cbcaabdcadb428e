/** Somebody outside who wants a TCP segment past a firewall: in every wrapping that a tunnel of ours might take off, to any address. */
import { type IpAddress, isIpv4 } from "../../../controller/base/ip.js";
import { upperLayerChecksum } from "../../../controller/wire/ip/checksum.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import { encodeUdp } from "../../../controller/wire/ip/udp.js";
import { type Addresses, ipPacket } from "./craft.js";
import { layersOf } from "./frame.js";

const TCP = 6;
/** Nobody listens there: whatever gets to TCP is answered with a reset. */
export const CLOSED_PORT = 2222;

/** A segment that asks for a connection. */
export function syn({ source, destination }: Addresses): Uint8Array {
  const segment = Buffer.alloc(20);
  segment.writeUInt16BE(5555, 0);
  segment.writeUInt16BE(CLOSED_PORT, 2);
  segment.writeUInt16BE(0x5002, 12);
  segment.writeUInt16BE(65535, 14);
  segment.writeUInt16BE(upperLayerChecksum(segment, TCP, source, destination), 16);
  return segment;
}

export const plainSyn = (addresses: Addresses): Uint8Array => ipPacket(addresses, TCP, syn(addresses));

/** GUE variant 0: a header of four octets with the protocol of what follows (draft-ietf-intarea-gue §3). */
const gue = (protocol: number, payload: Uint8Array): Uint8Array =>
  Buffer.concat([Buffer.of(0, protocol, 0, 0), payload]);

/**
 * The segment in all that is ours: GUE's other variants and protocols, RFC 5555's packet in UDP, and packets in packets; `inner`: what it
 * says of itself, in either family.
 */
export function wrapped(outer: Addresses, inner: { readonly 4?: Addresses; readonly 6?: Addresses }): Uint8Array[] {
  const packets = [4, 6].flatMap((family): { protocol: number; packet: Uint8Array }[] => {
    const addresses = inner[family as 4 | 6];
    return addresses === undefined
      ? []
      : [{ protocol: family === 4 ? Protocol.ipv4 : Protocol.ipv6, packet: plainSyn(addresses) }];
  });
  const same = isIpv4(outer.destination) ? inner[4] : inner[6];
  const payloads = [
    ...(same === undefined ? [] : [gue(TCP, syn(same))]),
    ...packets.flatMap(({ protocol, packet }) => [packet, gue(protocol, packet)]),
  ];
  const datagram = (sourcePort: number, destinationPort: number, payload: Uint8Array): Uint8Array =>
    ipPacket(outer, Protocol.udp, encodeUdp({ sourcePort, destinationPort, payload }, outer));
  return [
    ...payloads.flatMap((payload) =>
      [4191, 4192].flatMap((port) => [7777, 4191].map((from) => datagram(from, port, payload))),
    ),
    ...packets.map(({ protocol, packet }) => ipPacket(outer, protocol, packet)),
  ];
}

/**
 * What these addresses are answered, in a tunnel or not; ICMP errors are none. By TCP, but that is not to be seen: to what has come out of UDP
 * the kernel sends a reset in a packet that says UDP.
 */
export function answersTo(sources: readonly IpAddress[], frames: readonly Uint8Array[]): number {
  return frames.filter((frame) =>
    layersOf(frame, 1).some(
      (layer) =>
        (layer.kind === "ipv4" || layer.kind === "ipv6") &&
        layer.protocol !== ICMP[layer.kind] &&
        (sources as readonly string[]).includes(layer.destination),
    ),
  ).length;
}
const ICMP = { ipv4: 1, ipv6: 58 } as const;
