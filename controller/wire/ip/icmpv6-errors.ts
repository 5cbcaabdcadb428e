/** ICMPv6 error messages (RFC 4443 §3). `packet` is as much of the packet in error as fits. */
import { reserved, rest, u32 } from "../codec.js";
import { coded, icmpv6 } from "./icmpv6-codec.js";
import { Icmpv6Type } from "./registry.js";

/** Codes of a parameter problem (RFC 4443 §3.4). */
export const ParameterProblemCode = { erroneousField: 0, unrecognizedNextHeader: 1, unrecognizedOption: 2 } as const;

export const ICMPV6_ERRORS = [
  icmpv6("destination-unreachable", Icmpv6Type.destinationUnreachable, { ...coded, unused: reserved(4), packet: rest }),
  icmpv6("packet-too-big", Icmpv6Type.packetTooBig, { ...coded, mtu: u32, packet: rest }),
  icmpv6("time-exceeded", Icmpv6Type.timeExceeded, { ...coded, unused: reserved(4), packet: rest }),
  icmpv6("parameter-problem", Icmpv6Type.parameterProblem, {
    ...coded,
    /** Octets from the start of `packet` to the field in error. */
    pointer: u32,
    packet: rest,
  }),
] as const;
