import t from "tap";
import { ipv4, ipv6 } from "../../../../../controller/base/ip.js";
import { type CacheEntry, cacheEntries } from "../../../../../controller/protocol/mip6/home-agent/binding-cache.js";
import { dataPaths, lookup } from "../../../../../controller/protocol/mip6/home-agent/machine.js";
import { findOption } from "../../../../../controller/wire/mip6/options/mobility.js";
import { BindingStatus } from "../../../../../controller/wire/mip6/registry.js";
import {
  alternateCareOf,
  COA,
  COA_2,
  COA4,
  HA,
  HA4,
  HOA,
  HOA4,
  HomeAgentHarness,
  NAT_PORT,
  NAT4,
  native,
  option29,
  option32,
  PRIVATE4,
  udp,
} from "../../../../sim/home-agent-harness.js";

const NONE = 0xffffffff;

function bound(harness: HomeAgentHarness): readonly CacheEntry[] {
  const entry = harness.entry();
  return entry === undefined ? [] : cacheEntries(entry);
}

t.test(
  "R5555-2.3-01 R5555-2.3.1-02 R5555-4.5-17 R5555-4.5-19: both home addresses, IPv6 care-of address",
  async (test) => {
    //  MN                                                HA                     kernel
    //   | BU(1, A H, 600 s, AltCoA, 29)  CoA>HA, HAO      |                        |
    //   |------------------------------------------------>| data path rev 1        |
    //   |                                                 |----------------------->|
    //   |                                                 |<-----------------------| ok
    //   |<------------------------------------------------| BA(1, 0, 600 s, 30)  HA>CoA, T2RH
    const harness = new HomeAgentHarness();
    const answer = harness.update(native(COA), { sequence: 1, options: [alternateCareOf(COA), option29(HOA4)] });
    test.match(answer, { status: BindingStatus.accepted, sequence: 1, lifetimeUnits: 150 });
    test.strictSame(answer?.options, [
      { kind: "ipv4-address-acknowledgement", status: 0, prefixLength: 32, address: HOA4 },
    ]);
    test.strictSame(Object.values(answer?.flags ?? {}).filter(Boolean), [], "no K, no R");
    test.match(harness.sends(), [{ source: HA, destination: HOA, departure: { type: "native-routed", careOf: COA } }]);
    test.strictSame(harness.kernel.get(HOA), {
      homeAddress: HOA,
      ipv4HomeAddress: HOA4,
      egress: { format: "ipv6", address: COA },
      ingress: [{ format: "ipv6", address: COA }],
      profile: "default",
      revision: 1,
    });
    test.equal(lookup(harness.state, HOA4), lookup(harness.state, HOA), "one node, found by either home address");
    const [six, four] = bound(harness);
    test.equal(six?.address, HOA);
    test.equal(four?.address, HOA4);
    test.strictSame(
      { ...four, address: HOA, length: 128 },
      six,
      "sequence number, care-of address and lifetime are shared",
    );
    test.strictSame(harness.events(), ["binding.accepted"]);
    test.strictSame([...dataPaths(harness.state)], [harness.kernel.get(HOA)]);
  },
);

t.test("a plain Mobile IPv6 update gets a plain Mobile IPv6 answer", async (test) => {
  const harness = new HomeAgentHarness();
  const answer = harness.update(native(COA), { sequence: 1, options: [alternateCareOf(COA)] });
  test.equal(answer?.status, 0);
  test.strictSame(answer?.options, []);
  test.equal(lookup(harness.state, HOA4), undefined);
  test.equal(harness.kernel.get(HOA)?.ipv4HomeAddress, undefined);
});

t.test(
  "F6275-9.5.1-06: the care-of address is the Alternate Care-of Address, else the wire source; the answer goes to the wire source",
  async (test) => {
    const harness = new HomeAgentHarness();
    harness.update(native(COA), { sequence: 1, options: [alternateCareOf(COA_2)] });
    test.equal(harness.kernel.get(HOA)?.egress.address, COA_2);
    test.match(harness.sends(), [{ departure: { type: "native-routed", careOf: COA } }]);
    harness.update(native(COA), { sequence: 2 });
    test.equal(harness.kernel.get(HOA)?.egress.address, COA);
  },
);

