import t from "tap";
import { TIMERS } from "../../../../../controller/protocol/mip6/timers.js";
import { findOption } from "../../../../../controller/wire/mip6/options/mobility.js";
import { BindingStatus } from "../../../../../controller/wire/mip6/registry.js";
import {
  alternateCareOf,
  atHome,
  bindingUpdate,
  COA,
  COA_2,
  COA4,
  HOA,
  HOA4,
  HomeAgentHarness,
  NAT_PORT,
  NAT4,
  native,
  option29,
  option32,
  PRIVATE4,
  SILENT,
  udp,
} from "../../../../sim/home-agent-harness.js";

function bound(): HomeAgentHarness {
  const harness = new HomeAgentHarness();
  harness.update(native(COA), { sequence: 1, options: [option29(HOA4)] });
  harness.take();
  return harness;
}

t.test("R5555-4.4.2.1-05: at home again: everything goes, then status 0 and lifetime 0", async (test) => {
  //  MN at home                   HA                      kernel
  //   | BU(2, 0) HoA>HA --------> | data path removed ---> ok
  //   | <---- BA(2, 0, 0) HA>HoA  |
  const harness = bound();
  harness.kernelMood = SILENT;
  test.equal(
    harness.update(atHome(), { sequence: 2, lifetimeUnits: 0 }),
    undefined,
    "not before the kernel has let go",
  );
  test.equal(harness.view()?.state, "removing");
  test.match(harness.effects("data-path-removed"), [{ homeAddress: HOA }]);
  harness.take();
  harness.answerKernel();
  test.match(harness.acknowledgements(), [{ status: 0, sequence: 2, lifetimeUnits: 0, options: [] }]);
  test.strictSame(harness.sends()[0]?.departure, { type: "native-direct", device: "home0" });
  test.strictSame(harness.events(), ["binding.removed"]);
  test.strictSame(harness.effects("announce"), [], "the node announces itself");
  test.equal(harness.kernel.size, 0);
  test.match(harness.view(), { state: "invalidated", endpoint: null, ipv4HomeAddress: null });
});

t.test("F6275-9.5.1-06: a care-of address that is the home address is a de-registration too", async (test) => {
  for (const options of [[], [alternateCareOf(HOA)]]) {
    const harness = bound();
    test.match(harness.update(atHome(), { sequence: 2, options }), { status: 0, lifetimeUnits: 0 });
    test.equal(harness.kernel.size, 0);
  }
});

t.test("R5555-4.4.2.1-05 C-22: from away, over IPv6 and over UDP, answered to where it came from", async (test) => {
  const six = bound();
  test.match(six.update(native(COA_2), { sequence: 2, lifetimeUnits: 0 }), { status: 0, lifetimeUnits: 0 });
  test.strictSame(six.sends()[0]?.departure, { type: "native-routed", careOf: COA_2 });
  test.equal(six.kernel.size, 0);
  const four = bound();
  const answer = four.update(udp(NAT4, NAT_PORT), {
    sequence: 2,
    lifetimeUnits: 0,
    options: [option29(HOA4), option32(PRIVATE4)],
  });
  test.match(answer, { status: 0, lifetimeUnits: 0 });
  test.match(answer?.options, [
    { kind: "ipv4-address-acknowledgement", status: 0, address: HOA4 },
    { kind: "nat-detection", forceUdp: false, refreshSeconds: 110 },
  ]);
  test.match(four.sends(), [{ departure: { type: "udp", remoteAddress: NAT4, remotePort: NAT_PORT } }]);
  test.equal(four.kernel.size, 0);
});

t.test("a repeated de-registration is answered again, without the kernel", async (test) => {
  const harness = bound();
  harness.update(atHome(), { sequence: 2, lifetimeUnits: 0 });
  harness.advance(5);
  test.match(harness.update(atHome(), { sequence: 3, lifetimeUnits: 0 }), { status: 0, sequence: 3, lifetimeUnits: 0 });
  test.strictSame(harness.effects("data-path-removed"), []);
  harness.advance(TIMERS.deletedBinding.default);
  test.match(harness.update(atHome(), { sequence: 4, lifetimeUnits: 0 }), { status: BindingStatus.notHomeAgent });
});

