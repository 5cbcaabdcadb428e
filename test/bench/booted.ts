/** What User Mode Linux and QEMU have in common: a child process with a console and a line to the agent inside. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { Bus } from "./bus.js";
import {
  cacheDirectory,
  type Job,
  type JobResult,
  type Machine,
  type MachineFacts,
  machineDirectory,
} from "./machine.js";

export interface BootPlan extends MachineFacts {
  readonly program: string;
  /** The machine finds the line at file descriptor 3. */
  readonly args: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Seconds from start to the agent's first word. */
  readonly bootTimeout: number;
}

const SHUTDOWN_TIMEOUT_MS = 20_000;

/** Starts the machine and waits until its agent answers. The end of the console is in the error when that does not happen. */
export async function boot(plan: BootPlan): Promise<Machine> {
  const directory = machineDirectory();
  const consolePath = join(directory, "console.log");
  const log = openSync(consolePath, "w");
  const child = spawn(plan.program, plan.args, {
    stdio: ["ignore", log, log, "pipe"],
    env: { ...process.env, ...plan.environment },
    detached: true, // Ctrl-C is for us; we tell the machine
  });
  closeSync(log);
  const killAtExit = (): void => {
    child.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  };
  process.once("exit", killAtExit);
  const bus = new Bus(child.stdio[3] as unknown as Duplex);
  const ended = whenEnded(child).then((reason) => {
    process.off("exit", killAtExit);
    bus.closed(reason);
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), plan.bootTimeout * 1000);
  try {
    await bus.ready();
  } catch (cause) {
    child.kill("SIGKILL");
    await ended;
    const tail = readFileSync(consolePath, "utf8").split("\n").slice(-30).join("\n");
    throw new Error(
      `the ${plan.kind} bench did not boot (${plan.bootTimeout} s are allowed); its console ends with:\n${tail}`,
      { cause },
    );
  } finally {
    clearTimeout(timer);
    void ended.then(() => rmSync(directory, { recursive: true, force: true }));
  }
  return booted(plan, child, bus, ended);
}

function booted(facts: MachineFacts, child: ChildProcess, bus: Bus, ended: Promise<void>): Machine {
  const { kind, slow, processors, memoryMib, description } = facts;
  return {
    ...{ kind, slow, processors, description, ...(memoryMib !== undefined && { memoryMib }) },
    run: (job, output) => runByFile(job, (short) => bus.run(short, output)),
    interrupt: () => bus.kill(),
    shutdown: async () => {
      bus.halt();
      const timer = setTimeout(() => child.kill("SIGKILL"), SHUTDOWN_TIMEOUT_MS);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** Of what a terminal's line takes, which is 4095 octets, base64 makes so many of a script. */
const LONGEST_SCRIPT = 2000;

/** A script that is too long for the machine's line is told by a file of the repository, which the machine sees as it is now. */
async function runByFile(job: Job, run: (job: Job) => Promise<JobResult>): Promise<JobResult> {
  if (Buffer.byteLength(job.script) <= LONGEST_SCRIPT) return run(job);
  const directory = join(cacheDirectory, "bench", "jobs");
  mkdirSync(directory, { recursive: true });
  const path = join(directory, randomBytes(8).toString("hex"));
  writeFileSync(path, job.script);
  try {
    return await run({ ...job, script: `. '${path}'` });
  } finally {
    rmSync(path, { force: true });
  }
}

function whenEnded(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(signal ? `signal ${signal}` : `exit status ${code}`));
  });
}
