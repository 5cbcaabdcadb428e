/** Socket addresses as values, and as the octets of struct sockaddr. Multi-octet fields are native-endian unless said otherwise. */
import { endianness } from "node:os";
import { EncodeError } from "../../base/errors.js";
import type { Ipv4Address, Ipv6Address } from "../../base/ip.js";
import { ipToBytes, ipv4FromBytes, ipv6FromBytes } from "../../base/ip.js";
import { AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX } from "../constants.js";

export const LITTLE = endianness() === "LE";

export interface InetAddress {
  readonly family: "inet";
  readonly address: Ipv4Address;
  readonly port: number;
}

export interface Inet6Address {
  readonly family: "inet6";
  readonly address: Ipv6Address;
  /** UDP port; raw sockets have 0 here. */
  readonly port: number;
  /** 20 bits; sent only by sockets with IPV6_FLOWINFO_SEND. */
  readonly flowLabel?: number;
  /** Interface index, for link-local and multicast addresses. */
  readonly scopeId?: number;
}

export interface NetlinkAddress {
  readonly family: "netlink";
  /** Port number of the socket; 0 is the kernel. */
  readonly portId: number;
  /** Bit mask of the first 32 multicast groups. */
  readonly groups: number;
}

export interface PacketAddress {
  readonly family: "packet";
  /** ETH_P_… as in constants.ts (host byte order here, network byte order in the struct). */
  readonly protocol: number;
  readonly interfaceIndex: number;
  /** Link-layer address, 0 to 8 octets. */
  readonly address: Uint8Array;
  /** ARPHRD_…, given by the kernel on receipt. */
  readonly hardwareType?: number;
  /** PACKET_HOST, PACKET_OUTGOING …, given by the kernel on receipt. */
  readonly packetType?: number;
}

export interface UnixAddress {
  readonly family: "unix";
  /** A first character of zero is the abstract name space; empty is no name. */
  readonly path: string;
}

export type SocketAddress = InetAddress | Inet6Address | NetlinkAddress | PacketAddress | UnixAddress;

const FLOW_LABEL_MASK = 0xfffff;
const UNIX_PATH_BYTES = 108;

/** The octets of struct sockaddr_in, _in6, _nl, _ll or _un; throws EncodeError for a value that does not fit. */
export function encodeSocketAddress(address: SocketAddress): Uint8Array {
  switch (address.family) {
    case "inet": {
      const view = start(AF_INET, 16);
      view.setUint16(2, limited("port", address.port, 0xffff));
      return finish(view, 4, ipToBytes(address.address));
    }
    case "inet6": {
      const view = start(AF_INET6, 28);
      view.setUint16(2, limited("port", address.port, 0xffff));
      view.setUint32(4, limited("flow label", address.flowLabel ?? 0, FLOW_LABEL_MASK));
      view.setUint32(24, limited("scope", address.scopeId ?? 0, 0xffffffff), LITTLE);
      return finish(view, 8, ipToBytes(address.address));
    }
    case "netlink": {
      const view = start(AF_NETLINK, 12);
      view.setUint32(4, limited("port id", address.portId, 0xffffffff), LITTLE);
      view.setUint32(8, limited("groups", address.groups, 0xffffffff), LITTLE);
      return finish(view, 12, new Uint8Array(0));
    }
    case "packet": {
      const view = start(AF_PACKET, 20);
      view.setUint16(2, limited("protocol", address.protocol, 0xffff));
      view.setUint32(4, limited("interface index", address.interfaceIndex, 0x7fffffff), LITTLE);
      view.setUint8(11, limited("link-layer address length", address.address.length, 8));
      return finish(view, 12, address.address);
    }
    case "unix": {
      const path = Buffer.from(address.path, "utf8");
      limited("path length", path.length, UNIX_PATH_BYTES - 1);
      return finish(start(AF_UNIX, 2 + path.length + (path[0] === 0 ? 0 : 1)), 2, path);
    }
  }
}

/** The address in the octets of struct sockaddr; undefined for no address, an unknown family or a struct that is too short. */
export function decodeSocketAddress(bytes: Uint8Array): SocketAddress | undefined {
  if (bytes.length < 2) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const family = view.getUint16(0, LITTLE);
  if (family === AF_INET && bytes.length >= 8) {
    return { family: "inet", address: ipv4FromBytes(bytes.subarray(4, 8)), port: view.getUint16(2) };
  }
  if (family === AF_INET6 && bytes.length >= 28) {
    return {
      family: "inet6",
      address: ipv6FromBytes(bytes.subarray(8, 24)),
      port: view.getUint16(2),
      flowLabel: view.getUint32(4) & FLOW_LABEL_MASK,
      scopeId: view.getUint32(24, LITTLE),
    };
  }
  if (family === AF_NETLINK && bytes.length >= 12) {
    return { family: "netlink", portId: view.getUint32(4, LITTLE), groups: view.getUint32(8, LITTLE) };
  }
  if (family === AF_PACKET && bytes.length >= 12) return decodePacketAddress(bytes, view);
  if (family === AF_UNIX) {
    const path = Buffer.from(bytes.subarray(2));
    const end = path[0] === 0 ? -1 : path.indexOf(0);
    return { family: "unix", path: (end < 0 ? path : path.subarray(0, end)).toString("utf8") };
  }
  return undefined;
}

function decodePacketAddress(bytes: Uint8Array, view: DataView): PacketAddress {
  return {
    family: "packet",
    protocol: view.getUint16(2),
    interfaceIndex: view.getUint32(4, LITTLE),
    hardwareType: view.getUint16(8, LITTLE),
    packetType: view.getUint8(10),
    address: bytes.slice(12, 12 + Math.min(8, view.getUint8(11))),
  };
}

function start(family: number, length: number): DataView {
  const view = new DataView(new ArrayBuffer(length));
  view.setUint16(0, family, LITTLE);
  return view;
}

function finish(view: DataView, offset: number, address: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(view.buffer);
  bytes.set(address, offset);
  return bytes;
}

function limited(field: string, value: number, max: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw new EncodeError(field, `${value} is not an integer in 0..${max}`);
}
