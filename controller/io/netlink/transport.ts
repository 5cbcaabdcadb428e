/** Opens the netlink sockets of one network namespace by the names of their families. */
import { NETLINK_GENERIC, NETLINK_NETFILTER, NETLINK_ROUTE, NETLINK_XFRM } from "../constants.js";
import { NetlinkSocket } from "./socket.js";

const PROTOCOLS = {
  route: NETLINK_ROUTE,
  xfrm: NETLINK_XFRM,
  netfilter: NETLINK_NETFILTER,
  generic: NETLINK_GENERIC,
} as const;

/**
 * The function that the kernel port and the network watcher ask for their sockets. `netns`: path of a network namespace; absent: the
 * process's own. The returned function throws SyscallError.
 */
export function netlinkTransports(
  netns?: string,
): (family: keyof typeof PROTOCOLS, groups: readonly number[]) => NetlinkSocket {
  return (family, groups) =>
    NetlinkSocket.open({
      protocol: PROTOCOLS[family],
      groups,
      wipe: family === "xfrm", // its messages hold keys
      ...(netns === undefined ? {} : { netns }),
    });
}
