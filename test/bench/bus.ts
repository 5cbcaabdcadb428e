/**
 * The host's end of the line to a bench machine (the other end is guest/agent.sh): one job at a time, raw output, then the exit
 * status and the artifacts. Knows nothing about what kind of machine is at the other end.
 */
import { randomBytes } from "node:crypto";
import type { Duplex } from "node:stream";

export interface JobResult {
  readonly status: number;
  /** A gzipped tar of what the job left under $DSMIPD_ARTIFACTS; absent when it left nothing. */
  readonly artifacts?: Buffer;
}

export interface Job {
  /** A bash script. */
  readonly script: string;
  /** False: in the machine's own namespaces, so that what the job makes outlives it. */
  readonly cell: boolean;
}

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
      if (this.pending.length < this.prefix.length) return;
      const end = this.pending.indexOf(0x0a);
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

/** One machine's line. `closed` rejects every job that is waiting when the machine ends. */
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
    line.on("error", () => this.closed("its line broke"));
    line.on("close", () => this.closed("its line closed"));
  }

  /** Tells every waiting caller that the machine has ended. */
  closed(reason: string): void {
    this.gone ??= new Error(`the bench machine ended: ${reason}`);
    this.fail?.(this.gone);
  }

  /** Resolves when the agent has said that it takes jobs. */
  ready(): Promise<void> {
    return this.converse("ready", "", () => {}, (words, done) => {
      if (words === "") done(undefined);
    });
  }

  run(job: Job, output: (chunk: Buffer) => void): Promise<JobResult> {
    const token = randomBytes(8).toString("hex");
    const script = Buffer.from(job.script).toString("base64");
    const base64: string[] = [];
    let status: number | undefined;
    const collect = (chunk: Buffer): void => {
      if (status === undefined) output(chunk);
      else base64.push(chunk.toString("latin1"));
    };
    return this.converse(token, `job ${token} ${job.cell ? "cell" : "open"} ${script}\n`, collect, (words, done) => {
      if (words.startsWith("exit ")) status = Number(words.slice(5));
      else if (words === "end" && status !== undefined) {
        const artifacts = Buffer.from(base64.join(""), "base64");
        done(artifacts.length > 0 ? { status, artifacts } : { status });
      }
    });
  }

  /** Ends the running job; its result still arrives. */
  kill(): void {
    this.line.write("kill\n");
  }

  halt(): void {
    this.line.write("halt\n");
  }

  private converse<T>(
    token: string,
    send: string,
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
      if (send !== "") this.line.write(send);
    });
  }
}
