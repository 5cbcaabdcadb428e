/** A program that runs beside the test: its log, and its end. */
import { type ChildProcess, spawn } from "node:child_process";
import { waitFor } from "./wait.js";

export interface ExitStatus {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class Background {
  readonly name: string;
  /** Standard output and standard error in the order in which they arrived. */
  log = "";
  /** Standard output alone. */
  stdout = "";
  readonly exited: Promise<ExitStatus>;
  #status: ExitStatus | undefined;
  readonly #child: ChildProcess;

  constructor(name: string, command: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    const [program, ...args] = command as [string, ...string[]];
    this.name = name;
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...environment } });
    this.#child = child;
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
      this.log += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.log += text;
    });
    child.stdin.on("error", () => {}); // it may not read what we write
    this.exited = new Promise((resolve) => {
      const finish = (status: ExitStatus): void => {
        this.#status = status;
        resolve(status);
      };
      child.once("error", (error) => {
        this.log += `${error.message}\n`;
        finish({ code: 127, signal: null });
      });
      child.once("close", (code, signal) => finish({ code, signal }));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get running(): boolean {
    return this.#status === undefined;
  }

  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits until the log matches; fails at once when the process ends before. */
  async waitForLog(pattern: RegExp, timeout?: number): Promise<RegExpExecArray> {
    const what = `${pattern} in the log of ${this.name}`;
    const found = await waitFor(() => pattern.exec(this.log) ?? (this.running ? undefined : "ended"), {
      what,
      ...(timeout === undefined ? {} : { timeout }),
    }).catch((error: Error) => {
      throw new Error(`${error.message}; it says:\n${this.log}`);
    });
    if (found === "ended") throw new Error(`${this.name} ended without ${what}; it says:\n${this.log}`);
    return found;
  }

  /** Sends the signal and waits for the end; kills it when it does not end by itself. */
  async stop(signal: NodeJS.Signals = "SIGTERM", timeout = 5000): Promise<ExitStatus> {
    if (!this.running) return this.exited;
    this.kill(signal);
    try {
      await waitFor(() => !this.running, { what: `${this.name} to end after ${signal}`, timeout });
    } finally {
      if (this.running) this.kill("SIGKILL");
    }
    return this.exited;
  }
}
