/** Nodes of Mobile IPv4 on a foreign agent's link that the test plays below IP: each asks from a link-layer address of its own, all from one device. */

import { type Ipv4Address, ipv4 } from "../../../controller/base/ip.js";
import { formatLinkAddress, linkAddressOctets } from "../../../controller/base/link-address.js";
import { type AuthenticationKey, authenticateWith } from "../../../controller/daemon/mip4/authenticators.js";
import { ETH_P_IP, PACKET_OUTGOING } from "../../../controller/io/constants.js";
import { PacketSocket } from "../../../controller/io/ip/packet-socket.js";
import { decodeIpv4Packet, encodeIpv4Packet, ipv4Header } from "../../../controller/wire/ip/ipv4.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import { decodeUdp, encodeUdp } from "../../../controller/wire/ip/udp.js";
import type { RegistrationExtension } from "../../../controller/wire/mip4/extensions/registration.js";
import {
  type AuthenticationExtension,
  encodeAuthenticated,
} from "../../../controller/wire/mip4/messages/authenticated-octets.js";
import {
  decodeControlMessage,
  type RegistrationReply,
} from "../../../controller/wire/mip4/messages/control-message.js";
import { type RequestFlags, requestFlags } from "../../../controller/wire/mip4/messages/registration.js";
import { MIP4_PORT } from "../../../controller/wire/mip4/registry.js";
import type { Node } from "./topology.js";
import { waitFor } from "./wait.js";

const NONE = new Uint8Array(0);
export const MOBILE_HOME = { kind: "mobile-home-authentication", spi: 256, authenticator: NONE } as const;

export interface VisitorRequest {
  readonly flags?: Partial<RequestFlags>;
  readonly lifetimeSeconds?: number;
  readonly homeAddress?: Ipv4Address;
  readonly homeAgent?: Ipv4Address;
  readonly careOfAddress?: Ipv4Address;
  readonly low?: number;
  readonly extensions?: readonly RegistrationExtension[];
  readonly source?: Ipv4Address;
  readonly destination?: Ipv4Address;
  readonly timeToLive?: number;
  /** Of UDP; wrong by so much. */
  readonly checksumError?: number;
}

export interface VisitorsParts {
  readonly node: Node;
  readonly device: string;
  readonly agent: { readonly address: Ipv4Address; readonly linkAddress: string; readonly careOfAddress: Ipv4Address };
  readonly defaults: { readonly homeAddress: Ipv4Address; readonly homeAgent: Ipv4Address };
  readonly keyOf: (extension: AuthenticationExtension) => AuthenticationKey | undefined;
}

const ETHERNET_HEADER = 14;
const UDP_CHECKSUM = 7;
let serial = 0;

export class ScriptedVisitors {
  readonly #parts: VisitorsParts;
  readonly #socket: PacketSocket;
  readonly #index: number;
  /** By the link-layer address that they were sent to. */
  readonly #replies = new Map<string, RegistrationReply[]>();

  constructor(parts: VisitorsParts) {
    this.#parts = parts;
    const { node, device } = parts;
    this.#index = (node.ipJson(`link show dev ${device}`) as { readonly ifindex: number }[])[0]?.ifindex ?? 0;
    this.#socket = PacketSocket.open({
      type: "raw",
      protocol: ETH_P_IP,
      interfaceIndex: this.#index,
      netns: node.path,
    });
    this.#socket.listen({
      onFrames: (frames) => {
        for (const { data, packetType } of frames) if (packetType !== PACKET_OUTGOING) this.#hear(data);
      },
      onError: () => undefined,
    });
  }

  /** A link-layer address that nobody has had. */
  newcomer(): string {
    serial++;
    return `02:00:5e:00:${(serial >> 8).toString(16).padStart(2, "0")}:${(serial & 0xff).toString(16).padStart(2, "0")}`;
  }

  repliesTo(linkAddress: string): readonly RegistrationReply[] {
    return this.#replies.get(linkAddress) ?? [];
  }

  send(linkAddress: string, given: VisitorRequest): void {
    const { agent, defaults, keyOf } = this.#parts;
    const homeAddress = given.homeAddress ?? defaults.homeAddress;
    const data = encodeAuthenticated(
      {
        type: "registration-request",
        flags: requestFlags({ reverseTunnelling: true, ...given.flags }),
        lifetimeSeconds: given.lifetimeSeconds ?? 300,
        homeAddress,
        homeAgent: given.homeAgent ?? defaults.homeAgent,
        careOfAddress: given.careOfAddress ?? agent.careOfAddress,
        identification: { high: 2, low: given.low ?? ++serial },
        extensions: [...(given.extensions ?? [MOBILE_HOME])],
      },
      authenticateWith(keyOf),
    );
    const addresses = { source: given.source ?? homeAddress, destination: given.destination ?? agent.address };
    const payload = encodeUdp({ sourcePort: MIP4_PORT, destinationPort: MIP4_PORT, payload: data }, addresses);
    if (given.checksumError !== undefined)
      payload[UDP_CHECKSUM] = ((payload[UDP_CHECKSUM] ?? 0) + given.checksumError) & 0xff;
    const header = ipv4Header({ ...addresses, protocol: Protocol.udp, timeToLive: given.timeToLive ?? 255 });
    const packet = encodeIpv4Packet({ header, payload });
    const frame = Uint8Array.of(
      ...linkAddressOctets(agent.linkAddress),
      ...linkAddressOctets(linkAddress),
      0x08,
      0x00,
      ...packet,
    );
    const destination = linkAddressOctets(agent.linkAddress);
    this.#socket.send([{ data: frame, interfaceIndex: this.#index, protocol: ETH_P_IP, destination }]);
  }

  /** Asks until it is answered, from an address that nobody else has: what answers are limited by is not the other cases' business. */
  async ask(given: VisitorRequest, linkAddress = this.newcomer()): Promise<RegistrationReply> {
    const before = this.repliesTo(linkAddress).length;
    let looked = 0;
    return waitFor(
      () => {
        if (looked++ % 75 === 0 && this.repliesTo(linkAddress).length === before) this.send(linkAddress, given);
        return this.repliesTo(linkAddress)[before];
      },
      { what: `an answer to ${JSON.stringify(given)}`, timeout: 15_000 },
    );
  }

  close(): void {
    this.#socket.close();
  }

  #hear(data: Uint8Array): void {
    const packet = decodeIpv4Packet(data.subarray(ETHERNET_HEADER));
    const to = formatLinkAddress(data.subarray(0, 6));
    if (!packet.ok || to === undefined || packet.value.header.protocol !== Protocol.udp) return;
    const datagram = decodeUdp(packet.value.payload, packet.value.header);
    const message = datagram.ok ? decodeControlMessage(datagram.value.payload) : undefined;
    if (message?.ok !== true || message.value.type !== "registration-reply") return;
    this.#replies.set(to, [...this.repliesTo(to), message.value]);
  }
}

export const NOWHERE = ipv4("0.0.0.0");
