/** A bench machine: a kernel that has the tunnels, somewhere, and a way to run commands in it. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

export const benchKinds = ["native", "um", "vm"] as const;
export type BenchKind = (typeof benchKinds)[number];

/** The repository's top directory, wherever this was compiled to (build/ or build-NAME/). */
export const repository = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");
export const cacheDirectory = join(repository, ".cache");
export const guestDirectory = join(repository, "test", "bench", "guest");

/**
 * Where a job runs. "cell": in mount, network and process namespaces of its own, which end with it. "open": in the machine's own
 * namespaces, so that what it makes outlives it. "shell": open, and on a terminal.
 */
export type JobMode = "cell" | "open" | "shell";

export interface Job {
  /** A bash script. */
  readonly script: string;
  readonly mode: JobMode;
  /** What the job reads; only for mode "shell". */
  readonly input?: Readable;
}

export interface JobResult {
  readonly status: number;
  /** A gzipped tar of what the job left under $DSMIPD_ARTIFACTS; absent when it left nothing. */
  readonly artifacts?: Buffer;
}

export interface MachineFacts {
  readonly kind: BenchKind;
  /** How many times slower than hardware the machine is; timeouts of tests are multiplied by it ($DSMIPD_SLOW). */
  readonly slow: number;
  readonly processors: number;
  /** Of its own; absent: it is this machine itself. */
  readonly memoryMib?: number;
  /** For people: which kernel, which acceleration. */
  readonly description: string;
}

export interface Machine extends MachineFacts {
  /** One job at a time. Rejects when the machine ends before the job. */
  run(job: Job, output: (chunk: Buffer) => void): Promise<JobResult>;
  /** Kills the running job; its result still arrives. */
  interrupt(): void;
  /** Ends the machine; in vain attempts it is killed. */
  shutdown(): Promise<void>;
}

/** A bench that cannot run here, with the sentence that says what to do. */
export class BenchUnavailable extends Error {}

/** A new directory for one machine's sockets and console log. */
export function machineDirectory(): string {
  return mkdtempSync(join(tmpdir(), "dsmipd-bench-"));
}
