/**
 * How much of registration the process is given, and how many answers to requests that failed anybody is sent: the kernel's token buckets
 * stand on both sides of the socket on port 434. A node sends one request a second at most (RFC 5944 §3.6.3), through a foreign agent or a
 * NAT beside many others.
 */
import { REGISTRATION } from "../../mip4/tunnel-data.js";
import type { NftRule, NftSet } from "../../objects/firewall.js";
import { innerField, KEY, rule } from "../../objects/nft-clause.js";
import { innerOctetAbove, innerOctets, keyIn } from "../../objects/nft-matches.js";
import { accept, type Bucket, beyond, count, drop, jump, notrack } from "../../objects/nft-verdicts.js";
import { SETS } from "../sets.js";
import { MIP4_SETS } from "./sets.js";

/** In which a node repeats a request twice (RFC 5944 §3.6.3), with room. */
const KEPT_MS = 4000;
const meter = (name: string, key: NftSet["key"], size: number): NftSet => ({
  name,
  key,
  size,
  dynamicTimeoutMs: KEPT_MS,
});

export const REGISTRATION_METERS = {
  pairs: meter("registration-pairs", ["ipv4_addr", "ipv4_addr"], 65_536),
  sources: meter("registration-sources", ["ipv4_addr"], 16_384),
  answerPairs: meter("failed-answer-pairs", ["ipv4_addr", "ipv4_addr"], 65_536),
  answers: meter("failed-answers", ["ipv4_addr"], 16_384),
} as const;

/** Far more than a node sends, and what somebody who tries out what is answered may send at once. */
const NODE: Bucket = { perSecond: 20, burst: 100 };
/** Of a foreign agent, or of a NAT, whose nodes all come from new ports at once when it starts anew. */
const SOURCE: Bucket = { perSecond: 1000, burst: 10_000 };
/** An answer tells a node its clock, and it comes right. Nobody who asks in another's name makes us send that one more. */
const FAILED_OF_NODE: Bucket = { perSecond: 5, burst: 50 };
const FAILED: Bucket = { perSecond: 50, burst: 200 };

const homeAddress = innerField(REGISTRATION.homeAddressAt, 4);
const metered = count("metered-registrations");

/** `gre`: there is a set of those who use it. From where the node is registered its own bucket is the only one. */
export function registrationRules(gre: boolean): readonly NftRule[] {
  const known = (outer: readonly (typeof KEY.ip4Source | typeof KEY.udpSource)[], set: NftSet): NftRule =>
    rule(keyIn([...outer, homeAddress], set.name), accept);
  return [
    // Whose home address is still to be assigned, has none to be told apart by.
    rule(innerOctets(REGISTRATION.homeAddressAt, "00000000"), jump("registration-source")),
    rule(beyond([KEY.ip4Source, homeAddress], REGISTRATION_METERS.pairs.name, NODE), metered, drop),
    known([KEY.ip4Source, KEY.udpSource], MIP4_SETS.udp4),
    known([KEY.ip4Source], SETS.ipv4_4),
    ...(gre ? [known([KEY.ip4Source], MIP4_SETS.gre4)] : []),
    rule(jump("registration-source")),
  ];
}

export const REGISTRATION_SOURCE: readonly NftRule[] = [
  rule(beyond([KEY.ip4Source], REGISTRATION_METERS.sources.name, SOURCE), metered, drop),
  rule(accept),
];

const LAST_SUCCESS = 63;
const refusal = [REGISTRATION.reply, innerOctetAbove(REGISTRATION.codeAt, LAST_SUCCESS)];

/** On the way out. Whoever sends one that is dropped is told EPERM. */
export const REGISTRATION_ANSWERS: readonly NftRule[] = [
  rule(
    ...refusal,
    beyond([KEY.ip4Destination, homeAddress], REGISTRATION_METERS.answerPairs.name, FAILED_OF_NODE),
    count("metered-answers"),
    drop,
  ),
  rule(
    ...refusal,
    beyond([KEY.ip4Destination], REGISTRATION_METERS.answers.name, FAILED),
    count("metered-answers"),
    drop,
  ),
  rule(notrack, accept),
];
