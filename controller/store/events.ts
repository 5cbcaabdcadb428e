/** What happened, for operators: a bounded history, followers of the control socket, and the log. */

import type { EventDocument } from "../../schemas/control.js";

/** noun.verb, of whichever protocol. */
export interface NotedEvent {
  readonly event: string;
  /** As people know the node. */
  readonly homeAddress?: string;
  readonly detail: Readonly<Record<string, string | number | boolean>>;
}

const HISTORY = 1000;

export class EventLog {
  readonly #history: EventDocument[] = [];
  readonly #followers = new Set<(event: EventDocument) => void>();
  readonly #wallClock: () => Date;

  constructor(wallClock: () => Date) {
    this.#wallClock = wallClock;
  }

  record(event: NotedEvent): EventDocument {
    const document: EventDocument = {
      time: this.#wallClock().toISOString(),
      event: event.event,
      homeAddress: event.homeAddress ?? null,
      detail: { ...event.detail },
    };
    this.#history.push(document);
    if (this.#history.length > 2 * HISTORY) this.#history.splice(0, HISTORY);
    for (const follower of this.#followers) follower(document);
    return document;
  }

  recent(): readonly EventDocument[] {
    return this.#history.slice(-HISTORY);
  }

  subscribe(follower: (event: EventDocument) => void): () => void {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }
}

/** Counts by name that only grow. */
export class Counters {
  readonly #counts = new Map<string, number>();

  add(name: string, amount = 1): number {
    const count = (this.#counts.get(name) ?? 0) + amount;
    this.#counts.set(name, count);
    return count;
  }

  get(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  toJSON(): Record<string, number> {
    return Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}
