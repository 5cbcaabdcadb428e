/**
 * What must survive the process: the last record of each key, in an append-only file that is written anew when it is mostly history.
 *
 * Theory of operation. What is appended is kept in memory until it is on the disk (`#pending`, the last record of each key), so a failed
 * write loses nothing and the queue is no longer than there are keys. `flush` writes what is pending behind the last confirmed octet and
 * synchronises once (group commit); a success answer leaves only after it. After a failed write the file is cut back there; after a failed
 * synchronisation, of which nobody knows what it has left, the file is written anew. A file is written anew beside the old one, which stays
 * open and in its place until the new one is whole, on the disk and renamed; while it is made, appends go on into the old one.
 *
 * Reading never fails: salvage.ts says what a damaged file still tells, and the damaged file is kept under another name. A disk that refuses
 * keeps nobody from starting either: `failure` says why, and each `flush` tries again.
 */
import { join } from "node:path";
import type { JournalRole } from "../../schemas/journal.js";
import { type Age, ageOf, restamped, restampedAll, type TimeOfDay } from "./age.js";
import { type Files, nodeFiles, writeAll, writeAllSync } from "./files.js";
import { type Found, findJournal, type JournalFindings } from "./findings.js";
import { type BootTime, type JournalEntry, type JournalRecord, LineWriter } from "./lines.js";
import { JournalPlace, type Suffix } from "./place.js";

export type { JournalRole } from "../../schemas/journal.js";
export type { Age } from "./age.js";
export type { JournalFindings } from "./findings.js";
export type { BootTime, JournalEntry, JournalRecord } from "./lines.js";

/** Writing anew costs O(live records); at twice the live ones it is amortised O(1) a record. The constant keeps small journals from churning. */
const COMPACT_SLACK_LINES = 4096;
/** So many lines are made in one turn of the event loop: about a millisecond. */
const LINES_PER_TURN = 256;

export interface JournalOptions {
  /** Absent: ages are known by the wall clock alone. */
  readonly bootTime?: () => BootTime;
  readonly files?: Files;
}

type Batch = Map<string, JournalEntry | undefined>;

interface OpenFile {
  readonly descriptor: number;
  /** Octets that are confirmed; whatever is behind them is not. */
  end: number;
  writer: LineWriter;
  lines: number;
}

export class Journal {
  readonly #place: JournalPlace;
  readonly #role: JournalRole;
  readonly #now: () => number;
  readonly #bootTime: (() => BootTime) | undefined;
  readonly #files: Files;
  readonly #live: Map<string, JournalEntry>;
  /** Not confirmed by the disk; undefined: the key is to be forgotten. */
  #pending: Batch = new Map();
  /** What was appended since a compaction began. */
  #changed: Batch | undefined;
  #file: OpenFile | undefined;
  /** There may be octets behind the confirmed ones. */
  #torn = false;
  /** The file has to be written anew before anything counts. */
  #stale = true;
  #directoryUnsynced = false;
  /** The damaged file that is in our place is not kept aside yet. */
  #damaged = false;
  #keptAside: string | undefined;
  /** Writers, one after the other. */
  #tail: Promise<void> = Promise.resolve();
  #writers = 0;
  #nextFlush: Promise<void> | undefined;
  #compactAt = 0;
  #compacting: Promise<void> | undefined;
  #failure: NodeJS.ErrnoException | undefined;
  #closed = false;
  #closing: Promise<void> | undefined;
  readonly #findings: Omit<JournalFindings, "keptAside">;

