/** What the firewalls of both roles do for payload in ESP: which state a packet meets, and the outer header of what leaves. */
import type { Ipv4Address } from "../base/ip.js";
import {
  type Clause,
  family,
  ipField,
  markIs,
  rule,
  setIpv4Dscp,
  setIpv4Ttl,
  setIpv6Dscp,
  setIpv6HopLimit,
  setMarkBit,
  udpPort,
} from "./nft-clauses.js";
import type { NftRule } from "./objects.js";
import { UDP_MARK_BIT } from "./security-marks.js";
import { ESP_UDP_PORT, espClassMark, type TunnelClass } from "./site.js";

/** ESP in UDP meets the receiving state for that encapsulation. */
export function markEspInUdp(end: "saddr" | "daddr", homeAgent: Ipv4Address): NftRule {
  return rule(ipField(end, homeAgent), udpPort("dport", ESP_UDP_PORT), setMarkBit(UDP_MARK_BIT));
}

/** TTL and DSCP of each class; where a class copies the DSCP, XFRM has done so. */
export function dressEsp(version: 4 | 6, classes: readonly TunnelClass[]): readonly NftRule[] {
  return classes.map((one) => {
    const dscp: Clause[] = one.dscp === "copy" ? [] : [version === 4 ? setIpv4Dscp(one.dscp) : setIpv6Dscp(one.dscp)];
    const ttl = version === 4 ? setIpv4Ttl(one.ttl) : setIpv6HopLimit(one.ttl);
    return rule(family(version), markIs(espClassMark(one)), ttl, ...dscp);
  });
}
