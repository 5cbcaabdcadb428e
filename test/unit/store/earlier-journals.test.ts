/**
 * What version 7862d28 wrote is read by all later ones: the journal of a demo run, and one that its own code wrote with each kind of record in it.
 * These files never change; where the form of the journal changes, this test says that the old one is still read.
 */
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { ipv4, ipv6 } from "../../../controller/base/ip.js";
import { seq16 } from "../../../controller/base/seq16.js";
import { elapsed, instant } from "../../../controller/base/time.js";
import { parseRecord } from "../../../controller/protocol/mip6/home-agent/binding-record.js";
import { restoredFacts } from "../../../controller/protocol/mip6/mobile-node/record.js";
import { Journal, type JournalRole } from "../../../controller/store/journal.js";
import { salvage } from "../../../controller/store/salvage.js";
import { repositoryPath } from "../../lib/repository.js";
import { HomeAgentHarness, prefix, subscribers } from "../../sim/home-agent-harness.js";

/** The entries of a journal that was left behind, and again those of the journal that came of reading it. */
function entriesOf(test: Test, name: string, role: JournalRole): Journal["entries"] {
  const directory = mkdtempSync(join(tmpdir(), "dsmipd-journal-"));
  test.teardown(() => rmSync(directory, { recursive: true }));
  copyFileSync(repositoryPath("test/vectors/journal/7862d28", `${name}.ndjson`), join(directory, "journal.ndjson"));
  const first = new Journal(directory, role, () => 0);
  test.equal(first.skipped, 0, `${name}: every line is understood`);
  const entries = new Map(first.entries);
  first.close();
  const second = new Journal(directory, role, () => 0);
  test.strictSame(new Map(second.entries), entries, `${name}: and kept in today's form`);
  second.close();
  return entries;
}

/** Mobile routers came later: whoever was bound then is none. */
const LIFETIME = {
  ...{ lifetimeUnits: 150, linkLocalAddress: undefined, ipv4HomeAddress: undefined },
  ...{ mobileRouter: false, prefixes: [] },
} as const;
const UNTOUCHED = { natDetected: false, forcedUdp: false } as const;
const hoa = (id: string) => ipv6(`2001:db8:1::${id}`);

function boundOver6(id: string, sequence: number, more: object = {}) {
  const address = ipv6(`2001:db8:a::${id}`);
  const endpoint = { format: "ipv6", address } as const;
  const registration = { careOfAddress: address, endpoint, signalling: endpoint, ...UNTOUCHED, ...LIFETIME, ...more };
  return { kind: "bound", homeAddress: hoa(id), sequence: seq16(sequence), remainingSeconds: 600, registration };
}

t.test("a home agent reads each kind of record that 7862d28 wrote", (test) => {
  const entries = entriesOf(test, "home-agent-each-kind", "home-agent");
  const records = [...entries.values()].map(({ record }) => parseRecord({ record, ageSeconds: 0 }));
  const plain = { format: "ipv4", address: ipv4("198.51.100.21") } as const;
  const natted = { format: "udp", address: ipv4("198.51.100.7"), port: 40000 } as const;
  const forced = { format: "udp", address: ipv4("198.51.100.23"), port: 4191 } as const;
  const expected = [
    boundOver6("20", 1),
    {
      ...boundOver6("21", 2),
      registration: {
        ...{ careOfAddress: plain.address, endpoint: plain, signalling: { ...plain, format: "udp", port: 4191 } },
        ...{ ...UNTOUCHED, ...LIFETIME, ipv4HomeAddress: ipv4("192.0.2.21") },
      },
    },
    {
      ...boundOver6("22", 65535),
      registration: {
        ...{ careOfAddress: ipv4("10.0.0.5"), endpoint: natted, signalling: natted, natDetected: true },
        ...{ forcedUdp: false, ...LIFETIME, ipv4HomeAddress: ipv4("192.0.2.22") },
      },
    },
    {
      ...boundOver6("23", 4),
      remainingSeconds: 300,
      registration: {
        ...{ careOfAddress: forced.address, endpoint: forced, signalling: forced, natDetected: false, forcedUdp: true },
        ...{ ...LIFETIME, lifetimeUnits: 75, ipv4HomeAddress: ipv4("192.0.2.65") },
      },
    },
    {
      ...boundOver6("24", 5, { lifetimeUnits: 10, linkLocalAddress: ipv6("fe80::24") }),
      remainingSeconds: 40,
    },
    { kind: "invalidated", homeAddress: hoa("25"), sequence: seq16(7), remainingSeconds: 10 },
  ];
  test.same(records, expected);
  test.strictSame(
    [...entries].map(([key, { writtenAt }]) => [key, writtenAt]),
    ["20", "21", "22", "23", "24", "25"].map((id, i) => [hoa(id), 1_795_900_000_000 + 1000 * (id === "25" ? 6 : i)]),
    "with the time of writing; what was forgotten is not there",
  );
  test.end();
});

