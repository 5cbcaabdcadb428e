/**
 * What must survive the process: the last record of each key, in an append-only file that is compacted when it is mostly history.
 * `flush` writes all that was appended in one write and one fdatasync (group commit); a success answer leaves only after it.
 * A torn last line (power loss) is cut off; an unreadable line further up is skipped and told, never fatal.
 */
import {
  closeSync,
  existsSync,
  fdatasync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  write,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { JOURNAL_VERSION, type JournalLine, journalHeader, journalLine } from "../../schemas/journal.js";
import { MobilityError } from "../base/errors.js";

const writeAsync = promisify(write);
const fdatasyncAsync = promisify(fdatasync);
/** Compaction costs O(live records); at twice the live ones it is amortised O(1) a record. The constant keeps small journals from churning. */
const COMPACT_SLACK_LINES = 4096;

export type JournalRecord = Readonly<Record<string, unknown>>;
export type JournalRole = "home-agent" | "mobile-node";

export interface JournalEntry {
  readonly record: JournalRecord;
  /** Milliseconds since 1970. */
  readonly writtenAt: number;
}

export class Journal {
  readonly #path: string;
  readonly #role: JournalRole;
  readonly #now: () => number;
  readonly #live = new Map<string, JournalEntry>();
  #file: number;
  #lines = 0;
  #queue: string[] = [];
  #running: Promise<void> | undefined;
  /** Lines that could not be read at start. */
  readonly skipped: number;

  /** Opens or makes the journal; `now` is the wall clock in milliseconds. Throws MobilityError if the directory can't be used or the file is another role's. */
  constructor(directory: string, role: JournalRole, now: () => number) {
    this.#path = join(directory, "journal.ndjson");
    this.#role = role;
    this.#now = now;
    try {
      mkdirSync(directory, { recursive: true, mode: 0o750 });
      this.skipped = existsSync(this.#path) ? this.#load() : 0;
      this.#file = this.#rewrite();
    } catch (cause) {
      if (cause instanceof MobilityError) throw cause;
      throw new MobilityError(
        "MIP_JOURNAL",
        `${this.#path}: cannot be used (${(cause as NodeJS.ErrnoException).code ?? "unknown"}); check stateDirectory`,
        { cause },
      );
    }
  }

  /** The last record of each key. */
  get entries(): ReadonlyMap<string, JournalEntry> {
    return this.#live;
  }

  /** Remembers a record (null forgets the key); durable after the next `flush`. */
  append(key: string, record: JournalRecord | null): void {
    const line: JournalLine = { key, writtenAt: this.#now(), record };
    this.#apply(line);
    this.#queue.push(`${JSON.stringify(line)}\n`);
    this.#lines++;
  }

  get dirty(): boolean {
    return this.#queue.length > 0;
  }

  /** Resolves when all that was appended before this call is on the disk. */
  async flush(): Promise<void> {
    await this.#running;
    if (this.#queue.length === 0) return this.#running;
    this.#running = this.#write();
    await this.#running;
  }

  close(): void {
    if (this.#queue.length > 0) writeSync(this.#file, this.#queue.join(""));
    fsyncSync(this.#file);
    closeSync(this.#file);
  }

  async #write(): Promise<void> {
    const text = Buffer.from(this.#queue.join(""));
    this.#queue = [];
    for (let at = 0; at < text.length; ) at += (await writeAsync(this.#file, text, at)).bytesWritten;
    await fdatasyncAsync(this.#file);
    if (this.#lines > 2 * this.#live.size + COMPACT_SLACK_LINES && this.#queue.length === 0) {
      closeSync(this.#file);
      this.#file = this.#rewrite();
    }
  }

  #apply(line: JournalLine): void {
    if (line.record === null) this.#live.delete(line.key);
    else this.#live.set(line.key, { record: line.record, writtenAt: line.writtenAt });
  }

  #load(): number {
    const [first = "", ...lines] = readFileSync(this.#path, "utf8").split("\n");
    const header = journalHeader.safeParse(parseJson(first));
    if (!header.success)
      throw new MobilityError(
        "MIP_JOURNAL",
        `${this.#path}: is no journal of dsmipd; move it away or set another stateDirectory`,
      );
    if (header.data.role !== this.#role) {
      throw new MobilityError(
        "MIP_JOURNAL",
        `${this.#path}: belongs to a ${header.data.role}; set another stateDirectory for this ${this.#role}`,
      );
    }
    let skipped = 0;
    for (const text of lines) {
      if (text === "") continue;
      const line = journalLine.safeParse(parseJson(text));
      if (line.success) this.#apply(line.data);
      else skipped++;
    }
    return skipped;
  }

  /** A fresh file with the live records only, put in the place of the old one at once; the open file for appending. */
  #rewrite(): number {
    const fresh = `${this.#path}.new`;
    const file = openSync(fresh, "w", 0o640);
    const header = { dsmipd: "journal", version: JOURNAL_VERSION, role: this.#role };
    const lines = [JSON.stringify(header)];
    for (const [key, { record, writtenAt }] of this.#live) lines.push(JSON.stringify({ key, writtenAt, record }));
    const text = Buffer.from(`${lines.join("\n")}\n`);
    for (let at = 0; at < text.length; ) at += writeSync(file, text, at);
    fsyncSync(file);
    renameSync(fresh, this.#path);
    this.#lines = this.#live.size;
    return file;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
