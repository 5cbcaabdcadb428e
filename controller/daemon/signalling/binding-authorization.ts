/** Binding Authorization Data on the way out and on the way in (RFC 6275 §6.2.7): what it covers are octets, which no machine sees. */
import type { Ipv6Address } from "../../base/ip.js";
import type { Secret } from "../../base/secret.js";
import { bindingAuthenticator, isAuthenticator } from "../../protocol/mip6/return-routability/tokens.js";
import { bindingAuthorizationInput } from "../../wire/mip6/messages/authenticated-octets.js";
import { decodeMobilityMessage, encodeMobilityMessage } from "../../wire/mip6/messages/mobility-header.js";
import type { MobilityMessage } from "../../wire/mip6/messages/mobility-message.js";
import { findOption } from "../../wire/mip6/options/mobility.js";

/** Of the Mobility Data. */
export interface AuthorizedEnds {
  /** The care-of address that is registered, or the home address where a binding is deleted. */
  readonly careOf: Ipv6Address;
  readonly correspondent: Ipv6Address;
}

/** The message with its authenticator; as it is, if it has no such option. */
export function withAuthenticator<M extends MobilityMessage>(message: M, key: Secret, ends: AuthorizedEnds): M {
  if (message.type === "unknown") return message;
  const covered = coveredOctets(encodeMobilityMessage(message), ends);
  if (covered === undefined) return message;
  const authenticator = bindingAuthenticator(key, covered);
  const options = message.options.map((option) =>
    option.kind === "binding-authorization-data" ? { ...option, authenticator } : option,
  );
  return { ...message, options };
}

/** What the authenticator in these octets of a Mobility Header covers; undefined without one. */
export function coveredOctets(octets: Uint8Array, { careOf, correspondent }: AuthorizedEnds): Uint8Array | undefined {
  const covered = bindingAuthorizationInput(octets, careOf, correspondent);
  return covered.ok ? covered.value : undefined;
}

/** Whether these octets of a Mobility Header have the authenticator that this key makes. */
export function isAuthorizedBy(octets: Uint8Array, key: Secret, ends: AuthorizedEnds): boolean {
  const covered = coveredOctets(octets, ends);
  const message = decodeMobilityMessage(octets);
  if (covered === undefined || !message.ok || message.value.type === "unknown") return false;
  const authenticator = findOption(message.value.options, "binding-authorization-data")?.authenticator;
  return authenticator !== undefined && isAuthenticator(key, covered, authenticator);
}
