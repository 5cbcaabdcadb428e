import t from "tap";
import { TIMERS } from "../../../../../controller/protocol/mip6/timers.js";
import { BindingStatus } from "../../../../../controller/wire/mip6/registry.js";
import {
  bindingUpdate,
  COA,
  COA_2,
  HOA,
  HomeAgentHarness,
  native,
  SILENT,
} from "../../../../sim/home-agent-harness.js";

const STALE = BindingStatus.sequenceOutOfWindow;

/** A home agent whose last update had number `last`. */
function after(last: number): HomeAgentHarness {
  const harness = new HomeAgentHarness();
  harness.update(native(COA), { sequence: last });
  return harness;
}

t.test("F6275-9.5.1-01: any number is accepted without an entry", async (test) => {
  for (const sequence of [0, 1, 15, 32767, 32768, 65535]) {
    test.match(new HomeAgentHarness().update(native(COA), { sequence }), { status: 0, sequence });
  }
});

t.test(
  "F6275-9.5.1-01: after 15, exactly 0..15 and 32783..65535 are refused, with the last one accepted",
  async (test) => {
    const refused: number[] = [];
    for (let sequence = 0; sequence <= 65535; sequence++) {
      const answer = after(15).update(native(COA), { sequence });
      if (answer?.status === STALE && answer.sequence === 15 && answer.lifetimeUnits === 0) refused.push(sequence);
      else if (answer?.status !== 0 || answer.sequence !== sequence)
        test.fail(`${sequence}: ${JSON.stringify(answer)}`);
    }
    const expected = [...Array(16).keys(), ...Array.from({ length: 65536 - 32783 }, (_, i) => 32783 + i)];
    test.strictSame(refused, expected);
  },
);

t.test("F6275-9.5.1-01: the comparison goes round at 2^16", async (test) => {
  const statusAfter = (last: number, sequence: number) => after(last).update(native(COA), { sequence })?.status;
  test.equal(statusAfter(65535, 0), 0);
  test.equal(statusAfter(65535, 32766), 0);
  test.equal(statusAfter(65535, 32767), STALE);
  test.equal(statusAfter(65535, 65535), STALE);
  test.equal(statusAfter(40000, 7231), 0);
  test.equal(statusAfter(40000, 7232), STALE);
});

t.test("a registration that its de-registration has overtaken is old, for ten seconds", async (test) => {
  const harness = new HomeAgentHarness();
  const end = () => harness.update(native(COA), { sequence: 8, lifetimeUnits: 0 });
  test.match([end(), end()], [{ status: BindingStatus.notHomeAgent }, { status: BindingStatus.notHomeAgent }]);
  for (const sequence of [7, 8])
    test.match(harness.update(native(COA), { sequence }), { status: STALE, sequence: 8, lifetimeUnits: 0 });
  test.equal(harness.view(), undefined);
  harness.advance(TIMERS.deletedBinding.default);
  test.match(harness.update(native(COA), { sequence: 7 }), { status: 0 });
  const other = new HomeAgentHarness();
  other.update(native(COA), { sequence: 8, lifetimeUnits: 0 });
  test.match(other.update(native(COA), { sequence: 9 }), { status: 0 });
});

t.test("a stale update changes nothing, whatever it asks for", async (test) => {
  const harness = after(100);
  const before = harness.view();
  for (const lifetimeUnits of [0, 150]) {
    const answer = harness.update(native(COA_2), { sequence: 100, lifetimeUnits });
    test.match(answer, { status: STALE, sequence: 100 });
    test.strictSame(harness.effects("journal"), []);
    test.strictSame(harness.effects("data-path"), []);
  }
  test.strictSame(harness.view(), before);
  test.match(harness.update(native(COA_2), { sequence: 101 }), { status: 0, sequence: 101 });
});

t.test(
  "F6275-9.5.1-01: the number of a refused but valid update counts, so that it can't be played back",
  async (test) => {
    //  BU(7, F) is refused with 144; later the site's mind changes. A copy of BU(7) from the air must not bind.
    const harness = new HomeAgentHarness({ forceUdp: "refuse" });
    harness.update(native(COA), { sequence: 6 });
    test.equal(harness.update(native(COA_2), { sequence: 7, flags: { forceUdp: true } })?.status, 144);
    test.match(harness.update(native(COA_2), { sequence: 7 }), { status: STALE, sequence: 7 });
    test.equal(harness.kernel.get(HOA)?.egress.address, COA);
  },
);

t.test("while the kernel is at it, copies are absorbed and older numbers refused", async (test) => {
  const harness = new HomeAgentHarness();
  harness.kernelMood = SILENT;
  harness.update(native(COA), { sequence: 20 });
  const copy = harness.deliver(native(COA), bindingUpdate({ sequence: 20 }));
  test.match(copy, [{ kind: "drop", reason: "duplicate" }]);
  test.match(harness.update(native(COA), { sequence: 19 }), { status: STALE, sequence: 20 });
  harness.take();
  harness.answerKernel();
  test.match(harness.acknowledgements(), [{ status: 0, sequence: 20 }]);
  test.match(
    harness.update(native(COA), { sequence: 20 }),
    { status: STALE, sequence: 20 },
    "afterwards a copy is stale",
  );
});

t.test("for 10 s after the end a delayed update is seen to be old, then any number is good", async (test) => {
  const harness = after(50);
  harness.update(native(COA), { sequence: 51, lifetimeUnits: 0 });
  harness.advance(9.9);
  test.match(harness.update(native(COA), { sequence: 50 }), { status: STALE, sequence: 51 });
  test.notOk(harness.kernel.has(HOA));
  harness.advance(0.1);
  test.equal(harness.entry(), undefined);
  test.match(harness.update(native(COA), { sequence: 50 }), { status: 0, sequence: 50 });
});
