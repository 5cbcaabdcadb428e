/**
 * The fixed header of traffic control messages, in native byte order: struct tcmsg of linux/rtnetlink.h.
 *
 *      | family, 3 unused | interface index | handle | parent, or number of a block | info: priority and protocol |
 */
import { DecodeError } from "../../base/errors.js";
import { LITTLE } from "../../netlink/attribute.js";

export interface TrafficHeader {
  /** TCM_IFINDEX_MAGIC_BLOCK: `parent` is the number of a block. */
  readonly index: number;
  readonly handle: number;
  readonly parent: number;
  readonly priority: number;
  /** EtherType. */
  readonly protocol: number;
}

export const TRAFFIC_HEADER_LENGTH = 20;

export function encodeTrafficHeader(header: Partial<TrafficHeader>): Uint8Array {
  const bytes = new Uint8Array(TRAFFIC_HEADER_LENGTH);
  const view = new DataView(bytes.buffer);
  view.setUint32(4, header.index ?? 0, LITTLE);
  view.setUint32(8, header.handle ?? 0, LITTLE);
  view.setUint32(12, header.parent ?? 0, LITTLE);
  view.setUint32(16, (((header.priority ?? 0) << 16) | swapped(header.protocol ?? 0)) >>> 0, LITTLE);
  return bytes;
}

export function decodeTrafficHeader(body: Uint8Array): TrafficHeader {
  if (body.length < TRAFFIC_HEADER_LENGTH)
    throw new DecodeError(`${body.length} octets, ${TRAFFIC_HEADER_LENGTH} wanted`, { offset: 0, field: "tcmsg" });
  const view = new DataView(body.buffer, body.byteOffset, TRAFFIC_HEADER_LENGTH);
  const info = view.getUint32(16, LITTLE);
  return {
    index: view.getUint32(4, LITTLE),
    handle: view.getUint32(8, LITTLE),
    parent: view.getUint32(12, LITTLE),
    priority: info >>> 16,
    protocol: swapped(info & 0xffff),
  };
}

/** The EtherType is in network byte order inside a native word. */
const swapped = (value: number): number => (LITTLE ? ((value & 0xff) << 8) | (value >>> 8) : value);
