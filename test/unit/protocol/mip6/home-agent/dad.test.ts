import t from "tap";
import { ipv6 } from "../../../../../controller/base/ip.js";
import { TIMERS } from "../../../../../controller/protocol/mip6/timers.js";
import { BindingStatus } from "../../../../../controller/wire/mip6/registry.js";
import {
  atHome,
  COA,
  COA_2,
  HOA,
  HomeAgentHarness,
  native,
  prefix,
  SILENT,
  subscribers,
} from "../../../../sim/home-agent-harness.js";

const LINK_LOCAL = ipv6("fe80::10");
const DAD = { duplicateAddressDetection: true };

function probing(flags = {}): HomeAgentHarness {
  const harness = new HomeAgentHarness(DAD);
  harness.dadMood = () => "silent";
  harness.update(native(COA), { sequence: 1, flags });
  return harness;
}

t.test("a new home address is probed before the kernel is asked and before the answer", async (test) => {
  const harness = probing();
  test.strictSame(harness.take(), [{ kind: "dad", homeAddress: HOA, address: HOA }]);
  test.equal(harness.view()?.state, "awaiting-dad");
  harness.answerDad(HOA, false);
  test.match(harness.acknowledgements(), [{ status: 0, sequence: 1 }]);
  test.ok(harness.kernel.has(HOA));
});

t.test("in use on the home link: 134, and nothing is left", async (test) => {
  const harness = probing();
  harness.answerDad(HOA, true);
  test.match(harness.acknowledgements(), [{ status: BindingStatus.dadFailed, sequence: 1, lifetimeUnits: 0 }]);
  test.strictSame(harness.events(), ["binding.rejected"]);
  test.strictSame([harness.asked.length, harness.kernel.size, harness.journal.size], [0, 0, 0]);
  test.equal(harness.entry(), undefined);
  test.equal(harness.deadline, undefined);
});

t.test("with L the link-local address is probed too, and either conflict counts", async (test) => {
  const flags = { linkLocalCompatibility: true };
  const free = probing(flags);
  test.strictSame(
    free.effects("dad").map(({ address }) => address),
    [HOA, LINK_LOCAL],
  );
  free.answerDad(LINK_LOCAL, false);
  test.equal(free.asked.length + free.kernel.size, 0);
  free.answerDad(LINK_LOCAL, false);
  test.equal(free.asked.length + free.kernel.size, 0, "one answer twice is one answer");
  free.answerDad(HOA, false);
  test.equal(free.kernel.get(HOA)?.linkLocalAddress, LINK_LOCAL);
  const taken = probing(flags);
  taken.answerDad(HOA, false);
  taken.answerDad(LINK_LOCAL, true);
  test.match(taken.acknowledgements(), [{ status: BindingStatus.dadFailed }]);
  taken.take();
  taken.answerDad(HOA, false);
  test.strictSame(taken.take(), []);
});

t.test("no probe where there is a binding already, a new one after its end", async (test) => {
  const harness = new HomeAgentHarness(DAD);
  harness.update(native(COA), { sequence: 1 });
  harness.update(native(COA_2), { sequence: 2 });
  test.strictSame(harness.effects("dad"), []);
  harness.update(atHome(), { sequence: 3, lifetimeUnits: 0 });
  harness.update(native(COA), { sequence: 4 });
  test.equal(harness.effects("dad").length, 1);
});

t.test("repetitions and moves during the probe: one probe, one answer, for the latest", async (test) => {
  const harness = probing();
  harness.take();
  harness.advance(1);
  harness.update(native(COA), { sequence: 2 });
  harness.update(native(COA_2), { sequence: 3 });
  test.strictSame(harness.take(), []);
  test.equal(harness.deadline, TIMERS.duplicateAddressDetection.default - 1);
  harness.answerDad(HOA, false);
  test.match(harness.acknowledgements(), [{ status: 0, sequence: 3 }]);
  test.equal(harness.kernel.get(HOA)?.egress.address, COA_2);
});

