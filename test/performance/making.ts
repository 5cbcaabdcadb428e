/** Objects into the kernel, in the order of the reconciler and without its bookkeeping. */
import type { KernelObject } from "../../controller/plan/objects/objects.js";
import { inMakingOrder } from "../../controller/reconcile/diff.js";
import type { KernelPort } from "../../controller/reconcile/kernel-port.js";

/** Throws the first error. */
export async function make(kernel: KernelPort, objects: readonly KernelObject[]): Promise<void> {
  const operations = objects.map((object) => ({ verb: "create", object }) as const);
  for (const { error } of await kernel.apply(inMakingOrder(operations))) if (error !== undefined) throw error;
}
