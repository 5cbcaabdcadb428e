/** The kernel of one namespace with the real reconciler over it, and no daemon: it holds what a plan says. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { KernelObject } from "../../../controller/plan/objects/objects.js";
import { Reconciler } from "../../../controller/reconcile/reconciler.js";
import { openKernel, setTimer } from "../codecs/rtnetlink-objects.js";
import type { Namespace } from "./namespace.js";

export class Planned {
  readonly #namespace: Namespace;
  readonly #reconciler: Reconciler;
  readonly #failures: string[] = [];
  #revision = 0;

  private constructor(namespace: Namespace, reconciler: (failures: string[]) => Reconciler) {
    this.#namespace = namespace;
    this.#reconciler = reconciler(this.#failures);
  }

  static async open(t: TestContext, namespace: Namespace): Promise<Planned> {
    const { kernel } = await openKernel(t, namespace.path);
    const planned = new Planned(
      namespace,
      (failures) =>
        new Reconciler(
          kernel,
          {
            onResult: ({ group, failure }) => failure && failures.push(`${group}: ${failure.message}`),
            onRepair: (what, detail) => failures.push(`${what}: ${detail}`),
            onLoss: () => {},
          },
          { schedule: (delayMs, run) => void setTimer(delayMs, run) },
        ),
    );
    await planned.#reconciler.start();
    return planned;
  }

  /** The kernel holds these objects, in place of what it held under this name. Nothing else in it has had to be mended meanwhile. */
  async hold(group: string, objects: readonly KernelObject[]): Promise<void> {
    this.#reconciler.setGroup(
      group,
      objects.filter(({ kind }) => kind !== "sysctl"),
      ++this.#revision,
    );
    this.#reconciler.commit();
    await this.#reconciler.settled();
    // Switches are those of the process's own namespace.
    const switches = objects.flatMap((one) =>
      one.kind === "sysctl" ? [[one.path.replaceAll("/", "."), one.value]] : [],
    );
    this.#namespace.sysctl(Object.fromEntries(switches));
    assert.deepEqual(this.#failures.splice(0), []);
  }

  /** Objects of ours that are not as planned. */
  async differences(): Promise<readonly string[]> {
    return (await this.#reconciler.audit()).differences.map(({ key }) => key);
  }
}
