/**
 * ESP in transport mode with AES-GCM (RFC 4303, RFC 4106) in user space, and the binding updates in it: so that a test can play any
 * number of mobile nodes, honest ones and others, in one process. Written apart from the product, which leaves ESP to the kernel.
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import type { Ipv6Address } from "../../controller/base/ip.js";
import { type Seq16, seq16 } from "../../controller/base/seq16.js";
import { encodeIpv6Packet } from "../../controller/wire/ip/ipv6.js";
import { Protocol } from "../../controller/wire/ip/registry.js";
import {
  encodeMobilityMessage,
  type MobilityMessage,
  withChecksum,
} from "../../controller/wire/mip6/messages/mobility-header.js";
import { type BindingUpdateFlags, bindingUpdateFlags } from "../../controller/wire/mip6/messages/registration.js";
import type { MobilityOption } from "../../controller/wire/mip6/options/mobility.js";
import { SOLIMAN_2004_PROFILE } from "../../controller/wire/mip6/profile.js";

const SALT_OCTETS = 4;
const IV_OCTETS = 8;
const ICV_OCTETS = 16;
const HEADER_OCTETS = 8;

export interface SecurityAssociation {
  readonly spi: number;
  /** AES key and four octets of salt, as in the key file: 20, 28 or 36 octets. */
  readonly key: Uint8Array;
}

export interface OpenedEsp {
  readonly sequence: number;
  readonly nextHeader: number;
  readonly payload: Uint8Array;
}

function cipherOf(key: Uint8Array): "aes-128-gcm" | "aes-192-gcm" | "aes-256-gcm" {
  return `aes-${(key.length - SALT_OCTETS) * 8}-gcm` as "aes-128-gcm";
}

/** The sending end of a security association. */
export class EspSender {
  readonly #association: SecurityAssociation;
  /** Of the last packet sealed with a number of its own choice. */
  sequence = 0;

  constructor(association: SecurityAssociation) {
    this.#association = association;
  }

  /** Header, initialisation vector, ciphertext and check value. `sequence` overrides the next number. */
  seal(payload: Uint8Array, nextHeader: number = Protocol.mobility, sequence = ++this.sequence): Uint8Array {
    const { spi, key } = this.#association;
    const header = Buffer.alloc(HEADER_OCTETS);
    header.writeUInt32BE(spi, 0);
    header.writeUInt32BE(sequence, 4);
    const padding = -(payload.length + 2) & 3;
    const trailer = [...Array.from({ length: padding }, (_, i) => i + 1), padding, nextHeader];
    const iv = randomBytes(IV_OCTETS);
    const salt = key.subarray(key.length - SALT_OCTETS);
    const cipher = createCipheriv(cipherOf(key), key.subarray(0, key.length - SALT_OCTETS), Buffer.concat([salt, iv]));
    cipher.setAAD(header);
    const parts = [header, iv, cipher.update(payload), cipher.update(Uint8Array.from(trailer)), cipher.final()];
    return new Uint8Array(Buffer.concat([...parts, cipher.getAuthTag()]));
  }
}

/** What is in an ESP packet; throws if it is of another association or was tampered with. */
export function openEsp(packet: Uint8Array, { spi, key }: SecurityAssociation): OpenedEsp {
  const bytes = Buffer.from(packet);
  if (bytes.readUInt32BE(0) !== spi) throw new Error(`SPI ${bytes.readUInt32BE(0)} instead of ${spi}`);
  const iv = bytes.subarray(HEADER_OCTETS, HEADER_OCTETS + IV_OCTETS);
  const salt = key.subarray(key.length - SALT_OCTETS);
  const decipher = createDecipheriv(
    cipherOf(key),
    key.subarray(0, key.length - SALT_OCTETS),
    Buffer.concat([salt, iv]),
  );
  decipher.setAAD(bytes.subarray(0, HEADER_OCTETS));
  decipher.setAuthTag(bytes.subarray(bytes.length - ICV_OCTETS));
  const ciphertext = bytes.subarray(HEADER_OCTETS + IV_OCTETS, bytes.length - ICV_OCTETS);
  const plain = new Uint8Array(Buffer.concat([decipher.update(ciphertext), decipher.final()]));
  const padding = plain[plain.length - 2] ?? 0;
  return {
    sequence: bytes.readUInt32BE(4),
    nextHeader: plain[plain.length - 1] ?? 0,
    payload: plain.subarray(0, plain.length - 2 - padding),
  };
}

export interface UpdateFields {
  readonly sequence: number;
  readonly lifetimeUnits?: number;
  readonly flags?: Partial<BindingUpdateFlags>;
  readonly options?: readonly MobilityOption[];
}

/** Of option 29: RFC 5555's and the 2004 draft's. */
const EITHER_FORM = { profile: SOLIMAN_2004_PROFILE };

/** A home registration that asks for an acknowledgement, as octets with its checksum. */
export function bindingUpdate(fields: UpdateFields, source: Ipv6Address, destination: Ipv6Address): Uint8Array {
  const { sequence, lifetimeUnits = 150, flags = { acknowledge: true, homeRegistration: true }, options = [] } = fields;
  const wireSequence: Seq16 = seq16(sequence);
  const message: MobilityMessage = {
    type: "binding-update",
    sequence: wireSequence,
    flags: bindingUpdateFlags(flags),
    lifetimeUnits,
    options,
  };
  return withChecksum(encodeMobilityMessage(message, EITHER_FORM), source, destination);
}

/** An IPv6 packet with ESP as its only header: what goes into UDP (RFC 5555 §4.1). */
export function espPacket(source: Ipv6Address, destination: Ipv6Address, esp: Uint8Array): Uint8Array {
  const header = { trafficClass: 0, flowLabel: 0, nextHeader: Protocol.esp, hopLimit: 64, source, destination };
  return encodeIpv6Packet({ header, payload: esp });
}
