/** How one Mobility Header message is described: its type literal, its numbers and its fixed part. */
import { type Field, type Shape, type Simplify, type StructValue, struct } from "../../codec.js";

export interface MessageCodec<K extends string, V> {
  readonly type: K;
  readonly mhType: number;
  /** The octet at offset 6 that tells messages of one MH type apart (binding revocation). */
  readonly subtype?: number;
  /** The least Header Len that RFC 6275 §9.2 accepts for the MH type (requirements A.2). */
  readonly minimumHeaderLength: number;
  /** The fixed part from octet 6 (7 with a subtype) to the mobility options. */
  readonly fields: Field<V>;
}

/** A message's fixed part as the application sees it, without its mobility options. */
export type FixedPartOf<C> = C extends MessageCodec<infer K, infer V> ? Simplify<{ readonly type: K } & V> : never;

export function message<const K extends string, const S extends Shape>(
  type: K,
  numbers: { readonly mhType: number; readonly subtype?: number; readonly minimumHeaderLength: number },
  shape: S,
): MessageCodec<K, StructValue<S>> {
  return { type, ...numbers, fields: struct(shape) };
}
