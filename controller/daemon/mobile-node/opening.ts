/**
 * Empty datagrams that a node sends so that others learn of its way: a NAT's port for ESP, and the connection tracking of a stateful
 * firewall (the node's own, or of the network it visits), which lets in only what answers something.
 */
import { createSocket } from "node:dgram";
import { type IpAddress, type Ipv6Address, isIpv4 } from "../../base/ip.js";
import { ETH_P_IPV6 } from "../../io/constants.js";
import { PacketSocket } from "../../io/ip/packet-socket.js";
import { isSyscallError } from "../../io/native.js";
import { encodeIpv6Packet } from "../../wire/ip/ipv6.js";
import { Protocol } from "../../wire/ip/registry.js";

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

/** The same into a device that has no link-layer header, from an address that need not be this machine's: that of a network behind it. */
export function sendNothingInto(interfaceIndex: number, source: Ipv6Address, destination: Ipv6Address): void {
  const header = { trafficClass: 0, flowLabel: 0, nextHeader: Protocol.none, hopLimit: 64, source, destination };
  const data = encodeIpv6Packet({ header, payload: new Uint8Array(0) });
  try {
    const socket = PacketSocket.open({ type: "dgram" });
    socket.send([{ data, interfaceIndex, protocol: ETH_P_IPV6, destination: new Uint8Array(0) }]);
    socket.close();
  } catch (error) {
    if (!isSyscallError(error)) throw error; // as above
  }
}
