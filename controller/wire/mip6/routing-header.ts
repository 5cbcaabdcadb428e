/**
 * The type 2 routing header (RFC 6275 §6.4), also in the form in which a raw socket takes it (IPV6_RTHDR).
 *
 *   | next header | ext length 2 | type 2 | segments left 1 | reserved(4) | home address(16) |
 */
import { ByteReader, ByteWriter } from "../../base/bytes.js";
import type { DecodeError } from "../../base/errors.js";
import type { Ipv6Address } from "../../base/ip.js";
import type { Result } from "../../base/result.js";
import { decoding, ipv6Address, reserved, struct, u8 } from "../codec.js";

export const ROUTING_HEADER_OCTETS = 24;
const FIXED = { extLength: 2, routingType: 2, segmentsLeft: 1 } as const;

const fields = struct({
  nextHeader: u8,
  extLength: u8,
  routingType: u8,
  segmentsLeft: u8,
  reserved: reserved(4),
  homeAddress: ipv6Address,
});

export interface Type2RoutingHeader {
  readonly nextHeader: number;
  /** Must be the receiver's own home address, which the receiver checks. */
  readonly homeAddress: Ipv6Address;
}

/** The header at the start of `bytes`; anything but Hdr Ext Len 2, type 2 and Segments Left 1 is a DecodeError. */
export function decodeType2RoutingHeader(bytes: Uint8Array): Result<Type2RoutingHeader, DecodeError> {
  return decoding(() => {
    const reader = new ByteReader(bytes);
    const { nextHeader, homeAddress, ...rest } = fields.decode(reader, "routing-header");
    for (const [at, key] of (["extLength", "routingType", "segmentsLeft"] as const).entries()) {
      if (rest[key] !== FIXED[key]) throw reader.error(`${rest[key]} instead of ${FIXED[key]}`, key, at + 1);
    }
    return { nextHeader, homeAddress };
  });
}

export function encodeType2RoutingHeader(header: Type2RoutingHeader): Uint8Array {
  const writer = new ByteWriter(ROUTING_HEADER_OCTETS);
  fields.encode(writer, "routing-header", { ...FIXED, ...header });
  return writer.finish();
}
