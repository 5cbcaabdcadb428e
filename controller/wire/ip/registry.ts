/** The numbers of IP on the wire that we have to do with: protocols, ICMPv6 types, options of neighbour discovery. */
import { codes, entry } from "../registry.js";

/** IP protocol numbers and IPv6 next headers. */
export const PROTOCOL_REGISTRY = {
  hopByHop: entry(0, "IPv6 hop-by-hop options", "RFC 8200 §4.3"),
  icmp: entry(1, "ICMP", "RFC 792"),
  ipv4: entry(4, "IPv4 encapsulation", "RFC 2003 §3.1"),
  udp: entry(17, "UDP", "RFC 768"),
  ipv6: entry(41, "IPv6 encapsulation", "RFC 4213 §3"),
  routing: entry(43, "IPv6 routing header", "RFC 8200 §4.4"),
  fragment: entry(44, "IPv6 fragment header", "RFC 8200 §4.5"),
  esp: entry(50, "encapsulating security payload", "RFC 4303 §2"),
  ah: entry(51, "authentication header", "RFC 4302 §2"),
  icmpv6: entry(58, "ICMPv6", "RFC 4443 §1"),
  none: entry(59, "no next header", "RFC 8200 §4.7"),
  destinationOptions: entry(60, "IPv6 destination options", "RFC 8200 §4.6"),
  mobility: entry(135, "Mobility Header", "RFC 6275 §6.1"),
} as const;
export const Protocol = codes(PROTOCOL_REGISTRY);

export const ICMPV6_REGISTRY = {
  destinationUnreachable: entry(1, "Destination Unreachable", "RFC 4443 §3.1"),
  packetTooBig: entry(2, "Packet Too Big", "RFC 4443 §3.2"),
  timeExceeded: entry(3, "Time Exceeded", "RFC 4443 §3.3"),
  parameterProblem: entry(4, "Parameter Problem", "RFC 4443 §3.4"),
  routerSolicitation: entry(133, "Router Solicitation", "RFC 4861 §4.1"),
  routerAdvertisement: entry(134, "Router Advertisement", "RFC 4861 §4.2"),
  neighbourSolicitation: entry(135, "Neighbor Solicitation", "RFC 4861 §4.3"),
  neighbourAdvertisement: entry(136, "Neighbor Advertisement", "RFC 4861 §4.4"),
  homeAgentAddressDiscoveryRequest: entry(144, "Home Agent Address Discovery Request", "RFC 6275 §6.5"),
  homeAgentAddressDiscoveryReply: entry(145, "Home Agent Address Discovery Reply", "RFC 6275 §6.6"),
  mobilePrefixSolicitation: entry(146, "Mobile Prefix Solicitation", "RFC 6275 §6.7"),
  mobilePrefixAdvertisement: entry(147, "Mobile Prefix Advertisement", "RFC 6275 §6.8"),
} as const;
export const Icmpv6Type = codes(ICMPV6_REGISTRY);

export const ND_OPTION_REGISTRY = {
  sourceLinkLayerAddress: entry(1, "Source Link-Layer Address", "RFC 4861 §4.6.1"),
  targetLinkLayerAddress: entry(2, "Target Link-Layer Address", "RFC 4861 §4.6.1"),
  prefixInformation: entry(3, "Prefix Information", "RFC 4861 §4.6.2, RFC 6275 §7.2"),
  mtu: entry(5, "MTU", "RFC 4861 §4.6.4"),
  advertisementInterval: entry(7, "Advertisement Interval", "RFC 6275 §7.3"),
  homeAgentInformation: entry(8, "Home Agent Information", "RFC 6275 §7.4"),
} as const;
export const NdOptionType = codes(ND_OPTION_REGISTRY);
