/** Tables of what was measured with protected payload and negotiated keys. */
import type { HandoverReport } from "./handover.js";
import type { IkeRateReport } from "./ike-rate.js";
import type { Kind } from "./places.js";
import type { RegistrationReport } from "./registration.js";
import type { SecurityForwardingResults } from "./security-forwarding.js";
import { aimed, installsTable, OUTER, table, whole } from "./table.js";

/** What the project aims at: shown beside what was measured. A benchmark never fails for them. */
export const SECURITY_AIMS = { oneToByHand: 0.95, manyToOne: 0.9 } as const;

export function securityForwardingTables(results: SecurityForwardingResults | null, what: Kind): readonly string[] {
  if (results === null) return [];
  const { forwarding, installs } = results;
  const many = whole(results.subscribers);
  const names = forwarding.map((one) => `${one.direction}, IPv${one.inner} in ESP in ${OUTER[one.access]}`);
  const rates = forwarding.map(({ ours, byHand, emptyChains, mixed, generator, lost }, i) => [
    names[i] ?? "",
    ...[
      ours.one,
      ours.manyFocused,
      ours.many,
      byHand.one,
      byHand.manyFocused,
      byHand.many,
      emptyChains,
      mixed,
      generator,
    ].map(whole),
    lost,
  ]);
  const ratios = forwarding.map(
    ({ ours, byHand, oneToByHand, emptyChainsToByHand, mixedToByHand, manyToByHand, extraNs }, i) => [
      names[i] ?? "",
      aimed(oneToByHand, oneToByHand >= SECURITY_AIMS.oneToByHand),
      emptyChainsToByHand,
      aimed(mixedToByHand, mixedToByHand >= SECURITY_AIMS.oneToByHand),
      extraNs,
      aimed(ours.manyFocusedToOne, ours.manyFocusedToOne >= SECURITY_AIMS.manyToOne),
      aimed(ours.manyToOne, ours.manyToOne >= SECURITY_AIMS.manyToOne),
      byHand.manyFocusedToOne,
      byHand.manyToOne,
      aimed(manyToByHand, manyToByHand >= SECURITY_AIMS.oneToByHand),
    ],
  );
  return [
    "",
    ...(what === "routers" ? ["Mobile routers with four prefixes each, traffic to and from the prefixes"] : []),
    "Forwarding with payload in ESP (rfc4106(gcm(aes)), 128 bits), packets per second. (1) one subscriber; (2) and (3):",
    `${many} with states and policies, traffic of one and of all in turn; (4) to (6): the same by hand with ip xfrm, without nftables;`,
    "(7) is (4) with empty nftables chains at the hooks where ours are; (8) is (1) at a home agent with a profile without protection too;",
    "(9) the generator alone, its frames dropped at the door.",
    table(["", "(1)", "(2)", "(3)", "(4)", "(5)", "(6)", "(7)", "(8)", "(9)", "lost"], rates),
    "",
    `Ratios of them. Aim of (1)/(4), (8)/(4) and (3)/(6): ${SECURITY_AIMS.oneToByHand}, of (2)/(1) and (3)/(1): ${SECURITY_AIMS.manyToOne}; "<" marks a miss.`,
    table(
      ["", "(1)/(4)", "(7)/(4)", "(8)/(4)", "ns more", "(2)/(1)", "(3)/(1)", "(5)/(4)", "(6)/(4)", "(3)/(6)"],
      ratios,
    ),
    "",
    "Objects of all of these subscribers, installed at once",
    installsTable("subscribers", installs),
  ];
}

export function handoverTables(reports: readonly HandoverReport[]): readonly string[] {
  const [first] = reports;
  if (first === undefined) return [];
  return [
    "",
    `Moves of one node between IPv6 and IPv4, ${first.moves} of each kind, milliseconds: from update to acknowledgement at the home agent's`,
    "wire, and all from the ip command that brings or takes the preferred access. With ikev2 charon's SA moves along (XFRM_MSG_MIGRATE), without new keys.",
    table(
      ["keys", "p50", "p99", "max", "all: p50", "p99", "max", "sent again"],
      reports.map(({ keys, exchange, total, repeated }) => [
        keys,
        ...[exchange, total].flatMap(({ p50Ms, p99Ms, maxMs }) => [p50Ms, p99Ms, maxMs]),
        repeated,
      ]),
    ),
  ];
}

export function ikeRateTables(
  report: IkeRateReport | null,
  registration: RegistrationReport | null,
): readonly string[] {
  if (report === null) return [];
  const { sas, perSecond, load } = report;
  const beside =
    registration === null ? "" : `; our first registrations with keys in place: ${whole(registration.first.perSecond)}`;
  return [
    "",
    `charon by itself, ${whole(sas)} IKE SAs with a child at once (PSK, x25519, AES-GCM), both ends on this machine: ${whole(perSecond)} per second${beside}`,
    `charon loads ${whole(load.subscribers)} subscribers: secrets ${load.secretsSeconds} s, connections ${load.connectionsSeconds} s (${load.firstTenthMs} ms each at first, ${load.lastTenthMs} ms at last)`,
  ];
}
