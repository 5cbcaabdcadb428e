/** What the firewall knows of bindings of Mobile IPv4 beside the sets of plain tunnels over IPv4, which are Mobile IPv6's too. */
import type { NftSet } from "../../objects/firewall.js";

export const MIP4_SETS = {
  /** RFC 3519: outer source and port, inner source. */
  udp6: { name: "mip4-udp-6", key: ["ipv4_addr", "inet_service", "ipv6_addr"] },
  udp4: { name: "mip4-udp-4", key: ["ipv4_addr", "inet_service", "ipv4_addr"] },
  gre6: { name: "gre-6", key: ["ipv4_addr", "ipv6_addr"] },
  gre4: { name: "gre-4", key: ["ipv4_addr", "ipv4_addr"] },
  /** Out of a tunnel: IPv4 home address, and the source of the IPv6 packet that it carries. */
  home6: { name: "home-6", key: ["ipv4_addr", "ipv6_addr"] },
  /** Without a reverse tunnel IPv4 comes from the visited network as it is, and through the tunnel that which carries IPv6 alone. */
  onlyUdp: { name: "only-ipv6-udp", key: ["ipv4_addr", "inet_service", "ipv4_addr"] },
  onlyIpv4: { name: "only-ipv6-ipv4", key: ["ipv4_addr", "ipv4_addr"] },
  onlyGre: { name: "only-ipv6-gre", key: ["ipv4_addr", "ipv4_addr"] },
  /** Where payload goes now, home address, home address: outer source, outer and inner destination of what would go in circles. */
  loops: { name: "loops-4", key: ["ipv4_addr", "ipv4_addr", "ipv4_addr"] },
  /** Outer and inner destination: the port of a node behind a NAT. */
  port6: { name: "mip4-port-6", key: ["ipv4_addr", "ipv6_addr"], value: "inet_service" },
  port4: { name: "mip4-port-4", key: ["ipv4_addr", "ipv4_addr"], value: "inet_service" },
} as const satisfies Record<string, NftSet>;

/** The inner address of these may be a prefix. */
export const MIP4_IPV6_SETS = [MIP4_SETS.udp6, MIP4_SETS.gre6, MIP4_SETS.home6, MIP4_SETS.port6] as const;
