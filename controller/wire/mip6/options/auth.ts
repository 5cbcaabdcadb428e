/**
 * Optional mobility options: identification and authentication without IPsec (RFC 4283, RFC 4285), DNS update (RFC 5026), and the
 * experimental option (RFC 5096). Nothing is computed here; authenticated-octets.ts says which octets an authenticator covers.
 */
import { bits, inline, rest, u8, u32 } from "../../codec.js";
import { OptionType } from "../registry.js";
import { option } from "./codec.js";

export const AUTH_OPTIONS = [
  option("mobile-node-identifier", OptionType.mobileNodeIdentifier, [1, 0], {
    /** 1: the identifier is a network access identifier. */
    subtype: u8,
    /** UTF-8 text for subtype 1. */
    identifier: rest,
  }),
  // 4n+1 and the last option of its message, but for another option of its kind and padding (RFC 4285 §5).
  option("authentication", OptionType.authentication, [4, 1], {
    /** 1: between mobile node and home agent; 2: between mobile node and AAA server. */
    subtype: u8,
    /** Mobility security parameter index. */
    spi: u32,
    authenticator: rest,
  }),
  option("message-identification", OptionType.messageIdentification, [8, 2], {
    /** Seconds of the NTP timestamp. */
    seconds: u32,
    /** Fraction of a second of the NTP timestamp, in units of 2^-32 s. */
    fraction: u32,
  }),
  option("dns-update", OptionType.dnsUpdate, [1, 0], {
    /** Result of the update, in a binding acknowledgement; 0 in a binding update. */
    status: u8,
    flags: inline(
      bits(1, {
        /** R: the DNS entry is to be removed. */
        remove: 0x80,
      }),
    ),
    /** The mobile node's fully qualified domain name, as it came. */
    identity: rest,
  }),
  option("experimental", OptionType.experimental, [1, 0], { data: rest }),
] as const;
