import fc from "fast-check";
import t from "tap";
import { fromHex, toHex } from "../../../../controller/base/bytes.js";
import { EncodeError } from "../../../../controller/base/errors.js";
import { ipv4, ipv6 } from "../../../../controller/base/ip.js";
import {
  type Ancillary,
  decodeAncillary,
  decodeControl,
  encodeControl,
  encodeIpv4Options,
  encodeIpv6Options,
} from "../../../../controller/io/ip/ancillary.js";

/** Control buffers of 64-bit little-endian kernels, as recvmmsg filled them. */
const RECORDED: readonly { readonly name: string; readonly hex: string; readonly value: Ancillary }[] = [
  {
    // Linux 6.1, binding update under ESP with a home address option that the kernel had added.
    name: "Mobility Header at the home agent",
    hex: `2400000000000000290000003200000020010db8000100000000000000000001 0900000000000000
          14000000000000002900000034000000 4000000000000000
          14000000000000002900000043000000 0000000000000000
          1400000000000000290000000b000000 000abcde00000000
          2800000000000000290000003b000000 870201020000c91020010db8000f00000000000000000002`,
    value: {
      destination: ipv6("2001:db8:1::1"),
      interfaceIndex: 9,
      hopLimit: 64,
      trafficClass: 0,
      flowLabel: 0xabcde,
      destinationOptions: [fromHex("870201020000c91020010db8000f00000000000000000002")],
    },
  },
  {
    // Linux 6.1, the acknowledgement with a type 2 routing header: consumed, so the hop limit is one less.
    name: "Mobility Header at the mobile node",
    hex: `2400000000000000290000003200000020010db8000100000000000000000100 0900000000000000
          14000000000000002900000034000000 3f00000000000000
          14000000000000002900000043000000 0000000000000000
          1400000000000000290000000b000000 000be61f00000000
          28000000000000002900000039000000 870202000000000020010db8000f00000000000000000002`,
    value: {
      destination: ipv6("2001:db8:1::100"),
      interfaceIndex: 9,
      hopLimit: 63,
      trafficClass: 0,
      flowLabel: 0xbe61f,
      destinationOptions: [],
      routingHeader: fromHex("870202000000000020010db8000f00000000000000000002"),
    },
  },
  {
    // Linux 6.18, UDP over loopback with TTL 33 and TOS 0xb9.
    name: "UDP over IPv4",
    hex: `1c000000000000000000000008000000 010000007f0000027f00000200000000
          14000000000000000000000002000000 2100000000000000
          11000000000000000000000001000000 b900000000000000`,
    value: {
      destination: ipv4("127.0.0.2"),
      interfaceIndex: 1,
      hopLimit: 33,
      trafficClass: 0xb9,
      destinationOptions: [],
    },
  },
  {
    // Linux 6.18, UDP over loopback with a mark (SO_RCVMARK); the traffic class is in the flow information too.
    name: "UDP over IPv6 with a mark",
    hex: `14000000000000000100000024000000 adde000000000000
          24000000000000002900000032000000 00000000000000000000000000000001 0100000000000000
          14000000000000002900000034000000 2c00000000000000
          14000000000000002900000043000000 2e00000000000000
          1400000000000000290000000b000000 02eabcde00000000`,
    value: {
      mark: 0xdead,
      destination: ipv6("::1"),
      interfaceIndex: 1,
      hopLimit: 44,
      trafficClass: 0x2e,
      flowLabel: 0xabcde,
      destinationOptions: [],
    },
  },
];

t.test("recorded control messages become fields, and their octets again", async (t) => {
  for (const { name, hex, value } of RECORDED) {
    const bytes = fromHex(hex);
    const control = decodeControl(bytes);
    t.strictSame({ ...decodeAncillary(control) }, value, name);
    t.equal(toHex(encodeControl(control)), toHex(bytes), `${name}, encoded`);
  }
});

t.test("two destination options headers stay in order", async (t) => {
  const message = (hex: string) => ({ level: 41, type: 59, data: fromHex(hex) });
  const { destinationOptions } = decodeAncillary([message("2b00010400000000"), message("8700010400000000")]);
  t.strictSame(destinationOptions.map(toHex), ["2b00010400000000", "8700010400000000"]);
});

