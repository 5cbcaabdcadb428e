/** Paths in the source tree, for tests that run from a build directory. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

function findRoot(from: string): string {
  if (existsSync(join(from, "package.json"))) return from;
  const parent = dirname(from);
  if (parent === from) throw new Error("no package.json above the tests");
  return findRoot(parent);
}

export const REPOSITORY_ROOT = findRoot(dirname(fileURLToPath(import.meta.url)));

export function repositoryPath(...parts: readonly string[]): string {
  return join(REPOSITORY_ROOT, ...parts);
}
