/** The authentication extensions (RFC 5944 §3.5.2 to §3.5.4, RFC 4721 §5). What they cover: messages/authenticated-octets.ts. */
import { EncodeError } from "../../../base/errors.js";
import { type Field, rest, u32 } from "../../codec.js";
import { RegistrationExtensionType } from "../registry.js";
import { extension, subtyped } from "./codec.js";

/** SPIs below this are not assigned by configuration (RFC 5944 §1.6). */
export const FIRST_FREE_SPI = 256;
/** Subtype of the generalized authentication extension for the mobile node's authentication towards an AAA server (RFC 4721 §6). */
export const MOBILE_AAA_SUBTYPE = 1;
/** Octets of a generalized authentication extension before its authenticator's, as its Length has to be 20 at least. */
const GENERALIZED_MINIMUM_OCTETS = 16;

const authenticatorOf = (minimum: number): Field<Uint8Array> => ({
  decode(reader, name): Uint8Array {
    if (reader.remaining < minimum) throw reader.error(`${reader.remaining} octets, ${minimum} at least`, name);
    return rest.decode(reader, name);
  },
  encode(writer, name, value): void {
    if (value.length < minimum) throw new EncodeError(name, `${value.length} octets, ${minimum} at least`);
    rest.encode(writer, name, value);
  },
});

const shape = {
  /** Selects key, algorithm and replay protection. */
  spi: u32,
  authenticator: authenticatorOf(1),
};

export const AUTHENTICATION_EXTENSIONS = [
  extension("mobile-home-authentication", RegistrationExtensionType.mobileHomeAuthentication, shape),
  extension("mobile-foreign-authentication", RegistrationExtensionType.mobileForeignAuthentication, shape),
  extension("foreign-home-authentication", RegistrationExtensionType.foreignHomeAuthentication, shape),
  subtyped(
    "mobile-aaa-authentication",
    { type: RegistrationExtensionType.generalizedAuthentication, subtype: MOBILE_AAA_SUBTYPE, format: "long" },
    { spi: u32, authenticator: authenticatorOf(GENERALIZED_MINIMUM_OCTETS) },
  ),
] as const;
