/**
 * The wings of the layers: the folder says protocol and role, and wings that stand side by side do not know each other. What they share lies
 * below them. Also: no circle of files, no folder too large to be overlooked.
 */
import ts from "typescript";
import { type ImportedModule, importsOf } from "./imports.js";

/** Folders of the same level of which none may import from another, in whatever layer. */
const STRANGERS: readonly (readonly string[])[] = [
  ["home-agent", "mobile-node", "foreign-agent", "correspondent-node"],
  ["mip6", "mip4"],
];

/** What everybody stands on knows nobody's protocol and nobody's role. */
const SHARED: readonly string[] = [
  "controller/plan/objects",
  "controller/protocol/movement",
  "controller/protocol/ownership",
  "controller/protocol/mip6/return-routability",
  "controller/wire/ip",
  "controller/daemon/home-link",
  "controller/daemon/security",
  "controller/daemon/signalling",
];
/** These know the words of mip6 (inputs, timers), and no role. */
const BEFORE_ROLES: readonly string[] = [
  "controller/daemon/security",
  "controller/daemon/signalling",
  "controller/protocol/mip6/return-routability",
];

const wingOf = (path: string, wings: readonly string[]): string | undefined =>
  path.split("/").find((part) => wings.includes(part));

/** What one file imports across a wing's wall, each as a sentence. */
export function trespasses(path: string, text: string): string[] {
  return importsOf(path, text).flatMap(({ target, line }) =>
    trespassesOf(path, target).map((sentence) => `${line}: ${sentence}`),
  );
}

function trespassesOf(path: string, target: string): string[] {
  const found: string[] = [];
  for (const wings of STRANGERS) {
    const [own, other] = [wingOf(path, wings), wingOf(target, wings)];
    if (own !== undefined && other !== undefined && own !== other) found.push(`${own} must not know ${target}`);
  }
  const shared = SHARED.find((folder) => path.startsWith(`${folder}/`));
  const isWing = STRANGERS.some((wings, i) => {
    const mayKnow = i === 1 && BEFORE_ROLES.some((folder) => folder === shared);
    return !mayKnow && wingOf(target, wings) !== undefined;
  });
  if (shared !== undefined && isWing) found.push(`${shared} is shared by all wings and must not know ${target}`);
  return found;
}

/** Who needs whom, by name. */
export type Needs = ReadonlyMap<string, ReadonlySet<string>>;

/** The needs of TypeScript files, types too. */
export function needsOf(files: ReadonlyMap<string, string>): Needs {
  const targets = (path: string, text: string): Set<string> =>
    new Set(
      importsOf(path, text)
        .map(({ target }: ImportedModule) => target)
        .filter((target) => files.has(target)),
    );
  return new Map([...files].map(([path, text]) => [path, targets(path, text)]));
}

/** The needs of C files: who calls or names what another one defines for all. */
export function needsOfC(files: ReadonlyMap<string, string>): Needs {
  const definedIn = new Map<string, string>();
  const code = new Map(
    [...files].map(([path, text]) => [path, text.replace(/\/\*[\s\S]*?\*\/|"(?:[^"\\]|\\.)*"/g, "")]),
  );
  for (const [path, text] of code) {
    const definitions = text.matchAll(/^(?!static|typedef|#|extern)[a-z][\w *]*?\b(\w+)(?:\([^;{]*\)|(?: = )?) ?\{/gm);
    for (const [, name = ""] of definitions) if (!/^(struct|enum|union)$/.test(name)) definedIn.set(name, path);
  }
  const needs = (path: string, text: string): Set<string> => {
    const named = [...text.matchAll(/\b[A-Za-z_]\w*\b/g)].map(([name]) => definedIn.get(name));
    return new Set(named.filter((owner): owner is string => owner !== undefined && owner !== path));
  };
  return new Map([...code].map(([path, text]) => [path, needs(path, text)]));
}

/** One circle of each knot, as the way back to where it begins; none if everything stands on something. */
export function circles(needs: Needs): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const way: string[] = [];
  const visit = (name: string): void => {
    const at = way.indexOf(name);
    if (at >= 0) found.push([...way.slice(at), name].join(" → "));
    if (at >= 0 || done.has(name)) return;
    way.push(name);
    for (const needed of needs.get(name) ?? []) visit(needed);
    way.pop();
    done.add(name);
  };
  for (const name of needs.keys()) visit(name);
  return found;
}

const MOST_FILES = 16;

/** Folders with more files than a person overlooks. */
export function crowdedFolders(files: Iterable<string>): string[] {
  const counts = new Map<string, number>();
  for (const path of files) {
    const folder = path.split("/").slice(0, -1).join("/");
    counts.set(folder, (counts.get(folder) ?? 0) + 1);
  }
  return [...counts].filter(([, count]) => count > MOST_FILES).map(([folder, count]) => `${folder}: ${count} files`);
}

/** Calls whose arguments are spread out of a list, as "line: text": such a list must be short, for each element takes room on the stack. */
export function spreadCalls(path: string, text: string, callee: RegExp): string[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (
      ts.isCallExpression(node) &&
      node.arguments.some(ts.isSpreadElement) &&
      callee.test(node.expression.getText().replace(/\s+/g, ""))
    )
      found.push(`${source.getLineAndCharacterOfPosition(node.getStart()).line + 1}: ${node.getText()}`);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}
