/** What the demonstration found: the document of `--json`, and the same as tables for people. */
import { z } from "zod";
import type { Format } from "./frame-format.js";
import { NETWORKS, type NetworkName } from "./network.js";

export const count = z.int().min(0);
export const networkName = z.enum(["home", "ipv6", "ipv4", "nat", "agent", "ipv6-2"]);

export const stepReport = z.strictObject({
  node: z.string(),
  from: networkName,
  to: networkName,
  kind: z
    .enum(["soft", "hard", "mapping-lost"])
    .describe(
      "soft: the new network is there before the old one goes. hard: after. mapping-lost: the NAT forgets the node.",
    ),
  format: z
    .string()
    .describe(
      "As captured at the home agent after the step, in all four flows: direct, ipv6, ipv4 or udp (RFC 5555 §4.1; RFC 3519), by the outermost header; several are joined by +.",
    ),
  peer: z
    .string()
    .nullable()
    .describe("The node's end of the tunnel as captured at the home agent: address, with format udp address:port."),
  sent: count.describe("Packets of the node's four flows during the step."),
  lost: count,
  excused: count.describe(
    "Lost packets that were sent while the node was disconnected, or until it was registered again.",
  ),
  duplicated: count,
  outageMs: z.number().min(0).describe("The longest time of sending of one flow from which nothing arrived."),
  buToBaMs: z
    .number()
    .min(0)
    .nullable()
    .describe("From binding update to acknowledgement, or from registration request to reply."),
  buToBaFrom: z
    .enum(["mobile-node", "capture"])
    .nullable()
    .describe("Who measured it: the mobile node's event, or the capture at the home agent."),
});

const trafficReport = z.strictObject({ packets: count, octets: count });

export const frozenReport = z.strictObject({
  seconds: z.number().min(0),
  processState: z.string().describe("State letter of the home agent in /proc/PID/stat: T is stopped."),
  cpuTicks: count.describe("CPU time that the process used while it was frozen, in clock ticks."),
  sent: count,
  lost: count,
  duplicated: count,
  tunnelIn: trafficReport.describe("By how much the receive counters of the home agent's tunnel devices grew."),
  tunnelOut: trafficReport.describe("By how much their send counters grew."),
  sentUp: count.describe("Packets that the mobile nodes sent in that time at least."),
  sentDown: count.describe("Packets that were sent to the mobile nodes in that time at least."),
  signallingDevice: trafficReport.describe(
    "By how much the counters of the process's TUN device grew, both directions.",
  ),
  updatesWaiting: count.describe(
    "Binding updates, or registration requests, captured in that time; they waited for the process.",
  ),
  queuedOctets: count.describe("Kernel memory of what waited in the process's sockets at the end."),
  messagesHandled: count.describe(
    "By how much dsmipctl's counters of received and sent messages grew until the process had run again for a moment.",
  ),
  payloadOctetsThroughProcess: count,
});

export const leftover = z.strictObject({ machine: z.string(), kind: z.string(), object: z.string() });

export const demoReport = z.strictObject({
  bench: z.string().describe("Where it ran: native, um or vm."),
  kernel: z.string(),
  slow: z.number().describe("How many times slower than hardware; deadlines are multiplied by it."),
  load: z
    .number()
    .describe("How many times slower than its kind the machine was at the start, because it had other work."),
  rate: z.number().describe("Packets a second of each of the eight flows."),
  steps: z.array(stepReport),
  frozen: frozenReport.nullable(),
  security: z.enum(["static", "ikev2"]).describe("Who keyed the protection; with ikev2 payload is protected too."),
  protocol: z.enum(["mip6", "mip4"]).describe("By which the nodes registered."),
  profile: z
    .enum(["rfc5555", "soliman2004"])
    .describe(
      "How updates of Mobile IPv6 travelled in IPv4 networks: in UDP, or in protocol 41 (draft-soliman-v4v6-mipv6-00).",
    ),
  signalling: z
    .strictObject({ direct: count, ipv4: count, udp: count })
    .nullable()
    .describe(
      "Binding updates and acknowledgements captured at the home agent until the freeze had ended: in IPv6 alone, in protocol 41 in IPv4, in UDP in IPv4. With mip4 requests and replies, all in UDP.",
    ),
  clearText: count.nullable().describe("With ikev2: packets of the flows captured in clear away from home."),
  leftovers: z
    .array(leftover)
    .nullable()
    .describe("Objects of dsmipd found in the kernel after the daemons had ended; null if it did not come to that."),
  failures: z.array(z.string()).describe("Expectations that were not met."),
  diagnostics: z
    .string()
    .nullable()
    .describe("Directory with logs, documents and kernel state, written when an expectation was not met."),
  kept: z.array(z.string()).nullable().describe("With --keep: how to enter what is still up."),
  ok: z.boolean(),
});

