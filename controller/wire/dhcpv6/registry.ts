/** Options of DHCPv6 that tell a mobile node of home agents (RFC 6610 §7). */
import { codes, entry } from "../registry.js";

export const DHCPV6_OPTION_REGISTRY = {
  homeNetworkIdentifier: entry(49, "OPTION_MIP6_HNIDF", "RFC 6610 §3.1"),
  visitedHomeNetwork: entry(50, "OPTION_MIP6_VDINF", "RFC 6610 §3.1"),
  identifiedHomeNetwork: entry(69, "OPTION_MIP6_IDINF", "RFC 6610 §3.1"),
  unrestrictedHomeNetwork: entry(70, "OPTION_MIP6_UDINF", "RFC 6610 §3.1"),
  homeNetworkPrefix: entry(71, "OPTION_MIP6_HNP", "RFC 6610 §3.1"),
  homeAgentAddress: entry(72, "OPTION_MIP6_HAA", "RFC 6610 §3.1"),
  homeAgentName: entry(73, "OPTION_MIP6_HAF", "RFC 6610 §3.1"),
} as const;
export const Dhcpv6Option = codes(DHCPV6_OPTION_REGISTRY);
