/** `make test`: unit tests, kernel tests in the bench, the demo as a smoke test; at the very end one line with the totals. */
import { writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { artifactsPlace, keepArtifacts } from "../bench/artifacts.js";
import { jobScript } from "../bench/job.js";
import type { Machine } from "../bench/machine.js";
import { bundled } from "./bundle.js";
import { buildDirectory, repository, resultsDirectory } from "./files.js";
import { runKernel } from "./kernel.js";
import { printFile, saveTap, summarise } from "./report.js";
import { count, type FileOutcome, formatTotals, judge } from "./results.js";
import { runUnit } from "./unit.js";

const DEMO_LIMIT_S = 600;

/** The whole demo counts as one test; its own expectations decide. */
async function runDemo(machine: Machine): Promise<FileOutcome> {
  const started = Date.now();
  const compiled = relative(repository, join(buildDirectory, "test/demo/main.js"));
  const command = [process.execPath, machine.slow > 1 ? bundled(compiled) : compiled, "--json"];
  const artifacts = artifactsPlace("demo");
  let output = "";
  const timer = setTimeout(() => machine.interrupt(), DEMO_LIMIT_S * 1000);
  const job = { script: jobScript(command, machine, artifacts), mode: "cell" } as const;
  const result = await machine.run(job, (chunk) => {
    output += chunk.toString();
  });
  clearTimeout(timer);
  const kept = keepArtifacts(result, artifacts);
  if (kept !== undefined) output += `\nartifacts: ${kept}\n`;
  const tap = `TAP version 13\n# Subtest: make demo\n${result.status === 0 ? "ok" : "not ok"} 1 - make demo\n1..1\n`;
  const run = { file: "test/demo", tap, status: 0, stderr: "", timedOut: false };
  saveTap("demo", [run]);
  const outcome = judge(run);
  const failed = outcome.tests.map((test) => (test.verdict === "failed" ? { ...test, detail: output } : test));
  const explained = { file: run.file, tests: failed };
  printFile(explained, Date.now() - started);
  return explained;
}

const unit = await runUnit([]);
const { outcomes: kernel, machine } = await runKernel();
const demo: FileOutcome[] = [];
const skippedDemo = (detail: string): FileOutcome => ({
  file: "test/demo",
  tests: [{ path: ["make demo"], verdict: "skipped", detail }],
});
if (machine === undefined) demo.push(skippedDemo("no bench"));
else demo.push(await runDemo(machine));
await machine?.shutdown();
const noKernelTest = count(kernel).passed === 0;
if (noKernelTest) console.log("No kernel test ran: this run proves nothing about the kernel and counts as failed.");
const everything = [...unit, ...kernel, ...demo];
const status = summarise(everything);
writeFileSync(join(resultsDirectory, "summary"), `${formatTotals(count(everything))}\n`);
process.exitCode = noKernelTest ? 1 : status;
