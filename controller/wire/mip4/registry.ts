/**
 * Every number of Mobile IPv4 and of its dual-stack extension on the wire, with its name and where it is defined. The codecs take their
 * numbers from here, and a test demands a vector for each of them.
 */
import { codes, entry } from "../registry.js";

/** The UDP port of Mobile IPv4 (RFC 5944 §1.8). */
export const MIP4_PORT = 434;

/** The first octet of what is sent to port 434. */
export const CONTROL_MESSAGE_REGISTRY = {
  registrationRequest: entry(1, "Registration Request", "RFC 5944 §3.3"),
  registrationReply: entry(3, "Registration Reply", "RFC 5944 §3.4"),
  tunnelData: entry(4, "MIP Tunnel Data", "RFC 3519 §3.3"),
} as const;
export const ControlMessageType = codes(CONTROL_MESSAGE_REGISTRY);

/** Extensions of messages on port 434. */
export const REGISTRATION_EXTENSION_REGISTRY = {
  padding: entry(0, "One-Byte Padding", "RFC 5944 §2.1.3"),
  mobileHomeAuthentication: entry(32, "Mobile-Home Authentication", "RFC 5944 §3.5.2"),
  mobileForeignAuthentication: entry(33, "Mobile-Foreign Authentication", "RFC 5944 §3.5.3"),
  foreignHomeAuthentication: entry(34, "Foreign-Home Authentication", "RFC 5944 §3.5.4"),
  generalizedAuthentication: entry(36, "Generalized Authentication", "RFC 4721 §5"),
  udpTunnelReply: entry(44, "UDP Tunnel Reply", "RFC 3519 §3.2"),
  encapsulatingDelivery: entry(130, "Encapsulating Delivery Style", "RFC 3024 §3.3"),
  networkAccessIdentifier: entry(131, "Mobile Node NAI", "RFC 2794 §2"),
  mobileForeignChallenge: entry(132, "Mobile-Foreign Challenge", "RFC 4721 §4"),
  udpTunnelRequest: entry(144, "UDP Tunnel Request", "RFC 3519 §3.1"),
  dualStack: entry(152, "Dual-Stack Mobile IPv4", "RFC 5454 §2"),
} as const;
export const RegistrationExtensionType = codes(REGISTRATION_EXTENSION_REGISTRY);

/** Extensions of ICMP router discovery: a numbering of its own (RFC 5944 §1.8). */
export const DISCOVERY_EXTENSION_REGISTRY = {
  padding: entry(0, "One-Byte Padding", "RFC 5944 §2.1.3"),
  mobilityAgentAdvertisement: entry(16, "Mobility Agent Advertisement", "RFC 5944 §2.1.1"),
  prefixLengths: entry(19, "Prefix-Lengths", "RFC 5944 §2.1.2"),
  challenge: entry(24, "Agent Advertisement Challenge", "RFC 4721 §2"),
} as const;
export const DiscoveryExtensionType = codes(DISCOVERY_EXTENSION_REGISTRY);

/** The first types that a receiver which does not know them skips; below them the message is void (RFC 5944 §1.8). */
export const FIRST_SKIPPABLE_TYPE = 128;

/** Subtypes of extension 152. */
export const DUAL_STACK_SUBTYPE_REGISTRY = {
  prefixRequest: entry(1, "IPv6 Prefix Request", "RFC 5454 §2.1"),
  prefixReply: entry(2, "IPv6 Prefix Reply", "RFC 5454 §2.2"),
  tunnellingMode: entry(3, "IPv6 Tunneling Mode", "RFC 5454 §2.3"),
} as const;
export const DualStackSubtype = codes(DUAL_STACK_SUBTYPE_REGISTRY);

/** The length octet of an IPv6 prefix request or reply that carries a link-local address instead (RFC 5454 §2.2, §3.7.1). */
export const LINK_LOCAL_PREFIX_LENGTH = 255;

/** Codes of an IPv6 prefix reply; 0 to 7 accept, the others refuse (RFC 5454 §6). */
export const PREFIX_CODE_REGISTRY = {
  acceptedHomeAddress: entry(0, "accepted, IPv6 to be tunnelled to the home address", "RFC 5454 §2.2"),
  acceptedCareOfAddress: entry(1, "accepted, IPv6 to be tunnelled to the care-of address", "RFC 5454 §2.2"),
  unspecified: entry(8, "rejected, reason unspecified", "RFC 5454 §2.2"),
  administrativelyProhibited: entry(9, "rejected, administratively prohibited", "RFC 5454 §2.2"),
} as const;
export const PrefixCode = codes(PREFIX_CODE_REGISTRY);
export const prefixAccepted = (code: number): boolean => code < 8;

