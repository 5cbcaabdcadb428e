/**
 * The IPv6 header (RFC 8200 §3), and the in-place changes that signalling through a TUN device needs: the flow label of an inner
 * packet carries a token to the Mobility Header socket, because ESP in transport mode does not protect it.
 */
import { ByteReader, ByteWriter } from "../../base/bytes.js";
import { DecodeError, EncodeError } from "../../base/errors.js";
import type { Result } from "../../base/result.js";
import { bits, decoding, inline, ipv6Address, run, type StructValue, struct, u8, u16 } from "../codec.js";
import { Protocol } from "./registry.js";

export const IPV6_HEADER_OCTETS = 40;
/** The greatest flow label: 20 bits. */
export const MAX_FLOW_LABEL = 0xfffff;

const shape = {
  first: inline(
    bits(4, {
      version: run(0xf0000000),
      /** DSCP and ECN. */
      trafficClass: run(0x0ff00000),
      flowLabel: run(0x000fffff),
    }),
  ),
  payloadLength: u16,
  nextHeader: u8,
  hopLimit: u8,
  source: ipv6Address,
  destination: ipv6Address,
};
const fields = struct(shape);

/** Version and payload length follow from the packet and are not part of the value. */
export type Ipv6Header = Omit<StructValue<typeof shape>, "version" | "payloadLength">;

export interface Ipv6Packet {
  readonly header: Ipv6Header;
  /** Everything after the fixed header, extension headers included; a view of the input when decoded. */
  readonly payload: Uint8Array;
}

/** The packet at the start of `bytes`; octets after its payload length (link-layer padding) are left out. */
export function decodeIpv6Packet(bytes: Uint8Array): Result<Ipv6Packet, DecodeError> {
  return decoding(() => {
    const reader = new ByteReader(bytes);
    const { version, payloadLength, ...header } = fields.decode(reader, "ipv6");
    if (version !== 6) throw new DecodeError(`version ${version}`, { offset: 0, field: "version" });
    return { header, payload: reader.bytes(payloadLength, "payload") };
  });
}

export function encodeIpv6Packet(packet: Ipv6Packet): Uint8Array {
  const writer = new ByteWriter(IPV6_HEADER_OCTETS + packet.payload.length);
  fields.encode(writer, "ipv6", { ...packet.header, version: 6, payloadLength: packet.payload.length });
  return writer.bytes(packet.payload).finish();
}

/** The IP version of a packet by its first four bits, undefined if it is neither 4 nor 6 (RFC 5555 §4.1). */
export function ipVersionOf(packet: Uint8Array): 4 | 6 | undefined {
  const version = (packet[0] ?? 0) >> 4;
  return version === 4 || version === 6 ? version : undefined;
}

/**
 * Whether ESP follows: at once, or behind one destination options or routing header, as a Home Address option and a type 2 routing header
 * stand before it (RFC 4877 §3).
 */
export function isUnderEsp({ header, payload }: Ipv6Packet): boolean {
  if (header.nextHeader === Protocol.esp) return true;
  if (header.nextHeader !== Protocol.destinationOptions && header.nextHeader !== Protocol.routing) return false;
  const [nextHeader, units = 0] = payload;
  return nextHeader === Protocol.esp && payload.length > 8 * (units + 1);
}

/** The flow label of an IPv6 packet; undefined if `packet` has no whole IPv6 header. */
export function flowLabelOf(packet: Uint8Array): number | undefined {
  if (packet.length < IPV6_HEADER_OCTETS || ipVersionOf(packet) !== 6) return undefined;
  return (((packet[1] ?? 0) & 0x0f) << 16) | ((packet[2] ?? 0) << 8) | (packet[3] ?? 0);
}

/** Writes the flow label into an IPv6 packet where it stands. No checksum covers it. Throws EncodeError. */
export function setFlowLabel(packet: Uint8Array, flowLabel: number): void {
  if (!Number.isInteger(flowLabel) || flowLabel < 0 || flowLabel > MAX_FLOW_LABEL) {
    throw new EncodeError("flowLabel", `${flowLabel} is not in 0..${MAX_FLOW_LABEL}`);
  }
  if (flowLabelOf(packet) === undefined) throw new EncodeError("flowLabel", "not an IPv6 packet");
  packet[1] = ((packet[1] ?? 0) & 0xf0) | (flowLabel >>> 16);
  packet[2] = (flowLabel >>> 8) & 0xff;
  packet[3] = flowLabel & 0xff;
}
