/** IPv6 for a Mobile IPv4 node (RFC 5454 §2): type 152 in the short format. */
import { EncodeError } from "../../../base/errors.js";
import { type Ipv6Address, maskAddress } from "../../../base/ip.js";
import { type Field, inline, ipv6Address, reserved, struct, u8 } from "../../codec.js";
import { DualStackSubtype, RegistrationExtensionType } from "../registry.js";
import { subtyped } from "./codec.js";

export interface NetworkPrefixValue {
  /** Bits, 0 to 128, or 255 for a link-local address; other values decode and are for the home agent to refuse. */
  readonly prefixLength: number;
  /** Bits after the prefix length are zero: a sender's are made so on receipt (V4-3.1-03), ours have to be. */
  readonly prefix: Ipv6Address;
}

const masked = (prefix: Ipv6Address, length: number): Ipv6Address =>
  length <= 128 ? maskAddress(prefix, length) : prefix;

/** Prefix length, in a reply an octet of nothing, and the prefix. */
const networkPrefix = (reservedOctets: number): Field<NetworkPrefixValue> => {
  const fields = struct({ prefixLength: u8, reserved: reserved(reservedOctets), prefix: ipv6Address });
  return {
    decode(reader, name): NetworkPrefixValue {
      const { prefixLength, prefix } = fields.decode(reader, name);
      return { prefixLength, prefix: masked(prefix, prefixLength) };
    },
    encode(writer, name, value): void {
      if (masked(value.prefix, value.prefixLength) !== value.prefix) {
        throw new EncodeError("prefix", `${value.prefix} has bits after its first ${value.prefixLength}`);
      }
      fields.encode(writer, name, value);
    },
  };
};

const numbers = <const S extends number>(subtype: S) =>
  ({ type: RegistrationExtensionType.dualStack, subtype, format: "short" }) as const;

export const DUAL_STACK_EXTENSIONS = [
  subtyped("ipv6-prefix-request", numbers(DualStackSubtype.prefixRequest), { network: inline(networkPrefix(0)) }),
  subtyped("ipv6-prefix-reply", numbers(DualStackSubtype.prefixReply), {
    /** Of `PrefixCode`; below 8 it is accepted. */
    code: u8,
    network: inline(networkPrefix(1)),
  }),
  /** IPv6 may be tunnelled to the care-of address. */
  subtyped("ipv6-tunnelling-mode", numbers(DualStackSubtype.tunnellingMode), { reserved: reserved(1) }),
] as const;
