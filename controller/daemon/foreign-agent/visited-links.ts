/**
 * The links on which visitors are: requests to UDP port 434 as they come, with the link-layer address they come from, and answers by that
 * address. Below the kernel's IP, because a node may have no address on the link: a reverse-path filter takes it for a forger, a request
 * from 0.0.0.0 reaches no UDP socket, and nobody must ask for its address (RFC 5944 §3.7.2.3). The kernel's filter lets nothing else come in,
 * payload in RFC 3519 tunnels least of all.
 */
import type { Ipv4Address } from "../../base/ip.js";
import { formatLinkAddress } from "../../base/link-address.js";
import { ETH_P_IP, PACKET_OTHERHOST, PACKET_OUTGOING } from "../../io/constants.js";
import { PacketSocket } from "../../io/ip/packet-socket.js";
import { encodeIpv4Packet, ipv4Header } from "../../wire/ip/ipv4.js";
import { Protocol } from "../../wire/ip/registry.js";
import { encodeUdp } from "../../wire/ip/udp.js";
import { MIP4_PORT } from "../../wire/mip4/registry.js";
import { decodeUdpFrame, REGISTRATION_FRAMES } from "../mip4/udp-frame.js";

export interface VisitorDatagram {
  readonly data: Uint8Array;
  readonly interfaceIndex: number;
  readonly linkLayerAddress: Uint8Array;
  readonly source: Ipv4Address;
  readonly sourcePort: number;
  readonly destination: Ipv4Address;
  readonly ttl: number;
}

export interface VisitorAnswer {
  readonly data: Uint8Array;
  readonly interfaceIndex: number;
  readonly linkLayerDestination: Uint8Array;
  readonly source: Ipv4Address;
  readonly destination: Ipv4Address;
  readonly destinationPort: number;
}

export interface VisitedLinksSocket {
  listen(listener: {
    onDatagram(datagram: VisitorDatagram): void;
    onMalformed(what: { readonly interfaceIndex: number; readonly detail: string }): void;
  }): void;
  /** What the kernel refuses is lost: nodes ask again. */
  send(answer: VisitorAnswer): void;
  close(): void;
}

/** Throws SyscallError: EPERM without CAP_NET_RAW. */
export function openVisitedLinks(): VisitedLinksSocket {
  const socket = PacketSocket.open({ type: "dgram", protocol: ETH_P_IP, filter: REGISTRATION_FRAMES });
  return {
    listen: ({ onDatagram, onMalformed }) =>
      socket.listen({
        onFrames: (frames) => {
          for (const frame of frames) {
            const { interfaceIndex, packetType, source: from } = frame;
            if (packetType === PACKET_OUTGOING || packetType === PACKET_OTHERHOST) continue;
            const decoded = decodeUdpFrame(frame);
            if (!decoded.ok) {
              onMalformed({
                interfaceIndex,
                detail: `request of ${formatLinkAddress(from) ?? "a node"}: ${decoded.error.message}`,
              });
              continue;
            }
            const { header, datagram } = decoded.value;
            const { source, destination, timeToLive: ttl } = header;
            const at = { interfaceIndex, linkLayerAddress: from.slice() };
            onDatagram({
              ...at,
              data: datagram.payload.slice(),
              source,
              sourcePort: datagram.sourcePort,
              destination,
              ttl,
            });
          }
        },
        onError: () => undefined, // ignored: nodes ask again
      }),
    send: ({ data, interfaceIndex, linkLayerDestination, source, destination, destinationPort }) => {
      const addresses = { source, destination };
      const payload = encodeUdp({ sourcePort: MIP4_PORT, destinationPort, payload: data }, addresses);
      const packet = encodeIpv4Packet({ header: ipv4Header({ ...addresses, protocol: Protocol.udp }), payload });
      socket.send([{ data: packet, interfaceIndex, protocol: ETH_P_IP, destination: linkLayerDestination }]);
    },
    close: () => socket.close(),
  };
}
