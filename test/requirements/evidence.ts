/** What there is to show for each row of the matrix: the tests that name it, what became of them, and where they saw it. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { artifactFolder, artifactName } from "../lib/artifact-name.js";
import { repository } from "../runner/files.js";
import { readTap, type TestPoint } from "../runner/tap.js";
import { ID, type Requirement, type Results } from "./report.js";

/** A test that names a row. */
export interface Evidence {
  readonly file: string;
  /** Names from the outermost test to the one that names the row. */
  readonly path: readonly string[];
  /** "not run": it stands in the sources, and no result tells of it. */
  readonly outcome: "passed" | "failed" | "skipped" | "not run";
  /** It runs on a kernel of the bench. */
  readonly inBench: boolean;
}

const outcomeOf = ({ skipped, ok }: TestPoint): Evidence["outcome"] =>
  skipped !== undefined ? "skipped" : ok ? "passed" : "failed";

/** By ID: the tests that have run. Of one that has run several times the last result stands. */
export function evidenceOf(results: readonly Results[]): Map<string, Evidence[]> {
  const found = new Map<string, Map<string, Evidence>>();
  const visit = (point: TestPoint, outer: readonly string[], of: { file: string; inBench: boolean }): void => {
    const path = [...outer, point.name];
    for (const id of point.isTest ? (point.name.match(ID) ?? []) : []) {
      const tests = found.get(id) ?? new Map<string, Evidence>();
      found.set(id, tests.set([of.file, ...path].join("\n"), { ...of, path, outcome: outcomeOf(point) }));
    }
    for (const child of point.children) visit(child, path, of);
  };
  for (const { tap, inBench } of results) {
    for (const { file, text } of filesOf(tap))
      for (const point of readTap(text).points) visit(point, [], { file, inBench });
  }
  return new Map([...found].map(([id, tests]) => [id, [...tests.values()]]));
}

/** The parts of a suite's saved results: "# file: NAME" stands before each. */
function filesOf(tap: string): readonly { readonly file: string; readonly text: string }[] {
  const [head = "", ...parts] = tap.split(/^# file: /m);
  const named = parts.map((part) => {
    const end = part.indexOf("\n");
    return { file: part.slice(0, end), text: part.slice(end + 1) };
  });
  return head.trim() === "" ? named : [{ file: "", text: head }, ...named];
}

const LITERAL = /(["'`])((?:\\.|(?!\1)[^\\\n])*)\1/g;

/** By ID: the names in a test file's source, for those that have not run. */
export function namesInSource(file: string, source: string): Map<string, Evidence[]> {
  const found = new Map<string, Evidence[]>();
  for (const [, , text = ""] of source.matchAll(LITERAL)) {
    for (const id of new Set(text.match(ID))) {
      const one: Evidence = { file, path: [text], outcome: "not run", inBench: file.startsWith("test/kernel/") };
      found.set(id, [...(found.get(id) ?? []), one]);
    }
  }
  return found;
}

export type Standing =
  | "passed"
  /** By unit tests only, though wire or kernel is asked for. */
  | "passed elsewhere"
  | "failed"
  | "not run"
  | "no test";

/** What the evidence is worth for the row. A failing test outweighs any other. */
export function standingOf({ level }: Pick<Requirement, "level">, evidence: readonly Evidence[]): Standing {
  if (evidence.some(({ outcome }) => outcome === "failed")) return "failed";
  const passed = evidence.filter(({ outcome }) => outcome === "passed");
  if (passed.some(({ inBench }) => inBench || /[US]/.test(level))) return "passed";
  if (passed.length > 0 && evidence.every(({ outcome }) => outcome === "passed")) return "passed elsewhere";
  return evidence.length > 0 ? "not run" : "no test";
}

/** Where captures of this test are kept, from the latest run that kept any; relative to the repository. */
export function captureOf({ file, path }: Pick<Evidence, "file" | "path">, artifacts: string): string | undefined {
  if (!file.startsWith("test/kernel/") || !existsSync(artifacts)) return undefined;
  for (const run of readdirSync(artifacts).sort().reverse()) {
    for (const name of path) {
      const directory = join(artifacts, run, artifactFolder(file), artifactName(name));
      if (existsSync(directory) && readdirSync(directory).some((one) => one.endsWith(".pcap")))
        return relative(repository, directory);
    }
  }
  return undefined;
}

export interface Reasons {
  readonly reasonFor: (id: string) => string | undefined;
  /** IDs of rows that have a reason of their own. */
  readonly single: ReadonlySet<string>;
}

/** Why rows can't be met: "ID\treason" lines; an ID that ends in * stands for all that begin so. */
export function parseReasons(tsv: string): Reasons {
  const [, ...lines] = tsv.trimEnd().split("\n");
  const reasons = lines.map((line) => line.split("\t") as [string, string]);
  const stands = (of: string, id: string) => of === id || (of.endsWith("*") && id.startsWith(of.slice(0, -1)));
  return {
    reasonFor: (id) => reasons.find(([of]) => stands(of, id))?.[1],
    single: new Set(reasons.map(([of]) => of).filter((of) => !of.endsWith("*"))),
  };
}

export const reasonsFile = join(repository, "test/requirements/reasons.tsv");
export const readReasons = (): string => readFileSync(reasonsFile, "utf8");
