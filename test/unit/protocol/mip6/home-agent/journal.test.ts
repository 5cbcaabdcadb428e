import t from "tap";
import { ipv4 } from "../../../../../controller/base/ip.js";
import { mappedAddress } from "../../../../../controller/base/mapped.js";
import { instant } from "../../../../../controller/base/time.js";
import { parseRecord } from "../../../../../controller/protocol/mip6/home-agent/binding-record.js";
import { BindingStatus } from "../../../../../controller/wire/mip6/registry.js";
import {
  COA,
  COA_2,
  HOA,
  HOA_B,
  HOA_C,
  HOA4,
  HomeAgentHarness,
  NAT_PORT,
  NAT4,
  native,
  option29,
  option32,
  PRIVATE4,
  prefix,
  SILENT,
  site,
  subscribers,
  udp,
} from "../../../../sim/home-agent-harness.js";

function recordIn(harness: HomeAgentHarness): Readonly<Record<string, unknown>> {
  return harness.journal.get(HOA)?.record ?? {};
}

const BEHIND_NAT = { options: [option29(HOA4), option32(PRIVATE4)] };

t.test(
  "R5555-4.5-06: a restart forgets neither addresses nor endpoint nor lifetime nor sequence number",
  async (test) => {
    const before = new HomeAgentHarness();
    before.update(udp(NAT4, NAT_PORT), { sequence: 41, lifetimeUnits: 150, ...BEHIND_NAT });
    before.advance(100);
    before.update(udp(NAT4, NAT_PORT), { sequence: 42, lifetimeUnits: 150, ...BEHIND_NAT });
    before.advance(100);
    const after = before.restart(50);
    test.strictSame(after.view(), { ...before.view(), remainingSeconds: 450 });
    test.strictSame(after.kernel.get(HOA), before.kernel.get(HOA));
    test.equal(after.deadline, 450);
    test.strictSame(after.sends(), []);
    test.strictSame(after.effects("announce"), []);
    test.match(after.update(udp(NAT4, NAT_PORT), { sequence: 42, ...BEHIND_NAT }), {
      status: BindingStatus.sequenceOutOfWindow,
      sequence: 42,
    });
    test.equal(after.update(udp(NAT4, NAT_PORT), { sequence: 43, ...BEHIND_NAT })?.status, 0);
    test.strictSame(after.effects("data-path"), [], "the path of before is the path of now");
  },
);

t.test("the record stands before the answer, and one for each change of the sequence number", async (test) => {
  const harness = new HomeAgentHarness();
  harness.update(native(COA), { sequence: 1 });
  for (const fields of [{ sequence: 2 }, { sequence: 3, lifetimeUnits: 0 }]) {
    harness.update(native(COA), fields);
    const kinds = harness.take().map(({ kind }) => kind);
    test.ok(kinds.indexOf("journal") < kinds.indexOf("send"), kinds.join());
    test.match(harness.journal.get(HOA)?.record, { sequence: fields.sequence });
  }
});

t.test("what was over is still over after a restart", async (test) => {
  const before = new HomeAgentHarness();
  before.update(native(COA), { sequence: 1 });
  before.update(native(COA), { sequence: 2, lifetimeUnits: 0 });
  const soon = before.restart(4);
  test.equal(soon.kernel.size, 0);
  test.match(soon.update(native(COA), { sequence: 1 }), { status: BindingStatus.sequenceOutOfWindow, sequence: 2 });
  soon.advance(6);
  test.equal(soon.entry(), undefined);
  test.equal(soon.journal.size, 0);
  const late = before.restart(10);
  test.equal(late.entry(), undefined);
  test.equal(late.journal.size, 0, "a record that is over is forgotten");
});

t.test("killed before the kernel has let go: the binding is over", async (test) => {
  const before = new HomeAgentHarness();
  before.update(native(COA), { sequence: 1 });
  before.kernelMood = SILENT;
  before.update(native(COA), { sequence: 2, lifetimeUnits: 0 });
  const after = before.restart(1);
  test.strictSame(after.effects("data-path"), []);
  test.match(
    after.update(native(COA), { sequence: 3, lifetimeUnits: 0 }),
    { status: 0 },
    "and the repetition is answered",
  );
});

