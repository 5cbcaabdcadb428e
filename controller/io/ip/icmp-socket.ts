/** Raw ICMP socket (protocol 1, IPv4): only the message types asked for are received, each behind its IPv4 header; what is sent has none. */
import type { Ipv4Address } from "../../base/ip.js";
import * as c from "../constants.js";
import { LITTLE } from "./address.js";
import { IpSocket } from "./ip-socket.js";

/** `types`: below 32, which is all that there is to the filter. Throws SyscallError: EPERM without CAP_NET_RAW. */
export function openIcmpSocket(types: readonly number[]): IpSocket<Ipv4Address> {
  const socket = IpSocket.open({ family: 4, type: c.SOCK_RAW, protocol: c.IPPROTO_ICMP });
  try {
    // struct icmp_filter: a bit for each type that is blocked.
    const blocked = new Uint8Array(4);
    const wanted = types.reduce((mask, type) => mask | (1 << type), 0);
    new DataView(blocked.buffer).setUint32(0, ~wanted >>> 0, LITTLE);
    socket.socket.setOption(c.SOL_RAW, c.ICMP_FILTER, blocked);
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}
