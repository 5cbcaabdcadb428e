/**
 * Small changes of a source text that its tests should notice: one at a time, each of a kind that changes what the program does and
 * is seldom without effect. Types, imports, messages of errors and what only checks invariants are left alone.
 */
import ts from "typescript";

export interface Mutation {
  /** Offsets into the text. */
  readonly start: number;
  readonly end: number;
  readonly replacement: string;
  /** From 1. */
  readonly line: number;
}

const S = ts.SyntaxKind;

/** A comparison becomes its negation and its neighbour: the one fails without a test of the rule, the other without one of its edge. */
const BINARY: ReadonlyMap<ts.SyntaxKind, readonly string[]> = new Map([
  [S.EqualsEqualsEqualsToken, ["!=="]],
  [S.ExclamationEqualsEqualsToken, ["==="]],
  [S.LessThanToken, ["<=", ">="]],
  [S.LessThanEqualsToken, ["<", ">"]],
  [S.GreaterThanToken, [">=", "<="]],
  [S.GreaterThanEqualsToken, [">", "<"]],
  [S.AmpersandAmpersandToken, ["||"]],
  [S.BarBarToken, ["&&"]],
  [S.PlusToken, ["-"]],
  [S.MinusToken, ["+"]],
  [S.AsteriskToken, ["+"]],
  [S.LessThanLessThanToken, [">>>"]],
  [S.GreaterThanGreaterThanGreaterThanToken, ["<<"]],
  [S.AmpersandToken, ["|"]],
  [S.BarToken, ["&"]],
]);

/** All mutations of a text, in the order of the text. `path` only tells the parser what it reads. */
export function mutationsOf(path: string, text: string): Mutation[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true);
  const found: Mutation[] = [];
  const add = (start: number, end: number, replacement: string): void => {
    found.push({ start, end, replacement, line: source.getLineAndCharacterOfPosition(start).line + 1 });
  };
  const replace = (node: ts.Node, replacement: string): void => add(node.getStart(source), node.getEnd(), replacement);
  const visit = (node: ts.Node): void => {
    if (isLeftAlone(node)) return;
    if (ts.isBinaryExpression(node)) binary(node, replace);
    else if (ts.isIfStatement(node)) replace(node.expression, `!(${node.expression.getText(source)})`);
    else if (ts.isConditionalExpression(node)) replace(node.condition, `!(${node.condition.getText(source)})`);
    else if (ts.isPrefixUnaryExpression(node) && node.operator === S.ExclamationToken && !isCondition(node))
      replace(node, `(${node.operand.getText(source)})`);
    else if (node.kind === S.TrueKeyword && !isTypeLike(node)) replace(node, "false");
    else if (node.kind === S.FalseKeyword && !isTypeLike(node)) replace(node, "true");
    else if (ts.isNumericLiteral(node) && !isTypeLike(node)) number(node, replace);
    else if (ts.isExpressionStatement(node) && ts.isCallExpression(node.expression)) replace(node, ";");
    else if (ts.isSpreadElement(node) && ts.isArrayLiteralExpression(node.parent)) replace(node, "...[]");
    else if (ts.isSpreadAssignment(node) && node.parent.properties.length > 1) replace(node, "...{}");
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

type Replace = (node: ts.Node, replacement: string) => void;

function binary(node: ts.BinaryExpression, replace: Replace): void {
  for (const operator of BINARY.get(node.operatorToken.kind) ?? []) {
    // Texts are joined with +: their minus would be NaN in a message, which is nobody's rule.
    if (operator === "-" && (isTextual(node.left) || isTextual(node.right))) continue;
    replace(node.operatorToken, operator);
  }
}

function number(node: ts.NumericLiteral, replace: Replace): void {
  const value = Number(node.text.replaceAll("_", ""));
  if (Number.isSafeInteger(value)) replace(node, String(value + 1));
}

const isTextual = (node: ts.Node): boolean => ts.isStringLiteralLike(node) || ts.isTemplateExpression(node);

/** The condition of an `if` or `?:` is negated as a whole already. */
const isCondition = (node: ts.Node): boolean =>
  (ts.isIfStatement(node.parent) && node.parent.expression === node) ||
  (ts.isConditionalExpression(node.parent) && node.parent.condition === node);

const isTypeLike = (node: ts.Node): boolean => ts.isLiteralTypeNode(node.parent);

function isLeftAlone(node: ts.Node): boolean {
  if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return true;
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return true;
  // What an error says, and the bug that cannot happen.
  if (ts.isThrowStatement(node) || (ts.isNewExpression(node) && /Error$/.test(node.expression.getText()))) return true;
  return ts.isCallExpression(node) && /^(exhaustive|assert\w*)$/.test(node.expression.getText());
}

export function mutate(text: string, { start, end, replacement }: Mutation): string {
  return text.slice(0, start) + replacement + text.slice(end);
}
