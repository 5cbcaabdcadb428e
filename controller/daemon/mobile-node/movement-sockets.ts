/** The real sockets behind movement.ts. No payload comes in here: neighbour discovery, and ARP of links on which somebody is being asked. */
import { openIcmpv6Socket } from "../../io/ip/icmpv6-socket.js";
import { PacketSocket } from "../../io/ip/packet-socket.js";
import { isSyscallError } from "../../io/native.js";
import { NeighbourWatch } from "../../kernel/route/neighbour-watch.js";
import type { NetworkWatcher } from "../../kernel/watch.js";
import type { HomeAgentAddresses } from "../../protocol/movement/detection/model.js";
import { ETHERTYPE, MAC_OCTETS } from "../../wire/ip/arp.js";
import { Icmpv6Type } from "../../wire/ip/registry.js";
import { openFrames } from "../home-link/sockets.js";
import { openTransport, setTimer } from "../kernel.js";
import type { ServiceGround } from "../service.js";
import { Movement } from "./movement.js";

export interface OpenMovement {
  readonly movement: Movement;
  close(): void;
}

/** Follows the watcher from here on. Throws SyscallError or KernelError; nothing stays open then. */
export async function openMovement(
  ground: Pick<ServiceGround, "names" | "log" | "drop">,
  watcher: NetworkWatcher,
  homeAgent: HomeAgentAddresses,
): Promise<OpenMovement> {
  const { names } = ground;
  const opened: { close(): void }[] = [];
  const closeAll = (): void => {
    for (const one of opened.splice(0)) one.close();
  };
  try {
    const neighbours = await NeighbourWatch.open({
      openTransport,
      setTimer,
      onError: (error) => ground.log.warn({ event: "neighbours.unread", reason: String(error) }),
    });
    opened.push(neighbours);
    const frames = openFrames();
    opened.push(frames);
    const icmp = openNeighbourDiscovery();
    if (icmp !== undefined) opened.push(icmp);
    const arp = new Map<number, PacketSocket>();
    opened.push({ close: () => hearArp(new Set()) });
    const hearArp = (indices: ReadonlySet<number>): void => {
      for (const [index, socket] of arp) {
        if (indices.has(index)) continue;
        arp.delete(index);
        socket.close();
      }
      for (const interfaceIndex of indices) {
        if (arp.has(interfaceIndex)) continue;
        try {
          const socket = PacketSocket.open({ type: "dgram", protocol: ETHERTYPE.arp, interfaceIndex });
          arp.set(interfaceIndex, socket);
          socket.listen({
            onFrames: (received) => {
              for (const { data } of received) movement.receiveArp(data, interfaceIndex);
            },
            onError: () => undefined, // ignored: an answer that was lost is asked for again
          });
        } catch (error) {
          ground.log.debug({ event: "socket.error", what: "ARP", reason: String(error) });
        }
      }
    };
    const movement = new Movement(
      {
        identify: (device) => {
          const found = names.identity(device);
          return found?.linkLayerAddress.length === MAC_OCTETS
            ? { index: found.index, mac: found.linkLayerAddress }
            : undefined;
        },
        sendFrame: (interfaceIndex, protocol, destination, data) => {
          // A link that goes away in this moment loses a question that nobody would have answered.
          void frames.send([{ data, interfaceIndex, protocol, destination }]);
        },
        hearArp,
        linkLayerAddress: (index, address) => neighbours.linkLayerAddress(index, address),
        drop: (detail) => ground.drop("malformed", detail),
        report: ({ event, detail }) => ground.log.info({ event, ...detail }),
      },
      homeAgent,
      watcher.view,
    );
    icmp?.listen({
      onPackets: (packets) => {
        for (const { data, source, hopLimit = 0, interfaceIndex: index = 0 } of packets)
          movement.receiveIcmpv6(data, { source, hopLimit, index });
      },
      onError: () => undefined, // ignored: a lost neighbour discovery message is an ordinary thing
    });
    neighbours.onNews((news) => movement.neighbour(news));
    watcher.onView((view) => movement.give({ kind: "network", view }));
    opened.push(movement);
    return { movement, close: closeAll };
  } catch (error) {
    closeAll();
    throw error;
  }
}

/** Undefined where the kernel runs without IPv6: then there is nothing to be heard. Throws SyscallError. */
function openNeighbourDiscovery(): ReturnType<typeof openIcmpv6Socket> | undefined {
  try {
    return openIcmpv6Socket({ types: [Icmpv6Type.routerAdvertisement, Icmpv6Type.neighbourAdvertisement] });
  } catch (error) {
    if (isSyscallError(error) && error.code === "EAFNOSUPPORT") return undefined;
    throw error;
  }
}
