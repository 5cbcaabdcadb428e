/** The IPv4 header (RFC 791 §3.1). Its checksum is verified on decoding and made on encoding; IPv4 options are kept as they are. */
import { ByteReader, ByteWriter } from "../../base/bytes.js";
import { DecodeError, EncodeError } from "../../base/errors.js";
import { type Ipv4Address, ipToBytes } from "../../base/ip.js";
import type { Result } from "../../base/result.js";
import { bits, decoding, inline, ipv4Address, run, type StructValue, struct, u8, u16 } from "../codec.js";
import { checksum } from "./checksum.js";

export const IPV4_HEADER_OCTETS = 20;
const CHECKSUM_OFFSET = 10;

const shape = {
  first: inline(bits(1, { version: run(0xf0), headerWords: run(0x0f) })),
  /** DSCP and ECN, the TOS octet. */
  trafficClass: u8,
  totalLength: u16,
  identification: u16,
  fragment: inline(
    bits(2, {
      dontFragment: 0x4000,
      moreFragments: 0x2000,
      /** Units of 8 octets. */
      fragmentOffset: run(0x1fff),
    }),
  ),
  timeToLive: u8,
  protocol: u8,
  checksum: u16,
  source: ipv4Address,
  destination: ipv4Address,
};
const fields = struct(shape);
type Computed = "version" | "headerWords" | "totalLength" | "checksum";

/** Version, lengths and checksum follow from the packet and are not part of the value. */
export interface Ipv4Header extends Omit<StructValue<typeof shape>, Computed> {
  /** A multiple of 4 octets, 40 at most. */
  readonly options: Uint8Array;
}

export interface Ipv4Packet {
  readonly header: Ipv4Header;
  /** A view of the input when decoded. */
  readonly payload: Uint8Array;
}

/** The packet at the start of `bytes`; octets after its total length (link-layer padding) are left out. */
export function decodeIpv4Packet(bytes: Uint8Array): Result<Ipv4Packet, DecodeError> {
  return decoding(() => {
    const reader = new ByteReader(bytes);
    const { version, headerWords, totalLength, checksum: _sum, ...fixed } = fields.decode(reader, "ipv4");
    const headerLength = 4 * headerWords;
    if (version !== 4) throw new DecodeError(`version ${version}`, { offset: 0, field: "version" });
    if (headerLength < IPV4_HEADER_OCTETS) throw reader.error(`${headerLength} octets`, "header-length", 0);
    if (totalLength < headerLength) throw reader.error(`${totalLength} octets`, "total-length", 2);
    const options = reader.bytes(headerLength - IPV4_HEADER_OCTETS, "options").slice();
    if (checksum(bytes.subarray(0, headerLength)) !== 0) {
      throw new DecodeError("wrong checksum", { offset: CHECKSUM_OFFSET, field: "checksum", reason: "checksum" });
    }
    return { header: { ...fixed, options }, payload: reader.bytes(totalLength - headerLength, "payload") };
  });
}

export function encodeIpv4Packet(packet: Ipv4Packet): Uint8Array {
  const { options, ...fixed } = packet.header;
  if (options.length % 4 !== 0 || options.length > 40) throw new EncodeError("options", `${options.length} octets`);
  const headerLength = IPV4_HEADER_OCTETS + options.length;
  const writer = new ByteWriter(headerLength + packet.payload.length);
  const totalLength = headerLength + packet.payload.length;
  fields.encode(writer, "ipv4", { ...fixed, version: 4, headerWords: headerLength / 4, totalLength, checksum: 0 });
  writer.bytes(options);
  writer.patchU16(CHECKSUM_OFFSET, checksum(writer.finish()));
  return writer.bytes(packet.payload).finish();
}

/** The Ethernet address of an IPv4 multicast group (RFC 1112 §6.4). */
export function ethernetGroup(group: Ipv4Address): Uint8Array {
  const [, second = 0, third = 0, fourth = 0] = ipToBytes(group);
  return Uint8Array.of(0x01, 0x00, 0x5e, second & 0x7f, third, fourth);
}

/** A header with the usual values: no fragmentation state, no options, TTL 64. */
export function ipv4Header(
  given: Pick<Ipv4Header, "source" | "destination" | "protocol"> & Partial<Ipv4Header>,
): Ipv4Header {
  return {
    trafficClass: 0,
    identification: 0,
    dontFragment: false,
    moreFragments: false,
    fragmentOffset: 0,
    timeToLive: 64,
    options: new Uint8Array(0),
    ...given,
  };
}
