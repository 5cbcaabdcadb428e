/** Who registers, for which challenge, and how it hands packets to a foreign agent (RFC 2794, RFC 4721, RFC 3024). */
import { EncodeError } from "../../../base/errors.js";
import { type Field, rest } from "../../codec.js";
import { RegistrationExtensionType } from "../registry.js";
import { extension } from "./codec.js";

/** At least one octet to the end of the extension. */
export const someOctets: Field<Uint8Array> = {
  decode(reader, name): Uint8Array {
    if (reader.remaining === 0) throw reader.error("nothing there", name);
    return rest.decode(reader, name);
  },
  encode(writer, name, value): void {
    if (value.length === 0) throw new EncodeError(name, "nothing there");
    rest.encode(writer, name, value);
  },
};

export const IDENTITY_EXTENSIONS = [
  extension("encapsulating-delivery", RegistrationExtensionType.encapsulatingDelivery, {}),
  extension("network-access-identifier", RegistrationExtensionType.networkAccessIdentifier, {
    /** The octets as sent; as text they are UTF-8 (RFC 7542 §2.2), which is for the reader to insist on. */
    identifier: someOctets,
  }),
  extension("mobile-foreign-challenge", RegistrationExtensionType.mobileForeignChallenge, { challenge: someOctets }),
] as const;
