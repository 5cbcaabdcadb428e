/** How one ICMPv6 message is described: its type literal, its number and its fields from the code on. */
import {
  type Field,
  type ReservedField,
  reserved,
  type Shape,
  type Simplify,
  type StructValue,
  struct,
  u8,
} from "../codec.js";

export interface Icmpv6Codec<K extends string, V> {
  readonly type: K;
  readonly icmpType: number;
  /** From octet 1, the code, to the end of the message. */
  readonly fields: Field<V>;
}

export type Icmpv6MessageOf<C> = C extends Icmpv6Codec<infer K, infer V> ? Simplify<{ readonly type: K } & V> : never;

export function icmpv6<const K extends string, const S extends Shape>(
  type: K,
  icmpType: number,
  shape: S,
): Icmpv6Codec<K, StructValue<S>> {
  return { type, icmpType, fields: struct(shape) };
}

const zeroCode: ReservedField = {
  role: "reserved",
  decode(reader, name): void {
    const code = reader.u8(name);
    if (code !== 0) throw reader.error(`code ${code}, only 0 is defined`, name, reader.offset - 1);
  },
  encode: (writer) => void writer.zeros(1),
};

/** Code and checksum of messages that have no code but 0. */
export const uncoded = { code: zeroCode, checksum: reserved(2) };
/** Code and checksum of messages whose code means something. */
export const coded = { code: u8, checksum: reserved(2) };
