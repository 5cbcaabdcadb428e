/**
 * A frame taken apart: Ethernet or raw IP, then IP in IP, in UDP (RFC 5555 §4.1: on the ports 4191 and 4192 an IP header follows the
 * UDP header) or in nothing. Written for tests and independent of the product's codecs: one judge more.
 */
import { type Ipv4Address, type Ipv6Address, ipv4FromBytes, ipv6FromBytes } from "../../../controller/base/ip.js";

export interface EthernetLayer {
  readonly kind: "ethernet";
  readonly destination: string;
  readonly source: string;
  readonly type: number;
}

export interface Ipv4Layer {
  readonly kind: "ipv4";
  readonly source: Ipv4Address;
  readonly destination: Ipv4Address;
  readonly trafficClass: number;
  readonly hopLimit: number;
  readonly protocol: number;
  readonly dontFragment: boolean;
  /** More fragments follow, or this is not the first. */
  readonly fragment: boolean;
  readonly length: number;
}

export interface Ipv6Layer {
  readonly kind: "ipv6";
  readonly source: Ipv6Address;
  readonly destination: Ipv6Address;
  readonly trafficClass: number;
  readonly flowLabel: number;
  readonly hopLimit: number;
  /** Next header of the fixed header. */
  readonly protocol: number;
  readonly length: number;
}

/** A hop-by-hop, routing, fragment or destination options header. */
export interface ExtensionLayer {
  readonly kind: "extension";
  readonly protocol: number;
  readonly bytes: Uint8Array;
}

interface PortsLayer {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly checksum: number;
  readonly payload: Uint8Array;
}

export interface UdpLayer extends PortsLayer {
  readonly kind: "udp";
}

export interface TcpLayer extends PortsLayer {
  readonly kind: "tcp";
}

export interface IcmpLayer {
  readonly kind: "icmp" | "icmp6";
  readonly type: number;
  readonly code: number;
  readonly bytes: Uint8Array;
}

/** Anything else: ESP, ARP, Mobility Header, fragments after the first, … */
export interface OtherLayer {
  readonly kind: "other";
  readonly protocol: number;
  readonly bytes: Uint8Array;
}

export type Layer =
  | EthernetLayer
  | Ipv4Layer
  | Ipv6Layer
  | ExtensionLayer
  | UdpLayer
  | TcpLayer
  | IcmpLayer
  | OtherLayer;

const LINK_ETHERNET = 1;
const TYPE_IPV4 = 0x0800;
const TYPE_IPV6 = 0x86dd;
const ENCAPSULATION_PORTS: readonly number[] = [4191, 4192];
/** RFC 3519: messages of this type hold a packet behind four octets. */
const REGISTRATION_PORT = 434;
const TUNNEL_DATA = 4;
const GRE = 47;
const EXTENSIONS: readonly number[] = [0, 43, 60];
const FRAGMENT = 44;

/** From outermost to innermost; what is cut short ends the list with an "other" layer. */
export function layersOf(bytes: Uint8Array, linkType: number): Layer[] {
  if (linkType !== LINK_ETHERNET) return ipLayers(bytes);
  const view = viewOf(bytes);
  if (bytes.length < 14) return [{ kind: "other", protocol: -1, bytes }];
  const type = view.getUint16(12);
  const outer: Layer = { kind: "ethernet", destination: mac(bytes, 0), source: mac(bytes, 6), type };
  const rest = bytes.subarray(14);
  return [outer, ...(type === TYPE_IPV4 || type === TYPE_IPV6 ? ipLayers(rest) : [other(type, rest)])];
}

/** The layers of one kind, outermost first. */
export function layersOfKind<K extends Layer["kind"]>(
  layers: readonly Layer[],
  kind: K,
): Extract<Layer, { kind: K }>[] {
  return layers.filter((layer): layer is Extract<Layer, { kind: K }> => layer.kind === kind);
}

function ipLayers(bytes: Uint8Array): Layer[] {
  const version = (bytes[0] ?? 0) >> 4;
  if (version === 4 && bytes.length >= 20) return ipv4Layers(bytes);
  if (version === 6 && bytes.length >= 40) return ipv6Layers(bytes);
  return [other(-1, bytes)];
}

