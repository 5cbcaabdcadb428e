/**
 * VICI packets and how they stand in the stream: a length of 32 bits, a type, for some a name, for some a message
 * (strongSwan, src/libcharon/plugins/vici/README.md, "Transport protocol" and "Packet layer").
 */
import { ByteReader } from "../base/bytes.js";
import { DecodeError, EncodeError } from "../base/errors.js";
import { messageLength, nameOctets, type ViciSection, writeMessage } from "./message.js";

/** `Message`: ViciSection where packets are made, undecoded octets where they are read. */
export type ViciPacket<Message> =
  | { readonly type: "request" | "event"; readonly name: string; readonly message: Message }
  | { readonly type: "response"; readonly message: Message }
  | { readonly type: "register" | "unregister"; readonly name: string }
  | { readonly type: "unknown-command" | "confirm" | "unknown-event" };

const TYPES = [
  ...["request", "response", "unknown-command", "register"],
  ...["unregister", "confirm", "unknown-event", "event"],
] as readonly ViciPacket<unknown>["type"][]; // by their numbers on the wire

const LENGTH_OCTETS = 4;
/** VICI_MESSAGE_SIZE_MAX: the length without itself. */
export const MAX_PACKET = 512 * 1024;

/** The packet with its length in front, in one buffer. Throws EncodeError, which never shows a value. */
export function encodePacket(packet: ViciPacket<ViciSection>): Uint8Array {
  const name = "name" in packet ? nameOctets(packet.name, "name") : undefined;
  const messageAt = LENGTH_OCTETS + 1 + (name === undefined ? 0 : 1 + name.length);
  const length = messageAt + ("message" in packet ? messageLength(packet.message) : 0);
  if (length - LENGTH_OCTETS > MAX_PACKET)
    throw new EncodeError("message", `${length - LENGTH_OCTETS} octets, charon takes at most ${MAX_PACKET}`);
  const bytes = new Uint8Array(length);
  new DataView(bytes.buffer).setUint32(0, length - LENGTH_OCTETS);
  bytes[LENGTH_OCTETS] = TYPES.indexOf(packet.type);
  if (name !== undefined) {
    bytes[LENGTH_OCTETS + 1] = name.length;
    bytes.set(name, LENGTH_OCTETS + 2);
  }
  if ("message" in packet) writeMessage(packet.message, bytes, messageAt);
  return bytes;
}

/** What stands behind the length; its message is a view into the octets. Throws DecodeError. */
export function decodePacket(octets: Uint8Array): ViciPacket<Uint8Array> {
  const reader = new ByteReader(octets);
  const number = reader.u8("packet type");
  const type = TYPES[number];
  switch (type) {
    case undefined:
      throw reader.error(`${number} is no packet type`, "packet type", 0);
    case "request":
    case "event":
      return { type, name: readName(reader), message: reader.rest() };
    case "response":
      return { type, message: reader.rest() };
    case "register":
    case "unregister":
      return ending(reader, { type, name: readName(reader) });
    default:
      return ending(reader, { type });
  }
}

function readName(reader: ByteReader): string {
  const octets = reader.bytes(reader.u8("name"), "name");
  if (octets.some((octet) => octet < 0x20 || octet > 0x7e)) throw reader.error("a name that is no ASCII", "name", 1);
  return octets.reduce((name, octet) => name + String.fromCharCode(octet), "");
}

function ending(reader: ByteReader, packet: ViciPacket<Uint8Array>): ViciPacket<Uint8Array> {
  if (reader.remaining > 0) throw reader.error(`${reader.remaining} octets too many`, "packet");
  return packet;
}

/** Puts packets together from a stream's chunks. */
export class PacketReader {
  readonly #header = new Uint8Array(LENGTH_OCTETS);
  /** Of the header, or of the packet when there is one. */
  #filled = 0;
  #packet: Uint8Array | undefined;
  #failure: DecodeError | undefined;

  /**
   * Hands over each packet that the chunk completes, without its length and with memory of its own. Throws DecodeError at a length
   * beyond MAX_PACKET, and then on: nobody can say where the next packet starts.
   */
  feed(chunk: Uint8Array, onPacket: (octets: Uint8Array) => void): void {
    for (let at = 0; ; ) {
      if (this.#failure !== undefined) throw this.#failure;
      const target = this.#packet ?? this.#header;
      const part = chunk.subarray(at, at + target.length - this.#filled);
      target.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled < target.length) return;
      this.#filled = 0;
      if (this.#packet === undefined) {
        this.#begin();
      } else {
        const packet = this.#packet;
        this.#packet = undefined;
        onPacket(packet);
      }
    }
  }

  #begin(): void {
    const length = new DataView(this.#header.buffer).getUint32(0);
    if (length <= MAX_PACKET) {
      this.#packet = new Uint8Array(length);
    } else {
      const message = `a packet of ${length} octets, at most ${MAX_PACKET} are allowed`;
      this.#failure = new DecodeError(message, { offset: 0, field: "packet length" });
    }
  }
}
