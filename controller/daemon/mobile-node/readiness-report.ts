/** Tells the events and the supervisor when the node's readiness changes. */
import type { Ipv6Address } from "../../base/ip.js";
import type { ProtocolEvent } from "../../protocol/mip6/inputs.js";
import type { MobileNodeState } from "../../protocol/mip6/mobile-node/model.js";
import { type Readiness, readinessOf } from "../../protocol/mip6/mobile-node/readiness.js";

export interface ReadinessPorts {
  readonly note: (event: ProtocolEvent) => void;
  /** For the status line. */
  readonly tellSupervisor: (text: string) => void;
}

export class ReadinessReport {
  readonly #homeAddress: Ipv6Address;
  readonly #ports: ReadinessPorts;
  #state: Readiness | undefined;

  constructor(homeAddress: Ipv6Address, ports: ReadinessPorts) {
    this.#homeAddress = homeAddress;
    this.#ports = ports;
  }

  /** To be called when the machine may have changed. */
  look(machine: MobileNodeState): void {
    const { state, text } = readinessOf(machine);
    this.#ports.tellSupervisor(`${this.#homeAddress} ${text}`);
    if (state === this.#state) return;
    const before = this.#state === undefined ? {} : { before: this.#state };
    this.#state = state;
    this.#ports.note({ event: "readiness.changed", homeAddress: this.#homeAddress, detail: { state, ...before } });
  }
}
