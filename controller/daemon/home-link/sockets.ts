/** The real sockets behind home-link.ts. No payload comes in here: the frame socket only sends, the ICMPv6 one hears neighbour discovery. */

import { readFileSync } from "node:fs";
import { MissingError, MobilityError } from "../../base/errors.js";
import type { Ipv4Address, Ipv6Address } from "../../base/ip.js";
import { openIcmpv6Socket } from "../../io/ip/icmpv6-socket.js";
import { PacketSocket } from "../../io/ip/packet-socket.js";
import { isSyscallError } from "../../io/native.js";
import type { InterfaceNames } from "../../kernel/names.js";
import { MAC_OCTETS } from "../../wire/ip/arp.js";
import { Icmpv6Type } from "../../wire/ip/registry.js";
import { setTimer } from "../kernel.js";
import { HomeLink } from "./link.js";

/** A router advertisement, from any link. */
export interface RouterPacket {
  readonly bytes: Uint8Array;
  readonly source: Ipv6Address;
  readonly hopLimit: number;
  readonly device: string;
}

export interface OpenHomeLink {
  readonly link: HomeLink;
  /** Absent: routers are not heard. */
  readonly onRouter?: ((listener: (packet: RouterPacket) => void) => void) | undefined;
  close(): void;
}

/** Of /proc/net/arp: address, hardware type, flags, hardware address, mask, device. A flag of 0x0: nobody has answered. */
export function arpEntry(
  device: string,
  address: Ipv4Address,
  table = readFileSync("/proc/net/arp", "utf8"),
): Uint8Array | undefined {
  for (const line of table.split("\n")) {
    const [neighbour, , flags, mac = "", , link] = line.trim().split(/\s+/);
    if (neighbour !== address || link !== device || flags === "0x0") continue;
    const octets = mac.split(":").map((digits) => Number.parseInt(digits, 16));
    if (octets.length === MAC_OCTETS && octets.every((octet) => octet >= 0) && octets.some((octet) => octet > 0))
      return Uint8Array.from(octets);
  }
  return undefined;
}

/** A socket for frames that are only sent. Throws MobilityError that says what is missing. */
export function openFrames(): PacketSocket {
  try {
    return PacketSocket.open({ type: "dgram" });
  } catch (cause) {
    if (!isSyscallError(cause)) throw cause;
    if (cause.code === "EAFNOSUPPORT")
      throw new MissingError("this kernel has no packet sockets; run: modprobe af_packet", { cause });
    throw new MobilityError("MIP_SOCKET", `a packet socket cannot be opened: ${cause.message}`, { cause });
  }
}

/** `hears`: also receives neighbour discovery, which duplicate address detection needs; `routers`: router advertisements. Throws SyscallError. */
export function openHomeLink(
  names: Pick<InterfaceNames, "identity" | "interfaceName">,
  options: { readonly hears: boolean; readonly routers?: boolean },
): OpenHomeLink {
  const frames = openFrames();
  const link = new HomeLink({
    identify: (device) => {
      const found = names.identity(device);
      return found?.linkLayerAddress.length === MAC_OCTETS
        ? { index: found.index, mac: found.linkLayerAddress }
        : undefined;
    },
    neighbour: (device, address) => arpEntry(device, address),
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
  const routers = options.routers === true ? openIcmpv6Socket({ types: [Icmpv6Type.routerAdvertisement] }) : undefined;
  return {
    link,
    ...(routers !== undefined && {
      onRouter: (listener) =>
        routers.listen({
          onPackets: (packets) => {
            for (const { data, source, hopLimit = 0, interfaceIndex = 0 } of packets)
              listener({ bytes: data, source, hopLimit, device: names.interfaceName(interfaceIndex) ?? "" });
          },
          onError: () => undefined, // ignored: routers repeat themselves
        }),
    }),
    close: () => {
      routers?.close();
      link.close();
      icmp?.close();
      frames.close();
    },
  };
}
