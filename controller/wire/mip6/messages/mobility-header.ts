/**
 * The Mobility Header (RFC 6275 §6.1.1): outer header, dispatch by MH type, checksum. Must not know what a message is for.
 *
 *   0 | Payload Proto |  Header Len   |    MH Type    |   Reserved    |
 *   4 |           Checksum            |        message data …         |
 */
import { ByteReader, ByteWriter } from "../../../base/bytes.js";
import { DecodeError, EncodeError } from "../../../base/errors.js";
import type { Ipv6Address } from "../../../base/ip.js";
import type { Result } from "../../../base/result.js";
import { decoding } from "../../codec.js";
import { upperLayerChecksum, withUpperLayerChecksum } from "../../ip/checksum.js";
import { Protocol } from "../../ip/registry.js";
import { decodeOptionSpans, encodeOptions, type OptionSpan } from "../options/mobility.js";
import type { CodecContext } from "../profile.js";
import type { MessageCodec } from "./codec.js";
import { MESSAGE_CODECS, type MobilityMessage } from "./mobility-message.js";

export type {
  BindingAcknowledgement,
  BindingError,
  BindingRefreshRequest,
  BindingUpdate,
  KnownMessage,
  MessageOfType,
  MobilityMessage,
  UnknownMessage,
} from "./mobility-message.js";

/** A message with its options where they stand in the octets. */
export interface LocatedMessage {
  readonly message: MobilityMessage;
  readonly spans: readonly OptionSpan[];
  /** Octets of the Mobility Header. */
  readonly length: number;
}

type AnyCodec = MessageCodec<string, unknown>;

const CHECKSUM_OFFSET = 4;
const BODY_OFFSET = 6;
const MAX_OCTETS = 8 * 256;

const CODECS: readonly AnyCodec[] = MESSAGE_CODECS;
const BY_NAME: ReadonlyMap<string, AnyCodec> = new Map(CODECS.map((codec) => [codec.type, codec]));
const BY_MH_TYPE: ReadonlyMap<number, readonly AnyCodec[]> = new Map(
  CODECS.map(({ mhType }) => [mhType, CODECS.filter((candidate) => candidate.mhType === mhType)]),
);

/**
 * The message in `bytes`, which start with a Mobility Header. The checksum is not looked at (`verifyChecksum`). Octets after the
 * header's own length are ignored, as RFC 8200 §4.7 asks for what follows a next header of 59.
 *
 * Errors are of reason `payload-proto` and `header-length` where RFC 6275 §9.2 wants an ICMPv6 Parameter Problem, with the offset as
 * the pointer, and of reason `truncated` or `malformed` where it wants silence. The checks stand in the order of §9.2, so that an
 * unknown MH type is a value and not an error whatever else is in it.
 */
export function decodeMobilityMessage(
  bytes: Uint8Array,
  context: CodecContext = {},
): Result<MobilityMessage, DecodeError> {
  return decoding(() => locateMessage(bytes, context).message);
}

/** As decodeMobilityMessage, with the place of every option. Throws DecodeError. */
export function locateMessage(bytes: Uint8Array, context: CodecContext = {}): LocatedMessage {
  const header = new ByteReader(bytes);
  const payloadProto = header.u8("payload-proto");
  const length = 8 * (header.u8("header-length") + 1);
  const mhType = header.u8("mh-type");
  const candidates = BY_MH_TYPE.get(mhType);
  if (candidates !== undefined) {
    if (payloadProto !== Protocol.none) {
      throw new DecodeError(`payload protocol ${payloadProto}`, {
        offset: 0,
        field: "payload-proto",
        reason: "payload-proto",
      });
    }
    if (length < 8 * ((candidates[0]?.minimumHeaderLength ?? 0) + 1)) throw headerTooShort(length, mhType);
  }
  if (length > bytes.length) {
    throw new DecodeError(`${length} octets stated, ${bytes.length} there`, {
      offset: bytes.length,
      field: "mobility-header",
      reason: "truncated",
    });
  }
  const whole = bytes.subarray(0, length);
  if (candidates === undefined) {
    return { message: { type: "unknown", mhType, body: whole.slice(BODY_OFFSET) }, spans: [], length };
  }
  return decodeKnown(whole, mhType, candidates, context);
}

