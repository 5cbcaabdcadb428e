/**
 * What new objects take on from others that the kernel has (sequence numbers of security associations): asked for in one batch for all
 * operations, not one by one, and wiped afterwards, for the answers hold keys.
 */
import type { NetlinkMessage } from "../../netlink/message.js";
import type { KernelObject } from "../../plan/objects/objects.js";
import type { Operation } from "../../reconcile/kernel-port.js";
import type { AnyCodec } from "../codec.js";
import type { Lookup } from "../existing.js";

/** An operation that may make an object. */
export interface Heir {
  readonly codec: AnyCodec;
  readonly predecessors: readonly KernelObject[];
  /** What the kernel says of the predecessors. */
  inheritance: readonly NetlinkMessage[];
}

/** What is removed and made again for a change takes on from itself. */
export function predecessorsOf(operation: Operation): readonly KernelObject[] {
  switch (operation.verb) {
    case "create":
      return operation.predecessors ?? [];
    case "update":
      return [operation.previous];
    case "remove":
      return [];
  }
}

/** Asks for what is not known yet. A predecessor that is gone has no answer. */
export async function inherit(lookup: Pick<Lookup, "names" | "execute">, heirs: readonly Heir[]): Promise<void> {
  const asking = heirs
    .filter(({ codec, inheritance }) => codec.succeed !== undefined && inheritance.length === 0)
    .flatMap((heir) => heir.predecessors.map((predecessor) => ({ heir, predecessor })))
    .flatMap(({ heir, predecessor }) =>
      (heir.codec.find?.(predecessor, lookup.names) ?? []).map((request) => ({ heir, request })),
    );
  if (asking.length === 0) return;
  const outcomes = await lookup.execute(asking.map(({ request }) => request));
  asking.forEach(({ heir }, i) => {
    heir.inheritance = [...heir.inheritance, ...(outcomes[i]?.replies ?? [])];
  });
}

/** Zeroes what is known; it may be asked for again. */
export function wipeInheritance(heirs: readonly Heir[]): void {
  for (const heir of heirs) {
    for (const { body } of heir.inheritance) body.fill(0);
    heir.inheritance = [];
  }
}
