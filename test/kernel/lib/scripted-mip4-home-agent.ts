/** A home agent of Mobile IPv4 that a test plays: whatever comes is kept; what is answered the test says. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { fromHex } from "../../../controller/base/bytes.js";
import type { Ipv4Address } from "../../../controller/base/ip.js";
import { Secret } from "../../../controller/base/secret.js";
import { authenticateWith } from "../../../controller/daemon/mip4/authenticators.js";
import type { IpSocket } from "../../../controller/io/ip/ip-socket.js";
import { openUdpSocket } from "../../../controller/io/ip/udp-socket.js";
import type { RegistrationExtension } from "../../../controller/wire/mip4/extensions/registration.js";
import { encodeAuthenticated } from "../../../controller/wire/mip4/messages/authenticated-octets.js";
import {
  decodeControlMessage,
  type RegistrationReply,
  type RegistrationRequest,
} from "../../../controller/wire/mip4/messages/control-message.js";
import { MIP4_PORT } from "../../../controller/wire/mip4/registry.js";
import type { Node } from "./topology.js";

export const KEY = "00112233445566778899aabbccddeeff";
export const ASSOCIATION = { spi: 256, algorithm: "hmac-md5", key: new Secret(fromHex(KEY)) } as const;
export const MOBILE_HOME = {
  kind: "mobile-home-authentication",
  spi: ASSOCIATION.spi,
  authenticator: new Uint8Array(0),
} as const;

export interface Asked {
  readonly request: RegistrationRequest;
  readonly octets: Uint8Array;
  readonly source: Ipv4Address;
  readonly sourcePort: number;
}

export function readRequest(octets: Uint8Array, source: Ipv4Address, sourcePort: number): Asked {
  const decoded = decodeControlMessage(octets);
  assert.ok(decoded.ok && decoded.value.type === "registration-request");
  return { request: decoded.value, octets, source, sourcePort };
}

/** It accepts what was asked for, but for what `part` says. */
export function replyTo(
  request: RegistrationRequest,
  part: Partial<RegistrationReply> = {},
  key: typeof ASSOCIATION = ASSOCIATION,
): Uint8Array {
  const { lifetimeSeconds, homeAddress, homeAgent, identification } = request;
  const extensions: readonly RegistrationExtension[] = [{ ...MOBILE_HOME, spi: key.spi }];
  const whole = { code: 0, lifetimeSeconds, homeAddress, homeAgent, identification, extensions, ...part };
  return encodeAuthenticated(
    { type: "registration-reply", ...whole },
    authenticateWith(() => key),
  );
}

/** RFC 3519 §3.3: no registration. */
const TUNNEL_DATA = 4;

export class ScriptedHomeAgent {
  readonly asked: Asked[] = [];
  readonly #address: Ipv4Address;
  readonly #socket: IpSocket<Ipv4Address>;
  answer: ((asked: Asked) => Uint8Array | undefined) | undefined;

  constructor(t: TestContext, node: Node, address: Ipv4Address) {
    this.#address = address;
    this.#socket = openUdpSocket({ family: 4, address, port: MIP4_PORT, netns: node.path });
    t.after(() => this.#socket.close());
    this.#socket.listen({
      onPackets: (packets) => {
        for (const { data, source, sourcePort } of packets) {
          if (data[0] === TUNNEL_DATA) continue;
          const asked = readRequest(data.slice(), source, sourcePort);
          this.asked.push(asked);
          const reply = this.answer?.(asked);
          if (reply !== undefined) this.send(asked, reply);
        }
      },
      onError: () => undefined,
    });
  }

  send({ source, sourcePort }: Asked, data: Uint8Array): void {
    this.#socket.send([{ data, source: this.#address, destination: source, destinationPort: sourcePort }]);
  }

  get latest(): Asked {
    const last = this.asked.at(-1);
    assert.ok(last !== undefined, "nothing was asked");
    return last;
  }
}
