/** Plain-text tables for people: columns as wide as their widest cell, two blanks apart. */
import { largest } from "../base/lists.js";

export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, i) =>
    largest(
      rows.map((row) => row[i]?.length ?? 0),
      title.length,
    ),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd();
  return [line(header), ...rows.map(line)].join("\n");
}
