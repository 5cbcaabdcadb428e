/**
 * The line to a bench machine (its other end is guest/agent.sh, or server.ts for a machine that stays up): one job at a time, raw
 * output, then the exit status and the artifacts. Knows nothing about what kind of machine is at the other end.
 */
import { randomBytes } from "node:crypto";
import type { Duplex } from "node:stream";
import type { Job, JobResult } from "./machine.js";

const START = 0x01;

/** Splits what arrives on the line into output and markers. A marker is ^A TOKEN SPACE WORDS LF; output may contain ^A as well. */
export class MarkerReader {
  private pending: Buffer = Buffer.alloc(0);
  private readonly prefix: Buffer;
  private readonly output: (chunk: Buffer) => void;
  private readonly marker: (words: string) => void;

  constructor(token: string, output: (chunk: Buffer) => void, marker: (words: string) => void) {
    this.prefix = Buffer.concat([Buffer.of(START), Buffer.from(`${token} `, "latin1")]);
    this.output = output;
    this.marker = marker;
  }

  push(chunk: Buffer): void {
    this.pending = this.pending.length === 0 ? chunk : Buffer.concat([this.pending, chunk]);
    for (;;) {
      const at = this.candidate();
      if (at > 0) this.output(this.pending.subarray(0, at));
      this.pending = this.pending.subarray(at);
      const end = this.pending.length < this.prefix.length ? -1 : this.pending.indexOf(0x0a);
      if (end < 0) return;
      const words = this.pending.toString("latin1", this.prefix.length, end);
      this.pending = this.pending.subarray(end + 1);
      this.marker(words);
    }
  }

  /** Where a marker starts, or might when more has arrived; the length when there is none. */
  private candidate(): number {
    const { pending, prefix } = this;
    for (let at = pending.indexOf(START); at >= 0; at = pending.indexOf(START, at + 1)) {
      const length = Math.min(prefix.length, pending.length - at);
      if (pending.compare(prefix, 0, length, at, at + length) === 0) return at;
    }
    return pending.length;
  }
}

/** What the far end writes when a job is over. */
export function endMarkers(token: string, result: JobResult): string {
  const artifacts = result.artifacts?.toString("base64") ?? "";
  return `\x01${token} exit ${result.status}\n${artifacts}\x01${token} end\n`;
}

/** The near end of the line. */
export class Bus {
  private readonly line: Duplex;
  private receive: ((chunk: Buffer) => void) | undefined;
  private fail: ((error: Error) => void) | undefined;
  private gone: Error | undefined;
  private early: Buffer[] = [];

  constructor(line: Duplex) {
    this.line = line;
    line.on("data", (chunk: Buffer) => {
      if (this.receive) this.receive(chunk);
      else this.early.push(chunk);
    });
    line.on("error", (error) => this.closed(error.message));
    line.on("close", () => this.closed("its line closed"));
  }

  /** Tells the waiting caller that the machine has ended. */
  closed(reason: string): void {
    this.gone ??= new Error(`the bench machine ended: ${reason}`);
    this.fail?.(this.gone);
  }

  /** Resolves when the far end has said that it takes jobs. */
  ready(): Promise<void> {
    return this.converse(
      "ready",
      undefined,
      () => {},
      (words, done) => {
        if (words === "") done(undefined);
      },
    );
  }

  async run(job: Job, output: (chunk: Buffer) => void): Promise<JobResult> {
    const token = randomBytes(8).toString("hex");
    const base64: string[] = [];
    let status: number | undefined;
    const collect = (chunk: Buffer): void => {
      if (status === undefined) output(chunk);
      else base64.push(chunk.toString("latin1"));
    };
    const request = `job ${token} ${job.mode} ${Buffer.from(job.script).toString("base64")}\n`;
    const forward = (chunk: Buffer): void => void this.line.write(chunk);
    const endOfInput = (): void => void this.line.write("\x04"); // Ctrl-D: the far end is a terminal
    job.input?.on("data", forward).once("end", endOfInput);
    try {
      return await this.converse<JobResult>(token, request, collect, (words, done) => {
        if (words.startsWith("exit ")) status = Number(words.slice(5));
        else if (words === "end" && status !== undefined) {
          const artifacts = Buffer.from(base64.join(""), "base64");
          done(artifacts.length > 0 ? { status, artifacts } : { status });
        }
      });
    } finally {
      job.input?.off("data", forward).off("end", endOfInput);
    }
  }

  /** Ends the running job; its result still arrives. */
  kill(): void {
    this.line.write("kill\n");
  }

  /** Asks the far end to end itself. */
  halt(): void {
    this.line.write("halt\n");
  }

  private converse<T>(
    token: string,
    request: string | undefined,
    output: (chunk: Buffer) => void,
    marker: (words: string, done: (value: T) => void) => void,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.gone) return reject(this.gone);
      const finish = (settle: () => void): void => {
        this.receive = undefined;
        this.fail = undefined;
        settle();
      };
      const reader = new MarkerReader(token, output, (words) => marker(words, (value) => finish(() => resolve(value))));
      this.receive = (chunk) => reader.push(chunk);
      this.fail = (error) => finish(() => reject(error));
      const early = this.early;
      this.early = [];
      for (const chunk of early) this.receive?.(chunk);
      if (request !== undefined) this.line.write(request);
    });
  }
}
