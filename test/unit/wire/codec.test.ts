/** The field tables: what they refuse, and that type, decoder and encoder agree. */
import t from "tap";
import { ByteReader, ByteWriter, fromHex, toHex } from "../../../controller/base/bytes.js";
import { DecodeError, EncodeError, InvariantError } from "../../../controller/base/errors.js";
import { type Ipv4Address, type Ipv6Address, ipv4, ipv6 } from "../../../controller/base/ip.js";
import {
  bits,
  decoding,
  type Field,
  inline,
  ipv4Address,
  ipv6Address,
  listToEnd,
  octets,
  reserved,
  run,
  struct,
  u8,
  u16,
  u32,
} from "../../../controller/wire/codec.js";

const encode = <T>(field: Field<T>, value: T): string => {
  const writer = new ByteWriter(4);
  field.encode(writer, "field", value);
  return toHex(writer.finish());
};
const decode = <T>(field: Field<T>, hex: string): T => field.decode(new ByteReader(fromHex(hex)), "field");

t.test("a structure writes and reads its table in order, without its reserved octets", (t) => {
  const table = struct({
    first: u8,
    gap: reserved(2),
    word: inline(bits(2, { high: run(0xf000), middle: 0x0800, low: run(0x003f) })),
    last: u32,
  });
  const value = { first: 1, high: 0xa, middle: true, low: 0x3f, last: 0xffffffff };
  t.equal(encode(table, value), "010000a83fffffffff");
  t.strictSame(decode(table, "01ffffafffffffffff"), { ...value });
  t.end();
});

t.test("bits refuse what would spill into a neighbour", (t) => {
  const word = bits(4, { top: 0x80000000, number: run(0x7ff00000), rest: run(0x000fffff) });
  t.equal(encode(word, { top: true, number: 0x7ff, rest: 0xfffff }), "ffffffff");
  t.equal(encode(word, { top: true, number: 0, rest: 0 }), "80000000");
  t.strictSame(decode(word, "80000001"), { top: true, number: 0, rest: 1 });
  t.throws(() => encode(word, { top: false, number: 0x800, rest: 0 }), EncodeError);
  t.throws(() => encode(word, { top: false, number: -1, rest: 0 }), EncodeError);
  t.throws(() => encode(word, { top: false, number: 1.5, rest: 0 }), EncodeError);
  t.throws(() => encode(word, { top: false, number: Number.NaN, rest: 0 }), EncodeError);
  t.end();
});

t.test("a table with masks that cannot be is refused when it is made", (t) => {
  t.throws(() => bits(1, { a: 0x80, b: run(0xc0) }), InvariantError, "overlap");
  t.throws(() => bits(1, { a: 0x100 }), InvariantError, "wider than the word");
  t.throws(() => bits(1, { a: 0x03 }), InvariantError, "a flag of two bits");
  t.throws(() => bits(1, { a: run(0x05) }), InvariantError, "a hole");
  t.throws(() => bits(1, { a: 0 }), InvariantError, "nothing");
  t.doesNotThrow(() => bits(4, { a: 0x80000000, b: run(0x7fffffff) }));
  t.end();
});

t.test("numbers, octets and addresses that do not fit are refused", (t) => {
  t.throws(() => encode(u8, 256), EncodeError);
  t.throws(() => encode(u16, 65536), EncodeError);
  t.throws(() => encode(u32, 2 ** 32), EncodeError);
  t.throws(() => encode(u32, -1), EncodeError);
  t.throws(() => encode(octets(8), new Uint8Array(7)), EncodeError);
  t.throws(() => encode(ipv4Address, ipv6("::1") as string as Ipv4Address), EncodeError);
  t.throws(() => encode(ipv6Address, ipv4("192.0.2.1") as string as Ipv6Address), EncodeError);
  t.end();
});

t.test("a list ends where the structure ends", (t) => {
  const list = listToEnd(u16);
  t.strictSame(decode(list, "000100020003"), [1, 2, 3]);
  t.strictSame(decode(list, ""), []);
  t.equal(encode(list, [1, 2]), "00010002");
  t.throws(() => decode(list, "000100"), DecodeError);
  t.end();
});

t.test("decoded octets do not keep or share the packet", (t) => {
  const packet = fromHex("0102030405060708");
  const value = octets(8).decode(new ByteReader(packet), "field");
  packet.fill(0);
  t.equal(toHex(value), "0102030405060708");
  t.end();
});

t.test("decoding returns DecodeErrors and lets everything else through", (t) => {
  t.strictSame(
    decoding(() => 5),
    { ok: true, value: 5 },
  );
  const error = new DecodeError("no", { offset: 3, field: "f", reason: "checksum" });
  const result = decoding(() => {
    throw error;
  });
  t.equal(!result.ok && result.error, error);
  const bug = new TypeError("a bug");
  t.throws(
    () =>
      decoding(() => {
        throw bug;
      }),
    bug,
  );
  t.end();
});
