/** Numbers of XFRM and nfnetlink announcements, by their C names (linux/xfrm.h, linux/netfilter/nfnetlink.h). test/uapi checks them. */
export const XFRMNLGRP_ACQUIRE = 1;
export const XFRMNLGRP_EXPIRE = 2;
export const XFRMNLGRP_SA = 3;
export const XFRMNLGRP_POLICY = 4;
export const XFRMNLGRP_REPORT = 6;
export const XFRMNLGRP_MAPPING = 8;
export const XFRM_MSG_FLUSHSA = 0x1c;
export const XFRM_MSG_FLUSHPOLICY = 0x1d;
export const NFNLGRP_NFTABLES = 7;
