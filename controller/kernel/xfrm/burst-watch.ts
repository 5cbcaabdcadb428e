/**
 * One of the kernel's multicast groups, heard in bursts: anybody can cause what it tells, so only some of it is heard in one go, and then
 * nobody listens for a while. Without a listener a message costs the kernel next to nothing.
 */
import { type NetlinkMessage, splitMessages } from "../../netlink/message.js";
import type { NetlinkTransport, SetTimer } from "../../netlink/transport.js";
import type { OpenTransport } from "../netlink-kernel.js";

const PAUSE_MS = 500;

export interface BurstWatchOptions<Heard> {
  readonly openTransport: OpenTransport;
  readonly setTimer: SetTimer;
  readonly onHeard: (heard: Heard) => void;
  /** After a pause: what was told meanwhile is lost. Absent: nobody misses it. */
  readonly onLost?: () => void;
  /** The socket could not be opened again; the next try is a pause later. */
  readonly onError: (error: unknown) => void;
}

export interface BurstSource<Heard> {
  readonly group: number;
  /** How many are heard in one go. */
  readonly burst: number;
  /** undefined: not one of those that count. May throw: what can't be read is nothing. */
  readonly decode: (message: NetlinkMessage) => Heard | undefined;
}

export class BurstWatch<Heard> {
  readonly #source: BurstSource<Heard>;
  readonly #options: BurstWatchOptions<Heard>;
  #transport: NetlinkTransport | undefined;
  #cancelTimer: (() => void) | undefined;
  /** Since the last pause. */
  #heard = 0;
  #closed = false;

  /** Throws the addon's system error. */
  constructor(source: BurstSource<Heard>, options: BurstWatchOptions<Heard>) {
    this.#source = source;
    this.#options = options;
    this.#transport = this.#open();
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
    this.#transport?.close();
  }

  #open(): NetlinkTransport {
    const transport = this.#options.openTransport("xfrm", [this.#source.group]);
    transport.onOverrun(() => this.#pause(transport));
    transport.onDatagram((datagram) => {
      if (transport === this.#transport) this.#hear(datagram, transport);
    });
    return transport;
  }

  #hear(datagram: Uint8Array, transport: NetlinkTransport): void {
    const all = this.#read(datagram);
    if (all.length === 0) return;
    // The first one of a while begins the count of a burst.
    this.#cancelTimer ??= this.#options.setTimer(PAUSE_MS, () => this.#resume());
    this.#heard += all.length;
    if (this.#heard >= this.#source.burst) this.#pause(transport);
    for (const one of all) this.#options.onHeard(one);
  }

  /** Any octets. */
  #read(datagram: Uint8Array): Heard[] {
    try {
      return splitMessages(datagram).flatMap((message) => this.#source.decode(message) ?? []);
    } catch {
      return []; // ignored: nobody waits for it
    }
  }

  #pause(transport: NetlinkTransport): void {
    if (transport !== this.#transport) return;
    this.#transport = undefined;
    transport.close();
    this.#cancelTimer ??= this.#options.setTimer(PAUSE_MS, () => this.#resume());
  }

  #resume(): void {
    this.#cancelTimer = undefined;
    this.#heard = 0;
    if (this.#closed || this.#transport !== undefined) return;
    try {
      this.#transport = this.#open();
    } catch (error) {
      this.#options.onError(error);
      this.#cancelTimer = this.#options.setTimer(PAUSE_MS, () => this.#resume());
      return;
    }
    this.#options.onLost?.();
  }
}
