/** Where test files are and where their compiled form is. Sources are listed, so that output of deleted files is never run. */
import { readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** The directory this was compiled to: build/ or build-NAME/. */
export const buildDirectory = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
export const repository = join(buildDirectory, "..");
export const resultsDirectory = join(buildDirectory, "results");

export interface TestFile {
  /** As people name it: test/unit/foo.test.ts. */
  readonly name: string;
  readonly compiled: string;
}

/** What needs a kernel runs in the bench; all the rest needs nothing. */
export type Suite = "unit" | "kernel";

export interface Selection {
  /** Only files whose path contains one of them; none: all. */
  readonly words?: readonly string[];
  /** Also the files named `*.full.test.ts`, which take too long for every run. A word that names them does the same. */
  readonly full?: boolean;
}

/** The test files of a suite. */
export function testFiles(suite: Suite, selection: Selection = {}): TestFile[] {
  return readdirSync(join(repository, "test"), { recursive: true, encoding: "utf8" })
    .map((path) => join("test", path))
    .filter((path) => path.endsWith(".test.ts") && path.startsWith("test/kernel/") === (suite === "kernel"))
    .filter((path) => isSelected(path, selection))
    .sort()
    .map((name) => ({ name, compiled: join(relative(repository, buildDirectory), name.replace(/\.ts$/, ".js")) }));
}

/** Whether the file with this path belongs to what was asked for. */
export function isSelected(path: string, { words = [], full = false }: Selection): boolean {
  const isFull = path.endsWith(".full.test.ts");
  if (isFull && !full && !words.some((word) => word.includes(".full"))) return false;
  return words.length === 0 || words.some((word) => path.includes(word));
}
