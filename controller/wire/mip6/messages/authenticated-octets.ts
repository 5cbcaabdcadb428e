/**
 * Which octets of a Mobility Header an authenticator covers. The hash is made elsewhere: this layer only says what goes into it.
 * A sender encodes the message with an authenticator of zeros, hashes what these functions return, and encodes it again.
 */
import { ByteWriter } from "../../../base/bytes.js";
import type { DecodeError } from "../../../base/errors.js";
import { type IpAddress, type Ipv6Address, ipToBytes } from "../../../base/ip.js";
import type { Result } from "../../../base/result.js";
import { decoding } from "../../codec.js";
import type { OptionSpan } from "../options/mobility.js";
import type { CodecContext } from "../profile.js";
import { locateMessage } from "./mobility-header.js";

const CHECKSUM_OFFSET = 4;
/** Octets of an authentication option up to and including its SPI. */
const AUTHENTICATION_PREFIX_OCTETS = 7;

/**
 * Care-of address | correspondent | MH data (RFC 6275 §6.2.7): the whole Mobility Header with a checksum of zero and without the
 * authenticator; with two of them, in a profile that permits it, without both (C-45). `correspondent` is the home agent's address
 * where the message goes to one. Undefined if the message has no Binding Authorization Data option.
 */
export function bindingAuthorizationInput(
  message: Uint8Array,
  careOf: IpAddress,
  correspondent: Ipv6Address,
  context: CodecContext = {},
): Result<Uint8Array | undefined, DecodeError> {
  return decoding(() => {
    const { spans, length } = locateMessage(message, context);
    const authenticators = spans.filter(({ option }) => option.kind === "binding-authorization-data");
    if (authenticators.length === 0) return undefined;
    const writer = new ByteWriter(32 + length).bytes(ipToBytes(careOf)).bytes(ipToBytes(correspondent));
    const octets = withoutChecksum(message.subarray(0, length));
    let from = 0;
    for (const { offset, end } of authenticators) {
      writer.bytes(octets.subarray(from, offset + 2));
      from = end;
    }
    return writer.bytes(octets.subarray(from)).finish();
  });
}

/**
 * Care-of address | home address | MH up to and including the SPI of the authentication option `index` (0 the first), with a checksum
 * of zero (RFC 4285 §5.1). Undefined if the message has no such option.
 */
export function authenticationOptionInput(
  message: Uint8Array,
  careOf: IpAddress,
  homeAddress: Ipv6Address,
  index = 0,
): Result<Uint8Array | undefined, DecodeError> {
  return decoding(() => {
    const { spans, length } = locateMessage(message);
    const span: OptionSpan | undefined = spans.filter(({ option }) => option.kind === "authentication")[index];
    if (span === undefined) return undefined;
    const octets = withoutChecksum(message.subarray(0, length));
    return new ByteWriter(32 + length)
      .bytes(ipToBytes(careOf))
      .bytes(ipToBytes(homeAddress))
      .bytes(octets.subarray(0, span.offset + AUTHENTICATION_PREFIX_OCTETS))
      .finish();
  });
}

function withoutChecksum(message: Uint8Array): Uint8Array {
  return message.slice().fill(0, CHECKSUM_OFFSET, CHECKSUM_OFFSET + 2);
}
