/** Values that may not be written, and what holds for all values. */
import fc from "fast-check";
import t from "tap";
import { fromHex, toHex } from "../../../../controller/base/bytes.js";
import { EncodeError } from "../../../../controller/base/errors.js";
import { ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { seq16 } from "../../../../controller/base/seq16.js";
import {
  findExtension,
  findExtensions,
  type RegistrationExtension,
} from "../../../../controller/wire/mip4/extensions/registration.js";
import {
  type DiscoveryExtension,
  decodeAgentDiscovery,
  encodeAgentDiscovery,
  type MobilityAgentAdvertisement,
  type RouterAdvertisement,
  verifyIcmpChecksum,
} from "../../../../controller/wire/mip4/messages/agent-discovery.js";
import {
  decodeControlMessage,
  encodeControlMessage,
  type RegistrationRequest,
} from "../../../../controller/wire/mip4/messages/control-message.js";
import { requestFlags } from "../../../../controller/wire/mip4/messages/registration.js";
import { AgentFlag } from "../../../../controller/wire/mip4/registry.js";
import { plain } from "../../../lib/wire-vectors.js";

const request = (...extensions: readonly RegistrationExtension[]): RegistrationRequest => ({
  type: "registration-request",
  flags: requestFlags(),
  lifetimeSeconds: 600,
  homeAddress: ipv4("192.0.2.10"),
  homeAgent: ipv4("203.0.113.1"),
  careOfAddress: ipv4("198.51.100.7"),
  identification: { high: 1, low: 2 },
  extensions,
});

t.test("F5944-1.8-01: a raw extension is written only where it comes back as one", (t) => {
  const raw = (extensionType: number, data: readonly number[] = []): RegistrationExtension => ({
    kind: "unknown",
    extensionType,
    data: Uint8Array.from(data),
  });
  for (const extension of [
    raw(0),
    raw(32, [1, 2, 3, 4, 5]),
    raw(127),
    raw(131, [65]),
    raw(144, [0, 0, 0, 0, 0, 0]),
    raw(152, []),
    raw(152, [1]),
    raw(256),
    raw(200, new Array(256).fill(0)),
  ]) {
    t.throws(() => encodeControlMessage(request(extension)), EncodeError, JSON.stringify(plain(extension)));
  }
  for (const extension of [raw(128), raw(255, [1]), raw(144, [0, 0, 0, 0, 0, 1]), raw(152, [4])]) {
    const decoded = decodeControlMessage(encodeControlMessage(request(extension)));
    t.strictSame(decoded.ok && plain(decoded.value), plain(request(extension)));
  }
  t.end();
});

t.test("V4-3.1-02, V4-3.2-05: a prefix with bits after its length is not written", (t) => {
  const prefix = ipv6("2001:db8:5::1");
  const cases = [
    { kind: "ipv6-prefix-request", prefixLength: 48, prefix },
    { kind: "ipv6-prefix-reply", code: 0, prefixLength: 127, prefix },
  ] as const;
  for (const extension of cases) t.throws(() => encodeControlMessage(request(extension)), EncodeError, extension.kind);
  for (const prefixLength of [128, 255]) {
    t.doesNotThrow(() => encodeControlMessage(request({ kind: "ipv6-prefix-request", prefixLength, prefix })));
  }
  t.end();
});

/** The extension in a registration reply that ends with these octets. */
function read(hex: string): RegistrationExtension | undefined {
  const fixed = "03010258c000020acb007101e000000000000001";
  const decoded = decodeControlMessage(fromHex(fixed + hex));
  if (!decoded.ok || decoded.value.type !== "registration-reply") throw new Error(hex);
  return decoded.value.extensions[0];
}

t.test("V4-3.1-03, V4-3.1-04: the length octet of a prefix request, and bits after it", (t) => {
  const lengths = [0, 1, 47, 48, 64, 127, 128, 129, 255];
  for (const length of lengths) {
    const octet = length.toString(16).padStart(2, "0");
    t.match(read(`981201${octet}20010db8000500000000000000000000`), {
      kind: "ipv6-prefix-request",
      prefixLength: length,
    });
  }
  t.match(read("98120130 20010db8000100000000000000 00dead"), { prefix: "2001:db8:1::", prefixLength: 48 });
  t.match(read("98120180 20010db8000100000000000000 00dead"), { prefix: "2001:db8:1::dead" });
  t.match(read("981201ff fe800000000000000000000000 00dead"), { prefix: "fe80::dead" }, "an address has no such bits");
  t.end();
});

t.test(
  "V4-3.2-02, V4-3.2-04, V4-3.2-06: a prefix reply may carry a link-local address; what is not significant is not read",
  (t) => {
    t.match(read("98140200ff00 fe80000000000000000000000000dead"), { prefixLength: 255, prefix: "fe80::dead" });
    t.match(read("9814020030ff 20010db8000100000000000000000000"), {
      code: 0,
      prefixLength: 48,
      prefix: "2001:db8:1::",
    });
    t.match(read("981402003000 20010db800010000000000000000dead"), { prefixLength: 48, prefix: "2001:db8:1::" });
    t.end();
  },
);

t.test("V4-3.2-03: the reserved octet of a prefix reply is sent as zero", (t) => {
  const extension = { kind: "ipv6-prefix-reply", code: 9, prefixLength: 48, prefix: ipv6("2001:db8:1::") } as const;
  t.equal(toHex(encodeControlMessage(request(extension)).subarray(24, 30)), "981402093000");
  t.end();
});

t.test("V4-2.2-01: there is no room for an IPv6 care-of address", (t) => {
  const careOfAddress = ipv6("2001:db8::1") as never;
  t.throws(() => encodeControlMessage({ ...request(), careOfAddress }), EncodeError);
  t.end();
});

t.test("the first and all of a kind", (t) => {
  const prefixes = ["2001:db8:5::", "2001:db8:6::"].map(ipv6);
  const mode = { kind: "ipv6-tunnelling-mode" } as const;
  const requests = prefixes.map((prefix) => ({ kind: "ipv6-prefix-request", prefixLength: 48, prefix }) as const);
  const extensions = [mode, ...requests];
  t.equal(findExtension(extensions, "ipv6-prefix-request")?.prefix, prefixes[0]);
  t.equal(findExtension(extensions, "udp-tunnel-request"), undefined);
  t.strictSame(findExtensions(extensions, "ipv6-prefix-request"), requests);
  t.end();
});

const octets = (minimum: number, maximum: number) => fc.uint8Array({ minLength: minimum, maxLength: maximum });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u8 = fc.integer({ min: 0, max: 255 });
const address = fc.ipV4().map((text) => ipv4(text));
const extensions: fc.Arbitrary<RegistrationExtension> = fc.oneof(
  ...(["mobile-home", "mobile-foreign", "foreign-home"] as const).map((who) =>
    fc.record({ kind: fc.constant(`${who}-authentication` as const), spi: u32, authenticator: octets(1, 251) }),
  ),
  fc.record({ kind: fc.constant("mobile-aaa-authentication" as const), spi: u32, authenticator: octets(16, 600) }),
  fc.record({ kind: fc.constant("network-access-identifier" as const), identifier: octets(1, 255) }),
  fc.record({ kind: fc.constant("mobile-foreign-challenge" as const), challenge: octets(1, 255) }),
  fc.record({
    kind: fc.constant("udp-tunnel-request" as const),
    forced: fc.boolean(),
    throughForeignAgent: fc.boolean(),
    encapsulation: u8,
  }),
  fc.record({ kind: fc.constant("udp-tunnel-reply" as const), code: u8, forced: fc.boolean(), keepaliveSeconds: u16 }),
  fc.record({
    kind: fc.constant("unknown" as const),
    extensionType: fc.integer({ min: 153, max: 255 }),
    data: octets(0, 255),
  }),
);

t.test("F5944-1.8-01: any registration comes back", (t) => {
  const property = fc.property(fc.array(extensions), address, address, u32, (list, home, careOf, low) => {
    const message = { ...request(...list), homeAddress: home, careOfAddress: careOf, identification: { high: 0, low } };
    const decoded = decodeControlMessage(encodeControlMessage(message));
    t.strictSame(decoded.ok ? plain(decoded.value) : decoded.error.message, plain(message));
  });
  fc.assert(property, { numRuns: 200 });
  t.end();
});

t.test("any agent advertisement comes back, with a right checksum", (t) => {
  const flags = fc
    .record(Object.fromEntries(Object.keys(AgentFlag).map((key) => [key, fc.boolean()])))
    .map((set) => set as MobilityAgentAdvertisement["flags"]);
  const router = fc.record({ address, preference: fc.integer({ min: -0x80000000, max: 0x7fffffff }) });
  const arbitrary = fc.tuple(fc.array(router, { maxLength: 5 }), flags, fc.array(address, { maxLength: 62 }), u16);
  const property = fc.property(arbitrary, ([routers, set, careOfAddresses, seconds]) => {
    const agent: DiscoveryExtension = {
      kind: "mobility-agent-advertisement",
      sequence: seq16(seconds),
      registrationLifetimeSeconds: seconds,
      flags: set,
      careOfAddresses,
    };
    const lengths: DiscoveryExtension = { kind: "prefix-lengths", prefixLengths: routers.map(() => 24) };
    const message: RouterAdvertisement = {
      type: "router-advertisement",
      code: 0,
      lifetimeSeconds: seconds,
      routers,
      extensions: [agent, lengths],
    };
    const bytes = encodeAgentDiscovery(message);
    t.ok(verifyIcmpChecksum(bytes));
    const decoded = decodeAgentDiscovery(bytes);
    t.strictSame(decoded.ok ? plain(decoded.value) : decoded.error.message, plain(message));
  });
  fc.assert(property, { numRuns: 100 });
  const wrong: RouterAdvertisement = {
    type: "router-advertisement",
    code: 0,
    lifetimeSeconds: 1,
    routers: [],
    extensions: [{ kind: "prefix-lengths", prefixLengths: [24] }],
  };
  t.throws(() => encodeAgentDiscovery(wrong), EncodeError);
  t.throws(() => encodeAgentDiscovery({ ...wrong, extensions: [], code: 1 }), EncodeError);
  t.end();
});
