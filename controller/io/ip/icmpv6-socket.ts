/**
 * Raw ICMPv6 socket (protocol 58): only the message types asked for are received, and the kernel fills in and checks the checksum.
 * Hop limit 255 in both kinds of sending, as Neighbour Discovery wants it (RFC 4861 §7.1); our own multicasts do not come back.
 */
import { EncodeError } from "../../base/errors.js";
import type { Ipv6Address } from "../../base/ip.js";
import { ipToBytes } from "../../base/ip.js";
import * as c from "../constants.js";
import type { ChannelOptions } from "../socket.js";
import { LITTLE } from "./address.js";
import { IpSocket } from "./ip-socket.js";

export interface Icmpv6Options extends ChannelOptions {
  /** ICMPv6 types to receive (RFC 3542 §3.2). */
  readonly types: readonly number[];
  /** Default 255. */
  readonly hopLimit?: number;
  readonly mark?: number;
  readonly device?: string;
  readonly receiveBufferBytes?: number;
}

/** Throws SyscallError: EPERM without CAP_NET_RAW. */
export function openIcmpv6Socket(options: Icmpv6Options): IpSocket<Ipv6Address> {
  const socket = IpSocket.open({ ...options, family: 6, type: c.SOCK_RAW, protocol: c.IPPROTO_ICMPV6 });
  try {
    const hopLimit = options.hopLimit ?? 255;
    socket.socket.setOption(c.SOL_ICMPV6, c.ICMPV6_FILTER, icmpv6Filter(options.types));
    socket.socket.setOption(c.SOL_IPV6, c.IPV6_UNICAST_HOPS, hopLimit);
    socket.socket.setOption(c.SOL_IPV6, c.IPV6_MULTICAST_HOPS, hopLimit);
    socket.socket.setOption(c.SOL_IPV6, c.IPV6_MULTICAST_LOOP, 0);
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}

/** Receives what is sent to `group` on the link, too. The interface of what is sent is `interfaceIndex` of each packet. */
export function joinMulticast(socket: IpSocket<Ipv6Address>, group: Ipv6Address, interfaceIndex: number): void {
  socket.socket.joinGroup(c.SOL_IPV6, c.IPV6_ADD_MEMBERSHIP, membership(group, interfaceIndex));
}

export function leaveMulticast(socket: IpSocket<Ipv6Address>, group: Ipv6Address, interfaceIndex: number): void {
  const octets = membership(group, interfaceIndex);
  socket.socket.leaveGroup(c.SOL_IPV6, c.IPV6_DROP_MEMBERSHIP, octets, c.IPV6_ADD_MEMBERSHIP);
}

/** The kernel answers neighbour solicitations for the address on the link, and delivers what is sent to it, for as long as the socket is open. */
export function joinAnycast(socket: IpSocket<Ipv6Address>, address: Ipv6Address, interfaceIndex: number): void {
  socket.socket.joinGroup(c.SOL_IPV6, c.IPV6_JOIN_ANYCAST, membership(address, interfaceIndex));
}

export function leaveAnycast(socket: IpSocket<Ipv6Address>, address: Ipv6Address, interfaceIndex: number): void {
  const octets = membership(address, interfaceIndex);
  socket.socket.leaveGroup(c.SOL_IPV6, c.IPV6_LEAVE_ANYCAST, octets, c.IPV6_JOIN_ANYCAST);
}

/** struct icmp6_filter: 256 bits, one for each type that is blocked, in native 32-bit words. */
export function icmpv6Filter(types: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(32).fill(0xff);
  const view = new DataView(bytes.buffer);
  for (const type of types) {
    if (!Number.isInteger(type) || type < 0 || type > 255)
      throw new EncodeError("ICMPv6 type", `${type} is not in 0..255`);
    const at = (type >> 5) * 4;
    view.setUint32(at, view.getUint32(at, LITTLE) & ~(1 << (type & 31)), LITTLE);
  }
  return bytes;
}

/** struct ipv6_mreq. */
function membership(group: Ipv6Address, interfaceIndex: number): Uint8Array {
  const bytes = new Uint8Array(20);
  bytes.set(ipToBytes(group), 0);
  new DataView(bytes.buffer).setUint32(16, interfaceIndex, LITTLE);
  return bytes;
}
