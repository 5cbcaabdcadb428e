/**
 * Neighbour discovery options (RFC 4861 §4.6), with the additions of RFC 6275 §7.2 to §7.4. Length counts units of 8 octets from the
 * option type octet on; a Length of zero makes the message undecodable, and an unknown option is kept as it is.
 */
import { ByteReader, ByteWriter } from "../../base/bytes.js";
import { DecodeError, EncodeError } from "../../base/errors.js";
import {
  bits,
  type Field,
  ipv6Address,
  reserved,
  rest,
  type Shape,
  type Simplify,
  type StructValue,
  struct,
  u8,
  u16,
  u32,
} from "../codec.js";
import { NdOptionType } from "./registry.js";

interface NdOptionCodec<K extends string, V> {
  readonly kind: K;
  readonly type: number;
  readonly fields: Field<V>;
}
type NdOptionOf<C> = C extends NdOptionCodec<infer K, infer V> ? Simplify<{ readonly kind: K } & V> : never;

function ndOption<const K extends string, const S extends Shape>(
  kind: K,
  type: number,
  shape: S,
): NdOptionCodec<K, StructValue<S>> {
  return { kind, type, fields: struct(shape) };
}

export const ND_OPTION_CODECS = [
  ndOption("source-link-layer-address", NdOptionType.sourceLinkLayerAddress, {
    /** 6 octets on Ethernet; 2 less than a multiple of 8. */
    address: rest,
  }),
  ndOption("target-link-layer-address", NdOptionType.targetLinkLayerAddress, { address: rest }),
  ndOption("prefix-information", NdOptionType.prefixInformation, {
    prefixLength: u8,
    flags: bits(1, {
      onLink: 0x80,
      autonomous: 0x40,
      /** R: `prefix` is a whole address of the router (RFC 6275 §7.2). */
      routerAddress: 0x20,
    }),
    validLifetimeSeconds: u32,
    preferredLifetimeSeconds: u32,
    reserved: reserved(4),
    prefix: ipv6Address,
  }),
  ndOption("mtu", NdOptionType.mtu, { reserved: reserved(2), mtu: u32 }),
  ndOption("advertisement-interval", NdOptionType.advertisementInterval, {
    reserved: reserved(2),
    /** Greatest time between unsolicited multicast advertisements. */
    milliseconds: u32,
  }),
  ndOption("home-agent-information", NdOptionType.homeAgentInformation, {
    flags: bits(2, {
      /** R: the home agent serves mobile routers (RFC 3963 §7). */
      mobileRouter: 0x8000,
    }),
    /** Higher is better. */
    preference: u16,
    lifetimeSeconds: u16,
  }),
] as const;

export interface UnknownNdOption {
  readonly kind: "unknown";
  readonly optionType: number;
  /** After type and Length; 2 less than a multiple of 8. */
  readonly data: Uint8Array;
}
export type NdOption = NdOptionOf<(typeof ND_OPTION_CODECS)[number]> | UnknownNdOption;

type AnyCodec = NdOptionCodec<string, unknown>;
const BY_TYPE: ReadonlyMap<number, AnyCodec> = new Map(ND_OPTION_CODECS.map((codec) => [codec.type, codec]));
const BY_KIND: ReadonlyMap<string, AnyCodec> = new Map(ND_OPTION_CODECS.map((codec) => [codec.kind, codec]));

/** Options to the end of the message. */
export const ndOptions: Field<readonly NdOption[]> = {
  decode(reader): readonly NdOption[] {
    const list: NdOption[] = [];
    while (reader.remaining > 0) list.push(decodeOption(reader));
    return list;
  },
  encode(writer, _name, value): void {
    for (const option of value) encodeOption(writer, option);
  },
};

function decodeOption(reader: ByteReader): NdOption {
  const optionType = reader.u8("option-type");
  const units = reader.u8("option-length");
  if (units === 0) throw reader.error("Length 0", "option-length", reader.offset - 1);
  const data = reader.bytes(8 * units - 2, "option-data");
  const codec = BY_TYPE.get(optionType);
  if (codec === undefined) return { kind: "unknown", optionType, data: data.slice() };
  const fields = new ByteReader(data);
  let value: object | undefined;
  try {
    value = codec.fields.decode(fields, codec.kind) as object;
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
  }
  if (value === undefined || fields.remaining > 0) {
    throw reader.error(`Length ${units} does not fit`, codec.kind, reader.offset - data.length - 1);
  }
  return { kind: codec.kind, ...value } as NdOption;
}

function encodeOption(writer: ByteWriter, option: NdOption): void {
  const body = new ByteWriter(32);
  let type: number;
  if (option.kind === "unknown") {
    type = option.optionType;
    if (BY_TYPE.has(type)) throw new EncodeError("optionType", `${type} is a known option`);
    body.bytes(option.data);
  } else {
    const codec = BY_KIND.get(option.kind);
    if (codec === undefined) throw new EncodeError("kind", `no such option: ${option.kind}`);
    type = codec.type;
    codec.fields.encode(body, option.kind, option);
  }
  const octets = body.length + 2;
  if (octets % 8 !== 0) throw new EncodeError(option.kind, `${octets} octets are not a multiple of 8`);
  writer
    .u8("option-type", type)
    .u8("option-length", octets / 8)
    .bytes(body.finish());
}
