/** What a TypeScript file imports, read from the syntax tree, so that comments don't count. */
import ts from "typescript";

/** A file of this repository that is imported, as values or as types. */
export interface ImportedModule {
  /** controller/base/ip.ts */
  readonly target: string;
  readonly line: number;
}

/** The files of this repository that the file imports; packages are left out. */
export function importsOf(path: string, text: string): ImportedModule[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true);
  const found: ImportedModule[] = [];
  const visit = (node: ts.Node): void => {
    const specifier = moduleOf(node);
    if (specifier?.startsWith(".") === true) {
      const line = source.getLineAndCharacterOfPosition(node.getStart()).line + 1;
      found.push({ target: resolveModule(path, specifier), line });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** What an import, export from, import() or import type names; undefined for other nodes. */
export function moduleOf(node: ts.Node): string | undefined {
  const literal =
    ts.isImportDeclaration(node) || ts.isExportDeclaration(node)
      ? node.moduleSpecifier
      : ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)
        ? node.argument.literal
        : ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword
          ? node.arguments[0]
          : undefined;
  return literal && ts.isStringLiteral(literal) ? literal.text : undefined;
}

/** controller/wire/a.ts + "../base/ip.js" → controller/base/ip.ts */
export function resolveModule(path: string, specifier: string): string {
  const parts = path.split("/").slice(0, -1);
  for (const part of specifier.replace(/\.js$/, ".ts").split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}
