/** The running kernel, opened over real sockets. */
import { append } from "../base/lists.js";
import { netlinkTransports } from "../io/netlink/transport.js";
import { NetlinkKernel, type OpenTransport } from "../kernel/netlink-kernel.js";
import { type CounterValue, counterDumps, decodeCounters } from "../kernel/nftables/counter.js";
import { KernelError } from "../netlink/errors.js";
import type { NetlinkMessage } from "../netlink/message.js";
import { NetlinkSession } from "../netlink/session.js";
import type { SetTimer } from "../netlink/transport.js";

export const openTransport: OpenTransport = netlinkTransports();

export const setTimer: SetTimer = (delayMs, callback) => {
  const timer = setTimeout(callback, delayMs);
  return () => clearTimeout(timer);
};

/** For what is no reason to keep the process running. */
export const setBackgroundTimer: SetTimer = (delayMs, callback) => {
  const timer = setTimeout(callback, delayMs).unref();
  return () => clearTimeout(timer);
};

/** Reads the named counters of our nftables table; none without a table. */
export class PacketCounters {
  readonly #session = new NetlinkSession(openTransport("netfilter", []), { setTimer });

  async read(): Promise<ReadonlyMap<string, CounterValue>> {
    try {
      const replies: NetlinkMessage[] = [];
      for (const request of counterDumps()) append(replies, await this.#session.dump(request));
      return decodeCounters(replies);
    } catch (error) {
      if (error instanceof KernelError && error.isNotFound) return new Map();
      throw error;
    }
  }

  close(): void {
    this.#session.close();
  }
}

export function openKernel(): Promise<NetlinkKernel> {
  return NetlinkKernel.open({ openTransport, setTimer });
}
