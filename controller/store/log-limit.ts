/**
 * Lines of one cause are told a few times a minute, however often it strikes; what is passed over is counted and told at the end of the
 * minute. A flood or a quarrel over the kernel's objects must not fill a disk. Clock and timer are given.
 */
export interface LogLimitOptions {
  /** Calls back once after the delay. */
  readonly setTimer: (delayMs: number, callback: () => void) => unknown;
  /** `count` lines of this cause were passed over within the last minute. */
  readonly onPassedOver: (cause: string, count: number) => void;
}

const LINES_A_MINUTE = 8;
const MINUTE_MS = 60_000;
/** Causes beyond this share one account: their names may come from outside. */
const MAX_CAUSES = 1000;
const OTHERS = "others";

interface Account {
  lines: number;
  passedOver: number;
}

export class LogLimit {
  readonly #options: LogLimitOptions;
  readonly #accounts = new Map<string, Account>();

  constructor(options: LogLimitOptions) {
    this.#options = options;
  }

  /** Whether a line of this cause is to be told. */
  admits(cause: string): boolean {
    const name = this.#accounts.has(cause) || this.#accounts.size < MAX_CAUSES ? cause : OTHERS;
    const account = this.#accounts.get(name) ?? this.#open(name);
    if (account.lines < LINES_A_MINUTE) {
      account.lines++;
      return true;
    }
    account.passedOver++;
    return false;
  }

  #open(name: string): Account {
    const account: Account = { lines: 0, passedOver: 0 };
    this.#accounts.set(name, account);
    this.#options.setTimer(MINUTE_MS, () => {
      this.#accounts.delete(name);
      if (account.passedOver > 0) this.#options.onPassedOver(name, account.passedOver);
    });
    return account;
  }
}