t.test("killed while a new registration waits after an end: nothing is restored", async (test) => {
  const before = new HomeAgentHarness();
  before.update(native(COA), { sequence: 1 });
  before.kernelMood = SILENT;
  before.update(native(COA), { sequence: 2, lifetimeUnits: 0 });
  before.update(native(COA_2), { sequence: 3 });
  const after = before.restart(1);
  test.equal(after.kernel.size, 0);
});

t.test("expired while it was down", async (test) => {
  const before = new HomeAgentHarness();
  before.update(native(COA), { sequence: 1, lifetimeUnits: 10 });
  const after = before.restart(40);
  test.equal(after.entry(), undefined);
  test.strictSame(after.effects("data-path"), []);
  test.equal(after.journal.size, 0);
});

t.test("subscribers that are gone are forgotten; addresses that changed hands are not restored", async (test) => {
  const before = new HomeAgentHarness();
  before.update(native(COA), { sequence: 1, options: [option29(HOA4)] });
  before.update(native(COA, HOA_B), { sequence: 1 });
  const changes = {
    subscribers: subscribers([
      { homeAddress: HOA, profile: "silver" },
      { homeAddress: HOA_C, ipv4HomeAddress: HOA4, profile: "default" },
    ]),
  };
  const after = before.restart(1, changes);
  test.strictSame([...after.kernel.keys()], [HOA]);
  test.match(after.kernel.get(HOA), { profile: "silver", egress: { address: COA } });
  test.equal(after.kernel.get(HOA)?.ipv4HomeAddress, undefined);
  test.strictSame([...after.journal.keys()], [HOA]);
});

t.test(
  "of a binding that is of no use any more the sequence number is known, over one more restart too",
  async (test) => {
    const before = new HomeAgentHarness();
    before.update(native(COA), { sequence: 7 });
    const record = { ...before.journal.get(HOA)?.record, endpoint: { format: "ipv6", address: HOA_C } };
    const after = new HomeAgentHarness();
    after.step({ kind: "restore", bindings: [{ record, ageSeconds: 1 }] });
    test.strictSame(after.effects("data-path"), []);
    const again = after.restart(1);
    for (const harness of [after, again]) {
      test.match(harness.update(native(COA), { sequence: 7 }), {
        status: BindingStatus.sequenceOutOfWindow,
        sequence: 7,
      });
      test.match(harness.update(native(COA), { sequence: 8 }), { status: 0 });
    }
  },
);

t.test("R5555-4.5-07: a lent address is lent to the same node after a restart, and to nobody else", async (test) => {
  const changes = { ipv4Pool: { prefixes: [prefix("192.0.2.128/30")], leaseSeconds: 3600 } };
  const before = new HomeAgentHarness(changes);
  before.update(native(COA, HOA_C), { sequence: 1, options: [option29("0.0.0.0")] });
  const after = before.restart(1, changes);
  test.equal(after.state.ipv4.ownerOf(ipv4("192.0.2.129")), HOA_C);
  const refreshed = after.update(native(COA, HOA_C), { sequence: 2, options: [option29("192.0.2.129")] });
  test.match(refreshed, { options: [{ status: 0, address: "192.0.2.129" }] });
  const poolGone = before.restart(1);
  test.equal(poolGone.kernel.get(HOA_C)?.ipv4HomeAddress, undefined);
});

t.test(
  "a kernel that refuses what was restored is told to people; the binding stays for the reconciler to heal",
  async (test) => {
    const before = new HomeAgentHarness();
    before.update(native(COA), { sequence: 1 });
    const after = new HomeAgentHarness();
    after.kernelMood = () => "EINVAL";
    const bindings = [...before.journal.values()].map(({ record }) => ({ record, ageSeconds: 1 }));
    after.step({ kind: "restore", bindings });
    test.strictSame(after.events(), ["binding.failed"]);
    test.equal(after.view()?.state, "established");
  },
);

