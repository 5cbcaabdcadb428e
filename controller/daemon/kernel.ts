/** The running kernel, opened over real sockets. */
import { NETLINK_GENERIC, NETLINK_NETFILTER, NETLINK_ROUTE, NETLINK_XFRM } from "../io/constants.js";
import { NetlinkSocket } from "../io/netlink-socket.js";
import { NetlinkKernel, type OpenTransport } from "../kernel/netlink-kernel.js";
import { type CounterValue, counterDumps, decodeCounters } from "../kernel/nft-counter.js";
import { KernelError } from "../netlink/errors.js";
import type { NetlinkMessage } from "../netlink/message.js";
import type { NetlinkMessage } from "../netlink/message.js";
import { NetlinkSession } from "../netlink/session.js";
import type { SetTimer } from "../netlink/transport.js";

const PROTOCOLS = { route: NETLINK_ROUTE, xfrm: NETLINK_XFRM, netfilter: NETLINK_NETFILTER, generic: NETLINK_GENERIC } as const;

/** What the kernel says about security associations holds their keys: those buffers are wiped. */
export const openTransport: OpenTransport = (family, groups) =>
  NetlinkSocket.open({ protocol: PROTOCOLS[family], groups, wipe: family === "xfrm" });

export const setTimer: SetTimer = (delayMs, callback) => {
  const timer = setTimeout(callback, delayMs);
  return () => clearTimeout(timer);
};

/** Counters of their own and counters within rules: which of them there are depends on the kernel. */
const COUNTER_DUMPS = counterDumps({ namedCounters: false });

/** Reads the named counters of our nftables table; none without a table. */
export class PacketCounters {
  readonly #session = new NetlinkSession(openTransport("netfilter", []), { setTimer });

  async read(): Promise<ReadonlyMap<string, CounterValue>> {
    try {
      const replies: NetlinkMessage[] = [];
      for (const request of counterDumps()) replies.push(...(await this.#session.dump(request)));
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
