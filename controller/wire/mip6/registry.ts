/**
 * Every number of Mobile IPv6, NEMO and DSMIPv6 on the wire, with its name and where it is defined; those of IP are in ip/registry.ts.
 * The codecs take their numbers from here, and a test demands a vector for each of them. Protocol code uses the plain objects (`BindingStatus.dadFailed`).
 */

import { codes, entry } from "../registry.js";

/** The UDP port of DSMIPv6 home agents (RFC 5555 §8). */
export const DSMIP6_PORT = 4191;

export const MESSAGE_REGISTRY = {
  bindingRefreshRequest: entry(0, "Binding Refresh Request", "RFC 6275 §6.1.2"),
  homeTestInit: entry(1, "Home Test Init", "RFC 6275 §6.1.3"),
  careOfTestInit: entry(2, "Care-of Test Init", "RFC 6275 §6.1.4"),
  homeTest: entry(3, "Home Test", "RFC 6275 §6.1.5"),
  careOfTest: entry(4, "Care-of Test", "RFC 6275 §6.1.6"),
  bindingUpdate: entry(5, "Binding Update", "RFC 6275 §6.1.7"),
  bindingAcknowledgement: entry(6, "Binding Acknowledgement", "RFC 6275 §6.1.8"),
  bindingError: entry(7, "Binding Error", "RFC 6275 §6.1.9"),
  homeAgentSwitch: entry(12, "Home Agent Switch", "RFC 5142"),
  bindingRevocation: entry(16, "Binding Revocation", "RFC 5846 §5"),
} as const;
export const MessageType = codes(MESSAGE_REGISTRY);

export const OPTION_REGISTRY = {
  pad1: entry(0, "Pad1", "RFC 6275 §6.2.2"),
  padN: entry(1, "PadN", "RFC 6275 §6.2.3"),
  bindingRefreshAdvice: entry(2, "Binding Refresh Advice", "RFC 6275 §6.2.4"),
  alternateCareOfAddress: entry(3, "Alternate Care-of Address", "RFC 6275 §6.2.5"),
  nonceIndices: entry(4, "Nonce Indices", "RFC 6275 §6.2.6"),
  bindingAuthorizationData: entry(5, "Binding Authorization Data", "RFC 6275 §6.2.7"),
  mobileNetworkPrefix: entry(6, "Mobile Network Prefix", "RFC 3963 §4.3"),
  mobileNodeIdentifier: entry(8, "Mobile Node Identifier", "RFC 4283 §3"),
  authentication: entry(9, "Mobility Message Authentication", "RFC 4285 §5"),
  messageIdentification: entry(10, "Mobility Message Replay Protection", "RFC 4285 §6"),
  dnsUpdate: entry(17, "DNS Update", "RFC 5026"),
  experimental: entry(18, "Experimental", "RFC 5096"),
  ipv4HomeAddress: entry(29, "IPv4 Home Address", "RFC 5555 §3.1.1"),
  ipv4AddressAcknowledgement: entry(30, "IPv4 Address Acknowledgement", "RFC 5555 §3.2.1"),
  natDetection: entry(31, "NAT Detection", "RFC 5555 §3.2.2"),
  ipv4CareOfAddress: entry(32, "IPv4 Care-of Address", "RFC 5555 §3.1.2"),
  bindingIdentifier: entry(35, "Binding Identifier", "RFC 5648 §4.1"),
} as const;
export const OptionType = codes(OPTION_REGISTRY);

/** Masks of the 16-bit word at offset 8 of a binding update. */
export const BINDING_UPDATE_FLAG_REGISTRY = {
  acknowledge: entry(0x8000, "A", "RFC 6275 §6.1.7"),
  homeRegistration: entry(0x4000, "H", "RFC 6275 §6.1.7"),
  linkLocalCompatibility: entry(0x2000, "L", "RFC 6275 §6.1.7"),
  keyManagementMobility: entry(0x1000, "K", "RFC 6275 §6.1.7"),
  mapRegistration: entry(0x0800, "M", "RFC 5380"),
  mobileRouter: entry(0x0400, "R", "RFC 3963 §4.1"),
  proxyRegistration: entry(0x0200, "P", "RFC 5213 §8.1"),
  forceUdp: entry(0x0100, "F", "RFC 5555 §3.1.3"),
  tlv: entry(0x0080, "T", "RFC 5845"),
  /** B of RFC 6602; RFC 5648 §4.2 calls the same bit O, overwrite (only together with a Binding Identifier option). */
  bulk: entry(0x0040, "B", "RFC 6602"),
  multicastSignalling: entry(0x0020, "S", "RFC 7161"),
  distributedMobility: entry(0x0010, "D", "RFC 8885"),
} as const;
export const BindingUpdateFlag = codes(BINDING_UPDATE_FLAG_REGISTRY);

