/** What people see of a run: a line per file, what failed and why, what was skipped and why. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { resultsDirectory } from "./files.js";
import type { FileOutcome, FileRun } from "./results.js";

export function printFile(outcome: FileOutcome, milliseconds: number): void {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const test of outcome.tests) counts[test.verdict] += 1;
  const words = Object.entries(counts)
    .filter(([, number]) => number > 0)
    .map(([verdict, number]) => `${number} ${verdict}`);
  console.log(
    `${counts.failed > 0 ? "FAIL" : "ok  "} ${outcome.file}: ${words.join(", ")} (${(milliseconds / 1000).toFixed(1)} s)`,
  );
  for (const test of outcome.tests) {
    if (test.verdict === "failed") console.log(`  not ok: ${test.path.join(" > ")}\n${indent(test.detail)}`);
  }
}

export function printSkipped(files: readonly FileOutcome[]): void {
  const byReason = new Map<string, string[]>();
  for (const { file, tests } of files) {
    for (const test of tests) {
      if (test.verdict === "skipped")
        byReason.set(test.detail, [...(byReason.get(test.detail) ?? []), `${file}: ${test.path.join(" > ")}`]);
    }
  }
  for (const [reason, names] of byReason)
    console.log(`skipped, ${reason}:\n${names.map((name) => `  ${name}`).join("\n")}`);
}

/** Keeps the TAP of a run under build/results/ (for `make requirements` and for people). */
export function saveTap(suite: string, runs: readonly FileRun[]): void {
  mkdirSync(resultsDirectory, { recursive: true });
  const text = runs.map((run) => `# file: ${run.file}\n${run.tap}\n`).join("");
  writeFileSync(join(resultsDirectory, `${suite}.tap`), text);
}

function indent(text: string): string {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => `    ${line}`)
    .join("\n");
}
