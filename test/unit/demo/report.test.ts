import t from "tap";
import { frozenFailures, sumTunnels } from "../../demo/freeze.js";
import {
  type DemoReport,
  demoReport,
  type FrozenReport,
  frozenText,
  type StepReport,
  stepHeader,
  stepRow,
  verdictText,
} from "../../demo/report.js";
import { stepFailures } from "../../demo/tour.js";

const STEP: StepReport = {
  node: "mn1",
  from: "ipv4",
  to: "nat",
  kind: "soft",
  format: "udp",
  peer: "192.0.2.130:40123",
  sent: 800,
  lost: 0,
  excused: 0,
  duplicated: 0,
  outageMs: 0,
  buToBaMs: 12.345,
  buToBaFrom: "mobile-node",
};

const FROZEN: FrozenReport = {
  seconds: 5.1,
  processState: "T",
  cpuTicks: 0,
  sent: 2000,
  lost: 0,
  duplicated: 0,
  tunnelIn: { packets: 1010, octets: 50500 },
  tunnelOut: { packets: 1010, octets: 50500 },
  sentUp: 1000,
  sentDown: 1000,
  signallingDevice: { packets: 0, octets: 0 },
  updatesWaiting: 2,
  queuedOctets: 4608,
  messagesHandled: 6,
  payloadOctetsThroughProcess: 0,
};

const REPORT: DemoReport = {
  bench: "um",
  kernel: "6.1",
  slow: 1,
  load: 1,
  rate: 50,
  steps: [STEP],
  frozen: FROZEN,
  security: "static",
  protocol: "mip6",
  profile: "rfc5555",
  signalling: { direct: 12, ipv4: 0, udp: 6 },
  clearText: null,
  leftovers: [],
  failures: [],
  diagnostics: null,
  kept: null,
  ok: true,
};

t.test("the table", (test) => {
  test.match(stepHeader(), /^NODE +FROM +TO +ON THE WIRE +NODE'S END +SENT +LOST +DUP +OUTAGE +ANSWER$/);
  test.match(
    stepRow(STEP),
    /^mn1 +public IPv4 +IPv4 behind a NAT +UDP in IPv4 +192\.0\.2\.130:40123 +800 +0 +0 +0 ms +12\.3 ms$/,
  );
  const hard = stepRow({
    ...STEP,
    to: "home",
    kind: "hard",
    format: "direct",
    peer: null,
    outageMs: 1234.5,
    buToBaMs: null,
  });
  test.match(hard, /home \(hard\) +no tunnel +- .* 123[45] ms +-$/);
  test.match(stepRow({ ...STEP, from: "nat", kind: "mapping-lost" }), /NAT +\(the NAT forgets it\)/);
  test.match(stepRow({ ...STEP, format: "ipv4+udp" }), /IPv4 \+ UDP in IPv4/, "nothing is hidden");
  test.ok(
    [stepHeader(), stepRow(STEP), hard].every((row) => row.length <= 132),
    "fits a wide terminal",
  );
  test.end();
});

t.test("the text about the frozen process and the verdict", (test) => {
  test.match(frozenText(FROZEN), /T, 0 clock ticks of CPU time used in 5\.1 s/);
  test.match(frozenText(FROZEN), /1010 packets, 50500 octets \(the nodes sent 1000\)/);
  test.match(verdictText(REPORT), /2800 packets, 0 lost/);
  const failed = verdictText({ ...REPORT, ok: false, failures: ["mn1 is lost", "and mn2"] });
  test.match(failed, /^NOT as expected:\n {2}- mn1 is lost\n {2}- and mn2$/);
  test.end();
});

t.test("the document", (test) => {
  test.strictSame(demoReport.parse(JSON.parse(JSON.stringify(REPORT))), REPORT);
  test.notOk(demoReport.safeParse({ ...REPORT, steps: [{ ...STEP, lost: -1 }] }).success);
  test.notOk(demoReport.safeParse({ ...REPORT, colour: "red" }).success);
  test.end();
});

t.test("what is wrong with a step", (test) => {
  test.strictSame(stepFailures(STEP), []);
  const cases: readonly [Partial<StepReport>, RegExp][] = [
    [{ lost: 3 }, /3 packets lost, both networks were up/],
    [{ kind: "hard", lost: 3, excused: 2 }, /1 packets lost, that were sent before the node was cut off or after/],
    [{ format: "ipv4" }, /udp was expected on the wire, ipv4 was captured/],
    [{ format: "ipv4+udp" }, /udp was expected on the wire, ipv4\+udp was captured/],
    [{ peer: "192.0.2.71" }, /should end at a port of the NAT's address 192\.0\.2\.130, not at 192\.0\.2\.71/],
    [{ buToBaMs: null, buToBaFrom: null }, /no binding update with its acknowledgement was seen/],
  ];
  for (const [change, text] of cases) {
    const failures = stepFailures({ ...STEP, ...change });
    test.equal(failures.length, 1);
    test.match(failures[0], text);
  }
  test.strictSame(stepFailures({ ...STEP, kind: "hard", lost: 3, excused: 3 }), []);
  test.end();
});

t.test("what is wrong with the freeze", (test) => {
  test.strictSame(frozenFailures(FROZEN), []);
  const cases: readonly [Partial<FrozenReport>, RegExp][] = [
    [{ lost: 1 }, /1 packets lost/],
    [{ processState: "S" }, /its state was S, not T/],
    [{ cpuTicks: 2 }, /it used 2 clock ticks/],
    [{ tunnelIn: { packets: 999, octets: 0 } }, /received 999 packets, the nodes sent 1000/],
    [{ tunnelOut: { packets: 3, octets: 0 } }, /sent 3 packets, 1000 were for the nodes/],
    [{ payloadOctetsThroughProcess: 60 }, /60 octets went through its own device/],
    [{ updatesWaiting: 0 }, /4608 octets waited in its sockets, too many for 0 binding updates/],
  ];
  for (const [change, text] of cases) test.match(frozenFailures({ ...FROZEN, ...change }).join("\n"), text);
  test.end();
});

t.test("the counters of dsmipd's devices, tunnels and TUN apart", (test) => {
  const link = (ifname: string, kind: string, rx: number, tx: number): Parameters<typeof sumTunnels>[0][number] => ({
    ifname,
    linkinfo: { info_kind: kind },
    stats64: { rx: { packets: rx, bytes: 100 * rx }, tx: { packets: tx, bytes: 100 * tx } },
  });
  const links = [
    link("dsmip-in4", "sit", 5, 0),
    link("dsmip-o6", "ip6tnl", 0, 7),
    link("dsmip-sig", "tun", 1, 2),
    link("wan", "veth", 50, 50),
  ];
  test.strictSame(sumTunnels([...links, { ifname: "dsmip-new" }]), {
    received: { packets: 5, octets: 500 },
    sent: { packets: 7, octets: 700 },
    tun: { packets: 3, octets: 300 },
  });
  test.end();
});
