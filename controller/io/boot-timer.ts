/** CLOCK_BOOTTIME: a clock that counts the time the machine sleeps, and that nobody sets. */
import { readFileSync } from "node:fs";
import { EPOLLIN } from "./constants.js";
import { type NativeHandle, native } from "./native.js";

/** Milliseconds since boot, with a fraction. */
export const bootTimeMilliseconds = (): number => native().bootTime();

/** Tells this run of the kernel from others; undefined where /proc does not say. */
export function bootId(path = "/proc/sys/kernel/random/boot_id"): string | undefined {
  try {
    return readFileSync(path, "utf8").trim().slice(0, 8) || undefined;
  } catch {
    return undefined;
  }
}

/** One alarm on that clock. If its moment comes while the machine sleeps it goes off at waking. Keeps the process running while it is set. */
export class BootTimer {
  readonly #handle: NativeHandle;
  #closed = false;

  constructor(onDue: () => void) {
    this.#handle = native().openTimer();
    native().watch(this.#handle, 1, false, () => {
      if (!this.#closed) onDue();
    });
  }

  /** `at`: as bootTimeMilliseconds; what is over goes off at once. Undefined: never. */
  set(at: number | undefined): void {
    if (this.#closed) return;
    native().setTimer(this.#handle, at === undefined ? 0 : Math.max(at, 1));
    native().arm(this.#handle, at === undefined ? 0 : EPOLLIN);
  }

  close(): void {
    this.#closed = true;
    native().close(this.#handle);
  }
}