/** Masks of the octet at offset 7 of a binding acknowledgement. */
export const BINDING_ACKNOWLEDGEMENT_FLAG_REGISTRY = {
  keyManagementMobility: entry(0x80, "K", "RFC 6275 §6.1.8"),
  mobileRouter: entry(0x40, "R", "RFC 3963 §4.2"),
  proxyRegistration: entry(0x20, "P", "RFC 5213 §8.2"),
  tlv: entry(0x10, "T", "RFC 5845"),
  bulk: entry(0x08, "B", "RFC 6602"),
  multicastSignalling: entry(0x04, "S", "RFC 7161"),
  distributedMobility: entry(0x02, "D", "RFC 8885"),
} as const;
export const BindingAcknowledgementFlag = codes(BINDING_ACKNOWLEDGEMENT_FLAG_REGISTRY);

/** Masks of the 16-bit word at offset 10 of a binding revocation message. */
export const REVOCATION_FLAG_REGISTRY = {
  proxyBinding: entry(0x8000, "P", "RFC 5846 §5.1"),
  ipv4HomeAddressOnly: entry(0x4000, "V", "RFC 5846 §5.1"),
  global: entry(0x2000, "G", "RFC 5846 §5.1"),
} as const;
export const RevocationFlag = codes(REVOCATION_FLAG_REGISTRY);

/** Statuses of a binding acknowledgement; below 128 the binding was accepted. */
export const BINDING_STATUS_REGISTRY = {
  accepted: entry(0, "binding update accepted", "RFC 6275 §6.1.8"),
  acceptedPrefixDiscoveryNecessary: entry(1, "accepted but prefix discovery necessary", "RFC 6275 §6.1.8"),
  mcoaNotComplete: entry(4, "MCOA not complete", "RFC 5648 §4"),
  mcoaReturnHomeWithoutNdp: entry(5, "MCOA return home without NDP", "RFC 5648 §4"),
  reasonUnspecified: entry(128, "reason unspecified", "RFC 6275 §6.1.8"),
  administrativelyProhibited: entry(129, "administratively prohibited", "RFC 6275 §6.1.8"),
  insufficientResources: entry(130, "insufficient resources", "RFC 6275 §6.1.8"),
  homeRegistrationNotSupported: entry(131, "home registration not supported", "RFC 6275 §6.1.8"),
  notHomeSubnet: entry(132, "not home subnet", "RFC 6275 §6.1.8"),
  notHomeAgent: entry(133, "not home agent for this mobile node", "RFC 6275 §6.1.8"),
  dadFailed: entry(134, "duplicate address detection failed", "RFC 6275 §6.1.8"),
  sequenceOutOfWindow: entry(135, "sequence number out of window", "RFC 6275 §6.1.8"),
  expiredHomeNonceIndex: entry(136, "expired home nonce index", "RFC 6275 §6.1.8"),
  expiredCareOfNonceIndex: entry(137, "expired care-of nonce index", "RFC 6275 §6.1.8"),
  expiredNonces: entry(138, "expired nonces", "RFC 6275 §6.1.8"),
  registrationTypeChange: entry(139, "registration type change disallowed", "RFC 6275 §6.1.8"),
  mobileRouterNotPermitted: entry(140, "mobile router operation not permitted", "RFC 3963 §4.2"),
  invalidPrefix: entry(141, "invalid prefix", "RFC 3963 §4.2"),
  notAuthorizedForPrefix: entry(142, "not authorized for prefix", "RFC 3963 §4.2"),
  forwardingSetupFailed: entry(143, "forwarding setup failed", "RFC 3963 §4.2"),
  /** RFC 4285 §8 gives the same code to MIPV6-ID-MISMATCH; which one is meant follows from the message exchange. */
  forcedUdpNotSupported: entry(144, "cannot force UDP encapsulation", "RFC 5555 §4.5"),
  messageIdRequired: entry(145, "message identification required", "RFC 4285 §8"),
  authenticationFailed: entry(146, "authentication failed", "RFC 4285 §8"),
  permanentKeygenTokenUnavailable: entry(147, "permanent home keygen token unavailable", "RFC 4866"),
  cgaVerificationFailed: entry(148, "CGA and signature verification failed", "RFC 4866"),
  permanentKeygenTokenExists: entry(149, "permanent home keygen token exists", "RFC 4866"),
  nonNullHomeNonceIndexExpected: entry(150, "non-null home nonce index expected", "RFC 4866"),
  serviceAuthorizationFailed: entry(151, "service authorization failed", "RFC 5149"),
  mcoaMalformed: entry(164, "MCOA malformed", "RFC 5648 §4"),
  nonMcoaBindingExists: entry(165, "MCOA: non-MCOA binding exists", "RFC 5648 §4"),
  mcoaProhibited: entry(166, "MCOA prohibited", "RFC 5648 §4"),
  mcoaUnknownCareOfAddress: entry(167, "MCOA unknown care-of address", "RFC 5648 §4"),
  mcoaBulkProhibited: entry(168, "MCOA bulk registration prohibited", "RFC 5648 §4"),
  mcoaSimultaneousProhibited: entry(169, "MCOA simultaneous home and foreign prohibited", "RFC 5648 §4"),
  invalidCareOfAddress: entry(174, "invalid care-of address", "RFC 6275 §6.1.8"),
} as const;
export const BindingStatus = codes(BINDING_STATUS_REGISTRY);

