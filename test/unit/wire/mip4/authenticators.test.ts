/** What an authenticator covers, by vectors that hmac of Python made, and by changing every octet. */

import t from "tap";
import { fromHex, toHex } from "../../../../controller/base/bytes.js";
import { Secret } from "../../../../controller/base/secret.js";
import {
  type AuthenticationKey,
  authenticateWith,
  verdictOn,
} from "../../../../controller/daemon/mip4/authenticators.js";
import {
  type AuthenticationKind,
  authenticationsOf,
  encodeAuthenticated,
  isAuthentication,
} from "../../../../controller/wire/mip4/messages/authenticated-octets.js";
import {
  locateControlMessage,
  type RegistrationMessage,
} from "../../../../controller/wire/mip4/messages/control-message.js";
import type { Mip4Algorithm } from "../../../../schemas/keys.js";
import { loadVectors } from "../../../lib/wire-vectors.js";

const key = new Secret(fromHex("000102030405060708090a0b0c0d0e0f"));
const keyed = (algorithm: Mip4Algorithm): AuthenticationKey => ({ algorithm, key });

function octetsOf(name: string): Uint8Array {
  const vector = loadVectors("mip4-control").find((candidate) => candidate.name === name);
  if (vector === undefined) throw new Error(`no vector ${name}`);
  return fromHex(vector.hex);
}

function registrationOf(octets: Uint8Array): RegistrationMessage {
  const { message } = locateControlMessage(octets);
  if (message.type !== "registration-request" && message.type !== "registration-reply") throw new Error(message.type);
  return message;
}

const VECTORS: readonly (readonly [name: string, algorithm: Mip4Algorithm, authentications: number])[] = [
  ["T-13", "hmac-md5", 1],
  ["Mobile-Home authentication, HMAC-sha1", "hmac-sha1", 1],
  ["Mobile-Home authentication, HMAC-sha256", "hmac-sha256", 1],
  ["all three authentications", "hmac-md5", 3],
];

t.test("F5944-3.5.1-01: the authenticators of others are valid, and ours are the same", (t) => {
  for (const [name, algorithm, count] of VECTORS) {
    const octets = octetsOf(name);
    const found = authenticationsOf(octets);
    t.equal(found.length, count, name);
    for (const one of found)
      t.equal(
        verdictOn(one, () => keyed(algorithm)),
        "valid",
        `${name}: ${one.extension.kind}`,
      );
    const unsigned = registrationOf(octets);
    const extensions = unsigned.extensions.map((extension) =>
      isAuthentication(extension) ? { ...extension, authenticator: new Uint8Array(0) } : extension,
    );
    const made = encodeAuthenticated(
      { ...unsigned, extensions },
      authenticateWith(() => keyed(algorithm)),
    );
    t.equal(toHex(made), toHex(octets), name);
  }
  t.end();
});

t.test("F5944-3.5.1-01, V4-4.1-03: every octet in front of an authenticator counts, none behind it", (t) => {
  const octets = octetsOf("all three authentications");
  const [home] = authenticationsOf(octets);
  if (home === undefined) throw new Error("no authentication");
  const end = home.covered.length + home.extension.authenticator.length;
  const prefixed = octetsOf("T-13");
  for (const [what, message, covered] of [
    ["registration", octets, home.covered.length],
    ["prefix request and tunnelling mode", prefixed, authenticationsOf(prefixed)[0]?.covered.length ?? 0],
  ] as const) {
    for (let at = 1; at < covered; at++) {
      const changed = message.slice();
      changed[at] = (message[at] ?? 0) ^ 0x01;
      t.notOk(homeIsValid(changed), `${what}: octet ${at} of ${covered}`);
    }
  }
  for (let at = end; at < octets.length; at++) {
    const changed = octets.slice();
    changed[at] = (octets[at] ?? 0) ^ 0x10;
    // What follows may no longer be a message; where it is, the first authentication does not change.
    if (decodes(changed)) t.ok(homeIsValid(changed), `octet ${at}, behind it`);
  }
  t.end();
});

function decodes(octets: Uint8Array): boolean {
  try {
    return authenticationsOf(octets).length > 0;
  } catch {
    return false;
  }
}

function homeIsValid(octets: Uint8Array): boolean {
  if (!decodes(octets)) return false;
  const kind: AuthenticationKind = "mobile-home-authentication";
  const home = authenticationsOf(octets).find(({ extension }) => extension.kind === kind);
  return home !== undefined && verdictOn(home, ({ spi }) => (spi === 256 ? keyed("hmac-md5") : undefined)) === "valid";
}

t.test("another algorithm, another key, another length, and no key", (t) => {
  const [one] = authenticationsOf(octetsOf("T-13"));
  if (one === undefined) throw new Error("no authentication");
  t.equal(
    verdictOn(one, () => keyed("hmac-sha1")),
    "invalid",
  );
  t.equal(
    verdictOn(one, () => ({ algorithm: "hmac-md5", key: new Secret(fromHex("00".repeat(16))) })),
    "invalid",
  );
  const cut = { ...one, extension: { ...one.extension, authenticator: one.extension.authenticator.subarray(0, 12) } };
  t.equal(
    verdictOn(cut, () => keyed("hmac-md5")),
    "invalid",
    "12 octets of it are not it",
  );
  t.equal(
    verdictOn(one, () => undefined),
    "no-association",
  );
  t.throws(
    () =>
      encodeAuthenticated(
        registrationOf(octetsOf("T-13")),
        authenticateWith(() => undefined),
      ),
    TypeError,
  );
  t.end();
});
