/**
 * Strict readers and writers over octets. Reading past the end is a DecodeError that names the field and the offset, never a
 * clamped value; writing a number that does not fit its field is an EncodeError, never a masked one.
 * Network byte order throughout (netlink has its own, native-endian codec in netlink/attribute.ts).
 */
import { DecodeError, EncodeError } from "./errors.js";

export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #base: number;
  #offset = 0;

  /** `base` is added to the offsets in errors, for a reader over a part of a larger packet. */
  constructor(bytes: Uint8Array, base = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#base = base;
  }

  /** Octets read so far. */
  get offset(): number {
    return this.#offset;
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  u8(field: string): number {
    return this.#view.getUint8(this.#take(1, field));
  }

  u16(field: string): number {
    return this.#view.getUint16(this.#take(2, field));
  }

  u32(field: string): number {
    return this.#view.getUint32(this.#take(4, field));
  }

  /** A copy-free view of the next `length` octets. */
  bytes(length: number, field: string): Uint8Array {
    const start = this.#take(length, field);
    return this.#bytes.subarray(start, start + length);
  }

  rest(): Uint8Array {
    return this.bytes(this.remaining, "rest");
  }

  /** An error at the present position, for meaning rather than shape. */
  error(message: string, field: string, at = this.#offset): DecodeError {
    return new DecodeError(message, { offset: this.#base + at, field });
  }

  #take(length: number, field: string): number {
    const start = this.#offset;
    if (length < 0 || length > this.remaining) {
      const message = `${length} octets wanted, ${this.remaining} left`;
      throw new DecodeError(message, { offset: this.#base + start, field, reason: "truncated" });
    }
    this.#offset = start + length;
    return start;
  }
}

export class ByteWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(capacity = 128) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Octets written so far. */
  get length(): number {
    return this.#length;
  }

  u8(field: string, value: number): this {
    const at = this.#room(1, field, value, 0xff); // first: it may replace the view
    this.#view.setUint8(at, value);
    return this;
  }

  u16(field: string, value: number): this {
    const at = this.#room(2, field, value, 0xffff); // first: it may replace the view
    this.#view.setUint16(at, value);
    return this;
  }

  u32(field: string, value: number): this {
    const at = this.#room(4, field, value, 0xffffffff); // first: it may replace the view
    this.#view.setUint32(at, value);
    return this;
  }

  bytes(value: Uint8Array): this {
    const start = this.#grow(value.length);
    this.#bytes.set(value, start);
    return this;
  }

  zeros(count: number): this {
    const start = this.#grow(count);
    this.#bytes.fill(0, start, start + count);
    return this;
  }

  /** Overwrites two octets written before (checksums, lengths). */
  patchU16(offset: number, value: number): this {
    this.#written(offset, 2);
    checkNumber("patch", value, 0xffff);
    this.#view.setUint16(offset, value);
    return this;
  }

  patchU8(offset: number, value: number): this {
    this.#written(offset, 1);
    checkNumber("patch", value, 0xff);
    this.#view.setUint8(offset, value);
    return this;
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #room(size: number, field: string, value: number, max: number): number {
    checkNumber(field, value, max);
    return this.#grow(size);
  }

  #written(offset: number, size: number): void {
    if (offset >= 0 && offset + size <= this.#length) return;
    throw new EncodeError("patch", `octet ${offset} is not among the ${this.#length} written`);
  }

  #grow(count: number): number {
    const start = this.#length;
    const wanted = start + count;
    if (wanted > this.#bytes.length) {
      const bigger = new Uint8Array(Math.max(wanted, this.#bytes.length * 2));
      bigger.set(this.#bytes.subarray(0, start));
      this.#bytes = bigger;
      this.#view = new DataView(bigger.buffer);
    }
    this.#length = wanted;
    return start;
  }
}

function checkNumber(field: string, value: number, max: number): void {
  if (Number.isInteger(value) && value >= 0 && value <= max) return;
  throw new EncodeError(field, `${value} is not an integer in 0..${max}`);
}

const HEX = Array.from({ length: 256 }, (_, value) => value.toString(16).padStart(2, "0"));

/** Lower-case hexadecimal without separators. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += HEX[byte];
  return text;
}

/** The octets of a hexadecimal text (spaces and line ends are skipped); throws EncodeError on anything else. */
export function fromHex(text: string): Uint8Array {
  const digits = text.replace(/\s+/g, "");
  if (digits.length % 2 !== 0 || /[^0-9a-fA-F]/.test(digits)) throw new EncodeError("hex", `not hexadecimal: ${text}`);
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}

export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
