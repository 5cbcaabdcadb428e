import t from "tap";
import { withheld } from "../../../../../controller/protocol/mip6/home-agent/acknowledgement.js";
import { BindingStatus } from "../../../../../controller/wire/mip6/registry.js";
import {
  COA,
  COA_2,
  HOA,
  HOA4,
  HomeAgentHarness,
  NAT_PORT,
  NAT4,
  native,
  option29,
  SILENT,
  udp,
} from "../../../../sim/home-agent-harness.js";

t.test("while the journal can't be written every update is refused or met with silence, and bindings stay", (test) => {
  for (const journalFailure of ["refuse", "silent"] as const) {
    const harness = new HomeAgentHarness({ journalFailure });
    harness.update(native(COA), { sequence: 1 });
    const before = harness.view();
    harness.step({ kind: "storage", writable: false });
    for (const fields of [{ sequence: 2 }, { sequence: 3, lifetimeUnits: 0 }]) {
      const answer = harness.update(native(COA_2), fields);
      test.equal(answer?.status, journalFailure === "silent" ? undefined : BindingStatus.insufficientResources);
      test.strictSame(harness.drops(), ["journal-unwritable"]);
      test.strictSame([...harness.effects("data-path"), ...harness.effects("journal")], []);
    }
    test.strictSame(harness.view(), before);
    harness.step({ kind: "storage", writable: true });
    test.equal(harness.update(native(COA_2), { sequence: 4 })?.status, BindingStatus.accepted);
  }
  test.end();
});

t.test("a binding that could not be stored is again what was told before", (test) => {
  const harness = new HomeAgentHarness();
  harness.update(native(COA), { sequence: 1, options: [option29(HOA4)] });
  const before = harness.view();
  harness.update(native(COA_2), { sequence: 2, options: [option29(HOA4)] });
  harness.take();
  harness.step({ kind: "unstored", homeAddress: HOA });
  test.match(harness.view(), { endpoint: before?.endpoint, sequence: 2, ipv4HomeAddress: HOA4 });
  test.match(harness.kernel.get(HOA)?.egress, { address: COA });
  test.match(harness.journal.get(HOA)?.record, { careOfAddress: COA, sequence: 2 });
  test.strictSame(harness.events(), ["binding.failed"]);
  test.equal(harness.update(native(COA_2), { sequence: 3 })?.status, BindingStatus.accepted);
  test.end();
});

t.test("a first binding that could not be stored is none, also while another update waits for the kernel", (test) => {
  for (const waits of [false, true]) {
    const harness = new HomeAgentHarness();
    harness.update(native(COA), { sequence: 1 });
    if (waits) {
      harness.kernelMood = SILENT;
      harness.update(native(COA_2), { sequence: 2 });
    }
    harness.take();
    harness.step({ kind: "unstored", homeAddress: HOA });
    test.match(harness.view(), { state: "invalidated", endpoint: null });
    test.match(harness.journal.get(HOA)?.record, { kind: "invalidated" });
    test.strictSame(
      harness.acknowledgements().map(({ status }) => status),
      waits ? [130] : [],
    );
    if (!waits) test.equal(harness.kernel.has(HOA), false);
  }
  test.end();
});

t.test("a withheld success says 130 and grants nothing; refusals leave as they are", (test) => {
  const harness = new HomeAgentHarness();
  harness.update(udp(NAT4, NAT_PORT), { sequence: 1, options: [option29(HOA4)] });
  const [success] = harness.sends();
  if (success === undefined) throw new Error("no answer");
  const instead = withheld(success);
  test.match(instead.message, { status: 130, sequence: 1, lifetimeUnits: 0 });
  test.match(instead.message, {
    options: [{ kind: "ipv4-address-acknowledgement", status: 128 }, { kind: "nat-detection" }],
  });
  test.equal(withheld(instead), instead);
  test.end();
});