t.test("a cut control message ends the list, an unexpected length or an unknown type is skipped", async (t) => {
  const whole = fromHex(RECORDED[0]?.hex ?? "");
  for (let length = 0; length < whole.length; length++) {
    const list = decodeControl(whole.subarray(0, length));
    t.ok(list.length < 5 && list.every(({ data }) => data.length > 0), `${length} octets`);
  }
  t.strictSame(decodeControl(fromHex("0000000000000000 29000000 32000000")), [], "length zero does not loop");
  const odd = [50, 52, 67, 11, 200].map((type) => ({ level: 41, type, data: fromHex("0102") }));
  const odd4 = [8, 2, 1].map((type) => ({ level: 0, type, data: fromHex("0102") }));
  const mark = { level: 1, type: 36, data: fromHex("01") };
  t.strictSame({ ...decodeAncillary([...odd, ...odd4, mark]) }, { destinationOptions: [] });
});

t.test("any list of control messages survives both word sizes; any octets decode without an exception", async (t) => {
  const message = fc.record({
    level: fc.integer({ min: 0, max: 300 }),
    type: fc.integer({ min: 0, max: 300 }),
    data: fc.uint8Array({ maxLength: 40 }),
  });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 6 }), fc.constantFrom(4, 8), (list, word) => {
      const plain = decodeControl(encodeControl(list, word), word).map((each) => ({ ...each, data: toHex(each.data) }));
      return JSON.stringify(plain) === JSON.stringify(list.map((each) => ({ ...each, data: toHex(each.data) })));
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(4, 8), (bytes, word) => {
      decodeAncillary(decodeControl(bytes, word));
    }),
  );
  t.pass("200 runs");
});

t.test("what a packet is sent with", async (t) => {
  const octets = (list: ReturnType<typeof encodeIpv6Options>): [number, number, string][] =>
    list.map(({ level, type, data }) => [level, type, toHex(data)]);
  const source = ipv6("2001:db8::1");
  const headers = { destinationOptions: fromHex("0000010400000000"), routingHeader: fromHex("00020201") };
  t.strictSame(
    octets(
      encodeIpv6Options({ source, interfaceIndex: 3, hopLimit: 255, trafficClass: 0xb9, mark: 0xdeadbeef, ...headers }),
    ),
    [
      [41, 50, "20010db800000000000000000000000103000000"],
      [41, 52, "ff000000"],
      [41, 67, "b9000000"],
      [41, 59, "0000010400000000"],
      [41, 57, "00020201"],
      [1, 36, "efbeadde"],
    ],
  );
  t.strictSame(octets(encodeIpv6Options({ interfaceIndex: 3 })), [[41, 50, `${"00".repeat(16)}03000000`]]);
  t.strictSame(octets(encodeIpv4Options({ source: ipv4("192.0.2.1"), hopLimit: 64, trafficClass: 0xb9, mark: 1 })), [
    [0, 8, "00000000c000020100000000"],
    [0, 2, "40000000"],
    [0, 1, "b9000000"],
    [1, 36, "01000000"],
  ]);
  t.strictSame(encodeIpv4Options({}), []);
  t.strictSame(encodeIpv6Options({}), []);
});

t.test("what does not fit is an EncodeError", async (t) => {
  t.throws(() => encodeIpv6Options({ source: ipv4("192.0.2.1") }), EncodeError);
  t.throws(() => encodeIpv4Options({ source: ipv6("::1") }), EncodeError);
  t.throws(() => encodeIpv4Options({ routingHeader: fromHex("00") }), EncodeError);
  t.throws(() => encodeIpv4Options({ destinationOptions: fromHex("00") }), EncodeError);
  for (const value of [-1, 256, 1.5]) {
    t.throws(() => encodeIpv6Options({ hopLimit: value }), EncodeError);
    t.throws(() => encodeIpv4Options({ trafficClass: value }), EncodeError);
  }
  for (const mark of [-1, 2 ** 32]) t.throws(() => encodeIpv6Options({ mark }), EncodeError);
});
