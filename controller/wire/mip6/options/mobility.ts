/**
 * The option area of a Mobility Header (RFC 6275 §6.2): padding, alignment, order, and the registry of option codecs.
 *
 * Unknown options are kept as they are and written again. Padding is read over whatever it holds, is not part of the value, and is
 * made anew on encoding. A known option whose Length is not the one its format has makes the whole message undecodable: RFC 6275
 * gives no way to go on with a part of a message whose meaning is in doubt, and an option read wrongly could move a binding.
 * Work is bounded by the length of a Mobility Header, at most 2048 octets.
 */
import { ByteReader, ByteWriter } from "../../../base/bytes.js";
import { DecodeError, EncodeError } from "../../../base/errors.js";
import { type CodecContext, type CodecProfile, STANDARD_PROFILE } from "../profile.js";
import { OptionType } from "../registry.js";
import { AUTH_OPTIONS } from "./auth.js";
import { BASE_OPTIONS } from "./base.js";
import type { OptionCodec, OptionOf } from "./codec.js";
import { DSMIP_OPTIONS, roModeOption, SOLIMAN_2004_TOTAL_OCTETS, soliman2004Options } from "./dsmip.js";
import { NEMO_OPTIONS } from "./nemo.js";

/** Every option with an assigned number. */
export const OPTION_CODECS = [...BASE_OPTIONS, ...NEMO_OPTIONS, ...DSMIP_OPTIONS, ...AUTH_OPTIONS] as const;

/** An option that this codec does not know; `data` follows type and length. */
export interface UnknownOption {
  readonly kind: "unknown";
  readonly optionType: number;
  readonly data: Uint8Array;
}
export type KnownOption = OptionOf<(typeof OPTION_CODECS)[number]>;
/** Options that need a codec profile (profile.ts). */
export type ProfileOption =
  | OptionOf<ReturnType<typeof roModeOption>>
  | OptionOf<ReturnType<typeof soliman2004Options>[number]>;
export type MobilityOption = KnownOption | ProfileOption | UnknownOption;
export type OptionKind = MobilityOption["kind"];
export type OptionOfKind<K extends OptionKind> = Extract<MobilityOption, { readonly kind: K }>;

type AnyCodec = OptionCodec<string, unknown>;

const BY_TYPE: ReadonlyMap<number, AnyCodec> = new Map(OPTION_CODECS.map((codec) => [codec.type, codec]));
const BY_KIND: ReadonlyMap<string, AnyCodec> = new Map(OPTION_CODECS.map((codec) => [codec.kind, codec]));

/** The first option of a kind, or undefined. */
export function findOption<K extends OptionKind>(
  options: readonly MobilityOption[],
  kind: K,
): OptionOfKind<K> | undefined {
  return options.find((candidate): candidate is OptionOfKind<K> => candidate.kind === kind);
}

/** All options of a kind in their order. */
export function findOptions<K extends OptionKind>(
  options: readonly MobilityOption[],
  kind: K,
): readonly OptionOfKind<K>[] {
  return options.filter((candidate): candidate is OptionOfKind<K> => candidate.kind === kind);
}

/** One option of a message as it stands in the octets. */
export interface OptionSpan {
  readonly option: MobilityOption;
  /** Of the option type octet, from the start of the Mobility Header. */
  readonly offset: number;
  /** Of the octet after the option. */
  readonly end: number;
}

/**
 * The options of `message` (a whole Mobility Header and nothing else) from octet `start` on, without padding.
 * Throws DecodeError.
 */
export function decodeOptionSpans(
  message: Uint8Array,
  start: number,
  context: CodecContext = {},
): readonly OptionSpan[] {
  const profile = context.profile ?? STANDARD_PROFILE;
  const reader = new ByteReader(message);
  reader.bytes(start, "fixed-part");
  const spans: OptionSpan[] = [];
  while (reader.remaining > 0) {
    const offset = reader.offset;
    const type = reader.u8("option-type");
    if (type === OptionType.pad1) continue;
    const length = reader.u8("option-length");
    if (type === OptionType.padN) {
      reader.bytes(length, "PadN");
      continue;
    }
    const option = decodeOption(reader, type, length, profile);
    checkOrder(spans.at(-1)?.option, option, profile, (text) => reader.error(text, option.kind, offset));
    spans.push({ option, offset, end: reader.offset });
  }
  const last = spans.at(-1);
  if (last?.option.kind === "binding-authorization-data" && last.end !== message.length) {
    throw reader.error("padding after the authorization data", "binding-authorization-data", last.end);
  }
  return spans;
}

