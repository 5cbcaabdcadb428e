/** From the daemon's values to the documents of the control interface. Pure. */

import type { AuditDocument, PlanDocument } from "../../schemas/control.js";
import { formatObject } from "../plan/objects/format.js";
import { type KernelObject, objectKey } from "../plan/objects/objects.js";
import type { AuditDifference } from "../reconcile/audit.js";

export function planDocument(homeAddress: string, objects: readonly KernelObject[]): PlanDocument {
  return {
    homeAddress,
    objects: objects.map((object) => ({
      key: objectKey(object),
      kind: object.kind,
      command: formatObject(object),
      state: "realised",
    })),
  };
}

export function auditDocument(checked: number, differences: readonly AuditDifference[]): AuditDocument {
  return {
    checked,
    differences: differences.map(({ key, wanted, found }) => ({
      key,
      kind: (wanted ?? found)?.kind ?? "unknown",
      difference: wanted === undefined ? "unwanted" : found === undefined ? "missing" : "different",
      wanted: wanted === undefined ? null : formatObject(wanted),
      found: found === undefined ? null : formatObject(found),
    })),
  };
}
