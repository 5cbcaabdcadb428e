/** Who may import whom in controller/, and what the pure layers may not touch; read from the syntax tree, so that comments don't count. */
import ts from "typescript";
import { moduleOf, resolveModule } from "./imports.js";

export interface LayerRule {
  /** Layers whose values and types may be imported. */
  readonly values: readonly string[];
  /** Layers (or single files) of which only types may be imported. */
  readonly types?: readonly string[];
  /** Packages and Node.js modules; "*" allows all. */
  readonly packages?: readonly string[];
  /** Of a package only these: functions of their arguments alone. */
  readonly functionsOf?: Readonly<Record<string, readonly string[]>>;
  /** No clock, no timer, no randomness, no console, no process. */
  readonly pure?: boolean;
  /** Imported values with such names are not allowed: what another layer does with the bytes. */
  readonly notNamed?: RegExp;
}

/** The arrows of the design: base ← wire ← protocol ← plan ← reconcile, netlink ← kernel, io; the daemon and its doors see all. */
export const LAYERS: Readonly<Record<string, LayerRule>> = {
  base: { values: [], pure: true },
  wire: { values: ["base"], pure: true },
  protocol: {
    values: ["base", "wire"],
    types: ["schemas/config"],
    pure: true,
    notNamed: /^(encode|decode)/,
    functionsOf: { "node:crypto": ["createHash", "createHmac", "timingSafeEqual"] },
  },
  plan: { values: ["base"], types: ["protocol"], pure: true },
  reconcile: { values: ["base", "plan"], pure: true },
  netlink: { values: ["base"] },
  vici: { values: ["base"], types: ["netlink/transport"] },
  kernel: {
    values: ["base", "netlink", "plan"],
    types: ["reconcile/kernel-port", "protocol/movement/network-view"],
    packages: ["node:fs"],
  },
  io: { values: ["base"], types: ["netlink/transport", "vici/transport"], packages: ["*"] },
  ike: { values: ["base", "plan", "vici"], types: ["netlink/transport"] },
  /** Files that a person writes: read, checked against schemas/ and each other, told with file, key and remedy. */
  config: { values: ["base", "schemas"], packages: ["node:path", "node:fs", "node:crypto", "yaml", "zod"] },
  /** What is kept: on the disk (journal), in memory (events, counters). */
  store: { values: ["base", "schemas"], types: ["protocol"], packages: ["*"] },
  control: { values: ["base", "schemas"], types: ["*"], packages: ["*"] },
  /** controller/daemon and the files directly in controller/. */
  daemon: { values: ["*"], packages: ["*"] },
};

const AMBIENT: ReadonlySet<string> = new Set([
  ...["Date", "performance", "setTimeout", "setInterval", "setImmediate", "queueMicrotask"],
  ...["console", "process", "crypto", "fetch", "Buffer", "require", "global", "globalThis"],
]);

/** "wire" for controller/wire/x.ts, "daemon" for controller/main.ts, "schemas" for schemas/config.ts. */
export function layerOf(path: string): string {
  const [top, second] = path.split("/");
  if (top !== "controller") return top ?? "";
  return second?.endsWith(".ts") || second === undefined ? "daemon" : second;
}

interface ImportedName {
  readonly name: string;
  readonly typeOnly: boolean;
}

