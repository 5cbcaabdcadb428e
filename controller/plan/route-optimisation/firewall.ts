/**
 * The nftables table of a correspondent: test messages and updates come from anybody, so only as many get to the process as it answers
 * without a delay for others. Payload meets one comparison.
 */
import type { NftTable } from "../objects/firewall.js";
import { rule } from "../objects/nft-clause.js";
import { fromMapped, l4proto, mobilityHeader } from "../objects/nft-matches.js";
import { accept, count, drop, jump, within } from "../objects/nft-verdicts.js";
import { OWNERSHIP } from "../objects/objects.js";
import { MOBILITY_HEADER } from "../security/transport-associations.js";
import { HOOK_PRIORITY } from "../site.js";
import { type CorrespondentDirect, correspondentPart } from "./ipv4/correspondent-firewall.js";

/** Mobility Header types (RFC 6275 §6.1). */
const HOME_TEST_INIT = 1;
const CARE_OF_TEST_INIT = 2;
/** A bucket for each type, so that who floods with one keeps nobody from the others; a procedure is one of each and an update. */
const MESSAGES = { perSecond: 1000, burst: 2000 };

export function correspondentFirewall(direct?: CorrespondentDirect): NftTable {
  const part = direct === undefined ? undefined : correspondentPart(direct, MESSAGES);
  return {
    kind: "nft-table",
    family: "inet",
    name: OWNERSHIP.nftTable,
    counters: ["mapped-source", "metered", ...(part?.counters ?? [])],
    sets: part?.sets ?? [],
    chains: [
      ...(part?.chains ?? []),
      {
        name: "in-mobility",
        rules: [
          ...[HOME_TEST_INIT, CARE_OF_TEST_INIT].flatMap((type) => [
            rule(mobilityHeader(type), within(MESSAGES), accept),
            rule(mobilityHeader(type), count("metered"), drop),
          ]),
          rule(within(MESSAGES), accept),
          rule(count("metered"), drop),
        ],
      },
      {
        name: "input",
        base: { type: "filter", hook: "input", priority: HOOK_PRIORITY.last, policy: "accept" },
        rules: [
          // The kernel takes such a source for any other, in Home Address options too.
          rule(fromMapped, count("mapped-source"), drop),
          rule(l4proto(MOBILITY_HEADER), jump("in-mobility")),
          ...(part?.input ?? []),
        ],
      },
    ],
  };
}
