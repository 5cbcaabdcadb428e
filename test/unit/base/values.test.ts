/** Sequence numbers, time, secrets, results, errors. */
import { inspect } from "node:util";
import fc from "fast-check";
import t from "tap";
import { fromHex } from "../../../controller/base/bytes.js";
import {
  ConfigError,
  DecodeError,
  EncodeError,
  InvariantError,
  MissingError,
  MobilityError,
} from "../../../controller/base/errors.js";
import { err, exhaustive, ok } from "../../../controller/base/result.js";
import { Secret } from "../../../controller/base/secret.js";
import { isAfter, nextSeq, type Seq16, seq16 } from "../../../controller/base/seq16.js";
import { after, earliest, elapsed, instant, seconds } from "../../../controller/base/time.js";

const anySeq = fc.integer({ min: 0, max: 0xffff }).map(seq16);

t.test("F6275-9.5.1-01: after 15 exactly 16..32782 are later; 0..15 and 32783..65535 are not", (t) => {
  const last = seq16(15);
  const later = Array.from({ length: 65536 }, (_, value) => seq16(value)).filter((value) => isAfter(value, last));
  t.equal(later.length, 32767);
  t.strictSame([later[0], later.at(-1)], [16, 32782]);
  t.equal(
    later.every((value, i) => value === 16 + i),
    true,
  );
  t.end();
});

t.test("the order of sequence numbers is irreflexive, antisymmetric and goes around", (t) => {
  fc.assert(fc.property(anySeq, (a) => !isAfter(a, a) && isAfter(nextSeq(a), a) && !isAfter(a, nextSeq(a))));
  fc.assert(fc.property(anySeq, anySeq, (a, b) => !(isAfter(a, b) && isAfter(b, a))));
  const half = (a: Seq16, b: Seq16): boolean => ((a - b) & 0xffff) === 0x8000;
  fc.assert(fc.property(anySeq, anySeq, (a, b) => a === b || half(a, b) || isAfter(a, b) || isAfter(b, a)));
  t.strictSame([nextSeq(seq16(65535)), isAfter(seq16(0), seq16(65535))], [0, true]);
  t.strictSame([seq16(65536), seq16(-1)], [0, 65535]);
  t.end();
});

t.test("instants and seconds", (t) => {
  const start = instant(1000);
  t.equal(after(start, seconds(1.5)), 2500);
  t.equal(elapsed(start, instant(2500)), 1.5);
  t.equal(elapsed(instant(2500), start), -1.5);
  t.equal(earliest(undefined, instant(3), instant(2), undefined), 2);
  t.equal(earliest(undefined), undefined);
  t.equal(earliest(), undefined);
  t.equal(earliest(instant(0), instant(5)), 0);
  t.end();
});

t.test("a secret is never printed", (t) => {
  const secret = new Secret(fromHex("00112233445566778899"));
  const seen = [
    `${secret}`,
    String(secret),
    JSON.stringify({ secret }),
    inspect(secret),
    inspect({ a: [secret] }, { depth: 9 }),
  ];
  for (const text of seen) {
    t.match(text, /\[secret\]/);
    t.notMatch(text, /1122|17, 34|\b17\b/);
  }
  t.strictSame(Object.keys(secret), []);
  t.strictSame([secret.length, secret.reveal()], [10, fromHex("00112233445566778899")]);
  t.end();
});

t.test("secrets are equal when all octets are", (t) => {
  const secret = (hex: string): Secret => new Secret(fromHex(hex));
  t.ok(secret("0102").equals(secret("0102")));
  t.ok(secret("").equals(secret("")));
  for (const other of ["0103", "0002", "01", "010200", ""]) {
    t.notOk(secret("0102").equals(secret(other)), other);
    t.notOk(secret(other).equals(secret("0102")), other);
  }
  t.end();
});

t.test("results and unhandled cases", (t) => {
  t.strictSame(ok(1), { ok: true, value: 1 });
  t.strictSame(err("e"), { ok: false, error: "e" });
  t.throws(() => exhaustive({ kind: "new" } as never), /unhandled case: \{"kind":"new"\}/);
  t.end();
});

t.test("errors carry stable codes, their own names and their cause", (t) => {
  const cause = new Error("below");
  const errors: readonly (readonly [MobilityError, string, string])[] = [
    [new DecodeError("bad", { offset: 1, field: "f" }), "MIP_DECODE", "DecodeError"],
    [new EncodeError("f", "bad"), "MIP_ENCODE", "EncodeError"],
    [new ConfigError("bad", { cause }), "MIP_CONFIG", "ConfigError"],
    [new MissingError("bad", { cause }), "MIP_MISSING", "MissingError"],
    [new InvariantError("bad"), "MIP_INVARIANT", "InvariantError"],
  ];
  for (const [error, code, name] of errors) {
    t.type(error, MobilityError);
    t.type(error, Error);
    t.strictSame([error.code, error.name], [code, name]);
  }
  t.equal(new ConfigError("bad", { cause }).cause, cause);
  t.equal(new DecodeError("bad", { offset: 1, field: "f" }).reason, "malformed");
  t.equal(new DecodeError("bad", { offset: 0, field: "f", reason: "payload-proto" }).reason, "payload-proto");
  t.end();
});