/** What breaks the rules in one source file, each as "line: sentence". */
export function violations(path: string, text: string): string[] {
  const layer = layerOf(path);
  const rule = LAYERS[layer];
  if (!rule) return [`controller/${layer} is no layer: give it a row in test/lib/layers.ts`];
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true);
  const found: string[] = [];
  const report = (node: ts.Node, sentence: string): void => {
    found.push(`${source.getLineAndCharacterOfPosition(node.getStart()).line + 1}: ${sentence}`);
  };
  const visit = (node: ts.Node): void => {
    const specifier = moduleOf(node);
    if (specifier !== undefined) {
      for (const sentence of importFaults(path, layer, rule, specifier, namesOf(node))) report(node, sentence);
    } else if (rule.pure) {
      const ambient = ambientUse(node);
      if (ambient !== undefined) report(node, `${layer} is pure and must not use ${ambient}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function namesOf(node: ts.Node): ImportedName[] {
  if (ts.isExportDeclaration(node)) {
    const elements = node.exportClause && ts.isNamedExports(node.exportClause) ? node.exportClause.elements : undefined;
    if (!elements) return [{ name: "*", typeOnly: node.isTypeOnly }];
    return elements.map(({ name, isTypeOnly }) => ({ name: name.text, typeOnly: node.isTypeOnly || isTypeOnly }));
  }
  const clause = ts.isImportDeclaration(node) ? node.importClause : undefined;
  if (!clause) return [{ name: "*", typeOnly: ts.isImportTypeNode(node) }];
  const typeOnly = clause.phaseModifier === ts.SyntaxKind.TypeKeyword;
  const whole: ImportedName[] = clause.name ? [{ name: clause.name.text, typeOnly }] : [];
  const bindings = clause.namedBindings;
  if (!bindings) return whole;
  if (ts.isNamespaceImport(bindings)) return [...whole, { name: "*", typeOnly }];
  return [
    ...whole,
    ...bindings.elements.map(({ name, propertyName, isTypeOnly }) => ({
      name: (propertyName ?? name).text,
      typeOnly: typeOnly || isTypeOnly,
    })),
  ];
}

function importFaults(
  path: string,
  layer: string,
  rule: LayerRule,
  specifier: string,
  names: readonly ImportedName[],
): string[] {
  if (!specifier.startsWith(".")) {
    const allowed = rule.packages?.some((name) => name === "*" || name === specifier) ?? false;
    const functions = rule.functionsOf?.[specifier];
    if (functions !== undefined) {
      const others = names.filter(({ name, typeOnly }) => !typeOnly && !functions.includes(name));
      return others.map(({ name }) => `${layer} must not import ${name} from ${specifier}`);
    }
    return allowed ? [] : [`${layer} must not import ${specifier}`];
  }
  const target = resolveModule(path, specifier);
  const targetLayer = layerOf(target);
  if (targetLayer === layer || permits(rule.values, target, targetLayer)) {
    const foreign =
      targetLayer === layer ? [] : names.filter(({ name, typeOnly }) => !typeOnly && rule.notNamed?.test(name));
    return foreign.map(({ name }) => `${layer} must not import ${name} from ${targetLayer}`);
  }
  if (!permits(rule.types ?? [], target, targetLayer)) return [`${layer} must not import from ${target}`];
  return names
    .filter(({ typeOnly }) => !typeOnly)
    .map(({ name }) => `${layer} may import only types from ${target}, not ${name}`);
}

function permits(allowed: readonly string[], target: string, targetLayer: string): boolean {
  const bare = target.replace(/^controller\//, "").replace(/\.ts$/, "");
  return allowed.some(
    (entry) => entry === "*" || entry === targetLayer || entry === bare || bare.startsWith(`${entry}/`),
  );
}

/** The ambient thing that this node uses, if it does: a global's name in an expression, or Math.random. */
function ambientUse(node: ts.Node): string | undefined {
  if (ts.isPropertyAccessExpression(node) && node.getText() === "Math.random") return "Math.random";
  if (!ts.isIdentifier(node) || !AMBIENT.has(node.text)) return undefined;
  const { parent } = node;
  const isMemberName = ts.isPropertyAccessExpression(parent) && parent.name === node;
  const isDeclaredName =
    (ts.isPropertySignature(parent) || ts.isPropertyAssignment(parent) || ts.isMethodDeclaration(parent)) &&
    parent.name === node;
  return isMemberName || isDeclaredName ? undefined : node.text;
}