export type StepReport = z.output<typeof stepReport>;
export type FrozenReport = z.output<typeof frozenReport>;
export type Leftover = z.output<typeof leftover>;
export type DemoReport = z.output<typeof demoReport>;

const COLUMNS: readonly { readonly title: string; readonly width: number; readonly right?: boolean }[] = [
  { title: "NODE", width: 5 },
  { title: "FROM", width: 17 },
  { title: "TO", width: 27 },
  { title: "ON THE WIRE", width: 12 },
  { title: "NODE'S END", width: 19 },
  { title: "SENT", width: 6, right: true },
  { title: "LOST", width: 5, right: true },
  { title: "DUP", width: 4, right: true },
  { title: "OUTAGE", width: 9, right: true },
  { title: "ANSWER", width: 10, right: true },
];

function row(cells: readonly string[]): string {
  const parts = COLUMNS.map(({ width, right }, i) =>
    right === true ? (cells[i] ?? "").padStart(width) : (cells[i] ?? "").padEnd(width),
  );
  return parts.join(" ").trimEnd();
}

export const stepHeader = (): string => row(COLUMNS.map(({ title }) => title));

const ON_THE_WIRE: Readonly<Record<Format, string>> = {
  direct: "no tunnel",
  ipv6: "IPv6",
  ipv4: "IPv4",
  udp: "UDP in IPv4",
  "esp-ipv6": "ESP, IPv6",
  "esp-ipv4": "ESP, IPv4",
  "esp-udp": "ESP, UDP",
};

const inWords = (format: string): string =>
  format
    .split("+")
    .map((one) => ON_THE_WIRE[one as Format] ?? one)
    .join(" + ");

export const ms = (value: number | null): string => {
  if (value === null) return "-";
  return value >= 100 || value === 0 ? `${value.toFixed(0)} ms` : `${value.toFixed(1)} ms`;
};

const place = (network: NetworkName): string => NETWORKS[network].title;

export function stepRow(step: StepReport): string {
  const to = { soft: place(step.to), hard: `${place(step.to)} (hard)`, "mapping-lost": "(the NAT forgets it)" }[
    step.kind
  ];
  return row([
    step.node,
    place(step.from),
    to,
    inWords(step.format),
    step.peer ?? "-",
    String(step.sent),
    String(step.lost),
    String(step.duplicated),
    ms(step.outageMs),
    ms(step.buToBaMs),
  ]);
}

const traffic = ({ packets, octets }: FrozenReport["tunnelIn"]): string => `${packets} packets, ${octets} octets`;

export function frozenText(frozen: FrozenReport): string {
  const rows: readonly (readonly [string, string])[] = [
    [
      "process state",
      `${frozen.processState}, ${frozen.cpuTicks} clock ticks of CPU time used in ${frozen.seconds.toFixed(1)} s`,
    ],
    ["all eight flows", `${frozen.sent} packets sent, ${frozen.lost} lost, ${frozen.duplicated} duplicated`],
    ["tunnel devices, in", `${traffic(frozen.tunnelIn)} (the nodes sent ${frozen.sentUp})`],
    ["tunnel devices, out", `${traffic(frozen.tunnelOut)} (${frozen.sentDown} were sent to the nodes)`],
    ["the process's own device", traffic(frozen.signallingDevice)],
    ["waiting in its sockets", `${frozen.updatesWaiting} updates, ${frozen.queuedOctets} octets of kernel memory`],
    ["dsmipctl status", `${frozen.messagesHandled} mobility messages handled since, as soon as it ran again`],
    ["payload through the process", `${frozen.payloadOctetsThroughProcess} octets`],
  ];
  return rows.map(([name, value]) => `  ${name.padEnd(28)} ${value}`).join("\n");
}

export function verdictText(report: DemoReport): string {
  if (report.ok) {
    const sent = report.steps.reduce((sum, step) => sum + step.sent, 0) + (report.frozen?.sent ?? 0);
    const lost = report.steps.reduce((sum, step) => sum + step.lost, 0) + (report.frozen?.lost ?? 0);
    const clear = report.clearText === null ? "" : ` Payload packets in clear away from home: ${report.clearText}.`;
    return `Everything as expected: ${sent} packets, ${lost} lost, all of them while a node could not be reached.${clear}`;
  }
  return failuresText(report);
}

/** What was not as expected, and where to look. */
export function failuresText({ failures, diagnostics }: Pick<DemoReport, "failures" | "diagnostics">): string {
  const where = diagnostics === null ? [] : [`What there was to see is in ${diagnostics}`];
  return ["NOT as expected:", ...failures.map((failure) => `  - ${failure}`), ...where].join("\n");
}
