import { isIPv4, isIPv6 } from "node:net";
import fc from "fast-check";
import t from "tap";
import { EncodeError } from "../../../controller/base/errors.js";
import {
  familyOf,
  formatPrefix,
  hostPrefix,
  type Ipv6Address,
  ipFromBytes,
  ipToBytes,
  ipv4,
  ipv4FromBytes,
  ipv6,
  ipv6FromBytes,
  isIpv4,
  isIpv6,
  isRoutableUnicast,
  maskAddress,
  type Prefix,
  parseIp,
  parseIpv4,
  parseIpv6,
  parsePrefix,
  prefixContains,
  prefixesOverlap,
} from "../../../controller/base/ip.js";
import { ipv4Arbitrary, ipv6Arbitrary } from "../../lib/wire-arbitraries.js";

const anyAddress = fc.oneof(ipv4Arbitrary, ipv6Arbitrary);

/** The canonical form by another implementation: the URL parser's IPv6 serialiser (WHATWG, the rules of RFC 5952). */
const canonicalByUrl = (text: string): string => new URL(`http://[${text}]/`).hostname.slice(1, -1);

t.test("RFC 5952: the canonical text of an IPv6 address", (t) => {
  const cases: Readonly<Record<string, string>> = {
    "2001:0DB8:0000:0000:0000:0000:0000:0001": "2001:db8::1",
    "2001:db8:0:0:1:0:0:1": "2001:db8::1:0:0:1",
    "2001:db8:0:1:1:1:1:1": "2001:db8:0:1:1:1:1:1",
    "2001:0:0:1:0:0:0:1": "2001:0:0:1::1",
    "0:0:0:0:0:0:0:0": "::",
    "0:0:0:0:0:0:0:1": "::1",
    "1::": "1::",
    "1:0:0:0:0:0:0:0": "1::",
    "::ffff:192.0.2.10": "::ffff:c000:20a",
    "64:ff9b::192.0.2.33": "64:ff9b::c000:221",
    "1:2:3:4:5:6:7::": "1:2:3:4:5:6:7:0",
    "::2:3:4:5:6:7:8": "0:2:3:4:5:6:7:8",
  };
  for (const [text, canonical] of Object.entries(cases)) t.equal(parseIpv6(text), canonical, text);
  t.end();
});

t.test("the canonical text agrees with another implementation, and octets come back", (t) => {
  const property = fc.property(ipv6Arbitrary, (address) => {
    t.equal(address, canonicalByUrl(address));
    t.equal(parseIpv6(address), address);
    t.equal(ipv6FromBytes(ipToBytes(address)), address);
  });
  fc.assert(property, { numRuns: 300 });
  fc.assert(fc.property(ipv4Arbitrary, (address) => ipv4FromBytes(ipToBytes(address)) === address && isIPv4(address)));
  t.end();
});

