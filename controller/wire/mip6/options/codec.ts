/** How one mobility option is described: its kind, its number, its alignment and its fields after type and length. */
import type { Field, Shape, Simplify, StructValue } from "../../codec.js";
import { struct } from "../../codec.js";

/** xn+y: the option starts at y modulo x, counted from the start of the Mobility Header (RFC 6275 §6.2.1). */
export type Alignment = readonly [x: number, y: number];

export interface OptionCodec<K extends string, V> {
  readonly kind: K;
  readonly type: number;
  readonly fields: Field<V>;
  alignment(value: V): Alignment;
  /** Whether octets after the fields, inside the option's Length, are ignored; otherwise they make the option malformed. */
  readonly lenientTail?: true;
}

/** The member of the MobilityOption union that a codec reads and writes. */
export type OptionOf<C> = C extends OptionCodec<infer K, infer V> ? Simplify<{ readonly kind: K } & V> : never;

export function option<const K extends string, const S extends Shape>(
  kind: K,
  type: number,
  alignment: Alignment,
  shape: S,
): OptionCodec<K, StructValue<S>> {
  return { kind, type, fields: struct(shape), alignment: () => alignment };
}
