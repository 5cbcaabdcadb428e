/** ICMPv6 messages: dispatch by type, checksum (RFC 4443 §2). An unknown type is a value, kept as it is. */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import { type DecodeError, EncodeError } from "../base/errors.js";
import type { Ipv6Address } from "../base/ip.js";
import type { Result } from "../base/result.js";
import { decoding } from "./codec.js";
import { upperLayerChecksum, withUpperLayerChecksum } from "./ip/checksum.js";
import type { Icmpv6Codec, Icmpv6MessageOf } from "./ip/icmpv6-codec.js";
import { ICMPV6_ERRORS } from "./ip/icmpv6-errors.js";
import { NEIGHBOUR_DISCOVERY } from "./ip/neighbour-discovery.js";
import { Protocol } from "./ip/registry.js";
import { ICMPV6_MOBILITY } from "./mip6/messages/icmpv6.js";

export const ICMPV6_CODECS = [...ICMPV6_ERRORS, ...NEIGHBOUR_DISCOVERY, ...ICMPV6_MOBILITY] as const;

export interface UnknownIcmpv6 {
  readonly type: "unknown";
  readonly icmpType: number;
  readonly code: number;
  /** After the checksum. */
  readonly body: Uint8Array;
}
export type Icmpv6Message = Icmpv6MessageOf<(typeof ICMPV6_CODECS)[number]> | UnknownIcmpv6;
export type Icmpv6OfType<T extends Icmpv6Message["type"]> = Extract<Icmpv6Message, { readonly type: T }>;

type AnyCodec = Icmpv6Codec<string, unknown>;
const BY_NAME: ReadonlyMap<string, AnyCodec> = new Map(ICMPV6_CODECS.map((codec) => [codec.type, codec]));
const BY_TYPE: ReadonlyMap<number, AnyCodec> = new Map(ICMPV6_CODECS.map((codec) => [codec.icmpType, codec]));

const CHECKSUM_OFFSET = 2;
const HEADER_OCTETS = 4;

/** The message that `bytes` are, as a whole. The checksum is not looked at (`verifyIcmpv6Checksum`). */
export function decodeIcmpv6(bytes: Uint8Array): Result<Icmpv6Message, DecodeError> {
  return decoding(() => {
    const reader = new ByteReader(bytes);
    const icmpType = reader.u8("icmp-type");
    const codec = BY_TYPE.get(icmpType);
    if (codec === undefined) {
      const code = reader.u8("code");
      reader.bytes(2, "checksum");
      return { type: "unknown", icmpType, code, body: reader.rest().slice() };
    }
    const value = codec.fields.decode(reader, codec.type) as object;
    if (reader.remaining > 0) throw reader.error(`${reader.remaining} octets too many`, codec.type);
    return { type: codec.type, ...value } as Icmpv6Message;
  });
}

/** The octets of a message, its checksum field zero. Throws EncodeError for a value that does not fit its field. */
export function encodeIcmpv6(message: Icmpv6Message): Uint8Array {
  const writer = new ByteWriter(64);
  if (message.type === "unknown") {
    if (BY_TYPE.has(message.icmpType)) throw new EncodeError("icmpType", `${message.icmpType} is a known type`);
    writer.u8("icmpType", message.icmpType).u8("code", message.code).zeros(2).bytes(message.body);
  } else {
    const codec = BY_NAME.get(message.type);
    if (codec === undefined) throw new EncodeError("type", `no such message: ${message.type}`);
    codec.fields.encode(writer.u8("icmp-type", codec.icmpType), message.type, message);
  }
  return writer.finish();
}

/** A copy of an encoded message with its checksum; the addresses are those of the upper layer, as for a Mobility Header. */
export function withIcmpv6Checksum(message: Uint8Array, source: Ipv6Address, destination: Ipv6Address): Uint8Array {
  return withUpperLayerChecksum(message, CHECKSUM_OFFSET, Protocol.icmpv6, source, destination);
}

export function verifyIcmpv6Checksum(message: Uint8Array, source: Ipv6Address, destination: Ipv6Address): boolean {
  if (message.length < HEADER_OCTETS) return false;
  return upperLayerChecksum(message, Protocol.icmpv6, source, destination) === 0;
}
