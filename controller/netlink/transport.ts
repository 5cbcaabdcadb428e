/** What the session needs of a netlink socket; controller/io has the real one, tests a function. */
export interface NetlinkTransport {
  /** Our address as the kernel writes it into announcements of what we caused (nlmsg_pid). */
  readonly portId?: number;
  /** One sendmsg to the kernel. Throws the addon's system error if the kernel does not take the datagram. The octets are the caller's again afterwards. */
  send(bytes: Uint8Array): void;
  /** Datagrams from the kernel (nobody else's), whole, in order. The octets are only good during the call. */
  onDatagram(listener: (bytes: Uint8Array) => void): void;
  /** ENOBUFS: the kernel had more to say than the receive buffer held, and what did not fit is lost. */
  onOverrun(listener: () => void): void;
  close(): void;
}

/** Calls back once after the delay unless the returned function is called before; injected, so that tests own the clock. */
export type SetTimer = (delayMs: number, callback: () => void) => () => void;