t.test("R5555-2.3.2.1-04 R5555-2.3.2.1-05 R5555-2.3.2.1-06 R5555-4.2-03: public IPv4, no NAT", async (test) => {
  const harness = new HomeAgentHarness();
  const answer = harness.update(udp(COA4, 4191), { sequence: 1, options: [option29(HOA4), option32(COA4)] });
  test.match(answer, { status: 0, sequence: 1 });
  test.strictSame(answer?.options, [
    { kind: "ipv4-address-acknowledgement", status: 0, prefixLength: 32, address: HOA4 },
    { kind: "nat-detection", forceUdp: false, refreshSeconds: NONE },
  ]);
  test.match(harness.sends(), [
    {
      source: HA,
      destination: HOA,
      departure: { type: "udp", localAddress: HA4, remoteAddress: COA4, remotePort: 4191 },
    },
  ]);
  test.strictSame(harness.kernel.get(HOA)?.egress, { format: "ipv4", address: COA4 });
  const registration = harness.entry()?.established?.registration;
  test.equal(registration?.natDetected, false);
  test.strictSame(
    registration?.signalling,
    { format: "udp", address: COA4, port: 4191 },
    "kept apart from where payload goes",
  );
});

t.test("R5555-2.3.2.2-03 R5555-2.3.2.2-04 R5555-2.3.2.2-05 R5555-4.5-08: behind a NAT", async (test) => {
  const harness = new HomeAgentHarness({ natRefreshSeconds: 77 });
  const answer = harness.update(udp(NAT4, NAT_PORT), { sequence: 1, options: [option29(HOA4), option32(PRIVATE4)] });
  test.strictSame(findOption(answer?.options ?? [], "nat-detection"), {
    kind: "nat-detection",
    forceUdp: false,
    refreshSeconds: 77,
  });
  test.strictSame(harness.kernel.get(HOA)?.egress, { format: "udp", address: NAT4, port: NAT_PORT });
  const [six, four] = bound(harness);
  test.equal(six?.careOfAddress, PRIVATE4, "C-08: the claimed one is stored too");
  test.equal(four?.endpoint.address, NAT4);
  test.ok(findOption(answer?.options ?? [], "ipv4-address-acknowledgement"));
  const departure = { type: "udp", localAddress: HA4, remoteAddress: NAT4, remotePort: NAT_PORT };
  test.match(harness.sends(), [{ source: HA, destination: HOA, departure }]);
});

t.test("R5555-3.2.2-10: the refresh time of the site is the one told", async (test) => {
  const harness = new HomeAgentHarness();
  const answer = harness.update(udp(NAT4, NAT_PORT), { sequence: 1, options: [option32(PRIVATE4)] });
  test.equal(findOption(answer?.options ?? [], "nat-detection")?.refreshSeconds, 110);
});

t.test("a home agent behind a port mapping answers from the address that was written to", async (test) => {
  const inside = ipv4("192.168.0.2");
  const harness = new HomeAgentHarness();
  const path = { type: "udp", outerSource: COA4, outerPort: 5000, outerDestination: inside } as const;
  const answer = harness.update(udp(COA4, 5000, HOA, { path }), { sequence: 1, options: [option32(COA4)] });
  test.equal(findOption(answer?.options ?? [], "nat-detection")?.refreshSeconds, NONE, "that is no NAT of the node");
  test.match(harness.sends(), [{ departure: { localAddress: inside, remoteAddress: COA4, remotePort: 5000 } }]);
});

t.test("C-08: without IPv4 Care-of Address option a NAT can't be excluded", async (test) => {
  const harness = new HomeAgentHarness();
  const answer = harness.update(udp(COA4, 5000), { sequence: 1 });
  test.equal(answer?.status, 0);
  test.equal(findOption(answer?.options ?? [], "nat-detection")?.refreshSeconds, 110);
  test.strictSame(harness.kernel.get(HOA)?.egress, { format: "udp", address: COA4, port: 5000 });
});

