/** The mobility options of RFC 6275 §6.2.4 to §6.2.7. Offsets in the comments count from the option type octet. */
import { ipv6Address, octets, u16 } from "../../codec.js";
import { OptionType } from "../registry.js";
import { option } from "./codec.js";

/** Octets of the authenticator of a Binding Authorization Data option: First(96, HMAC-SHA1). */
export const AUTHENTICATOR_OCTETS = 12;

export const BASE_OPTIONS = [
  option("binding-refresh-advice", OptionType.bindingRefreshAdvice, [2, 0], {
    /** Time until the mobile node should refresh, in units of 4 seconds. */
    intervalUnits: u16,
  }),
  option("alternate-care-of-address", OptionType.alternateCareOfAddress, [8, 6], { address: ipv6Address }),
  option("nonce-indices", OptionType.nonceIndices, [2, 0], { homeNonceIndex: u16, careOfNonceIndex: u16 }),
  // The last option of its message, so that no padding follows: 8n+2 plus 14 octets ends on a multiple of 8.
  option("binding-authorization-data", OptionType.bindingAuthorizationData, [8, 2], {
    authenticator: octets(AUTHENTICATOR_OCTETS),
  }),
] as const;
