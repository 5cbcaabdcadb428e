/** How one extension is described: its kind, its numbers, its format and its fields. */
import { type Field, type Shape, type Simplify, type StructValue, struct } from "../../codec.js";

/**
 * simple: Type, 8-bit Length, data (RFC 5944 §1.9). short: the same with a Sub-Type as the first octet of the data (§1.11).
 * long: Type, Sub-Type, 16-bit Length that counts neither of them (§1.10); never skippable.
 */
export type ExtensionFormat = "simple" | "short" | "long";

export interface ExtensionCodec<K extends string, V> {
  readonly kind: K;
  readonly type: number;
  readonly format: ExtensionFormat;
  /** Of the short and the long format. */
  readonly subtype?: number;
  /** After type, length and subtype. */
  readonly fields: Field<V>;
  /** Whether `data` (after the Length octet) is to be handled as not understood; only of skippable ones. */
  notUnderstood?(data: Uint8Array): boolean;
}

/** The member of the union that a codec reads and writes. */
export type ExtensionOf<C> = C extends ExtensionCodec<infer K, infer V> ? Simplify<{ readonly kind: K } & V> : never;

export function extension<const K extends string, const S extends Shape>(
  kind: K,
  type: number,
  shape: S,
): ExtensionCodec<K, StructValue<S>> {
  return { kind, type, format: "simple", fields: struct(shape) };
}

export function subtyped<const K extends string, const S extends Shape>(
  kind: K,
  numbers: { readonly type: number; readonly subtype: number; readonly format: "short" | "long" },
  shape: S,
): ExtensionCodec<K, StructValue<S>> {
  return { kind, ...numbers, fields: struct(shape) };
}
