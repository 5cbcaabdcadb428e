/**
 * Payload in ESP tunnel mode as it comes in from mobile nodes, sealed ahead of time. Neither the outer header nor the Ethernet header is
 * under the seal, so one set of sealed packets serves every way and every home agent; a receiver that keeps the count takes each once.
 */

import { fromHex } from "../../controller/base/bytes.js";
import { Secret } from "../../controller/base/secret.js";
import type { ChildAssociations } from "../../controller/plan/site.js";
import { ESP_UDP_PORT } from "../../controller/plan/site.js";
import type { Endpoint } from "../../controller/protocol/mip6/inputs.js";
import { Protocol } from "../../controller/wire/ip/registry.js";
import { encodeUdp } from "../../controller/wire/ip/udp.js";
import { EspSender } from "../lib/esp.js";
import { associationsOf, type NodeAssociations } from "./esp-node.js";
import { ethernet, ip, payloadOf } from "./frames.js";
import { HOME_AGENT, type InnerFamily, type Kind } from "./places.js";

/** Of a node's payload; as with those of its signalling, the keys follow from its number. */
export function payloadAssociationsOf(number: number): NodeAssociations {
  return associationsOf({ number: PAYLOAD + number });
}

/** Far from the numbers of nodes, whose signalling has other keys. */
const PAYLOAD = 1_000_000;
export const AEAD = "rfc4106(gcm(aes))";
export const ICV_OCTETS = 16;

/** The same as the plan takes it, at the home agent. */
export function homeAgentAssociations(number: number): ChildAssociations {
  const { update, acknowledgement } = payloadAssociationsOf(number);
  const aead = (key: string): { algorithm: string; key: Secret; icvLength: number } => ({
    algorithm: AEAD,
    key: new Secret(fromHex(key)),
    icvLength: ICV_OCTETS,
  });
  return {
    receive: [{ spi: update.spi, aead: aead(update.key) }],
    send: { spi: acknowledgement.spi, aead: aead(acknowledgement.key) },
  };
}

export interface SealedNodes {
  readonly first: number;
  readonly nodes: number;
}

/** Packets of these nodes in turn, `count` in all. Each node's sequence numbers rise, beginning after `used`. */
export function seal(
  { first, nodes }: SealedNodes,
  inner: InnerFamily,
  count: number,
  used: number,
  kind: Kind,
): readonly Uint8Array[] {
  const senders = Array.from({ length: nodes }, (_, i) => {
    const { update } = payloadAssociationsOf(first + i);
    const sender = new EspSender({ spi: update.spi, key: fromHex(update.key) });
    sender.sequence = used;
    return { sender, payload: payloadOf(first + i, inner, kind) };
  });
  const nextHeader = inner === 6 ? Protocol.ipv6 : Protocol.ipv4;
  return Array.from({ length: count }, (_, i) => {
    const one = senders[(i * STRIDE) % senders.length];
    if (one === undefined) throw new Error("packets of no node");
    return one.sender.seal(one.payload, nextHeader);
  });
}

/** Prime, so that every node has its turn in an order that jumps about. */
const STRIDE = 7919;

/** The number of the node whose packet `seal` has put at this index. */
export const nodeAt = (index: number, { first, nodes }: SealedNodes): number => first + ((index * STRIDE) % nodes);

/** Sealed packets on their way from the node's endpoint to the home agent, one frame after the other. */
export function espFrames(
  packets: readonly Uint8Array[],
  endpointAt: (index: number) => Endpoint,
  mac: string,
): Uint8Array {
  const frames = packets.map((packet, i) => espFrame(packet, endpointAt(i), mac));
  const octets = frames[0]?.length ?? 0;
  const bytes = new Uint8Array(octets * frames.length);
  frames.forEach((frame, i) => void bytes.set(frame, i * octets));
  return bytes;
}

function espFrame(packet: Uint8Array, endpoint: Endpoint, mac: string): Uint8Array {
  switch (endpoint.format) {
    case "ipv6":
      return ethernet(mac, 6, ip(endpoint.address, HOME_AGENT.ipv6, Protocol.esp, packet));
    case "ipv4":
      return ethernet(mac, 4, ip(endpoint.address, HOME_AGENT.ipv4, Protocol.esp, packet));
    case "udp": {
      const datagram = encodeUdp({ sourcePort: endpoint.port, destinationPort: ESP_UDP_PORT, payload: packet });
      return ethernet(mac, 4, ip(endpoint.address, HOME_AGENT.ipv4, Protocol.udp, datagram));
    }
  }
}
