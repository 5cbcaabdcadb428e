/**
 * The transport under controller/netlink (it has the shape of NetlinkTransport there): datagrams to and from the kernel. It knows
 * nothing of the messages in them.
 */
import * as c from "../constants.js";
import type { SyscallError } from "../native.js";
import { type Message, Socket, setBuffer } from "../socket.js";

export interface NetlinkOptions {
  /** NETLINK_ROUTE, NETLINK_XFRM, NETLINK_NETFILTER or NETLINK_GENERIC. */
  readonly protocol: number;
  readonly netns?: string;
  /** Multicast groups to join (RTNLGRP_…, XFRMNLGRP_…, NFNLGRP_…). */
  readonly groups?: readonly number[];
  /** Octets the kernel keeps for us (it doubles the number for its own overhead). Default 4 MiB; CAP_NET_ADMIN exceeds the system's limit. */
  readonly receiveBufferBytes?: number;
  /** Largest single send. Default 4 MiB. */
  readonly sendBufferBytes?: number;
  /** Zero what was received after each delivery, here and in the addon: for XFRM, whose dumps hold keys. */
  readonly wipe?: boolean;
}

const DEFAULT_BUFFER_BYTES = 4 * 1024 * 1024;

export class NetlinkSocket {
  readonly #socket: Socket;
  readonly #wipe: boolean;
  #datagram: ((bytes: Uint8Array) => void) | undefined;
  #overrun: (() => void) | undefined;
  #error: ((error: SyscallError) => void) | undefined;
  #portId: number;

  /** Throws SyscallError. Extended ACK and strict checking are on, ACKs do not repeat the request. */
  static open(options: NetlinkOptions): NetlinkSocket {
    const { protocol, netns, wipe = false } = options;
    let reopened: () => void = () => undefined;
    const socket = Socket.open({
      onReopened: () => reopened(),
      family: c.AF_NETLINK,
      type: c.SOCK_RAW,
      protocol,
      wipe,
      maxQueued: 0, // the kernel takes a request at once or never
      ...(netns !== undefined && { netns }),
    });
    try {
      setBuffer(socket, c.SO_RCVBUFFORCE, c.SO_RCVBUF, options.receiveBufferBytes ?? DEFAULT_BUFFER_BYTES);
      setBuffer(socket, c.SO_SNDBUFFORCE, c.SO_SNDBUF, options.sendBufferBytes ?? DEFAULT_BUFFER_BYTES);
      for (const option of [c.NETLINK_EXT_ACK, c.NETLINK_GET_STRICT_CHK, c.NETLINK_CAP_ACK]) {
        socket.setOption(c.SOL_NETLINK, option, 1);
      }
      socket.bind({ family: "netlink", portId: 0, groups: 0 });
      const result = new NetlinkSocket(socket, wipe);
      for (const group of options.groups ?? []) result.join(group);
      reopened = () => result.#begin();
      return result;
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  private constructor(socket: Socket, wipe: boolean) {
    this.#socket = socket;
    this.#wipe = wipe;
    this.#portId = portOf(socket);
  }

  /** Identifies this socket in nlmsg_pid. Another one after the socket had to be opened anew. */
  get portId(): number {
    return this.#portId;
  }

  join(group: number): void {
    this.#socket.setOption(c.SOL_NETLINK, c.NETLINK_ADD_MEMBERSHIP, group);
  }

  leave(group: number): void {
    this.#socket.setOption(c.SOL_NETLINK, c.NETLINK_DROP_MEMBERSHIP, group);
  }

  /** Starts receiving. One datagram holds one or more netlink messages; its octets are only good during the call. */
  onDatagram(listener: (bytes: Uint8Array) => void): void {
    this.#datagram = listener;
    this.#socket.listen({
      onMessages: (messages) => this.#deliver(messages),
      onError: (error) => this.#fail(error),
    });
  }

  /** Something from the kernel is lost: the receive buffer was full (ENOBUFS), or a datagram exceeded 64 KiB. Only a new dump tells the truth. */
  onOverrun(listener: () => void): void {
    this.#overrun = listener;
  }

  /** Any other error; without a listener it counts as an overrun, since nobody knows what was lost with it. */
  onError(listener: (error: SyscallError) => void): void {
    this.#error = listener;
  }

  /** Sends one or more whole netlink messages as one datagram; the kernel has worked on all of them when this returns. Throws SyscallError. */
  send(datagram: Uint8Array): void {
    const report = this.#socket.send([{ data: datagram, to: { family: "netlink", portId: 0, groups: 0 } }]);
    if (report.error !== undefined) throw report.error;
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  /** Of another descriptor: what was said in between, and what was to be answered, is lost. */
  #begin(): void {
    this.#portId = portOf(this.#socket);
    this.#overrun?.();
  }

  #deliver(messages: readonly Message[]): void {
    try {
      for (const { data, source, truncated } of messages) {
        if (this.#socket.closed) return;
        // Other processes can write to our port too; only the kernel (port 0) is believed.
        if (source?.family !== "netlink" || source.portId !== 0) continue;
        if (truncated) this.#overrun?.();
        else this.#datagram?.(data);
      }
    } finally {
      if (this.#wipe) for (const { data } of messages) data.fill(0);
    }
  }

  #fail(error: SyscallError): void {
    if (error.code === "ENOBUFS" || this.#error === undefined) this.#overrun?.();
    else this.#error(error);
  }
}

function portOf(socket: Socket): number {
  const address = socket.localAddress();
  return address?.family === "netlink" ? address.portId : 0;
}
