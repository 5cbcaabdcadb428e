import t from "tap";
import { seq16 } from "../../../../../controller/base/seq16.js";
import { instant } from "../../../../../controller/base/time.js";
import { withheld } from "../../../../../controller/protocol/mip6/home-agent/acknowledgement.js";
import { BindingStatus } from "../../../../../controller/wire/mip6/registry.js";
import {
  atHome,
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

t.test(
  "while the journal can't be written registrations are refused or met with silence, and bindings stay",
  (test) => {
    for (const journalFailure of ["refuse", "silent"] as const) {
      const harness = new HomeAgentHarness({ journalFailure });
      harness.update(native(COA), { sequence: 1 });
      const before = harness.view();
      harness.step({ kind: "storage", writable: false });
      const answer = harness.update(native(COA_2), { sequence: 2 });
      test.equal(answer?.status, journalFailure === "silent" ? undefined : BindingStatus.insufficientResources);
      test.strictSame(harness.drops(), ["journal-unwritable"]);
      test.strictSame([...harness.effects("data-path"), ...harness.effects("journal")], []);
      test.strictSame(harness.view(), before);
      harness.step({ kind: "storage", writable: true });
      test.equal(harness.update(native(COA_2), { sequence: 4 })?.status, BindingStatus.accepted);
    }
    test.end();
  },
);

t.test(
  "a node that comes home is let go while the journal can't be written: we do not answer for its address",
  (test) => {
    const harness = new HomeAgentHarness();
    harness.update(native(COA), { sequence: 1 });
    harness.step({ kind: "storage", writable: false });
    harness.update(atHome(), { sequence: 2, lifetimeUnits: 0 });
    test.equal(harness.kernel.has(HOA), false);
    test.match(harness.view(), { state: "invalidated" });
    // The answer is what becomes of a success that is not on the disk; nothing is taken back with it.
    const [answer] = harness.sends();
    test.match(answer && withheld(answer).message, { status: BindingStatus.insufficientResources });
    harness.step({ kind: "unstored", homeAddress: HOA, sequence: seq16(2) });
    test.match(harness.view(), { state: "invalidated" });
    test.end();
  },
);

t.test("whatever the disk refuses, in whatever order that is heard, what counts is what was last told", (test) => {
  const told = { endpoint: { address: COA }, sequence: 4 };
  const unstored = (harness: HomeAgentHarness, ...sequences: readonly number[]): void => {
    for (const sequence of sequences) harness.step({ kind: "unstored", homeAddress: HOA, sequence: seq16(sequence) });
  };
  const moved = (): HomeAgentHarness => {
    const harness = new HomeAgentHarness();
    for (const [i, careOf] of [COA, COA_2, COA_2, COA_2].entries()) harness.update(native(careOf), { sequence: i + 1 });
    return harness;
  };
  // An update repeated while the disk was slow: the refusals come one after the other.
  for (const order of [
    [2, 3, 4],
    [4, 3, 2],
    [3, 4, 2],
  ]) {
    const harness = moved();
    unstored(harness, ...order);
    test.match(harness.view(), told, `${order}`);
    test.match(harness.kernel.get(HOA)?.egress, { address: COA });
  }
  const recovered = moved();
  unstored(recovered, 2, 3);
  test.match(recovered.view(), { endpoint: { address: COA_2 }, state: "established" }, "the last one is on the disk");
  const many = new HomeAgentHarness();
  for (let sequence = 1; sequence <= 40; sequence++) many.update(native(sequence < 36 ? COA : COA_2), { sequence });
  test.equal(many.entry()?.replaced.length, 8, "what is kept for that has an end");
  for (let sequence = 36; sequence <= 40; sequence++) unstored(many, sequence);
  test.match(many.view(), { endpoint: { address: COA }, state: "established" });
  many.advance(301);
  many.update(native(COA), { sequence: 41 });
  test.equal(many.entry()?.replaced.length, 1);
  test.end();
});

t.test("a binding that could not be stored is again what was told before", (test) => {
  const harness = new HomeAgentHarness();
  harness.update(native(COA), { sequence: 1, options: [option29(HOA4)] });
  const before = harness.view();
  harness.update(native(COA_2), { sequence: 2, options: [option29(HOA4)] });
  harness.take();
  harness.step({ kind: "unstored", homeAddress: HOA, sequence: seq16(2) });
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
    harness.step({ kind: "unstored", homeAddress: HOA, sequence: seq16(1) });
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

t.test("what was told before is taken up again only while it lasts, to the millisecond", (test) => {
  for (const left of [1, 0]) {
    const harness = new HomeAgentHarness();
    harness.update(native(COA), { sequence: 1 });
    harness.update(native(COA_2), { sequence: 2 });
    const end = harness.entry()?.replaced[1]?.before?.expiresAt;
    if (end === undefined) throw new Error("nothing was replaced");
    harness.now = instant(end - left);
    harness.take();
    harness.step({ kind: "unstored", homeAddress: HOA, sequence: seq16(2) });
    const known = { state: "established", endpoint: { address: COA } };
    test.match(harness.view(), left > 0 ? known : { state: "invalidated", endpoint: null }, `${left} ms`);
  }
  test.end();
});
