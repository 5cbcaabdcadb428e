/**
 * One discipline for every picture of the kernel that is made of a dump and kept up by announcements:
 * - What is announced while a dump runs may be newer than its answer. It is kept, and taken in after the answer, in order. What is older
 *   than the answer does no harm then: the last word about each thing stands.
 * - When announcements were lost (ENOBUFS), those that are still in the socket are older than the loss, so nothing corrects them: they are
 *   passed over, and dumps follow each other until nothing has been announced during two in a row.
 * - A dump that fails is repeated after a pause, whatever is announced.
 * That a single dump is consistent (NLM_F_DUMP_INTR) is the session's care.
 */
import type { SetTimer } from "../netlink/transport.js";

export interface Picture<News> {
  /**
   * Asks the kernel. What it resolves to puts the answer in the place of what was known, in one go. `doubtful`: announcements are being
   * passed over, so all is to be asked for. Rejects with KernelError.
   */
  read(doubtful: boolean): Promise<() => void>;
  /** Takes one announcement in. */
  take(news: News): void;
  /** The picture is complete, with all that was announced so far. */
  onFresh(): void;
  /** A dump has failed. The picture is old until the next try, a second later. */
  onError(error: unknown): void;
}

const RETRY_MS = 1000;
/** Between two dumps that end one after the other the event loop has looked at the announcements at least once. */
const QUIET_DUMPS = 2;
/** Under announcements without end the picture is as good as it gets. */
const MAX_DUMPS = 10;
/** More than this is not kept during one dump, but counts as lost. */
const MAX_MEANWHILE = 100_000;

export class Follower<News> {
  readonly #picture: Picture<News>;
  readonly #setTimer: SetTimer;
  /** While a dump runs: what was announced meanwhile. */
  #meanwhile: News[] | undefined;
  #due = true;
  /** Announcements were lost, and older ones may still be in the socket. */
  #doubtful = false;
  /** Dumps in a row during which nothing was announced. */
  #quiet = 0;
  #disturbed = false;
  #reading = false;
  #cancelRetry: (() => void) | undefined;
  #closed = false;

  constructor(picture: Picture<News>, setTimer: SetTimer) {
    this.#picture = picture;
    this.#setTimer = setTimer;
  }

  /** Whether a dump is under way. */
  get reading(): boolean {
    return this.#reading;
  }

  /** Resolves when the first picture is complete. Rejects with KernelError. */
  async begin(): Promise<void> {
    await this.#readUntilFresh();
    if (!this.#closed) this.#picture.onFresh();
  }

  /** One datagram's announcements, none if it holds nothing of interest. */
  hear(news: readonly News[]): void {
    this.#disturbed = true;
    for (const one of news) {
      if (this.#meanwhile === undefined) this.#picture.take(one);
      else if (this.#meanwhile.length < MAX_MEANWHILE) this.#meanwhile.push(one);
      else return this.lose();
    }
  }

  /** Announcements were lost. */
  lose(): void {
    this.#doubtful = true;
    this.#quiet = 0;
    this.refresh();
  }

  /** Something may have changed that was not announced in full: asks the kernel anew, after the dump under way if there is one. */
  refresh(): void {
    this.#due = true;
    if (!this.#reading && !this.#closed && this.#cancelRetry === undefined) void this.#learn();
  }

  /** Nothing is taken in any more. */
  close(): void {
    this.#closed = true;
    this.#cancelRetry?.();
  }

  async #learn(): Promise<void> {
    try {
      await this.#readUntilFresh();
    } catch (error) {
      if (this.#closed) return;
      this.#quiet = 0;
      this.#cancelRetry = this.#setTimer(RETRY_MS, () => {
        this.#cancelRetry = undefined;
        this.refresh();
      });
      return this.#picture.onError(error);
    }
    if (!this.#closed) this.#picture.onFresh();
  }

  async #readUntilFresh(): Promise<void> {
    this.#reading = true;
    try {
      for (let dumps = 1; this.#due && !this.#closed; dumps++) {
        this.#due = false;
        if (dumps === MAX_DUMPS) this.#doubtful = false;
        await this.#readOnce();
      }
    } finally {
      this.#reading = false;
    }
  }

  async #readOnce(): Promise<void> {
    this.#meanwhile = [];
    this.#disturbed = false;
    try {
      const replace = await this.#picture.read(this.#doubtful);
      if (!this.#closed) replace();
    } finally {
      const later = this.#meanwhile;
      this.#meanwhile = undefined;
      if (this.#doubtful) this.#drain();
      else if (!this.#closed) for (const news of later) this.#picture.take(news);
    }
  }

  #drain(): void {
    this.#quiet = this.#disturbed ? 0 : this.#quiet + 1;
    if (this.#quiet < QUIET_DUMPS) this.#due = true;
    else this.#doubtful = false;
  }
}
