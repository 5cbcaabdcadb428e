/** Who is answered when: requests of one connection one after the other, and costly documents one at a time for the whole daemon. */
import type { Socket } from "node:net";

/**
 * HTTP/1.1 lets a client send requests without waiting for the answers (RFC 9112 §9.3.2); the parser hands over all that are in what was
 * read. Here each begins when the answer to the one before has gone, and meanwhile nothing more is read from the connection.
 */
export class ConnectionTurns {
  readonly #waiting = new WeakMap<Socket, (() => Promise<void>)[]>();
  readonly #endless = new WeakSet<Socket>();

  /** Runs `answer` in its turn; never, if the connection ends before. `answer` ends when the connection does, and does not reject. */
  run(connection: Socket, answer: () => Promise<void>): void {
    const line = this.#waiting.get(connection);
    if (this.#endless.has(connection)) {
      connection.destroy();
    } else if (line !== undefined) {
      line.push(answer);
    } else {
      const waiting: (() => Promise<void>)[] = [];
      this.#waiting.set(connection, waiting);
      connection.pause();
      void this.#work(connection, answer, waiting);
    }
  }

  /**
   * The answer that this connection has now ends with the connection: it is read again, so that its end is seen, and one more request
   * on it ends it.
   */
  forGood(connection: Socket): void {
    this.#endless.add(connection);
    connection.resume();
  }

  async #work(connection: Socket, first: () => Promise<void>, waiting: (() => Promise<void>)[]): Promise<void> {
    await first();
    // Others come only while nothing is read, so the list does not grow meanwhile.
    for (const next of waiting) {
      if (connection.destroyed) break;
      await next();
    }
    this.#waiting.delete(connection);
    if (!connection.destroyed) connection.resume();
  }
}

/** Runs tasks in the order of the calls, each when the one before is over. */
export class Turnstile {
  #last: Promise<unknown> = Promise.resolve();

  /** What the task gives or throws. */
  run<T>(task: () => T | Promise<T>): Promise<T> {
    const turn = this.#last.then(task);
    this.#last = turn.catch(() => undefined); // ignored: the caller has it
    return turn;
  }
}
