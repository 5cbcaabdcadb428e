/** How figures look in a table. */
import type { InstallReport } from "./forwarding.js";

export type Row = readonly (string | number)[];

export function table(head: readonly string[], rows: readonly Row[]): string {
  const text = [head, ...rows.map((row) => row.map(String))];
  const widths = head.map((_, column) => Math.max(...text.map((row) => row[column]?.length ?? 0)));
  const pad = (cell: string, column: number): string => {
    const width = widths[column] ?? 0;
    return column === 0 ? cell.padEnd(width) : cell.padStart(width);
  };
  return text.map((row) => `  ${row.map(pad).join("  ")}`.trimEnd()).join("\n");
}

export const whole = (value: number): string => Math.round(value).toLocaleString("en");
export const aimed = (value: number, reached: boolean): string => `${value}${reached ? " " : "<"}`;

export const OUTER = {
  ...{ ipv6: "IPv6", ipv4: "IPv4", udp: "UDP in IPv4" },
  ...{ "ip-in-ip": "IPv4", gre: "GRE", "tunnel-data": "UDP of RFC 3519" },
  "ip-in-ip+home": "IPv4 to the home address, in IPv4",
  "gre+home": "IPv4 to the home address, in GRE",
  "tunnel-data+home": "IPv4 to the home address, in UDP",
} as const;

/** What it took to install all objects at once; `whose`: the heading of how many had them. */
export const installsTable = (whose: string, installs: readonly InstallReport[]): string =>
  table(
    ["", whose, "objects", "seconds", "netlink transactions"],
    installs.map((one) => [
      OUTER[one.access],
      whole(one.bindings),
      whole(one.objects),
      (one.milliseconds / 1000).toFixed(1),
      one.transactions,
    ]),
  );
