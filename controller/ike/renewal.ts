/**
 * New keys in the place of associations that must not be used again: the IKE daemon is asked to rekey their children, again and again
 * until it has let them go. What it does not know (any more) needs nobody's help: a new negotiation is on its way.
 */
import { append } from "../base/lists.js";
import type { SetTimer } from "../netlink/transport.js";
import type { ViciSection } from "../vici/message.js";
import { textAt } from "../vici/section.js";
import type { Spent } from "./associations.js";
import { childrenOf, listSas, spiOf } from "./child-sas.js";
import { connectionName } from "./connections.js";
import type { IkeDaemonPort } from "./daemon-port.js";

/** A rekeying takes one exchange, perhaps with repetitions; two at a time the IKE daemon does not begin. */
const AGAIN_MS = 10_000;
/** Of so many connections at most charon is asked one by one: a list of all is work for it with each subscriber. */
const FEW = 16;
const INSTALLED = "INSTALLED";
/** In the other states it has been replaced, and is listed for a while. */
const ALIVE: readonly string[] = [INSTALLED, "REKEYING"];

export interface ChildRenewalOptions {
  readonly daemon: IkeDaemonPort;
  readonly setTimer: SetTimer;
  /** The IKE daemon could not be asked; it will be again. */
  readonly onFailure: (reason: string) => void;
}

export class ChildRenewal {
  readonly #options: ChildRenewalOptions;
  readonly #wanted = new Set<Spent>();
  #running = false;
  /** Some of them have not been asked for at all. */
  #unasked = false;
  #cancelTimer = (): void => undefined;
  #closed = false;

  constructor(options: ChildRenewalOptions) {
    this.#options = options;
  }

  renew(spent: Spent): void {
    this.#wanted.add(spent);
    this.#unasked = true;
    this.#start();
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer();
  }

  #start(): void {
    if (this.#running || this.#closed) return;
    this.#running = true;
    this.#cancelTimer();
    this.#ask()
      .catch((error: Error) => {
        if (!this.#closed) this.#options.onFailure(error.message);
      })
      .finally(() => {
        this.#running = false;
        if (this.#unasked) this.#start();
        else if (this.#wanted.size > 0 && !this.#closed)
          this.#cancelTimer = this.#options.setTimer(AGAIN_MS, () => this.#start());
      });
  }

  async #ask(): Promise<void> {
    const { daemon } = this.#options;
    await Promise.resolve(); // what is lost together is asked for together
    this.#unasked = false;
    const asking = [...this.#wanted];
    const connections = new Set(asking.map(({ homeAddress }) => connectionName(homeAddress)));
    const sas: ViciSection[] = [];
    for (const one of connections.size <= FEW ? connections : [undefined]) append(sas, await listSas(daemon, one));
    const children = childrenOf(sas).filter(({ state }) => ALIVE.includes(String(state)));
    const bySpi = new Map<string, ViciSection>();
    for (const child of children)
      for (const direction of ["receive", "send"] as const) bySpi.set(`${direction} ${spiOf(child, direction)}`, child);
    const due = new Set<string>();
    for (const spent of asking) {
      const child = bySpi.get(`${spent.direction} ${spent.spi}`);
      const id = child && textAt(child, "uniqueid");
      if (id === undefined) this.#wanted.delete(spent);
      else if (child?.["state"] === INSTALLED) due.add(id);
    }
    let failure: unknown;
    for (const id of due)
      await daemon.command("rekey", { "child-id": id }).catch((error: unknown) => {
        failure = error; // of one child, which may just have gone: the others are asked for all the same
      });
    if (failure !== undefined) throw failure;
  }
}
