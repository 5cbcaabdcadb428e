/**
 * Control messages (struct cmsghdr): what the kernel tells about a packet besides its octets, and what it is asked when sending one.
 * Pure functions; the numbers are in constants.ts. RFC 3542 §6 to §9, ipv6(7), ip(7).
 */
import { EncodeError } from "../../base/errors.js";
import type { IpAddress } from "../../base/ip.js";
import { IPV4_ANY, IPV6_ANY, ipToBytes, ipv4FromBytes, ipv6FromBytes, isIpv4 } from "../../base/ip.js";
import * as c from "../constants.js";
import { LITTLE } from "./address.js";

export interface ControlMessage {
  readonly level: number;
  readonly type: number;
  readonly data: Uint8Array;
}

/** Metadata of a received packet; a field is absent when the kernel did not give it. */
export interface Ancillary<A extends IpAddress = IpAddress> {
  /** Destination address of the packet (for IPv4 the one in the header, which may be a broadcast). */
  readonly destination?: A;
  readonly interfaceIndex?: number;
  /** IPv6 hop limit or IPv4 TTL. */
  readonly hopLimit?: number;
  /** IPv6 traffic class or IPv4 TOS: DSCP and ECN. */
  readonly trafficClass?: number;
  /** 20 bits. */
  readonly flowLabel?: number;
  /** Every Destination Options header in order, each from its next header octet on. */
  readonly destinationOptions: readonly Uint8Array[];
  /** The routing header from its next header octet on. */
  readonly routingHeader?: Uint8Array;
  readonly mark?: number;
}

/** What to send a packet with; absent means the kernel's choice. */
export interface SendOptions<A extends IpAddress = IpAddress> {
  readonly source?: A;
  readonly interfaceIndex?: number;
  readonly hopLimit?: number;
  readonly trafficClass?: number;
  /** A whole Destination Options header; its next header octet is filled in by the kernel. Needs CAP_NET_RAW. */
  readonly destinationOptions?: Uint8Array;
  /** A whole routing header; its next header octet is filled in by the kernel. */
  readonly routingHeader?: Uint8Array;
  /** Chooses policy rules (`ip rule … fwmark`). Needs CAP_NET_ADMIN or CAP_NET_RAW. */
  readonly mark?: number;
}

/** struct cmsghdr: a size_t length and two ints, everything aligned to size_t. */
function layout(wordBytes: number): { header: number; align: (length: number) => number } {
  return { header: wordBytes + 8, align: (length) => (length + wordBytes - 1) & -wordBytes };
}

