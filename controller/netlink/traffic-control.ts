/**
 * Numbers of traffic control, the part of rtnetlink that copies packets, by their C names. test/unit/netlink/uapi.test.ts checks each
 * against the system's headers. Sources: linux/rtnetlink.h, pkt_sched.h, pkt_cls.h, tc_act/tc_pedit.h, tc_act/tc_mirred.h.
 */

export const RTM_NEWQDISC = 36;
export const RTM_DELQDISC = 37;
export const RTM_GETQDISC = 38;
export const RTM_NEWTFILTER = 44;
export const RTM_DELTFILTER = 45;
export const RTM_GETTFILTER = 46;
export const RTNLGRP_TC = 4;

/** In the place of a device's index: the filters are of a block. */
export const TCM_IFINDEX_MAGIC_BLOCK = 0xffffffff;
export const TC_H_CLSACT = 0xfffffff1;
export const TC_H_MAJ_MASK = 0xffff0000;

export const TCA_KIND = 1;
export const TCA_OPTIONS = 2;
export const TCA_CHAIN = 11;
export const TCA_INGRESS_BLOCK = 13;
export const TCA_EGRESS_BLOCK = 14;

export const TCA_FLOWER_ACT = 3;
export const TCA_FLOWER_KEY_ETH_TYPE = 8;
export const TCA_FLOWER_KEY_IP_PROTO = 9;
export const TCA_FLOWER_KEY_IPV4_DST = 12;
export const TCA_FLOWER_KEY_IPV4_DST_MASK = 13;
export const TCA_FLOWER_KEY_IPV6_DST = 16;
export const TCA_FLOWER_KEY_IPV6_DST_MASK = 17;
export const TCA_FLOWER_FLAGS = 22;
export const TCA_FLOWER_KEY_ICMPV6_TYPE = 55;
export const TCA_FLOWER_KEY_ICMPV6_TYPE_MASK = 56;
export const TCA_CLS_FLAGS_SKIP_HW = 1;

export const TCA_ACT_KIND = 1;
export const TCA_ACT_OPTIONS = 2;
export const TC_ACT_UNSPEC = -1;
export const TC_ACT_PIPE = 3;
export const TC_ACT_STOLEN = 4;
export const TC_ACT_GOTO_CHAIN = 0x20000000;

export const TCA_PEDIT_PARMS_EX = 4;
export const TCA_PEDIT_KEYS_EX = 5;
export const TCA_PEDIT_KEY_EX = 6;
export const TCA_PEDIT_KEY_EX_HTYPE = 1;
export const TCA_PEDIT_KEY_EX_CMD = 2;
export const TCA_PEDIT_KEY_EX_HDR_TYPE_ETH = 1;
export const TCA_PEDIT_KEY_EX_CMD_SET = 0;

export const TCA_MIRRED_PARMS = 2;
export const TCA_EGRESS_REDIR = 1;
export const TCA_INGRESS_REDIR = 3;
export const TCA_INGRESS_MIRROR = 4;

export const ETH_P_IP = 0x0800;
export const ETH_P_IPV6 = 0x86dd;
