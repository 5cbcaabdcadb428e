/**
 * Raw IPv6 socket for the Mobility Header (protocol 135). It receives every Mobility Header message whose checksum is right and
 * which the kernel's XFRM policies let through, of any destination address of this machine.
 *
 * Received: `source` and `destination` are the upper-layer addresses (the kernel has exchanged them with the Home Address option and the
 * type 2 routing header), `destinationOptions` and `routingHeader` say what was on the wire, `flowLabel` is the one of the IPv6 header.
 * Sent: the checksum is filled in by the kernel, over the final destination; a type 2 routing header goes in as `routingHeader`.
 * RFC 6275 §6.1, RFC 3542.
 */
import type { Ipv6Address } from "../../base/ip.js";
import * as c from "../constants.js";
import type { ChannelOptions } from "../socket.js";
import { IpSocket } from "./ip-socket.js";

export interface MobilityHeaderOptions extends ChannelOptions {
  readonly mark?: number;
  readonly device?: string;
  readonly receiveBufferBytes?: number;
}

/** Octets from the start of the Mobility Header to its checksum (RFC 6275 §6.1.1). */
const CHECKSUM_OFFSET = 4;

/** Throws SyscallError: EPERM without CAP_NET_RAW. */
export function openMobilityHeaderSocket(options: MobilityHeaderOptions = {}): IpSocket<Ipv6Address> {
  const socket = IpSocket.open({ ...options, family: 6, type: c.SOCK_RAW, protocol: c.IPPROTO_MH });
  try {
    socket.socket.setOption(c.SOL_IPV6, c.IPV6_CHECKSUM, CHECKSUM_OFFSET);
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}