t.test("C-06: F granted without NAT is F=1 and no keepalives, with NAT F=1 and keepalives", async (test) => {
  const harness = new HomeAgentHarness();
  const flags = { forceUdp: true };
  const plain = harness.update(udp(COA4, 4191), { sequence: 1, flags, options: [option32(COA4)] });
  test.strictSame(findOption(plain?.options ?? [], "nat-detection"), {
    kind: "nat-detection",
    forceUdp: true,
    refreshSeconds: NONE,
  });
  test.strictSame(harness.kernel.get(HOA)?.egress, { format: "udp", address: COA4, port: 4191 });
  const natted = harness.update(udp(NAT4, NAT_PORT), { sequence: 2, flags, options: [option32(PRIVATE4)] });
  test.match(findOption(natted?.options ?? [], "nat-detection"), { forceUdp: true, refreshSeconds: 110 });
  const without = harness.update(udp(COA4, 4191), { sequence: 3, options: [option32(COA4)] });
  test.match(findOption(without?.options ?? [], "nat-detection"), { forceUdp: false, refreshSeconds: NONE });
  test.equal(harness.kernel.get(HOA)?.egress.format, "ipv4");
});

t.test(
  "F6275-9.5.2-01 F6275-6.1.7-01: granted is at most requested and at most what the site allows, in units of 4 s",
  async (test) => {
    const granted = (maxLifetimeSeconds: number, lifetimeUnits: number): number | undefined =>
      new HomeAgentHarness({ maxLifetimeSeconds }).update(native(COA), { sequence: 1, lifetimeUnits })?.lifetimeUnits;
    test.equal(granted(3600, 150), 150);
    test.equal(granted(600, 151), 150);
    test.equal(granted(602, 0xffff), 150, "never more than allowed");
    test.equal(granted(262140, 0xffff), 0xffff);
    test.equal(granted(4, 10), 1);
    test.equal(granted(3600, 1), 1);
  },
);

t.test("F6275-9.5.2-01: the binding ends with its lifetime, and a refresh begins a new one", async (test) => {
  const harness = new HomeAgentHarness();
  harness.update(native(COA), { sequence: 1, lifetimeUnits: 10 });
  test.equal(harness.deadline, 40);
  harness.advance(39);
  harness.update(native(COA), { sequence: 2, lifetimeUnits: 10 });
  test.equal(harness.deadline, 40);
  harness.advance(39.999);
  test.ok(harness.kernel.has(HOA));
  harness.take();
  harness.advance(0.001);
  test.notOk(harness.kernel.has(HOA));
  test.strictSame(harness.events(), ["binding.expired"]);
  test.strictSame(harness.sends(), []);
  harness.advance(10);
  test.equal(harness.entry(), undefined, "and then nothing is left of it");
  test.equal(harness.deadline, undefined);
  test.equal(harness.journal.size, 0);
});

t.test(
  "F6275-9.5.2-01: a binding whose lifetime is over does not count, even if no timer has run yet",
  async (test) => {
    const harness = new HomeAgentHarness();
    harness.update(native(COA), { sequence: 1, lifetimeUnits: 1 });
    harness.now = (harness.now + 4000) as typeof harness.now;
    harness.update(native(COA_2), { sequence: 2 });
    test.strictSame(harness.events(), ["binding.expired", "binding.accepted"]);
    test.strictSame(harness.kernel.get(HOA)?.ingress, [{ format: "ipv6", address: COA_2 }]);
  },
);

