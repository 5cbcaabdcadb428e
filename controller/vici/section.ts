/** Readers of decoded messages. They answer undefined where a node is missing or of another kind: what charon sends is never trusted. */
import { isList, isSection, type ViciNode, type ViciSection, type ViciValue } from "./message.js";

/** The node under a path of names: nodeAt(sas, "net", "child-sas"). */
export function nodeAt(section: ViciSection, ...path: readonly string[]): ViciNode | undefined {
  let node: ViciNode = section;
  for (const name of path) {
    if (!isSection(node) || !Object.hasOwn(node, name)) return undefined;
    const next: ViciNode | undefined = node[name];
    if (next === undefined) return undefined;
    node = next;
  }
  return node;
}

/** The text of a value; octets that are no UTF-8 have none. */
export function textAt(section: ViciSection, ...path: readonly string[]): string | undefined {
  const node = nodeAt(section, ...path);
  return typeof node === "string" ? node : undefined;
}

/** The number that a value writes in decimal, as charon writes most: whole, not negative, exact. */
export function numberAt(section: ViciSection, ...path: readonly string[]): number | undefined {
  return parseNumber(textAt(section, ...path), /^[0-9]+$/, 10);
}

/** The number that a value writes in hexadecimal, as charon writes SPIs and marks, with or without 0x; at most 32 bits. */
export function hexAt(section: ViciSection, ...path: readonly string[]): number | undefined {
  return parseNumber(textAt(section, ...path), /^(0x)?[0-9a-f]{1,8}$/i, 16);
}

/** charon's "yes"; missing and everything else is false. */
export function isYes(section: ViciSection, ...path: readonly string[]): boolean {
  return textAt(section, ...path) === "yes";
}

/** The octets of a value, whichever kind it was decoded to. */
export function octetsAt(section: ViciSection, ...path: readonly string[]): Uint8Array | undefined {
  const node = nodeAt(section, ...path);
  if (typeof node === "string") return new TextEncoder().encode(node);
  return node instanceof Uint8Array ? node : undefined;
}

/** The texts of a list in order; items that are no text are left out. */
export function textsAt(section: ViciSection, ...path: readonly string[]): readonly string[] | undefined {
  const node = nodeAt(section, ...path);
  if (node === undefined || !isList(node)) return undefined;
  return node.filter((item: ViciValue): item is string => typeof item === "string");
}

export function sectionAt(section: ViciSection, ...path: readonly string[]): ViciSection | undefined {
  const node = nodeAt(section, ...path);
  return node !== undefined && isSection(node) ? node : undefined;
}

/** The sections directly in one, with their names: the IKE SAs of an event, the children of one of them. */
export function sectionsOf(section: ViciSection): readonly (readonly [name: string, section: ViciSection])[] {
  return Object.entries(section).flatMap(([name, node]) => (isSection(node) ? [[name, node] as const] : []));
}

function parseNumber(text: string | undefined, form: RegExp, radix: number): number | undefined {
  if (text === undefined || !form.test(text)) return undefined;
  const value = Number.parseInt(text, radix);
  return Number.isSafeInteger(value) ? value : undefined;
}
