/**
 * A device's offloads → generic netlink family "ethtool" (linux/ethtool_netlink.h): what `ethtool -K DEVICE tx-checksum-ip-generic off`
 * does. They go with the device, and nothing else of ours has any.
 */
import { AttributeWriter } from "./attribute.js";
import {
  ETHTOOL_A_BITSET_BIT_NAME,
  ETHTOOL_A_BITSET_BITS,
  ETHTOOL_A_BITSET_BITS_BIT,
  ETHTOOL_A_FEATURES_HEADER,
  ETHTOOL_A_FEATURES_WANTED,
  ETHTOOL_A_HEADER_DEV_NAME,
  ETHTOOL_A_HEADER_FLAGS,
  ETHTOOL_FLAG_OMIT_REPLY,
  ETHTOOL_MSG_FEATURES_SET,
} from "./ethtool.js";
import { genericHeader } from "./generic.js";
import type { NetlinkRequest } from "./message.js";

const VERSION = 1;
const TRANSMIT_CHECKSUM = "tx-checksum-ip-generic";

/** Checksums are right before a packet is in this device. */
export function withoutChecksumOffload(device: string): NetlinkRequest {
  const body = new AttributeWriter(128)
    .raw(genericHeader(ETHTOOL_MSG_FEATURES_SET, VERSION))
    .nested(ETHTOOL_A_FEATURES_HEADER, (header) =>
      header.string(ETHTOOL_A_HEADER_DEV_NAME, device).u32(ETHTOOL_A_HEADER_FLAGS, ETHTOOL_FLAG_OMIT_REPLY),
    )
    // A bit that is named and has no value is to be off.
    .nested(ETHTOOL_A_FEATURES_WANTED, (wanted) =>
      wanted.nested(ETHTOOL_A_BITSET_BITS, (bits) =>
        bits.nested(ETHTOOL_A_BITSET_BITS_BIT, (bit) => bit.string(ETHTOOL_A_BITSET_BIT_NAME, TRANSMIT_CHECKSUM)),
      ),
    )
    .finish();
  return { family: "generic", generic: "ethtool", type: 0, flags: 0, body };
}
