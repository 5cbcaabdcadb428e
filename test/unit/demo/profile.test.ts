import t from "tap";
import type { SignallingFrame } from "../../demo/capture.js";
import {
  countSignalling,
  isProfile,
  isProtocol,
  registrationFailures,
  registrationsText,
  signallingFailures,
  signallingText,
} from "../../demo/profile.js";
import { NODES } from "../../demo/topology.js";

const frames = (...formats: SignallingFrame["format"][]): SignallingFrame[] =>
  formats.map((format, at) => ({ node: NODES[0], message: "update", format, at }));

t.test("what is around the updates is counted and told", (test) => {
  const counts = countSignalling(frames("direct", "ipv4", "direct", "udp"));
  test.strictSame(counts, { direct: 2, ipv4: 1, udp: 1 });
  test.equal(signallingText(counts), "2 in IPv6 alone, 1 in protocol 41 (IPv4), 1 in UDP");
  test.end();
});

t.test("over IPv4 they go in the way of the profile alone", (test) => {
  test.strictSame(signallingFailures({ direct: 9, ipv4: 4, udp: 0 }, "soliman2004"), []);
  test.strictSame(signallingFailures({ direct: 9, ipv4: 0, udp: 4 }, "rfc5555"), []);
  test.match(signallingFailures({ direct: 9, ipv4: 4, udp: 1 }, "soliman2004"), [/1 .* in the other way/]);
  test.match(signallingFailures({ direct: 9, ipv4: 2, udp: 4 }, "rfc5555"), [/2 .* in the other way/]);
  for (const profile of ["rfc5555", "soliman2004"] as const)
    test.match(signallingFailures({ direct: 9, ipv4: 0, udp: 0 }, profile), [/no binding update was seen/]);
  test.notOk(isProfile("2004"));
  test.end();
});

t.test("registrations of Mobile IPv4 are all in UDP", (test) => {
  test.equal(registrationsText({ direct: 0, ipv4: 0, udp: 9 }), "9 in UDP");
  test.strictSame(registrationFailures({ direct: 0, ipv4: 0, udp: 9 }), []);
  test.match(registrationFailures({ direct: 0, ipv4: 0, udp: 0 }), [/no registration request/]);
  test.ok(isProtocol("mip4"));
  test.notOk(isProtocol("mip5"));
  test.end();
});
