/** Somebody on a link who solicits agents, and what it hears of them: octets of IPv4 from the wire, with the link-layer address they went to. */
import type { TestContext } from "node:test";
import { fromHex } from "../../../controller/base/bytes.js";
import { type Ipv4Address, ipv4 } from "../../../controller/base/ip.js";
import { ETH_P_IP, PACKET_HOST, PACKET_OUTGOING } from "../../../controller/io/constants.js";
import { PacketSocket } from "../../../controller/io/ip/packet-socket.js";
import { decodeIpv4Packet, encodeIpv4Packet, type Ipv4Header, ipv4Header } from "../../../controller/wire/ip/ipv4.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import {
  decodeAgentDiscovery,
  encodeAgentDiscovery,
  type RouterAdvertisement,
  verifyIcmpChecksum,
} from "../../../controller/wire/mip4/messages/agent-discovery.js";
import type { Node } from "./topology.js";

export interface HeardAdvertisement {
  readonly header: Ipv4Header;
  readonly message: RouterAdvertisement;
  readonly checksum: boolean;
  /** To its own link-layer address, and not to a group's. */
  readonly toItself: boolean;
}

const ALL_AGENTS = ipv4("224.0.0.11");
const ALL_AGENTS_LINK_ADDRESS = fromHex("01005e00000b");

export class AgentSolicitor {
  readonly heard: HeardAdvertisement[] = [];
  readonly #socket: PacketSocket;
  readonly #index: number;

  constructor(t: TestContext, node: Node, device: string) {
    this.#index = Number(node.ipJson(`link show dev ${device}`)[0]?.["ifindex"]);
    const filter = { protocol: Protocol.icmp, offset: 0, size: 1, values: [9] } as const;
    this.#socket = PacketSocket.open({
      ...{ type: "dgram", protocol: ETH_P_IP, interfaceIndex: this.#index },
      ...{ netns: node.path, filter },
    });
    t.after(() => this.#socket.close());
    this.#socket.listen({
      onFrames: (frames) => {
        for (const { data, packetType } of frames)
          if (packetType !== PACKET_OUTGOING) this.#hear(data, packetType === PACKET_HOST);
      },
      onError: () => undefined,
    });
  }

  #hear(data: Uint8Array, toItself: boolean): void {
    const packet = decodeIpv4Packet(data.slice());
    if (!packet.ok) return;
    const { header, payload } = packet.value;
    const message = decodeAgentDiscovery(payload);
    if (!message.ok || message.value.type !== "router-advertisement") return;
    this.heard.push({ header, message: message.value, checksum: verifyIcmpChecksum(payload), toItself });
  }

  solicit(source: Ipv4Address): void {
    const header = ipv4Header({ source, destination: ALL_AGENTS, protocol: Protocol.icmp, timeToLive: 1 });
    const data = encodeIpv4Packet({ header, payload: encodeAgentDiscovery({ type: "router-solicitation" }) });
    const destination = ALL_AGENTS_LINK_ADDRESS;
    this.#socket.send([{ data, interfaceIndex: this.#index, protocol: ETH_P_IP, destination }]);
  }
}
