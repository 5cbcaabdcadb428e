/**
 * The fixed headers of rtnetlink messages, in native byte order, as the first octets of a body; attributes follow.
 * Sources: linux/rtnetlink.h (ifinfomsg, rtmsg), if_addr.h (ifaddrmsg), neighbour.h (ndmsg), fib_rules.h (fib_rule_hdr), nexthop.h (nhmsg).
 */
import { DecodeError } from "../../base/errors.js";
import type { Family } from "../../base/ip.js";
import { LITTLE } from "../../netlink/attribute.js";
import { AF_INET, AF_INET6 } from "../../netlink/rtnetlink.js";

export const familyNumber = (family: Family): number => (family === 4 ? AF_INET : AF_INET6);
export const familyOfNumber = (number: number): Family | undefined =>
  number === AF_INET ? 4 : number === AF_INET6 ? 6 : undefined;

/** struct ifinfomsg. */
export interface LinkHeader {
  readonly family: number;
  /** ARPHRD_*. */
  readonly type: number;
  readonly index: number;
  /** IFF_*. */
  readonly flags: number;
  /** Which of the flags a request changes. */
  readonly change: number;
}

export const LINK_HEADER_LENGTH = 16;

export function encodeLinkHeader(header: Partial<LinkHeader>): Uint8Array {
  const { bytes, view } = struct(LINK_HEADER_LENGTH);
  bytes[0] = header.family ?? 0;
  view.setUint16(2, header.type ?? 0, LITTLE);
  view.setInt32(4, header.index ?? 0, LITTLE);
  view.setUint32(8, header.flags ?? 0, LITTLE);
  view.setUint32(12, header.change ?? 0, LITTLE);
  return bytes;
}

export function decodeLinkHeader(body: Uint8Array): LinkHeader {
  const view = header(body, LINK_HEADER_LENGTH, "ifinfomsg");
  return {
    family: view.getUint8(0),
    type: view.getUint16(2, LITTLE),
    index: view.getInt32(4, LITTLE),
    flags: view.getUint32(8, LITTLE),
    change: view.getUint32(12, LITTLE),
  };
}

/** struct ifaddrmsg. */
export interface AddressHeader {
  readonly family: number;
  readonly prefixLength: number;
  /** The low octet of IFA_FLAGS. */
  readonly flags: number;
  readonly scope: number;
  readonly index: number;
}

export const ADDRESS_HEADER_LENGTH = 8;

export function encodeAddressHeader(header: Partial<AddressHeader>): Uint8Array {
  const { bytes, view } = struct(ADDRESS_HEADER_LENGTH);
  bytes.set([header.family ?? 0, header.prefixLength ?? 0, header.flags ?? 0, header.scope ?? 0]);
  view.setUint32(4, header.index ?? 0, LITTLE);
  return bytes;
}

export function decodeAddressHeader(body: Uint8Array): AddressHeader {
  const view = header(body, ADDRESS_HEADER_LENGTH, "ifaddrmsg");
  return {
    family: view.getUint8(0),
    prefixLength: view.getUint8(1),
    flags: view.getUint8(2),
    scope: view.getUint8(3),
    index: view.getUint32(4, LITTLE),
  };
}

/** struct rtmsg. */
export interface RouteHeader {
  readonly family: number;
  readonly destinationLength: number;
  readonly sourceLength: number;
  readonly tos: number;
  /** RT_TABLE_UNSPEC when the number stands in RTA_TABLE. */
  readonly table: number;
  readonly protocol: number;
  readonly scope: number;
  /** RTN_*. */
  readonly type: number;
  /** RTM_F_* and RTNH_F_*. */
  readonly flags: number;
}

export const ROUTE_HEADER_LENGTH = 12;

