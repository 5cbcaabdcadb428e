/**
 * Keygen tokens, the binding management key and the authenticator of return routability (RFC 6275 §5.2.5, §5.2.6), and the combined forms
 * of draft-oulai-mext-dsmip-ro-00 §6.4. Functions of their arguments alone: the random octets are the caller's.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { type Ipv4Address, type Ipv6Address, ipToBytes } from "../../../base/ip.js";
import { Secret } from "../../../base/secret.js";

/** Octets of a correspondent's own key, Kcn. */
export const KCN_OCTETS = 20;
/** Octets of one of its nonces. */
export const NONCE_OCTETS = 8;
/** Octets of a home or care-of init cookie. */
export const COOKIE_OCTETS = 8;
const TOKEN_OCTETS = 8;
const AUTHENTICATOR_OCTETS = 12;

/** What a home test is about: with both addresses it is the draft's (RO-6.4.1). */
export interface HomeTestSubject {
  readonly homeAddress: Ipv6Address;
  readonly ipv4HomeAddress?: Ipv4Address;
}

/** What a care-of test is about: over IPv4 it is the draft's (RO-6.4.2). */
export type CareOfTestSubject =
  | { readonly careOf: Ipv6Address }
  | {
      /** As the mobile node knows it. */
      readonly careOf: Ipv4Address;
      /** From where the message came, after any NAT: makes the value unique among nodes with the same private address. */
      readonly observed: { readonly address: Ipv4Address; readonly port: number };
    };

/** First(64, HMAC-SHA1(Kcn, home address | nonce | 0)). */
export function homeKeygenToken(kcn: Secret, nonce: Uint8Array, subject: HomeTestSubject): Uint8Array {
  const { homeAddress, ipv4HomeAddress } = subject;
  const ipv4 = ipv4HomeAddress === undefined ? [] : [ipToBytes(ipv4HomeAddress)];
  return token(kcn, [ipToBytes(homeAddress), ...ipv4, nonce], 0);
}

/** First(64, HMAC-SHA1(Kcn, care-of address | nonce | 1)). */
export function careOfKeygenToken(kcn: Secret, nonce: Uint8Array, subject: CareOfTestSubject): Uint8Array {
  if (!("observed" in subject)) return token(kcn, [ipToBytes(subject.careOf), nonce], 1);
  const { careOf, observed } = subject;
  const port = Uint8Array.of(observed.port >> 8, observed.port & 0xff);
  return token(kcn, [ipToBytes(careOf), port, ipToBytes(observed.address), nonce], 1);
}

function token(kcn: Secret, octets: readonly Uint8Array[], last: 0 | 1): Uint8Array {
  const mac = createHmac("sha1", kcn.reveal());
  for (const part of octets) mac.update(part);
  return new Uint8Array(mac.update(Uint8Array.of(last)).digest().subarray(0, TOKEN_OCTETS));
}

/** Kbm = SHA1(home keygen token | care-of keygen token); without the latter it is that of an update which deletes a binding. */
export function bindingManagementKey(homeToken: Uint8Array, careOfToken?: Uint8Array): Secret {
  const hash = createHash("sha1").update(homeToken);
  if (careOfToken !== undefined) hash.update(careOfToken);
  return new Secret(new Uint8Array(hash.digest()));
}

/**
 * First(96, HMAC-SHA1(Kbm, `covered`)); `covered`: care-of address | correspondent | Mobility Header without its authenticator, as
 * `bindingAuthorizationInput` gives it (RFC 6275 §6.2.7).
 */
export function bindingAuthenticator(kbm: Secret, covered: Uint8Array): Uint8Array {
  const mac = createHmac("sha1", kbm.reveal()).update(covered).digest();
  return new Uint8Array(mac.subarray(0, AUTHENTICATOR_OCTETS));
}

/** Whether it is the authenticator of this key; in a time that tells nothing of where they differ. */
export function isAuthenticator(kbm: Secret, covered: Uint8Array, authenticator: Uint8Array): boolean {
  return (
    authenticator.length === AUTHENTICATOR_OCTETS && timingSafeEqual(bindingAuthenticator(kbm, covered), authenticator)
  );
}
