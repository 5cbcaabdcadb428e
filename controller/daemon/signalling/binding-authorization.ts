/** Binding Authorization Data on the way out and on the way in (RFC 6275 §6.2.7): what it covers are octets, which no machine sees. */
import type { IpAddress, Ipv6Address } from "../../base/ip.js";
import { Secret } from "../../base/secret.js";
import { bindingAuthenticator, isAuthenticator } from "../../protocol/mip6/return-routability/tokens.js";
import { bindingAuthorizationInput } from "../../wire/mip6/messages/authenticated-octets.js";
import { decodeMobilityMessage, encodeMobilityMessage } from "../../wire/mip6/messages/mobility-header.js";
import type { MobilityMessage } from "../../wire/mip6/messages/mobility-message.js";
import { findOptions } from "../../wire/mip6/options/mobility.js";
import type { CodecContext } from "../../wire/mip6/profile.js";

/** Of the Mobility Data. */
export interface AuthorizedEnds {
  /** The care-of address that is registered, or the home address where a binding is deleted. Over IPv4 its four octets. */
  readonly careOf: IpAddress;
  readonly correspondent: Ipv6Address;
}

/** One, or those of the IPv6 and of the IPv4 home address in the order of their options (C-45). */
export type AuthorizationKeys = Secret | readonly Secret[];

/** The message with its authenticators; as it is, if it has no such option. */
export function withAuthenticator<M extends MobilityMessage>(
  message: M,
  keys: AuthorizationKeys,
  ends: AuthorizedEnds,
  context: CodecContext = {},
): M {
  if (message.type === "unknown") return message;
  const covered = coveredOctets(encodeMobilityMessage(message, context), ends, context);
  if (covered === undefined) return message;
  const left = [...listed(keys)];
  const options = message.options.map((option) => {
    const key = option.kind === "binding-authorization-data" ? left.shift() : undefined;
    return key === undefined ? option : { ...option, authenticator: bindingAuthenticator(key, covered) };
  });
  return { ...message, options };
}

/** What the authenticators in these octets of a Mobility Header cover, each the same; undefined without one. */
export function coveredOctets(
  octets: Uint8Array,
  { careOf, correspondent }: AuthorizedEnds,
  context: CodecContext = {},
): Uint8Array | undefined {
  const covered = bindingAuthorizationInput(octets, careOf, correspondent, context);
  return covered.ok ? covered.value : undefined;
}

/** Whether these octets of a Mobility Header have the authenticators that these keys make, as many as there are keys. */
export function isAuthorizedBy(
  octets: Uint8Array,
  keys: AuthorizationKeys,
  ends: AuthorizedEnds,
  context: CodecContext = {},
): boolean {
  const covered = coveredOctets(octets, ends, context);
  const message = decodeMobilityMessage(octets, context);
  if (covered === undefined || !message.ok || message.value.type === "unknown") return false;
  const found = findOptions(message.value.options, "binding-authorization-data");
  const wanted = listed(keys);
  const fits = wanted.map((key, i) => {
    const authenticator = found[i]?.authenticator;
    return authenticator !== undefined && isAuthenticator(key, covered, authenticator);
  });
  return found.length === wanted.length && wanted.length > 0 && fits.every(Boolean);
}

const listed = (keys: AuthorizationKeys): readonly Secret[] => (keys instanceof Secret ? [keys] : keys);
