/**
 * What a captured frame is: a packet of one of our flows, in which of the formats of RFC 5555 §4.1, or a protected mobility message.
 * Pure; read with the wire codecs, from the octets alone.
 */
import { ByteReader } from "../../controller/base/bytes.js";
import type { Family, IpAddress, Ipv4Address, Ipv6Address } from "../../controller/base/ip.js";
import { decodeIpv4Packet } from "../../controller/wire/ip/ipv4.js";
import { decodeIpv6Packet, ipVersionOf } from "../../controller/wire/ip/ipv6.js";
import { Protocol } from "../../controller/wire/ip/registry.js";
import { decodeUdp } from "../../controller/wire/ip/udp.js";
import { decodeControlMessage } from "../../controller/wire/mip4/messages/control-message.js";
import { decodeDestinationOptions, homeAddressOf } from "../../controller/wire/mip6/options/destination.js";
import { decodeType2RoutingHeader } from "../../controller/wire/mip6/routing-header.js";
import { decodeFlowPacket, type FlowPacket } from "./flow-record.js";

/** direct: no tunnel. ipv6 and ipv4: the inner packet directly in that header. udp: in UDP in IPv4. */
export type Format = "direct" | "ipv6" | "ipv4" | "udp" | ProtectedFormat;
/** ESP in tunnel mode, directly in that header or in UDP port 4500 in IPv4. */
export type ProtectedFormat = "esp-ipv6" | "esp-ipv4" | "esp-udp";

/** The two ends of the outermost header; ports with format "udp". */
export interface Outer {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
}

export type Observed =
  | {
      readonly kind: "payload";
      readonly format: Format;
      readonly inner: Family;
      readonly outer: Outer;
      readonly packet: FlowPacket;
    }
  /** ESP, told apart by its security parameters index. */
  | { readonly kind: "signalling"; readonly format: Format; readonly outer: Outer; readonly spi: number }
  /** A registration request or reply of Mobile IPv4. */
  | {
      readonly kind: "registration";
      readonly message: "request" | "reply";
      readonly homeAddress: Ipv4Address;
      readonly outer: Outer;
    };

export function protectedFormat(format: Format, family: Family): ProtectedFormat {
  if (format === "esp-udp") return format;
  return family === 6 ? "esp-ipv6" : "esp-ipv4";
}

/** The UDP port of DSMIPv6 (RFC 5555 §4.1). */
const DSMIP_PORT = 4191;
/** Registrations, and tunnels in UDP (RFC 3519). */
const MIP4_PORT = 434;
const TUNNEL_DATA = 4;
const TUNNEL_DATA_OCTETS = 4;
/** IKE and ESP in UDP (RFC 3948). */
const ESP_PORT = 4500;

interface Layer extends Pick<Outer, "source" | "destination"> {
  readonly family: Family;
  /** After IPv6 extension headers. */
  readonly protocol: number;
  readonly payload: Uint8Array;
}

/** From the IP header on; undefined for what is neither. */
export function classifyFrame(octets: Uint8Array): Observed | undefined {
  const first = decodeLayer(octets);
  if (first === undefined) return undefined;
  const outer: Outer = { source: first.source, destination: first.destination };
  const own = classifyLayer(first);
  if (own !== undefined) return { ...own, format: "direct", outer };
  if (first.protocol === Protocol.ipv6 || first.protocol === Protocol.ipv4) {
    return inside(first.payload, first.family === 6 ? "ipv6" : "ipv4", outer);
  }
  if (first.family !== 4 || first.protocol !== Protocol.udp) return undefined;
  const datagram = decodeUdp(first.payload);
  if (!datagram.ok) return undefined;
  const { sourcePort, destinationPort, payload } = datagram.value;
  if (sourcePort === ESP_PORT || destinationPort === ESP_PORT) {
    const spi = payload.length >= 8 ? new ByteReader(payload).u32("spi") : 0; // 0: IKE (RFC 3948 §2.2)
    if (spi === 0) return undefined;
    return { kind: "signalling", spi, format: "esp-udp", outer: { ...outer, sourcePort, destinationPort } };
  }
  if (sourcePort === MIP4_PORT || destinationPort === MIP4_PORT)
    return classifyMip4(payload, { ...outer, sourcePort, destinationPort });
  if (sourcePort !== DSMIP_PORT && destinationPort !== DSMIP_PORT) return undefined;
  return inside(payload, "udp", { ...outer, sourcePort, destinationPort });
}

