/** What the home agent's firewall knows of its bindings, and numbers of its chains. Names of sets: outer format and inner family. */
import type { NftSet } from "../objects/firewall.js";
import { ESP_UDP_PORT, type HomeAgentPlanSite } from "../site.js";

/** IKE, and IKE and ESP behind a NAT (RFC 7296 §2.23). */
export const IKE_PORTS = [500, ESP_UDP_PORT] as const;
export const PROTOCOL = { ipv4: 4, ipv6: 41, esp: 50, destinationOptions: 60, mobility: 135 } as const;

export const SETS = {
  udp6: { name: "udp-6", key: ["ipv4_addr", "inet_service", "ipv6_addr"] },
  udp4: { name: "udp-4", key: ["ipv4_addr", "inet_service", "ipv4_addr"] },
  ipv4_6: { name: "ipv4-6", key: ["ipv4_addr", "ipv6_addr"] },
  ipv4_4: { name: "ipv4-4", key: ["ipv4_addr", "ipv4_addr"] },
  ipv6_6: { name: "ipv6-6", key: ["ipv6_addr", "ipv6_addr"] },
  ipv6_4: { name: "ipv6-4", key: ["ipv6_addr", "ipv4_addr"] },
  port6: { name: "port-6", key: ["ipv4_addr", "ipv6_addr"], value: "inet_service" },
  port4: { name: "port-4", key: ["ipv4_addr", "ipv4_addr"], value: "inet_service" },
  fixed6: { name: "fixed-6", key: ["ipv6_addr"] },
  fixed4: { name: "fixed-4", key: ["ipv4_addr"] },
} as const satisfies Record<string, NftSet>;

/** UDP over IPv6; the device's other end is a placeholder, so where to is a map, too. */
export const UDP_IPV6_SETS = {
  udp6: { name: "udp-ipv6-6", key: ["ipv6_addr", "inet_service", "ipv6_addr"] },
  udp4: { name: "udp-ipv6-4", key: ["ipv6_addr", "inet_service", "ipv4_addr"] },
  careOf6: { name: "care-of-6", key: ["ipv6_addr"], value: "ipv6_addr" },
  careOf4: { name: "care-of-4", key: ["ipv4_addr"], value: "ipv6_addr" },
  port6: { name: "care-of-port-6", key: ["ipv6_addr"], value: "inet_service" },
  port4: { name: "care-of-port-4", key: ["ipv4_addr"], value: "inet_service" },
} as const satisfies Record<string, NftSet>;

/** The inner address of these sets is of IPv6, of the others of IPv4. */
export const IPV6_SETS = [SETS.udp6, SETS.ipv4_6, SETS.ipv6_6, SETS.port6, SETS.fixed6] as const;
export const IPV4_SETS = [SETS.udp4, SETS.ipv4_4, SETS.ipv6_4, SETS.port4, SETS.fixed4] as const;

const HOST_BITS = { 4: 32, 6: 128 } as const;

/**
 * The set like this one for inner prefixes of this length. A hash set for each length in use: one set of intervals would do for all, but
 * takes 90 ms to lose an element when it has 10,000.
 */
export function setForLength(set: NftSet, version: 4 | 6, length: number): string {
  return length === HOST_BITS[version] ? set.name : `${set.name}-${length}`;
}

/** Lengths of the mobile networks' prefixes that have sets of their own, the longest first. */
export function networkLengths(
  { prefixLengths, mip4 }: Pick<HomeAgentPlanSite, "prefixLengths" | "mip4">,
  version: 4 | 6,
): readonly number[] {
  const lengths =
    version === 4 ? prefixLengths?.ipv4 : [...(prefixLengths?.ipv6 ?? []), ...(mip4?.prefixLengths ?? [])];
  return [...new Set(lengths)].filter((length) => length < HOST_BITS[version]).sort((a, b) => b - a);
}

/** Like these for each length in use. */
export function ofLengths(site: HomeAgentPlanSite, version: 4 | 6, sets: readonly NftSet[]): readonly NftSet[] {
  return networkLengths(site, version).flatMap((length) =>
    sets.map((set) => ({ ...set, name: setForLength(set, version, length) })),
  );
}

/** Those of all lengths in use. */
export function networkSets(site: HomeAgentPlanSite): readonly NftSet[] {
  const { udp6, udp4, careOf6, careOf4, port6, port4 } = UDP_IPV6_SETS;
  return [
    ...ofLengths(site, 6, [...IPV6_SETS, ...(site.udpOverIpv6 === true ? [udp6, careOf6, port6] : [])]),
    ...ofLengths(site, 4, [...IPV4_SETS, ...(site.udpOverIpv6 === true ? [udp4, careOf4, port4] : [])]),
  ];
}
