/**
 * Field tables: a structure on the wire is written down once, as an ordered table of fields, and its TypeScript type, its decoder
 * and its encoder are all derived from that table, so the three cannot drift apart. Irregular structures implement `Field` by hand.
 *
 * Must not know: any protocol. Network byte order throughout; reserved bits are sent as zero and ignored on receipt; a value that
 * does not fit its field is an EncodeError, octets that are not there are a DecodeError.
 */
import type { ByteReader, ByteWriter } from "../base/bytes.js";
import { DecodeError, EncodeError, InvariantError } from "../base/errors.js";
import {
  type Ipv4Address,
  type Ipv6Address,
  ipToBytes,
  ipv4FromBytes,
  ipv6FromBytes,
  isIpv4,
  isIpv6,
} from "../base/ip.js";
import { err, ok, type Result } from "../base/result.js";
import { type Seq16, seq16 } from "../base/seq16.js";

/** One field of a structure. `name` is the name of the field in errors. */
export interface Field<T> {
  decode(reader: ByteReader, name: string): T;
  encode(writer: ByteWriter, name: string, value: T): void;
}

/** Octets without a value: zero on send, ignored on receipt. Its key in a table does not appear in the derived type. */
export interface ReservedField extends Field<unknown> {
  readonly role: "reserved";
}

/** A field whose parts become members of the structure around it. Its own key does not appear in the derived type. */
export interface InlineField<T> extends Field<T> {
  readonly role: "inline";
}

/** Fields in wire order. */
export type Shape = { readonly [name: string]: Field<unknown> };

export type Value<F> = F extends Field<infer T> ? T : never;

type UnionToIntersection<U> = (U extends unknown ? (value: U) => void : never) extends (value: infer I) => void
  ? I
  : never;
export type Simplify<T> = { readonly [K in keyof T]: T[K] };
type Named<S extends Shape> = {
  readonly [K in keyof S as S[K] extends { readonly role: "reserved" | "inline" } ? never : K]: Value<S[K]>;
};
type Inlined<S extends Shape> = UnionToIntersection<
  { [K in keyof S]: S[K] extends InlineField<infer T> ? T : never }[keyof S]
>;
/** The value that a table of fields stands for. */
export type StructValue<S extends Shape> = Simplify<Named<S> & Inlined<S>>;

const roleOf = (field: Field<unknown>): string | undefined =>
  "role" in field && typeof field.role === "string" ? field.role : undefined;

/** A structure: its fields one after the other. */
export function struct<const S extends Shape>(shape: S): Field<StructValue<S>> {
  const fields = Object.entries(shape).map(([key, field]) => ({ key, field, role: roleOf(field) }));
  return {
    decode(reader): StructValue<S> {
      const value: Record<string, unknown> = {};
      for (const { key, field, role } of fields) {
        const part = field.decode(reader, key);
        if (role === "inline") Object.assign(value, part);
        else if (role !== "reserved") value[key] = part;
      }
      return value as StructValue<S>;
    },
    encode(writer, _name, value): void {
      const members: { readonly [key: string]: unknown } = value;
      for (const { key, field, role } of fields) field.encode(writer, key, role === "inline" ? members : members[key]);
    },
  };
}

export const u8: Field<number> = {
  decode: (reader, name) => reader.u8(name),
  encode: (writer, name, value) => void writer.u8(name, value),
};

export const u16: Field<number> = {
  decode: (reader, name) => reader.u16(name),
  encode: (writer, name, value) => void writer.u16(name, value),
};

export const u32: Field<number> = {
  decode: (reader, name) => reader.u32(name),
  encode: (writer, name, value) => void writer.u32(name, value),
};

/** A sequence number modulo 2^16. */
export const sequence: Field<Seq16> = {
  decode: (reader, name) => seq16(reader.u16(name)),
  encode: (writer, name, value) => void writer.u16(name, value),
};

export const ipv4Address: Field<Ipv4Address> = {
  decode: (reader, name) => ipv4FromBytes(reader.bytes(4, name)),
  encode(writer, name, value): void {
    if (!isIpv4(value)) throw new EncodeError(name, `${value} is not an IPv4 address`);
    writer.bytes(ipToBytes(value));
  },
};