function decodeKnown(
  whole: Uint8Array,
  mhType: number,
  candidates: readonly AnyCodec[],
  context: CodecContext,
): LocatedMessage {
  const reader = new ByteReader(whole);
  reader.bytes(BODY_OFFSET, "mobility-header");
  let codec = candidates[0];
  if (codec?.subtype !== undefined) {
    const subtype = reader.u8("subtype");
    codec = candidates.find((candidate) => candidate.subtype === subtype);
    if (codec === undefined) throw reader.error(`subtype ${subtype} is not defined`, "subtype", BODY_OFFSET);
  }
  if (codec === undefined) throw reader.error(`MH type ${mhType}`, "mh-type", 2);
  let value: object;
  try {
    value = codec.fields.decode(reader, codec.type) as object;
  } catch (error) {
    // The octets are there as far as Header Len goes, so it is Header Len that is too small for this message.
    if (error instanceof DecodeError && error.reason === "truncated") throw headerTooShort(whole.length, mhType);
    throw error;
  }
  const spans = decodeOptionSpans(whole, reader.offset, context);
  const options = spans.map(({ option }) => option);
  return { message: { type: codec.type, ...value, options } as MobilityMessage, spans, length: whole.length };
}

function headerTooShort(length: number, mhType: number): DecodeError {
  return new DecodeError(`${length} octets are too few for MH type ${mhType}`, {
    offset: 1,
    field: "header-length",
    reason: "header-length",
  });
}

/** The octets of a message, its checksum field zero. Throws EncodeError for a value that does not fit its field. */
export function encodeMobilityMessage(message: MobilityMessage, context: CodecContext = {}): Uint8Array {
  const writer = new ByteWriter(64);
  const codec = message.type === "unknown" ? undefined : BY_NAME.get(message.type);
  writer.u8("payload-proto", Protocol.none).zeros(1);
  if (message.type === "unknown") {
    if (BY_MH_TYPE.has(message.mhType)) throw new EncodeError("mhType", `${message.mhType} is not an unknown type`);
    writer.u8("mh-type", message.mhType).zeros(3).bytes(message.body);
    if (message.body.length < 2 || writer.length % 8 !== 0) {
      throw new EncodeError("body", `${writer.length} octets are not a positive multiple of 8`);
    }
  } else {
    if (codec === undefined) throw new EncodeError("type", `no such message: ${message.type}`);
    writer.u8("mh-type", codec.mhType).zeros(3);
    if (codec.subtype !== undefined) writer.u8("subtype", codec.subtype);
    codec.fields.encode(writer, message.type, message);
    encodeOptions(writer, message.options, context);
  }
  if (writer.length > MAX_OCTETS)
    throw new EncodeError("header-length", `${writer.length} octets, ${MAX_OCTETS} at most`);
  return writer.patchU8(1, writer.length / 8 - 1).finish();
}

/**
 * A copy of an encoded message with its checksum. `source` is the home address if the packet has a Home Address option, and
 * `destination` the home address if it has a type 2 routing header (RFC 6275 §6.1.1).
 */
export function withChecksum(message: Uint8Array, source: Ipv6Address, destination: Ipv6Address): Uint8Array {
  return withUpperLayerChecksum(message, CHECKSUM_OFFSET, Protocol.mobility, source, destination);
}

/** Whether the checksum of the Mobility Header at the start of `bytes` is right; false if it is not there as a whole. */
export function verifyChecksum(bytes: Uint8Array, source: Ipv6Address, destination: Ipv6Address): boolean {
  const length = 8 * ((bytes[1] ?? 0) + 1);
  if (bytes.length < length) return false;
  return upperLayerChecksum(bytes.subarray(0, length), Protocol.mobility, source, destination) === 0;
}
