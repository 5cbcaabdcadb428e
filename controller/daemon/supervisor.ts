/** sd_notify(3): tells systemd how we are, if it asked to be told. */
import { sendUnixDatagram } from "../io/unix/datagram.js";

/** `state`: lines like READY=1. Never throws: a supervisor that cannot be told changes nothing for the nodes. */
export function notifySupervisor(state: string, path = process.env["NOTIFY_SOCKET"]): void {
  if (path === undefined || path === "") return;
  try {
    sendUnixDatagram(path, state);
  } catch {
    // ignored: see above
  }
}

/** Between two lines: a home agent's changes with every binding. */
const STATUS_INTERVAL_MS = 1000;

/** What `systemctl status` shows of us, one line that changes with our state. A change tells at once, many soon after one another the last. */
export class StatusLine {
  readonly #setTimer: (delayMs: number, run: () => void) => () => void;
  readonly #notify: (state: string) => void;
  #told = "";
  #wanted = "";
  #cancel: (() => void) | undefined;

  constructor(setTimer: (delayMs: number, run: () => void) => () => void, notify = notifySupervisor) {
    this.#setTimer = setTimer;
    this.#notify = notify;
  }

  /** `text`: one line. */
  tell(text: string): void {
    this.#wanted = text;
    if (this.#cancel === undefined) this.#send();
  }

  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #send(): void {
    this.#cancel = undefined;
    if (this.#wanted === this.#told) return;
    this.#told = this.#wanted;
    this.#notify(`STATUS=${this.#told}`);
    this.#cancel = this.#setTimer(STATUS_INTERVAL_MS, () => this.#send());
  }
}
