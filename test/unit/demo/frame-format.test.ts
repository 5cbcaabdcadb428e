import t from "tap";
import { type Ipv4Address, type Ipv6Address, ipv4, ipv6 } from "../../../controller/base/ip.js";
import { encodeIpv4Packet, ipv4Header } from "../../../controller/wire/ip/ipv4.js";
import { encodeIpv6Packet } from "../../../controller/wire/ip/ipv6.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import { encodeUdp } from "../../../controller/wire/ip/udp.js";
import { encodeFlowPacket } from "../../demo/flow-record.js";
import { classifyFrame, undoGuePull } from "../../demo/frame-format.js";

const NODE4 = ipv4("192.0.2.71");
const AGENT4 = ipv4("203.0.113.1");
const NODE6 = ipv6("2001:db8:a::101");
const AGENT6 = ipv6("2001:db8:1::1");
const HOME4 = ipv4("198.51.100.101");
const HOME6 = ipv6("2001:db8:1::101");
const PACKET = { flow: 3, sequence: 70000 };

const udp = (payload: Uint8Array, sourcePort = 5000, destinationPort = 5000): Uint8Array =>
  encodeUdp({ sourcePort, destinationPort, payload });
const in4 = (protocol: number, payload: Uint8Array, source: Ipv4Address = NODE4, destination = AGENT4): Uint8Array =>
  encodeIpv4Packet({ header: ipv4Header({ source, destination, protocol }), payload });
const in6 = (
  nextHeader: number,
  payload: Uint8Array,
  source: Ipv6Address = NODE6,
  destination = AGENT6,
): Uint8Array => {
  const header = { trafficClass: 0, flowLabel: 0, hopLimit: 64, nextHeader, source, destination };
  return encodeIpv6Packet({ header, payload });
};
const flow = udp(encodeFlowPacket(PACKET));
const inner4 = in4(Protocol.udp, flow, HOME4, ipv4("192.0.2.2"));
const inner6 = in6(Protocol.udp, flow, HOME6, ipv6("2001:db8:c::2"));
const outer4 = { source: NODE4, destination: AGENT4 };
const outer6 = { source: NODE6, destination: AGENT6 };
const behindNat = { source: ipv4("192.0.2.130"), destination: AGENT4, sourcePort: 40123, destinationPort: 4191 };
const inUdp = (payload: Uint8Array): Uint8Array => in4(Protocol.udp, udp(payload, 40123, 4191), behindNat.source);

t.test("payload in each of the six formats, and without a tunnel", (test) => {
  const cases = [
    {
      name: "IPv6",
      frame: inner6,
      seen: { format: "direct", inner: 6, outer: { source: HOME6, destination: ipv6("2001:db8:c::2") } },
    },
    {
      name: "IPv4",
      frame: inner4,
      seen: { format: "direct", inner: 4, outer: { source: HOME4, destination: ipv4("192.0.2.2") } },
    },
    { name: "IPv6/IPv6", frame: in6(Protocol.ipv6, inner6), seen: { format: "ipv6", inner: 6, outer: outer6 } },
    { name: "IPv4/IPv6", frame: in6(Protocol.ipv4, inner4), seen: { format: "ipv6", inner: 4, outer: outer6 } },
    { name: "IPv6/IPv4", frame: in4(Protocol.ipv6, inner6), seen: { format: "ipv4", inner: 6, outer: outer4 } },
    { name: "IPv4/IPv4", frame: in4(Protocol.ipv4, inner4), seen: { format: "ipv4", inner: 4, outer: outer4 } },
    { name: "IPv6/UDP/IPv4", frame: inUdp(inner6), seen: { format: "udp", inner: 6, outer: behindNat } },
    { name: "IPv4/UDP/IPv4", frame: inUdp(inner4), seen: { format: "udp", inner: 4, outer: behindNat } },
  ];
  for (const { name, frame, seen } of cases) {
    test.strictSame(classifyFrame(frame), { kind: "payload", packet: PACKET, ...seen }, name);
  }
  test.end();
});

/** Next header, length in units of 8 octets beyond the first, and nothing of interest. */
const extension = (next: number, octets: number, rest: Uint8Array): Uint8Array =>
  Uint8Array.of(next, octets / 8 - 1, ...new Uint8Array(octets - 2), ...rest);

