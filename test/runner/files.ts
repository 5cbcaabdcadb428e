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

/** The `*.test.ts` files under some directories (or directly in one: `test/.`), whose name contains one of the words, if any are given. */
export function testFiles(directories: readonly string[], words: readonly string[] = []): TestFile[] {
  return directories
    .flatMap((directory) =>
      readdirSync(join(repository, directory), { recursive: !directory.endsWith("/."), encoding: "utf8" }).map((path) =>
        join(directory, path),
      ),
    )
    .filter((path) => path.endsWith(".test.ts") && (words.length === 0 || words.some((word) => path.includes(word))))
    .sort()
    .map((name) => ({ name, compiled: join(relative(repository, buildDirectory), name.replace(/\.ts$/, ".js")) }));
}
