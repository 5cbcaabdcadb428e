/** The fake kernel keeps what every kernel port promises (test/contract/kernel-port.ts). */
import t from "tap";
import { objectsEqual } from "../../../controller/plan/objects/equal.js";
import { objectKey } from "../../../controller/plan/objects/objects.js";
import type { KernelChange } from "../../../controller/reconcile/kernel-port.js";
import { type ContractBench, KERNEL_PORT_CONTRACT } from "../../contract/kernel-port.js";
import { FakeKernel } from "../../fake/fake-kernel.js";

function bench(): ContractBench {
  const port = new FakeKernel();
  const changes: (KernelChange | "resync")[] = [];
  port.onChange((change) => changes.push(change));
  return {
    port,
    changes,
    async strangerMakes(object) {
      port.strangers.set(objectKey(object), object);
    },
    async strangerRemoves(object) {
      port.interfere({ verb: "removed", object });
    },
    async strangerHas(object) {
      const his = port.strangers.get(objectKey(object));
      return his !== undefined && objectsEqual(his, object);
    },
    async eventually(condition, what) {
      if (!condition()) throw new Error(`never: ${what}`);
    },
  };
}

for (const { name, run } of KERNEL_PORT_CONTRACT) {
  t.test(name, async (test) => {
    await run(bench());
    test.pass("kept");
  });
}