  /**
   * Reads the journal and makes one where there is none; `now` is the wall clock in milliseconds. Throws MobilityError if the file is another
   * role's. If the disk refuses, `failure` says so.
   */
  constructor(directory: string, role: JournalRole, now: () => number, options: JournalOptions = {}) {
    this.#role = role;
    this.#now = now;
    this.#bootTime = options.bootTime;
    this.#files = options.files ?? nodeFiles;
    this.#place = new JournalPlace(this.#files, join(directory, "journal.ndjson"));
    const found = findJournal(this.#place, role);
    this.#damaged = found.damaged;
    this.#live = new Map(found.entries);
    this.#findings = { header: found.header, skipped: found.skipped, doubtful: found.doubtful };
    restampedAll(this.#live, this.#timeOfDay());
    this.#place.removeLeftovers();
    try {
      if (found.intact && found.lines <= this.#mostLines()) this.#openAgain(found);
      else this.#rewriteSync();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** The last record of each key. */
  get entries(): ReadonlyMap<string, JournalEntry> {
    return this.#live;
  }

  get findings(): JournalFindings {
    return { ...this.#findings, keptAside: this.#keptAside };
  }

  /** Lines that could not be read at start. */
  get skipped(): number {
    return this.#findings.skipped;
  }

  /** Why the disk refused last; undefined while it does not. */
  get failure(): NodeJS.ErrnoException | undefined {
    return this.#failure;
  }

  /** How old the record is now. */
  age(entry: JournalEntry): Age {
    return ageOf(entry, this.#timeOfDay());
  }

  /** Remembers a record (null forgets the key); durable after the next `flush`. */
  append(key: string, record: JournalRecord | null): void {
    const bootTime = this.#bootTime?.();
    const entry =
      record === null ? undefined : { record, writtenAt: this.#now(), ...(bootTime !== undefined && { bootTime }) };
    if (entry === undefined) this.#live.delete(key);
    else this.#live.set(key, entry);
    this.#changed?.set(key, entry);
    if (this.#stale) return;
    // The last place: a batch is written in the order of the last appends.
    this.#pending.delete(key);
    this.#pending.set(key, entry);
    if (this.#pending.size > this.#mostLines()) this.#declareStale();
  }

  /** The next flush writes all records there are. */
  get stale(): boolean {
    return this.#stale;
  }

  /** Something is not on the disk. */
  get dirty(): boolean {
    return this.#stale || this.#torn || this.#directoryUnsynced || this.#pending.size > 0;
  }

  /**
   * Resolves when all that was appended before this call is on the disk. Rejects with the file system's error if it is not; it is kept, and
   * tried again with the next call.
   */
  flush(): Promise<void> {
    if (this.#nextFlush !== undefined) return this.#nextFlush;
    if (this.#writers === 0 && !this.dirty) return Promise.resolve();
    this.#nextFlush = this.#exclusive(async () => {
      this.#nextFlush = undefined;
      await this.#commit();
    });
    return this.#nextFlush;
  }

  /** Tries to write what is pending; afterwards `failure` says whether that went well. At once unless a writer is at work. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#closing = this.#end();
  }

  /** Resolves when the file that was told to close is closed. */
  async closed(): Promise<void> {
    await this.#closing;
  }

  async #end(): Promise<void> {
    // A fresh file that is being made has the name of the next daemon's.
    while (this.#writers > 0 || this.#compacting !== undefined) await (this.#compacting ?? this.#tail);
    try {
      if (this.#stale) this.#rewriteSync();
      else this.#extendSync();
      this.#failure = undefined;
    } catch (error) {
      this.#fail(error);
    }
    if (this.#file !== undefined) this.#place.closeQuietly(this.#file.descriptor);
    this.#file = undefined;
  }

  #exclusive(task: () => Promise<void>): Promise<void> {
    this.#writers++;
    const done = this.#tail.then(task).finally(() => {
      this.#writers--;
    });
    this.#tail = done.catch(() => undefined);
    return done;
  }

  async #commit(): Promise<void> {
    if (this.#closed) return;
    try {
      if (this.#stale || this.#file === undefined) await this.#rewrite();
      else if (this.#pending.size > 0 || this.#torn) await this.#extend(this.#file);
      if (this.#directoryUnsynced) await this.#syncDirectory();
      this.#failure = undefined;
    } catch (error) {
      throw this.#fail(error);
    }
    const due = this.#file !== undefined && this.#file.lines > Math.max(this.#mostLines(), this.#compactAt);
    if (due && this.#compacting === undefined && !this.#closed) this.#beginCompaction();
  }

  #beginCompaction(): void {
    this.#compacting = this.#compact().finally(() => {
      this.#compacting = undefined;
    });
  }

  #fail(error: unknown): NodeJS.ErrnoException {
    this.#failure = error as NodeJS.ErrnoException;
    return this.#failure;
  }

  #mostLines(): number {
    return 2 * this.#live.size + COMPACT_SLACK_LINES;
  }

  /** The whole file has to be written anew, so nothing in particular is pending. */
  #declareStale(): void {
    this.#stale = true;
    this.#pending.clear();
  }

  /** Behind the confirmed octets; they are confirmed when all of it is on the disk. */
  async #extend(file: OpenFile): Promise<void> {
    const files = this.#files;
    const batch = this.#takePending();
    const writer = file.writer.copy();
    try {
      if (this.#torn) await files.truncate(file.descriptor, file.end);
      this.#torn = true;
      let end = file.end;
      for (const text of this.#lines(batch, writer)) end = await writeAll(files, file.descriptor, text, end);
      await this.#dataSync(file.descriptor);
      this.#confirm(file, writer, end, batch.size);
    } catch (error) {
      this.#putBack(batch);
      throw error;
    }
  }

  /** What a failed synchronisation has left on the disk nobody knows, and the next one may claim that all is well. */
  async #dataSync(descriptor: number): Promise<void> {
    try {
      await this.#files.dataSync(descriptor);
    } catch (error) {
      this.#declareStale();
      throw error;
    }
  }

  #confirm(file: OpenFile, writer: LineWriter, end: number, lines: number): void {
    this.#torn = false;
    file.writer = writer;
    file.end = end;
    file.lines += lines;
  }

  #takePending(): Batch {
    const batch = this.#pending;
    this.#pending = new Map();
    return batch;
  }

  /** What was appended in the meantime is newer. */
  #putBack(batch: Batch): void {
    if (this.#stale) return;
    for (const [key, entry] of this.#pending) {
      batch.delete(key);
      batch.set(key, entry);
    }
    this.#pending = batch;
    if (batch.size > this.#mostLines()) this.#declareStale();
  }

  *#lines(batch: Iterable<readonly [string, JournalEntry | undefined]>, writer: LineWriter): Generator<Uint8Array> {
    let text = "";
    let count = 0;
    for (const [key, entry] of batch) {
      text += writer.line(key, entry ?? { record: null, writtenAt: this.#now() });
      if (++count % LINES_PER_TURN > 0) continue;
      yield Buffer.from(text);
      text = "";
    }
    if (text !== "") yield Buffer.from(text);
  }

  /** As they are in the moment in which each is asked for; what is appended meanwhile is among them, and pending too. */
  *#liveEntries(): Generator<readonly [string, JournalEntry]> {
    for (const [key, entry] of this.#live) yield [key, this.#corrected(entry)];
  }

  /** Writes the file anew and puts it in the place of the old one; what is appended meanwhile is pending. */
  async #rewrite(): Promise<void> {
    this.#prepareDirectory();
    this.#pending.clear();
    this.#stale = false;
    try {
      await this.#install(await this.#makeFresh(".new"), ".new");
    } catch (error) {
      this.#declareStale();
      throw error;
    }
    await this.#syncDirectory();
  }

  /** Beside the writers, until the moment in which the file changes. */
  async #compact(): Promise<void> {
    const replaced = this.#file;
    this.#changed = new Map();
    try {
      const fresh = await this.#makeFresh(".compact");
      await this.#exclusive(() => this.#catchUp(fresh, replaced));
    } catch {
      // The old file goes on as it is. It is tried again when there is half as much history more.
      this.#compactAt = Math.ceil(1.5 * Math.max(this.#mostLines(), replaced?.lines ?? 0));
    } finally {
      this.#changed = undefined;
    }
  }

  /** What was appended while the fresh file was made, written or not, goes into it; then it takes its place. */
  async #catchUp(fresh: OpenFile, replaced: OpenFile | undefined): Promise<void> {
    const batch = this.#takePending();
    const changed = this.#changed ?? new Map();
    this.#changed = undefined;
    try {
      await this.#finish(fresh, changed, replaced);
    } catch (error) {
      this.#putBack(batch);
      throw error;
    }
    await this.#syncDirectory();
  }

  async #finish(fresh: OpenFile, changed: Batch, replaced: OpenFile | undefined): Promise<void> {
    try {
      if (this.#closed || this.#stale || this.#file !== replaced)
        throw new Error("the journal has another file by now");
      for (const text of this.#lines(changed, fresh.writer))
        fresh.end = await writeAll(this.#files, fresh.descriptor, text, fresh.end);
      fresh.lines = fresh.writer.number;
      await this.#files.dataSync(fresh.descriptor);
    } catch (error) {
      this.#place.discard(fresh.descriptor, ".compact");
      throw error;
    }
    await this.#install(fresh, ".compact");
  }

  /** All records as they are now. Given up when the journal is closed and can do without. */
  async #makeFresh(suffix: Suffix): Promise<OpenFile> {
    const writer = new LineWriter(this.#role);
    const fresh = await this.#place.make(
      suffix,
      this.#wholeText(writer, () => this.#closed && suffix === ".compact"),
    );
    return { ...fresh, writer, lines: writer.number };
  }

  *#wholeText(writer: LineWriter, isPointless = (): boolean => false): Generator<Uint8Array> {
    yield Buffer.from(writer.header());
    for (const text of this.#lines(this.#liveEntries(), writer)) {
      if (isPointless()) throw new Error("the journal is closed");
      yield text;
    }
  }

  async #install(fresh: OpenFile, suffix: Suffix): Promise<void> {
    await this.#place.install(fresh.descriptor, suffix);
    const old = this.#file;
    this.#adopt(fresh);
    // With its last descriptor goes a file without a name, and a large one takes the kernel its time.
    if (old !== undefined) this.#place.closeAside(old.descriptor);
  }

  #adopt(fresh: OpenFile): void {
    this.#file = fresh;
    this.#torn = false;
    this.#damaged = false;
    this.#compactAt = 0;
    this.#directoryUnsynced = true;
  }

  async #syncDirectory(): Promise<void> {
    await this.#place.syncDirectory();
    this.#directoryUnsynced = false;
  }

  #syncDirectorySync(): void {
    this.#place.syncDirectorySync();
    this.#directoryUnsynced = false;
  }

