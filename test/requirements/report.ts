/**
 * `make requirements`: which rows of the requirement matrix (ids.tsv) have a passing test in the last run (build/results/*.tap).
 * A test covers the rows whose IDs stand in its name, letter by letter. A row that also has a failing test is not covered.
 * An ID that no row has is a mistake in a test's name: exit status 1.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { repository, resultsDirectory } from "../runner/files.js";
import { readTap, type TestPoint } from "../runner/tap.js";

export interface Requirement {
  readonly id: string;
  readonly part: string;
  readonly actor: string;
  readonly strength: string;
  readonly summary: string;
}

export function parseRequirements(tsv: string): Requirement[] {
  const [, ...lines] = tsv.trimEnd().split("\n");
  return lines.map((line) => {
    const [id = "", part = "", actor = "", strength = "", summary = ""] = line.split("\t");
    return { id, part, actor, strength, summary };
  });
}

const ID = /(?<![\w.-])(?:R5555|V4|RO|S04|F\d{4})-[\w.-]*\d{2}(?![\w-])/g;

export interface Coverage {
  readonly passing: ReadonlySet<string>;
  readonly failing: ReadonlySet<string>;
}

/** The IDs in the names of tests that ran, by outcome. */
export function coverageOf(taps: readonly string[]): Coverage {
  const passing = new Set<string>();
  const failing = new Set<string>();
  const visit = (point: TestPoint): void => {
    if (point.skipped !== undefined) return;
    for (const id of point.isTest ? (point.name.match(ID) ?? []) : []) (point.ok ? passing : failing).add(id);
    for (const child of point.children) visit(child);
  };
  for (const tap of taps) for (const point of readTap(tap).points) visit(point);
  return { passing, failing };
}

/** The report as lines, and the IDs that stand in test names but not in the matrix. */
export function reportLines(
  rows: readonly Requirement[],
  { passing, failing }: Coverage,
): { lines: string[]; unknown: string[] } {
  const covered = ({ id }: Requirement): boolean => passing.has(id) && !failing.has(id);
  const lines: string[] = [];
  for (const part of new Set(rows.map((row) => row.part))) {
    const missing = rows.filter((row) => row.part === part && !covered(row));
    if (missing.length === 0) continue;
    lines.push(`${part}: without a passing test`);
    for (const { id, actor, strength, summary } of missing) {
      lines.push(
        `  ${id.padEnd(22)} ${actor.padEnd(4)} ${strength.padEnd(10)} ${summary}${failing.has(id) ? " (its test fails)" : ""}`,
      );
    }
    lines.push("");
  }
  for (const part of new Set(rows.map((row) => row.part))) {
    const inPart = rows.filter((row) => row.part === part);
    lines.push(`${part}: ${inPart.filter(covered).length}/${inPart.length}`);
  }
  lines.push(`all parts: ${rows.filter(covered).length}/${rows.length}`);
  const known = new Set(rows.map(({ id }) => id));
  const unknown = [...passing, ...failing].filter((id) => !known.has(id)).sort();
  return { lines, unknown };
}

function main(): number {
  const rows = parseRequirements(readFileSync(join(repository, "test/requirements/ids.tsv"), "utf8"));
  const files = existsSync(resultsDirectory)
    ? readdirSync(resultsDirectory).filter((name) => name.endsWith(".tap"))
    : [];
  if (files.length === 0) {
    console.error("no results: run `make test` first");
    return 1;
  }
  const { lines, unknown } = reportLines(
    rows,
    coverageOf(files.map((name) => readFileSync(join(resultsDirectory, name), "utf8"))),
  );
  console.log(lines.join("\n"));
  console.log(`(from ${files.map((name) => `build/results/${name}`).join(", ")})`);
  if (unknown.length > 0) console.error(`test names hold IDs that no row of ids.tsv has: ${unknown.join(", ")}`);
  return unknown.length > 0 ? 1 : 0;
}

if (process.argv[1] === import.meta.filename) process.exitCode = main();
