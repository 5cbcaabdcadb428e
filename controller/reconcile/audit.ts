/** The kernel's truth against the plan. */
import { objectsEqual } from "../plan/objects/equal.js";
import type { KernelObject } from "../plan/objects/objects.js";

export interface AuditDifference {
  readonly key: string;
  readonly wanted?: KernelObject;
  readonly found?: KernelObject;
}

type Objects = ReadonlyMap<string, KernelObject>;

/**
 * What is missing, different or unwanted. Of the `unsettled` keys nothing is said: they were worked on while the kernel was read, so
 * what was found may be older or newer than what is wanted now.
 */
export function compare(desired: Objects, found: Objects, unsettled: ReadonlySet<string>): AuditDifference[] {
  const differences: AuditDifference[] = [];
  for (const [key, wanted] of desired) {
    const object = found.get(key);
    if (object === undefined) differences.push({ key, wanted });
    else if (!objectsEqual(wanted, object)) differences.push({ key, wanted, found: object });
  }
  for (const [key, object] of found)
    if (!desired.has(key) && object.kind !== "sysctl") differences.push({ key, found: object });
  return differences.filter(({ key }) => !unsettled.has(key));
}
