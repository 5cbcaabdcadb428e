/** What the IP, UDP, ARP and neighbour discovery helpers do beyond their vectors. */
import t from "tap";
import { fromHex, toHex } from "../../../../controller/base/bytes.js";
import { EncodeError } from "../../../../controller/base/errors.js";
import { type IpAddress, ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { encodeIcmpv6, verifyIcmpv6Checksum, withIcmpv6Checksum } from "../../../../controller/wire/icmpv6.js";
import { decodeArp, decodeEthernet, encodeEthernet, gratuitousArp } from "../../../../controller/wire/ip/arp.js";
import { checksum, onesSum, pseudoHeaderSum, withUpperLayerChecksum } from "../../../../controller/wire/ip/checksum.js";
import { decodeIpv4Packet, encodeIpv4Packet, ipv4Header } from "../../../../controller/wire/ip/ipv4.js";
import {
  decodeIpv6Packet,
  encodeIpv6Packet,
  flowLabelOf,
  ipVersionOf,
  setFlowLabel,
} from "../../../../controller/wire/ip/ipv6.js";
import {
  dadProbe,
  solicitedNodeMulticast,
  unsolicitedAdvertisement,
} from "../../../../controller/wire/ip/neighbour-discovery.js";
import { decodeUdp, encodeUdp } from "../../../../controller/wire/ip/udp.js";
import {
  decodeDestinationOptions,
  encodeDestinationOptions,
  homeAddressHeader,
  homeAddressOf,
} from "../../../../controller/wire/mip6/options/destination.js";
import { encodeType2RoutingHeader } from "../../../../controller/wire/mip6/routing-header.js";

const HOME = ipv6("2001:db8:1::10");
const AGENT = ipv6("2001:db8:1::1");
const MAC = fromHex("02005e100001");

const packet = (): Uint8Array =>
  encodeIpv6Packet({
    header: { trafficClass: 0xb9, flowLabel: 0, nextHeader: 135, hopLimit: 64, source: HOME, destination: AGENT },
    payload: fromHex("deadbeef"),
  });

t.test("a flow label is written in place and changes nothing else", (t) => {
  const bytes = packet();
  const before = bytes.slice();
  for (const label of [0xfffff, 0x12345, 1, 0]) {
    setFlowLabel(bytes, label);
    t.equal(flowLabelOf(bytes), label);
    const decoded = decodeIpv6Packet(bytes);
    t.ok(decoded.ok && decoded.value.header.flowLabel === label && decoded.value.header.trafficClass === 0xb9);
    t.strictSame(bytes.subarray(4), before.subarray(4));
  }
  t.strictSame(bytes, before);
  for (const label of [-1, 0x100000, 0.5, Number.NaN]) t.throws(() => setFlowLabel(bytes, label), EncodeError);
  t.throws(() => setFlowLabel(bytes.subarray(0, 39), 1), EncodeError);
  t.throws(() => setFlowLabel(fromHex("45".padEnd(80, "0")), 1), EncodeError);
  t.equal(flowLabelOf(new Uint8Array(0)), undefined);
  t.end();
});

t.test("the IP version after UDP is told by the first four bits", (t) => {
  t.equal(ipVersionOf(packet()), 6);
  t.equal(ipVersionOf(fromHex("45")), 4);
  for (let nibble = 0; nibble < 16; nibble++) {
    if (nibble !== 4 && nibble !== 6) t.equal(ipVersionOf(Uint8Array.of(nibble << 4)), undefined);
  }
  t.equal(ipVersionOf(new Uint8Array(0)), undefined);
  t.end();
});

t.test("the format of RFC 5555 §4.1: IPv4, UDP, IPv6 and nothing between them", (t) => {
  const inner = packet();
  const udp = encodeUdp({ sourcePort: 40000, destinationPort: 4191, payload: inner });
  const outer = encodeIpv4Packet({
    header: ipv4Header({ source: ipv4("198.51.100.7"), destination: ipv4("203.0.113.1"), protocol: 17 }),
    payload: udp,
  });
  t.equal(outer.length, 20 + 8 + inner.length);
  const decoded = decodeIpv4Packet(outer);
  t.ok(decoded.ok);
  const datagram = decoded.ok ? decodeUdp(decoded.value.payload) : decoded;
  t.ok(datagram.ok && datagram.value.destinationPort === 4191);
  t.strictSame(datagram.ok && datagram.value.payload, inner);
  t.end();
});

t.test("an IPv4 header is refused with options that are not words, or too many", (t) => {
  const header = ipv4Header({ source: ipv4("192.0.2.1"), destination: ipv4("192.0.2.2"), protocol: 4 });
  for (const length of [1, 3, 44]) {
    const options = new Uint8Array(length);
    t.throws(() => encodeIpv4Packet({ header: { ...header, options }, payload: new Uint8Array(0) }), EncodeError);
  }
  t.throws(() => encodeIpv4Packet({ header, payload: new Uint8Array(65516) }), EncodeError, "total length");
  t.end();
});

t.test("ones' complement sums", (t) => {
  t.equal(checksum(fromHex("0001f203f4f5f6f7")), 0x220d, "the example of RFC 1071 §3");
  t.equal(onesSum(fromHex("ff")), 0xff00, "an odd last octet counts as the high one");
  t.equal(onesSum(new Uint8Array(65536).fill(0xff)), 0xffff, "carries of a long packet");
  t.equal(checksum(new Uint8Array(0)), 0xffff);
  t.throws(() => pseudoHeaderSum(ipv4("192.0.2.1") as IpAddress, HOME, 17, 8), EncodeError, "mixed families");
  t.throws(() => withUpperLayerChecksum(new Uint8Array(5), 4, 135, HOME, AGENT), EncodeError);
  t.end();
});

t.test("F6275-6.3-01: Home Address option, type 0xC9, length 16, at 8n+6, once, unicast routable", (t) => {
  t.equal(toHex(homeAddressHeader(50, HOME)), "320201020000c91020010db8000100000000000000000010");
  const limit = { kind: "unknown", optionType: 4, data: Uint8Array.of(4) } as const;
  for (let count = 0; count < 8; count++) {
    const front = Array.from({ length: count }, () => limit);
    const bytes = encodeDestinationOptions({
      nextHeader: 135,
      options: [...front, { kind: "home-address", address: HOME }],
    });
    const at = bytes.indexOf(0xc9);
    t.equal(at % 8, 6, `behind ${count} options at ${at}`);
    const decoded = decodeDestinationOptions(bytes);
    t.equal(decoded.ok && homeAddressOf(decoded.value), HOME);
    t.equal(decoded.ok && decoded.value.options.length, count + 1);
  }
  const option = { kind: "home-address", address: HOME } as const;
  t.throws(() => encodeDestinationOptions({ nextHeader: 135, options: [option, option] }), EncodeError);
  for (const address of ["::", "::1", "fe80::1", "ff02::1", "::ffff:192.0.2.1"]) {
    t.notOk(decodeDestinationOptions(homeAddressHeader(135, ipv6(address))).ok, address);
  }
  t.equal(homeAddressOf({ options: [limit], nextHeader: 59 }), undefined);
  t.end();
});

t.test("destination options that do not fit are refused", (t) => {
  const big = { kind: "unknown", optionType: 4, data: new Uint8Array(255) } as const;
  t.throws(() => encodeDestinationOptions({ nextHeader: 59, options: Array(8).fill(big) }), EncodeError);
  t.throws(() => encodeDestinationOptions({ nextHeader: 59, options: [{ ...big, optionType: 0xc9 }] }), EncodeError);
  t.throws(() => encodeDestinationOptions({ nextHeader: 59, options: [{ ...big, optionType: 1 }] }), EncodeError);
  t.throws(() => encodeDestinationOptions({ nextHeader: 256, options: [] }), EncodeError);
  t.end();
});

t.test("a type 2 routing header is 24 octets", (t) => {
  const bytes = encodeType2RoutingHeader({ nextHeader: 50, homeAddress: HOME });
  t.equal(toHex(bytes), "320202010000000020010db8000100000000000000000010");
  t.end();
});

t.test("neighbour discovery of a home agent: probe, advertisement, groups", (t) => {
  t.equal(solicitedNodeMulticast(ipv6("2001:db8::1:2345:6789")), "ff02::1:ff45:6789");
  const probe = dadProbe(HOME);
  t.strictSame([probe.source, probe.destination], ["::", "ff02::1:ff00:10"]);
  t.equal(toHex(encodeIcmpv6(probe.message)), `8700000000000000${"20010db8000100000000000000000010"}`);
  for (const router of [false, true]) {
    const given = { target: HOME, source: AGENT, linkLayerAddress: MAC, router };
    const { source, destination, message } = unsolicitedAdvertisement(given);
    t.strictSame([source, destination], [AGENT, "ff02::1"]);
    const bytes = withIcmpv6Checksum(encodeIcmpv6(message), source, destination);
    t.ok(verifyIcmpv6Checksum(bytes, source, destination));
    t.equal(toHex(bytes.subarray(4, 8)), router ? "a0000000" : "20000000", "S clear, O set");
    t.equal(toHex(bytes.subarray(-8)), "020102005e100001");
  }
  t.notOk(verifyIcmpv6Checksum(new Uint8Array(3), HOME, AGENT));
  t.end();
});

t.test("ICMPv6 refuses what does not fit", (t) => {
  const known = { type: "unknown", icmpType: 136, code: 0, body: new Uint8Array(0) } as const;
  t.throws(() => encodeIcmpv6(known), EncodeError);
  const odd = { kind: "source-link-layer-address", address: new Uint8Array(5) } as const;
  t.throws(() => encodeIcmpv6({ type: "router-solicitation", options: [odd] }), EncodeError);
  const raw = { kind: "unknown", optionType: 3, data: new Uint8Array(6) } as const;
  t.throws(() => encodeIcmpv6({ type: "router-solicitation", options: [raw] }), EncodeError);
  const long = { kind: "unknown", optionType: 253, data: new Uint8Array(256 * 8 - 2) } as const;
  t.throws(() => encodeIcmpv6({ type: "router-solicitation", options: [long] }), EncodeError);
  t.end();
});

t.test("a gratuitous ARP frame", (t) => {
  const frame = gratuitousArp(MAC, ipv4("192.0.2.10"));
  t.equal(frame.length, 42);
  const ethernet = decodeEthernet(frame);
  if (!ethernet.ok) throw ethernet.error;
  t.equal(toHex(ethernet.value.destination), "ffffffffffff");
  t.equal(ethernet.value.etherType, 0x0806);
  const arp = decodeArp(ethernet.value.payload);
  t.ok(arp.ok && arp.value.senderAddress === "192.0.2.10" && arp.value.targetAddress === "192.0.2.10");
  t.strictSame(encodeEthernet(ethernet.value), frame);
  t.throws(() => gratuitousArp(new Uint8Array(5), ipv4("192.0.2.10")), EncodeError);
  t.notOk(decodeEthernet(frame.subarray(0, 13)).ok);
  t.end();
});
