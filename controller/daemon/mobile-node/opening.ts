/**
 * Empty datagrams that a node sends so that others learn of its way: a NAT's port for ESP, and the connection tracking of a stateful
 * firewall (the node's own, or of the network it visits), which lets in only what answers something.
 */
import { createSocket } from "node:dgram";
import { type IpAddress, isIpv4 } from "../../base/ip.js";

/** RFC 863. */
const DISCARD_PORT = 9;

/** One datagram without content. It may be lost; the next acceptance sends another. */
export function sendNothing(source: IpAddress, destination: IpAddress): void {
  const socket = createSocket(isIpv4(source) ? "udp4" : "udp6");
  socket.on("error", () => socket.close()); // ignored: the way is not there just now, and the next acceptance tries again
  socket.bind(0, source, () => {
    socket.send(new Uint8Array(0), DISCARD_PORT, destination, () => socket.close());
  });
}
