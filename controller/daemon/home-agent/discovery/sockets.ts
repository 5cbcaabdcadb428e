/** The real sockets behind service.ts. No payload comes in here: the kernel gives it two types of ICMPv6 messages. */
import { networkInterfaces } from "node:os";
import type { Ipv6Address } from "../../../base/ip.js";
import { joinAnycast, leaveAnycast, openIcmpv6Socket } from "../../../io/ip/icmpv6-socket.js";
import { Icmpv6Type } from "../../../wire/ip/registry.js";
import type { DiscoveryPorts } from "./service.js";

const ANSWER_HOP_LIMIT = 64;

/** Throws SyscallError. */
export function openDiscovery(): DiscoveryPorts {
  const icmp = openIcmpv6Socket({
    types: [Icmpv6Type.homeAgentAddressDiscoveryRequest, Icmpv6Type.routerAdvertisement],
    hopLimit: ANSWER_HOP_LIMIT,
  });
  const joined: { readonly address: Ipv6Address; readonly interfaceIndex: number }[] = [];
  const leave = (): void => {
    for (const { address, interfaceIndex } of joined.splice(0)) {
      try {
        leaveAnycast(icmp, address, interfaceIndex);
      } catch {
        // ignored: the link is gone, and the membership with it
      }
    }
  };
  return {
    listen: (receive) =>
      icmp.listen({
        onPackets: (packets) => {
          for (const { data, source, destination, hopLimit = 0, interfaceIndex = 0 } of packets)
            if (destination !== undefined) receive({ bytes: data, source, destination, hopLimit, interfaceIndex });
        },
        onError: () => undefined, // ignored: a request that was lost is repeated
      }),
    send: (data, source, destination) => {
      const { error } = icmp.send([{ data, source, destination }]);
      if (error !== undefined) throw error;
    },
    defend: (addresses, interfaceIndex) => {
      if (joined.length === addresses.size && joined.every((one) => one.interfaceIndex === interfaceIndex)) return;
      leave();
      if (interfaceIndex === undefined) return;
      for (const address of addresses) {
        joinAnycast(icmp, address, interfaceIndex);
        joined.push({ address, interfaceIndex });
      }
    },
    ownAddresses: () =>
      new Set(Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address))),
    close: () => icmp.close(),
  };
}
