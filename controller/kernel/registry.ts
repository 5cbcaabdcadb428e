/** The codecs of all object kinds that netlink carries, the families they live in, and where each family announces changes. */
import { NFNL_SUBSYS_NFTABLES } from "../netlink/constants.js";
import type { NetlinkFamily } from "../netlink/message.js";
import {
  RTM_DELADDR,
  RTM_DELLINK,
  RTM_DELNEIGH,
  RTM_DELROUTE,
  RTM_DELRULE,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV4_NETCONF,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV4_RULE,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_IPV6_NETCONF,
  RTNLGRP_IPV6_ROUTE,
  RTNLGRP_IPV6_RULE,
  RTNLGRP_LINK,
  RTNLGRP_NEIGH,
} from "../netlink/rtnetlink.js";
import { RTM_DELQDISC, RTM_DELTFILTER, RTNLGRP_TC } from "../netlink/traffic-control.js";
import type { AnyCodec } from "./codec.js";
import { NFT_MSG_DELSETELEM, NFT_MSG_NEWSETELEM } from "./nftables/constants.js";
import { createNftElementCodec, NftSets } from "./nftables/element.js";
import type { NftFeatures } from "./nftables/features.js";
import { createNftTableCodec } from "./nftables/table.js";
import {
  NFNLGRP_NFTABLES,
  XFRM_MSG_FLUSHPOLICY,
  XFRM_MSG_FLUSHSA,
  XFRMNLGRP_POLICY,
  XFRMNLGRP_SA,
} from "./notification-constants.js";
import { addressCodec } from "./route/address.js";
import { fouCodec } from "./route/fou.js";
import { linkCodec } from "./route/link.js";
import { permanentNeighbourCodec, proxyNeighbourCodec } from "./route/neighbour.js";
import { routeCodec } from "./route/route.js";
import { ruleCodec } from "./route/rule.js";
import { filterCodec } from "./traffic-control/filter.js";
import { qdiscCodec } from "./traffic-control/qdisc.js";
import { XFRM_MSG_DELPOLICY, XFRM_MSG_DELSA } from "./xfrm/constants.js";
import { xfrmPolicyCodec } from "./xfrm/policy.js";
import { policyHashCodec } from "./xfrm/policy-hash.js";
import { xfrmStateCodec } from "./xfrm/state.js";

export interface CodecOptions extends NftFeatures {
  /** UDP ports of the kernel's GUE receiver that are ours (they carry no mark). */
  readonly fouPorts: Iterable<number>;
}

/** One codec for each kind but sysctl, which is no netlink. The nftables codecs know one kernel's sets, so each kernel needs its own. */
export function standardCodecs(options: CodecOptions): readonly AnyCodec[] {
  const sets = new NftSets();
  return [
    linkCodec,
    addressCodec,
    routeCodec,
    ruleCodec,
    proxyNeighbourCodec,
    permanentNeighbourCodec,
    fouCodec(options.fouPorts),
    xfrmStateCodec,
    policyHashCodec,
    xfrmPolicyCodec,
    createNftTableCodec(sets, options),
    createNftElementCodec(sets, options),
    qdiscCodec,
    filterCodec,
  ];
}

/**
 * Multicast groups by family. FOU ports, thresholds of the policies' hash and most switches are announced nowhere, and the kernel keeps
 * silent about proxy neighbours: those the reconciler looks at (reconcile/quiet-kinds.ts).
 */
export const NOTIFICATION_GROUPS: Readonly<Record<NetlinkFamily, readonly number[]>> = {
  route: [
    RTNLGRP_LINK,
    RTNLGRP_TC,
    RTNLGRP_NEIGH,
    RTNLGRP_IPV4_IFADDR,
    RTNLGRP_IPV4_ROUTE,
    RTNLGRP_IPV4_RULE,
    RTNLGRP_IPV6_IFADDR,
    RTNLGRP_IPV6_ROUTE,
    RTNLGRP_IPV6_RULE,
    RTNLGRP_IPV4_NETCONF,
    RTNLGRP_IPV6_NETCONF,
  ],
  xfrm: [XFRMNLGRP_SA, XFRMNLGRP_POLICY],
  netfilter: [NFNLGRP_NFTABLES],
  generic: [],
};

/** Message types that say that something is gone. */
export const REMOVALS: Readonly<Record<NetlinkFamily, readonly number[]>> = {
  route: [RTM_DELLINK, RTM_DELADDR, RTM_DELROUTE, RTM_DELNEIGH, RTM_DELRULE, RTM_DELQDISC, RTM_DELTFILTER],
  xfrm: [XFRM_MSG_DELSA, XFRM_MSG_DELPOLICY],
  netfilter: [nftType(NFT_MSG_DELSETELEM)],
  generic: [],
};

/** Message types that say that many things are gone without naming them. */
export const FLUSHES: Readonly<Record<NetlinkFamily, readonly number[]>> = {
  route: [],
  xfrm: [XFRM_MSG_FLUSHSA, XFRM_MSG_FLUSHPOLICY],
  netfilter: [],
  generic: [],
};

/** Whether the message is about one element; everything else in nftables is about the shape of a table. */
export function isNftElementMessage(type: number): boolean {
  return type === nftType(NFT_MSG_NEWSETELEM) || type === nftType(NFT_MSG_DELSETELEM);
}

function nftType(message: number): number {
  return (NFNL_SUBSYS_NFTABLES << 8) | message;
}
