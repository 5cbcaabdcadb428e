/** This machine's own kernel, in namespaces of its own, where it has all that is needed. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { availableParallelism, release } from "node:os";
import { join } from "node:path";
import { BenchUnavailable, guestDirectory, type Job, type JobResult, type Machine } from "./machine.js";

/** Where every kind of bench puts a job's artifacts, seen from the job. */
export const GUEST_ARTIFACTS = "/var/tmp/dsmipd-artifacts";

/** What this kernel or this user lacks, in one sentence; undefined when nothing. */
export function nativeObstacle(): string | undefined {
  if (process.getuid?.() !== 0) return "not root";
  const probe = spawnSync(join(guestDirectory, "cell.sh"), [join(guestDirectory, "probe.sh")], { encoding: "utf8" });
  if (probe.status === 0) return undefined;
  return (probe.stdout + probe.stderr).trim().split("\n").at(-1) || "no namespaces";
}

export function openNative(): Machine {
  const obstacle = nativeObstacle();
  if (obstacle !== undefined) {
    throw new BenchUnavailable(`this machine's own kernel will not do (${obstacle}): use BENCH=um or BENCH=vm`);
  }
  let running: ChildProcess | undefined;
  return {
    kind: "native",
    slow: 1,
    processors: availableParallelism(),
    description: `this machine's kernel ${release()}`,
    run: async (job, output) => {
      const child = start(job, output);
      running = child;
      const status = await new Promise<number>((resolve) => child.once("close", (code) => resolve(code ?? 137)));
      return collect(status);
    },
    interrupt: () => void running?.kill("SIGKILL"),
    shutdown: async () => void running?.kill("SIGKILL"),
  };
}

function start(job: Job, output: (chunk: Buffer) => void): ChildProcess {
  rmSync(GUEST_ARTIFACTS, { recursive: true, force: true });
  mkdirSync(GUEST_ARTIFACTS, { recursive: true });
  const bash = ["bash", "-c", job.script];
  if (job.mode === "shell") return spawn("bash", bash.slice(1), { stdio: "inherit" });
  const command = job.mode === "cell" ? [join(guestDirectory, "cell.sh"), ...bash] : ["setsid", "-w", ...bash];
  const child = spawn(command[0] as string, command.slice(1), { stdio: ["ignore", "pipe", "pipe"], detached: true });
  child.stdout.on("data", output);
  child.stderr.on("data", output);
  process.once("exit", () => child.kill("SIGKILL"));
  return child;
}

function collect(status: number): JobResult {
  if (readdirSync(GUEST_ARTIFACTS).length === 0) return { status };
  return { status, artifacts: execFileSync("tar", ["-C", GUEST_ARTIFACTS, "-cz", "."], { maxBuffer: 2 ** 30 }) };
}
