/** The running kernel, opened over real sockets. */
import { MissingError, MobilityError } from "../base/errors.js";
import { append } from "../base/lists.js";
import { isSyscallError, type SyscallError } from "../io/native.js";
import { netlinkTransports } from "../io/netlink/transport.js";
import { NetlinkKernel, type OpenTransport } from "../kernel/netlink-kernel.js";
import { type CounterValue, counterDumps, decodeCounters } from "../kernel/nftables/counter.js";
import { KernelError } from "../netlink/errors.js";
import type { NetlinkFamily, NetlinkMessage } from "../netlink/message.js";
import { NetlinkSession } from "../netlink/session.js";
import type { SetTimer } from "../netlink/transport.js";

const openSocket: OpenTransport = netlinkTransports();

/** What brings the kernel's end of a family, where it can be missing. */
const MODULES: Partial<Record<NetlinkFamily, string>> = { xfrm: "xfrm_user", netfilter: "nf_tables" };

/** Throws MobilityError that says what is missing and what brings it. */
export const openTransport: OpenTransport = (family, groups) => {
  try {
    return openSocket(family, groups);
  } catch (cause) {
    if (!isSyscallError(cause)) throw cause;
    throw netlinkRefusal(family, cause);
  }
};

export function netlinkRefusal(family: NetlinkFamily, cause: SyscallError): MobilityError {
  const { code } = cause;
  const module = MODULES[family];
  if (code === "EPROTONOSUPPORT" && module !== undefined)
    return new MissingError(
      `this kernel has no netlink socket for ${family === "xfrm" ? "IPsec (xfrm)" : "nftables (netfilter)"}; run: modprobe ${module} (Debian: the package linux-image-amd64 has it, the cloud kernels do not)`,
      { cause },
    );
  if (code === "EPERM")
    return new MissingError(
      `the kernel refuses a netlink socket of family ${family} (EPERM): dsmipd has no CAP_NET_ADMIN in this network namespace; run it as root, or in a container with --cap-add=NET_ADMIN --cap-add=NET_RAW`,
      { cause },
    );
  return new MobilityError("MIP_SOCKET", `a netlink socket of family ${family} cannot be opened: ${cause.message}`, {
    cause,
  });
}

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
  readonly #session: NetlinkSession;

  /** `open`: in another namespace than the process's. */
  constructor(open: typeof openTransport = openTransport) {
    this.#session = new NetlinkSession(open("netfilter", []), { setTimer });
  }

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
