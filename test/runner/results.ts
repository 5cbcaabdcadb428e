/** From TAP reports to the numbers at the end of `make test`: what counts as one test, and how a file fails without a failing test. */
import { readTap, type TestPoint } from "./tap.js";

export interface TestOutcome {
  /** Names from the outermost test inwards. */
  readonly path: readonly string[];
  readonly verdict: "passed" | "failed" | "skipped";
  /** Diagnostics of a failure, reason of a skip. */
  readonly detail: string;
}

export interface FileOutcome {
  readonly file: string;
  readonly tests: readonly TestOutcome[];
}

/** How the process of a test file ended. */
export interface FileRun {
  readonly file: string;
  readonly tap: string;
  readonly status: number | null;
  /** What it wrote outside TAP, shown when it fails. */
  readonly stderr: string;
  readonly timedOut: boolean;
}

/** One outcome per innermost test; a test that failed although none inside it did counts itself. Each file yields at least one. */
export function judge(run: FileRun): FileOutcome {
  const report = readTap(run.tap);
  const tests = report.points.flatMap((point) => outcomes(point, []));
  const failure = fileFailure(run, report.planned, report.bailedOut, tests);
  if (failure) tests.push({ path: [run.file], verdict: "failed", detail: failure });
  else if (tests.length === 0) tests.push({ path: [run.file], verdict: "skipped", detail: report.skippedAll ?? "" });
  return { file: run.file, tests };
}

function outcomes(point: TestPoint, outer: readonly string[]): TestOutcome[] {
  const path = [...outer, point.name];
  if (point.skipped !== undefined) return [{ path, verdict: "skipped", detail: point.skipped || "no reason given" }];
  const inner = point.children.filter((child) => child.isTest).flatMap((child) => outcomes(child, path));
  const explained = inner.some((test) => test.verdict === "failed");
  if (point.ok && inner.length === 0) return [{ path, verdict: "passed", detail: "" }];
  if (point.ok || explained) return inner;
  const assertions = point.children.filter((child) => !child.isTest && !child.ok);
  const detail = [point, ...assertions].map((failed) => `${failed.name}\n${failed.diagnostics}`).join("\n");
  return [...inner, { path, verdict: "failed", detail }];
}

function fileFailure(
  run: FileRun,
  planned: boolean,
  bailedOut: string | undefined,
  tests: readonly TestOutcome[],
): string | undefined {
  if (run.timedOut) return `killed: it ran too long; last heard of: ${lastHeardOf(run.tap)}\n${run.stderr}`;
  if (bailedOut !== undefined) return `bailed out: ${bailedOut}\n${run.stderr}`;
  const explained = tests.some((test) => test.verdict === "failed");
  if (run.status !== 0 && !explained) return `the process ended with status ${run.status ?? "signal"}\n${run.stderr}`;
  if (!planned) return `the process ended in the middle of its tests\n${run.stderr}`;
  const skippedAll = readTap(run.tap).skippedAll !== undefined;
  return tests.length === 0 && !skippedAll ? "the file holds no test" : undefined;
}

/** The innermost test that was last announced; the one that hangs comes after it, or is around it. */
function lastHeardOf(tap: string): string {
  return [...tap.matchAll(/^\s*# Subtest: (.*)$/gm)].at(-1)?.[1] ?? "none";
}

export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export function count(files: readonly FileOutcome[]): Totals {
  const totals = { passed: 0, failed: 0, skipped: 0 };
  for (const file of files) for (const test of file.tests) totals[test.verdict] += 1;
  return totals;
}

export function formatTotals({ passed, failed, skipped }: Totals): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}
