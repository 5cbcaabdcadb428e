/**
 * What a node says to its foreign agent, and hears from it: frames between their link-layer addresses, because a node that is away asks
 * nobody by ARP (RFC 5944 §4.6), has perhaps no address at all, and may be answered at one that it does not have yet.
 */
import type { Ipv4Address } from "../../../base/ip.js";
import { ETH_P_IP, PACKET_HOST } from "../../../io/constants.js";
import { PacketSocket } from "../../../io/ip/packet-socket.js";
import { encodeIpv4Packet, ipv4Header } from "../../../wire/ip/ipv4.js";
import { Protocol } from "../../../wire/ip/registry.js";
import { encodeUdp } from "../../../wire/ip/udp.js";
import { MIP4_PORT } from "../../../wire/mip4/registry.js";
import { decodeUdpFrame, REGISTRATION_FRAMES } from "../../mip4/udp-frame.js";

export interface AgentDatagram {
  readonly data: Uint8Array;
  readonly source: Ipv4Address;
  readonly interfaceIndex: number;
}

export interface AgentFrame {
  readonly data: Uint8Array;
  readonly source: Ipv4Address;
  readonly destination: Ipv4Address;
  readonly ttl: number;
  readonly interfaceIndex: number;
  readonly linkLayerDestination: Uint8Array;
}

export interface AgentLink {
  send(frame: AgentFrame): void;
  /** Only what comes from this link is heard from now on; undefined: nothing. */
  hear(interfaceIndex: number | undefined): void;
  close(): void;
}

/** Throws SyscallError: EPERM without CAP_NET_RAW. */
export function openAgentLink(
  onDatagram: (datagram: AgentDatagram) => void,
  onMalformed: (detail: string) => void,
): AgentLink {
  const frames = PacketSocket.open({ type: "dgram" });
  const filter = REGISTRATION_FRAMES;
  let heard: { readonly index: number; readonly socket: PacketSocket } | undefined;
  const forget = (): void => {
    heard?.socket.close();
    heard = undefined;
  };
  return {
    send: ({ data, source, destination, ttl, interfaceIndex, linkLayerDestination }) => {
      const ports = { sourcePort: MIP4_PORT, destinationPort: MIP4_PORT };
      const packet = encodeIpv4Packet({
        header: ipv4Header({ source, destination, protocol: Protocol.udp, timeToLive: ttl }),
        payload: encodeUdp({ ...ports, payload: data }, { source, destination }),
      });
      frames.send([{ data: packet, interfaceIndex, protocol: ETH_P_IP, destination: linkLayerDestination }]);
    },
    hear: (index) => {
      if (index === heard?.index) return;
      forget();
      if (index === undefined) return;
      const socket = PacketSocket.open({ type: "dgram", protocol: ETH_P_IP, interfaceIndex: index, filter });
      heard = { index, socket };
      socket.listen({
        onFrames: (received) => {
          for (const frame of received) {
            if (frame.packetType !== PACKET_HOST) continue;
            const decoded = decodeUdpFrame(frame);
            if (decoded.ok) {
              const { header, datagram } = decoded.value;
              onDatagram({ data: datagram.payload, source: header.source, interfaceIndex: index });
            } else onMalformed(`reply on the visited link: ${decoded.error.message}`);
          }
        },
        onError: () => undefined, // ignored: what is not answered is asked again
      });
    },
    close: () => {
      forget();
      frames.close();
    },
  };
}
