/** ICMP echo request and reply (RFC 792), in octets from the ICMP header on. */
import { ByteReader, ByteWriter } from "../../base/bytes.js";
import { DecodeError } from "../../base/errors.js";
import type { Result } from "../../base/result.js";
import { decoding } from "../codec.js";
import { checksum } from "./checksum.js";

export const ICMP_ECHO_REPLY = 0;
export const ICMP_ECHO_REQUEST = 8;
const CHECKSUM_OFFSET = 2;

export interface IcmpEcho {
  readonly isReply: boolean;
  /** 16 bits; whose conversation it is. */
  readonly identifier: number;
  /** 16 bits. */
  readonly sequence: number;
  readonly data: Uint8Array;
}

export function encodeIcmpEcho({ isReply, identifier, sequence, data }: IcmpEcho): Uint8Array {
  const writer = new ByteWriter(8 + data.length);
  writer.u8("type", isReply ? ICMP_ECHO_REPLY : ICMP_ECHO_REQUEST).zeros(3);
  writer.u16("identifier", identifier).u16("sequence", sequence).bytes(data);
  return writer.patchU16(CHECKSUM_OFFSET, checksum(writer.finish())).finish();
}

/** The checksum is verified. */
export function decodeIcmpEcho(bytes: Uint8Array): Result<IcmpEcho, DecodeError> {
  return decoding(() => {
    const reader = new ByteReader(bytes);
    const type = reader.u8("type");
    if (type !== ICMP_ECHO_REPLY && type !== ICMP_ECHO_REQUEST)
      throw new DecodeError(`type ${type}`, { offset: 0, field: "type" });
    reader.bytes(3, "code");
    const [identifier, sequence] = [reader.u16("identifier"), reader.u16("sequence")];
    if (checksum(bytes) !== 0)
      throw new DecodeError("wrong checksum", { offset: CHECKSUM_OFFSET, field: "checksum", reason: "checksum" });
    return { isReply: type === ICMP_ECHO_REPLY, identifier, sequence, data: reader.rest() };
  });
}
