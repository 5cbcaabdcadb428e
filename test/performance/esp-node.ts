/**
 * Mobile nodes for the generator: they make binding updates under ESP (AES-GCM, RFC 4106, transport mode) and read acknowledgements in
 * user space, so that a thousand of them need one socket and no kernel objects, and two runs with the same keys send the same octets.
 */
import { createCipheriv, createDecipheriv, createHash } from "node:crypto";
import { fromHex } from "../../controller/base/bytes.js";
import { seq16 } from "../../controller/base/seq16.js";
import { decodeIpv6Packet, encodeIpv6Packet } from "../../controller/wire/ip/ipv6.js";
import { Protocol } from "../../controller/wire/ip/registry.js";
import {
  type BindingAcknowledgement,
  decodeMobilityMessage,
  encodeMobilityMessage,
  verifyChecksum,
  withChecksum,
} from "../../controller/wire/mip6/messages/mobility-header.js";
import { bindingUpdateFlags } from "../../controller/wire/mip6/messages/registration.js";
import { BindingStatus, DSMIP6_PORT } from "../../controller/wire/mip6/registry.js";
import type { Answer, LoadNode } from "./generator.js";
import { HOME_AGENT, type Kind, type MobileNode, mobileNode, PRIVATE_ADDRESS } from "./places.js";

const KEY_OCTETS = 16;
const SALT_OCTETS = 4;
const IV_OCTETS = 8;
const ICV_OCTETS = 16;
const ESP_HEADER_OCTETS = 8;

export interface Association {
  readonly spi: number;
  /** Key and salt, in hexadecimal. */
  readonly key: string;
}

export interface NodeAssociations {
  readonly update: Association;
  readonly acknowledgement: Association;
}

/** Keys that follow from the node's number: for a benchmark, secrets would be a nuisance. */
export function associationsOf({ number }: Pick<MobileNode, "number">): NodeAssociations {
  const one = (spi: number): Association => {
    const key = createHash("sha256")
      .update(`benchmark ${spi}`)
      .digest("hex")
      .slice(0, 2 * (KEY_OCTETS + SALT_OCTETS));
    return { spi, key };
  };
  return { update: one(0x1000 + 2 * number), acknowledgement: one(0x1001 + 2 * number) };
}

export class EspNode implements LoadNode {
  static readonly port = DSMIP6_PORT;
  readonly node: MobileNode;
  readonly #kind: Kind;
  readonly #associations: NodeAssociations;
  /** ESP's own sequence number; 0 is never sent (RFC 4303 §3.3.3). */
  #espSequence = 0;
  #sequence = 0;

  constructor(number: number, kind: Kind) {
    this.node = mobileNode(number);
    this.#kind = kind;
    this.#associations = associationsOf(this.node);
  }

  /** The sequence number of the last update. */
  get sequence(): number {
    return this.#sequence;
  }

