/** `test/bench/run`: the command line of the bench. */
import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { runKernel } from "../runner/kernel.js";
import { summarise } from "../runner/report.js";
import { artifactsPlace, keepArtifacts } from "./artifacts.js";
import { chooseKind, openMachine } from "./choose.js";
import { jobScript } from "./job.js";
import { BenchUnavailable, cacheDirectory, type JobMode, type Machine, type MachineFacts } from "./machine.js";
import { attach, serve } from "./server.js";

const USAGE = `usage: test/bench/run [OPTION ...] [--] COMMAND [ARGUMENT ...]
       test/bench/run up | down | status

Runs a command as root on a kernel that has the tunnels, in namespaces of its own over a read-only view of this machine; the
command's exit status is the exit status. Without a command: every compiled kernel test. What the command leaves under
$DSMIPD_ARTIFACTS is copied to artifacts/.

  --attach         in the bench that stays up ("up" starts it, "down" ends it), not in a fresh one
  --open           not in namespaces of its own: what it makes stays until the bench goes down
  --shell          like --open, on a terminal; without a command: bash
  --timeout S      kill it after so many seconds (default 900; 0: never)
  --artifacts DIR  copy artifacts there

Environment: BENCH=native|um|vm (default: the first that works), KERNEL=6.1|6.12 (vm), DSMIPD_UM_KERNEL=FILE (um),
BENCH_NAME (several benches that stay up).`;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    attach: { type: "boolean", default: false },
    open: { type: "boolean", default: false },
    shell: { type: "boolean", default: false },
    timeout: { type: "string", default: "900" },
    artifacts: { type: "string" },
    help: { type: "boolean", default: false },
    serve: { type: "boolean", default: false },
  },
});
const benchName = process.env["BENCH_NAME"] || "default";

async function runCommand(): Promise<number> {
  const command = positionals.length > 0 ? positionals : ["bash"];
  const line = options.attach ? await attach(benchName) : undefined;
  const machine = line ? undefined : await openMachine(chooseKind(process.env["BENCH"]));
  const facts = (line?.facts ?? machine) as MachineFacts;
  if (process.stderr.isTTY) console.error(`bench: ${facts.description}`);
  const mode: JobMode = options.shell ? "shell" : options.open ? "open" : "cell";
  const target = line?.bus ?? (machine as Machine);
  const interrupt = (): void => (line ? line.bus.kill() : machine?.interrupt());
  const release = limit(interrupt);
  const terminal = mode === "shell" && facts.kind !== "native";
  if (terminal) rawTerminal(true);
  try {
    const artifacts = resolve(options.artifacts ?? artifactsPlace(facts.kind));
    const job = { script: jobScript(command, facts, artifacts), mode, ...(terminal ? { input: process.stdin } : {}) };
    const result = await target.run(job, (chunk) => process.stdout.write(chunk));
    const kept = keepArtifacts(result, artifacts);
    if (kept !== undefined) console.error(`artifacts: ${kept}`);
    return result.status;
  } finally {
    if (terminal) rawTerminal(false);
    release();
    line?.leave();
    await machine?.shutdown();
  }
}

/** Ends the job on Ctrl-C, on SIGTERM and after the time limit. */
function limit(interrupt: () => void): () => void {
  const seconds = Number(options.timeout);
  const onSignal = (): void => {
    interrupt();
    process.once("SIGINT", () => process.exit(130));
  };
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  const expire = (): void => {
    console.error(`bench: killed after ${seconds} s`);
    interrupt();
  };
  const timer = seconds > 0 && !options.shell ? setTimeout(expire, seconds * 1000) : undefined;
  return () => clearTimeout(timer);
}

function rawTerminal(raw: boolean): void {
  if (process.stdin.isTTY) process.stdin.setRawMode(raw);
  if (!raw) process.stdin.pause();
}

async function runKernelTests(): Promise<number> {
  const { outcomes, machine } = await runKernel();
  await machine?.shutdown();
  return summarise(outcomes);
}

/** Starts a bench that stays up, in a process of its own, and waits until it answers. */
async function up(): Promise<number> {
  const existing = await attach(benchName).catch(() => undefined);
  if (existing) {
    existing.leave();
    console.log(`already up: ${existing.facts.description}`);
    return 0;
  }
  const logPath = join(cacheDirectory, "bench", `${benchName}.log`);
  mkdirSync(join(cacheDirectory, "bench"), { recursive: true });
  const log = openSync(logPath, "w");
  const child = spawn(process.execPath, [process.argv[1] as string, "--serve"], {
    detached: true,
    stdio: ["ignore", log, log, "ipc"],
  });
  closeSync(log);
  return new Promise((resolve) => {
    child.once("message", (description) => {
      console.log(`up: ${String(description)}`);
      child.disconnect();
      child.unref();
      resolve(0);
    });
    child.once("exit", (code) => {
      console.error(readFileSync(logPath, "utf8").trim());
      resolve(code || 1);
    });
  });
}

async function down(): Promise<number> {
  const { bus, facts, closed } = await attach(benchName);
  bus.halt();
  await closed;
  console.log(`down: ${facts.description}`);
  return 0;
}

async function status(): Promise<number> {
  const { facts, leave } = await attach(benchName);
  leave();
  console.log(`up: ${facts.description}`);
  return 0;
}

async function main(): Promise<number> {
  if (options.help) {
    console.log(USAGE);
    return 0;
  }
  if (options.serve) {
    await serve(chooseKind(process.env["BENCH"]), benchName, ({ description }) => {
      process.send?.(description);
    });
    return 0;
  }
  if (positionals.length === 1 && !existsSync(positionals[0] as string)) {
    if (positionals[0] === "up") return up();
    if (positionals[0] === "down") return down();
    if (positionals[0] === "status") return status();
  }
  if (positionals.length === 0 && !options.shell) return runKernelTests();
  return runCommand();
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof BenchUnavailable ? `bench: ${error.message}` : error);
  process.exitCode = 2;
}
