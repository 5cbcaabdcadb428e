/**
 * `make conformance`: every row of the requirement matrix (ids.tsv) with its evidence — the tests that name it, their results in the last
 * runs (build/results/*.tap) and the captures that were kept (DSMIPD_KEEP_CAPTURES=1 make test) — and, for rows that can't be met, the
 * reason (reasons.tsv). As Markdown, on the output and in build/conformance.md. Exit status 1 if a test fails, a test names an ID that
 * is no row, or a reason is out of date.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { buildDirectory, repository, resultsDirectory, testFiles } from "../runner/files.js";
import {
  captureOf,
  type Evidence,
  evidenceOf,
  namesInSource,
  parseReasons,
  readReasons,
  type Standing,
  standingOf,
} from "./evidence.js";
import { parseRequirements, type Requirement, savedResults } from "./report.js";

export interface Row extends Requirement {
  readonly evidence: readonly Evidence[];
  /** Present: it can't be met, or not yet. */
  readonly reason: string | undefined;
}

export type RowStanding = Standing | "not met";

export function rowStanding(row: Row): RowStanding {
  const standing = standingOf(row, row.evidence);
  return row.reason !== undefined && standing === "no test" ? "not met" : standing;
}

const WORDS: Readonly<Record<RowStanding, string>> = {
  passed: "passed",
  "passed elsewhere": "unit test only",
  failed: "**failed**",
  "not run": "not run",
  "no test": "**no test**",
  "not met": "not met",
};

/** The page, as lines. `capture`: where captures of a test are, if any were kept. */
export function conformancePage(
  rows: readonly Row[],
  capture: (evidence: Evidence) => string | undefined,
): readonly string[] {
  const parts = [...new Set(rows.map(({ part }) => part))];
  return [
    "# Conformance",
    "",
    "Made by `make conformance` from the results of the last test runs. Level: W seen on the wire, K in a kernel, U in a unit or codec",
    "test, S in the daemon's state; a row with several letters is content with any of them.",
    "",
    ...totals(rows, parts),
    ...parts.flatMap((part) =>
      section(
        part,
        rows.filter((row) => row.part === part),
        capture,
      ),
    ),
  ];
}

function totals(rows: readonly Row[], parts: readonly string[]): readonly string[] {
  const columns: readonly RowStanding[] = ["passed", "passed elsewhere", "not run", "failed", "no test", "not met"];
  const count = (of: readonly Row[]): string =>
    [of.length, ...columns.map((column) => of.filter((row) => rowStanding(row) === column).length)].join(" | ");
  return [
    "| part | rows | passed at their level | by unit tests only | not run | failed | no test | not met |",
    "|---|---|---|---|---|---|---|---|",
    ...parts.map((part) => `| ${part} | ${count(rows.filter((row) => row.part === part))} |`),
    `| all | ${count(rows)} |`,
    "",
  ];
}

function section(part: string, rows: readonly Row[], capture: (evidence: Evidence) => string | undefined): string[] {
  const lines = rows.map((row) => {
    const { id, actor, strength, level, summary } = row;
    const standing = rowStanding(row);
    const shown = `${WORDS[standing]}${standing === "not met" ? `: ${cell(row.reason ?? "")}` : ""}`;
    const evidence = row.evidence.map((one) => described(one, capture)).join("<br>");
    return `| ${id} | ${actor} ${strength} | ${level} | ${cell(summary)} | ${shown} | ${evidence} |`;
  });
  return [
    `## ${part}`,
    "",
    "| row | who | level | requirement | result | evidence |",
    "|---|---|---|---|---|---|",
    ...lines,
    "",
  ];
}

function described(evidence: Evidence, capture: (evidence: Evidence) => string | undefined): string {
  const { file, path, outcome } = evidence;
  const kept = capture(evidence);
  const words = outcome === "passed" ? "" : `, ${outcome}`;
  return `\`${file}\`: ${cell(path.join(" > "))}${words}${kept === undefined ? "" : `, capture in \`${kept}\``}`;
}

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("<", "&lt;").replaceAll("\n", " ");

/** Rows that are named there are examples. */
const ABOUT_TESTS = "test/unit/runner/";

/** What has run, and of the other tests what the sources say. */
function gather(): Map<string, readonly Evidence[]> {
  const all = new Map<string, readonly Evidence[]>(evidenceOf(savedResults()));
  const names = (["unit", "kernel"] as const)
    .flatMap((suite) => testFiles(suite, { full: true }))
    .filter(({ name }) => !name.startsWith(ABOUT_TESTS));
  for (const { name } of names) {
    for (const [id, tests] of namesInSource(name, readFileSync(join(repository, name), "utf8"))) {
      const known = all.get(id) ?? [];
      if (!known.some(({ file }) => file === name)) all.set(id, [...known, ...tests]);
    }
  }
  return all;
}

function main(): number {
  const evidence = gather();
  const { reasonFor, single } = parseReasons(readReasons());
  const rows = parseRequirements(readFileSync(join(repository, "test/requirements/ids.tsv"), "utf8")).map(
    (row): Row => {
      return { ...row, evidence: evidence.get(row.id) ?? [], reason: reasonFor(row.id) };
    },
  );
  const artifacts = join(repository, "artifacts");
  const page = `${conformancePage(rows, (one) => captureOf(one, artifacts)).join("\n")}\n`;
  const file = join(buildDirectory, "conformance.md");
  writeFileSync(file, page);
  process.stdout.write(page);
  const runs = existsSync(resultsDirectory)
    ? readdirSync(resultsDirectory).filter((name) => name.endsWith(".tap"))
    : [];
  console.error(
    `written to ${relative(repository, file)}, from ${runs.join(", ") || "no results: run `make test` first"}`,
  );
  return mistakes(rows, evidence, single).map((line) => console.error(line)).length > 0 ? 1 : 0;
}

/** Sentences about what somebody has to mend. `single`: rows that have a reason of their own. */
export function mistakes(
  rows: readonly Row[],
  evidence: ReadonlyMap<string, readonly Evidence[]>,
  single: ReadonlySet<string>,
): readonly string[] {
  const known = new Set(rows.map(({ id }) => id));
  const unknown = [...evidence.keys()].filter((id) => !known.has(id)).sort();
  return [
    ...unknown.map((id) => `a test names ${id}, which is no row of ids.tsv`),
    ...rows.filter((row) => rowStanding(row) === "failed").map(({ id }) => `${id}: its test fails`),
    ...rows
      .filter((row) => single.has(row.id) && rowStanding(row) === "passed")
      .map(({ id }) => `${id} is met: its line in reasons.tsv is out of date`),
  ];
}

if (process.argv[1] === import.meta.filename) process.exitCode = main();
