/** Reading a YAML file that people write: every complaint is one sentence that names the file, the line, the key, what was found and what is wanted. */

import { readFileSync, statSync } from "node:fs";
import { type Document, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import type { z } from "zod";
import { ConfigError } from "../base/errors.js";
import { largest } from "../base/lists.js";

/** The file's content, checked against the schema. Throws ConfigError. `secret`: values are never repeated in messages and the mode must be 0600. */
export function readYamlFile<S extends z.ZodType>(
  path: string,
  schema: S,
  options: { readonly secret: boolean },
): z.output<S> {
  const text = readTextFile(path, options.secret);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, version: "1.2", uniqueKeys: true });
  const [syntax] = document.errors;
  if (syntax !== undefined) {
    const line = lines.linePos(syntax.pos[0]).line;
    const detail = options.secret ? syntax.code : syntax.message.replace(/ at line \d+, column \d+:.*$/s, "");
    throw new ConfigError(`${path}:${line}: not valid YAML: ${detail}`);
  }
  const result = schema.safeParse(document.toJS());
  if (result.success) return result.data;
  throw new ConfigError(sentence(path, result.error.issues, document, lines, options.secret));
}

/** The file as text. Throws ConfigError; of a `secret` one also if anybody but its owner may read it. */
export function readTextFile(path: string, secret: boolean): string {
  try {
    const { mode } = statSync(path);
    if (secret && (mode & 0o077) !== 0) {
      const found = (mode & 0o777).toString(8).padStart(4, "0");
      throw new ConfigError(`${path}: has mode ${found} and holds keys; run: chmod 0600 ${path}`);
    }
    return readFileSync(path, "utf8");
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause;
    const code = (cause as NodeJS.ErrnoException).code;
    const why =
      code === "ENOENT"
        ? "there is no such file"
        : code === "EISDIR"
          ? "is a directory"
          : `cannot be read (${code ?? "unknown"})`;
    throw new ConfigError(`${path}: ${why}`, { cause });
  }
}

type Issue = z.core.$ZodIssue;

function sentence(
  path: string,
  issues: readonly Issue[],
  document: Document,
  lines: LineCounter,
  secret: boolean,
): string {
  const all = issues.map((issue) => describe(path, deepest(issue), document, lines, secret));
  const first = all[0] ?? `${path}: does not fit the schema`;
  return all.length > 1 ? `${first} (and ${all.length - 1} more)` : first;
}

/** Of a union's complaints the branch that got furthest is the one the author meant. */
function deepest(issue: Issue): Issue {
  if (issue.code !== "invalid_union" || issue.errors.length === 0) return issue;
  const depth = (list: readonly Issue[]): number =>
    largest(
      list.map((entry) => entry.path.length),
      0,
    );
  const best = [...issue.errors].sort((a, b) => depth(b) - depth(a))[0];
  const [inner] = best ?? [];
  if (inner === undefined || (inner.path.length === 0 && issue.errors.length > 1)) return issue;
  return deepest({ ...inner, path: [...issue.path, ...inner.path] });
}

function describe(path: string, issue: Issue, document: Document, lines: LineCounter, secret: boolean): string {
  if (issue.code === "unrecognized_keys") {
    const key = [...issue.path, issue.keys[0] ?? ""];
    const where = `${path}:${lineOf(key, document, lines)}`;
    return `${where}: ${keyText(key)} is not a known key; remove it or correct its spelling`;
  }
  const where = `${path}:${lineOf(issue.path, document, lines)}`;
  const key = keyText(issue.path);
  const found = document.getIn(issue.path);
  if (issue.path.length === 0 && document.contents === null) return `${path}: is empty; ${wanted(issue)}`;
  if (found === undefined) return `${where}: ${key} is missing; ${wanted(issue)}`;
  // Digits alone, or digits about an e, are a number to YAML; a key without a value has nothing that quotes would help.
  const isScalarValue = found !== null && !isMap(found) && !isSeq(found);
  const misread = issue.code === "invalid_type" && issue.expected === "string" && isScalarValue;
  return `${where}: ${key} is ${secret ? "wrong" : show(found)}; ${wanted(issue)}${misread ? "; put it in quotes" : ""}`;
}

function wanted(issue: Issue): string {
  if (issue.code === "custom" || issue.code === "invalid_format") return issue.message;
  if (issue.code === "invalid_type")
    return tells(issue.message) ? issue.message : `${article(issue.expected)} is wanted`;
  if (issue.code === "invalid_value") return oneOf(issue.values);
  if (issue.code === "too_small") {
    if (issue.origin !== "array")
      return `at least ${issue.minimum}${issue.origin === "string" ? " characters are" : " is"} wanted`;
    return issue.minimum === 1 ? "at least one entry is wanted" : `at least ${issue.minimum} entries are wanted`;
  }
  if (issue.code === "too_big") return `at most ${issue.maximum} is wanted`;
  if (issue.code === "invalid_union") {
    if ("options" in issue && Array.isArray(issue.options)) return oneOf(issue.options);
    const options = issue.errors.flat().map((entry) => wanted(entry as Issue).replace(/ is wanted$/, ""));
    return options.length > 0
      ? `${[...new Set(options)].join(" or ")} is wanted`
      : `a known ${issue.discriminator ?? "form"} is wanted`;
  }
  return issue.message;
}

/** The schema has words of its own (schemas/texts.ts): better than the type alone. */
const tells = (message: string): boolean => message.includes(" wanted");

function oneOf(all: readonly unknown[]): string {
  const values = all.filter((value) => value !== undefined); // of a key that may be absent
  return `${values.length > 1 ? "one of " : ""}${values.map((value) => (typeof value === "bigint" ? String(value) : JSON.stringify(value))).join(", ")} is wanted`;
}

function article(type: string): string {
  const names: Record<string, string> = {
    int: "a whole number",
    object: "a map",
    record: "a map",
    array: "a list",
    boolean: "true or false",
  };
  return names[type] ?? `a ${type}`;
}

function show(found: unknown): string {
  const value = isScalar(found) ? found.value : found;
  if (isSeq(value)) return value.items.length === 0 ? "an empty list" : "a list";
  if (typeof value === "object" && value !== null) return "a map";
  return JSON.stringify(value);
}

function keyText(path: readonly PropertyKey[]): string {
  if (path.length === 0) return "the file";
  return path
    .map((part, i) => (typeof part === "number" ? `[${part}]` : `${i === 0 ? "" : "."}${String(part)}`))
    .join("");
}

/** The line of the key itself, or of the nearest thing around it that is there. */
function lineOf(path: readonly PropertyKey[], document: Document, lines: LineCounter): number {
  for (let length = path.length; length > 0; length--) {
    const parent = document.getIn(path.slice(0, length - 1), true) as Node | undefined;
    const name = path[length - 1];
    if (isMap(parent)) {
      const pair = parent.items.find((item) => isScalar(item.key) && item.key.value === name);
      if (pair !== undefined && isScalar(pair.key) && pair.key.range) return lines.linePos(pair.key.range[0]).line;
    }
    const node = document.getIn(path.slice(0, length), true) as Node | undefined;
    if (node?.range) return lines.linePos(node.range[0]).line;
  }
  return 1;
}
