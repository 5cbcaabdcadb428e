/** Whether two kernel objects are the same in identity and content: what makes an object of the kernel the one that was wanted. */
import { Secret } from "../../base/secret.js";
import { sameNftTable } from "./nft-canonical.js";
import type { KernelObject } from "./objects.js";

/**
 * An optional field that is absent, undefined or false counts as the same. Keys are compared without telling where they differ. Of
 * nftables tables the order of their parts and the wording of their rules count for nothing.
 */
export function objectsEqual(a: KernelObject, b: KernelObject): boolean {
  if (a === b) return true;
  if (a.kind === "nft-table" && b.kind === "nft-table") return sameNftTable(a, b);
  return valuesEqual(a, b);
}

function valuesEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (a instanceof Secret || b instanceof Secret) return a instanceof Secret && b instanceof Secret && a.equals(b);
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((one, i) => valuesEqual(one, b[i]));
  }
  if (!isRecord(a) || !isRecord(b)) return isUnset(a) && isUnset(b);
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].every((key) => valuesEqual(a[key], b[key]));
}

const isUnset = (value: unknown): boolean => value === undefined || value === false;

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
