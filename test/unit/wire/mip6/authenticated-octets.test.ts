/** Authenticators of the requirement matrix, made from the octets that this layer says they cover. */
import { createHash, createHmac } from "node:crypto";
import t from "tap";
import { fromHex, toHex } from "../../../../controller/base/bytes.js";
import type { DecodeError } from "../../../../controller/base/errors.js";
import { ipv6 } from "../../../../controller/base/ip.js";
import type { Result } from "../../../../controller/base/result.js";
import {
  authenticationOptionInput,
  bindingAuthorizationInput,
} from "../../../../controller/wire/mip6/messages/authenticated-octets.js";
import { RO_PROFILE } from "../../../../controller/wire/mip6/profile.js";
import { loadVectors } from "../../../lib/wire-vectors.js";

const COA = ipv6("2001:db8:2::20");
const CN = ipv6("2001:db8:9::9");
const HOA = ipv6("2001:db8:1::10");

const vector = (name: string): Uint8Array =>
  fromHex(loadVectors("mobility-header").find((v) => v.name === name)?.hex ?? "");
const mac = (key: Uint8Array, input: Uint8Array): string =>
  createHmac("sha1", key).update(input).digest("hex").slice(0, 24);

/** The octets under an authenticator that must be there. */
function covered(result: Result<Uint8Array | undefined, DecodeError>): Uint8Array {
  if (!result.ok) throw result.error;
  if (result.value === undefined) throw new Error("the message has no authenticator");
  return result.value;
}

t.test("F6275-6.2.7-01: T-12, First(96, HMAC-SHA1(Kbm, CoA | CN | MH without authenticator, checksum 0))", (t) => {
  const tokens = fromHex("98a67513cec1847009f68fc604da22ed"); // T-04, T-05
  const kbm = createHash("sha1").update(tokens).digest();
  t.equal(kbm.toString("hex"), "f5b1b78f0fa064720820d8ac75f1a9df67f55677", "T-06");
  const input = covered(bindingAuthorizationInput(vector("T-12"), COA, CN));
  t.equal(mac(kbm, input), "233b3b2fa9b20a2d8d4acd85");
  t.equal(input.length, 16 + 16 + 32 - 12);
  t.equal(toHex(input.subarray(36, 38)), "0000", "the checksum counts as zero");
  t.end();
});

t.test("F4285-5.1-01: T-15, First(96, HMAC-SHA1(key, CoA | HoA | MH up to the SPI, checksum 0))", (t) => {
  const key = fromHex("000102030405060708090a0b0c0d0e0f");
  const input = covered(authenticationOptionInput(vector("T-15"), COA, HOA));
  t.equal(mac(key, input), "e9885693a152cf401d6ed6ea");
  const summed = vector("T-15");
  summed.set([0xab, 0xcd], 4);
  const again = authenticationOptionInput(summed, COA, HOA);
  t.strictSame(again.ok && again.value, input, "whatever the checksum");
  t.end();
});

t.test("with two authenticators neither is covered, in the profile that permits it", (t) => {
  const combined = loadVectors("mobility-header-profiles").find(({ name }) => name === "two authenticators");
  const bytes = fromHex(combined?.hex ?? "");
  const input = covered(bindingAuthorizationInput(bytes, COA, CN, { profile: RO_PROFILE }));
  t.equal(input.length, 32 + bytes.length - 24);
  t.notMatch(toHex(input), /a1{12}|b2b2b2/);
  t.notOk(bindingAuthorizationInput(bytes, COA, CN).ok, "without the profile the message does not decode");
  t.end();
});

t.test("a message without such an option has nothing to authenticate", (t) => {
  t.strictSame(bindingAuthorizationInput(vector("T-01"), COA, CN), { ok: true, value: undefined });
  t.strictSame(authenticationOptionInput(vector("T-01"), COA, HOA), { ok: true, value: undefined });
  t.strictSame(authenticationOptionInput(vector("T-15"), COA, HOA, 1), { ok: true, value: undefined });
  t.notOk(bindingAuthorizationInput(new Uint8Array(3), COA, CN).ok);
  t.end();
});

t.test("the second of two authentication options covers the first", (t) => {
  const twice = vector("option 9 twice, subtypes 1 and 2");
  const first = covered(authenticationOptionInput(twice, COA, HOA, 0));
  const second = covered(authenticationOptionInput(twice, COA, HOA, 1));
  t.equal(first.length, 32 + 13 + 7);
  t.equal(second.length, 32 + 21 + 7);
  t.equal(toHex(second.subarray(-7)), "09060200000002");
  t.end();
});