  #prepareDirectory(): void {
    this.#place.makeDirectory();
    if (this.#damaged) this.#keptAside ??= this.#place.keepAside(this.#now());
  }

  /** At the start and at the end, when there is nothing to be kept waiting. */
  #rewriteSync(): void {
    this.#prepareDirectory();
    const old = this.#file;
    const writer = new LineWriter(this.#role);
    const fresh = this.#place.makeAndInstallSync(".new", this.#wholeText(writer));
    this.#adopt({ ...fresh, writer, lines: writer.number });
    if (old !== undefined) this.#place.closeQuietly(old.descriptor);
    this.#stale = false;
    this.#pending.clear();
    this.#syncDirectorySync();
  }

  #extendSync(): void {
    const file = this.#file;
    if (file === undefined || !this.dirty) return;
    const batch = this.#takePending();
    if (this.#torn) this.#files.truncateSync(file.descriptor, file.end);
    let { end } = file;
    for (const text of this.#lines(batch, file.writer)) end = writeAllSync(this.#files, file.descriptor, text, end);
    this.#files.syncSync(file.descriptor);
    if (this.#directoryUnsynced) this.#syncDirectorySync();
  }

  #openAgain({ octets, lines, last }: Found): void {
    const descriptor = this.#files.openSync(this.#place.path, "r+");
    const writer = new LineWriter(this.#role);
    if (last !== undefined) writer.continueAfter(last);
    this.#file = { descriptor, end: octets, writer, lines };
    this.#stale = false;
  }

  #timeOfDay(): TimeOfDay {
    return { wall: this.#now(), bootTime: this.#bootTime?.() };
  }

  #corrected(entry: JournalEntry): JournalEntry {
    return restamped(entry, this.#timeOfDay());
  }
}