t.test("its bindings are bound again, the lent address included", (test) => {
  const entries = entriesOf(test, "home-agent-each-kind", "home-agent");
  const ids = ["20", "21", "22", "23", "24", "25", "26"];
  const own = (id: string) => (id === "21" || id === "22" ? ipv4(`192.0.2.${id}`) : undefined);
  const agent = new HomeAgentHarness({
    subscribers: subscribers(ids.map((id) => ({ homeAddress: hoa(id), profile: "default", ipv4HomeAddress: own(id) }))),
    ipv4Pool: { prefixes: [prefix("192.0.2.64/29")], leaseSeconds: 300 },
  });
  agent.step({
    kind: "restore",
    bindings: [...entries.values()].map(({ record }) => ({ record, ageSeconds: 1 })),
  });
  const bound = ids.flatMap((id) => {
    const view = agent.view(hoa(id));
    return view === undefined ? [] : [[id, view.state, view.sequence, view.ipv4HomeAddress, view.remainingSeconds]];
  });
  test.strictSame(bound, [
    ["20", "established", 1, null, 599],
    ["21", "established", 2, "192.0.2.21", 599],
    ["22", "established", 65535, "192.0.2.22", 599],
    ["23", "established", 4, "192.0.2.65", 299],
    ["24", "established", 5, null, 39],
    ["25", "invalidated", 7, null, null],
  ]);
  test.equal(agent.kernel.size, 5);
  test.end();
});

t.test("a mobile node reads each kind of record that 7862d28 wrote", (test) => {
  const now = instant(5000);
  const entries = entriesOf(test, "mobile-node-each-kind", "mobile-node");
  const facts = [...entries.values()].map(({ record }) => restoredFacts(record, 98.5, now));
  const times = { lifetime: 600, acceptedAt: now, refreshAt: now, expiresAt: now + 500_000 };
  const registered = { ...times, sequence: seq16(7), prefixes: [] };
  const boundUntil = now + 501_500;
  test.same(facts, [
    {
      ...{ lastSequence: 1, boundUntil },
      registration: {
        ...{ careOf: { family: 6, address: "2001:db8:a::20", device: "wlan0" }, format: "ipv6" },
        ...{ ...registered, keepalive: undefined, ipv4HomeAddress: undefined },
      },
    },
    {
      ...{ lastSequence: 2, boundUntil },
      registration: {
        ...{ careOf: { family: 4, address: "198.51.100.21", device: "wwan0" }, format: "ipv4" },
        ...{ ...registered, keepalive: undefined, ipv4HomeAddress: "192.0.2.21" },
      },
    },
    {
      ...{ lastSequence: 65535, boundUntil },
      registration: {
        ...{ careOf: { family: 4, address: "10.0.0.5", device: "eth0" }, format: "udp" },
        ...{ ...registered, keepalive: 110, ipv4HomeAddress: "192.0.2.66" },
      },
    },
    { lastSequence: 4, boundUntil, registration: undefined },
    { lastSequence: 5, boundUntil: undefined, registration: undefined },
  ]);
  test.strictSame([...entries.keys()], ["20", "21", "22", "23", "24"].map(hoa), "what was forgotten is not there");
  test.end();
});

t.test(
  "in today's form no octet of them can be changed, and no end cut off, so that they say something else",
  (test) => {
    for (const [name, role] of [
      ["home-agent-each-kind", "home-agent"],
      ["mobile-node-each-kind", "mobile-node"],
      ["home-agent", "home-agent"],
    ] as const) {
      const directory = mkdtempSync(join(tmpdir(), "dsmipd-journal-"));
      test.teardown(() => rmSync(directory, { recursive: true }));
      const file = join(directory, "journal.ndjson");
      copyFileSync(repositoryPath("test/vectors/journal/7862d28", `${name}.ndjson`), file);
      const journal = new Journal(directory, role, () => 0);
      const wanted = new Map([...journal.entries].map(([key, entry]) => [key, JSON.stringify(entry)]));
      journal.close();
      const octets = readFileSync(file);
      const isSame = ([key, entry]: readonly [string, object]): boolean => JSON.stringify(entry) === wanted.get(key);
      const others: string[] = [];
      for (let at = 0; at < octets.length; at++) {
        const before = octets[at] ?? 0;
        for (const change of [0x01, 0x04, 0x80]) {
          octets[at] = before ^ change;
          const found = [...salvage(octets, role).entries];
          if (!found.every(isSame) || found.length < wanted.size - 2) others.push(`${name}, octet ${at} ^ ${change}`);
        }
        octets[at] = before;
        // Nothing is appended to a file that was just written anew, so its beginnings have no other records than it.
        if (![...salvage(octets.subarray(0, at), role).entries].every(isSame)) others.push(`${name}, cut at ${at}`);
      }
      test.strictSame(others, []);
    }
    test.end();
  },
);

t.test("the journals of a demo run of 7862d28 are read", (test) => {
  const agent = entriesOf(test, "home-agent", "home-agent");
  const bindings = [...agent.values()].map(({ record }) => parseRecord({ record, ageSeconds: 0 }));
  const brief = bindings.map((one) =>
    one?.kind === "bound" ? [one.homeAddress, one.sequence, one.registration.endpoint.format] : one?.kind,
  );
  test.strictSame(brief, [
    ["2001:db8:1::102", 18, "udp"],
    ["2001:db8:1::101", 9, "ipv6"],
  ]);
  for (const [name, key, format, sequence] of [
    ["mobile-node-ipv6", "2001:db8:1::101", "ipv6", 9],
    ["mobile-node-nat", "2001:db8:1::102", "udp", 18],
  ] as const) {
    const entry = entriesOf(test, name, "mobile-node").get(key);
    const facts = restoredFacts(entry?.record ?? {}, 0, instant(0));
    test.match(facts, { lastSequence: sequence, registration: { format, sequence, lifetime: 600 } }, name);
    test.ok(elapsed(instant(0), facts?.boundUntil ?? instant(0)) > 590, name);
  }
  test.end();
});
