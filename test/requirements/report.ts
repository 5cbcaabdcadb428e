/**
 * `make requirements`: which rows of the requirement matrix (ids.tsv) have a passing test in the last run (build/results/*.tap), and which
 * of them at the level that the row asks for. A test covers the rows whose IDs stand in its name, letter by letter; a row that also has a
 * failing test is not covered. What a row wants to be seen on the wire (W) or in the kernel (K) only a test in the bench can see, or the
 * demo there; what it wants of codecs (U) or of the daemon's state (S) any test can. A row with several letters is content with any of them.
 * An ID that no row has, and a test that names more than four rows, are mistakes in a test's name: exit status 1.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { repository, resultsDirectory } from "../runner/files.js";
import { readTap, type TestPoint } from "../runner/tap.js";

export interface Requirement {
  readonly id: string;
  readonly part: string;
  readonly actor: string;
  readonly strength: string;
  readonly summary: string;
  /** Letters of W (wire), K (kernel), U (unit), S (state of the daemon). */
  readonly level: string;
}

export function parseRequirements(tsv: string): Requirement[] {
  const [, ...lines] = tsv.trimEnd().split("\n");
  return lines.map((line) => {
    const [id = "", part = "", actor = "", strength = "", summary = "", level = ""] = line.split("\t");
    return { id, part, actor, strength, summary, level };
  });
}

/** A row's ID in a test's name. */
export const ID = /(?<![\w.-])(?:R5555|V4|RO|S04|F\d{4})-[\w.-]*\d{2}(?![\w-])/g;

/** More than these no one test observes in earnest. */
const MOST_ROWS = 4;

/** One file of results: a suite's TAP, and whether its tests ran on a kernel of the bench. */
export interface Results {
  readonly tap: string;
  readonly inBench: boolean;
}

export interface Coverage {
  readonly passing: ReadonlySet<string>;
  readonly failing: ReadonlySet<string>;
  /** Of the passing ones those that a test in the bench has seen. */
  readonly inBench: ReadonlySet<string>;
  /** Names of tests that name too many rows. */
  readonly crowded: readonly string[];
}

/** The IDs in the names of tests that ran, by outcome and place. */
export function coverageOf(results: readonly Results[]): Coverage {
  const [passing, failing, seen, crowded] = [
    new Set<string>(),
    new Set<string>(),
    new Set<string>(),
    new Set<string>(),
  ];
  const visit = (point: TestPoint, inBench: boolean): void => {
    if (point.skipped !== undefined) return;
    const ids = point.isTest ? (point.name.match(ID) ?? []) : [];
    if (ids.length > MOST_ROWS) crowded.add(point.name);
    for (const id of ids) {
      (point.ok ? passing : failing).add(id);
      if (point.ok && inBench) seen.add(id);
    }
    for (const child of point.children) visit(child, inBench);
  };
  for (const { tap, inBench } of results) for (const point of readTap(tap).points) visit(point, inBench);
  return { passing, failing, inBench: seen, crowded: [...crowded] };
}

type Standing = "at its level" | "elsewhere" | "no test";

function standingOf({ id, level }: Requirement, { passing, failing, inBench }: Coverage): Standing {
  if (!passing.has(id) || failing.has(id)) return "no test";
  return /[US]/.test(level) || inBench.has(id) ? "at its level" : "elsewhere";
}

/** The report as lines, and the IDs that stand in test names but not in the matrix. */
export function reportLines(rows: readonly Requirement[], coverage: Coverage): { lines: string[]; unknown: string[] } {
  const { passing, failing } = coverage;
  const standings = new Map(rows.map((row) => [row, standingOf(row, coverage)]));
  const lines: string[] = [];
  for (const part of new Set(rows.map((row) => row.part))) {
    for (const [standing, heading] of [
      ["no test", "without a passing test"],
      ["elsewhere", "seen by unit tests only, though wire or kernel is asked for"],
    ] as const) {
      const missing = rows.filter((row) => row.part === part && standings.get(row) === standing);
      if (missing.length === 0) continue;
      lines.push(`${part}: ${heading}`);
      for (const { id, actor, strength, level, summary } of missing) {
        const failed = failing.has(id) ? " (its test fails)" : "";
        lines.push(
          `  ${id.padEnd(22)} ${actor.padEnd(4)} ${strength.padEnd(10)} ${level.padEnd(4)} ${summary}${failed}`,
        );
      }
      lines.push("");
    }
  }
  const total = (name: string, of: readonly Requirement[]): string => {
    const count = (...wanted: readonly Standing[]): number =>
      of.filter((row) => wanted.includes(standings.get(row) ?? "no test")).length;
    return `${name}: ${count("at its level")}/${of.length} at the level of the row, ${count("at its level", "elsewhere")}/${of.length} named by a passing test`;
  };
  for (const part of new Set(rows.map((row) => row.part))) {
    lines.push(
      total(
        part,
        rows.filter((row) => row.part === part),
      ),
    );
  }
  lines.push(total("all parts", rows));
  const known = new Set(rows.map(({ id }) => id));
  const unknown = [...passing, ...failing].filter((id) => !known.has(id)).sort();
  return { lines, unknown };
}

const savedFiles = (): readonly string[] =>
  existsSync(resultsDirectory) ? readdirSync(resultsDirectory).filter((name) => name.endsWith(".tap")) : [];

/** Of the last runs of whole suites, the oldest first. */
export function savedResults(): readonly Results[] {
  const files = savedFiles().map((name) => ({ name, path: join(resultsDirectory, name) }));
  files.sort((a, b) => statSync(a.path).mtimeMs - statSync(b.path).mtimeMs);
  return files.map(({ name, path }) => ({ tap: readFileSync(path, "utf8"), inBench: !name.startsWith("unit") }));
}

function main(): number {
  const rows = parseRequirements(readFileSync(join(repository, "test/requirements/ids.tsv"), "utf8"));
  const files = savedFiles();
  if (files.length === 0) {
    console.error("no results: run `make test` first");
    return 1;
  }
  const coverage = coverageOf(savedResults());
  const { lines, unknown } = reportLines(rows, coverage);
  console.log(lines.join("\n"));
  console.log(`(from ${files.map((name) => `build/results/${name}`).join(", ")})`);
  if (unknown.length > 0) console.error(`test names hold IDs that no row of ids.tsv has: ${unknown.join(", ")}`);
  for (const name of coverage.crowded) console.error(`a test names more than ${MOST_ROWS} rows: ${name}`);
  return unknown.length + coverage.crowded.length > 0 ? 1 : 0;
}

if (process.argv[1] === import.meta.filename) process.exitCode = main();
