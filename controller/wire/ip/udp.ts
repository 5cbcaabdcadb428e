/** UDP datagrams (RFC 768), in which DSMIPv6 carries IP packets without a header of its own (RFC 5555 §4.1). */
import { ByteReader, ByteWriter } from "../../base/bytes.js";
import { DecodeError } from "../../base/errors.js";
import { type IpAddress, isIpv6 } from "../../base/ip.js";
import type { Result } from "../../base/result.js";
import { decoding, type StructValue, struct, u16 } from "../codec.js";
import { upperLayerChecksum } from "./checksum.js";
import { Protocol } from "./registry.js";

export const UDP_HEADER_OCTETS = 8;
const CHECKSUM_OFFSET = 6;

const shape = { sourcePort: u16, destinationPort: u16, length: u16, checksum: u16 };
const fields = struct(shape);

export interface UdpDatagram extends Pick<StructValue<typeof shape>, "sourcePort" | "destinationPort"> {
  /** A view of the input when decoded. */
  readonly payload: Uint8Array;
}

/** The addresses of the IP header in front, for the checksum. */
export interface UdpAddresses {
  readonly source: IpAddress;
  readonly destination: IpAddress;
}

/**
 * The datagram at the start of `bytes`. With `addresses` its checksum is verified; a checksum of zero means none, which only IPv4
 * permits. Octets after the UDP length are left out.
 */
export function decodeUdp(bytes: Uint8Array, addresses?: UdpAddresses): Result<UdpDatagram, DecodeError> {
  return decoding(() => {
    const reader = new ByteReader(bytes);
    const { length, checksum, sourcePort, destinationPort } = fields.decode(reader, "udp");
    if (length < UDP_HEADER_OCTETS) throw reader.error(`${length} octets`, "length", 4);
    const payload = reader.bytes(length - UDP_HEADER_OCTETS, "payload");
    if (addresses !== undefined) verify(bytes.subarray(0, length), checksum, addresses);
    return { sourcePort, destinationPort, payload };
  });
}

function verify(datagram: Uint8Array, checksum: number, { source, destination }: UdpAddresses): void {
  const absent = checksum === 0;
  if (absent && !isIpv6(source)) return;
  if (absent || upperLayerChecksum(datagram, Protocol.udp, source, destination) !== 0) {
    throw new DecodeError("wrong checksum", { offset: CHECKSUM_OFFSET, field: "checksum", reason: "checksum" });
  }
}

/** The datagram's octets; without `addresses` its checksum is zero, "none", which only IPv4 permits. */
export function encodeUdp(datagram: UdpDatagram, addresses?: UdpAddresses): Uint8Array {
  const length = UDP_HEADER_OCTETS + datagram.payload.length;
  const writer = new ByteWriter(length);
  const { sourcePort, destinationPort } = datagram;
  fields.encode(writer, "udp", { sourcePort, destinationPort, length, checksum: 0 });
  writer.bytes(datagram.payload);
  if (addresses !== undefined) {
    const sum = upperLayerChecksum(writer.finish(), Protocol.udp, addresses.source, addresses.destination);
    writer.patchU16(CHECKSUM_OFFSET, sum === 0 ? 0xffff : sum); // zero is kept for "none"
  }
  return writer.finish();
}
