/** Every vector, cut at every octet and with every octet changed in several ways, is a value or a DecodeError, and its error says where. */
import t, { type Test } from "tap";
import { DecodeError } from "../../../controller/base/errors.js";
import {
  loadVectors,
  type Surroundings,
  surroundings,
  vectorBytes,
  WIRE_FORMATS,
  type WireFormat,
} from "../../lib/wire-vectors.js";

/** What is done to an octet: every bit alone, and the values at which lengths and types go wrong. */
const CHANGES: readonly ((octet: number) => number)[] = [
  ...Array.from({ length: 8 }, (_, bit) => (octet: number) => octet ^ (1 << bit)),
  () => 0,
  () => 0xff,
  (octet) => (octet + 1) & 0xff,
  (octet) => (octet - 1) & 0xff,
];

function check(t: Test, format: WireFormat, bytes: Uint8Array, around: Surroundings, what: string): void {
  const result = format.decode(bytes, around);
  if (result.ok) {
    format.encode(result.value, { context: around.context });
    return;
  }
  const { error } = result;
  if (!(error instanceof DecodeError)) t.fail(`${what}: not a DecodeError`);
  else if (error.offset < 0 || error.offset > bytes.length)
    t.fail(`${what}: offset ${error.offset} of ${bytes.length}`);
}

for (const [name, format] of Object.entries(WIRE_FORMATS)) {
  t.test(`truncation of every vector of ${name}`, (t) => {
    for (const vector of loadVectors(name)) {
      const bytes = vectorBytes(vector);
      const around = surroundings(vector);
      for (let length = 0; length < bytes.length; length++) {
        check(t, format, bytes.subarray(0, length), around, `${vector.name} cut at ${length}`);
      }
      t.pass(vector.name);
    }
    t.end();
  });

  t.test(`corruption of every octet of every vector of ${name}`, (t) => {
    for (const vector of loadVectors(name)) {
      const bytes = vectorBytes(vector);
      const around = surroundings(vector);
      for (let at = 0; at < bytes.length; at++) {
        for (const change of CHANGES) {
          const corrupted = bytes.slice();
          corrupted[at] = change(bytes[at] ?? 0);
          check(t, format, corrupted, around, `${vector.name}, octet ${at}`);
        }
      }
      t.pass(vector.name);
    }
    t.end();
  });
}

t.test("a Mobility Header cut anywhere does not decode", (t) => {
  for (const vector of loadVectors("mobility-header")) {
    const bytes = vectorBytes(vector);
    const length = 8 * ((bytes[1] ?? 0) + 1);
    for (let end = 0; end < length; end++) {
      const result = WIRE_FORMATS["mobility-header"]?.decode(bytes.subarray(0, end), { context: {} });
      if (result?.ok !== false || result.error.reason !== "truncated") t.fail(`${vector.name} cut at ${end}`);
    }
    t.pass(vector.name);
  }
  t.end();
});
