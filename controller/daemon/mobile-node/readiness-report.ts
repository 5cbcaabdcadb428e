/** Tells the events and the supervisor when the node's readiness changes. */
import type { Readiness } from "../../../schemas/control.js";

export interface ReadinessPorts {
  /** Of the change. */
  readonly note: (detail: Readonly<Record<string, string>>) => void;
  /** For the status line. */
  readonly tellSupervisor: (text: string) => void;
}

export class ReadinessReport {
  readonly #node: string;
  readonly #ports: ReadinessPorts;
  #state: Readiness | undefined;

  constructor(node: string, ports: ReadinessPorts) {
    this.#node = node;
    this.#ports = ports;
  }

  /** To be called when the machine may have changed. */
  look({ state, text }: { readonly state: Readiness; readonly text: string }): void {
    this.#ports.tellSupervisor(`${this.#node} ${text}`);
    if (state === this.#state) return;
    const before = this.#state === undefined ? {} : { before: this.#state };
    this.#state = state;
    this.#ports.note({ state, ...before });
  }
}
