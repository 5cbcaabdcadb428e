/** A dsmipd of the benchmark, in a namespace of its own. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { fetchDocument } from "../../controller/control/client.js";
import { type StatusDocument, statusDocument } from "../../schemas/control.js";
import { Background } from "../kernel/lib/process.js";
import type { Machine } from "./machines.js";

const MAIN = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "controller", "main.js");
const START_TIMEOUT_MS = 600_000;

/** What is written beside each other before it starts: names and contents. */
export interface Files {
  readonly configuration: string;
  readonly keys?: string;
}

/** In its directory. */
export const controlSocketIn = (directory: string): string => join(directory, "daemon.sock");

export class BenchDaemon {
  readonly startMs: number;
  readonly #directory: string;
  readonly #process: Background;

  /** Writes the files and starts it; resolves when it answers. */
  static async start(machine: Machine, files: (directory: string) => Files): Promise<BenchDaemon> {
    const directory = mkdtempSync(join(tmpdir(), "dsmipd-bench-"));
    const { configuration, keys } = files(directory);
    writeFileSync(join(directory, "dsmipd.yaml"), configuration);
    if (keys !== undefined) writeFileSync(join(directory, "keys.yaml"), keys, { mode: 0o600 });
    const begin = performance.now();
    // With our own options: `node --cpu-prof` profiles the daemon too.
    const command = [
      process.execPath,
      ...process.execArgv,
      MAIN,
      "run",
      "--config",
      join(directory, "dsmipd.yaml"),
      "--netns",
      machine.path,
    ];
    const daemon = new Background("dsmipd", command);
    try {
      await daemon.waitForLog(/"daemon\.ready"/, START_TIMEOUT_MS);
    } catch (error) {
      await daemon.stop();
      rmSync(directory, { recursive: true, force: true });
      throw error;
    }
    return new BenchDaemon(directory, daemon, performance.now() - begin);
  }

  private constructor(directory: string, daemon: Background, startMs: number) {
    this.#directory = directory;
    this.#process = daemon;
    this.startMs = startMs;
  }

  async status(): Promise<StatusDocument> {
    return statusDocument.parse(await fetchDocument(controlSocketIn(this.#directory), "/status"));
  }

  /** Octets of the process that are in memory, now and at most. */
  memory(): { readonly resident: number; readonly peak: number } {
    const text = readFileSync(`/proc/${this.#process.pid}/status`, "utf8");
    const octets = (name: string): number => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1]);
    return { resident: octets("VmRSS"), peak: octets("VmHWM") };
  }

  /** What it has logged of the given events, at most the last few lines of each. */
  logged(event: string, lines = 3): string {
    return this.#process.log
      .split("\n")
      .filter((line) => line.includes(`"${event}"`) || line.includes('"kernel.'))
      .slice(-lines)
      .join("\n");
  }

  /** Ends it without giving it time to clean up; its namespace goes with what it made. */
  async kill(): Promise<void> {
    await this.#process.stop("SIGKILL");
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async stop(): Promise<void> {
    await this.#process.stop("SIGTERM", START_TIMEOUT_MS);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
