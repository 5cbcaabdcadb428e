/**
 * `make test-unit`: every unit test file in a process of its own, as many at a time as there are processors.
 * usage: unit.js [WORD ...]   (only files whose path contains one of the words)
 * Not the `tap` command: it starts ten times slower per file (1.9 s against 0.2 s) for the same TAP.
 */
import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { repository, type TestFile, testFiles } from "./files.js";
import { printFile, saveTap, summarise } from "./report.js";
import { type FileOutcome, type FileRun, judge } from "./results.js";

/** Against a hang only: a loaded machine is no failure, nor are the many random runs of `make simulate`. */
const FILE_TIMEOUT_MS = Math.max(300_000, 300 * Number(process.env["DSMIPD_RUNS"] ?? 0));

function runFile(file: TestFile): Promise<FileRun> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["--enable-source-maps", file.compiled], {
      cwd: repository,
      // tap's own limit (seconds) must not be the shorter one.
      env: { ...process.env, TAP_TIMEOUT: String(FILE_TIMEOUT_MS / 1000) },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let tap = "";
    let stderr = "";
    let timedOut = false;
    child.stdout.setEncoding("utf8").on("data", (text: string) => (tap += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill("SIGKILL");
    }, FILE_TIMEOUT_MS);
    child.on("close", (status) => {
      clearTimeout(timer);
      resolve({ file: file.name, tap, status, stderr, timedOut });
    });
  });
}

export async function runUnit(words: readonly string[]): Promise<FileOutcome[]> {
  const files = testFiles("unit", { words });
  const runs: FileRun[] = [];
  const outcomes: FileOutcome[] = [];
  const queue = files.values();
  const worker = async (): Promise<void> => {
    for (const file of queue) {
      const started = Date.now();
      const run = await runFile(file);
      const outcome = judge(run);
      runs.push(run);
      for (const [line] of run.tap.matchAll(/^# \d+ random runs, seed \d+$/gm))
        console.log(`${file.name}${line.slice(1)}`);
      outcomes.push(outcome);
      printFile(outcome, Date.now() - started);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  if (words.length === 0) saveTap("unit", runs);
  return outcomes;
}

if (process.argv[1] === import.meta.filename) {
  process.exitCode = summarise(await runUnit(process.argv.slice(2)));
}