t.test("signalling is told by its security parameters index, behind extension headers too", (test) => {
  const esp = Uint8Array.of(0, 0, 0x10, 0x02, 0, 0, 0, 1, 0xaa, 0xbb);
  const seen = { kind: "signalling", spi: 0x1002 };
  const withOption = in6(Protocol.destinationOptions, extension(Protocol.esp, 24, esp));
  test.strictSame(classifyFrame(withOption), { ...seen, format: "direct", outer: outer6 }, "home address option");
  const routed = in6(Protocol.routing, extension(Protocol.esp, 24, esp));
  test.strictSame(classifyFrame(routed), { ...seen, format: "direct", outer: outer6 }, "type 2 routing header");
  const overUdp = inUdp(in6(Protocol.esp, esp, HOME6));
  test.strictSame(classifyFrame(overUdp), { ...seen, format: "udp", outer: behindNat });
  const limited = in6(Protocol.destinationOptions, extension(Protocol.ipv6, 8, inner6));
  test.match(classifyFrame(limited), { kind: "payload", format: "ipv6" }, "a tunnel with an encapsulation limit");
  test.end();
});

t.test(
  "Mobile IPv4: data in UDP has a header of its own, IPv6 may be in two tunnels, registrations have home addresses",
  (test) => {
    const ports = { ...behindNat, destinationPort: 434 };
    const data = (next: number, inner: Uint8Array): Uint8Array =>
      in4(Protocol.udp, udp(Uint8Array.of(4, next, 0, 0, ...inner), 40123, 434), behindNat.source);
    const overHome = in4(Protocol.ipv6, inner6, HOME4);
    const payload = { kind: "payload", packet: PACKET } as const;
    test.strictSame(classifyFrame(data(4, inner4)), { ...payload, format: "udp", inner: 4, outer: ports });
    test.strictSame(classifyFrame(data(41, inner6)), { ...payload, format: "udp", inner: 6, outer: ports });
    test.strictSame(classifyFrame(in4(Protocol.ipv4, overHome)), {
      ...payload,
      format: "ipv4",
      inner: 6,
      outer: outer4,
    });
    const request = Uint8Array.of(
      1,
      0x22,
      0,
      60,
      198,
      51,
      100,
      101,
      203,
      0,
      113,
      1,
      192,
      0,
      2,
      71,
      0,
      0,
      0,
      1,
      0,
      0,
      0,
      2,
    );
    test.strictSame(classifyFrame(in4(Protocol.udp, udp(request, 40123, 434), behindNat.source)), {
      ...{ kind: "registration", message: "request", homeAddress: HOME4, outer: ports },
    });
    test.end();
  },
);

t.test("what is neither", (test) => {
  const strangers = {
    "no IP": Uint8Array.of(0, 1, 2, 3),
    "cut short": inner6.subarray(0, 30),
    "another application": in4(Protocol.udp, udp(Uint8Array.of(1, 2, 3))),
    "another tunnel's port": in4(Protocol.udp, udp(inner4, 4789, 4789)),
    "wrong header checksum": inner4.map((octet, i) => (i === 8 ? octet - 1 : octet)),
    "endless extension headers": in6(Protocol.routing, Uint8Array.of(Protocol.esp, 255, 0, 0)),
    "too short for ESP": in6(Protocol.esp, Uint8Array.of(0, 0)),
  };
  for (const [name, frame] of Object.entries(strangers)) test.equal(classifyFrame(frame), undefined, name);
  test.end();
});

t.test("a frame whose total length the kernel's GUE port has shortened is read as it was on the wire", (test) => {
  const frame = inUdp(inner6);
  const pulled = Uint8Array.from(frame);
  new DataView(pulled.buffer).setUint16(2, frame.length - 8);
  test.equal(classifyFrame(pulled), undefined, "its checksum is wrong");
  test.strictSame(undoGuePull(pulled), frame);
  test.equal(undoGuePull(frame), frame, "left alone");
  test.equal(undoGuePull(inner6), inner6, "IPv6 is left alone");
  const padded = Uint8Array.of(...in4(Protocol.ipv4, inner4), ...new Uint8Array(8));
  test.equal(undoGuePull(padded), padded, "another protocol is left alone");
  test.end();
});
