/** The groups of one service in the reconciler that all share: their names bear the service's, so that every answer finds its way back. */
import type { KernelObject } from "../plan/objects/objects.js";
import type { GroupResult, Reconciler } from "../reconcile/reconciler.js";

/** realised: the kernel has it. pending: it was not answered yet. failed: refused, and the group is what it was before. */
export type GroupState = "realised" | "pending" | "failed";

export class ServiceGroups {
  readonly #service: string;
  readonly #reconciler: Pick<Reconciler, "setGroup" | "commit" | "settled" | "recheck">;
  /** All that are not realised. */
  readonly #open = new Map<string, { readonly revision: number; failed: boolean }>();

  constructor(service: string, reconciler: Pick<Reconciler, "setGroup" | "commit" | "settled" | "recheck">) {
    this.#service = service;
    this.#reconciler = reconciler;
  }

  /** As the reconciler knows it. */
  nameOf(group: string): string {
    return `${this.#service} ${group}`;
  }

  /** The group shall consist of these objects; tried with the next `commit`. */
  setGroup(group: string, objects: readonly KernelObject[], revision: number): void {
    this.#open.set(group, { revision, failed: false });
    this.#reconciler.setGroup(this.nameOf(group), objects, revision);
  }

  removeGroup(group: string, revision: number): void {
    this.setGroup(group, [], revision);
  }

  commit(): void {
    this.#reconciler.commit();
  }

  /** Resolves when the kernel has answered all that was committed. */
  settled(): Promise<void> {
    return this.#reconciler.settled();
  }

  /** Looks at one object that others change without a word, and mends it. Whether it was there. */
  recheck(object: KernelObject): Promise<boolean> {
    return this.#reconciler.recheck(object);
  }

  stateOf(group: string): GroupState {
    const open = this.#open.get(group);
    if (open === undefined) return "realised";
    return open.failed ? "failed" : "pending";
  }

  /** The reconciler's answer. Returns it under the service's own name of the group. */
  answered(result: GroupResult): GroupResult {
    const group = result.group.slice(this.#service.length + 1);
    const open = this.#open.get(group);
    if (open?.revision === result.revision) {
      if (result.failure === undefined) this.#open.delete(group);
      else open.failed = true;
    }
    return { ...result, group };
  }
}

/** The name of the service whose group this is. */
export const serviceOfGroup = (group: string): string => group.slice(0, group.indexOf(" "));
