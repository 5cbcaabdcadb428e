/** Numbers of generic netlink family "ethtool", by their C names. test/unit/netlink/uapi.test.ts checks each. */
export const ETHTOOL_MSG_FEATURES_SET = 12;
export const ETHTOOL_A_FEATURES_HEADER = 1;
export const ETHTOOL_A_FEATURES_WANTED = 3;
export const ETHTOOL_A_HEADER_DEV_NAME = 2;
export const ETHTOOL_A_HEADER_FLAGS = 3;
export const ETHTOOL_FLAG_OMIT_REPLY = 2;
export const ETHTOOL_A_BITSET_BITS = 3;
export const ETHTOOL_A_BITSET_BITS_BIT = 1;
export const ETHTOOL_A_BITSET_BIT_NAME = 2;