/** Codes of a UDP tunnel reply; 0 to 63 mean that it is done, the others that it is not (RFC 3519 §3.2.1). */
export const UDP_TUNNEL_CODE_REGISTRY = {
  willTunnel: entry(0, "will do tunnelling", "RFC 3519 §3.2.1"),
  declined: entry(64, "tunnelling declined, reason unspecified", "RFC 3519 §3.2.1"),
} as const;
export const UdpTunnelCode = codes(UDP_TUNNEL_CODE_REGISTRY);
export const udpTunnelAccepted = (code: number): boolean => code < 64;

/** Next headers of a tunnel data message, and values of the encapsulation field of a UDP tunnel request. */
export const TUNNEL_PAYLOAD_REGISTRY = {
  ipv4: entry(4, "IPv4", "RFC 3519 §3.1.4"),
  ipv6: entry(41, "IPv6", "RFC 5454 §3.9"),
  gre: entry(47, "GRE", "RFC 3519 §3.1.4"),
  minimal: entry(55, "minimal encapsulation", "RFC 3519 §3.1.4"),
} as const;
export const TunnelPayload = codes(TUNNEL_PAYLOAD_REGISTRY);

/** Masks of the octet at offset 1 of a registration request. */
export const REQUEST_FLAG_REGISTRY = {
  simultaneousBindings: entry(0x80, "S", "RFC 5944 §3.3"),
  broadcast: entry(0x40, "B", "RFC 5944 §3.3"),
  decapsulatesItself: entry(0x20, "D", "RFC 5944 §3.3"),
  minimalEncapsulation: entry(0x10, "M", "RFC 5944 §3.3"),
  gre: entry(0x08, "G", "RFC 5944 §3.3"),
  /** r: once Van Jacobson compression, to be ignored. */
  reservedFormerlyCompression: entry(0x04, "r", "RFC 5944 §3.3"),
  reverseTunnelling: entry(0x02, "T", "RFC 5944 §3.3, RFC 3024 §3.2"),
  reserved: entry(0x01, "x", "RFC 5944 §3.3"),
} as const;
export const RequestFlag = codes(REQUEST_FLAG_REGISTRY);

/** Masks of the 16-bit word at offset 6 of a mobility agent advertisement. */
export const AGENT_FLAG_REGISTRY = {
  registrationRequired: entry(0x8000, "R", "RFC 5944 §2.1.1"),
  busy: entry(0x4000, "B", "RFC 5944 §2.1.1"),
  homeAgent: entry(0x2000, "H", "RFC 5944 §2.1.1"),
  foreignAgent: entry(0x1000, "F", "RFC 5944 §2.1.1"),
  minimalEncapsulation: entry(0x0800, "M", "RFC 5944 §2.1.1"),
  gre: entry(0x0400, "G", "RFC 5944 §2.1.1"),
  reverseTunnelling: entry(0x0100, "T", "RFC 5944 §2.1.1, RFC 3024 §3.1"),
  udpTunnelling: entry(0x0080, "U", "RFC 5944 §2.1.1, RFC 3519 §3.4"),
  registrationRevocation: entry(0x0040, "X", "RFC 5944 §2.1.1"),
  regionalRegistration: entry(0x0020, "I", "RFC 5944 §2.1.1"),
} as const;
export const AgentFlag = codes(AGENT_FLAG_REGISTRY);

