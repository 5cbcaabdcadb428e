import t from "tap";
import { type Ipv6Address, ipv4, ipv6 } from "../../../controller/base/ip.js";
import { encodeIpv4Packet, ipv4Header } from "../../../controller/wire/ip/ipv4.js";
import { encodeIpv6Packet } from "../../../controller/wire/ip/ipv6.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import { encodeUdp } from "../../../controller/wire/ip/udp.js";
import { homeAddressHeader } from "../../../controller/wire/mip6/options/destination.js";
import { encodeType2RoutingHeader } from "../../../controller/wire/mip6/routing-header.js";
import { encodeFlowPacket } from "../../demo/flow-record.js";
import { type PathLink, pathToken } from "../../demo/path-capture.js";
import {
  type Expected,
  type PathReport,
  type PathStep,
  pathFailures,
  pathRow,
  pathVerdict,
} from "../../demo/path-report.js";
import { NODES } from "../../demo/topology.js";

const [NODE] = NODES;
const CARE_OF = ipv6("2001:db8:a::101");
const CORRESPONDENT = ipv6("2001:db8:c::2");
const datagram = encodeUdp({
  sourcePort: 5000,
  destinationPort: 5000,
  payload: encodeFlowPacket({ flow: 0, sequence: 1 }),
});
const in6 = (nextHeader: number, payload: Uint8Array, source: Ipv6Address, destination: Ipv6Address): Uint8Array =>
  encodeIpv6Packet({
    header: { trafficClass: 0, flowLabel: 0, hopLimit: 64, nextHeader, source, destination },
    payload,
  });
const inner = in6(Protocol.udp, datagram, NODE.homeAddress, CORRESPONDENT);
const behind = (header: Uint8Array): Uint8Array => Uint8Array.of(...header, ...datagram);
const withOption = (homeAddress: Ipv6Address): Uint8Array =>
  in6(Protocol.destinationOptions, behind(homeAddressHeader(Protocol.udp, homeAddress)), CARE_OF, CORRESPONDENT);
const routed = (homeAddress: Ipv6Address): Uint8Array =>
  in6(
    Protocol.routing,
    behind(encodeType2RoutingHeader({ nextHeader: Protocol.udp, homeAddress })),
    CORRESPONDENT,
    CARE_OF,
  );

t.test("what a frame says about its path depends on where it is seen", (test) => {
  const in41 = encodeIpv4Packet({
    header: ipv4Header({ source: ipv4("192.0.2.71"), destination: ipv4("192.0.2.2"), protocol: Protocol.ipv6 }),
    payload: inner,
  });
  const cases: readonly (readonly [string, Uint8Array, PathLink, string | undefined])[] = [
    ["the Home Address option", withOption(NODE.homeAddress), "correspondent", "direct-headers"],
    ["the type 2 routing header", routed(NODE.homeAddress), "correspondent", "direct-headers"],
    ["the option of another node", withOption(ipv6("2001:db8:1::102")), "correspondent", undefined],
    ["the routing header of another node", routed(ipv6("2001:db8:1::102")), "correspondent", undefined],
    ["no header at the correspondent", inner, "correspondent", undefined],
    ["a tunnel at the correspondent", in41, "correspondent", "direct-ipv4"],
    ["a tunnel at the home agent", in41, "home-agent-wan", "agent-ipv4"],
    ["no tunnel, beyond the home agent", inner, "home-agent-wan", undefined],
    ["no tunnel, on the home link", inner, "home-link", "home"],
    ["no packet of a flow", datagram, "correspondent", undefined],
  ];
  for (const [name, frame, link, token] of cases) test.equal(pathToken(frame, link, { node: NODE }), token, name);
  test.end();
});

const COUNTS = { sent: 100, lost: 0, excused: 0, duplicated: 0 };
const STEP: PathStep = {
  step: "to an IPv6 network",
  network: "ipv6",
  ipv6: { path: "direct-headers", roundTripMs: 3.14, ...COUNTS },
  ipv4: { path: "agent-ipv6", roundTripMs: 82.5, ...COUNTS },
  beside: { path: "agent-ipv6", roundTripMs: 81, ...COUNTS },
  procedure: { homeTestMs: 83, careOfTestMs: 2, afterRegistrationMs: 150 },
};
const EXPECTED: Expected = { ipv6: "direct-headers", ipv4: "agent-ipv6", beside: "agent-ipv6" };
const DELAY_MS = 20;

t.test("a step as expected, and everything that can be wrong with one", (test) => {
  test.strictSame(pathFailures(STEP, EXPECTED, DELAY_MS), []);
  const wrong = (pair: "ipv6" | "ipv4" | "beside", other: Partial<PathStep["ipv6"]>): readonly string[] =>
    pathFailures({ ...STEP, [pair]: { ...STEP[pair], ...other } }, EXPECTED, DELAY_MS);
  test.match(
    wrong("ipv6", { path: "agent-ipv6", roundTripMs: 81 })[0],
    /direct, IPv6 was expected on the wire, home agent, IPv6/,
  );
  test.match(wrong("ipv6", { lost: 3, excused: 1 })[0], /2 packets lost/);
  test.match(wrong("ipv4", { roundTripMs: null })[0], /nothing was measured/);
  test.match(wrong("ipv4", { roundTripMs: 79 })[0], /less than 80 ms/);
  test.match(
    wrong("ipv6", { roundTripMs: 42 })[0],
    /a direct round trip took 42.0 ms, by way of the home agent 81.0 ms/,
  );
  test.end();
});

t.test("cut off, nothing but the direct path is expected, and losses of the others are excused", (test) => {
  const dead = { path: "", roundTripMs: null, sent: 100, lost: 90, excused: 90, duplicated: 0 };
  const step: PathStep = { ...STEP, ipv4: dead, beside: dead, procedure: null };
  const expected: Expected = { ...EXPECTED, beside: null };
  test.strictSame(pathFailures(step, expected, DELAY_MS), []);
  test.match(
    pathFailures({ ...step, ipv6: dead }, expected, DELAY_MS)[0],
    /direct, IPv6 was expected on the wire, none/,
  );
  test.match(
    pathFailures({ ...step, beside: STEP.beside }, expected, DELAY_MS)[0],
    /beside: none was expected on the wire/,
  );
  test.end();
});

t.test("for people", (test) => {
  test.equal(
    pathRow(STEP).replace(/ +/g, " "),
    "to an IPv6 network direct, IPv6 3.1 ms 81.0 ms 150 ms 100 0 home agent, IPv6 82.5 ms 100 0",
  );
  const report: PathReport = {
    ...{ scene: "route-optimisation", bench: "um", kernel: "6.1", slow: 1, load: 1, rate: 50 },
    ...{ delayMs: DELAY_MS, cutSeconds: 10, steps: [STEP], leftovers: [], failures: [], diagnostics: null, kept: null },
    ok: true,
  };
  test.match(pathVerdict(report), /^Everything as expected: 300 packets, 0 lost/);
  test.match(pathVerdict({ ...report, ok: false, failures: ["a failure"] }), /^NOT as expected:\n {2}- a failure$/);
  test.end();
});
