/**
 * Data paths that count, though the kernel has refused them: taken up after a restart, put back or narrowed. No node waits for an answer
 * about them, and a refresh that changes nothing asks for nothing, so they are asked for again here, after pauses that grow.
 */
import type { Ipv6Address } from "../../base/ip.js";
import { Pauses, type Schedule } from "../../reconcile/pauses.js";

/** A data path of either protocol. */
interface Revised {
  readonly revision: number;
}

export interface RefusedPathsPorts<Path extends Revised> {
  readonly schedule: Schedule;
  /** The data path that counts now. */
  pathOf(node: Ipv6Address): Path | undefined;
  /** Asks the kernel for it, at once. */
  ask(path: Path): void;
}

export class RefusedPaths<Path extends Revised> {
  readonly #ports: RefusedPathsPorts<Path>;
  readonly #pauses: Pauses;
  readonly #revisions = new Map<Ipv6Address, number>();

  constructor(ports: RefusedPathsPorts<Path>) {
    this.#ports = ports;
    this.#pauses = new Pauses(ports.schedule, (name) => this.#due(name as Ipv6Address));
  }

  /** The kernel's answer about a path: `accepted`, or it is asked for again if it still counts then. Whether that is news. */
  answered(node: Ipv6Address, revision: number, accepted: boolean): boolean {
    const isKnown = !accepted && this.#revisions.get(node) === revision;
    if (accepted) this.#forget(node);
    else {
      this.#revisions.set(node, revision);
      this.#pauses.failed(node);
    }
    return !isKnown;
  }

  #due(node: Ipv6Address): void {
    const path = this.#ports.pathOf(node);
    if (path?.revision === this.#revisions.get(node) && path !== undefined) this.#ports.ask(path);
    else this.#forget(node);
  }

  #forget(node: Ipv6Address): void {
    this.#revisions.delete(node);
    this.#pauses.forget(node);
  }
}