/** Codes of a registration reply: 0 and 1 accept, 64 to 127 come from the foreign agent, from 128 on from the home agent. */
export const REPLY_CODE_REGISTRY = {
  accepted: entry(0, "registration accepted", "RFC 5944 §3.4"),
  acceptedNoSimultaneousBindings: entry(1, "accepted, but simultaneous mobility bindings unsupported", "RFC 5944 §3.4"),
  agentUnspecified: entry(64, "reason unspecified (foreign agent)", "RFC 5944 §3.4"),
  agentProhibited: entry(65, "administratively prohibited (foreign agent)", "RFC 5944 §3.4"),
  agentInsufficientResources: entry(66, "insufficient resources (foreign agent)", "RFC 5944 §3.4"),
  agentMobileNodeAuthentication: entry(67, "mobile node failed authentication (foreign agent)", "RFC 5944 §3.4"),
  agentHomeAgentAuthentication: entry(68, "home agent failed authentication (foreign agent)", "RFC 5944 §3.4"),
  agentLifetimeTooLong: entry(69, "requested lifetime too long", "RFC 5944 §3.4"),
  agentPoorlyFormedRequest: entry(70, "poorly formed request (foreign agent)", "RFC 5944 §3.4"),
  agentPoorlyFormedReply: entry(71, "poorly formed reply", "RFC 5944 §3.4"),
  agentEncapsulationUnavailable: entry(72, "requested encapsulation unavailable (foreign agent)", "RFC 5944 §3.4"),
  agentReverseTunnelUnavailable: entry(74, "reverse tunnel unavailable (foreign agent)", "RFC 3024 §3.4"),
  agentReverseTunnelMandatory: entry(75, "reverse tunnel mandatory, T not set (foreign agent)", "RFC 3024 §3.4"),
  agentTooDistant: entry(76, "mobile node too distant", "RFC 3024 §3.4"),
  agentInvalidCareOfAddress: entry(77, "invalid care-of address", "RFC 5944 §3.4"),
  agentRegistrationTimeout: entry(78, "registration timeout", "RFC 5944 §3.4"),
  agentDeliveryStyleUnavailable: entry(79, "delivery style not supported", "RFC 3024 §3.4"),
  homeNetworkUnreachable: entry(80, "home network unreachable", "RFC 5944 §3.4"),
  homeAgentHostUnreachable: entry(81, "home agent host unreachable", "RFC 5944 §3.4"),
  homeAgentPortUnreachable: entry(82, "home agent port unreachable", "RFC 5944 §3.4"),
  homeAgentUnreachable: entry(88, "home agent unreachable", "RFC 5944 §3.4"),
  homeAddressRequired: entry(96, "non-zero home address required", "RFC 2794 §5"),
  missingIdentifier: entry(97, "missing NAI", "RFC 2794 §5"),
  missingHomeAgent: entry(98, "missing home agent", "RFC 2794 §5"),
  missingHomeAddress: entry(99, "missing home address", "RFC 2794 §5"),
  unknownChallenge: entry(104, "unknown challenge", "RFC 4721 §10"),
  missingChallenge: entry(105, "missing challenge", "RFC 4721 §10"),
  staleChallenge: entry(106, "stale challenge", "RFC 4721 §10"),
  unspecified: entry(128, "reason unspecified", "RFC 5944 §3.4"),
  administrativelyProhibited: entry(129, "administratively prohibited", "RFC 5944 §3.4"),
  insufficientResources: entry(130, "insufficient resources", "RFC 5944 §3.4"),
  mobileNodeAuthentication: entry(131, "mobile node failed authentication", "RFC 5944 §3.4"),
  foreignAgentAuthentication: entry(132, "foreign agent failed authentication", "RFC 5944 §3.4"),
  identificationMismatch: entry(133, "registration identification mismatch", "RFC 5944 §3.4"),
  poorlyFormedRequest: entry(134, "poorly formed request", "RFC 5944 §3.4"),
  tooManyBindings: entry(135, "too many simultaneous mobility bindings", "RFC 5944 §3.4"),
  unknownHomeAgent: entry(136, "unknown home agent address", "RFC 5944 §3.4"),
  reverseTunnelUnavailable: entry(137, "reverse tunnel unavailable", "RFC 3024 §3.4"),
  reverseTunnelMandatory: entry(138, "reverse tunnel mandatory, T not set", "RFC 3024 §3.4"),
  encapsulationUnavailable: entry(139, "requested encapsulation unavailable", "RFC 3024 §3.4"),
  udpEncapsulationUnavailable: entry(142, "requested UDP tunnel encapsulation unavailable", "RFC 3519 §3.5"),
  invalidHomeAgentAddress: entry(194, "invalid home agent address (foreign agent)", "RFC 5944 §3.4"),
} as const;
export const ReplyCode = codes(REPLY_CODE_REGISTRY);
export const registrationAccepted = (code: number): boolean => code <= 1;

/** ICMP for IPv4, as far as agents are discovered with it. */
export const ICMP_REGISTRY = {
  routerAdvertisement: entry(9, "Router Advertisement", "RFC 1256 §3"),
  routerSolicitation: entry(10, "Router Solicitation", "RFC 1256 §3"),
} as const;
export const IcmpType = codes(ICMP_REGISTRY);

/** ICMP code of an agent that is no router for traffic of others (RFC 5944 §2.1). */
export const NO_COMMON_TRAFFIC = 16;
