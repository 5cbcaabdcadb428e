/** What `make bench` found: one document, and the same as tables for people. */
import { type RouteOptimisationReport, routeOptimisationTables } from "./correspondent-report.js";
import type { FloodReport } from "./flood.js";
import type { ForwardingResults } from "./forwarding.js";
import type { HandoverReport } from "./handover.js";
import type { IkeRateReport } from "./ike-rate.js";
import type { Kind } from "./places.js";
import type { BurstReport, RegistrationReport } from "./registration.js";
import type { ScaleReport } from "./scale.js";
import type { SecurityForwardingResults } from "./security-forwarding.js";
import { handoverTables, ikeRateTables, securityForwardingTables } from "./security-report.js";
import { rounded } from "./statistics.js";
import { aimed, installsTable, OUTER, type Row, table, whole } from "./table.js";

export interface MachineReport {
  readonly kernel: string;
  /** native, um or vm. */
  readonly bench: string;
  readonly processors: number;
}

export interface BenchmarkDocument extends ForwardingResults {
  readonly machine: MachineReport;
  readonly bindings: number;
  readonly securityForwarding: SecurityForwardingResults | null;
  readonly registration: RegistrationReport | null;
  /** The same of mobile routers with four prefixes each: of so many, forwarding to and from what is behind them. */
  readonly routers: number;
  readonly routerForwarding: ForwardingResults | null;
  readonly routerSecurityForwarding: SecurityForwardingResults | null;
  readonly routerRegistration: RegistrationReport | null;
  /** Of Mobile IPv4. */
  readonly mip4Forwarding: ForwardingResults | null;
  readonly mip4Registration: RegistrationReport | null;
  readonly handovers: readonly HandoverReport[];
  readonly flood: FloodReport | null;
  readonly ikeRate: IkeRateReport | null;
  readonly scale: ScaleReport | null;
  readonly routeOptimisation: RouteOptimisationReport | null;
}

/** What the project aims at: shown beside what was measured. A benchmark never fails for them. */
export const AIMS = {
  ...{ manyToOne: 0.9, oneToHandMade: 0.9, transactionsPerRegistration: 0.1, flood: 2 },
  /** Of Mobile IPv4: one flow through many bindings to that through one; its registrations to Mobile IPv6's. */
  mip4: { manyFocusedToOne: 0.95, transactionsPerRegistration: 0.05, toMip6: 1 },
} as const;

function forwardingTables(
  { forwarding, installs, routes }: ForwardingResults,
  bindings: number,
  what: "binding" | "router" | "Mobile IPv4 binding",
): readonly string[] {
  const focusedAim = what === "Mobile IPv4 binding" ? AIMS.mip4.manyFocusedToOne : AIMS.manyToOne;
  if (forwarding.length === 0) return [];
  const many = whole(bindings);
  const rows = forwarding.map((one) => [
    `${one.direction}, IPv${one.inner} in ${OUTER[one.access]}`,
    whole(one.one),
    whole(one.manyFocused),
    whole(one.many),
    whole(one.handMade),
    whole(one.generator),
    aimed(one.manyFocusedToOne, one.manyFocusedToOne >= focusedAim),
    aimed(one.manyToOne, one.manyToOne >= AIMS.manyToOne),
    aimed(one.oneToHandMade, one.oneToHandMade >= AIMS.oneToHandMade),
    one.lost,
  ]);
  const head = [
    "",
    `(1) 1 ${what === "router" ? what : "binding"}`,
    `(2) ${many}`,
    `(3) ${many}`,
    "(4) by hand",
    "(5) nothing",
    "(2)/(1)",
    "(3)/(1)",
    "(1)/(4)",
    "lost",
  ];
  return [
    ...(what === "router" ? ["", "Mobile routers with four prefixes each, traffic to and from the prefixes"] : []),
    `Forwarding, packets per second. (2): ${many} ${what}s, traffic of one; (3): ${many} ${what}s, traffic of all in turn;`,
    "(4) a point-to-point tunnel without nftables; (5) the generator alone, its frames dropped at the door.",
    `Aim of the ratios: ${AIMS.manyToOne}${focusedAim === AIMS.manyToOne ? "" : `, of (2)/(1) ${focusedAim}`}; "<" marks a miss.`,
    table(head, rows),
    "",
    ...(routes.length === 0
      ? []
      : [
          `The kernel alone, packets to 1 and to ${many} hosts in turn with a route each, no tunnel, no nftables`,
          table(
            ["", "1 route", many, "ratio"],
            routes.map((one) => [`IPv${one.inner}`, whole(one.one), whole(one.many), one.manyToOne]),
          ),
          "",
        ]),
    `Objects of all ${what}s, installed at once`,
    installsTable(`${what}s`, installs),
  ];
}