export function encodeRouteHeader(header: Partial<RouteHeader>): Uint8Array {
  const { bytes, view } = struct(ROUTE_HEADER_LENGTH);
  const {
    family = 0,
    destinationLength = 0,
    sourceLength = 0,
    tos = 0,
    table = 0,
    protocol = 0,
    scope = 0,
    type = 0,
  } = header;
  bytes.set([family, destinationLength, sourceLength, tos, table, protocol, scope, type]);
  view.setUint32(8, header.flags ?? 0, LITTLE);
  return bytes;
}

export function decodeRouteHeader(body: Uint8Array): RouteHeader {
  const view = header(body, ROUTE_HEADER_LENGTH, "rtmsg");
  return {
    family: view.getUint8(0),
    destinationLength: view.getUint8(1),
    sourceLength: view.getUint8(2),
    tos: view.getUint8(3),
    table: view.getUint8(4),
    protocol: view.getUint8(5),
    scope: view.getUint8(6),
    type: view.getUint8(7),
    flags: view.getUint32(8, LITTLE),
  };
}

/** struct fib_rule_hdr. */
export interface RuleHeader {
  readonly family: number;
  readonly destinationLength: number;
  readonly sourceLength: number;
  readonly tos: number;
  readonly table: number;
  /** FR_ACT_*. */
  readonly action: number;
  /** FIB_RULE_*. */
  readonly flags: number;
}

export const RULE_HEADER_LENGTH = 12;

export function encodeRuleHeader(header: Partial<RuleHeader>): Uint8Array {
  const { bytes, view } = struct(RULE_HEADER_LENGTH);
  const { family = 0, destinationLength = 0, sourceLength = 0, tos = 0, table = 0, action = 0 } = header;
  bytes.set([family, destinationLength, sourceLength, tos, table, 0, 0, action]);
  view.setUint32(8, header.flags ?? 0, LITTLE);
  return bytes;
}

export function decodeRuleHeader(body: Uint8Array): RuleHeader {
  const view = header(body, RULE_HEADER_LENGTH, "fib_rule_hdr");
  return {
    family: view.getUint8(0),
    destinationLength: view.getUint8(1),
    sourceLength: view.getUint8(2),
    tos: view.getUint8(3),
    table: view.getUint8(4),
    action: view.getUint8(7),
    flags: view.getUint32(8, LITTLE),
  };
}

/** struct nhmsg: of next hop objects; nothing in it is of interest. */
export const NEXT_HOP_HEADER_LENGTH = 8;

/** struct ndmsg. */
export interface NeighbourHeader {
  readonly family: number;
  readonly index: number;
  /** NUD_*. */
  readonly state: number;
  /** NTF_*. */
  readonly flags: number;
  readonly type: number;
}

export const NEIGHBOUR_HEADER_LENGTH = 12;

export function encodeNeighbourHeader(header: Partial<NeighbourHeader>): Uint8Array {
  const { bytes, view } = struct(NEIGHBOUR_HEADER_LENGTH);
  bytes[0] = header.family ?? 0;
  view.setInt32(4, header.index ?? 0, LITTLE);
  view.setUint16(8, header.state ?? 0, LITTLE);
  bytes[10] = header.flags ?? 0;
  bytes[11] = header.type ?? 0;
  return bytes;
}

export function decodeNeighbourHeader(body: Uint8Array): NeighbourHeader {
  const view = header(body, NEIGHBOUR_HEADER_LENGTH, "ndmsg");
  return {
    family: view.getUint8(0),
    index: view.getInt32(4, LITTLE),
    state: view.getUint16(8, LITTLE),
    flags: view.getUint8(10),
    type: view.getUint8(11),
  };
}

function struct(length: number): { bytes: Uint8Array; view: DataView } {
  const bytes = new Uint8Array(length);
  return { bytes, view: new DataView(bytes.buffer) };
}

function header(body: Uint8Array, length: number, field: string): DataView {
  if (body.length < length) throw new DecodeError(`${body.length} octets, ${length} wanted`, { offset: 0, field });
  return new DataView(body.buffer, body.byteOffset, length);
}
