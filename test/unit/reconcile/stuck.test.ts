/** What the kernel does not let go, or does not say whether it has: it is nobody's, and goes in the end. */
import t from "tap";
import { MobilityError } from "../../../controller/base/errors.js";
import { ipv4 } from "../../../controller/base/ip.js";
import { type KernelObject, objectKey } from "../../../controller/plan/objects/objects.js";
import type { Operation, Outcome } from "../../../controller/reconcile/kernel-port.js";
import { type GroupResult, Reconciler } from "../../../controller/reconcile/reconciler.js";
import { FakeKernel } from "../../fake/fake-kernel.js";

const route = (host: number, metric = 0, mtu?: number): KernelObject => ({
  kind: "route",
  destination: { address: ipv4(`198.51.100.${host}`), length: 32 },
  table: 254,
  metric,
  device: "dsmip-ip4",
  ...(mtu !== undefined && { mtu }),
});

/** Does what it is asked, and says nothing. */
class SilentKernel extends FakeKernel {
  silent = false;

  override async apply(operations: readonly Operation[]): Promise<readonly Outcome[]> {
    const outcomes = await super.apply(operations);
    if (!this.silent) return outcomes;
    this.silent = false;
    this.announce("resync");
    const error = new MobilityError("MIP_KERNEL", "no answer");
    return outcomes.map(({ operation }) => ({ operation, error, unknown: true }));
  }
}

async function bench() {
  const kernel = new SilentKernel();
  const results: GroupResult[] = [];
  const timers: (() => void)[] = [];
  const reconciler = new Reconciler(
    kernel,
    { onResult: (result) => void results.push(result), onRepair: () => undefined, onLoss: () => undefined },
    { schedule: (_, run) => void timers.push(run) },
  );
  await reconciler.start();
  const go = async (): Promise<void> => {
    reconciler.commit();
    await reconciler.settled();
  };
  const due = async (): Promise<void> => {
    for (const run of timers.splice(0)) run();
    await reconciler.settled();
  };
  return { kernel, results, timers, reconciler, go, due };
}

const refusesRemovals = ({ verb }: Operation): string | undefined => (verb === "remove" ? "busy" : undefined);
const removals = ({ batches }: FakeKernel): number => batches.flat().filter((line) => line.startsWith("remove")).length;

t.test(
  "a removal that is refused is tried again after its pause, not with each thing that is done meanwhile",
  async (test) => {
    const { kernel, reconciler, go, due } = await bench();
    reconciler.setGroup("gone", [route(1)], 1);
    await go();
    kernel.refuse = refusesRemovals;
    reconciler.removeGroup("gone", 2);
    await go();
    for (const host of [2, 3, 4]) {
      reconciler.setGroup(`node${host}`, [route(host)], 1);
      await go();
    }
    test.equal(removals(kernel), 1);
    test.equal(reconciler.failedObjects, 1);
    kernel.refuse = () => undefined;
    reconciler.removeGroup("node2", 2);
    await go();
    test.ok(kernel.holds([route(1), route(3), route(4)]), "what goes later does not wait for it");
    await due();
    test.ok(kernel.holds([route(3), route(4)]));
    test.equal(reconciler.failedObjects, 0);
  },
);

t.test(
  "what was made without an answer and whose group has failed goes when the kernel has been looked at",
  async (test) => {
    const { kernel, results, reconciler, go } = await bench();
    kernel.silent = true;
    reconciler.setGroup("node", [route(1), route(2)], 1);
    await go();
    test.match(results, [{ group: "node", failure: { message: "no answer" } }]);
    test.ok(kernel.holds([]));
    kernel.silent = true;
    reconciler.setGroup("node", [route(1)], 2);
    reconciler.commit();
    reconciler.setGroup("node", [route(1)], 3);
    await go();
    test.ok(kernel.holds([route(1)]), "what is wanted again meanwhile stays");
  },
);

t.test("what cannot be taken back of a failed group is nobody's, and goes after a pause", async (test) => {
  const { kernel, reconciler, go, due } = await bench();
  kernel.refuse = (operation) =>
    objectKey(operation.object) === objectKey(route(2)) ? "no" : refusesRemovals(operation);
  reconciler.setGroup("node", [route(1), route(2)], 1);
  await go();
  test.ok(kernel.holds([route(1)]));
  test.equal(reconciler.failedObjects, 1);
  kernel.refuse = () => undefined;
  await due();
  test.ok(kernel.holds([]));
});

t.test("what cannot be changed back is changed back later: the group has its former form", async (test) => {
  const { kernel, reconciler, go, due } = await bench();
  reconciler.setGroup("node", [route(1)], 1);
  await go();
  let updates = 0;
  kernel.refuse = ({ verb }) => (verb === "create" || (verb === "update" && ++updates > 1) ? "no" : undefined);
  reconciler.setGroup("node", [route(1, 0, 1300), route(2)], 2);
  await go();
  kernel.refuse = () => undefined;
  await due();
  test.ok(kernel.holds([route(1)]));
});