export const ipv6Address: Field<Ipv6Address> = {
  decode: (reader, name) => ipv6FromBytes(reader.bytes(16, name)),
  encode(writer, name, value): void {
    if (!isIpv6(value)) throw new EncodeError(name, `${value} is not an IPv6 address`);
    writer.bytes(ipToBytes(value));
  },
};

/** Exactly `length` octets; a copy, so that a decoded value does not keep a packet buffer alive. */
export function octets(length: number): Field<Uint8Array> {
  return {
    decode: (reader, name) => reader.bytes(length, name).slice(),
    encode(writer, name, value): void {
      if (value.length !== length) throw new EncodeError(name, `${value.length} octets, ${length} wanted`);
      writer.bytes(value);
    },
  };
}

/** All octets to the end of the structure; a copy. */
export const rest: Field<Uint8Array> = {
  decode: (reader) => reader.rest().slice(),
  encode: (writer, _name, value) => void writer.bytes(value),
};

export function reserved(length: number): ReservedField {
  return {
    role: "reserved",
    decode: (reader, name) => void reader.bytes(length, name),
    encode: (writer) => void writer.zeros(length),
  };
}

/** Fields of the same kind up to the end of the structure, which must end with one of them. */
export function listToEnd<T>(item: Field<T>): Field<readonly T[]> {
  return {
    decode(reader, name): readonly T[] {
      const list: T[] = [];
      while (reader.remaining > 0) list.push(item.decode(reader, name));
      return list;
    },
    encode(writer, name, value): void {
      for (const part of value) item.encode(writer, name, part);
    },
  };
}

/** A run of bits that is a number; a bare mask in a table stands for a flag. */
export interface BitRun {
  readonly run: number;
}
export const run = (mask: number): BitRun => ({ run: mask });
export type BitTable = { readonly [name: string]: number | BitRun };
export type BitsValue<T extends BitTable> = { readonly [K in keyof T]: T[K] extends BitRun ? number : boolean };

/** One word of flags (a one-bit mask each) and small numbers (`run(mask)`). Bits outside all masks are reserved. */
export function bits<const T extends BitTable>(width: 1 | 2 | 4, table: T): Field<BitsValue<T>> {
  const word = width === 1 ? u8 : width === 2 ? u16 : u32;
  const parts = Object.entries(table).map(([key, spec]) => {
    const isFlag = typeof spec === "number";
    const mask = isFlag ? spec : spec.run;
    return { key, isFlag, mask, shift: 31 - Math.clz32(mask & -mask) };
  });
  checkMasks(parts, width);
  return {
    decode(reader, name): BitsValue<T> {
      const raw = word.decode(reader, name);
      const value: Record<string, unknown> = {};
      for (const { key, isFlag, mask, shift } of parts) {
        const part = (raw & mask) >>> shift;
        value[key] = isFlag ? part === 1 : part;
      }
      return value as BitsValue<T>;
    },
    encode(writer, name, value): void {
      let raw = 0;
      for (const { key, mask, shift } of parts) {
        const part = Number(value[key]);
        const max = mask >>> shift;
        if (!Number.isInteger(part) || part < 0 || part > max)
          throw new EncodeError(key, `${part} is not in 0..${max}`);
        raw |= part << shift;
      }
      word.encode(writer, name, raw >>> 0);
    },
  };
}

function checkMasks(
  parts: readonly { key: string; isFlag: boolean; mask: number; shift: number }[],
  width: number,
): void {
  let seen = 0;
  for (const { key, isFlag, mask, shift } of parts) {
    const high = (mask >>> shift) + 1;
    const contiguous = mask !== 0 && (high & (high - 1)) === 0;
    if (!contiguous || (isFlag && high !== 2) || mask >= 2 ** (8 * width) || (seen & mask) !== 0) {
      throw new InvariantError(`the mask 0x${mask.toString(16)} of ${key} is not usable`);
    }
    seen |= mask;
  }
}

/** The parts of `field` as members of the structure around it. */
export function inline<T>(field: Field<T>): InlineField<T> {
  return { role: "inline", decode: field.decode.bind(field), encode: field.encode.bind(field) };
}

/** The value of `decode`, or the DecodeError that it throws. Anything else it throws is a bug and passes through. */
export function decoding<T>(decode: () => T): Result<T, DecodeError> {
  try {
    return ok(decode());
  } catch (error) {
    if (error instanceof DecodeError) return err(error);
    throw error;
  }
}
