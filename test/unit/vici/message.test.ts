/** Messages: the README's example, what charon and swanctl sent, round trips, hostile octets, secrets. */
import { inspect } from "node:util";
import fc from "fast-check";
import t from "tap";
import { fromHex, toHex } from "../../../controller/base/bytes.js";
import { DecodeError, EncodeError } from "../../../controller/base/errors.js";
import { Secret } from "../../../controller/base/secret.js";
import {
  decodeMessage,
  encodeMessage,
  MAX_DEPTH,
  messageLength,
  type ViciNode,
  type ViciSection,
} from "../../../controller/vici/message.js";
import { plain } from "../../lib/vici-vectors.js";

const text = (value: string): string => toHex(new TextEncoder().encode(value));

/** The octets of the README's section "Encoding example". */
const EXAMPLE_HEX = [
  `0304${text("key1")}0006${text("value1")}`,
  `0108${text("section1")}`,
  `010b${text("sub-section")}0304${text("key2")}0006${text("value2")}02`,
  `0405${text("list1")}050005${text("item1")}050005${text("item2")}06`,
  "02",
].join("");

const EXAMPLE: ViciSection = {
  key1: "value1",
  section1: { "sub-section": { key2: "value2" }, list1: ["item1", "item2"] },
};

t.test("the README's example", (t) => {
  t.equal(toHex(encodeMessage(EXAMPLE)), EXAMPLE_HEX);
  t.strictSame(plain(decodeMessage(fromHex(EXAMPLE_HEX))), EXAMPLE);
  t.equal(messageLength(EXAMPLE), EXAMPLE_HEX.length / 2);
  t.equal(encodeMessage({}).length, 0);
  t.strictSame(plain(decodeMessage(new Uint8Array(0))), {});
  t.end();
});

t.test("a value is text where it is UTF-8 and octets where not, and either gives back the octets", (t) => {
  const cases: readonly [hex: string, value: unknown][] = [
    ["", ""],
    ["00", "\0"],
    [text("grün"), "grün"],
    ["efbbbf41", "\ufeffA"], // a byte order mark is not dropped
    ["ff", { $octets: "ff" }],
    ["c080", { $octets: "c080" }], // an overlong zero
    ["eda080", { $octets: "eda080" }], // half a surrogate pair
  ];
  for (const [hex, value] of cases) {
    const octets = `030161${(hex.length / 2).toString(16).padStart(4, "0")}${hex}`;
    const message = decodeMessage(fromHex(octets));
    t.strictSame(plain(message), { a: value }, hex);
    t.equal(toHex(encodeMessage(message)), octets, hex);
  }
  t.end();
});

t.test("names that JavaScript objects have by themselves are names like others", (t) => {
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    const octets = `03${name.length.toString(16).padStart(2, "0")}${text(name)}0001${text("x")}`;
    const message = decodeMessage(fromHex(octets));
    t.strictSame(Object.entries(message), [[name, "x"]]);
    t.equal(toHex(encodeMessage(message)), octets);
  }
  t.equal(decodeMessage(fromHex(EXAMPLE_HEX))["constructor"], undefined);
  t.end();
});

t.test("decoded octets have memory of their own", (t) => {
  const bytes = fromHex("0301610001ff");
  const message = decodeMessage(bytes);
  bytes.fill(0);
  t.strictSame(plain(message), { a: { $octets: "ff" } });
  t.end();
});

t.test("what is no message is a DecodeError that says where", (t) => {
  const cases: readonly [what: string, hex: string, message: RegExp][] = [
    ["an unknown element", "07", /7 is no element type \(element at octet 0\)/],
    ["element 0", "00", /0 is no element type/],
    ["a name past the end", "0302", /2 octets wanted, 0 left \(name at octet 2\)/],
    ["no name length", "01", /\(name at octet 1\)/],
    ["no value length", "030161", /\(value at octet 3\)/],
    ["a value past the end", "0301610002ff", /2 octets wanted, 1 left \(value at octet 5\)/],
    ["an open section", "010161", /1 sections are not closed/],
    ["two open sections", "010161010162", /2 sections are not closed/],
    ["an end without a section", "02", /the end of a section that was not opened \(section at octet 0\)/],
    ["one end too many", "0101610202", /\(section at octet 4\)/],
    ["an open list", "040161", /\(list at octet 3\)/],
    ["an item outside a list", "050000", /a part of a list that was not opened/],
    ["the end of no list", "06", /a part of a list that was not opened/],
    ["a key in a list", "0401610301620000", /element 3 within a list/],
    ["a section in a list", "04016101016202", /element 1 within a list/],
    ["a list in a list", "040161040162", /element 4 within a list/],
    ["a section's end in a list", "01016104016202", /element 2 within a list/],
    ["an item past the end", "040161050001", /\(value at octet 6\)/],
    ["a key twice", "03016100000301610000", /a name that the section has already \(name at octet 5\)/],
    ["a key and a section of one name", "030161000001016102", /a name that the section has already/],
    ["a name that is no UTF-8", "0301ff0000", /a name that is no UTF-8/],
  ];
  for (const [what, hex, message] of cases) {
    t.throws(() => decodeMessage(fromHex(hex)), { name: "DecodeError", message }, what);
  }
  t.strictSame(plain(decodeMessage(fromHex("01016103016100000203016200000300 0000"))), { a: { a: "" }, b: "", "": "" });
  t.end();
});

