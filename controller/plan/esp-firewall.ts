/** What the firewalls of both roles do for payload in ESP: which state a packet meets, and the outer header of what leaves. */
import type { Ipv4Address } from "../base/ip.js";
import {
  type Clause,
  family,
  icmpv6,
  ipField,
  jump,
  l4proto,
  markIs,
  mobilityHeader,
  rule,
  setIpv4Dscp,
  setIpv4Ttl,
  setIpv6Dscp,
  setIpv6HopLimit,
  setMarkBit,
  udpPort,
} from "./nft-clauses.js";
import type { NftChain, NftRule } from "./objects.js";
import { MOBILE_PREFIX_ADVERTISEMENT, MOBILE_PREFIX_SOLICITATION } from "./prefix-discovery-protection.js";
import { HOME_TEST, HOME_TEST_INIT } from "./return-routability-protection.js";
import { TYPED_MESSAGE_MARK_BIT, UDP_MARK_BIT } from "./security-marks.js";
import { ESP_UDP_PORT, espClassMark, type TunnelClass } from "./site.js";
import { ICMPV6, MOBILITY_HEADER } from "./transport-associations.js";

const markTyped = setMarkBit(TYPED_MESSAGE_MARK_BIT);

/** ESP in UDP meets the receiving state for that encapsulation. */
export function markEspInUdp(end: "saddr" | "daddr", homeAgent: Ipv4Address): NftRule {
  return rule(ipField(end, homeAgent), udpPort("dport", ESP_UDP_PORT), setMarkBit(UDP_MARK_BIT));
}

/** Marks messages whose type has policies of its own; two rules lead there. */
export const TYPED_MESSAGES_CHAIN: NftChain = {
  name: "typed-messages",
  rules: [
    ...[HOME_TEST_INIT, HOME_TEST].map((type) => rule(mobilityHeader(type), markTyped)),
    ...[MOBILE_PREFIX_SOLICITATION, MOBILE_PREFIX_ADVERTISEMENT].map((type) => rule(icmpv6(type), markTyped)),
  ],
};
export const toTypedMessages: readonly NftRule[] = [MOBILITY_HEADER, ICMPV6].map((protocol) =>
  rule(l4proto(protocol), jump(TYPED_MESSAGES_CHAIN.name)),
);

/** TTL and DSCP of each class; where a class copies the DSCP, XFRM has done so. */
export function dressEsp(version: 4 | 6, classes: readonly TunnelClass[]): readonly NftRule[] {
  return classes.map((one) => {
    const dscp: Clause[] = one.dscp === "copy" ? [] : [version === 4 ? setIpv4Dscp(one.dscp) : setIpv6Dscp(one.dscp)];
    const ttl = version === 4 ? setIpv4Ttl(one.ttl) : setIpv6HopLimit(one.ttl);
    return rule(family(version), markIs(espClassMark(one)), ttl, ...dscp);
  });
}
