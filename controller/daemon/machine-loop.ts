/**
 * Drives one pure state machine: inputs are stepped in order of arrival, everything that arrived in one turn of the event loop together,
 * effects are performed in order, and messages wait for the journal (group commit), so that no acknowledgement promises what a crash
 * could forget. This is the one place that gives the machine the time.
 */
import type { Instant } from "../base/time.js";
import { type Clock, clock } from "./clock.js";

export interface Machine<Input, Effect> {
  step(input: Input, now: Instant): readonly Effect[];
  /** May change with every step. */
  nextDeadline(): Instant | undefined;
}

export interface LoopPorts<Effect extends { readonly kind: string }> {
  /** Called in order; for effects of kind "send" after the journal is on disk. Must not throw. */
  perform(effect: Effect): void;
  /**
   * Writes what the effects of this turn appended; undefined if there is nothing to write. Resolves with whether it is on the disk; never
   * rejects.
   */
  flush(): Promise<boolean> | undefined;
  /** What leaves in the place of a message of a turn that is not on the disk. Absent: the message itself. */
  withhold?(effect: Effect): Effect | undefined;
  /** A message that is not sent, because too many wait for a disk that neither writes nor refuses. */
  lose?(effect: Effect): void;
  /** Called after the effects of a turn other than sends: the moment to hand a batch to the kernel. */
  turnEnded(): void;
}

/** So many messages leave in one turn of the event loop: the devices and sockets they pass through hold a few hundred and are emptied in between. */
const SENDS_PER_TURN = 64;

/** So many wait for the journal at most: who gets no answer asks again, and a disk that hangs must not fill the memory. */
const MAX_WAITING = 1 << 14;

/** The daemon's clock: never goes back, counts sleep. */
export const monotonicNow = (): Instant => clock.now();

export class MachineLoop<Input, Effect extends { readonly kind: string }> {
  readonly #machine: Machine<Input, Effect>;
  readonly #ports: LoopPorts<Effect>;
  readonly #timerInput: Input;
  readonly #clock: Clock;
  #inputs: Input[] = [];
  #scheduled = false;
  #cancelTimer: () => void = () => undefined;
  /** Sends of earlier turns that still wait; later ones queue behind them. Resolves with whether what they say is on the disk. */
  #barrier: Promise<boolean> | undefined;
  /** How many they are. */
  #waiting = 0;
  /** Sends that wait for nothing but their turn. */
  #outbox: Effect[] = [];
  #closed = false;

  constructor(machine: Machine<Input, Effect>, timerInput: Input, ports: LoopPorts<Effect>, time = clock) {
    this.#machine = machine;
    this.#ports = ports;
    this.#timerInput = timerInput;
    this.#clock = time;
  }

  push(input: Input): void {
    this.#inputs.push(input);
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    setImmediate(() => this.#turn());
  }

  /** Nothing is stepped or performed any more. */
  close(): void {
    this.#closed = true;
    this.#cancelTimer();
  }

  #turn(): void {
    this.#scheduled = false;
    if (this.#closed) return;
    const inputs = this.#inputs;
    this.#inputs = [];
    const now = this.#clock.now();
    const sends: Effect[] = [];
    for (const input of inputs) {
      for (const effect of this.#machine.step(input, now)) {
        if (effect.kind === "send") sends.push(effect);
        else this.#ports.perform(effect);
      }
    }
    this.#ports.turnEnded();
    this.#release(sends);
    this.#armTimer();
  }

  #release(sends: readonly Effect[]): void {
    const flushed = this.#ports.flush();
    if (flushed === undefined && this.#barrier === undefined) {
      this.#send(sends);
      return;
    }
    const kept = sends.slice(0, Math.max(0, MAX_WAITING - this.#waiting));
    for (const effect of sends.slice(kept.length)) this.#ports.lose?.(effect);
    if (kept.length === 0 && sends.length > 0) return;
    this.#waiting += kept.length;
    const before = this.#barrier;
    const mine: Promise<boolean> = Promise.all([flushed, before]).then(([written, earlier]) => {
      if (this.#barrier === mine) this.#barrier = undefined;
      this.#waiting -= kept.length;
      // Who has appended nothing speaks of what an earlier turn has, and that is still being written.
      const stored = written ?? earlier ?? true;
      this.#send(stored ? kept : this.#withheld(kept));
      return stored;
    });
    this.#barrier = mine;
  }

  #withheld(sends: readonly Effect[]): readonly Effect[] {
    const { withhold } = this.#ports;
    if (withhold === undefined) return sends;
    return sends.map(withhold).filter((effect) => effect !== undefined);
  }

  #send(sends: readonly Effect[]): void {
    const idle = this.#outbox.length === 0;
    for (const effect of sends) this.#outbox.push(effect);
    if (idle) this.#empty();
  }

  #empty(): void {
    if (this.#closed) return;
    for (const effect of this.#outbox.splice(0, SENDS_PER_TURN)) this.#ports.perform(effect);
    if (this.#outbox.length > 0) setImmediate(() => this.#empty());
  }

  #armTimer(): void {
    const before = this.#cancelTimer;
    const deadline = this.#machine.nextDeadline();
    if (deadline === undefined) this.#cancelTimer = () => undefined;
    else this.#cancelTimer = this.#clock.setTimer(deadline - this.#clock.now(), () => this.push(this.#timerInput));
    before();
  }
}