function decodeOption(reader: ByteReader, type: number, length: number, profile: CodecProfile): MobilityOption {
  const dataOffset = reader.offset;
  const codec = codecFor(type, length, profile);
  if (codec === undefined) return { kind: "unknown", optionType: type, data: reader.bytes(length, "data").slice() };
  const data = reader.bytes(octetsMeant(codec, length), codec.kind);
  const fields = new ByteReader(data, dataOffset);
  if (type === profile.roModeType && (data[0] ?? 255) > 4) {
    return { kind: "unknown", optionType: type, data: data.slice() }; // an undefined mode counts as absent
  }
  let value: object;
  try {
    value = codec.fields.decode(fields, codec.kind) as object;
  } catch (error) {
    // Octets missing inside an option that is there as a whole: its Length is wrong, not the packet cut short.
    if (!(error instanceof DecodeError)) throw error;
    throw new DecodeError(`Length ${length} does not fit`, { offset: dataOffset - 1, field: codec.kind });
  }
  if (fields.remaining > 0 && codec.lenientTail !== true) {
    throw fields.error(`Length ${length} does not fit`, codec.kind, -1);
  }
  return { kind: codec.kind, ...value } as MobilityOption;
}

function codecFor(type: number, length: number, profile: CodecProfile): AnyCodec | undefined {
  if (type === profile.roModeType) return length === 0 ? undefined : roModeOption(type);
  if (profile.soliman2004 !== undefined) {
    const [homeAddress, acknowledgement] = soliman2004Options(profile.soliman2004);
    if (type === homeAddress.type && (length === 1 || length === 4)) return homeAddress;
    if (type === acknowledgement.type && (length === 1 || length === 6)) return acknowledgement;
  }
  return BY_TYPE.get(type);
}

/** Octets of data; only the 2004 draft's own Length of 1 means another number than it says (C-52). */
function octetsMeant(codec: AnyCodec, length: number): number {
  if (length !== 1) return length;
  if (codec.kind === "ipv4-home-address-2004") return SOLIMAN_2004_TOTAL_OCTETS.homeAddress - 2;
  if (codec.kind === "ipv4-address-acknowledgement-2004") return SOLIMAN_2004_TOTAL_OCTETS.acknowledgement - 2;
  return length;
}

/**
 * Binding Authorization Data ends its message (RFC 6275 §6.2.7); the route optimisation profile alone may have one per home address
 * (C-45). What follows a Mobility Message Authentication option would not be covered by it (RFC 4285 §5).
 */
function checkOrder(
  previous: MobilityOption | undefined,
  next: MobilityOption,
  profile: CodecProfile,
  error: (message: string) => Error,
): void {
  if (previous?.kind === "binding-authorization-data") {
    const combined = profile.roModeType !== undefined && next.kind === previous.kind;
    if (!combined) throw error("an option after the authorization data");
  }
  if (previous?.kind === "authentication" && next.kind !== "authentication") {
    throw error("an option after the authentication option");
  }
}

/**
 * Appends the options to a Mobility Header whose fixed part is in `writer`, each at its alignment, and pads the whole to a multiple
 * of 8 octets. Throws EncodeError.
 */
export function encodeOptions(
  writer: ByteWriter,
  options: readonly MobilityOption[],
  context: CodecContext = {},
): void {
  const profile = context.profile ?? STANDARD_PROFILE;
  let previous: MobilityOption | undefined;
  for (const option of options) {
    checkOrder(previous, option, profile, (text) => new EncodeError(option.kind, text));
    encodeOption(writer, option, profile);
    previous = option;
  }
  pad(writer, -writer.length & 7);
}

function encodeOption(writer: ByteWriter, option: MobilityOption, profile: CodecProfile): void {
  if (option.kind === "unknown") {
    checkUnknown(option, profile);
    writer.u8("option-type", option.optionType).u8("option-length", option.data.length).bytes(option.data);
    return;
  }
  const codec = codecOfKind(option.kind, profile);
  const [x, y] = codec.alignment(option);
  pad(writer, (((y - writer.length) % x) + x) % x);
  const data = new ByteWriter(24);
  codec.fields.encode(data, option.kind, option);
  writer.u8("option-type", codec.type).u8("option-length", data.length).bytes(data.finish());
}

function codecOfKind(kind: Exclude<OptionKind, "unknown">, profile: CodecProfile): AnyCodec {
  const codec =
    BY_KIND.get(kind) ??
    [
      ...(profile.roModeType === undefined ? [] : [roModeOption(profile.roModeType)]),
      ...(profile.soliman2004 === undefined ? [] : soliman2004Options(profile.soliman2004)),
    ].find((candidate) => candidate.kind === kind);
  if (codec === undefined) throw new EncodeError(kind, "this option needs a codec profile");
  return codec;
}

/** A raw option that would not come back as a raw option is somebody else's number, or padding. */
function checkUnknown(option: UnknownOption, profile: CodecProfile): void {
  const { optionType: type, data } = option;
  const undefinedMode = type === profile.roModeType && (data[0] ?? 255) > 4;
  if (
    type === OptionType.pad1 ||
    type === OptionType.padN ||
    (!undefinedMode && codecFor(type, data.length, profile))
  ) {
    throw new EncodeError("optionType", `${type} is not an unknown option`);
  }
}

function pad(writer: ByteWriter, count: number): void {
  if (count === 1) writer.u8("Pad1", OptionType.pad1);
  if (count > 1)
    writer
      .u8("PadN", OptionType.padN)
      .u8("PadN", count - 2)
      .zeros(count - 2);
}