t.test("a de-registration repeated while the kernel is at it is answered once, to the latest", async (test) => {
  const harness = bound();
  harness.kernelMood = SILENT;
  harness.update(atHome(), { sequence: 2, lifetimeUnits: 0 });
  harness.advance(1);
  harness.update(atHome(), { sequence: 3, lifetimeUnits: 0 });
  test.equal(harness.asked.length, 1);
  test.equal(harness.deadline, TIMERS.dataPath.default - 1);
  harness.answerKernel();
  test.match(harness.acknowledgements(), [{ status: 0, sequence: 3 }]);
});

t.test("a kernel that does not let go, or does not say so: the binding is over all the same", async (test) => {
  const refusing = bound();
  refusing.kernelMood = () => "EBUSY";
  test.match(refusing.update(atHome(), { sequence: 2, lifetimeUnits: 0 }), { status: 0, lifetimeUnits: 0 });
  test.strictSame(refusing.events(), ["binding.failed", "binding.removed"]);
  const silent = bound();
  silent.kernelMood = SILENT;
  silent.update(atHome(), { sequence: 2, lifetimeUnits: 0 });
  silent.advance(TIMERS.dataPath.default);
  test.match(silent.acknowledgements(), [{ status: 0, sequence: 2 }]);
  silent.take();
  silent.answerKernel();
  test.strictSame(silent.take(), [], "late");
});

t.test("away again before the kernel has let go: only the new registration is answered", async (test) => {
  const harness = bound();
  harness.kernelMood = SILENT;
  harness.update(atHome(), { sequence: 2, lifetimeUnits: 0 });
  harness.update(native(COA_2), { sequence: 3 });
  test.equal(harness.asked.length, 2);
  harness.answerKernel();
  test.strictSame(harness.sends(), []);
  harness.answerKernel();
  test.match(harness.acknowledgements(), [{ status: 0, sequence: 3 }]);
  test.match(harness.kernel.get(HOA), { ingress: [{ address: COA_2 }] }, "nothing of before the de-registration");
  test.strictSame(harness.events(), ["binding.accepted"]);
});

t.test("a de-registration while the first registration waits", async (test) => {
  const harness = new HomeAgentHarness();
  harness.kernelMood = SILENT;
  harness.update(native(COA), { sequence: 1 });
  harness.update(native(COA), { sequence: 2, lifetimeUnits: 0 });
  harness.answerKernel();
  test.strictSame(harness.sends(), [], "the answer to the data path is stale");
  harness.answerKernel();
  test.match(harness.acknowledgements(), [{ status: 0, sequence: 2, lifetimeUnits: 0 }]);
  test.equal(harness.kernel.size, 0);
});

t.test("a de-registration while a re-registration waits", async (test) => {
  const harness = bound();
  harness.kernelMood = SILENT;
  harness.update(native(COA_2), { sequence: 2 });
  harness.update(native(COA_2), { sequence: 3, lifetimeUnits: 0 });
  harness.answerKernel();
  harness.answerKernel();
  test.match(harness.acknowledgements(), [{ status: 0, sequence: 3, lifetimeUnits: 0 }]);
  test.equal(harness.kernel.size, 0);
});

t.test(
  "R5555-4.4.2.1-02 R5555-4.4.2.1-03: an update without option 29 drops the IPv4 binding and nothing else",
  async (test) => {
    const harness = bound();
    const answer = harness.update(native(COA), { sequence: 2 });
    test.match(answer, { status: 0, options: [] });
    test.match(harness.view(), { ipv4HomeAddress: null, endpoint: { address: COA } });
    test.equal(harness.kernel.get(HOA)?.ipv4HomeAddress, undefined);
    harness.update(native(COA), { sequence: 3, options: [option29(HOA4)] });
    test.equal(harness.kernel.get(HOA)?.ipv4HomeAddress, HOA4);
  },
);

t.test("de-registration over UDP without NAT still has option 31", async (test) => {
  const harness = new HomeAgentHarness();
  harness.deliver(udp(COA4), bindingUpdate({ sequence: 1, options: [option32(COA4)] }));
  const answer = harness.update(udp(COA4), { sequence: 2, lifetimeUnits: 0, options: [option32(COA4)] });
  test.match(findOption(answer?.options ?? [], "nat-detection"), { forceUdp: false, refreshSeconds: 0xffffffff });
});
