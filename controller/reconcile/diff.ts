/** The operations that make the kernel's objects the wanted ones. Pure: diff(x, x) is empty, and applying diff(a, b) to a gives b. */
import { objectsEqual } from "../plan/objects/equal.js";
import { type KernelObject, objectKey } from "../plan/objects/objects.js";
import type { Operation } from "./kernel-port.js";
import { rankOf } from "./order.js";

export interface Difference {
  /** Creations and updates, in the order of KIND_ORDER. */
  readonly make: readonly Operation[];
  /** Removals, in the reverse order; to be applied after `make`. */
  readonly remove: readonly Operation[];
}

export type ObjectMap = ReadonlyMap<string, KernelObject>;

/** Objects by key. Of two with the same key the last stands. */
export function byKey(objects: Iterable<KernelObject>): Map<string, KernelObject> {
  const map = new Map<string, KernelObject>();
  for (const object of objects) map.set(objectKey(object), object);
  return map;
}

export function diff(desired: ObjectMap, observed: ObjectMap): Difference {
  const make: Operation[] = [];
  const remove: Operation[] = [];
  for (const [key, object] of desired) {
    const previous = observed.get(key);
    if (previous === undefined) make.push({ verb: "create", object });
    else if (!objectsEqual(object, previous)) make.push({ verb: "update", object, previous });
  }
  for (const [key, object] of observed) {
    // A switch is shared with everybody and stays as it is.
    if (!desired.has(key) && object.kind !== "sysctl") remove.push({ verb: "remove", object });
  }
  return { make: inMakingOrder(make), remove: inRemovalOrder(remove) };
}

/** Stable, so that objects of one kind keep the order in which the plan names them. */
export function inMakingOrder(operations: readonly Operation[]): readonly Operation[] {
  return [...operations].sort((a, b) => rankOf(a.object.kind) - rankOf(b.object.kind));
}

export function inRemovalOrder(operations: readonly Operation[]): readonly Operation[] {
  return [...operations].sort((a, b) => rankOf(b.object.kind) - rankOf(a.object.kind));
}

/** What takes an operation back. */
export function inverse(operation: Operation): Operation {
  switch (operation.verb) {
    case "create":
      return { verb: "remove", object: operation.object };
    case "update":
      return { verb: "update", object: operation.previous, previous: operation.object };
    case "remove":
      return { verb: "create", object: operation.object };
  }
}
