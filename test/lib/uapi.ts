/** The C compiler's view of the system's headers, for the checks of our constants and layouts. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Why such a check cannot run here; false if it can. */
export const NO_COMPILER = spawnSync("cc", ["--version"]).status === 0 ? false : "no C compiler (cc)";

/** What the C program prints, a line each. */
export function runC(source: string): string[] {
  return inDirectory((directory) => {
    const program = join(directory, "program");
    execFileSync("cc", ["-Wall", "-Werror", "-o", program, source]);
    return execFileSync(program, { encoding: "utf8" }).trim().split("\n");
  });
}

/** The values that the headers give these names. A name that is missing there fails the compilation, which says so. */
export function valuesInHeaders(headers: readonly string[], names: readonly string[]): Record<string, number> {
  return inDirectory((directory) => {
    const source = join(directory, "constants.c");
    const includes = headers.map((header) => `#include <${header}>\n`).join("");
    const prints = names.map((name) => `  printf("${name} %lld\\n", (long long)(${name}));\n`).join("");
    writeFileSync(source, `#include <stdio.h>\n${includes}int main(void) {\n${prints}  return 0;\n}\n`);
    const pairs = runC(source).map((line) => line.split(" "));
    return Object.fromEntries(pairs.map(([name, value]) => [name, Number(value)]));
  });
}

function inDirectory<T>(work: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), "dsmipd-uapi-"));
  try {
    return work(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
