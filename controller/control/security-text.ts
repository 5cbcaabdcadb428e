/** The security document as tables: a line for each node's IKE SA, for each association, and for one node alone for each policy. */
import type { SecurityDocument } from "../../schemas/control.js";
import { formatTable } from "./table.js";

type Node = SecurityDocument["nodes"][number];
type Association = Node["associations"][number];

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;

/** Two units at most: "42 s", "3 min 5 s", "2 h 51 min", "3 d 4 h". */
export function durationText(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (size: number, unit: string, part: number, partUnit: string): string => {
    const rest = Math.floor((whole % size) / part);
    return `${Math.floor(whole / size)} ${unit}${rest === 0 ? "" : ` ${rest} ${partUnit}`}`;
  };
  if (whole < MINUTE) return `${whole} s`;
  if (whole < HOUR) return two(MINUTE, "min", 1, "s");
  return whole < DAY ? two(HOUR, "h", MINUTE, "min") : two(DAY, "d", HOUR, "h");
}

const orDash = (seconds: number | null): string => (seconds === null ? "-" : durationText(seconds));

/** `one`: a single node was asked for, so its policies are shown too. */
export function securityText({ method, ikeDaemon, nodes }: SecurityDocument, one: boolean): string {
  const parts = [
    ...(method === "static-keys" ? ["Static keys, from keyFile: nothing is negotiated, and keys do not change."] : []),
    ...(ikeDaemon === "down" ? ["The IKE daemon does not answer, so nothing is known of IKE SAs and ages."] : []),
    ...(method === "static-keys" ? [] : [ikeTable(nodes, ikeDaemon === "up")]),
    associationTable(nodes),
    ...(one ? [policyTable(nodes)] : []),
  ];
  if (ikeDaemon === "up" && nodes.some(({ ike }) => ike === null))
    parts.push("Why a negotiation has failed: dsmipctl events");
  return parts.join("\n\n");
}

function ikeTable(nodes: readonly Node[], known: boolean): string {
  const header = ["HOME ADDRESS", "IKE SA", "OUR END", "ITS END", "WITH", "KEY AGE", "NEW KEYS IN", "POLICIES"];
  const rows = nodes.map(({ homeAddress, ike, policies }) => [
    homeAddress,
    ike?.state ?? (known ? "none" : "unknown"),
    ike?.local ?? "-",
    ike?.remote ?? "-",
    ike?.remoteIdentity ?? "-",
    orDash(ike?.keysAgeSeconds ?? null),
    orDash(ike?.rekeyInSeconds ?? null),
    String(policies.length),
  ]);
  return formatTable(header, rows);
}

function associationTable(nodes: readonly Node[]): string {
  const header = ["HOME ADDRESS", "PURPOSE", "DIRECTION", "SPI", "MODE", "FROM", "TO", "KEY AGE", "NEW KEYS IN"];
  const counters = ["PACKETS", "OCTETS", "LAST USED", "REPLAYED", "FORGED"];
  const rows = nodes.flatMap(({ homeAddress, associations }) =>
    associations.map((one) => [
      ...[homeAddress, one.purpose, one.direction, one.spi, one.mode, ...endsText(one)],
      ...[orDash(one.keysAgeSeconds), orDash(one.rekeyInSeconds)],
      ...[String(one.packets), String(one.octets), one.lastUsedSeconds === null ? "-" : agoText(one.lastUsedSeconds)],
      ...[String(one.replayed), String(one.integrityFailures)],
    ]),
  );
  return rows.length === 0 ? "No security association." : formatTable([...header, ...counters], rows);
}

const agoText = (seconds: number): string => `${durationText(seconds)} ago`;

/** From and to; what several ends have in common is said once. */
function endsText({ ends, parked }: Association): [from: string, to: string] {
  if (parked) return ["parked", "-"];
  const sources = ends.map(({ source }) => (source === "::" || source === "0.0.0.0" ? "any" : source));
  const destinations = new Map<string, string[]>();
  for (const { destination, udpPort } of ends)
    destinations.set(destination, [...(destinations.get(destination) ?? []), udpPort === null ? "" : `UDP ${udpPort}`]);
  const to = [...destinations].map(([destination, forms]) =>
    forms.every((form) => form === "")
      ? destination
      : `${destination} (${forms.map((form) => form || "ESP").join(", ")})`,
  );
  return [[...new Set(sources)].join(", "), to.join(", ")];
}

function policyTable(nodes: readonly Node[]): string {
  const header = ["PRIORITY", "DIRECTION", "FROM", "TO", "WHAT", "MARK", "DEMAND", "PURPOSE"];
  const rows = nodes.flatMap(({ policies }) =>
    [...policies]
      .sort((a, b) => a.direction.localeCompare(b.direction) || a.priority - b.priority)
      .map((one) => [
        ...[`0x${one.priority.toString(16)}`, one.direction, one.source, one.destination, one.messages],
        ...[one.mark ?? "-", one.demand, one.purpose],
      ]),
  );
  return rows.length === 0 ? "No policy." : formatTable(header, rows);
}
