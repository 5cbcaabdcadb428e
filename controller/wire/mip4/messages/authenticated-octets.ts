/**
 * Which octets of a registration message an authenticator covers (RFC 5944 §3.5.1): the UDP payload from its start, all extensions in
 * front, and type, length and SPI of the authentication extension itself. The hash is made elsewhere: this layer only says what goes
 * into it, and where the result stands.
 */
import { ByteWriter } from "../../../base/bytes.js";
import { REGISTRATION_EXTENSIONS, type RegistrationExtension } from "../extensions/registration.js";
import {
  encodeControlMessage,
  type LocatedControlMessage,
  locateControlMessage,
  type RegistrationMessage,
} from "./control-message.js";

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
export const authenticationsOf = (message: Uint8Array): readonly Authentication[] =>
  authenticationsAt(locateControlMessage(message).spans, message);

/** The same of a message that is read already. */
export function authenticationsAt(
  spans: LocatedControlMessage["spans"],
  message: Uint8Array,
): readonly Authentication[] {
  return spans.flatMap(({ extension, end }) =>
    isAuthentication(extension)
      ? [{ extension, covered: message.subarray(0, end - extension.authenticator.length) }]
      : [],
  );
}

/** What makes the authenticator of one extension. */
export interface Authenticator {
  /** In octets, whatever is covered. */
  readonly length: number;
  over(covered: Uint8Array): Uint8Array;
}

export type Authenticate = (extension: AuthenticationExtension) => Authenticator;

/** The octets of a message with all its authenticators made, the first one first, as each covers those in front of it. */
export function encodeAuthenticated(message: RegistrationMessage, authenticate: Authenticate): Uint8Array {
  return appendAuthenticated(encodeControlMessage({ ...message, extensions: [] }), message.extensions, authenticate);
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
  const writer = new ByteWriter(octets.length + 128).bytes(octets);
  const places: { readonly authenticator: Authenticator; readonly covered: number }[] = [];
  for (const extension of extensions) {
    if (!isAuthentication(extension)) {
      REGISTRATION_EXTENSIONS.encode(writer, [extension]);
      continue;
    }
    // Room first: the Length octet is covered.
    const authenticator = authenticate(extension);
    REGISTRATION_EXTENSIONS.encode(writer, [{ ...extension, authenticator: new Uint8Array(authenticator.length) }]);
    places.push({ authenticator, covered: writer.length - authenticator.length });
  }
  const message = writer.finish();
  for (const { authenticator, covered } of places)
    message.set(authenticator.over(message.subarray(0, covered)), covered);
  return message;
}
