/** Authenticators of return routability on messages as they travel, by the vectors that Python made (test/vectors/return-routability). */
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import t from "tap";
import { fromHex, toHex } from "../../../../controller/base/bytes.js";
import { ipToBytes, ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { Secret } from "../../../../controller/base/secret.js";
import {
  coveredOctets,
  isAuthorizedBy,
  withAuthenticator,
} from "../../../../controller/daemon/signalling/binding-authorization.js";
import {
  decodeMobilityMessage,
  encodeMobilityMessage,
} from "../../../../controller/wire/mip6/messages/mobility-header.js";
import type { KnownMessage } from "../../../../controller/wire/mip6/messages/mobility-message.js";
import { RO_PROFILE } from "../../../../controller/wire/mip6/profile.js";
import { repositoryPath } from "../../../lib/repository.js";
import { loadVectors } from "../../../lib/wire-vectors.js";

const VECTORS = JSON.parse(
  readFileSync(repositoryPath("test", "vectors", "return-routability", "vectors.json"), "utf8"),
) as { messages: readonly { careOf: string; correspondent: string; kbm: string; hex: string }[] };

t.test("what Python authenticated is right, made again, and nobody else's", (t) => {
  t.ok(VECTORS.messages.length > 0);
  for (const { careOf, correspondent, kbm, hex } of VECTORS.messages) {
    const octets = fromHex(hex);
    const key = new Secret(fromHex(kbm));
    const ends = { careOf: ipv6(careOf), correspondent: ipv6(correspondent) };
    t.ok(isAuthorizedBy(octets, key, ends));
    t.notOk(isAuthorizedBy(octets, new Secret(new Uint8Array(20)), ends), "of another key");
    t.notOk(isAuthorizedBy(octets, key, { ...ends, careOf: ipv6("2001:db8::bad") }), "for another care-of address");
    const changed = octets.slice();
    changed[6] = (changed[6] ?? 0) ^ 1;
    t.notOk(isAuthorizedBy(changed, key, ends), "after a change");
    const message = decodeMobilityMessage(octets);
    if (!message.ok) throw message.error;
    const { options, ...rest } = message.value as KnownMessage;
    const blank = options.map((one) =>
      one.kind === "binding-authorization-data" ? { ...one, authenticator: new Uint8Array(12) } : one,
    );
    const made = encodeMobilityMessage(withAuthenticator({ ...rest, options: blank } as KnownMessage, key, ends));
    t.equal(toHex(made).slice(12), toHex(octets).slice(12));
  }
  t.end();
});

t.test(
  "RO-7.1.2-03 RO-7.1.2-06 C-45: an update for both home addresses has the authenticators of two keys, in their order",
  (t) => {
    const vector = loadVectors("mobility-header-profiles").find(({ name }) => name === "RO BU for both home addresses");
    const context = { profile: RO_PROFILE };
    const read = decodeMobilityMessage(fromHex(vector?.hex ?? ""), context);
    if (!read.ok) throw read.error;
    const [first, second] = [new Secret(new Uint8Array(20).fill(1)), new Secret(new Uint8Array(20).fill(2))] as const;
    // Over IPv4 the Mobility Data begin with four octets.
    for (const careOf of [ipv6("2001:db8:2::20"), ipv4("10.0.0.5")]) {
      const ends = { careOf, correspondent: ipv6("2001:db8:9::9") };
      const signed = withAuthenticator(read.value, [first, second], ends, context);
      const octets = encodeMobilityMessage(signed, context);
      const mac = (key: Secret): string => {
        const blank = octets.slice().fill(0, 4, 6);
        const covered = [
          ipToBytes(careOf),
          ipToBytes(ends.correspondent),
          blank.subarray(0, 44),
          blank.subarray(56, 60),
        ];
        const hash = createHmac("sha1", key.reveal());
        for (const part of covered) hash.update(part);
        return hash.digest("hex").slice(0, 24);
      };
      t.equal(toHex(octets.subarray(44, 56)), mac(first), "without both authenticators, and without the checksum");
      t.equal(toHex(octets.subarray(60)), mac(second));
      t.ok(isAuthorizedBy(octets, [first, second], ends, context));
      t.notOk(isAuthorizedBy(octets, [second, first], ends, context), "in the other order");
      t.notOk(isAuthorizedBy(octets, [first, first], ends, context), "one key for both");
      t.notOk(isAuthorizedBy(octets, [first], ends, context), "with an authenticator that nobody looked at");
      t.notOk(isAuthorizedBy(octets, [], ends, context));
      t.notOk(isAuthorizedBy(octets, [first, second], ends), "without the profile");
    }
    t.end();
  },
);

t.test("any octets, and messages without the option, have no authenticator", (t) => {
  const key = new Secret(new Uint8Array(20));
  const ends = { careOf: ipv6("2001:db8::1"), correspondent: ipv6("2001:db8::2") };
  const request = { type: "binding-refresh-request", options: [] } as const;
  t.strictSame(withAuthenticator(request, key, ends), request);
  t.equal(coveredOctets(encodeMobilityMessage(request), ends), undefined);
  for (const octets of [new Uint8Array(0), new Uint8Array(7), new Uint8Array(64).fill(0xff)])
    t.notOk(isAuthorizedBy(octets, key, ends));
  t.end();
});