t.test("a journal that somebody wrote into: records that are none are forgotten, never an exception", async (test) => {
  const before = new HomeAgentHarness();
  before.update(udp(NAT4, NAT_PORT), { sequence: 1, ...BEHIND_NAT });
  const record = recordIn(before);
  const broken: Record<string, unknown>[] = [{}, { homeAddress: 5 }, { homeAddress: "nonsense" }, { homeAddress: HOA }];
  for (const key of Object.keys(record)) {
    if (key === "homeAddress") continue;
    for (const value of [undefined, "x", -1, 1.5, 1e9, {}, [], true]) {
      const damaged = { ...record, [key]: value };
      if (parseRecord({ record: damaged, ageSeconds: 0 })?.kind !== "bound") broken.push(damaged);
    }
  }
  test.ok(broken.length > 60, `${broken.length} kinds of damage`);
  for (const one of broken) {
    const harness = new HomeAgentHarness();
    harness.step({ kind: "restore", bindings: [{ record: one, ageSeconds: 0 }] });
    const effects = harness.take();
    test.equal(effects.length, 1, JSON.stringify(one));
    const { sequence } = record as { readonly sequence?: number };
    const kept = parseRecord({ record: one, ageSeconds: 0 }) === undefined ? null : { kind: "invalidated", sequence };
    test.match(effects[0], one["homeAddress"] === HOA ? { kind: "journal", record: kept } : { kind: "drop" });
  }
  for (const ageSeconds of [Number.NaN, Number.POSITIVE_INFINITY]) {
    test.equal(parseRecord({ record, ageSeconds }), undefined);
  }
  test.match(
    parseRecord({ record, ageSeconds: -1e6 }),
    { remainingSeconds: 600 },
    "a wall clock set back adds nothing",
  );
});

t.test("a record whose node is there already is left alone", async (test) => {
  const before = new HomeAgentHarness();
  before.update(native(COA), { sequence: 1 });
  const after = before.restart(0);
  after.take();
  const record = recordIn(before);
  after.step({ kind: "restore", bindings: [{ record: { ...record, sequence: 99 }, ageSeconds: 0 }] });
  test.strictSame(after.take(), []);
  test.equal(after.view()?.sequence, 1);
});

t.test("the clock's zero point means nothing", async (test) => {
  const view = (start: number) => {
    const harness = new HomeAgentHarness(site());
    harness.now = instant(start);
    harness.update(native(COA), { sequence: 1 });
    harness.advance(10.5);
    return harness.view();
  };
  test.strictSame(view(0), view(123_456_789));
});

t.test(
  "a care-of address that is in the node's own network by now, or round by that of another, is none",
  async (test) => {
    const routers = (a: string, b: string) => ({
      subscribers: subscribers([
        { homeAddress: HOA, profile: "default", prefixes: [prefix(a)] },
        { homeAddress: HOA_B, profile: "default", prefixes: [prefix(b)] },
      ]),
    });
    const before = new HomeAgentHarness(routers("2001:db8:100::/56", "2001:db8:200::/56"));
    before.update(native(COA), { sequence: 1 });
    before.update(native(COA_2, HOA_B), { sequence: 1 });
    const own = before.restart(1, routers("2001:db8:2::/56", "2001:db8:200::/56"));
    test.strictSame([...own.kernel.keys()], [HOA_B]);
    test.match(own.view(), { state: "invalidated" });
    test.match(own.update(native(COA), { sequence: 2 }), { status: BindingStatus.invalidCareOfAddress });
    test.match(own.update(native(COA_2), { sequence: 3 }), { status: 0 });
    // Each in the other's network.
    const round = before.restart(1, routers("2001:db8:3::/56", "2001:db8:2::/56"));
    test.equal(round.kernel.size, 1);
    const fine = before.restart(1, routers("2001:db8:3::/56", "2001:db8:200::/56"));
    test.equal(fine.kernel.size, 2, "visiting another's network is no harm");
  },
);

t.test("what came in a way that is switched off since, has no way back and is forgotten", async (test) => {
  const with2004 = (ipv4Signalling?: "soliman2004") => ({
    subscribers: subscribers([{ homeAddress: HOA, profile: "default", ipv4Signalling }]),
  });
  const soliman = new HomeAgentHarness(with2004("soliman2004"));
  soliman.update(native(mappedAddress(NAT4)), { sequence: 1 });
  test.match(soliman.view(), { endpoint: { format: "ipv4", address: NAT4 } });
  test.match(soliman.restart(1, with2004("soliman2004")).view(), { endpoint: { format: "ipv4", address: NAT4 } });
  test.match(soliman.restart(1, with2004()).view(), { state: "invalidated", endpoint: null });
  const lastResort = new HomeAgentHarness({ udpOverIpv6: true });
  lastResort.update(udp(COA, NAT_PORT), { sequence: 1 });
  test.match(lastResort.restart(1, { udpOverIpv6: true }).view(), { endpoint: { format: "udp", address: COA } });
  test.match(lastResort.restart(1).view(), { state: "invalidated", endpoint: null });
});
