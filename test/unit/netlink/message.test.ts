/** The netlink header: golden octets, several messages in one buffer, and lengths that lie. */
import fc from "fast-check";
import t from "tap";
import { fromHex, toHex } from "../../../controller/base/bytes.js";
import { DecodeError, EncodeError } from "../../../controller/base/errors.js";
import { encodeMessage, MessagePacker, splitMessages } from "../../../controller/netlink/message.js";

const FIRST = { type: 0x18, flags: 0x605, sequence: 7, body: fromHex("0102030405") };
const SECOND = { type: 0x10, flags: 1, sequence: 8, body: new Uint8Array(0) };
const FIRST_HEX = "15000000 1800 0506 07000000 00000000 0102030405 000000";
const SECOND_HEX = "10000000 1000 0100 08000000 00000000";

t.test("a message is a header of 16 octets and a body, padded to 4 (little-endian machine)", (t) => {
  t.equal(toHex(encodeMessage(FIRST)), toHex(fromHex(FIRST_HEX)));
  const packer = new MessagePacker(1);
  packer.append(FIRST);
  packer.append(SECOND);
  t.equal(toHex(packer.bytes()), toHex(fromHex(FIRST_HEX + SECOND_HEX)));
  t.throws(() => packer.append({ ...FIRST, type: 0x10000 }), EncodeError);
  packer.wipe();
  t.equal(packer.length, 0);
  t.end();
});

t.test("a datagram is split into its messages, with memory of their own", (t) => {
  const datagram = fromHex(FIRST_HEX + SECOND_HEX);
  const messages = splitMessages(datagram);
  datagram.fill(0xff);
  t.strictSame(
    messages.map(({ body, ...rest }) => ({ ...rest, body: toHex(body) })),
    [
      { type: 0x18, flags: 0x605, sequence: 7, port: 0, body: "0102030405" },
      { type: 0x10, flags: 1, sequence: 8, port: 0, body: "" },
    ],
  );
  t.strictSame(splitMessages(new Uint8Array(0)), []);
  t.end();
});

t.test("a length that does not fit is a DecodeError that says where", (t) => {
  const long = fromHex(FIRST_HEX + SECOND_HEX);
  long[24] = 0x11;
  t.throws(() => splitMessages(long), /nlmsg_len at octet 24/);
  const short = fromHex(FIRST_HEX);
  short[0] = 15;
  t.throws(() => splitMessages(short), /nlmsg_len at octet 0/);
  t.throws(() => splitMessages(fromHex(SECOND_HEX).subarray(0, 15)), /15 octets left, 16 wanted/);
  t.end();
});

t.test("what is packed is what is split, and any octets are messages or a DecodeError", (t) => {
  const message = fc.record({
    type: fc.nat(0xffff),
    flags: fc.nat(0xffff),
    sequence: fc.nat(0xffffffff),
    body: fc.uint8Array({ maxLength: 40 }),
  });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), (list) => {
      const packer = new MessagePacker();
      for (const one of list) packer.append(one);
      const back = splitMessages(packer.bytes()).map(({ port: _, ...rest }) => ({ ...rest, body: toHex(rest.body) }));
      t.strictSame(
        back,
        list.map((one) => ({ ...one, body: toHex(one.body) })),
      );
    }),
    { numRuns: 50 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      try {
        splitMessages(bytes);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
      }
    }),
  );
  t.end();
});
