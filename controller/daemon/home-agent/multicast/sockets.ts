/** The real sockets behind memberships.ts: what nodes report, what they are asked, and the groups of the home link. No payload comes in. */
import { type IpAddress, type Ipv4Address, type Ipv6Address, isIpv4 } from "../../../base/ip.js";
import { IPPROTO_IGMP, IPPROTO_RAW, SOCK_RAW } from "../../../io/constants.js";
import { GroupMemberships } from "../../../io/ip/group-memberships.js";
import { openIcmpv6Socket } from "../../../io/ip/icmpv6-socket.js";
import { IpSocket } from "../../../io/ip/ip-socket.js";
import { decodeIpv4Packet } from "../../../wire/ip/ipv4.js";
import { MLD_TYPE } from "../../../wire/ip/membership.js";

export interface Report {
  /** MLD or IGMP, by the source's family. */
  readonly bytes: Uint8Array;
  readonly source: IpAddress;
  readonly flowLabel: number;
  readonly interfaceIndex: number;
}

export interface MulticastPorts {
  listen(receive: (report: Report) => void): void;
  /** Sends a whole packet to `destination`, with the mark. Throws what the kernel says. */
  send(packet: Uint8Array, destination: IpAddress, mark: number): void;
  /** The link with this index takes in what is sent to the group there. Throws what the kernel says. */
  join(group: IpAddress, interfaceIndex: number): void;
  leave(group: IpAddress): void;
  close(): void;
}

/** Throws SyscallError. */
export function openMulticast(): MulticastPorts {
  const { report, done, records } = MLD_TYPE;
  const mld = openIcmpv6Socket({ types: [report, done, records] });
  const igmp = IpSocket.open({ family: 4, type: SOCK_RAW, protocol: IPPROTO_IGMP });
  const six = IpSocket.open({ family: 6, type: SOCK_RAW, protocol: IPPROTO_RAW });
  const four = IpSocket.open({ family: 4, type: SOCK_RAW, protocol: IPPROTO_RAW });
  const groups = new GroupMemberships();
  const ignore = (): void => undefined; // a report that was lost is repeated
  return {
    listen(receive) {
      mld.listen({
        onPackets: (packets) => {
          for (const { data, source, flowLabel = 0, interfaceIndex = 0 } of packets)
            receive({ bytes: data, source, flowLabel, interfaceIndex });
        },
        onError: ignore,
      });
      igmp.listen({
        onPackets: (packets) => {
          for (const { data, source, interfaceIndex = 0 } of packets) {
            // With its header, as raw sockets of IPv4 give it.
            const packet = decodeIpv4Packet(data);
            const bytes = packet.ok ? packet.value.payload : data;
            receive({ bytes, source, flowLabel: 0, interfaceIndex });
          }
        },
        onError: ignore,
      });
    },
    send(data, destination, mark) {
      const { error } = isIpv4(destination)
        ? four.send([{ data, destination: destination as Ipv4Address, mark }])
        : six.send([{ data, destination: destination as Ipv6Address, mark }]);
      if (error !== undefined) throw error;
    },
    join: (group, interfaceIndex) => groups.join(group, interfaceIndex),
    leave: (group) => groups.leave(group),
    close() {
      for (const socket of [mld, igmp, six, four, groups]) socket.close();
    },
  };
}
