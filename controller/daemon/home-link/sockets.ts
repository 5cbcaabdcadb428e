/** The real sockets behind home-link.ts. No payload comes in here: the frame socket only sends, the ICMPv6 one hears neighbour discovery. */
import { openIcmpv6Socket } from "../../io/ip/icmpv6-socket.js";
import { PacketSocket } from "../../io/ip/packet-socket.js";
import type { InterfaceNames } from "../../kernel/names.js";
import { MAC_OCTETS } from "../../wire/ip/arp.js";
import { Icmpv6Type } from "../../wire/ip/registry.js";
import { setTimer } from "../kernel.js";
import { HomeLink } from "./link.js";

export interface OpenHomeLink {
  readonly link: HomeLink;
  close(): void;
}

/** `hears`: also receives neighbour discovery, which duplicate address detection needs. Throws SyscallError. */
export function openHomeLink(
  names: Pick<InterfaceNames, "identity" | "interfaceName">,
  options: { readonly hears: boolean },
): OpenHomeLink {
  const frames = PacketSocket.open({ type: "dgram" });
  const link = new HomeLink({
    identify: (device) => {
      const found = names.identity(device);
      return found?.linkLayerAddress.length === MAC_OCTETS
        ? { index: found.index, mac: found.linkLayerAddress }
        : undefined;
    },
    sendFrame: ({ index }, etherType, destination, payload) => {
      // A link that goes away in this moment loses an announcement that nobody would have heard.
      void frames.send([{ data: payload, interfaceIndex: index, protocol: etherType, destination }]);
    },
    schedule: setTimer,
  });
  const icmp = options.hears
    ? openIcmpv6Socket({ types: [Icmpv6Type.neighbourAdvertisement, Icmpv6Type.neighbourSolicitation] })
    : undefined;
  icmp?.listen({
    onPackets: (packets) => {
      for (const { data, source, hopLimit = 0, interfaceIndex = 0 } of packets) {
        link.receiveIcmpv6(data, { source, hopLimit, device: names.interfaceName(interfaceIndex) ?? "" });
      }
    },
    onError: () => undefined, // ignored: a lost neighbour discovery message is an ordinary thing
  });
  return {
    link,
    close: () => {
      link.close();
      icmp?.close();
      frames.close();
    },
  };
}
