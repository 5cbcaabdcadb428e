/** Programs run to their end, as argument vectors; a failure is an error that holds the command and what it said. */
import { execFile, spawnSync } from "node:child_process";

export class CommandError extends Error {
  readonly status: number | null;
  /** Standard error, or standard output where that was all it wrote. */
  readonly said: string;

  constructor(command: readonly string[], status: number | null, said: string) {
    super(`${command.join(" ")}: ${said.trim() || `exit status ${status}`}`);
    this.status = status;
    this.said = said;
  }
}

const MAX_OUTPUT = 64 * 2 ** 20;

/** Standard output. Blocks the event loop: not while sockets of this process should be served. */
export function run(command: readonly string[], input = ""): string {
  const [program, ...args] = command as [string, ...string[]];
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    input,
    encoding: "utf8",
    maxBuffer: MAX_OUTPUT,
  });
  if (error) throw error;
  if (status !== 0) throw new CommandError(command, status, stderr || stdout);
  return stdout;
}

/** The same without blocking. */
export function runAsync(command: readonly string[], input = ""): Promise<string> {
  const [program, ...args] = command as [string, ...string[]];
  return new Promise((resolve, reject) => {
    const child = execFile(program, args, { maxBuffer: MAX_OUTPUT }, (error, stdout, stderr) => {
      if (error) reject(new CommandError(command, child.exitCode, stderr || stdout || error.message));
      else resolve(stdout);
    });
    child.stdin?.on("error", () => {}); // it may end without reading
    child.stdin?.end(input);
  });
}
