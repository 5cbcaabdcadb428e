/**
 * Home agent address discovery and mobile prefix discovery (RFC 6275 §6.5 to §6.8, RFC 3963 §7). A solicitation travels with a
 * Home Address option and an advertisement with a type 2 routing header, which are not part of these octets.
 */
import { bits, ipv6Address, listToEnd, reserved, u16 } from "../../codec.js";
import { icmpv6, uncoded } from "../../ip/icmpv6-codec.js";
import { ndOptions } from "../../ip/nd-options.js";
import { Icmpv6Type } from "../../ip/registry.js";

const discoveryFlags = bits(2, {
  /** R: home agents that serve mobile routers are wanted, or at least one of those listed does (RFC 3963 §7). */
  mobileRouter: 0x8000,
});

export const ICMPV6_MOBILITY = [
  icmpv6("home-agent-address-discovery-request", Icmpv6Type.homeAgentAddressDiscoveryRequest, {
    ...uncoded,
    identifier: u16,
    flags: discoveryFlags,
  }),
  icmpv6("home-agent-address-discovery-reply", Icmpv6Type.homeAgentAddressDiscoveryReply, {
    ...uncoded,
    identifier: u16,
    flags: discoveryFlags,
    /** The most preferred first. */
    addresses: listToEnd(ipv6Address),
  }),
  icmpv6("mobile-prefix-solicitation", Icmpv6Type.mobilePrefixSolicitation, {
    ...uncoded,
    identifier: u16,
    reserved: reserved(2),
  }),
  icmpv6("mobile-prefix-advertisement", Icmpv6Type.mobilePrefixAdvertisement, {
    ...uncoded,
    identifier: u16,
    flags: bits(2, { managedAddresses: 0x8000, otherConfiguration: 0x4000 }),
    options: ndOptions,
  }),
] as const;
