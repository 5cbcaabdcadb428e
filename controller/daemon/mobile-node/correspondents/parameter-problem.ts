/** ICMPv6 Parameter Problems about mobility messages: whoever sends one does not know Mobile IPv6 (RFC 6275 §11.3.5). Any octets are read. */
import { type Ipv6Address, ipv6FromBytes } from "../../../base/ip.js";
import { decodeIcmpv6 } from "../../../wire/icmpv6.js";
import { ParameterProblemCode } from "../../../wire/ip/icmpv6-errors.js";
import { IPV6_HEADER_OCTETS } from "../../../wire/ip/ipv6.js";
import { Protocol } from "../../../wire/ip/registry.js";

/** Of the message in error. */
export interface ErroneousMessage {
  readonly destination: Ipv6Address;
}

const NEXT_HEADER = 6;
const DESTINATION = 24;
/** A Home Address option stands before the Mobility Header. */
const HEADERS_BEFORE = 2;

/** What the ICMPv6 message is about; undefined: about nothing of ours, or of another kind. */
export function erroneousMessage(octets: Uint8Array): ErroneousMessage | undefined {
  const message = decodeIcmpv6(octets);
  if (!message.ok || message.value.type !== "parameter-problem") return undefined;
  const { code, packet } = message.value;
  if (code === ParameterProblemCode.erroneousField || packet.length < IPV6_HEADER_OCTETS) return undefined;
  let next = packet[NEXT_HEADER];
  let at = IPV6_HEADER_OCTETS;
  for (let i = 0; i < HEADERS_BEFORE && next === Protocol.destinationOptions; i++) {
    next = packet[at];
    at += 8 * ((packet[at + 1] ?? 0) + 1);
  }
  if (next !== Protocol.mobility) return undefined;
  return { destination: ipv6FromBytes(packet.subarray(DESTINATION, IPV6_HEADER_OCTETS)) };
}