function ipv4Layers(bytes: Uint8Array): Layer[] {
  const view = viewOf(bytes);
  const fragmentField = view.getUint16(6);
  const header: Ipv4Layer = {
    kind: "ipv4",
    source: ipv4FromBytes(bytes.subarray(12, 16)),
    destination: ipv4FromBytes(bytes.subarray(16, 20)),
    trafficClass: view.getUint8(1),
    hopLimit: view.getUint8(8),
    protocol: view.getUint8(9),
    dontFragment: (fragmentField & 0x4000) !== 0,
    fragment: (fragmentField & 0x3fff) !== 0,
    length: view.getUint16(2),
  };
  const payload = bytes.subarray((view.getUint8(0) & 0xf) * 4, header.length);
  const isFirst = (fragmentField & 0x1fff) === 0;
  return [header, ...(isFirst ? transportLayers(header.protocol, payload) : [other(header.protocol, payload)])];
}

function ipv6Layers(bytes: Uint8Array): Layer[] {
  const view = viewOf(bytes);
  const first = view.getUint32(0);
  const header: Ipv6Layer = {
    kind: "ipv6",
    source: ipv6FromBytes(bytes.subarray(8, 24)),
    destination: ipv6FromBytes(bytes.subarray(24, 40)),
    trafficClass: (first >>> 20) & 0xff,
    flowLabel: first & 0xfffff,
    hopLimit: view.getUint8(7),
    protocol: view.getUint8(6),
    length: view.getUint16(4),
  };
  const layers: Layer[] = [header];
  let protocol = header.protocol;
  let rest = bytes.subarray(40, 40 + header.length);
  while ((EXTENSIONS.includes(protocol) || protocol === FRAGMENT) && rest.length >= 8) {
    const length = protocol === FRAGMENT ? 8 : ((rest[1] ?? 0) + 1) * 8;
    const later = protocol === FRAGMENT && (viewOf(rest).getUint16(2) & 0xfff8) !== 0;
    layers.push({ kind: "extension", protocol, bytes: rest.subarray(0, length) });
    protocol = rest[0] ?? 59;
    rest = rest.subarray(length);
    if (later) return [...layers, other(protocol, rest)];
  }
  return [...layers, ...transportLayers(protocol, rest)];
}

function transportLayers(protocol: number, bytes: Uint8Array): Layer[] {
  const view = viewOf(bytes);
  if (protocol === 4 || protocol === 41) return ipLayers(bytes);
  if (protocol === 17 && bytes.length >= 8) {
    const [sourcePort, destinationPort, checksum] = [view.getUint16(0), view.getUint16(2), view.getUint16(6)];
    const payload = bytes.subarray(8);
    const layer: Layer = { kind: "udp", sourcePort, destinationPort, checksum, payload };
    const encapsulates = ENCAPSULATION_PORTS.includes(sourcePort) || ENCAPSULATION_PORTS.includes(destinationPort);
    if (encapsulates && payload.length >= 20) return [layer, ...ipLayers(payload)];
    const tunnelled = [sourcePort, destinationPort].includes(REGISTRATION_PORT) && payload[0] === TUNNEL_DATA;
    return [
      layer,
      ...(tunnelled ? [other(payload[1] ?? 0, payload.subarray(0, 4)), ...ipLayers(payload.subarray(4))] : []),
    ];
  }
  // Without flags: two octets that say what is inside.
  if (protocol === GRE && bytes.length >= 24 && view.getUint16(0) === 0)
    return [other(GRE, bytes.subarray(0, 4)), ...ipLayers(bytes.subarray(4))];
  if (protocol === 6 && bytes.length >= 20) {
    const payload = bytes.subarray((view.getUint8(12) >> 4) * 4);
    const ports = { sourcePort: view.getUint16(0), destinationPort: view.getUint16(2) };
    return [{ kind: "tcp", ...ports, checksum: view.getUint16(16), payload }];
  }
  if ((protocol === 1 || protocol === 58) && bytes.length >= 4) {
    return [{ kind: protocol === 1 ? "icmp" : "icmp6", type: view.getUint8(0), code: view.getUint8(1), bytes }];
  }
  return [other(protocol, bytes)];
}

function other(protocol: number, bytes: Uint8Array): OtherLayer {
  return { kind: "other", protocol, bytes };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function mac(bytes: Uint8Array, at: number): string {
  return Array.from(bytes.subarray(at, at + 6), (octet) => octet.toString(16).padStart(2, "0")).join(":");
}