t.test("refresh advice is shorter than the lifetime, and not in a de-registration", async (test) => {
  const harness = new HomeAgentHarness({ refreshAdviceSeconds: 300 });
  const advice = (fields: Parameters<HomeAgentHarness["update"]>[1]): number | undefined =>
    findOption(harness.update(native(COA), fields)?.options ?? [], "binding-refresh-advice")?.intervalUnits;
  test.equal(advice({ sequence: 1, lifetimeUnits: 76 }), 75);
  test.equal(advice({ sequence: 2, lifetimeUnits: 75 }), undefined);
  test.equal(advice({ sequence: 3, lifetimeUnits: 0 }), undefined);
  const without = new HomeAgentHarness().update(native(COA), { sequence: 1 });
  test.equal(findOption(without?.options ?? [], "binding-refresh-advice"), undefined);
});

t.test("a home registration is answered whatever A says", async (test) => {
  const harness = new HomeAgentHarness();
  const answer = harness.update(native(COA), { sequence: 1, flags: { acknowledge: false } });
  test.equal(answer?.status, 0);
});

t.test("K is never set, SAs are static", async (test) => {
  const harness = new HomeAgentHarness();
  const answer = harness.update(native(COA), { sequence: 1, flags: { keyManagementMobility: true } });
  test.match(answer, { status: 0, flags: { keyManagementMobility: false } });
});

t.test("mobile network prefixes without R are not looked at", async (test) => {
  const harness = new HomeAgentHarness();
  const option = { kind: "mobile-network-prefix", prefixLength: 56, prefix: ipv6("2001:db8:7::") } as const;
  const answer = harness.update(native(COA), { sequence: 1, options: [option] });
  test.match(answer, { status: 0, flags: { mobileRouter: false }, options: [] });
});

t.test("R5555-1-02 F6275-6.2-01: options that mean nothing here change nothing", async (test) => {
  const harness = new HomeAgentHarness();
  const unknown = { kind: "unknown", optionType: 200, data: new Uint8Array(3) } as const;
  const identifier = {
    kind: "binding-identifier",
    bindingId: 1,
    status: 0,
    simultaneousHomeAndForeign: false,
    careOfAddress: undefined,
  } as const;
  test.equal(harness.update(native(COA), { sequence: 1, options: [unknown, identifier] })?.status, 0);
});

t.test("C-34: announced once the kernel has the path, never again on moves, again for what is new", async (test) => {
  const harness = new HomeAgentHarness();
  harness.update(native(COA), { sequence: 1 });
  test.strictSame(harness.effects("announce"), [{ kind: "announce", addresses: [HOA], router: false }]);
  harness.update(native(COA), { sequence: 2, options: [option29(HOA4)] });
  test.strictSame(harness.effects("announce"), [{ kind: "announce", addresses: [HOA4], router: false }]);
  harness.update(udp(NAT4, NAT_PORT), { sequence: 3, options: [option29(HOA4), option32(PRIVATE4)] });
  test.strictSame(harness.effects("announce"), []);
});

t.test("with L the link-local address is defended too", async (test) => {
  const harness = new HomeAgentHarness();
  harness.update(native(COA), { sequence: 1, flags: { linkLocalCompatibility: true } });
  const linkLocal = ipv6("fe80::10");
  test.equal(harness.kernel.get(HOA)?.linkLocalAddress, linkLocal);
  test.strictSame(harness.effects("announce")[0]?.addresses, [HOA, linkLocal]);
  harness.update(native(COA), { sequence: 2 });
  test.equal(harness.kernel.get(HOA)?.linkLocalAddress, undefined, "a later update without L gives it back");
});

t.test(
  "R5555-5-03: the outer IPv4 source is believed: whoever changes it on the way has the node's packets",
  (test) => {
    const harness = new HomeAgentHarness();
    test.equal(harness.update(udp(COA4), { sequence: 1, options: [option32(COA4)] })?.status, BindingStatus.accepted);
    test.match(harness.kernel.get(HOA)?.egress, { address: COA4 });
    const caught = harness.update(udp(NAT4, NAT_PORT), { sequence: 2, options: [option32(COA4)] });
    test.equal(caught?.status, BindingStatus.accepted, "a NAT does the same");
    test.match(harness.kernel.get(HOA)?.egress, { format: "udp", address: NAT4, port: NAT_PORT });
    test.end();
  },
);
