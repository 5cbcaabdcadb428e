/**
 * The daemon's one clock for everything that protocols, lifetimes and back-offs measure: it counts the time the machine sleeps and is never
 * set, and what fell due in sleep is done at waking. How long this process itself waits for an answer (of the kernel, of a control client,
 * of neighbours on a link) is measured by Node's timers instead, which stand still with it.
 */
import { DeadlineQueue } from "../base/deadline-queue.js";
import { type Instant, instant } from "../base/time.js";
import { BootTimer, bootId, bootTimeMilliseconds } from "../io/boot-timer.js";
import type { BootTime } from "../store/journal.js";

export interface Clock {
  readonly now: () => Instant;
  /** Calls back once, not before so many milliseconds are over; returns how to cancel that. */
  readonly setTimer: (delayMs: number, callback: () => void) => () => void;
}

export interface Alarm {
  set(at: number | undefined): void;
}

/** Any number of timers on one alarm. */
export class TimerQueue implements Clock {
  readonly now: () => Instant;
  readonly #deadlines = new DeadlineQueue<number>();
  readonly #callbacks = new Map<number, () => void>();
  readonly #openAlarm: (onDue: () => void) => Alarm;
  #alarm: Alarm | undefined;
  #setFor: Instant | undefined;
  #last = 0;

  constructor(now: () => Instant, openAlarm: (onDue: () => void) => Alarm) {
    this.now = now;
    this.#openAlarm = openAlarm;
  }

  readonly setTimer = (delayMs: number, callback: () => void): (() => void) => {
    const timer = ++this.#last;
    this.#callbacks.set(timer, callback);
    this.#deadlines.set(timer, instant(this.now() + Math.max(0, delayMs)));
    this.#arm();
    return () => {
      if (!this.#callbacks.delete(timer)) return;
      this.#deadlines.set(timer, undefined);
      this.#arm();
    };
  };

  /** An alarm that goes off too early does no harm, and setting it is a system call: it is set forward only. */
  #arm(): void {
    const { next } = this.#deadlines;
    if (next !== undefined && this.#setFor !== undefined && this.#setFor <= next) return;
    if (next === this.#setFor) return;
    this.#setFor = next;
    this.#alarm ??= this.#openAlarm(() => this.#ring());
    this.#alarm.set(next);
  }

  #ring(): void {
    this.#setFor = undefined;
    this.#alarm?.set(undefined);
    const now = this.now();
    const due: (() => void)[] = [];
    for (let timer = this.#deadlines.takeDue(now); timer !== undefined; timer = this.#deadlines.takeDue(now)) {
      const callback = this.#callbacks.get(timer);
      this.#callbacks.delete(timer);
      if (callback !== undefined) due.push(callback);
    }
    this.#arm();
    for (const callback of due) callback();
  }
}

export const clock: Clock = new TimerQueue(
  () => instant(bootTimeMilliseconds()),
  (onDue) => new BootTimer(onDue),
);

const BOOT = bootId();

/** For the journal; undefined where the kernel does not say which run of it this is. */
export const journalTime: (() => BootTime) | undefined =
  BOOT === undefined ? undefined : () => ({ boot: BOOT, milliseconds: Math.round(bootTimeMilliseconds()) });
