/** A node of Mobile IPv4 that the test plays: registration requests from any address and port, and what is answered to them. */

import { fromHex } from "../../../controller/base/bytes.js";
import type { Ipv4Address } from "../../../controller/base/ip.js";
import { Secret } from "../../../controller/base/secret.js";
import { authenticateWith, verdictOn } from "../../../controller/daemon/mip4/authenticators.js";
import { timeOfDay } from "../../../controller/daemon/mip4/time-of-day.js";
import { SO_BROADCAST, SOL_SOCKET } from "../../../controller/io/constants.js";
import type { IpPacket, IpSocket } from "../../../controller/io/ip/ip-socket.js";
import { openUdpSocket } from "../../../controller/io/ip/udp-socket.js";
import type { RegistrationExtension } from "../../../controller/wire/mip4/extensions/registration.js";
import { authenticationsOf, encodeAuthenticated } from "../../../controller/wire/mip4/messages/authenticated-octets.js";
import {
  decodeControlMessage,
  type RegistrationReply,
} from "../../../controller/wire/mip4/messages/control-message.js";
import {
  type Identification,
  type RequestFlags,
  requestFlags,
} from "../../../controller/wire/mip4/messages/registration.js";
import type { Namespace } from "./namespace.js";
import { waitFor } from "./wait.js";

export const MIP4_PORT = 434;

export interface Mip4Key {
  readonly spi: number;
  /** Hexadecimal. */
  readonly key: string;
}

export interface Request {
  readonly homeAddress?: Ipv4Address;
  readonly homeAgent?: Ipv4Address;
  readonly careOfAddress?: Ipv4Address;
  readonly lifetimeSeconds?: number;
  readonly flags?: Partial<RequestFlags>;
  readonly identification?: Identification;
  /** In front of the node's authentication. */
  readonly extensions?: readonly RegistrationExtension[];
  /** Where it is sent to; default the home agent. */
  readonly to?: Ipv4Address;
  /** Of the node's authentication; default the right one. */
  readonly key?: Mip4Key | undefined;
  /** Without the node's authentication. */
  readonly unauthenticated?: boolean;
  /** Of a Foreign-Home authentication behind the node's; default none. */
  readonly foreignAgentKey?: Mip4Key;
}

export interface Heard {
  readonly reply: RegistrationReply;
  readonly packet: IpPacket<Ipv4Address>;
  /** The home agent's authenticator is right. */
  readonly authentic: boolean;
}

const NONE = new Uint8Array(0);
/** A co-located care-of address and a reverse tunnel. */
export const CO_LOCATED: Partial<RequestFlags> = { decapsulatesItself: true, reverseTunnelling: true };

export class Mip4Peer {
  readonly address: Ipv4Address;
  readonly homeAddress: Ipv4Address;
  readonly key: Mip4Key;
  readonly heard: Heard[] = [];
  readonly #homeAgent: Ipv4Address;
  readonly #socket: IpSocket<Ipv4Address>;
  #latest = 0;

  constructor(
    namespace: Pick<Namespace, "path">,
    from: { readonly address: Ipv4Address; readonly port?: number },
    node: { readonly homeAddress: Ipv4Address; readonly homeAgent: Ipv4Address; readonly key: Mip4Key },
  ) {
    this.address = from.address;
    this.homeAddress = node.homeAddress;
    this.key = node.key;
    this.#homeAgent = node.homeAgent;
    this.#socket = openUdpSocket({
      family: 4,
      netns: namespace.path,
      address: from.address,
      port: from.port ?? MIP4_PORT,
      freebind: true,
    });
    this.#socket.socket.setOption(SOL_SOCKET, SO_BROADCAST, 1);
    this.#socket.listen({
      onPackets: (packets) => {
        for (const packet of packets) this.#take(packet);
      },
      onError: () => undefined,
    });
  }

  /** The present time, and later than any before. */
  timestamp(): Identification {
    this.#latest = Math.max(Date.now(), this.#latest + 1);
    return timeOfDay(this.#latest);
  }

  /** The octets of a request; the same may be sent again. */
  request(request: Request = {}): Uint8Array {
    const { key = this.key, extensions = [] } = request;
    const authentication = { kind: "mobile-home-authentication", spi: key.spi, authenticator: NONE } as const;
    const { foreignAgentKey } = request;
    const foreignAgent: readonly RegistrationExtension[] =
      foreignAgentKey === undefined
        ? []
        : [{ kind: "foreign-home-authentication", spi: foreignAgentKey.spi, authenticator: NONE }];
    return encodeAuthenticated(
      {
        type: "registration-request",
        flags: requestFlags(request.flags ?? CO_LOCATED),
        lifetimeSeconds: request.lifetimeSeconds ?? 600,
        homeAddress: request.homeAddress ?? this.homeAddress,
        homeAgent: request.homeAgent ?? this.#homeAgent,
        careOfAddress: request.careOfAddress ?? this.address,
        identification: request.identification ?? this.timestamp(),
        extensions: [...extensions, ...(request.unauthenticated === true ? [] : [authentication]), ...foreignAgent],
      },
      authenticateWith(({ kind }) => {
        const used = kind === "foreign-home-authentication" ? (foreignAgentKey ?? key) : key;
        return { algorithm: "hmac-md5", key: new Secret(fromHex(used.key)) };
      }),
    );
  }

  send(octets: Uint8Array, to: Ipv4Address = this.#homeAgent): void {
    this.#socket.send([{ data: octets, source: this.address, destination: to, destinationPort: MIP4_PORT }]);
  }

  /** The answer to this request, which is sent once. */
  async ask(request: Request = {}): Promise<Heard> {
    const before = this.heard.length;
    this.send(this.request(request), request.to);
    return waitFor(() => this.heard[before], { what: `an answer to ${this.homeAddress} at ${this.address}` });
  }

  /** Asks again and again, as nodes do, until the answer has this code. */
  async askUntil(code: number, request: Request = {}): Promise<Heard> {
    return waitFor(
      async () => {
        const heard = await this.ask(request);
        return heard.reply.code === code && heard;
      },
      { what: `code ${code}`, timeout: 15_000, interval: 300 },
    );
  }

  close(): void {
    this.#socket.close();
  }

  #take(packet: IpPacket<Ipv4Address>): void {
    const message = decodeControlMessage(packet.data);
    if (!message.ok || message.value.type !== "registration-reply") return;
    const key = new Secret(fromHex(this.key.key));
    const verdicts = authenticationsOf(packet.data).map((one) =>
      verdictOn(one, () => ({ algorithm: "hmac-md5", key })),
    );
    this.heard.push({ reply: message.value, packet, authentic: verdicts.includes("valid") });
  }
}

export const peerKey = (number: number): Mip4Key => ({
  spi: 256 + number,
  key: `00112233445566778899aabbccddee0${number}`,
});
