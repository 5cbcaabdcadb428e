/** The acknowledgement waits for the kernel: all orders in which its answer and further updates can come. */
import t from "tap";
import { ipv6 } from "../../../../../controller/base/ip.js";
import { TIMERS } from "../../../../../controller/protocol/mip6/timers.js";
import { BindingStatus } from "../../../../../controller/wire/mip6/registry.js";
import {
  bindingUpdate,
  COA,
  COA_2,
  COA4,
  GRANTS,
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

const at = (address: string) => ({ format: "ipv6", address: ipv6(address) }) as const;

/** A binding at COA with sequence number 1. */
function established(changes: ConstructorParameters<typeof HomeAgentHarness>[0] = {}): HomeAgentHarness {
  const harness = new HomeAgentHarness(changes);
  harness.update(native(COA), { sequence: 1 });
  harness.take();
  return harness;
}

t.test("no success leaves before the kernel has said yes", async (test) => {
  const harness = new HomeAgentHarness();
  harness.kernelMood = SILENT;
  test.equal(harness.update(native(COA), { sequence: 1 }), undefined);
  test.equal(harness.view()?.state, "awaiting-data-path");
  test.strictSame(harness.effects("journal"), []);
  test.strictSame(harness.effects("announce"), []);
  harness.take();
  harness.answerKernel();
  test.strictSame(
    harness.take().map(({ kind }) => kind),
    ["journal", "announce", "send", "notify"],
    "journal first",
  );
  test.equal(harness.view()?.state, "established");
});

t.test("a refused first registration: 130, and nothing is left", async (test) => {
  const harness = new HomeAgentHarness();
  harness.kernelMood = (effect) => (effect.kind === "data-path" ? "ENOBUFS" : undefined);
  const answer = harness.update(udp(COA4), { sequence: 1, options: [option29(HOA4), option32(COA4)] });
  test.match(answer, { status: BindingStatus.insufficientResources, sequence: 1, lifetimeUnits: 0 });
  test.match(answer?.options, [{ kind: "ipv4-address-acknowledgement", status: 128 }, { kind: "nat-detection" }]);
  test.match(harness.effects("data-path-removed"), [{ homeAddress: HOA, revision: 2 }], "the plan forgets it");
  test.strictSame(harness.effects("announce"), []);
  test.strictSame(harness.events(), ["binding.failed"]);
  test.equal(harness.entry(), undefined);
  test.equal(harness.deadline, undefined);
  test.equal(harness.journal.size, 0);
});

t.test("a refused re-registration: 130, and the previous binding works on with its data path", async (test) => {
  //  MN                        HA                      kernel
  //   | BU(1) CoA ------------> | rev 1 ---------------> ok, BA(1, 0)
  //   | BU(2) CoA2 -----------> | rev 2 ---------------> ENOSPC
  //   | <---------- BA(2, 130)  | rev 3 = rev 1 -------> ok
  const harness = established();
  harness.advance(100);
  const before = harness.view();
  const expiry = harness.deadline;
  harness.kernelMood = (effect) =>
    effect.kind === "data-path" && effect.path.egress.address === COA_2 ? "ENOSPC" : undefined;
  test.match(harness.update(native(COA_2), { sequence: 2 }), { status: 130, sequence: 2 });
  test.strictSame(harness.view(), { ...before, sequence: 2, revision: 3 });
  test.strictSame(harness.kernel.get(HOA), {
    homeAddress: HOA,
    egress: at(COA),
    ingress: [at(COA)],
    profile: "default",
    revision: 3,
  });
  test.equal(harness.deadline, expiry);
  test.match(harness.update(native(COA_2), { sequence: 3 }), { status: 130 }, "as often as it takes");
  harness.kernelMood = GRANTS;
  test.match(harness.update(native(COA_2), { sequence: 4 }), { status: 0 });
});

t.test("a kernel that never answers: 130 after the data path timeout, a late answer is nothing", async (test) => {
  const timeout = TIMERS.dataPath.default;
  const fresh = new HomeAgentHarness();
  fresh.kernelMood = SILENT;
  fresh.update(native(COA), { sequence: 1 });
  test.equal(fresh.deadline, timeout);
  fresh.advance(timeout);
  test.match(fresh.acknowledgements(), [{ status: 130, sequence: 1 }]);
  test.equal(fresh.entry(), undefined);
  fresh.take();
  fresh.answerKernel();
  test.strictSame(fresh.take(), []);

  const moved = established();
  moved.kernelMood = SILENT;
  moved.update(native(COA_2), { sequence: 2 });
  const [late] = moved.asked;
  moved.advance(timeout);
  test.match(moved.acknowledgements(), [{ status: 130, sequence: 2 }]);
  test.match(moved.effects("data-path").at(-1)?.path, { egress: at(COA), revision: 3 });
  moved.take();
  moved.answerKernel(undefined, late);
  test.strictSame(moved.take(), []);
  test.match(moved.view(), { state: "established", endpoint: at(COA) });
});

t.test(
  "repetitions while waiting are absorbed: the kernel is asked once, the answer matches the latest",
  async (test) => {
    const harness = new HomeAgentHarness();
    harness.kernelMood = SILENT;
    harness.update(native(COA), { sequence: 1, lifetimeUnits: 150 });
    harness.advance(1);
    harness.update(native(COA), { sequence: 2, lifetimeUnits: 100 });
    test.strictSame(harness.take(), []);
    test.equal(harness.deadline, TIMERS.dataPath.default - 1, "a stuck kernel is found out all the same");
    harness.answerKernel();
    test.match(harness.acknowledgements(), [{ status: 0, sequence: 2, lifetimeUnits: 100 }]);
    test.equal(harness.asked.length, 0);

    harness.take();
    harness.update(udp(NAT4, NAT_PORT), { sequence: 3, options: [option32(PRIVATE4)] });
    harness.update(udp(NAT4, NAT_PORT), { sequence: 4, options: [option32(PRIVATE4)] });
    test.equal(harness.asked.length, 1, "the same in a re-registration");
    harness.answerKernel();
    test.match(harness.acknowledgements(), [{ status: 0, sequence: 4 }]);
  },
);

t.test(
  "a move while waiting takes the place of the one before; the answer to the earlier path is stale",
  async (test) => {
    const harness = established();
    harness.kernelMood = SILENT;
    harness.update(native(COA_2), { sequence: 2 });
    harness.update(udp(NAT4, NAT_PORT), { sequence: 3, options: [option32(PRIVATE4)] });
    test.equal(harness.asked.length, 2);
    harness.answerKernel();
    test.strictSame(harness.sends(), [], "revision 2 is not asked for any more");
    test.equal(harness.view()?.state, "updating");
    harness.answerKernel("EINVAL");
    test.match(harness.acknowledgements(), [{ status: 130, sequence: 3 }]);
    test.match(harness.effects("data-path").at(-1)?.path, { egress: at(COA), ingress: [at(COA)] });
  },
);

t.test("moved back while waiting: still one path after the other", async (test) => {
  const harness = established();
  harness.kernelMood = SILENT;
  harness.update(native(COA_2), { sequence: 2 });
  harness.update(native(COA), { sequence: 3 });
  harness.answerKernel();
  harness.answerKernel();
  test.match(harness.acknowledgements(), [{ status: 0, sequence: 3 }]);
  test.match(harness.kernel.get(HOA), { egress: at(COA), ingress: [at(COA)] });
});

t.test("a refresh that changes nothing in the data path does not touch the kernel", async (test) => {
  const harness = new HomeAgentHarness();
  harness.update(udp(NAT4, NAT_PORT), { sequence: 1, options: [option29(HOA4), option32(PRIVATE4)] });
  for (let sequence = 2; sequence <= 20; sequence++) {
    harness.advance(100);
    const options = [option29(HOA4), option32(PRIVATE4)];
    const answer = harness.update(udp(NAT4, NAT_PORT), { sequence, options });
    test.match(answer, { status: 0, sequence });
    test.strictSame(
      harness.take().map(({ kind }) => kind),
      ["journal", "send", "notify"],
    );
  }
  test.equal(harness.view()?.revision, 1);
});

t.test("a new NAT mapping takes the place of the endpoint", async (test) => {
  const harness = new HomeAgentHarness();
  const options = [option32(PRIVATE4)];
  harness.update(udp(NAT4, NAT_PORT), { sequence: 1, options });
  harness.update(udp(NAT4, 50000), { sequence: 2, options });
  test.strictSame(harness.kernel.get(HOA)?.egress, { format: "udp", address: NAT4, port: 50000 });
  test.match(harness.sends(), [{ departure: { remotePort: 50000 } }]);
  test.strictSame(harness.events(), ["nat.changed"]);
  harness.update(udp(COA4, 50000), { sequence: 3, options });
  test.strictSame(harness.kernel.get(HOA)?.egress, { format: "udp", address: COA4, port: 50000 });
});

t.test("after a move the former endpoint is accepted from for its grace time", async (test) => {
  const harness = established({ previousCareOfGraceSeconds: 3 });
  harness.update(native(COA_2), { sequence: 2 });
  test.strictSame(harness.events(), ["binding.moved"]);
  test.match(harness.kernel.get(HOA), { egress: at(COA_2), ingress: [at(COA_2), at(COA)] });
  test.equal(harness.deadline, 3);
  harness.advance(1);
  harness.update(native(COA_2), { sequence: 3 });
  test.strictSame(harness.effects("data-path"), [], "a refresh does not prolong it");
  harness.advance(1.999);
  test.equal(harness.kernel.get(HOA)?.ingress.length, 2);
  harness.advance(0.001);
  test.match(harness.kernel.get(HOA), { egress: at(COA_2), ingress: [at(COA_2)] });
  test.equal(harness.view()?.state, "established");
});

t.test(
  "several moves within the grace time: each endpoint has its own end, coming back makes it present again",
  async (test) => {
    const harness = established({ previousCareOfGraceSeconds: 3 });
    const third = "2001:db8:4::20";
    harness.advance(1);
    harness.update(native(COA_2), { sequence: 2 });
    harness.advance(1);
    harness.update(native(ipv6(third)), { sequence: 3 });
    test.strictSame(harness.kernel.get(HOA)?.ingress, [at(third), at(COA_2), at(COA)]);
    harness.advance(2);
    test.strictSame(harness.kernel.get(HOA)?.ingress, [at(third), at(COA_2)]);
    harness.update(native(COA_2), { sequence: 4 });
    test.strictSame(harness.kernel.get(HOA)?.ingress, [at(COA_2), at(third)]);
    harness.advance(1);
    test.strictSame(harness.kernel.get(HOA)?.ingress, [at(COA_2), at(third)], "the old end of the present one is void");
    harness.advance(2);
    test.strictSame(harness.kernel.get(HOA)?.ingress, [at(COA_2)]);
  },
);

t.test("the number of former endpoints is bounded", async (test) => {
  const harness = established({ previousCareOfGraceSeconds: 60 });
  for (let i = 2; i < 60; i++) harness.update(native(ipv6(`2001:db8:5::${i.toString(16)}`)), { sequence: i });
  test.equal(harness.kernel.get(HOA)?.ingress.length, 9);
  test.equal(harness.entry()?.former.length, 8);
});

t.test("without grace time the former endpoint goes with the move", async (test) => {
  const harness = established({ previousCareOfGraceSeconds: 0 });
  harness.update(native(COA_2), { sequence: 2 });
  test.strictSame(harness.kernel.get(HOA)?.ingress, [at(COA_2)]);
});

t.test(
  "the former endpoint is accepted from while the kernel is at it, and its time begins with the answer",
  async (test) => {
    const harness = established({ previousCareOfGraceSeconds: 3 });
    harness.kernelMood = SILENT;
    harness.update(native(COA_2), { sequence: 2 });
    test.match(harness.asked, [{ path: { egress: at(COA_2), ingress: [at(COA_2), at(COA)] } }]);
    harness.advance(2);
    harness.answerKernel();
    test.equal(harness.deadline, 3);
  },
);

t.test("a kernel that can't narrow a path is told to people, nobody else", async (test) => {
  const harness = established();
  harness.update(native(COA_2), { sequence: 2 });
  harness.kernelMood = () => "EIO";
  harness.take();
  harness.advance(3);
  test.strictSame(harness.events(), ["binding.failed"]);
  test.strictSame(harness.sends(), []);
  test.equal(harness.view()?.state, "established");
});

t.test(
  "the old binding's lifetime ends while the kernel is at the new one: the kernel's answer decides",
  async (test) => {
    const granted = new HomeAgentHarness();
    granted.update(native(COA), { sequence: 1, lifetimeUnits: 1 });
    granted.kernelMood = SILENT;
    granted.advance(3);
    granted.update(native(COA_2), { sequence: 2 });
    granted.advance(2);
    granted.answerKernel();
    test.match(granted.view(), { state: "established", endpoint: at(COA_2), remainingSeconds: 600 });

    const refused = new HomeAgentHarness();
    refused.update(native(COA), { sequence: 1, lifetimeUnits: 1 });
    refused.kernelMood = SILENT;
    refused.advance(3);
    refused.update(native(COA_2), { sequence: 2 });
    refused.advance(2);
    refused.kernelMood = GRANTS;
    refused.answerKernel("EIO");
    refused.advance(0);
    test.strictSame(refused.events().slice(-2), ["binding.failed", "binding.expired"]);
    test.notOk(refused.kernel.has(HOA));
  },
);

t.test("answers about bindings that are not there are nothing", async (test) => {
  const harness = new HomeAgentHarness();
  harness.step({ kind: "programmed", homeAddress: HOA, revision: 7 });
  harness.step({ kind: "programmed", homeAddress: HOA, revision: 7, failure: "EIO" });
  harness.answerDad(HOA, true);
  harness.step({ kind: "remove", homeAddress: HOA });
  harness.step({ kind: "timer" });
  test.strictSame(harness.take(), []);
  harness.update(native(COA), { sequence: 1 });
  harness.take();
  harness.step({ kind: "programmed", homeAddress: HOA, revision: 1 });
  test.strictSame(harness.take(), [], "nor is a second answer");
});

t.test("a refusal in the middle of a burst touches only its own node", async (test) => {
  const harness = new HomeAgentHarness();
  harness.kernelMood = SILENT;
  const nodes = ["2001:db8:1::10", "2001:db8:1::11", "2001:db8:1::12"].map(ipv6);
  for (const node of nodes) harness.deliver(native(COA, node), bindingUpdate({ sequence: 1 }));
  harness.kernelMood = GRANTS;
  const [, second] = harness.asked;
  harness.answerKernel("EIO", second);
  harness.answerKernel();
  harness.answerKernel();
  test.strictSame([...harness.kernel.keys()], [nodes[0], nodes[2]]);
  test.strictSame(
    harness.acknowledgements().map(({ status }) => status),
    [130, 0, 0],
  );
});