  /**
   * The next binding update, as the inner packet that goes into UDP (RFC 5555 §4.1). Routers leave it to the home agent which networks are
   * theirs (RFC 3963, implicit mode).
   */
  request(lifetimeSeconds: number): Uint8Array {
    this.#sequence = (this.#sequence + 1) & 0xffff;
    const message = encodeMobilityMessage({
      type: "binding-update",
      sequence: seq16(this.#sequence),
      flags: bindingUpdateFlags({ acknowledge: true, homeRegistration: true, mobileRouter: this.#kind === "routers" }),
      lifetimeUnits: lifetimeSeconds / 4,
      options: [
        { kind: "ipv4-care-of-address", address: PRIVATE_ADDRESS },
        { kind: "ipv4-home-address", prefixLength: 32, mobileNetworkPrefix: false, address: this.node.ipv4HomeAddress },
      ],
    });
    const { homeAddress: source } = this.node;
    const destination = HOME_AGENT.ipv6;
    const payload = this.#seal(withChecksum(message, source, destination));
    return encodeIpv6Packet({
      header: { trafficClass: 0, flowLabel: 0, nextHeader: Protocol.esp, hopLimit: 64, source, destination },
      payload,
    });
  }

  answer(packet: Uint8Array): Answer {
    const { status } = this.#acknowledgement(packet);
    // 143: what a mobile router is told when the kernel took too long.
    const { insufficientResources, forwardingSetupFailed } = BindingStatus;
    if (status === insufficientResources || status === forwardingSetupFailed) return "refused";
    if (status !== BindingStatus.accepted) throw new Error(`the answer was status ${status}`);
    return "accepted";
  }

  /** The acknowledgement in an inner packet. Throws if it is not one under this node's ESP with a right checksum. */
  #acknowledgement(packet: Uint8Array): BindingAcknowledgement {
    const inner = decodeIpv6Packet(packet);
    if (!inner.ok) throw inner.error;
    const { source, destination, nextHeader } = inner.value.header;
    if (nextHeader !== Protocol.esp) throw new Error(`an answer without ESP (next header ${nextHeader})`);
    const bytes = this.#open(inner.value.payload);
    if (!verifyChecksum(bytes, source, destination)) throw new Error("an answer with a wrong checksum");
    const message = decodeMobilityMessage(bytes);
    if (!message.ok) throw message.error;
    if (message.value.type !== "binding-acknowledgement") throw new Error(`a ${message.value.type} as answer`);
    return message.value;
  }

  #seal(message: Uint8Array): Uint8Array {
    const { spi, key } = this.#associations.update;
    const padding = (4 - ((message.length + 2) % 4)) % 4;
    const plain = new Uint8Array(message.length + padding + 2);
    plain.set(message);
    for (let i = 0; i < padding; i++) plain[message.length + i] = i + 1;
    plain.set([padding, Protocol.mobility], plain.length - 2);
    const packet = new Uint8Array(ESP_HEADER_OCTETS + IV_OCTETS + plain.length + ICV_OCTETS);
    const view = new DataView(packet.buffer);
    view.setUint32(0, spi);
    view.setUint32(4, ++this.#espSequence);
    view.setUint32(ESP_HEADER_OCTETS + 4, this.#espSequence); // the IV: a counter never repeats
    const cipher = createCipheriv("aes-128-gcm", ...gcm(key, packet.subarray(ESP_HEADER_OCTETS)));
    cipher.setAAD(packet.subarray(0, ESP_HEADER_OCTETS));
    packet.set(cipher.update(plain), ESP_HEADER_OCTETS + IV_OCTETS);
    cipher.final();
    packet.set(cipher.getAuthTag(), packet.length - ICV_OCTETS);
    return packet;
  }

  #open(packet: Uint8Array): Uint8Array {
    const { spi, key } = this.#associations.acknowledgement;
    const got = new DataView(packet.buffer, packet.byteOffset).getUint32(0);
    if (got !== spi) throw new Error(`an answer with SPI ${got} instead of ${spi}`);
    const decipher = createDecipheriv("aes-128-gcm", ...gcm(key, packet.subarray(ESP_HEADER_OCTETS)));
    decipher.setAAD(packet.subarray(0, ESP_HEADER_OCTETS));
    decipher.setAuthTag(packet.subarray(packet.length - ICV_OCTETS));
    const plain = decipher.update(packet.subarray(ESP_HEADER_OCTETS + IV_OCTETS, packet.length - ICV_OCTETS));
    decipher.final();
    const [padding = 0, nextHeader] = plain.subarray(-2);
    if (nextHeader !== Protocol.mobility) throw new Error(`an answer with next header ${nextHeader} under ESP`);
    return plain.subarray(0, plain.length - 2 - padding);
  }
}

/** Key and nonce: the salt, then the IV that the packet carries (RFC 4106 §4). */
function gcm(key: string, afterHeader: Uint8Array): [key: Uint8Array, nonce: Uint8Array] {
  const octets = fromHex(key);
  const nonce = new Uint8Array(SALT_OCTETS + IV_OCTETS);
  nonce.set(octets.subarray(KEY_OCTETS));
  nonce.set(afterHeader.subarray(0, IV_OCTETS), SALT_OCTETS);
  return [octets.subarray(0, KEY_OCTETS), nonce];
}
