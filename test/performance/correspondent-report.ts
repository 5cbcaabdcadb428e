/** What `make bench` found of route optimisation, as tables for people. */
import type { CorrespondentForwardingReport } from "./correspondent-forwarding.js";
import type { CorrespondentRateReport } from "./correspondent-rate.js";
import type { DirectPathReport } from "./direct-path.js";
import { aimed, table, whole } from "./table.js";

export interface RouteOptimisationReport {
  readonly bindings: number;
  readonly directPath: DirectPathReport;
  readonly rate: CorrespondentRateReport;
  readonly forwarding: readonly CorrespondentForwardingReport[];
}

const AIM = 0.9;

export function routeOptimisationTables(report: RouteOptimisationReport | null): readonly string[] {
  if (report === null) return [];
  const { directPath, rate, forwarding } = report;
  const many = whole(report.bindings);
  const { delayMs, direct, byHomeAgent } = directPath;
  return [
    "",
    `A mobile node and a correspondent, ${delayMs} ms each way between the home agent and everybody else; one TCP connection`,
    table(
      ["", "direct", "by home agent", "ratio"],
      [
        ["round trip, ms", direct.roundTripMs, byHomeAgent.roundTripMs, directPath.roundTripRatio],
        ["throughput, Mbit/s", direct.megabitsPerSecond, byHomeAgent.megabitsPerSecond, directPath.throughputRatio],
      ],
    ),
    "",
    `A correspondent of ${whole(rate.nodes)} nodes: ${whole(rate.proceduresPerSecond)} return routability procedures per second (both tests), ${whole(rate.bindingsPerSecond)} bindings per second (update in,`,
    `kernel programmed, acknowledgement out), ${rate.repeated} messages sent again; beside them this machine makes ${whole(rate.hmacPerSecond)} HMAC-SHA1 per second in one process`,
    "",
    `Payload at a correspondent, packets per second. (2): ${many} bindings, packets of one node; (3): packets of all in turn;`,
    `(4): as (3), with policies hashed as at a home agent. Aim of (2)/(1) and (3)/(1): ${AIM}; "<" marks a miss.`,
    table(
      ["", "(1) 1 binding", `(2) ${many}`, `(3) ${many}`, "(4)", "(2)/(1)", "(3)/(1)", "(4)/(3)", "lost"],
      forwarding.map((one) => [
        one.direction,
        ...[one.one, one.manyFocused, one.many, one.thresholds].map(whole),
        aimed(one.manyFocusedToOne, one.manyFocusedToOne >= AIM),
        aimed(one.manyToOne, one.manyToOne >= AIM),
        one.thresholdsToMany,
        one.lost,
      ]),
    ),
  ];
}
