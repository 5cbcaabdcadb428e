/**
 * Netlink attributes (TLVs): a writer that cannot forget padding or the nested flag, and a strict reader.
 * Integers are in the machine's byte order unless the name says `Be` (network order). x86-64 and arm64 are little-endian;
 * `LITTLE` is measured, not assumed. Sources: linux/netlink.h (nlattr), Documentation/userspace-api/netlink/intro.rst.
 */
import { DecodeError, EncodeError } from "../base/errors.js";
import { type IpAddress, ipFromBytes, ipToBytes } from "../base/ip.js";

/** Whether this machine stores the low octet first; for the few structs that netlink carries whole. */
export const LITTLE = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;
const HEADER = 4;

/** NLA_ALIGN of linux/netlink.h. */
export const align4 = (length: number): number => (length + 3) & ~3;

export class AttributeWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  u8(type: number, value: number): this {
    const at = this.#payload(type, 1, value, 0xff);
    this.#view.setUint8(at, value);
    return this;
  }

  u16(type: number, value: number): this {
    const at = this.#payload(type, 2, value, 0xffff);
    this.#view.setUint16(at, value, LITTLE);
    return this;
  }

  u16be(type: number, value: number): this {
    const at = this.#payload(type, 2, value, 0xffff);
    this.#view.setUint16(at, value);
    return this;
  }

  u32(type: number, value: number): this {
    const at = this.#payload(type, 4, value, 0xffffffff);
    this.#view.setUint32(at, value, LITTLE);
    return this;
  }

  s32(type: number, value: number): this {
    const at = this.#attribute(type, 4);
    this.#view.setInt32(at, value, LITTLE);
    return this;
  }

  u32be(type: number, value: number): this {
    const at = this.#payload(type, 4, value, 0xffffffff);
    this.#view.setUint32(at, value);
    return this;
  }

  u64(type: number, value: bigint): this {
    const at = this.#attribute(type, 8);
    this.#view.setBigUint64(at, value, LITTLE);
    return this;
  }

  u64be(type: number, value: bigint): this {
    const at = this.#attribute(type, 8);
    this.#view.setBigUint64(at, value);
    return this;
  }

  /** A text with the closing zero octet. */
  string(type: number, value: string): this {
    return this.bytes(type, Buffer.from(`${value}\0`, "utf8"));
  }

  /** An attribute whose presence is its value. */
  flag(type: number): this {
    this.#attribute(type, 0);
    return this;
  }

  /** 4 or 16 octets, network byte order. */
  address(type: number, value: IpAddress): this {
    return this.bytes(type, ipToBytes(value));
  }

  bytes(type: number, value: Uint8Array): this {
    const at = this.#attribute(type, value.length);
    this.#bytes.set(value, at);
    return this;
  }

  /** A nested attribute, flagged as such; `fill` writes its members with this same writer. */
  nested(type: number, fill: (writer: this) => void): this {
    return this.#container(type | NLA_F_NESTED, fill);
  }

  /** A nested attribute without the flag, for the old families whose kernel code or tools leave it out. */
  nestedUnflagged(type: number, fill: (writer: this) => void): this {
    return this.#container(type, fill);
  }

  /** Octets outside any attribute (family headers); padded to 4. */
  raw(value: Uint8Array): this {
    const at = this.#grow(align4(value.length));
    this.#bytes.fill(0, at, at + align4(value.length));
    this.#bytes.set(value, at);
    return this;
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  /** Zeroes what was written and starts again; for messages that held a key, after `finish`. */
  wipe(): void {
    this.#bytes.fill(0);
    this.#length = 0;
  }

  #container(type: number, fill: (writer: this) => void): this {
    const start = this.#grow(HEADER);
    fill(this);
    this.#header(start, type, this.#length - start);
    return this;
  }

  #payload(type: number, size: number, value: number, max: number): number {
    if (!Number.isInteger(value) || value < 0 || value > max) {
      throw new EncodeError(`attribute ${type}`, `${value} is not an integer in 0..${max}`);
    }
    return this.#attribute(type, size);
  }

  #attribute(type: number, size: number): number {
    const start = this.#grow(HEADER + align4(size));
    this.#bytes.fill(0, start, this.#length);
    this.#header(start, type, HEADER + size);
    return start + HEADER;
  }

  #header(at: number, type: number, length: number): void {
    if (length > 0xffff)
      throw new EncodeError(`attribute ${type & NLA_TYPE_MASK}`, `${length} octets do not fit a netlink attribute`);
    this.#view.setUint16(at, length, LITTLE);
    this.#view.setUint16(at + 2, type, LITTLE);
  }

  #grow(count: number): number {
    const start = this.#length;
    const wanted = start + count;
    if (wanted > this.#bytes.length) {
      const bigger = new Uint8Array(Math.max(wanted, this.#bytes.length * 2));
      bigger.set(this.#bytes.subarray(0, start));
      this.#bytes.fill(0); // it may have held a key
      this.#bytes = bigger;
      this.#view = new DataView(bigger.buffer);
    }
    this.#length = wanted;
    return start;
  }
}

/** One received attribute. Accessors demand the exact length and throw DecodeError otherwise. */
export class Attribute {
  readonly type: number;
  readonly payload: Uint8Array;
  readonly offset: number;

  constructor(type: number, payload: Uint8Array, offset: number) {
    this.type = type;
    this.payload = payload;
    this.offset = offset;
  }

  u8(): number {
    return this.#view(1).getUint8(0);
  }

  u16(): number {
    return this.#view(2).getUint16(0, LITTLE);
  }

  u16be(): number {
    return this.#view(2).getUint16(0);
  }

  u32(): number {
    return this.#view(4).getUint32(0, LITTLE);
  }

  s32(): number {
    return this.#view(4).getInt32(0, LITTLE);
  }

  u32be(): number {
    return this.#view(4).getUint32(0);
  }

  u64(): bigint {
    return this.#view(8).getBigUint64(0, LITTLE);
  }

  u64be(): bigint {
    return this.#view(8).getBigUint64(0);
  }

  /** 4 or 16 octets, network byte order. */
  address(): IpAddress {
    const { length } = this.payload;
    if (length !== 4 && length !== 16) {
      throw new DecodeError(`${length} octets, an address has 4 or 16`, {
        offset: this.offset,
        field: `attribute ${this.type}`,
      });
    }
    return ipFromBytes(this.payload);
  }

  /** The text before the first zero octet. */
  string(): string {
    const end = this.payload.indexOf(0);
    return Buffer.from(end < 0 ? this.payload : this.payload.subarray(0, end)).toString("utf8");
  }

  nested(): AttributeMap {
    return readAttributes(this.payload, this.offset + HEADER);
  }

  /** The members in order, for lists whose types repeat or count up. */
  list(): Attribute[] {
    return readAttributeList(this.payload, this.offset + HEADER);
  }

  #view(length: number): DataView {
    if (this.payload.length !== length) {
      throw new DecodeError(`${this.payload.length} octets, ${length} wanted`, {
        offset: this.offset,
        field: `attribute ${this.type}`,
      });
    }
    return new DataView(this.payload.buffer, this.payload.byteOffset, length);
  }
}

export type AttributeMap = ReadonlyMap<number, Attribute>;

/** All attributes of a region in order; a length that does not fit is a DecodeError before any value is read. */
export function readAttributeList(bytes: Uint8Array, base = 0): Attribute[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const list: Attribute[] = [];
  for (let at = 0; at + HEADER <= bytes.length; ) {
    const length = view.getUint16(at, LITTLE);
    const type = view.getUint16(at + 2, LITTLE) & NLA_TYPE_MASK;
    if (length < HEADER || at + length > bytes.length) {
      throw new DecodeError(`attribute length ${length}, ${bytes.length - at} octets left`, {
        offset: base + at,
        field: `attribute ${type}`,
      });
    }
    list.push(new Attribute(type, bytes.subarray(at + HEADER, at + length), base + at));
    at += align4(length);
  }
  return list;
}

/** All attributes of a region by type; of a repeated type the last one stands, as in the kernel's own parser. */
export function readAttributes(bytes: Uint8Array, base = 0): AttributeMap {
  return new Map(readAttributeList(bytes, base).map((attribute) => [attribute.type, attribute]));
}
