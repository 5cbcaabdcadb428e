/** Authenticators of registration messages (RFC 5944 §5.1): the algorithm and the key that an SPI stands for, and what they compute. */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { Mip4Algorithm } from "../../../schemas/keys.js";
import type { Mip4Key } from "../../config/keys.js";
import type { AuthenticationVerdict } from "../../protocol/mip4/inputs.js";
import type {
  Authenticate,
  Authentication,
  AuthenticationExtension,
} from "../../wire/mip4/messages/authenticated-octets.js";

/** The hash function, and the octets that it gives. */
const DIGESTS: Readonly<Record<Mip4Algorithm, { readonly name: string; readonly length: number }>> = {
  "hmac-md5": { name: "md5", length: 16 },
  "hmac-sha1": { name: "sha1", length: 20 },
  "hmac-sha256": { name: "sha256", length: 32 },
};

/** What an SPI stands for between two parties. */
export type AuthenticationKey = Pick<Mip4Key, "algorithm" | "key">;

/** The key for an authentication extension; undefined: there is no security association. */
export type KeyOf = (extension: AuthenticationExtension) => AuthenticationKey | undefined;

/** The whole output of the algorithm: RFC 5944 truncates nothing. */
export function authenticatorOf({ algorithm, key }: AuthenticationKey, covered: Uint8Array): Uint8Array {
  return createHmac(DIGESTS[algorithm].name, key.reveal()).update(covered).digest();
}

/** In a time that does not tell how much of the authenticator is right. */
export function verdictOn({ extension, covered }: Authentication, keyOf: KeyOf): AuthenticationVerdict {
  const key = keyOf(extension);
  if (key === undefined) return "no-association";
  if (extension.authenticator.length !== DIGESTS[key.algorithm].length) return "invalid";
  return timingSafeEqual(authenticatorOf(key, covered), extension.authenticator) ? "valid" : "invalid";
}

/** Makes the authenticators of a message of ours. Throws TypeError if there is no key for one: the machine asked for what is not there. */
export function authenticateWith(keyOf: KeyOf): Authenticate {
  return (extension) => {
    const key = keyOf(extension);
    if (key === undefined) throw new TypeError(`no key for ${extension.kind}, SPI ${extension.spi}`);
    return { length: DIGESTS[key.algorithm].length, over: (covered) => authenticatorOf(key, covered) };
  };
}
