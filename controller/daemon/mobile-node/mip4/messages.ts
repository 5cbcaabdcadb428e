/** Registration messages between the machine and the sockets: authenticators made and judged, and which socket a request leaves by. */
import type { Ipv4Address } from "../../../base/ip.js";
import type { KernelNames } from "../../../kernel/codec.js";
import type { InterfaceNames } from "../../../kernel/names.js";
import type { Attachment, RequestEffect } from "../../../protocol/mip4/mobile-node/inputs.js";
import type { NodeInput } from "../../../protocol/mip4/mobile-node/node.js";
import { decoding } from "../../../wire/codec.js";
import { authenticationsAt, encodeAuthenticated } from "../../../wire/mip4/messages/authenticated-octets.js";
import { locateControlMessage } from "../../../wire/mip4/messages/control-message.js";
import { MIP4_PORT } from "../../../wire/mip4/registry.js";
import { authenticateWith, type KeyOf, verdictOn } from "../../mip4/authenticators.js";
import type { RegistrationSocket } from "../../mip4/registration-socket.js";
import type { AgentLink } from "./agent-link.js";
import type { NodeKeyRing } from "./site.js";

export interface MessagePorts {
  readonly names: KernelNames & Pick<InterfaceNames, "identity">;
  readonly socket: RegistrationSocket;
  readonly agents: AgentLink;
  readonly onReply: (reply: Extract<NodeInput, { readonly kind: "reply" }>) => void;
  readonly count: (direction: "received" | "sent", type: string) => void;
  readonly drop: (reason: "malformed" | "unexpected-type", detail: string) => void;
  /** A request did not leave: it is sent again when its answer is overdue. */
  readonly onUnsent: (reason: string) => void;
}

export class NodeMessages {
  readonly #ring: NodeKeyRing;
  readonly #ports: MessagePorts;
  /** The foreign agent that the latest request went to. */
  #agent: Ipv4Address | undefined;
  /** The link on which it is heard below IP, so that nothing is heard twice. */
  #agentIndex: number | undefined;

  constructor(ring: NodeKeyRing, ports: MessagePorts) {
    this.#ring = ring;
    this.#ports = ports;
  }

  send({ request, source, destination, ttl, device }: RequestEffect, attachment: Attachment | undefined): void {
    const { names, socket, agents, count, onUnsent } = this.#ports;
    const agent = agentOf(attachment);
    this.#agent = agent?.address;
    const link = names.identity(device);
    if (link === undefined) return onUnsent(`${device} is gone`);
    const data = encodeAuthenticated(request, authenticateWith(this.#keyOf));
    const mac = agent?.linkLayerAddress;
    const isDirect = attachment?.kind === "foreign-agent" && mac !== undefined && destination === agent?.address;
    this.#agentIndex = isDirect ? link.index : undefined;
    agents.hear(this.#agentIndex);
    if (isDirect) {
      const linkLayerDestination = Uint8Array.from(mac.split(":"), (part) => Number.parseInt(part, 16));
      agents.send({ data, source, destination, ttl, interfaceIndex: link.index, linkLayerDestination });
    } else {
      const sent = { data, source, destination, destinationPort: MIP4_PORT, interfaceIndex: link.index, ttl };
      const { error } = socket.send(sent);
      if (error !== undefined) return onUnsent(`from ${source} on ${device}: ${error.message}`);
    }
    count("sent", request.type);
  }

  /** `isDirect`: heard below IP. */
  receive(
    { data, source, interfaceIndex }: { data: Uint8Array; source: Ipv4Address; interfaceIndex: number },
    isDirect: boolean,
  ): void {
    const { drop, count, onReply } = this.#ports;
    if (!isDirect && interfaceIndex === this.#agentIndex) return;
    const located = decoding(() => locateControlMessage(data));
    if (!located.ok) return drop("malformed", `port ${MIP4_PORT}, from ${source}: ${located.error.message}`);
    const { message, spans } = located.value;
    if (message.type !== "registration-reply") return drop("unexpected-type", `${message.type} from ${source}`);
    count("received", message.type);
    const verdicts = authenticationsAt(spans, data).map((one) => verdictOn(one, this.#keyOf));
    onReply({ kind: "reply", source, reply: message, verdicts });
  }

  readonly #keyOf: KeyOf = ({ kind, spi }) => {
    const { home, foreign } = this.#ring;
    if (kind === "mobile-home-authentication") return spi === home.spi ? home : undefined;
    if (kind !== "mobile-foreign-authentication") return undefined;
    return foreign.find((one) => one.foreignAgent === this.#agent && one.spi === spi);
  };
}

function agentOf(attachment: Attachment | undefined) {
  if (attachment === undefined || attachment.kind === "home") return undefined;
  return attachment.kind === "foreign-agent" ? attachment.agent : attachment.through;
}
