/** UDP over IPv4 or IPv6, with the metadata of each datagram in both directions. */
import type { Family, IpAddress, Ipv4Address, Ipv6Address } from "../../base/ip.js";
import { IPV4_ANY, IPV6_ANY } from "../../base/ip.js";
import * as c from "../constants.js";
import type { ChannelOptions } from "../socket.js";
import { IpSocket } from "./ip-socket.js";

export interface UdpOptions extends ChannelOptions {
  readonly family: Family;
  /** Absent: any. */
  readonly address?: IpAddress;
  /** Absent or 0: the kernel chooses one. */
  readonly port?: number;
  /** An address this machine does not have (yet) is accepted. */
  readonly freebind?: boolean;
  readonly mark?: number;
  readonly device?: string;
  readonly receiveBufferBytes?: number;
  /** The outer datagrams carry no DF and may be fragmented (IPv4 only). */
  readonly allowFragments?: boolean;
}

/** Throws SyscallError: EADDRINUSE when the port is taken (also by a kernel's FOU or GUE port), EADDRNOTAVAIL without `freebind`. */
export function openUdpSocket(options: UdpOptions & { readonly family: 4 }): IpSocket<Ipv4Address>;
export function openUdpSocket(options: UdpOptions & { readonly family: 6 }): IpSocket<Ipv6Address>;
export function openUdpSocket(options: UdpOptions): IpSocket {
  const socket = IpSocket.open({ ...options, type: c.SOCK_DGRAM, protocol: 0 });
  try {
    if (options.allowFragments === true && options.family === 4) {
      socket.socket.setOption(c.SOL_IP, c.IP_MTU_DISCOVER, c.IP_PMTUDISC_DONT);
    }
    const address = options.address ?? (options.family === 6 ? IPV6_ANY : IPV4_ANY);
    socket.bind(address, options.port ?? 0, { freebind: options.freebind ?? false });
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}
