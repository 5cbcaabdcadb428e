/**
 * Raw IPv4 socket for mobility messages in protocol 41: a copy of each Mobility Header right behind an inner IPv6 header, with the outer IPv4
 * header in front. Other packets of the protocol are left to the kernel's tunnels alone. Sends nothing.
 */
import type { Ipv4Address } from "../../base/ip.js";
import * as c from "../constants.js";
import type { ChannelOptions } from "../socket.js";
import { IpSocket } from "./ip-socket.js";
import { packetFilter } from "./packet-filter.js";

export interface EncapsulatedOptions extends ChannelOptions {
  readonly receiveBufferBytes?: number;
}

/** Next Header of the inner packet, behind the outer header. */
const INNER_NEXT_HEADER = 6;

/** Throws SyscallError: EPERM without CAP_NET_RAW. */
export function openEncapsulatedSocket(options: EncapsulatedOptions = {}): IpSocket<Ipv4Address> {
  const socket = IpSocket.open({ ...options, family: 4, type: c.SOCK_RAW, protocol: c.IPPROTO_IPV6 });
  try {
    const messages = { protocol: c.IPPROTO_IPV6, offset: INNER_NEXT_HEADER, size: 1, values: [c.IPPROTO_MH] } as const;
    socket.socket.setOption(c.SOL_SOCKET, c.SO_ATTACH_FILTER, packetFilter(messages));
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}
