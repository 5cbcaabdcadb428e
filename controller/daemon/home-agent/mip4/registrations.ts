/** Between port 434 and the machine: datagrams become requests with a verdict on each authenticator, replies get theirs. */

import { randomInt } from "node:crypto";
import type { ReplyEffect, RequestInput } from "../../../protocol/mip4/home-agent/inputs.js";
import type { HomeAgentState } from "../../../protocol/mip4/home-agent/machine.js";
import { identifierOf } from "../../../protocol/mip4/home-agent/request.js";
import { decoding } from "../../../wire/codec.js";
import { authenticationsAt, encodeAuthenticated } from "../../../wire/mip4/messages/authenticated-octets.js";
import { locateControlMessage } from "../../../wire/mip4/messages/control-message.js";
import { authenticateWith, verdictOn } from "../../mip4/authenticators.js";
import type { RegistrationDatagram, RegistrationSocket } from "../../mip4/registration-socket.js";
import { timeOfDay } from "../../mip4/time-of-day.js";
import type { ServiceGround } from "../../service.js";
import type { HomeAgentAssociations } from "./associations.js";

export interface RegistrationsParts {
  readonly port: RegistrationSocket;
  readonly ground: Pick<ServiceGround, "count" | "drop" | "log" | "names">;
  readonly associations: HomeAgentAssociations;
  /** Asked for who a request is about; changed by nothing here. */
  readonly state: Pick<HomeAgentState, "subscriberFor">;
  readonly homeDevice: string | undefined;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

/** Of replies (RFC 1700). */
const TTL = 64;
/** 32 bits (RFC 5944 §5.7.2). */
const NONCES = 2 ** 32;

export class Registrations {
  readonly #parts: RegistrationsParts;

  constructor(parts: RegistrationsParts) {
    this.#parts = parts;
  }

  listen(receive: (input: RequestInput) => void): void {
    this.#parts.port.listen((datagram) => {
      const input = this.#read(datagram);
      if (input !== undefined) receive(input);
    });
  }

  #read({
    data: bytes,
    source,
    sourcePort,
    destination,
    interfaceIndex,
  }: RegistrationDatagram): RequestInput | undefined {
    const { ground, associations, state, wallClock } = this.#parts;
    const located = decoding(() => locateControlMessage(bytes));
    if (!located.ok) {
      ground.drop("malformed", `from ${source}: ${located.error.message}`);
      return undefined;
    }
    const { message, spans } = located.value;
    if (message.type !== "registration-request") {
      ground.drop("unexpected-type", `${message.type} from ${source} at port 434`);
      return undefined;
    }
    ground.count("received", message.type);
    const node = state.subscriberFor(message.homeAddress, identifierOf(message))?.node;
    const keyOf = associations.keyOf(node, source);
    return {
      kind: "request",
      arrival: {
        source,
        sourcePort,
        destination,
        device: ground.names.interfaceName(interfaceIndex) ?? `index ${interfaceIndex}`,
      },
      request: message,
      verdicts: authenticationsAt(spans, bytes).map((one) => verdictOn(one, keyOf)),
      timeOfDay: timeOfDay(wallClock()),
      // Node.js draws these in advance, thousands at once.
      nonce: randomInt(NONCES),
    };
  }

  send({ reply, node, source, destination, destinationPort, departure }: Omit<ReplyEffect, "kind">): void {
    const { port, ground, associations } = this.#parts;
    try {
      const data = encodeAuthenticated(reply, authenticateWith(associations.keyOf(node, destination)));
      const { error } = port.send({ data, source, destination, destinationPort, ttl: TTL, ...this.#link(departure) });
      if (error !== undefined) throw error;
      ground.count("sent", reply.type);
    } catch (cause) {
      ground.count("sent", "failed");
      ground.log.debug({ event: "message.unsent", to: destination, reason: String(cause) });
    }
  }

  close(): void {
    this.#parts.port.close();
  }

  /** As if there were no binding, where the routes may still know one. */
  #link(departure: ReplyEffect["departure"]): { readonly interfaceIndex?: number } {
    const { homeDevice, ground } = this.#parts;
    const index =
      departure === "home-link" && homeDevice !== undefined ? ground.names.interfaceIndex(homeDevice) : undefined;
    return index === undefined ? {} : { interfaceIndex: index };
  }
}
