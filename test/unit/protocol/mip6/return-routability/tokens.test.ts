/** Tokens, keys and authenticators of return routability, by vectors that hmac of Python made (test/vectors/return-routability). */
import { readFileSync } from "node:fs";
import t from "tap";
import { fromHex, toHex } from "../../../../../controller/base/bytes.js";
import { ipv4, ipv6 } from "../../../../../controller/base/ip.js";
import { Secret } from "../../../../../controller/base/secret.js";
import {
  bindingAuthenticator,
  bindingManagementKey,
  careOfKeygenToken,
  homeKeygenToken,
  isAuthenticator,
} from "../../../../../controller/protocol/mip6/return-routability/tokens.js";
import { bindingAuthorizationInput } from "../../../../../controller/wire/mip6/messages/authenticated-octets.js";
import {
  decodeMobilityMessage,
  encodeMobilityMessage,
} from "../../../../../controller/wire/mip6/messages/mobility-header.js";
import { findOption } from "../../../../../controller/wire/mip6/options/mobility.js";
import { repositoryPath } from "../../../../lib/repository.js";

interface Vectors {
  readonly kcn: string;
  readonly homeNonce: string;
  readonly careOfNonce: string;
  readonly homeTokens: readonly { homeAddress: string; ipv4HomeAddress?: string; token: string }[];
  readonly careOfTokens: readonly { careOf: string; observed?: { address: string; port: number }; token: string }[];
  readonly kbm: string;
  readonly kbmOfDeletion: string;
  readonly messages: readonly { name: string; careOf: string; correspondent: string; kbm: string; hex: string }[];
}

const VECTORS = JSON.parse(
  readFileSync(repositoryPath("test", "vectors", "return-routability", "vectors.json"), "utf8"),
) as Vectors;
const kcn = new Secret(fromHex(VECTORS.kcn));
const homeNonce = fromHex(VECTORS.homeNonce);
const careOfNonce = fromHex(VECTORS.careOfNonce);

t.test("F6275-5.2.5-01 RO-6.4.1-01: home keygen tokens, of an IPv6 home address and of both", (t) => {
  for (const { homeAddress, ipv4HomeAddress, token } of VECTORS.homeTokens) {
    const both = ipv4HomeAddress === undefined ? {} : { ipv4HomeAddress: ipv4(ipv4HomeAddress) };
    t.equal(toHex(homeKeygenToken(kcn, homeNonce, { homeAddress: ipv6(homeAddress), ...both })), token);
  }
  t.end();
});

t.test("F6275-5.2.5-01 RO-6.4.2-01 RO-6.4.2-02: care-of keygen tokens, over IPv6 and from behind a NAT", (t) => {
  const made = VECTORS.careOfTokens.map(({ careOf, observed }) =>
    toHex(
      careOfKeygenToken(
        kcn,
        careOfNonce,
        observed === undefined
          ? { careOf: ipv6(careOf) }
          : { careOf: ipv4(careOf), observed: { address: ipv4(observed.address), port: observed.port } },
      ),
    ),
  );
  t.strictSame(
    made,
    VECTORS.careOfTokens.map(({ token }) => token),
  );
  t.equal(new Set(made).size, made.length, "the same private address at two ports of a NAT is two values");
  t.end();
});

t.test("F6275-5.2.5-02: the binding management key, and that of a deletion", (t) => {
  const home = fromHex(VECTORS.homeTokens[0]?.token ?? "");
  const careOf = fromHex(VECTORS.careOfTokens[0]?.token ?? "");
  t.equal(toHex(bindingManagementKey(home, careOf).reveal()), VECTORS.kbm);
  t.equal(toHex(bindingManagementKey(home).reveal()), VECTORS.kbmOfDeletion);
  t.equal(String(bindingManagementKey(home)), "[secret]");
  t.end();
});

t.test(
  "F6275-6.2.7-01: authenticators of others are taken and ours are the same; of a changed octet they are not",
  (t) => {
    for (const { name, careOf, correspondent, kbm, hex } of VECTORS.messages) {
      const octets = fromHex(hex);
      const key = new Secret(fromHex(kbm));
      const covers = (message: Uint8Array): Uint8Array => {
        const covered = bindingAuthorizationInput(message, ipv6(careOf), ipv6(correspondent));
        if (!covered.ok || covered.value === undefined) throw new Error(name);
        return covered.value;
      };
      const read = decodeMobilityMessage(octets);
      if (!read.ok || read.value.type === "unknown") throw new Error(name);
      const { authenticator } = findOption(read.value.options, "binding-authorization-data") ?? {};
      if (authenticator === undefined) throw new Error(name);
      t.ok(isAuthenticator(key, covers(octets), authenticator), name);
      t.notOk(isAuthenticator(key, covers(octets), authenticator.subarray(1)), `${name}: too short`);
      const zeros = read.value.options.map((option) =>
        option.kind === "binding-authorization-data" ? { ...option, authenticator: new Uint8Array(12) } : option,
      );
      const own = encodeMobilityMessage({ ...read.value, options: zeros });
      t.strictSame(bindingAuthenticator(key, covers(own)), authenticator, `${name}: ours`);
      for (const at of [6, 8, 11]) {
        const changed = octets.slice();
        changed[at] = (changed[at] ?? 0) ^ 1;
        t.notOk(isAuthenticator(key, covers(changed), authenticator), `${name}: octet ${at} changed`);
      }
    }
    t.end();
  },
);
