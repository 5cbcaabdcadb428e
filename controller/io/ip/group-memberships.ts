/**
 * Memberships in multicast groups of a link, which nothing is received by: the kernel reports them there, and the link takes the groups'
 * packets in. A socket holds a few only (net.ipv4.igmp_max_memberships is 20, and IPv6 counts octets), so there are as many as it takes.
 */
import { bytesEqual } from "../../base/bytes.js";
import { type IpAddress, ipToBytes, isIpv4 } from "../../base/ip.js";
import * as c from "../constants.js";
import { LITTLE } from "./address.js";
import { IpSocket } from "./ip-socket.js";

const MOST_PER_SOCKET = 16;

interface Shared {
  readonly socket: IpSocket;
  readonly groups: Map<IpAddress, Uint8Array>;
}

export class GroupMemberships {
  readonly #sockets: Shared[] = [];

  /** On this link, and on no other one any more. Throws SyscallError. */
  join(group: IpAddress, interfaceIndex: number): void {
    const octets = membership(group, interfaceIndex);
    const before = this.#sockets.find(({ groups }) => groups.has(group))?.groups.get(group);
    if (before !== undefined && bytesEqual(before, octets)) return;
    if (before !== undefined) this.#leaveQuietly(group);
    const shared = this.#withRoom(isIpv4(group) ? 4 : 6);
    if (isIpv4(group)) shared.socket.socket.joinGroup(c.SOL_IP, c.IP_ADD_MEMBERSHIP, octets);
    else shared.socket.socket.joinGroup(c.SOL_IPV6, c.IPV6_ADD_MEMBERSHIP, octets);
    shared.groups.set(group, octets);
  }

  /** Throws SyscallError: the link is gone, and the membership with it. */
  leave(group: IpAddress): void {
    const shared = this.#sockets.find(({ groups }) => groups.has(group));
    const octets = shared?.groups.get(group);
    if (shared === undefined || octets === undefined) return;
    shared.groups.delete(group);
    const { socket } = shared.socket;
    if (isIpv4(group)) socket.leaveGroup(c.SOL_IP, c.IP_DROP_MEMBERSHIP, octets, c.IP_ADD_MEMBERSHIP);
    else socket.leaveGroup(c.SOL_IPV6, c.IPV6_DROP_MEMBERSHIP, octets, c.IPV6_ADD_MEMBERSHIP);
  }

  close(): void {
    for (const { socket } of this.#sockets.splice(0)) socket.close();
  }

  #leaveQuietly(group: IpAddress): void {
    try {
      this.leave(group);
    } catch {
      // ignored: that link is gone
    }
  }

  #withRoom(family: 4 | 6): Shared {
    const found = this.#sockets.find(({ socket, groups }) => socket.family === family && groups.size < MOST_PER_SOCKET);
    if (found !== undefined) return found;
    const socket = IpSocket.open({ family, type: c.SOCK_DGRAM, protocol: 0 });
    const shared = { socket, groups: new Map<IpAddress, Uint8Array>() };
    this.#sockets.push(shared);
    return shared;
  }
}

/** struct ip_mreqn, with no address of ours, or struct ipv6_mreq: the group, and the index of the link last. */
function membership(group: IpAddress, interfaceIndex: number): Uint8Array {
  const octets = ipToBytes(group);
  const indexAt = isIpv4(group) ? 8 : 16;
  const bytes = new Uint8Array(indexAt + 4);
  bytes.set(octets, 0);
  new DataView(bytes.buffer).setUint32(indexAt, interfaceIndex, LITTLE);
  return bytes;
}
