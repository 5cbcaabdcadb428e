/** Capture files in the classic format (libpcap 2.4, microseconds, big endian), as much of it as tests need. */
import { ByteWriter } from "../../controller/base/bytes.js";

/** https://www.tcpdump.org/linktypes.html */
export const LINK_TYPE = { ethernet: 1, rawIp: 101 } as const;

const MAGIC = 0xa1b2c3d4;
const SNAP_LENGTH = 262144;

/** A file with these packets, a second apart. */
export function pcapFile(linkType: number, packets: readonly Uint8Array[]): Uint8Array {
  const writer = new ByteWriter(4096);
  writer.u32("magic", MAGIC).u16("major", 2).u16("minor", 4).zeros(8).u32("snaplen", SNAP_LENGTH).u32("link", linkType);
  for (const [second, packet] of packets.entries()) {
    writer.u32("seconds", second).u32("microseconds", 0).u32("captured", packet.length).u32("length", packet.length);
    writer.bytes(packet);
  }
  return writer.finish();
}
