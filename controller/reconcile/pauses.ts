/**
 * When something that had to be mended may be mended again. The first time at once; then not before a pause is over, whatever happens
 * meanwhile, and the pauses grow for as long as it does not stay whole. So nothing that fails, or that somebody else undoes each time,
 * is worked on without end. The clock is given.
 */
export type Schedule = (delayMs: number, run: () => void) => void;

interface Pause {
  readonly delayMs: number;
  /** Over, and what was due is being worked on. */
  over: boolean;
  /** It is to be mended when the pause is over. */
  due: boolean;
}

/** After success: others need that long to spoil it again. */
const FIRST_AFTER_SUCCESS_MS = 20;
const LONGEST_AFTER_SUCCESS_MS = 2_000;
const FIRST_AFTER_FAILURE_MS = 500;
/** What has failed is whole again at most so long after its cause has gone. */
const LONGEST_AFTER_FAILURE_MS = 8_000;

export class Pauses {
  readonly #schedule: Schedule;
  readonly #onDue: (name: string) => void;
  readonly #pauses = new Map<string, Pause>();

  /** `onDue`: the pause is over, and the thing is to be mended. */
  constructor(schedule: Schedule, onDue: (name: string) => void) {
    this.#schedule = schedule;
    this.#onDue = onDue;
  }

  /** Whether it may be mended now; if not, it is due when its pause is over. */
  admits(name: string): boolean {
    const pause = this.#pauses.get(name);
    if (pause === undefined || pause.over) return true;
    pause.due = true;
    return false;
  }

  /** It has just been mended. */
  mended(name: string): void {
    this.#rest(name, FIRST_AFTER_SUCCESS_MS, LONGEST_AFTER_SUCCESS_MS, false);
  }

  /** It could not be mended. */
  failed(name: string): void {
    this.#rest(name, FIRST_AFTER_FAILURE_MS, LONGEST_AFTER_FAILURE_MS, true);
  }

  /** It has another form now, and its past does not matter. */
  forget(name: string): void {
    this.#pauses.delete(name);
  }

  /** The cause of the failures has gone: what waits is due now. */
  end(): void {
    const waiting = [...this.#pauses].filter(([, { due, over }]) => due && !over);
    this.#pauses.clear();
    for (const [name] of waiting) this.#onDue(name);
  }

  #rest(name: string, firstMs: number, longestMs: number, due: boolean): void {
    const before = this.#pauses.get(name);
    const delayMs = Math.min(longestMs, Math.max(firstMs, 2 * (before?.delayMs ?? 0)));
    const pause = { delayMs, over: false, due };
    this.#pauses.set(name, pause);
    this.#schedule(delayMs, () => {
      if (this.#pauses.get(name) !== pause) return;
      // Whole for as long as that: the next time is a first time.
      if (!pause.due) this.#pauses.delete(name);
      else {
        pause.over = true;
        this.#onDue(name);
      }
    });
  }
}
