/**
 * Data paths that count, though the kernel has refused them: taken up after a restart, put back or narrowed. No node waits for an answer
 * about them, and a refresh that changes nothing asks for nothing, so they are asked for again here, after pauses that grow.
 */
import type { Ipv6Address } from "../../base/ip.js";
import type { DataPath } from "../../protocol/mip6/inputs.js";
import { Pauses, type Schedule } from "../../reconcile/pauses.js";

export interface RefusedPathsPorts {
  readonly schedule: Schedule;
  /** The data path that counts now. */
  pathOf(homeAddress: Ipv6Address): DataPath | undefined;
  /** Asks the kernel for it, at once. */
  ask(path: DataPath): void;
}

export class RefusedPaths {
  readonly #ports: RefusedPathsPorts;
  readonly #pauses: Pauses;
  readonly #revisions = new Map<Ipv6Address, number>();

  constructor(ports: RefusedPathsPorts) {
    this.#ports = ports;
    this.#pauses = new Pauses(ports.schedule, (name) => this.#due(name as Ipv6Address));
  }

  /** Whether the kernel has refused it before. */
  has(homeAddress: Ipv6Address, revision: number): boolean {
    return this.#revisions.get(homeAddress) === revision;
  }

  /** The kernel's answer about a path: `accepted`, or it is asked for again if it still counts then. */
  answered(homeAddress: Ipv6Address, revision: number, accepted: boolean): void {
    if (accepted) return this.#forget(homeAddress);
    this.#revisions.set(homeAddress, revision);
    this.#pauses.failed(homeAddress);
  }

  #due(homeAddress: Ipv6Address): void {
    const path = this.#ports.pathOf(homeAddress);
    if (path?.revision === this.#revisions.get(homeAddress) && path !== undefined) this.#ports.ask(path);
    else this.#forget(homeAddress);
  }

  #forget(homeAddress: Ipv6Address): void {
    this.#revisions.delete(homeAddress);
    this.#pauses.forget(homeAddress);
  }
}