function registrationTables(registration: RegistrationReport | null, what: Kind | "mip4"): readonly string[] {
  if (registration === null) return [];
  const isMip4 = what === "mip4";
  const transactionsAim = (isMip4 ? AIMS.mip4 : AIMS).transactionsPerRegistration;
  const { first, moves, handovers, ipBatchPerSecond } = registration;
  const row = (name: string, burst: BurstReport): Row => [
    name,
    whole(burst.perSecond),
    (burst.perSecond / ipBatchPerSecond).toFixed(2),
    burst.netlinkTransactions,
    aimed(burst.transactionsPerRegistration, burst.transactionsPerRegistration <= transactionsAim),
    burst.retransmissions,
    burst.refusals,
  ];
  return [
    "",
    `${whole(first.registrations)} registrations of ${isMip4 ? "hosts by Mobile IPv4" : what} at once, end to end (${isMip4 ? "request in, kernel programmed, reply out" : "update under ESP in, kernel programmed, acknowledgement out"});`,
    `beside them, ip -batch adding the same routes: ${whole(ipBatchPerSecond)} nodes per second`,
    table(
      ["", "per second", "/ ip -batch", "netlink transactions", "per registration", "sent again", "refused"],
      [row("first registration", first), ...moves.map((burst, i) => row(`move ${i + 1}`, burst))],
    ),
    "",
    `${isMip4 ? "Request to reply" : "Update to acknowledgement"} of a single handover, ${handovers.count} one after the other, milliseconds`,
    table(["", "p50", "p99", "max"], [["", handovers.p50Ms, handovers.p99Ms, handovers.maxMs]]),
  ];
}

/** Every burst beside that of the same kind. */
function besideMip6({ registration: six, mip4Registration: four }: BenchmarkDocument): readonly string[] {
  if (six === null || four === null) return [];
  const bursts = ({ first, moves }: RegistrationReport): readonly BurstReport[] => [first, ...moves];
  const rows = bursts(four).map((burst, i): Row => {
    const other = bursts(six)[i]?.perSecond ?? Number.NaN;
    const ratio = rounded(burst.perSecond / other);
    const name = i === 0 ? "first registration" : `move ${i}`;
    return [name, whole(burst.perSecond), whole(other), aimed(ratio, ratio >= AIMS.mip4.toMip6)];
  });
  return [
    "",
    "Registrations per second of as many hosts by both protocols, behind NATs, with both home addresses",
    table(["", "Mobile IPv4", "Mobile IPv6", "ratio"], rows),
  ];
}

function floodTables({ flood }: BenchmarkDocument): readonly string[] {
  if (flood === null) return [];
  return [
    "",
    "Update to acknowledgement of single handovers under a flood; ratio: to the same flood of a closed port",
    `Aim of the ratios: ${AIMS.flood}; "<" marks a miss.`,
    table(
      ["", "packets per second", "median, ms", "ratio", "sent again", "never answered"],
      flood.kinds.map((one) => [
        one.kind,
        whole(one.perSecond),
        one.medianMs,
        aimed(one.ratio, one.ratio <= AIMS.flood),
        one.repeated,
        one.lost,
      ]),
    ),
  ];
}

export function formatDocument(document: BenchmarkDocument): string {
  const { machine, scale } = document;
  return [
    `Linux ${machine.kernel}, ${machine.bench}, ${machine.processors} processor${machine.processors === 1 ? "" : "s"}`,
    "",
    ...forwardingTables(document, document.bindings, "binding"),
    ...(document.routerForwarding === null
      ? []
      : forwardingTables(document.routerForwarding, document.routers, "router")),
    ...(document.mip4Forwarding === null
      ? []
      : forwardingTables(document.mip4Forwarding, document.bindings, "Mobile IPv4 binding")),
    ...securityForwardingTables(document.securityForwarding, "hosts"),
    ...securityForwardingTables(document.routerSecurityForwarding, "routers"),
    ...registrationTables(document.registration, "hosts"),
    ...registrationTables(document.routerRegistration, "routers"),
    ...registrationTables(document.mip4Registration, "mip4"),
    ...besideMip6(document),
    ...handoverTables(document.handovers),
    ...floodTables(document),
    ...ikeRateTables(document.ikeRate, document.registration),
    ...(scale === null
      ? []
      : [
          "",
          `${whole(scale.subscribers)} subscribers: home agent ready after ${scale.startSeconds} s, memory ${scale.residentMiB} MiB (peak ${scale.peakMiB} MiB)`,
        ]),
    ...routeOptimisationTables(document.routeOptimisation),
  ].join("\n");
}
