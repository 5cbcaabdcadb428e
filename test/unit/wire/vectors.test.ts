/** Every vector drives its decoder; canonical ones drive the encoder to the same octets, the others to octets of the same meaning. */
import t, { type Test } from "tap";
import { toHex } from "../../../controller/base/bytes.js";
import {
  loadVectors,
  plain,
  revive,
  surroundings,
  vectorBytes,
  WIRE_FORMATS,
  type WireFormat,
  type WireVector,
} from "../../lib/wire-vectors.js";

for (const [name, format] of Object.entries(WIRE_FORMATS)) {
  t.test(`vectors of ${name}`, (t) => {
    const vectors = loadVectors(name);
    t.not(vectors.length, 0, "the file is not empty");
    for (const vector of vectors) {
      if (vector.error === undefined) checkValue(t, format, vector);
      else checkError(t, format, vector);
    }
    t.end();
  });
}

function checkValue(t: Test, format: WireFormat, vector: WireVector): void {
  const around = surroundings(vector);
  const bytes = vectorBytes(vector);
  const decoded = format.decode(bytes, around);
  if (!decoded.ok) {
    t.fail(`${vector.name}: ${decoded.error.message}`);
    return;
  }
  t.strictSame(plain(decoded.value), vector.value, `${vector.name}: decoded`);
  const encoded = format.encode(revive(vector.value), around);
  if (vector.canonical === true) {
    t.equal(toHex(encoded), vector.hex, `${vector.name}: encoded`);
  } else {
    t.not(toHex(encoded), vector.hex, `${vector.name}: another form on the wire`);
    const again = format.decode(encoded, around);
    t.strictSame(again.ok && plain(again.value), vector.value, `${vector.name}: the same meaning`);
  }
  if (around.addresses !== undefined && format.verify !== undefined) {
    t.ok(format.verify(bytes, { ...around, addresses: around.addresses }), `${vector.name}: checksum`);
  }
}

function checkError(t: Test, format: WireFormat, vector: WireVector): void {
  const decoded = format.decode(vectorBytes(vector), surroundings(vector));
  if (decoded.ok) {
    t.fail(`${vector.name}: decoded as ${JSON.stringify(plain(decoded.value))}`);
    return;
  }
  const { reason, field, offset } = decoded.error;
  t.strictSame({ reason, field, offset }, vector.error, `${vector.name}: ${decoded.error.message}`);
}
