/**
 * An area of extensions, which ends where its message ends (RFC 5944 §1.8): framing, padding, and which of them make a message void.
 *
 * A type of 0 to 127 that is not known makes the message void. One of 128 to 255 is kept as it is and written again, and so is one of
 * its subtypes. A known extension whose Length is not the one its format has makes the message void too: an extension read wrongly
 * could move a binding. Padding is no part of the value.
 */
import { ByteReader, ByteWriter } from "../../../base/bytes.js";
import { DecodeError, EncodeError } from "../../../base/errors.js";
import { FIRST_SKIPPABLE_TYPE } from "../registry.js";
import type { ExtensionCodec } from "./codec.js";

type AnyCodec = ExtensionCodec<string, unknown>;

/** The one-byte padding has neither length nor data; its number is the same in both numberings. */
const PADDING = 0;

/** A skippable extension that this codec does not understand; `data` follows type and length. */
export interface UnknownExtension {
  readonly kind: "unknown";
  /** 128 to 255. */
  readonly extensionType: number;
  readonly data: Uint8Array;
}

/** One extension of a message as it stands in the octets. */
export interface ExtensionSpan<E> {
  readonly extension: E;
  /** Of the type octet, from the start of the message. */
  readonly offset: number;
  /** Of the octet after the extension. */
  readonly end: number;
}

export interface ExtensionArea<E> {
  /** The extensions of `message` from octet `start` to its end. Throws DecodeError. */
  decode(message: Uint8Array, start: number): readonly ExtensionSpan<E>[];
  /** Throws EncodeError. */
  encode(writer: ByteWriter, extensions: readonly E[]): void;
}

/** An area in which the extensions of `codecs` are known. */
export function extensionArea<E extends { readonly kind: string }>(
  codecs: readonly AnyCodec[],
): ExtensionArea<E | UnknownExtension> {
  const byKind = new Map(codecs.map((codec) => [codec.kind, codec]));
  const ofType = new Map(codecs.map(({ type }) => [type, codecs.filter((codec) => codec.type === type)]));
  return {
    decode(message, start): readonly ExtensionSpan<E | UnknownExtension>[] {
      const reader = new ByteReader(message);
      reader.bytes(start, "fixed-part");
      const spans: ExtensionSpan<E | UnknownExtension>[] = [];
      while (reader.remaining > 0) {
        const offset = reader.offset;
        const type = reader.u8("extension-type");
        if (type === PADDING) continue;
        const extension = decodeOne(reader, type, ofType.get(type) ?? [], offset) as E | UnknownExtension;
        spans.push({ extension, offset, end: reader.offset });
      }
      return spans;
    },
    encode(writer, extensions): void {
      for (const one of extensions) {
        if (isUnknown(one)) encodeUnknown(writer, one, ofType.get(one.extensionType) ?? []);
        else encodeKnown(writer, one, byKind.get(one.kind));
      }
    },
  };
}

const isUnknown = (extension: { readonly kind: string }): extension is UnknownExtension => extension.kind === "unknown";

/** The codec that understands `data` (after the Length octet) of the simple or the short format. */
function understands(codecs: readonly AnyCodec[], data: Uint8Array): AnyCodec | undefined {
  const codec = codecs.find(({ format, subtype }) => format === "simple" || subtype === data[0]);
  return codec?.notUnderstood?.(data) === true ? undefined : codec;
}

function decodeOne(reader: ByteReader, type: number, codecs: readonly AnyCodec[], offset: number): object {
  if (codecs.length === 0 && type < FIRST_SKIPPABLE_TYPE) {
    throw reader.error(`extension ${type} is not known and may not be skipped`, "extension-type", offset);
  }
  if (codecs[0]?.format === "long") return decodeLong(reader, type, codecs, offset);
  const length = reader.u8("extension-length");
  const dataOffset = reader.offset;
  const data = reader.bytes(length, codecs[0]?.kind ?? "data");
  const codec = understands(codecs, data);
  if (codec === undefined) {
    if (type < FIRST_SKIPPABLE_TYPE || (codecs.length > 0 && length === 0)) {
      throw reader.error(`extension ${type} of a form that is not known`, "extension-type", offset);
    }
    return { kind: "unknown", extensionType: type, data: data.slice() };
  }
  const skip = codec.format === "short" ? 1 : 0;
  return decodeFields(codec, data.subarray(skip), dataOffset + skip, offset + 1);
}

function decodeLong(reader: ByteReader, type: number, codecs: readonly AnyCodec[], offset: number): object {
  const subtype = reader.u8("extension-subtype");
  const length = reader.u16("extension-length");
  const codec = codecs.find((candidate) => candidate.subtype === subtype);
  if (codec === undefined) {
    throw reader.error(`extension ${type} of subtype ${subtype} is not known`, "extension-type", offset);
  }
  const dataOffset = reader.offset;
  return decodeFields(codec, reader.bytes(length, codec.kind), dataOffset, offset + 2);
}

function decodeFields(codec: AnyCodec, data: Uint8Array, dataOffset: number, lengthOffset: number): object {
  const fields = new ByteReader(data, dataOffset);
  const wrongLength = (): DecodeError =>
    new DecodeError("the Length does not fit", { offset: lengthOffset, field: codec.kind });
  let value: object;
  try {
    value = codec.fields.decode(fields, codec.kind) as object;
  } catch (error) {
    // Octets missing inside an extension that is there as a whole: its Length is wrong, not the message cut short.
    if (error instanceof DecodeError && error.reason === "truncated") throw wrongLength();
    throw error;
  }
  if (fields.remaining > 0) throw wrongLength();
  return { kind: codec.kind, ...value };
}

function encodeKnown(writer: ByteWriter, extension: { readonly kind: string }, codec: AnyCodec | undefined): void {
  if (codec === undefined) throw new EncodeError("kind", `no such extension: ${extension.kind}`);
  const data = new ByteWriter(32);
  codec.fields.encode(data, codec.kind, extension);
  writer.u8("extension-type", codec.type);
  if (codec.format === "long") writer.u8("subtype", codec.subtype ?? 0).u16("extension-length", data.length);
  else if (codec.format === "short") writer.u8("extension-length", data.length + 1).u8("subtype", codec.subtype ?? 0);
  else writer.u8("extension-length", data.length);
  writer.bytes(data.finish());
}

/** A raw extension that would not come back as a raw extension is somebody else's number, or would make the message void. */
function encodeUnknown(writer: ByteWriter, extension: UnknownExtension, codecs: readonly AnyCodec[]): void {
  const { extensionType: type, data } = extension;
  const known = codecs.length > 0 && (data.length === 0 || understands(codecs, data) !== undefined);
  if (type < FIRST_SKIPPABLE_TYPE || known)
    throw new EncodeError("extensionType", `${type} is not an unknown extension`);
  writer.u8("extension-type", type).u8("extension-length", data.length).bytes(data);
}
