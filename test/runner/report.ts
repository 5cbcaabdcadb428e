/** What people see of a run: a line per file, what failed and why, what was skipped and why. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { resultsDirectory } from "./files.js";
import { count, type FileOutcome, type FileRun, formatTotals } from "./results.js";

export function printFile(outcome: FileOutcome, milliseconds: number): void {
  const totals = count([outcome]);
  const words = Object.entries(totals).flatMap(([verdict, number]) => (number > 0 ? [`${number} ${verdict}`] : []));
  const seconds = (milliseconds / 1000).toFixed(1);
  console.log(`${totals.failed > 0 ? "FAIL" : "ok  "} ${outcome.file}: ${words.join(", ")} (${seconds} s)`);
  for (const test of outcome.tests) {
    if (test.verdict === "failed") console.log(`  not ok: ${test.path.join(" > ")}\n${indent(test.detail)}`);
  }
}

/** Prints what was skipped and, as the last line, the totals. The exit status: 0 when something passed and nothing failed. */
export function summarise(files: readonly FileOutcome[]): number {
  const byReason = new Map<string, string[]>();
  for (const { file, tests } of files) {
    for (const { verdict, detail, path } of tests) {
      if (verdict === "skipped")
        byReason.set(detail, [...(byReason.get(detail) ?? []), `${file}: ${path.join(" > ")}`]);
    }
  }
  for (const [reason, names] of byReason) {
    console.log(`skipped, ${reason}:`);
    for (const name of names) console.log(`  ${name}`);
  }
  const totals = count(files);
  console.log(formatTotals(totals));
  return totals.failed > 0 || totals.passed === 0 ? 1 : 0;
}

/** Keeps the TAP of a whole suite under build/results/ (for `make requirements` and for people). */
export function saveTap(suite: string, runs: readonly FileRun[]): void {
  mkdirSync(resultsDirectory, { recursive: true });
  const text = runs.map((run) => `# file: ${run.file}\n${run.tap}\n`).join("");
  writeFileSync(join(resultsDirectory, `${suite}.tap`), text);
}

function indent(text: string): string {
  return text.trimEnd().replaceAll(/^/gm, "    ");
}
