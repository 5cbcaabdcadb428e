/** Which groups may be sent to nodes that are away (RFC 6275 §10.4.2). */
import { type IpAddress, ipToBytes, ipv4, ipv6, isIpv4, type Prefix, prefixContains } from "../../../../base/ip.js";

export type GroupScope = "none" | "link" | "local" | "global";

/** RFC 4291 §2.7: the lower half of the second octet. */
const IPV6_SCOPE = { link: 2, global: 14 } as const;
const IPV4_MULTICAST: Prefix = { address: ipv4("224.0.0.0"), length: 4 };
/** RFC 5771 §4: local network control, forwarded by nobody. */
const IPV4_LINK: Prefix = { address: ipv4("224.0.0.0"), length: 24 };
/** RFC 2365 §6.1, §6.2: the local and the organization-local scope. */
const IPV4_LOCAL: readonly Prefix[] = [
  { address: ipv4("239.255.0.0"), length: 16 },
  { address: ipv4("239.192.0.0"), length: 14 },
];
const IPV6_MULTICAST: Prefix = { address: ipv6("ff00::"), length: 8 };

/** "none": no group at all. "local": larger than a link and smaller than everywhere. */
export function scopeOf(group: IpAddress): GroupScope {
  if (isIpv4(group)) {
    if (!prefixContains(IPV4_MULTICAST, group)) return "none";
    if (prefixContains(IPV4_LINK, group)) return "link";
    return IPV4_LOCAL.some((prefix) => prefixContains(prefix, group)) ? "local" : "global";
  }
  if (!prefixContains(IPV6_MULTICAST, group)) return "none";
  const scope = (ipToBytes(group)[1] ?? 0) & 0x0f;
  if (scope <= IPV6_SCOPE.link) return "link";
  return scope < IPV6_SCOPE.global ? "local" : scope === IPV6_SCOPE.global ? "global" : "none";
}
