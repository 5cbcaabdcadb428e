/**
 * Agent discovery on the links of this machine (RFC 5944 §2): ICMP router advertisements and solicitations as they come and go, below the
 * kernel's IP, because a node may have no address on the link and a reverse-path filter takes an agent it has no route to for a forger. The
 * kernel's filter lets nothing else come in.
 */
import { type Ipv4Address, ipv4 } from "../../base/ip.js";
import { formatLinkAddress, linkAddressOctets } from "../../base/link-address.js";
import { ETH_P_IP, PACKET_OTHERHOST, PACKET_OUTGOING } from "../../io/constants.js";
import { GroupMemberships } from "../../io/ip/group-memberships.js";
import { PacketSocket } from "../../io/ip/packet-socket.js";
import type { Solicitor, ToLink } from "../../protocol/mip4/advertisements.js";
import { decodeIpv4Packet, encodeIpv4Packet, ipv4Header } from "../../wire/ip/ipv4.js";
import { Protocol } from "../../wire/ip/registry.js";
import {
  AGENT_DISCOVERY_TTL,
  type DiscoveryMessage,
  decodeAgentDiscovery,
  encodeAgentDiscovery,
  verifyIcmpChecksum,
} from "../../wire/mip4/messages/agent-discovery.js";
import { IcmpType } from "../../wire/mip4/registry.js";

/** A message as it came from a link. */
export interface HeardDiscovery {
  readonly interfaceIndex: number;
  readonly source: Ipv4Address;
  readonly destination: Ipv4Address;
  /** Of who sent it over this link. */
  readonly linkLayerAddress: Uint8Array;
  readonly ttl: number;
  readonly message: DiscoveryMessage;
}

export interface DiscoveryListener {
  onMessage(heard: HeardDiscovery): void;
  /** Octets that are no such message. */
  onMalformed(detail: string): void;
}

export interface OutgoingDiscovery {
  readonly interfaceIndex: number;
  readonly source: Ipv4Address;
  readonly destination: Ipv4Address;
  readonly linkLayerDestination: Uint8Array;
  readonly message: DiscoveryMessage;
}

export interface AgentDiscoverySocket {
  listen(listener: DiscoveryListener): void;
  /** What the kernel refuses is lost: whoever sends here repeats it. */
  send(outgoing: OutgoingDiscovery): void;
  close(): void;
}

/** A node hears advertisements, an agent solicitations. Throws SyscallError: EPERM without CAP_NET_RAW. */
export function openAgentDiscovery(hears: "advertisements" | "solicitations"): AgentDiscoverySocket {
  const type = hears === "advertisements" ? IcmpType.routerAdvertisement : IcmpType.routerSolicitation;
  const filter = { protocol: Protocol.icmp, offset: 0, size: 1, values: [type] } as const;
  const socket = PacketSocket.open({ type: "dgram", protocol: ETH_P_IP, filter });
  return {
    listen: (listener) =>
      socket.listen({
        onFrames: (frames) => {
          for (const { data, interfaceIndex, packetType, source: linkLayerAddress } of frames) {
            if (packetType === PACKET_OUTGOING || packetType === PACKET_OTHERHOST) continue;
            take(data, { interfaceIndex, linkLayerAddress: linkLayerAddress.slice() }, listener);
          }
        },
        onError: () => undefined, // ignored: agents and nodes repeat themselves
      }),
    send: ({ interfaceIndex, source, destination, linkLayerDestination, message }) => {
      const data = encodeIpv4Packet({
        header: ipv4Header({ source, destination, protocol: Protocol.icmp, timeToLive: AGENT_DISCOVERY_TTL }),
        payload: encodeAgentDiscovery(message),
      });
      socket.send([{ data, interfaceIndex, protocol: ETH_P_IP, destination: linkLayerDestination }]);
    },
    close: () => socket.close(),
  };
}

const ALL_SYSTEMS = ipv4("224.0.0.1");
const ALL_SYSTEMS_LINK_ADDRESS = linkAddressOctets("01:00:5e:00:00:01");

/** To all systems of the link, or by the link-layer address of who has asked (RFC 5944 §2.1). */
export function outgoingAdvertisement({ source, advertisement, receiver }: ToLink, interfaceIndex: number) {
  return {
    ...{ interfaceIndex, source },
    destination: receiver?.address ?? ALL_SYSTEMS,
    linkLayerDestination: receiver === undefined ? ALL_SYSTEMS_LINK_ADDRESS : linkAddressOctets(receiver.linkAddress),
    message: advertisement,
  } satisfies OutgoingDiscovery;
}

/** Who solicits; undefined: it is no solicitation, or from no address that an answer could go to. */
export function solicitorOf({ message, linkLayerAddress, source }: HeardDiscovery): Solicitor | undefined {
  const linkAddress = formatLinkAddress(linkLayerAddress);
  return message.type === "router-solicitation" && linkAddress !== undefined ? { linkAddress, source } : undefined;
}

/** Solicitations, and requests of nodes that know no address of an agent, go there (RFC 5944 §2.3, RFC 1256 §3). */
const AGENT_GROUPS = [ipv4("224.0.0.11"), ipv4("224.0.0.2")] as const;

/** Until it is closed the link takes in what goes to all agents. Throws SyscallError. */
export function joinAgentGroups(interfaceIndex: number): { close(): void } {
  const memberships = new GroupMemberships();
  try {
    for (const group of AGENT_GROUPS) memberships.join(group, interfaceIndex);
  } catch (error) {
    memberships.close();
    throw error;
  }
  return memberships;
}

/** One packet from its IPv4 header on. */
function take(
  octets: Uint8Array,
  from: Pick<HeardDiscovery, "interfaceIndex" | "linkLayerAddress">,
  listener: DiscoveryListener,
): void {
  const packet = decodeIpv4Packet(octets);
  if (!packet.ok) return listener.onMalformed(`agent discovery: ${packet.error.message}`);
  const { header, payload } = packet.value;
  const { source, destination, timeToLive: ttl } = header;
  if (!verifyIcmpChecksum(payload)) return listener.onMalformed(`agent discovery from ${source}: wrong checksum`);
  const decoded = decodeAgentDiscovery(payload);
  if (!decoded.ok) return listener.onMalformed(`agent discovery from ${source}: ${decoded.error.message}`);
  listener.onMessage({ ...from, source, destination, ttl, message: decoded.value });
}
