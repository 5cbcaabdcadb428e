/** A bench machine: something that boots a kernel and offers a line to the agent in it. */
import type { ChildProcess } from "node:child_process";
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Bus } from "./bus.js";

export const benchKinds = ["native", "um", "vm"] as const;
export type BenchKind = (typeof benchKinds)[number];

/** The repository's top directory, wherever this was compiled to (build/ or build-NAME/). */
export const repository = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");
export const cacheDirectory = join(repository, ".cache");

/** How many times slower than hardware the machine is; timeouts of tests are multiplied by it ($DSMIPD_SLOW). */
export interface Machine {
  readonly kind: BenchKind;
  readonly slow: number;
  /** For people: which kernel, which acceleration. */
  readonly description: string;
  readonly bus: Bus;
  /** Resolves when the machine's process has ended. */
  readonly ended: Promise<void>;
  kill(): void;
}

/** A bench that cannot run here, with the sentence that says what to do. */
export class BenchUnavailable extends Error {}

export interface BootFacts {
  readonly kind: BenchKind;
  readonly slow: number;
  readonly description: string;
  /** Seconds from start to the agent's "ready". */
  readonly bootTimeout: number;
}

/** A directory for one machine's sockets and console log. */
export function machineDirectory(): string {
  mkdirSync(tmpdir(), { recursive: true });
  return mkdtempSync(join(tmpdir(), "dsmipd-bench-"));
}

/** Waits until the agent answers. The console goes to a log of which the end is shown if that never happens. */
export async function awaitBoot(child: ChildProcess, line: import("node:stream").Duplex, directory: string, facts: BootFacts): Promise<Machine> {
  const consolePath = join(directory, "console.log");
  const log = createWriteStream(consolePath);
  child.stdout?.pipe(log, { end: false });
  child.stderr?.pipe(log, { end: false });
  const bus = new Bus(line);
  const ended = new Promise<void>((resolve) => {
    const finish = (reason: string): void => {
      bus.closed(reason);
      resolve();
    };
    child.once("error", (error) => finish(error.message));
    child.once("exit", (code, signal) => finish(signal ? `signal ${signal}` : `exit status ${code}`));
  });
  const kill = (): void => void child.kill("SIGKILL");
  const timer = setTimeout(kill, facts.bootTimeout * 1000);
  try {
    await bus.ready();
  } catch (cause) {
    await ended;
    const tail = readFileSync(consolePath, "utf8").split("\n").slice(-30).join("\n");
    throw new Error(`the ${facts.kind} bench did not boot within ${facts.bootTimeout} s; its console ends with:\n${tail}`, { cause });
  } finally {
    clearTimeout(timer);
  }
  void ended.then(() => rmSync(directory, { recursive: true, force: true }));
  return { kind: facts.kind, slow: facts.slow, description: facts.description, bus, ended, kill };
}