/** Tunnel data begins with type 4 and its next header (RFC 3519 §3.3), messages with their type. */
function classifyMip4(octets: Uint8Array, outer: Outer): Observed | undefined {
  if (octets[0] === TUNNEL_DATA) return inside(octets.subarray(TUNNEL_DATA_OCTETS), "udp", outer);
  const message = decodeControlMessage(octets);
  if (!message.ok) return undefined;
  switch (message.value.type) {
    case "registration-request":
      return { kind: "registration", message: "request", homeAddress: message.value.homeAddress, outer };
    case "registration-reply":
      return { kind: "registration", message: "reply", homeAddress: message.value.homeAddress, outer };
    default:
      return undefined;
  }
}

function inside(octets: Uint8Array, format: Format, outer: Outer): Observed | undefined {
  const layer = decodeLayer(octets);
  // IPv6 in a tunnel to the IPv4 home address, in the tunnel of that (RFC 5454 §2.3).
  const innermost = layer?.family === 4 && layer.protocol === Protocol.ipv6 ? decodeLayer(layer.payload) : layer;
  const found = innermost === undefined ? undefined : classifyLayer(innermost);
  return found === undefined ? undefined : { ...found, format, outer };
}

type Found =
  | { readonly kind: "payload"; readonly inner: Family; readonly packet: FlowPacket }
  | { readonly kind: "signalling"; readonly spi: number };

function classifyLayer({ family, protocol, payload }: Layer): Found | undefined {
  if (protocol === Protocol.esp && payload.length >= 8) {
    return { kind: "signalling", spi: new ByteReader(payload).u32("spi") };
  }
  if (protocol !== Protocol.udp) return undefined;
  const datagram = decodeUdp(payload); // its checksum is left to hardware that a veth pair does not have
  const packet = datagram.ok ? decodeFlowPacket(datagram.value.payload) : undefined;
  return packet === undefined ? undefined : { kind: "payload", inner: family, packet };
}

function decodeLayer(octets: Uint8Array): Layer | undefined {
  const version = ipVersionOf(octets);
  if (version === 4) {
    const packet = decodeIpv4Packet(octets);
    if (!packet.ok) return undefined;
    const { source, destination, protocol, fragmentOffset } = packet.value.header;
    return fragmentOffset === 0
      ? { family: 4, source, destination, protocol, payload: packet.value.payload }
      : undefined;
  }
  const packet = version === 6 ? decodeIpv6Packet(octets) : undefined;
  if (packet?.ok !== true) return undefined;
  const { source, destination, nextHeader } = packet.value.header;
  const rest = skipExtensions(nextHeader, packet.value.payload);
  return rest === undefined ? undefined : { family: 6, source, destination, ...rest };
}

const UDP_HEADER_OCTETS = 8;
const PROTOCOL_OFFSET = 9;

/**
 * The frame as it was on the wire. Kernel (6.1, 6.12): a GUE port takes the length of the UDP header off the IPv4 total length in
 * place, in octets that a packet socket's copy of the frame shares with it; checksum and all else stay. Seen on veth pairs.
 */
export function undoGuePull(octets: Uint8Array): Uint8Array {
  if (octets.length < 20 || ipVersionOf(octets) !== 4 || octets[PROTOCOL_OFFSET] !== Protocol.udp) return octets;
  const totalLength = new DataView(octets.buffer, octets.byteOffset, octets.length).getUint16(2);
  if (totalLength !== octets.length - UDP_HEADER_OCTETS) return octets;
  const restored = Uint8Array.from(octets);
  new DataView(restored.buffer).setUint16(2, octets.length);
  return restored;
}

/**
 * The home address in what route optimisation puts behind the outermost IPv6 header: a Home Address option, or a type 2 routing header
 * (RFC 6275 §6.3, §6.4). Undefined without either.
 */
export function directHomeAddress(octets: Uint8Array): Ipv6Address | undefined {
  const packet = ipVersionOf(octets) === 6 ? decodeIpv6Packet(octets) : undefined;
  if (packet?.ok !== true) return undefined;
  const { header, payload } = packet.value;
  if (header.nextHeader === Protocol.destinationOptions) {
    const options = decodeDestinationOptions(payload);
    return options.ok ? homeAddressOf(options.value) : undefined;
  }
  const routing = header.nextHeader === Protocol.routing ? decodeType2RoutingHeader(payload) : undefined;
  return routing?.ok === true ? routing.value.homeAddress : undefined;
}

const EXTENSIONS: readonly number[] = [Protocol.hopByHop, Protocol.destinationOptions, Protocol.routing];

/** Options (also the tunnel encapsulation limit of RFC 2473) and routing headers have their length in one place. */
function skipExtensions(first: number, octets: Uint8Array): { protocol: number; payload: Uint8Array } | undefined {
  let protocol = first;
  let payload = octets;
  while (EXTENSIONS.includes(protocol)) {
    const [next, length] = payload;
    if (next === undefined || length === undefined || payload.length < 8 * (length + 1)) return undefined;
    protocol = next;
    payload = payload.subarray(8 * (length + 1));
  }
  return { protocol, payload };
}
