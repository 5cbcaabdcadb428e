/** The packets of the forwarding benchmark, as Ethernet frames: payload in a tunnel on its way in, and payload on its way to a tunnel. */
import type { IpAddress } from "../../controller/base/ip.js";
import { isIpv4, isIpv6 } from "../../controller/base/ip.js";
import type { Endpoint } from "../../controller/protocol/mip6/inputs.js";
import { encodeIpv4Packet, ipv4Header } from "../../controller/wire/ip/ipv4.js";
import { encodeIpv6Packet } from "../../controller/wire/ip/ipv6.js";
import { Protocol } from "../../controller/wire/ip/registry.js";
import { encodeUdp } from "../../controller/wire/ip/udp.js";
import { ControlMessageType, MIP4_PORT } from "../../controller/wire/mip4/registry.js";
import { DSMIP6_PORT } from "../../controller/wire/mip6/registry.js";
import {
  CORRESPONDENT,
  carrierOf,
  endpointOf,
  HOME_AGENT,
  type InnerFamily,
  isOverHome,
  type Kind,
  type Mip4Access,
  mobileNode,
  payloadAddress,
} from "./places.js";

export type Direction = "decapsulation" | "encapsulation";

/** Octets of payload in each inner UDP datagram: small packets, because the cost is per packet. */
const PAYLOAD_OCTETS = 32;
const ETHERNET_OCTETS = 14;
const ETHER_TYPE_IPV4 = [0x08, 0x00] as const;
const ETHER_TYPE_IPV6 = [0x86, 0xdd] as const;
const PROTOCOL_IPV4 = 4;
const PROTOCOL_IPV6 = 41;
const PROTOCOL_GRE = 47;

/** The frame in which the node's payload reaches the home agent, from the tunnel or from the correspondent. */
export function frame(
  direction: Direction,
  number: number,
  endpoint: Endpoint,
  inner: InnerFamily,
  mac: string,
  kind: Kind = "hosts",
): Uint8Array {
  const home = payloadAddress(number, inner, kind);
  const correspondent = inner === 6 ? CORRESPONDENT.ipv6 : CORRESPONDENT.ipv4;
  if (direction === "encapsulation") return ethernet(mac, inner, payload(correspondent, home));
  const packet = payloadOf(number, inner, kind);
  const protocol = inner === 6 ? PROTOCOL_IPV6 : PROTOCOL_IPV4;
  switch (endpoint.format) {
    case "ipv6":
      return ethernet(mac, 6, ip(endpoint.address, HOME_AGENT.ipv6, protocol, packet));
    case "ipv4":
      return ethernet(mac, 4, ip(endpoint.address, HOME_AGENT.ipv4, protocol, packet));
    case "udp":
      return ethernet(mac, 4, inUdp(endpoint, DSMIP6_PORT, packet));
  }
}

/** The same from a node of Mobile IPv4. GUE's header is as long as that of RFC 3519, which tunnels made by hand do not know. */
export function mip4Frame(
  number: number,
  access: Mip4Access,
  inner: InnerFamily,
  mac: string,
  header: "gue" | "rfc-3519",
): Uint8Array {
  const { ipv4HomeAddress } = mobileNode(number);
  const overHome = inner === 6 && isOverHome(access);
  const plain = payloadOf(number, inner, "hosts");
  const packet = overHome ? ip(ipv4HomeAddress, HOME_AGENT.ipv4, PROTOCOL_IPV6, plain) : plain;
  const protocol = inner === 6 && !overHome ? PROTOCOL_IPV6 : PROTOCOL_IPV4;
  const endpoint = endpointOf(number, access);
  if (endpoint.format === "ipv6") throw new Error("Mobile IPv4 has no tunnels over IPv6");
  if (endpoint.format === "udp") {
    const type = header === "gue" ? 0 : ControlMessageType.tunnelData;
    return ethernet(mac, 4, inUdp(endpoint, MIP4_PORT, Uint8Array.from([type, protocol, 0, 0, ...packet])));
  }
  const source = endpoint.address;
  if (carrierOf(access) === "ip-in-ip") return ethernet(mac, 4, ip(source, HOME_AGENT.ipv4, protocol, packet));
  const etherType = protocol === PROTOCOL_IPV6 ? ETHER_TYPE_IPV6 : ETHER_TYPE_IPV4;
  return ethernet(mac, 4, ip(source, HOME_AGENT.ipv4, PROTOCOL_GRE, Uint8Array.from([0, 0, ...etherType, ...packet])));
}

function inUdp({ address, port }: Extract<Endpoint, { format: "udp" }>, to: number, packet: Uint8Array): Uint8Array {
  const datagram = encodeUdp({ sourcePort: port, destinationPort: to, payload: packet });
  return ip(address, HOME_AGENT.ipv4, Protocol.udp, datagram);
}

/** The packet of the node, or from behind it, to its correspondent, before it goes into any tunnel. */
export function payloadOf(number: number, inner: InnerFamily, kind: Kind): Uint8Array {
  return payload(payloadAddress(number, inner, kind), inner === 6 ? CORRESPONDENT.ipv6 : CORRESPONDENT.ipv4);
}

function payload(source: IpAddress, destination: IpAddress): Uint8Array {
  const datagram = { sourcePort: 4000, destinationPort: 4000, payload: new Uint8Array(PAYLOAD_OCTETS) };
  return ip(source, destination, Protocol.udp, encodeUdp(datagram, { source, destination }));
}

export function ip(source: IpAddress, destination: IpAddress, protocol: number, payload: Uint8Array): Uint8Array {
  if (isIpv4(source) && isIpv4(destination)) {
    return encodeIpv4Packet({ header: ipv4Header({ source, destination, protocol }), payload });
  }
  if (!isIpv6(source) || !isIpv6(destination)) throw new Error(`${source} and ${destination} are not of one family`);
  const header = { trafficClass: 0, flowLabel: 0, nextHeader: protocol, hopLimit: 64, source, destination };
  return encodeIpv6Packet({ header, payload });
}

export function ethernet(mac: string, family: 4 | 6, packet: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(ETHERNET_OCTETS + packet.length);
  bytes.set(mac.split(":").map((octet) => Number.parseInt(octet, 16)));
  bytes.set([2, 0, 0, 0, 0, 0xee], 6);
  bytes.set(family === 6 ? ETHER_TYPE_IPV6 : ETHER_TYPE_IPV4, 12);
  bytes.set(packet, ETHERNET_OCTETS);
  return bytes;
}

/** Frames in a generator's ring: always as many, whatever the number of nodes, so that the generator's own cost is the same. */
export const RING_FRAMES = 10_000;

/** The frames of the nodes 0 to `nodes` - 1 (at most RING_FRAMES), one after the other, in an order that jumps about. */
export function ring(nodes: number, one: (number: number) => Uint8Array): Uint8Array {
  const stride = 7919; // prime, so that every node has its turn
  const made = Array.from({ length: nodes }, (_, number) => one(number));
  const octets = made[0]?.length ?? 0;
  const bytes = new Uint8Array(octets * RING_FRAMES);
  for (let i = 0; i < RING_FRAMES; i++) bytes.set(made[(i * stride) % nodes] as Uint8Array, i * octets);
  return bytes;
}
