/** The seam between the reconciler and a kernel: the real one over netlink, or the fake one of the tests. Both obey test/contract. */
import type { MobilityError } from "../base/errors.js";
import type { KernelObject, KernelObjectKind } from "../plan/objects/objects.js";

export type Operation =
  | {
      readonly verb: "create";
      readonly object: KernelObject;
      /**
       * In the kernel; the new one takes on their history: sequence numbers of a security association (plan/succession.ts). If one of
       * them is not there any more, the creation fails.
       */
      readonly predecessors?: readonly KernelObject[];
    }
  | { readonly verb: "update"; readonly object: KernelObject; readonly previous: KernelObject }
  | { readonly verb: "remove"; readonly object: KernelObject };

/** `error` absent: the kernel has accepted. Removing what is not there, and creating what is there already in the same form and ours, are successes. */
export interface Outcome {
  readonly operation: Operation;
  readonly error?: MobilityError;
  /** The kernel had nothing against this operation, but against another one of the same transaction. */
  readonly collateral?: true;
  /** The kernel's answer was lost: it may have done it or not. A "resync" follows. */
  readonly unknown?: true;
}

export interface KernelChange {
  readonly verb: "changed" | "removed";
  readonly object: KernelObject;
  /** Our own doing, whose outcome has been told. */
  readonly own?: boolean;
}

export interface KernelPort {
  /** All objects with our mark, of the kinds given. */
  dump(kinds: readonly KernelObjectKind[]): Promise<readonly KernelObject[]>;
  /**
   * What the kernel has now under the keys of these objects, one entry each, in order; undefined: nothing, or nothing of ours. In few
   * messages, also where the kernel has many others of these kinds.
   */
  lookUp(objects: readonly KernelObject[]): Promise<readonly (KernelObject | undefined)[]>;
  /**
   * Applies in order, in as few netlink messages as possible; consecutive nftables operations are one atomic transaction.
   * One outcome per operation, in order. A failed operation does not stop the ones after it, except that an nftables transaction fails whole.
   */
  apply(operations: readonly Operation[]): Promise<readonly Outcome[]>;
  /** Changes of our objects made by anybody, ourselves too. "resync": notifications were lost (ENOBUFS); only a dump tells the truth. */
  onChange(listener: (change: KernelChange | "resync") => void): void;
  close(): void;
}
