/** Packets: what charon and swanctl sent, any split of a stream, lengths that lie. */
import fc from "fast-check";
import t from "tap";
import { fromHex, toHex } from "../../../controller/base/bytes.js";
import { DecodeError, EncodeError } from "../../../controller/base/errors.js";
import { decodeMessage } from "../../../controller/vici/message.js";
import { decodePacket, encodePacket, MAX_PACKET, PacketReader } from "../../../controller/vici/packet.js";
import { concat } from "../../lib/netlink-fake.js";
import { loadViciVectors, plainPacket, recordedPackets, VICI_VECTOR_FILES } from "../../lib/vici-vectors.js";

/** All packets of a stream that comes in these chunks, and the error that ended it. */
function read(chunks: readonly Uint8Array[]): { packets: string[]; error: unknown } {
  const reader = new PacketReader();
  const packets: string[] = [];
  let error: unknown;
  for (const chunk of chunks) {
    const buffer = chunk.slice();
    try {
      reader.feed(buffer, (octets) => packets.push(toHex(octets)));
    } catch (thrown) {
      error = thrown;
    }
    buffer.fill(0xee);
  }
  return { packets, error };
}

function split(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return places.slice(1).map((end, i) => bytes.subarray(places[i], end));
}

for (const file of VICI_VECTOR_FILES) {
  t.test(`recorded ${file} are read as they were meant, and written as they were`, (t) => {
    const vectors = loadViciVectors(file);
    t.ok(vectors.length > 10);
    for (const { name, hex, packet } of vectors) {
      t.strictSame(plainPacket(decodePacket(fromHex(hex).subarray(4))), plainPacket(packet), name);
      t.equal(toHex(encodePacket(packet)), hex, name);
    }
    t.end();
  });
}

t.test("the packets without a message", (t) => {
  const cases = [
    [{ type: "register", name: "log" }, "00000005 03 03 6c6f67"],
    [{ type: "unregister", name: "log" }, "00000005 04 03 6c6f67"],
    [{ type: "unknown-command" }, "00000001 02"],
    [{ type: "confirm" }, "00000001 05"],
    [{ type: "unknown-event" }, "00000001 06"],
  ] as const;
  for (const [packet, hex] of cases) {
    t.equal(toHex(encodePacket(packet)), hex.replaceAll(" ", ""));
    t.strictSame(decodePacket(fromHex(hex).subarray(4)), packet);
  }
  t.end();
});

t.test("what is no packet is a DecodeError", (t) => {
  const cases: readonly [what: string, hex: string, message: RegExp][] = [
    ["nothing", "", /packet type at octet 0/],
    ["an unknown type", "08", /8 is no packet type/],
    ["no name", "00", /name at octet 1/],
    ["a name past the end", "07036c6f", /3 octets wanted, 2 left/],
    ["a name that is no ASCII", "0701ff", /a name that is no ASCII/],
    ["more than a confirmation", "0500", /1 octets too many/],
    ["more than a registration", "0301610000", /2 octets too many/],
  ];
  for (const [what, hex, message] of cases)
    t.throws(() => decodePacket(fromHex(hex)), { name: "DecodeError", message }, what);
  t.end();
});

t.test("what charon would not take is an EncodeError", (t) => {
  const message = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`key${i}`, "x".repeat(0xffff)]));
  t.throws(() => encodePacket({ type: "request", name: "load-cert", message }), /charon takes at most 524288/);
  t.throws(() => encodePacket({ type: "register", name: "grün" }), EncodeError);
  t.throws(() => encodePacket({ type: "register", name: "x".repeat(256) }), EncodeError);
  t.end();
});

t.test("any split into chunks gives the same packets", (t) => {
  const recorded = recordedPackets();
  const whole = recorded.map((bytes) => toHex(bytes.subarray(4)));
  const stream = concat(recorded);
  t.strictSame(read([stream]).packets, whole);
  t.strictSame(read(Array.from(stream, (octet) => Uint8Array.of(octet))).packets, whole);
  fc.assert(
    fc.property(fc.array(fc.nat(), { maxLength: 12 }), (cuts) => {
      t.strictSame(read(split(stream, cuts)).packets, whole);
    }),
    { numRuns: 30 },
  );
  t.end();
});

t.test("a length beyond the bound is an error wherever the stream is split, after the packets before it", (t) => {
  const good = encodePacket({ type: "confirm" });
  const stream = concat([good, new Uint8Array(4), good, fromHex("00080001"), good]);
  fc.assert(
    fc.property(fc.array(fc.nat(), { maxLength: 8 }), (cuts) => {
      const { packets, error } = read(split(stream, cuts));
      t.strictSame(packets, ["05", "", "05"]);
      t.match(error, { name: "DecodeError", message: /a packet of 524289 octets, at most 524288/ });
    }),
    { numRuns: 50 },
  );
  const largest = new Uint8Array(4 + MAX_PACKET);
  new DataView(largest.buffer).setUint32(0, MAX_PACKET);
  t.equal(read([largest]).packets[0]?.length, 2 * MAX_PACKET);
  t.end();
});

t.test("a recorded packet with some octets changed is a packet or a DecodeError", (t) => {
  const recorded = recordedPackets().map((bytes) => bytes.subarray(4));
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.nat(recorded.length - 1), changes, fc.nat(), (which, list, cut) => {
      const bytes = (recorded[which] ?? new Uint8Array(0)).slice();
      for (const [at, octet] of list) bytes[at % bytes.length] = octet;
      try {
        const packet = decodePacket(bytes.subarray(0, cut % 4 === 0 ? cut % (bytes.length + 1) : bytes.length));
        if ("message" in packet) decodeMessage(packet.message);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
      }
    }),
    { numRuns: 2000 },
  );
  t.end();
});
