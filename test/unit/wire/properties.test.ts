/** What holds for all values and for all octets. */
import fc from "fast-check";
import t from "tap";
import { DecodeError } from "../../../controller/base/errors.js";
import { decodeIcmpv6, encodeIcmpv6 } from "../../../controller/wire/icmpv6.js";
import { decodeIpv4Packet, encodeIpv4Packet } from "../../../controller/wire/ip/ipv4.js";
import { decodeIpv6Packet, encodeIpv6Packet } from "../../../controller/wire/ip/ipv6.js";
import { decodeUdp, encodeUdp } from "../../../controller/wire/ip/udp.js";
import {
  decodeMobilityMessage,
  encodeMobilityMessage,
  verifyChecksum,
  withChecksum,
} from "../../../controller/wire/mip6/messages/mobility-header.js";
import {
  decodeDestinationOptions,
  encodeDestinationOptions,
} from "../../../controller/wire/mip6/options/destination.js";
import { RO_PROFILE, SOLIMAN_2004_PROFILE, STANDARD_PROFILE } from "../../../controller/wire/mip6/profile.js";
import {
  destinationOptions,
  icmpv6Messages,
  ipv4Arbitrary,
  ipv4Packets,
  ipv6Arbitrary,
  ipv6Packets,
  messages,
  roOptions,
  soliman2004Options,
  standardOptions,
} from "../../lib/wire-arbitraries.js";
import { plain, WIRE_FORMATS } from "../../lib/wire-vectors.js";

const PROFILES = [
  ["standard", STANDARD_PROFILE, standardOptions],
  ["ro", RO_PROFILE, roOptions],
  ["soliman 2004", SOLIMAN_2004_PROFILE, soliman2004Options],
] as const;

for (const [name, profile, options] of PROFILES) {
  t.test(`F6275-6.1.1-01: any message of the ${name} profile comes back, in a multiple of 8 octets`, (t) => {
    const property = fc.property(messages(options), (message) => {
      const bytes = encodeMobilityMessage(message, { profile });
      t.equal(bytes.length % 8, 0);
      const decoded = decodeMobilityMessage(bytes, { profile });
      t.strictSame(decoded.ok ? plain(decoded.value) : decoded.error.message, plain(message));
    });
    fc.assert(property, { numRuns: 400 });
    t.end();
  });
}

t.test("the checksum of any message verifies, and no longer with one bit turned", (t) => {
  const input = fc.tuple(messages(), ipv6Arbitrary, ipv6Arbitrary, fc.nat());
  const property = fc.property(input, ([message, source, destination, at]) => {
    const bytes = withChecksum(encodeMobilityMessage(message), source, destination);
    t.ok(verifyChecksum(bytes, source, destination));
    const bit = at % (8 * bytes.length);
    const octet = bit >> 3;
    bytes[octet] = (bytes[octet] ?? 0) ^ (1 << (bit & 7));
    t.notOk(verifyChecksum(bytes, source, destination));
  });
  fc.assert(property, { numRuns: 200 });
  t.end();
});

t.test("any other structure comes back", (t) => {
  const same = (decoded: { ok: boolean; value?: unknown }, value: unknown): void => {
    t.strictSame(decoded.ok && plain(decoded.value), plain(value));
  };
  fc.assert(fc.property(icmpv6Messages, (value) => same(decodeIcmpv6(encodeIcmpv6(value)), value)));
  fc.assert(fc.property(ipv6Packets, (value) => same(decodeIpv6Packet(encodeIpv6Packet(value)), value)));
  fc.assert(fc.property(ipv4Packets, (value) => same(decodeIpv4Packet(encodeIpv4Packet(value)), value)));
  const withLength = fc.property(destinationOptions, (value) => {
    const bytes = encodeDestinationOptions(value);
    same(decodeDestinationOptions(bytes), { ...value, length: bytes.length });
  });
  fc.assert(withLength);
  t.end();
});

t.test("any datagram comes back with its checksum verified, in both families", (t) => {
  const port = fc.integer({ min: 0, max: 0xffff });
  const datagram = fc.record({ sourcePort: port, destinationPort: port, payload: fc.uint8Array({ maxLength: 60 }) });
  for (const address of [ipv4Arbitrary, ipv6Arbitrary]) {
    const property = fc.property(datagram, address, address, (value, source, destination) => {
      const decoded = decodeUdp(encodeUdp(value, { source, destination }), { source, destination });
      t.strictSame(decoded.ok && plain(decoded.value), plain(value));
    });
    fc.assert(property);
  }
  t.end();
});

t.test("any octets are a value or a DecodeError, in every format", (t) => {
  for (const [name, format] of Object.entries(WIRE_FORMATS)) {
    for (const profile of [STANDARD_PROFILE, RO_PROFILE, SOLIMAN_2004_PROFILE]) {
      const property = fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const result = format.decode(bytes, { context: { profile } });
        return result.ok || result.error instanceof DecodeError;
      });
      fc.assert(property, { numRuns: 200 });
    }
    t.pass(name);
  }
  t.end();
});

t.test("octets that decode give octets that decode to the same", (t) => {
  const header = fc.tuple(
    fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 7, 12, 16, 99),
    fc.uint8Array({ minLength: 10, maxLength: 90 }),
  );
  const property = fc.property(header, ([type, body]) => {
    const units = Math.floor((body.length + 6) / 8);
    const bytes = Uint8Array.from([59, units - 1, type, 0, 0, 0, ...body]);
    const first = decodeMobilityMessage(bytes);
    if (!first.ok) return;
    const second = decodeMobilityMessage(encodeMobilityMessage(first.value));
    t.strictSame(second.ok && plain(second.value), plain(first.value));
  });
  fc.assert(property, { numRuns: 500 });
  t.end();
});