/** Statuses of a binding error. */
export const BINDING_ERROR_REGISTRY = {
  unknownBinding: entry(1, "unknown binding for home address destination option", "RFC 6275 §6.1.9"),
  unknownMessageType: entry(2, "unrecognized MH type value", "RFC 6275 §6.1.9"),
} as const;
export const BindingErrorStatus = codes(BINDING_ERROR_REGISTRY);

/** Statuses of an IPv4 address acknowledgement option (30); below 128 the IPv4 binding was accepted. */
export const IPV4_STATUS_REGISTRY = {
  success: entry(0, "success", "RFC 5555 §3.2.1"),
  unspecified: entry(128, "failure, reason unspecified", "RFC 5555 §3.2.1"),
  administrativelyProhibited: entry(129, "administratively prohibited", "RFC 5555 §3.2.1"),
  incorrectHomeAddress: entry(130, "incorrect IPv4 home address", "RFC 5555 §3.2.1"),
  invalidAddress: entry(131, "invalid IPv4 address", "RFC 5555 §3.2.1"),
  dynamicAddressNotAvailable: entry(132, "dynamic IPv4 home address assignment not available", "RFC 5555 §3.2.1"),
  prefixNotAuthorized: entry(133, "prefix allocation unauthorized", "RFC 5555 §3.2.1"),
} as const;
export const Ipv4AckStatus = codes(IPV4_STATUS_REGISTRY);

export const REVOCATION_TRIGGER_REGISTRY = {
  unspecified: entry(0, "unspecified", "RFC 5846 §5.1"),
  administrative: entry(1, "administrative reason", "RFC 5846 §5.1"),
  userInitiated: entry(5, "user-initiated session termination", "RFC 5846 §5.1"),
  accessNetwork: entry(6, "access network session termination", "RFC 5846 §5.1"),
  outOfSync: entry(7, "possible out-of-sync binding state", "RFC 5846 §5.1"),
  globalPerPeer: entry(128, "per-peer policy", "RFC 5846 §5.1"),
  globalRevoking: entry(129, "revoking mobility node local policy", "RFC 5846 §5.1"),
} as const;
export const RevocationTrigger = codes(REVOCATION_TRIGGER_REGISTRY);

export const REVOCATION_STATUS_REGISTRY = {
  success: entry(0, "success", "RFC 5846 §5.2"),
  partialSuccess: entry(1, "partial success", "RFC 5846 §5.2"),
  bindingDoesNotExist: entry(128, "binding does not exist", "RFC 5846 §5.2"),
  ipv4HomeAddressRequired: entry(129, "IPv4 home address option required", "RFC 5846 §5.2"),
  globalNotAuthorized: entry(130, "global revocation not authorized", "RFC 5846 §5.2"),
  identityRequired: entry(131, "revoked mobile nodes identity required", "RFC 5846 §5.2"),
  mobileNodeAttached: entry(132, "revocation failed, mobile node is attached", "RFC 5846 §5.2"),
  triggerNotSupported: entry(133, "revocation trigger not supported", "RFC 5846 §5.2"),
  functionNotSupported: entry(134, "revocation function not supported", "RFC 5846 §5.2"),
  proxyNotSupported: entry(135, "proxy binding revocation not supported", "RFC 5846 §5.2"),
} as const;
export const RevocationStatus = codes(REVOCATION_STATUS_REGISTRY);

export const REVOCATION_TYPE_REGISTRY = {
  indication: entry(1, "Binding Revocation Indication", "RFC 5846 §5.1"),
  acknowledgement: entry(2, "Binding Revocation Acknowledgement", "RFC 5846 §5.2"),
} as const;
export const RevocationType = codes(REVOCATION_TYPE_REGISTRY);

/** IPv4 route optimisation modes (draft-oulai-mext-dsmip-ro). */
export const RO_MODE_REGISTRY = {
  all: entry(0, "all", "draft-oulai-mext-dsmip-ro-00 §6.2"),
  ipv6Encapsulation: entry(1, "IPv6 encapsulation", "draft-oulai-mext-dsmip-ro-00 §6.2"),
  ipv4Mapped: entry(2, "IPv4-mapped addresses", "draft-oulai-mext-dsmip-ro-00 §6.2"),
  ipv4Encapsulation: entry(3, "IPv4 encapsulation", "draft-oulai-mext-dsmip-ro-00 §6.2"),
  ipv4Udp: entry(4, "IPv4-UDP encapsulation", "draft-oulai-mext-dsmip-ro-00 §6.2"),
} as const;
export const RoMode = codes(RO_MODE_REGISTRY);

export const DESTINATION_OPTION_REGISTRY = {
  pad1: entry(0x00, "Pad1", "RFC 8200 §4.2"),
  padN: entry(0x01, "PadN", "RFC 8200 §4.2"),
  homeAddress: entry(0xc9, "Home Address", "RFC 6275 §6.3"),
} as const;
export const DestinationOptionType = codes(DESTINATION_OPTION_REGISTRY);
