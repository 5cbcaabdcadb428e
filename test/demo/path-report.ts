/** What the scene of route optimisation found: the document of `--json`, and the same as a table for people. */
import { z } from "zod";
import type { PathToken } from "./path-capture.js";
import { count, failuresText, leftover, ms, networkName } from "./report.js";

const pairReport = z.strictObject({
  path: z
    .string()
    .describe(
      "As captured at the end of the step, in both directions: home, agent-FORMAT (by way of the home agent), direct-headers (RFC 6275 §6.3, §6.4), direct-FORMAT; several are joined by +, none: what was sent did not get through.",
    ),
  roundTripMs: z
    .number()
    .min(0)
    .nullable()
    .describe("Medians of the ways there and back on that path, added; null: nothing got through."),
  sent: count.describe("Packets of both directions during the step."),
  lost: count,
  excused: count.describe("Lost packets that were sent by way of the home agent while its links were cut."),
  duplicated: count,
});

export const pathStep = z.strictObject({
  step: z.string(),
  network: networkName,
  ipv6: pairReport.describe("IPv6 home address and correspondent."),
  ipv4: pairReport.describe("IPv4 home address and correspondent."),
  beside: pairReport.describe("IPv6 home address and an address of the correspondent that is not optimised."),
  procedure: z
    .strictObject({
      homeTestMs: z.number().min(0).nullable(),
      careOfTestMs: z.number().min(0).nullable(),
      afterRegistrationMs: z.number().min(0).describe("From the home agent's answer to the correspondent's."),
    })
    .nullable()
    .describe(
      "Of a binding with the correspondent that was made in this step: the node's events. A test that was not needed is null.",
    ),
});

export const pathReport = z.strictObject({
  scene: z.literal("route-optimisation"),
  bench: z.string().describe("Where it ran: native, um or vm."),
  kernel: z.string(),
  slow: z.number().describe("How many times slower than hardware; deadlines are multiplied by it."),
  load: z
    .number()
    .describe("How many times slower than its kind the machine was at the start, because it had other work."),
  rate: z.number().describe("Packets a second of each of the six flows."),
  delayMs: z.number().describe("What netem adds to each way between the home agent and everybody else."),
  cutSeconds: z.number().describe("How long the home agent's links are cut."),
  steps: z.array(pathStep),
  leftovers: z.array(leftover).nullable(),
  failures: z.array(z.string()).describe("Expectations that were not met."),
  diagnostics: z.string().nullable(),
  kept: z.array(z.string()).nullable(),
  ok: z.boolean(),
});

export type PairReport = z.output<typeof pairReport>;
export type PathStep = z.output<typeof pathStep>;
export type PathReport = z.output<typeof pathReport>;

/** What a step is to show. */
export interface Expected {
  readonly ipv6: PathToken;
  readonly ipv4: PathToken;
  /** Of the flows to the address that is not optimised, and of what goes as they do; null: cut off. */
  readonly beside: PathToken | null;
}

const WORDS: Readonly<Record<string, string>> = {
  home: "home agent, no tunnel",
  "agent-ipv6": "home agent, IPv6",
  "agent-ipv4": "home agent, IPv4",
  "agent-udp": "home agent, UDP",
  "direct-headers": "direct, IPv6",
  "direct-ipv6": "direct, in IPv6",
  "direct-ipv4": "direct, in IPv4",
  "direct-udp": "direct, in UDP",
};

const inWords = (path: string): string =>
  path === ""
    ? "none"
    : path
        .split("+")
        .map((one) => WORDS[one] ?? one)
        .join(" + ");

const COLUMNS: readonly { readonly title: string; readonly width: number; readonly right?: true }[] = [
  { title: "STEP", width: 33 },
  { title: "IPv6 ON THE WIRE", width: 21 },
  { title: "ROUND TRIP", width: 10, right: true },
  { title: "BY HOME AGENT", width: 13, right: true },
  { title: "DIRECT AFTER", width: 12, right: true },
  { title: "SENT", width: 5, right: true },
  { title: "LOST", width: 5, right: true },
  { title: " IPv4 ON THE WIRE", width: 22 },
  { title: "ROUND TRIP", width: 10, right: true },
  { title: "SENT", width: 5, right: true },
  { title: "LOST", width: 5, right: true },
];

const row = (cells: readonly string[]): string =>
  COLUMNS.map(({ width, right }, i) => {
    const cell = cells[i] ?? "";
    return right === true ? cell.padStart(width) : cell.padEnd(width);
  })
    .join(" ")
    .trimEnd();

export const pathHeader = (): string => row(COLUMNS.map(({ title }) => title));

export function pathRow({ step, ipv6, ipv4, beside, procedure }: PathStep): string {
  return row([
    step,
    inWords(ipv6.path),
    ms(ipv6.roundTripMs),
    ms(beside.roundTripMs),
    ms(procedure?.afterRegistrationMs ?? null),
    String(ipv6.sent),
    String(ipv6.lost),
    ` ${inWords(ipv4.path)}`,
    ms(ipv4.roundTripMs),
    String(ipv4.sent),
    String(ipv4.lost),
  ]);
}

const isDirect = (path: string): boolean => path.startsWith("direct");

/** What is wrong with a step. */
export function pathFailures(step: PathStep, expected: Expected, delayMs: number): readonly string[] {
  const failures: string[] = [];
  for (const name of ["ipv6", "ipv4", "beside"] as const) {
    const { path, lost, excused, roundTripMs } = step[name];
    const where = `${step.step}, ${name}`;
    const wanted = expected.beside === null && !isDirect(expected[name] ?? "") ? "" : expected[name];
    if (path !== wanted)
      failures.push(`${where}: ${inWords(wanted ?? "")} was expected on the wire, ${inWords(path)} was captured`);
    if (lost > excused) failures.push(`${where}: ${lost - excused} packets lost`);
    if (roundTripMs === null && wanted !== "") failures.push(`${where}: nothing was measured`);
    // Twice into the home agent's link and out of it, with a tunnel or without.
    if (roundTripMs !== null && !isDirect(path) && path !== "home" && roundTripMs < 4 * delayMs)
      failures.push(
        `${where}: a round trip by way of the home agent took ${ms(roundTripMs)}, less than ${4 * delayMs} ms`,
      );
    const beside = step.beside.roundTripMs;
    // Both in the same moment, so that a slow machine is in both.
    if (roundTripMs !== null && beside !== null && isDirect(path) && roundTripMs + 2 * delayMs > beside)
      failures.push(`${where}: a direct round trip took ${ms(roundTripMs)}, by way of the home agent ${ms(beside)}`);
  }
  return failures;
}

/** Its last line. */
export function pathVerdict(report: PathReport): string {
  if (!report.ok) return failuresText(report);
  const pairs = report.steps.flatMap(({ ipv6, ipv4, beside }) => [ipv6, ipv4, beside]);
  const total = (pick: (one: PairReport) => number): number => pairs.reduce((sum, one) => sum + pick(one), 0);
  return `Everything as expected: ${total(({ sent }) => sent)} packets, ${total(({ lost }) => lost)} lost, all of them by way of the home agent while its links were cut.`;
}
