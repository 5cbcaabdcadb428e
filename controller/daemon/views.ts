/** From the daemon's values to the documents of the control interface. Pure. */

import type { AuditDocument, PlanDocument, StatusDocument } from "../../schemas/control.js";
import { formatObject } from "../plan/objects/format.js";
import { objectKey } from "../plan/objects/objects.js";
import type { AuditDifference } from "../reconcile/audit.js";
import type { PlannedGroup, ServiceViews } from "./service.js";

export function planDocument(homeAddress: string, groups: readonly PlannedGroup[]): PlanDocument {
  return {
    homeAddress,
    objects: groups.flatMap(({ objects, state }) =>
      objects.map((object) => ({
        key: objectKey(object),
        kind: object.kind,
        command: formatObject(object),
        state,
      })),
    ),
  };
}

/** A node with several home addresses is as ready as the least ready of them. */
const LEAST_READY_FIRST = [
  "stopping",
  "detached",
  "refused",
  "registering",
  "returning",
  "registered",
  "home",
] as const satisfies readonly StatusDocument["readiness"][];

/** Several services as one. */
export function mergedViews(all: readonly ServiceViews[]): ServiceViews {
  const [only] = all;
  if (only !== undefined && all.length === 1) return only;
  const firstOf = <T>(ask: (views: ServiceViews) => T | undefined): T | undefined => {
    for (const views of all) {
      const found = ask(views);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return {
    *bindings() {
      for (const views of all) yield* views.bindings();
    },
    visitors: () => all.flatMap((views) => views.visitors?.() ?? []),
    correspondents: () => all.flatMap((views) => views.correspondents?.() ?? []),
    multicast: () => all.flatMap((views) => views.multicast?.() ?? []),
    homePrefixes: () => {
      const known = all.flatMap((views) => views.homePrefixes?.() ?? []);
      return known.filter(({ prefix }, i) => known.findIndex((one) => one.prefix === prefix) === i);
    },
    readiness: () => {
      const states = all.flatMap((views) => views.readiness() ?? []);
      return LEAST_READY_FIRST.find((state) => states.includes(state)) ?? null;
    },
    binding: (address) => firstOf((views) => views.binding(address)),
    plan: (homeAddress) => all.flatMap((views) => views.plan(homeAddress)),
    nodes: () => new Set(all.flatMap((views) => [...views.nodes()])),
    nodeAt: (address) => firstOf((views) => views.nodeAt(address)),
    security: async (nodes) => {
      const documents = await Promise.all(
        all.map((views) => views.security(nodes.filter((node) => views.nodeAt(node) === node))),
      );
      const { method = "static-keys", ikeDaemon = null } = documents[0] ?? {};
      return { method, ikeDaemon, nodes: documents.flatMap((document) => document.nodes) };
    },
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
