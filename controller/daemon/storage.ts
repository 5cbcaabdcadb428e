/** The journal at work: opened, told of, flushed, and tried again while the disk refuses. */
import type { Logger } from "../log.js";
import type { ProtocolEvent } from "../protocol/mip6/inputs.js";
import { Journal, type JournalOptions, type JournalRole } from "../store/journal.js";
import { type Clock, clock, journalTime } from "./clock.js";

const RETRY_FIRST_MS = 1000;
const RETRY_MAX_MS = 30_000;
/** Between two attempts to write the whole journal on a disk that refuses. */
const COSTLY_PAUSE_MS = 250;
/** Of failures in a row one in so many is logged, after the first: a disk stays full for hours. */
const LOGGED_FAILURES = 100;

export interface StorageOptions {
  readonly directory: string;
  readonly role: JournalRole;
  readonly log: Logger;
  readonly note: (event: ProtocolEvent) => void;
  readonly clock?: Clock;
  readonly journal?: JournalOptions;
}

export class Storage {
  readonly journal: Journal;
  readonly #options: StorageOptions;
  readonly #clock: Clock;
  #writable = true;
  #failures = 0;
  #refusedAt: number = Number.NEGATIVE_INFINITY;
  #retryMs = RETRY_FIRST_MS;
  #cancelRetry: (() => void) | undefined;
  readonly #listeners: ((writable: boolean) => void)[] = [];

  /** Throws MobilityError only if the journal is another role's. */
  constructor(options: StorageOptions) {
    this.#options = options;
    this.#clock = options.clock ?? clock;
    this.journal = new Journal(options.directory, options.role, Date.now, {
      ...(journalTime !== undefined && { bootTime: journalTime }),
      ...options.journal,
    });
    this.#tellFindings();
    const { failure } = this.journal;
    if (failure !== undefined) this.#refused(failure);
  }

  /** Whether the disk takes what is written. */
  get writable(): boolean {
    return this.#writable;
  }

  /** Told at each change from here on, and at once if the disk refuses already. */
  onWritable(listener: (writable: boolean) => void): void {
    this.#listeners.push(listener);
    if (!this.#writable) listener(false);
  }

  /** Writes what was appended; resolves with whether all of it is on the disk. Undefined if there is nothing to write. Never rejects. */
  flush(): Promise<boolean> | undefined {
    if (!this.journal.dirty) return undefined;
    // All of it again for every message would be work with each node there is.
    const costly = !this.#writable && this.journal.stale;
    return costly && this.#clock.now() < this.#refusedAt + COSTLY_PAUSE_MS ? Promise.resolve(false) : this.#flush();
  }

  /** Records with the seconds since they were written. */
  restored(): {
    readonly key: string;
    readonly record: Readonly<Record<string, unknown>>;
    readonly ageSeconds: number;
  }[] {
    let uncertain = 0;
    const restored = [...this.journal.entries].map(([key, entry]) => {
      const { seconds, certain } = this.journal.age(entry);
      if (!certain) uncertain++;
      return { key, record: entry.record, ageSeconds: seconds };
    });
    if (uncertain > 0)
      this.#options.log.warn(
        { event: "journal.ages", records: uncertain },
        "records are from before a reboot, or of an earlier dsmipd: how old they are is known by the wall clock alone, and as wrong as that was set in between",
      );
    return restored;
  }

  async close(): Promise<void> {
    this.#cancelRetry?.();
    this.journal.close();
    await this.journal.closed();
    if (this.journal.failure !== undefined)
      this.#options.log.error({ event: "journal.unsaved", reason: this.journal.failure.message });
  }

  async #flush(): Promise<boolean> {
    try {
      await this.journal.flush();
    } catch (error) {
      this.#refused(error as NodeJS.ErrnoException);
      return false;
    }
    if (!this.#writable) this.#accepted();
    return true;
  }

  #refused(error: NodeJS.ErrnoException): void {
    this.#refusedAt = this.#clock.now();
    if (this.#failures++ % LOGGED_FAILURES === 0)
      this.#options.log.error(
        { event: "journal.failed", reason: error.message, code: error.code, failures: this.#failures },
        `the state directory ${this.#options.directory} cannot be written; make room or make it writable, it is tried again by itself`,
      );
    if (this.#writable) {
      this.#writable = false;
      this.#options.note({ event: "journal.failed", detail: { reason: error.message } });
      for (const listener of this.#listeners) listener(false);
    }
    if (this.#cancelRetry !== undefined) return;
    this.#cancelRetry = this.#clock.setTimer(this.#retryMs, () => {
      this.#cancelRetry = undefined;
      void this.#flush();
    });
    this.#retryMs = Math.min(RETRY_MAX_MS, 2 * this.#retryMs);
  }

  #accepted(): void {
    this.#writable = true;
    this.#failures = 0;
    this.#retryMs = RETRY_FIRST_MS;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#options.note({ event: "journal.recovered", detail: {} });
    for (const listener of this.#listeners) listener(true);
  }

  #tellFindings(): void {
    const { skipped, doubtful, header, keptAside } = this.journal.findings;
    const kept = keptAside === undefined ? {} : { keptAside };
    if (header === "newer")
      this.#options.log.warn(
        { event: "journal.newer", ...kept },
        "the journal is of a later dsmipd and not understood; starting without what it keeps",
      );
    else if (header === "version-1") this.#options.log.info({ event: "journal.upgraded" });
    if (skipped + doubtful > 0 || header === "damaged" || header === "unreadable")
      this.#options.log.warn(
        { event: "journal.damaged", header, lines: skipped, unusedRecords: doubtful, ...kept },
        "the journal is damaged; continuing with what is readable and certain, the file is kept under another name",
      );
  }
}