t.test("texts that are no addresses are refused", (t) => {
  const six = ["", ":", ":::", "1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "g::", "12345::", "fe80::1%eth0"];
  const more = [
    "::1.2.3",
    "::256.0.0.1",
    "1.2.3.4::",
    "::01.2.3.4",
    "1:2:3:4:5:6:7:8::",
    "::1:2:3:4:5:6:7:8",
    " ::1",
    "::1 ",
  ];
  for (const text of [...six, ...more]) {
    t.equal(parseIpv6(text), undefined, JSON.stringify(text));
    t.throws(() => ipv6(text), EncodeError);
  }
  const four = [
    "",
    "1",
    "1.2.3",
    "1.2.3.4.5",
    "256.0.0.0",
    "01.2.3.4",
    "1.2.3.4 ",
    "1..2.3",
    "-1.2.3.4",
    "1e1.2.3.4",
    "0x1.2.3.4",
  ];
  for (const text of four) {
    t.equal(parseIpv4(text), undefined, JSON.stringify(text));
    t.throws(() => ipv4(text), EncodeError);
  }
  t.end();
});

t.test("what is an address is what node:net says, but for zones and leading zeros", (t) => {
  const part = fc.constantFrom("0", "1", "ffff", ":", "::", ".", "1.2.3.4", "255", "256", "abcde", "a");
  const property = fc.property(fc.array(part, { maxLength: 16 }), (parts) => {
    const text = parts.join("");
    t.equal(parseIpv4(text) !== undefined, isIPv4(text), text);
    t.equal(parseIpv6(text) !== undefined, isIPv6(text), text);
    t.equal(parseIp(text) !== undefined, isIPv4(text) || isIPv6(text), text);
  });
  fc.assert(property, { numRuns: 1000 });
  t.end();
});

t.test("families", (t) => {
  t.strictSame([familyOf(ipv4("192.0.2.1")), familyOf(ipv6("::"))], [4, 6]);
  t.ok(isIpv4(ipv4("192.0.2.1")) && isIpv6(ipv6("::1")));
  t.notOk(isIpv6(ipv4("192.0.2.1")) || isIpv4(ipv6("::1")));
  t.equal(ipFromBytes(new Uint8Array(4)), "0.0.0.0");
  t.equal(ipFromBytes(new Uint8Array(16)), "::");
  for (const length of [0, 3, 5, 15, 17]) {
    t.throws(() => ipFromBytes(new Uint8Array(length)), EncodeError);
    t.throws(() => ipv4FromBytes(new Uint8Array(length)), EncodeError);
  }
  t.end();
});

t.test("prefixes: parsing, masking, containing, overlapping", (t) => {
  t.strictSame(parsePrefix("2001:db8::/32"), { address: "2001:db8::", length: 32 });
  t.strictSame(parsePrefix("10.0.0.0/8"), { address: "10.0.0.0", length: 8 });
  t.strictSame(parsePrefix("::/0"), { address: "::", length: 0 });
  t.strictSame(parsePrefix("203.0.113.1/32"), { address: "203.0.113.1", length: 32 }, "one host");
  t.strictSame(parsePrefix("2001:db8::1/128"), { address: "2001:db8::1", length: 128 });
  for (const text of [
    "10.0.0.1/8",
    "10.0.0.0/33",
    "2001:db8::/129",
    "2001:db8::1/64",
    "10.0.0.0",
    "10.0.0.0/",
    "/8",
    "10.0.0.0/08",
    "10.0.0.0/8 ",
  ]) {
    t.equal(parsePrefix(text), undefined, text);
  }
  t.equal(maskAddress(ipv6("2001:db8:ffff::1"), 33), "2001:db8:8000::");
  t.equal(maskAddress(ipv4("203.0.113.255"), 25), "203.0.113.128");
  const net = parsePrefix("192.0.2.0/24") as Prefix;
  t.ok(prefixContains(net, ipv4("192.0.2.255")));
  t.notOk(prefixContains(net, ipv4("192.0.3.0")));
  t.notOk(prefixContains(parsePrefix("::/0") as Prefix, ipv4("192.0.2.1")), "families do not mix");
  t.ok(prefixesOverlap(net, parsePrefix("192.0.2.128/25") as Prefix));
  t.ok(prefixesOverlap(parsePrefix("192.0.2.128/25") as Prefix, net));
  t.notOk(prefixesOverlap(net, parsePrefix("192.0.3.0/24") as Prefix));
  t.equal(formatPrefix(hostPrefix(ipv4("192.0.2.1"))), "192.0.2.1/32");
  t.equal(formatPrefix(hostPrefix(ipv6("::1"))), "::1/128");
  t.end();
});

t.test("masking keeps exactly the first bits", (t) => {
  const property = fc.property(anyAddress, fc.nat(128), (address, wanted) => {
    const bits = isIpv4(address) ? 32 : 128;
    const length = Math.min(wanted, bits);
    const [before, after] = [ipToBytes(address), ipToBytes(maskAddress(address, length))];
    for (let bit = 0; bit < bits; bit++) {
      const at = (octets: Uint8Array): number => ((octets[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1;
      if (at(after) !== (bit < length ? at(before) : 0)) t.fail(`${address}/${length}, bit ${bit}`);
    }
    t.ok(prefixContains({ address: maskAddress(address, length), length }, address));
  });
  fc.assert(property, { numRuns: 300 });
  t.end();
});

t.test("overlap means that one contains the other's first address", (t) => {
  const prefix = fc
    .tuple(ipv6Arbitrary, fc.nat(128))
    .map(([a, length]): Prefix => ({ address: maskAddress(a, length), length }));
  const property = fc.property(prefix, prefix, (a, b) => {
    const either = prefixContains(a, b.address) || prefixContains(b, a.address);
    t.equal(prefixesOverlap(a, b), either);
    t.equal(prefixesOverlap(b, a), either);
  });
  fc.assert(property);
  t.end();
});

t.test("unicast routable addresses (RFC 6275 §6.1.7)", (t) => {
  const yes = [
    "2001:db8::1",
    "fc00::1",
    "fec0::1",
    "64:ff9b::1",
    "192.0.2.1",
    "10.0.0.1",
    "172.16.0.1",
    "223.255.255.255",
  ];
  const no = ["::", "::1", "::192.0.2.1", "::ffff:192.0.2.1", "fe80::1", "febf::1", "ff02::1", "ff0e::1"];
  const no4 = [
    "0.0.0.0",
    "0.1.2.3",
    "127.0.0.1",
    "169.254.0.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
  ];
  for (const text of yes) t.ok(isRoutableUnicast(parseIp(text) as Ipv6Address), text);
  for (const text of [...no, ...no4]) t.notOk(isRoutableUnicast(parseIp(text) as Ipv6Address), text);
  t.end();
});
