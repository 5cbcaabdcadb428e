import fc from "fast-check";
import t from "tap";
import { ByteReader, ByteWriter, bytesEqual, fromHex, toHex } from "../../../controller/base/bytes.js";
import { DecodeError, EncodeError } from "../../../controller/base/errors.js";

function thrown(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}

t.test("numbers are in network byte order", (t) => {
  const bytes = new ByteWriter()
    .u8("a", 1)
    .u16("b", 0x0203)
    .u32("c", 0x04050607)
    .bytes(fromHex("08"))
    .zeros(2)
    .finish();
  t.equal(toHex(bytes), "01020304050607080000");
  const reader = new ByteReader(bytes);
  t.strictSame([reader.u8("a"), reader.u16("b"), reader.u32("c")], [1, 0x0203, 0x04050607]);
  t.strictSame([reader.offset, reader.remaining], [7, 3]);
  t.equal(toHex(reader.bytes(1, "d")), "08");
  t.equal(toHex(reader.rest()), "0000");
  t.equal(reader.remaining, 0);
  t.end();
});

t.test("a reader over a part of a buffer sees that part only", (t) => {
  const whole = fromHex("0011223344");
  const reader = new ByteReader(whole.subarray(1, 3));
  t.equal(reader.u16("word"), 0x1122);
  t.type(
    thrown(() => reader.u8("next")),
    DecodeError,
  );
  t.end();
});

t.test("reading past the end names field and offset and clamps nothing", (t) => {
  const reader = new ByteReader(fromHex("010203"), 100);
  reader.u8("first");
  const error = thrown(() => reader.u32("word"));
  t.type(error, DecodeError);
  if (!(error instanceof DecodeError)) throw new Error("unreachable");
  t.strictSame([error.field, error.offset, error.reason, error.code], ["word", 101, "truncated", "MIP_DECODE"]);
  t.match(error.message, /4 octets wanted, 2 left \(word at octet 101\)/);
  t.equal(reader.remaining, 2, "a failed read takes nothing");
  t.type(
    thrown(() => reader.bytes(-1, "negative")),
    DecodeError,
  );
  t.equal(reader.error("odd", "x").offset, 101);
  t.equal(reader.error("odd", "x", 0).offset, 100);
  t.equal(reader.error("odd", "x").reason, "malformed");
  t.end();
});

t.test("a number that does not fit is refused, never masked", (t) => {
  const writer = new ByteWriter();
  for (const value of [-1, 256, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    t.type(
      thrown(() => writer.u8("octet", value)),
      EncodeError,
      `${value}`,
    );
  }
  t.match(
    thrown(() => writer.u16("word", 65536)),
    { field: "word", code: "MIP_ENCODE" },
  );
  t.match(
    thrown(() => writer.u32("long", 2 ** 32)),
    { field: "long" },
  );
  t.equal(writer.length, 0, "nothing was written");
  t.equal(toHex(writer.u32("long", 2 ** 32 - 1).finish()), "ffffffff");
  t.end();
});

t.test("a writer grows at every kind of write", (t) => {
  for (const capacity of [0, 1, 2, 3, 5]) {
    const writer = new ByteWriter(capacity);
    for (let i = 0; i < 20; i++) writer.u8("a", 1).u16("b", 2).u32("c", 3).bytes(fromHex("0405")).zeros(1);
    t.equal(toHex(writer.finish()), "01000200000003040500".repeat(20), `from capacity ${capacity}`);
  }
  t.end();
});

t.test("zeros are zero in a buffer that was used before", (t) => {
  const writer = new ByteWriter(8).bytes(new Uint8Array(6).fill(0xff));
  t.equal(toHex(writer.zeros(4).finish()), "ffffffffffff00000000");
  t.end();
});

t.test("patching overwrites what was written and nothing else", (t) => {
  const writer = new ByteWriter().zeros(4);
  writer.patchU16(1, 0xabcd).patchU8(3, 0xef);
  t.equal(toHex(writer.finish()), "00abcdef");
  t.throws(() => writer.patchU16(3, 1), EncodeError);
  t.throws(() => writer.patchU8(4, 1), EncodeError);
  t.throws(() => writer.patchU8(0, 256), EncodeError);
  t.throws(() => writer.patchU16(0, -1), EncodeError);
  t.throws(() => writer.patchU8(-1, 1), EncodeError);
  t.end();
});

t.test("finish gives a copy", (t) => {
  const writer = new ByteWriter().u8("a", 1);
  const first = writer.finish();
  writer.patchU8(0, 2);
  t.equal(toHex(first), "01");
  t.end();
});

t.test("hexadecimal comes back, and nothing else is taken for it", (t) => {
  fc.assert(fc.property(fc.uint8Array(), (bytes) => bytesEqual(fromHex(toHex(bytes)), bytes)));
  t.equal(toHex(fromHex(" 00 fF\n7e ")), "00ff7e");
  for (const text of ["0", "0g", "0x00", "-1", "00,00"]) t.throws(() => fromHex(text), EncodeError, text);
  t.end();
});

t.test("octets are equal when all of them are", (t) => {
  t.ok(bytesEqual(fromHex("0102"), fromHex("0102")));
  t.notOk(bytesEqual(fromHex("0102"), fromHex("0103")));
  t.notOk(bytesEqual(fromHex("0102"), fromHex("010200")));
  t.notOk(bytesEqual(fromHex("0102"), fromHex("01")));
  t.end();
});
