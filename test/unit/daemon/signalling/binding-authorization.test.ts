/** Authenticators of return routability on messages as they travel, by the vectors that Python made (test/vectors/return-routability). */
import { readFileSync } from "node:fs";
import t from "tap";
import { fromHex, toHex } from "../../../../controller/base/bytes.js";
import { ipv6 } from "../../../../controller/base/ip.js";
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
import { repositoryPath } from "../../../lib/repository.js";

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
