/**
 * Which octets of a registration message an authenticator covers (RFC 5944 §3.5.1): the UDP payload from its start, all extensions in
 * front, and type, length and SPI of the authentication extension itself. The hash is made elsewhere: this layer only says what goes
 * into it, and where the result stands.
 */
import { ByteWriter } from "../../../base/bytes.js";
import { REGISTRATION_EXTENSIONS, type RegistrationExtension } from "../extensions/registration.js";
import { encodeControlMessage, locateControlMessage, type RegistrationMessage } from "./control-message.js";

export type AuthenticationKind =
  | "mobile-home-authentication"
  | "mobile-foreign-authentication"
  | "foreign-home-authentication"
  | "mobile-aaa-authentication";
export type AuthenticationExtension = Extract<RegistrationExtension, { readonly kind: AuthenticationKind }>;

const KINDS: ReadonlySet<string> = new Set<AuthenticationKind>([
  "mobile-home-authentication",
  "mobile-foreign-authentication",
  "foreign-home-authentication",
  "mobile-aaa-authentication",
]);

export const isAuthentication = (extension: RegistrationExtension): extension is AuthenticationExtension =>
  KINDS.has(extension.kind);

/** One authentication extension of a message, and the octets that its authenticator covers. */
export interface Authentication {
  readonly extension: AuthenticationExtension;
  /** A view of the message. */
  readonly covered: Uint8Array;
}

/** The authentications of an encoded message in their order; none of one that is no registration message. Throws DecodeError. */
export function authenticationsOf(message: Uint8Array): readonly Authentication[] {
  return locateControlMessage(message).spans.flatMap(({ extension, end }) =>
    isAuthentication(extension)
      ? [{ extension, covered: message.subarray(0, end - extension.authenticator.length) }]
      : [],
  );
}

/** The authenticator of an extension over the octets that it covers; its length does not depend on them. */
export type Authenticate = (extension: AuthenticationExtension, covered: Uint8Array) => Uint8Array;

/** The octets of a message with all its authenticators made, the first one first, as each covers those in front of it. */
export function encodeAuthenticated(message: RegistrationMessage, authenticate: Authenticate): Uint8Array {
  // Their lengths have to stand before the first is made, as its own Length octet is covered.
  const sized = message.extensions.map((extension) =>
    isAuthentication(extension)
      ? { ...extension, authenticator: new Uint8Array(authenticate(extension, new Uint8Array(0)).length) }
      : extension,
  );
  const octets = encodeControlMessage({ ...message, extensions: sized });
  for (const { extension, covered } of authenticationsOf(octets)) {
    octets.set(authenticate(extension, covered), covered.length);
  }
  return octets;
}

/**
 * The octets of a message with extensions behind them, which stay as they are: what an agent adds to a message of another's. The
 * authenticators of the extensions are made in their order.
 */
export function appendAuthenticated(
  octets: Uint8Array,
  extensions: readonly RegistrationExtension[],
  authenticate: Authenticate,
): Uint8Array {
  let message = octets;
  for (const extension of extensions) {
    const made = isAuthentication(extension) ? authenticate(extension, new Uint8Array(0)).length : 0;
    const sized = isAuthentication(extension) ? { ...extension, authenticator: new Uint8Array(made) } : extension;
    const writer = new ByteWriter(message.length + 64).bytes(message);
    REGISTRATION_EXTENSIONS.encode(writer, [sized]);
    message = writer.finish();
    if (!isAuthentication(extension)) continue;
    const covered = message.length - made;
    message.set(authenticate(extension, message.subarray(0, covered)), covered);
  }
  return message;
}