t.test("the link-local address may come and go during the probe", async (test) => {
  const comes = probing();
  comes.update(native(COA), { sequence: 2, flags: { linkLocalCompatibility: true } });
  test.strictSame(
    comes.effects("dad").map(({ address }) => address),
    [LINK_LOCAL],
  );
  comes.answerDad(HOA, false);
  test.equal(comes.kernel.size, 0);
  comes.answerDad(LINK_LOCAL, false);
  test.equal(comes.kernel.get(HOA)?.linkLocalAddress, LINK_LOCAL);
  const goes = probing({ linkLocalCompatibility: true });
  goes.answerDad(HOA, false);
  goes.update(native(COA), { sequence: 2 });
  test.match(goes.acknowledgements(), [{ status: 0, sequence: 2 }]);
});

t.test("a probe without end: 128", async (test) => {
  const harness = probing();
  harness.advance(TIMERS.duplicateAddressDetection.default);
  test.match(harness.acknowledgements(), [{ status: BindingStatus.reasonUnspecified, sequence: 1 }]);
  test.equal(harness.entry(), undefined);
});

t.test("de-registered or ended during the probe", async (test) => {
  const left = probing();
  test.match(left.update(native(COA), { sequence: 2, lifetimeUnits: 0 }), { status: 0, sequence: 2, lifetimeUnits: 0 });
  test.strictSame(left.effects("data-path-removed"), [], "the kernel has nothing of it");
  left.answerDad(HOA, false);
  test.equal(left.kernel.size, 0);
  const ended = probing();
  ended.step({ kind: "remove", homeAddress: HOA });
  test.match(ended.acknowledgements(), [{ status: BindingStatus.administrativelyProhibited }]);
});

t.test("a conflict after a binding of before leaves what is remembered of that", async (test) => {
  const harness = new HomeAgentHarness(DAD);
  harness.update(native(COA), { sequence: 1 });
  harness.update(native(COA), { sequence: 2, lifetimeUnits: 0 });
  harness.advance(4);
  harness.dadMood = () => "taken";
  test.equal(harness.update(native(COA), { sequence: 3 })?.status, BindingStatus.dadFailed);
  test.match(harness.view(), { state: "invalidated", sequence: 3 });
  test.equal(harness.deadline, 6);
});

t.test("the kernel is asked only when the probe is over", async (test) => {
  const harness = probing();
  harness.kernelMood = SILENT;
  harness.answerDad(HOA, false);
  test.equal(harness.view()?.state, "awaiting-data-path");
  test.equal(harness.deadline, TIMERS.dataPath.default);
});

t.test(
  "134 for a link-local address that another node of another home prefix has, until that one lets it go",
  async (test) => {
    const twin = ipv6("2001:db8:9::10");
    const changes = {
      homePrefixes: [prefix("2001:db8:1::/64"), prefix("2001:db8:9::/64")],
      subscribers: subscribers([HOA, twin].map((homeAddress) => ({ homeAddress, profile: "default" }))),
    };
    const harness = new HomeAgentHarness(changes);
    const flags = { linkLocalCompatibility: true };
    const comes = (sequence: number) => harness.update(native(COA_2, twin), { sequence, flags })?.status;
    test.equal(harness.update(native(COA), { sequence: 1, flags })?.status, 0);
    test.equal(comes(1), BindingStatus.dadFailed);
    test.equal(harness.update(native(COA_2, twin), { sequence: 2 })?.status, 0, "without L nothing is shared");
    test.equal(comes(3), BindingStatus.dadFailed);
    test.equal(harness.update(native(COA), { sequence: 2, flags })?.status, 0, "its own is no other's");
    test.equal(harness.update(native(COA), { sequence: 3 })?.status, 0);
    test.equal(comes(4), 0);
    test.equal(harness.update(native(COA), { sequence: 4, flags })?.status, BindingStatus.dadFailed);
    harness.update(native(COA_2, twin), { sequence: 5, lifetimeUnits: 0 });
    test.equal(harness.update(native(COA), { sequence: 5, flags })?.status, 0, "what is over has none");
    test.match(harness.restart(1, changes).kernel.get(HOA), { linkLocalAddress: LINK_LOCAL });
  },
);
