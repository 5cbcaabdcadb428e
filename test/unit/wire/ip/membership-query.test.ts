/** General queries in whole packets: what a node's kernel takes for a router's (RFC 3810 §5.1, §6.2; RFC 3376 §4.1). */
import t from "tap";
import { toHex } from "../../../../controller/base/bytes.js";
import { ipv4, ipv6 } from "../../../../controller/base/ip.js";
import type { Result } from "../../../../controller/base/result.js";
import { decodeIpv4Packet } from "../../../../controller/wire/ip/ipv4.js";
import { decodeIpv6Packet } from "../../../../controller/wire/ip/ipv6.js";
import { decodeIgmp, decodeMld } from "../../../../controller/wire/ip/membership.js";
import { igmpQuery, intervalCode, mldQuery } from "../../../../controller/wire/ip/membership-query.js";

const must =
  <T>(decode: (bytes: Uint8Array) => Result<T, Error>) =>
  (bytes: Uint8Array): T => {
    const result = decode(bytes);
    if (!result.ok) throw result.error;
    return result.value;
  };

const HOA = ipv6("2001:db8:1::100");
const TIMES = { responseSeconds: 1, intervalSeconds: 125, robustness: 2 };
const EXTENDED = { suppress: false, robustness: 2, intervalCode: 125, sources: [] };

t.test("MLD: one hop, from a link-local address, with the alert that routers want", (test) => {
  const { header, payload } = must(decodeIpv6Packet)(mldQuery(HOA, TIMES));
  test.match(header, { source: "fe80::1", destination: HOA, hopLimit: 1, nextHeader: 0 });
  test.equal(
    toHex(payload.subarray(0, 8)),
    "3a00050200000100",
    "ICMPv6 next; Router Alert of MLD (RFC 2711 §2.1), PadN",
  );
  const message = payload.subarray(8);
  test.strictSame(must(decodeMld)(message), { type: "query", group: "::", responseCode: 1000, extended: EXTENDED });
  test.end();
});

t.test("IGMP: one hop, with the alert", (test) => {
  const source = ipv4("203.0.113.1");
  const to = ipv4("198.51.100.100");
  const packet = igmpQuery(source, to, TIMES);
  const { header, payload } = must(decodeIpv4Packet)(packet);
  test.match(header, { source, destination: to, timeToLive: 1, protocol: 2 });
  test.equal(toHex(packet.subarray(20, 24)), "94040000", "Router Alert (RFC 2113 §2.1)");
  test.strictSame(must(decodeIgmp)(payload), {
    ...{ type: "query", group: "0.0.0.0", responseCode: 10, extended: EXTENDED },
  });
  test.end();
});

t.test("times that do not fit are the largest that do", (test) => {
  const long = { ...TIMES, responseSeconds: 1000 };
  const mld = must(decodeMld)(must(decodeIpv6Packet)(mldQuery(HOA, long)).payload.subarray(8));
  test.match(mld, { responseCode: 0x7fff });
  const four = igmpQuery(ipv4("203.0.113.1"), ipv4("198.51.100.100"), long);
  test.match(must(decodeIgmp)(must(decodeIpv4Packet)(four).payload), { responseCode: 0x7f });
  test.end();
});

t.test("intervals from 128 s on are floating point (RFC 3810 §5.1.9): (mantissa | 16) << (exponent + 3)", (test) => {
  const secondsOf = (code: number): number => (code < 128 ? code : ((code & 0xf) | 0x10) << (((code >> 4) & 7) + 3));
  for (const seconds of [2, 125, 127]) test.equal(intervalCode(seconds), seconds);
  for (const [seconds, code] of [
    [128, 0x80],
    [135, 0x80],
    [136, 0x81],
    [255, 0x8f],
    [256, 0x90],
    [3600, 0xcc],
  ] as const) {
    test.equal(intervalCode(seconds), code, `${seconds} s`);
    test.ok(secondsOf(code) <= seconds && secondsOf(code + 1) > seconds);
  }
  test.end();
});