t.test("sections are nested up to the bound, in both directions", (t) => {
  const nested = (depth: number): ViciSection => (depth === 0 ? {} : { a: nested(depth - 1) });
  const octets = (depth: number): Uint8Array => fromHex("010161".repeat(depth) + "02".repeat(depth));
  t.equal(toHex(encodeMessage(nested(MAX_DEPTH))), toHex(octets(MAX_DEPTH)));
  t.strictSame(plain(decodeMessage(octets(MAX_DEPTH))), nested(MAX_DEPTH));
  t.throws(() => encodeMessage(nested(MAX_DEPTH + 1)), EncodeError);
  t.throws(() => decodeMessage(octets(MAX_DEPTH + 1)), DecodeError);
  t.throws(() => decodeMessage(octets(100_000)), DecodeError);
  t.end();
});

t.test("what does not fit is an EncodeError that names the place", (t) => {
  t.throws(() => encodeMessage({ a: { b: "x".repeat(0x10000) } }), {
    name: "EncodeError",
    message: "a.b: 65536 octets, at most 65535 fit",
  });
  t.throws(() => encodeMessage({ a: ["", "x".repeat(0x10000)] }), /a: 65536 octets/);
  t.throws(() => encodeMessage({ ["x".repeat(256)]: "" }), EncodeError);
  for (const name of ["grün", "a\nb", "a\0"])
    t.throws(
      () => encodeMessage({ [name]: "" }),
      /a name is at most 255 printable ASCII characters/,
      JSON.stringify(name),
    );
  t.throws(() => encodeMessage({ a: "\ud800" }), /half a surrogate pair/);
  t.equal(encodeMessage({ ["x".repeat(255)]: "y".repeat(0xffff) }).length, 1 + 1 + 255 + 2 + 0xffff);
  t.end();
});

t.test("a secret goes out as its octets, and never shows", (t) => {
  const secret = new Secret(fromHex("00ff7365637265"));
  t.equal(toHex(encodeMessage({ data: secret })), `0304${text("data")}000700ff7365637265`);
  t.equal(toHex(encodeMessage({ data: [secret, "a"] })), `0404${text("data")}05000700ff73656372650500016106`);
  const long = new Secret(new Uint8Array(0x10000).fill(0x41));
  const shown = ((): string => {
    try {
      encodeMessage({ key: { data: long } });
    } catch (error) {
      return inspect(error, { depth: 9 });
    }
    return "no error";
  })();
  t.match(shown, /key\.data: 65536 octets/);
  t.notMatch(shown, /AAA|\b65, 65|4141/);
  t.end();
});

const leaf = fc.oneof(fc.string({ unit: "grapheme", maxLength: 8 }), fc.uint8Array({ maxLength: 8 }));
const name = fc.oneof(fc.string({ unit: "grapheme-ascii", maxLength: 6 }), fc.constantFrom("__proto__", "a", "1"));
const { section } = fc.letrec<{ section: ViciSection; node: ViciNode }>((tie) => ({
  node: fc.oneof({ maxDepth: 4 }, leaf, fc.array(leaf, { maxLength: 3 }), tie("section")),
  section: fc
    .uniqueArray(fc.tuple(name, tie("node")), { maxLength: 4, selector: ([key]) => key })
    .map((entries) => Object.fromEntries(entries) as ViciSection),
}));

/** Octets that are UTF-8 come back as text. */
function asDecoded(node: ViciNode): unknown {
  const shown = plain(node);
  const walk = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(walk);
    if (typeof value !== "object" || value === null) return value;
    if ("$octets" in value && typeof value.$octets === "string") {
      const octets = Buffer.from(value.$octets, "hex");
      return Buffer.from(octets.toString("utf8")).equals(octets) ? octets.toString("utf8") : value;
    }
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, walk(member)]));
  };
  return walk(shown);
}

t.test("what is encoded is what is decoded", (t) => {
  fc.assert(
    fc.property(section, (value) => {
      const bytes = encodeMessage(value);
      const decoded = decodeMessage(bytes);
      t.strictSame(plain(decoded), asDecoded(value));
      t.equal(toHex(encodeMessage(decoded)), toHex(bytes));
    }),
    { numRuns: 200 },
  );
  t.end();
});

t.test("any octets are a message or a DecodeError", (t) => {
  const element = fc.constantFrom(
    ...["010161", "02", "0301620000", "0301630001ff", "040164", "0500 00", "06", "07", "03", "0500ff"],
  );
  const octets = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc.array(element, { maxLength: 20 }).map((parts) => fromHex(parts.join(""))),
  );
  fc.assert(
    fc.property(octets, (bytes) => {
      try {
        const message = decodeMessage(bytes);
        // The order of the elements may have changed, their number and content not.
        t.equal(encodeMessage(message).length, bytes.length);
      } catch (error) {
        // Names are read more freely than they are written.
        const unwritable = error instanceof EncodeError && error.message.includes("printable ASCII");
        if (!(error instanceof DecodeError || unwritable)) throw error;
      }
    }),
    { numRuns: 1000 },
  );
  t.end();
});
