/**
 * Reads TAP (13 from node:test, 14 from tap) into a tree of tests. Only what a report needs: names, verdicts, skip reasons and the
 * diagnostics of what failed. Anything that is not TAP is kept as the file's other output.
 */
export interface TestPoint {
  readonly name: string;
  readonly ok: boolean;
  /** Why it was skipped; absent when it ran. */
  readonly skipped?: string;
  /** True for a test with a body of its own ("# Subtest"), false for a single assertion. */
  readonly isTest: boolean;
  children: readonly TestPoint[];
  diagnostics: string;
}

export interface TapReport {
  readonly points: readonly TestPoint[];
  /** `1..N` was seen: the process reached its end. */
  readonly planned: boolean;
  /** The reason in `1..0 # SKIP reason`. */
  readonly skippedAll?: string;
  readonly bailedOut?: string;
}

const POINT = /^(not )?ok\b(?: +\d+)?(?: +- +|- +| +)?(.*)$/;
const DIRECTIVE = /(?:^| )# *(skip|todo)\b\S* *:? *(.*)$/i;

interface Level {
  points: TestPoint[];
  subtest: boolean;
  /** A point printed before its children: `ok 1 - name {`. */
  open?: TestPoint;
}

/** The diagnostics block that is being read, and the point it belongs to. */
interface YamlBlock {
  readonly indent: string;
  readonly point: TestPoint | undefined;
}

class TapReader {
  private readonly levels: Level[] = [{ points: [], subtest: false }];
  private yaml: YamlBlock | undefined;
  private last: TestPoint | undefined;
  private planned = false;
  private skippedAll: string | undefined;
  private bailedOut: string | undefined;

  line(line: string): void {
    if (this.yaml) this.yamlLine(line, this.yaml);
    else this.tapLine(line);
  }

  private tapLine(line: string): void {
    const spaces = line.length - line.trimStart().length;
    const text = line.trim();
    const depth = Math.floor(spaces / 4);
    if (text === "---") this.yaml = { indent: " ".repeat(spaces), point: this.last };
    else if (text.startsWith("# Subtest")) this.level(depth).subtest = true;
    else if (text.startsWith("Bail out!")) this.bailedOut = text.slice(9).trim();
    else if (text === "}") this.close(depth);
    else if (/^1\.\.\d+/.test(text)) this.plan(depth, text);
    else this.point(depth, text);
  }

  report(): TapReport {
    const { planned, skippedAll, bailedOut } = this;
    return {
      points: this.level(0).points,
      planned,
      ...(skippedAll === undefined ? {} : { skippedAll }),
      ...(bailedOut === undefined ? {} : { bailedOut }),
    };
  }

  private level(depth: number): Level {
    while (this.levels.length <= depth) this.levels.push({ points: [], subtest: false });
    return this.levels[depth] as Level;
  }

  private yamlLine(line: string, { indent, point }: YamlBlock): void {
    if (line === `${indent}...`) this.yaml = undefined;
    else if (point) point.diagnostics += `${line.slice(indent.length)}\n`;
  }

  private plan(depth: number, text: string): void {
    if (depth > 0) return;
    this.planned = true;
    const skip = /^1\.\.0\b.*?# *skip\S* *:? *(.*)$/i.exec(text);
    if (skip) this.skippedAll = skip[1] ?? "";
  }

  private point(depth: number, text: string): void {
    const match = POINT.exec(text);
    if (!match) return;
    const level = this.level(depth);
    let name = match[2] ?? "";
    const opens = name.endsWith("{");
    if (opens) name = name.slice(0, -1).trimEnd();
    name = name.replace(/ # time=[\d.]+m?s$/, "");
    const directive = DIRECTIVE.exec(name);
    const isSkip = directive?.[1]?.toLowerCase() === "skip";
    if (directive) name = name.slice(0, directive.index);
    const below = this.levels[depth + 1];
    const point: TestPoint = {
      name: name.replaceAll("\\#", "#").trim(),
      ok: match[1] === undefined,
      ...(isSkip ? { skipped: (directive?.[2] ?? "").replace(/ # time=.*$/, "").trim() } : {}),
      isTest: level.subtest || opens,
      children: opens ? [] : (below?.points ?? []),
      diagnostics: "",
    };
    if (opens) level.open = point;
    this.levels.length = depth + 1;
    level.subtest = false;
    level.points.push(point);
    this.last = point;
  }

  private close(depth: number): void {
    const level = this.level(depth);
    if (!level.open) return;
    level.open.children = this.levels[depth + 1]?.points ?? [];
    delete level.open;
    this.levels.length = depth + 1;
  }
}

export function readTap(text: string): TapReport {
  const reader = new TapReader();
  for (const line of text.split("\n")) reader.line(line.trimEnd());
  return reader.report();
}
