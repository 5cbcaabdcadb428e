/** What is sent to UDP port 434: dispatch by the first octet, fixed part, extensions. Must not know what a message is for. */
import { ByteReader, ByteWriter } from "../../../base/bytes.js";
import { type DecodeError, EncodeError } from "../../../base/errors.js";
import type { Result } from "../../../base/result.js";
import { decoding, reserved, rest, type Simplify, type StructValue, struct, u8 } from "../../codec.js";
import {
  REGISTRATION_EXTENSIONS,
  type RegistrationExtension,
  type RegistrationExtensionSpan,
} from "../extensions/registration.js";
import { ControlMessageType } from "../registry.js";
import { replyShape, requestShape } from "./registration.js";

const tunnelDataShape = {
  /** `TunnelPayload` of what follows. */
  nextHeader: u8,
  reserved: reserved(2),
  payload: rest,
};

const FIXED_PARTS = {
  "registration-request": { type: ControlMessageType.registrationRequest, fields: struct(requestShape) },
  "registration-reply": { type: ControlMessageType.registrationReply, fields: struct(replyShape) },
  "tunnel-data": { type: ControlMessageType.tunnelData, fields: struct(tunnelDataShape) },
} as const;

interface WithExtensions {
  readonly extensions: readonly RegistrationExtension[];
}
export type RegistrationRequest = Simplify<
  { readonly type: "registration-request" } & StructValue<typeof requestShape> & WithExtensions
>;
export type RegistrationReply = Simplify<
  { readonly type: "registration-reply" } & StructValue<typeof replyShape> & WithExtensions
>;
/** Payload in UDP, which the kernel handles; it comes here only where it should not (RFC 3519 §3.3). */
export type TunnelData = Simplify<{ readonly type: "tunnel-data" } & StructValue<typeof tunnelDataShape>>;
/** A message of a type that this codec does not know: to be dropped. */
export interface UnknownControlMessage {
  readonly type: "unknown";
  readonly messageType: number;
  readonly body: Uint8Array;
}
export type RegistrationMessage = RegistrationRequest | RegistrationReply;
export type ControlMessage = RegistrationMessage | TunnelData | UnknownControlMessage;

/** A message with its extensions where they stand in the octets. */
export interface LocatedControlMessage {
  readonly message: ControlMessage;
  readonly spans: readonly RegistrationExtensionSpan[];
}

/** The message that `bytes`, the payload of a UDP datagram, are as a whole. */
export function decodeControlMessage(bytes: Uint8Array): Result<ControlMessage, DecodeError> {
  return decoding(() => locateControlMessage(bytes).message);
}

/** As decodeControlMessage, with the place of every extension. Throws DecodeError. */
export function locateControlMessage(bytes: Uint8Array): LocatedControlMessage {
  const reader = new ByteReader(bytes);
  const messageType = reader.u8("message-type");
  for (const [type, part] of Object.entries(FIXED_PARTS)) {
    if (part.type !== messageType) continue;
    const value = part.fields.decode(reader, type);
    if (type === "tunnel-data") return { message: { type, ...value } as TunnelData, spans: [] };
    const spans = REGISTRATION_EXTENSIONS.decode(bytes, reader.offset);
    const extensions = spans.map(({ extension }) => extension);
    return { message: { type, ...value, extensions } as RegistrationMessage, spans };
  }
  return { message: { type: "unknown", messageType, body: reader.rest().slice() }, spans: [] };
}

/** The octets of a message. Throws EncodeError for a value that does not fit its field. */
export function encodeControlMessage(message: ControlMessage): Uint8Array {
  const writer = new ByteWriter(128);
  switch (message.type) {
    case "unknown":
      if (Object.values(FIXED_PARTS).some(({ type }) => type === message.messageType)) {
        throw new EncodeError("messageType", `${message.messageType} is not an unknown type`);
      }
      return writer.u8("message-type", message.messageType).bytes(message.body).finish();
    case "tunnel-data":
      writer.u8("message-type", ControlMessageType.tunnelData);
      FIXED_PARTS["tunnel-data"].fields.encode(writer, message.type, message);
      return writer.finish();
    case "registration-request":
      writer.u8("message-type", ControlMessageType.registrationRequest);
      FIXED_PARTS["registration-request"].fields.encode(writer, message.type, message);
      break;
    case "registration-reply":
      writer.u8("message-type", ControlMessageType.registrationReply);
      FIXED_PARTS["registration-reply"].fields.encode(writer, message.type, message);
      break;
  }
  REGISTRATION_EXTENSIONS.encode(writer, message.extensions);
  return writer.finish();
}