/** The messages of a control buffer as recvmsg filled it; a last one that was cut (MSG_CTRUNC) is left out. */
export function decodeControl(bytes: Uint8Array, wordBytes = 8): ControlMessage[] {
  const { header, align } = layout(wordBytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const list: ControlMessage[] = [];
  for (let at = 0; at + header <= bytes.length; ) {
    const length = wordBytes === 8 ? Number(view.getBigUint64(at, LITTLE)) : view.getUint32(at, LITTLE);
    if (length < header || at + length > bytes.length) break;
    list.push({
      level: view.getInt32(at + wordBytes, LITTLE),
      type: view.getInt32(at + wordBytes + 4, LITTLE),
      data: bytes.subarray(at + header, at + length),
    });
    at += align(length);
  }
  return list;
}

/** The control buffer sendmsg wants. */
export function encodeControl(messages: readonly ControlMessage[], wordBytes = 8): Uint8Array {
  const { header, align } = layout(wordBytes);
  const total = messages.reduce((sum, message) => sum + align(header + message.data.length), 0);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { level, type, data } of messages) {
    if (wordBytes === 8) view.setBigUint64(at, BigInt(header + data.length), LITTLE);
    else view.setUint32(at, header + data.length, LITTLE);
    view.setInt32(at + wordBytes, level, LITTLE);
    view.setInt32(at + wordBytes + 4, type, LITTLE);
    bytes.set(data, at + header);
    at += align(header + data.length);
  }
  return bytes;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Gives the control messages their meaning; unknown ones, and known ones of an unexpected length, are skipped. */
export function decodeAncillary(messages: readonly ControlMessage[]): Ancillary {
  const destinationOptions: Uint8Array[] = [];
  const result: Mutable<Ancillary> = { destinationOptions };
  for (const { level, type, data } of messages) {
    if (level === c.SOL_IPV6) decodeIpv6(type, data, result, destinationOptions);
    else if (level === c.SOL_IP) decodeIpv4(type, data, result);
    else if (level === c.SOL_SOCKET && type === c.SO_MARK && data.length === 4) result.mark = word(data);
  }
  return result;
}

function decodeIpv6(type: number, data: Uint8Array, into: Mutable<Ancillary>, destinationOptions: Uint8Array[]): void {
  switch (type) {
    case c.IPV6_PKTINFO:
      if (data.length !== 20) return;
      into.destination = ipv6FromBytes(data.subarray(0, 16));
      into.interfaceIndex = word(data.subarray(16));
      return;
    case c.IPV6_HOPLIMIT:
      if (data.length === 4) into.hopLimit = word(data);
      return;
    case c.IPV6_TCLASS:
      if (data.length === 4) into.trafficClass = word(data);
      return;
    case c.IPV6_FLOWINFO: // the first 28 bits after the version, network byte order
      if (data.length === 4) into.flowLabel = viewOf(data).getUint32(0) & 0xfffff;
      return;
    case c.IPV6_DSTOPTS:
      destinationOptions.push(data);
      return;
    case c.IPV6_RTHDR:
      into.routingHeader = data;
  }
}

function decodeIpv4(type: number, data: Uint8Array, into: Mutable<Ancillary>): void {
  switch (type) {
    case c.IP_PKTINFO: // struct in_pktinfo: index, local address, address of the header
      if (data.length !== 12) return;
      into.interfaceIndex = word(data);
      into.destination = ipv4FromBytes(data.subarray(8, 12));
      return;
    case c.IP_TTL:
      if (data.length === 4) into.hopLimit = word(data);
      return;
    case c.IP_TOS:
      if (data.length === 1) into.trafficClass = data[0] ?? 0;
  }
}

/** The control messages for sending over IPv6; throws EncodeError for an IPv4 source. */
export function encodeIpv6Options(options: SendOptions): ControlMessage[] {
  const list: ControlMessage[] = [];
  const add = (type: number, data: Uint8Array): void => void list.push({ level: c.SOL_IPV6, type, data });
  if (options.source !== undefined || options.interfaceIndex !== undefined) {
    const source = options.source ?? IPV6_ANY;
    if (isIpv4(source)) throw new EncodeError("source", `${source} is not an IPv6 address`);
    const info = new Uint8Array(20);
    info.set(ipToBytes(source), 0);
    info.set(int(options.interfaceIndex ?? 0), 16);
    add(c.IPV6_PKTINFO, info);
  }
  if (options.hopLimit !== undefined) add(c.IPV6_HOPLIMIT, int(octet("hop limit", options.hopLimit)));
  if (options.trafficClass !== undefined) add(c.IPV6_TCLASS, int(octet("traffic class", options.trafficClass)));
  if (options.destinationOptions !== undefined) add(c.IPV6_DSTOPTS, options.destinationOptions);
  if (options.routingHeader !== undefined) add(c.IPV6_RTHDR, options.routingHeader);
  return [...list, ...encodeMark(options)];
}

/** The control messages for sending over IPv4; throws EncodeError for an IPv6 source or an option IPv4 does not have. */
export function encodeIpv4Options(options: SendOptions): ControlMessage[] {
  const list: ControlMessage[] = [];
  const add = (type: number, data: Uint8Array): void => void list.push({ level: c.SOL_IP, type, data });
  if (options.destinationOptions !== undefined || options.routingHeader !== undefined) {
    throw new EncodeError("options", "IPv4 has no extension headers");
  }
  if (options.source !== undefined || options.interfaceIndex !== undefined) {
    const source = options.source ?? IPV4_ANY;
    if (!isIpv4(source)) throw new EncodeError("source", `${source} is not an IPv4 address`);
    const info = new Uint8Array(12);
    info.set(int(options.interfaceIndex ?? 0), 0);
    info.set(ipToBytes(source), 4);
    add(c.IP_PKTINFO, info);
  }
  if (options.hopLimit !== undefined) add(c.IP_TTL, int(octet("TTL", options.hopLimit)));
  if (options.trafficClass !== undefined) add(c.IP_TOS, int(octet("TOS", options.trafficClass)));
  return [...list, ...encodeMark(options)];
}

function encodeMark(options: SendOptions): ControlMessage[] {
  if (options.mark === undefined) return [];
  return [{ level: c.SOL_SOCKET, type: c.SO_MARK, data: int(options.mark) }];
}

function viewOf(data: Uint8Array): DataView {
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}

function word(data: Uint8Array): number {
  return viewOf(data).getUint32(0, LITTLE);
}

function int(value: number): Uint8Array {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) {
    throw new EncodeError("ancillary", `${value} is not an integer in 0..4294967295`);
  }
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, LITTLE);
  return bytes;
}

function octet(field: string, value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= 0xff) return value;
  throw new EncodeError(field, `${value} is not an integer in 0..255`);
}
