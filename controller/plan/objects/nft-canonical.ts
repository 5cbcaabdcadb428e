/**
 * When two nftables tables are the same: a canonical form that the plan and a dump of the kernel share, and its fingerprint.
 * The order of counters, sets, chains and of a constant set's elements means nothing, nor does the wording of a rule; the order
 * of rules in a chain does. Pure.
 */
import type { NftExpression, NftRegister, NftSet, NftTable } from "./firewall.js";

const FIRST_REG32 = 8;
const WORDS_PER_REGISTER = 4;

/** Registers 8, 12, 16 and 20 (of 4 octets) begin where 1, 2, 3 and 4 (of 16) do; the kernel dumps the latter. */
export function canonicalRegister(register: NftRegister): NftRegister {
  const word = register - FIRST_REG32;
  return word >= 0 && word % WORDS_PER_REGISTER === 0 ? word / WORDS_PER_REGISTER + 1 : register;
}

/** A set whose elements stand in the table is constant; the size of such a set is the number of its elements. */
export function isConstantSet(set: NftSet): boolean {
  return set.constant === true || set.elements !== undefined;
}

/** Its elements are nobody's objects: made by constant definition, or by packets. */
export function hasOwnElements(set: NftSet): boolean {
  return isConstantSet(set) || set.dynamicTimeoutMs !== undefined;
}

/** The same table in the one form that equal tables have in common, without the texts of its rules. */
export function canonicalNftTable(table: NftTable): NftTable {
  return {
    kind: "nft-table",
    family: table.family,
    name: table.name,
    counters: [...table.counters].sort(),
    sets: [...table.sets].sort(byName).map(canonicalSet),
    chains: [...table.chains].sort(byName).map(({ name, base, rules }) => ({
      name,
      ...(base === undefined
        ? {}
        : { base: { type: base.type, hook: base.hook, priority: base.priority, policy: base.policy } }),
      rules: rules.map(({ expressions }) => ({ text: "", expressions: expressions.map(canonicalExpression) })),
    })),
  };
}

/** 16 hexadecimal digits that equal tables share: FNV-1a (64 bits) of the canonical form. Not meant to resist an attacker. */
export function nftTableFingerprint(table: NftTable): string {
  return fnv1a64(JSON.stringify(canonicalNftTable(table)));
}

export function sameNftTable(a: NftTable, b: NftTable): boolean {
  return JSON.stringify(canonicalNftTable(a)) === JSON.stringify(canonicalNftTable(b));
}

function canonicalSet(set: NftSet): NftSet {
  const constant = isConstantSet(set);
  return {
    name: set.name,
    key: [...set.key],
    ...(set.value === undefined ? {} : { value: set.value }),
    ...(set.integerLength === undefined ? {} : { integerLength: set.integerLength }),
    ...(constant ? { elements: canonicalElements(set.elements ?? []), constant } : {}),
    ...(constant || set.size === undefined ? {} : { size: set.size }),
    ...(set.dynamicTimeoutMs === undefined ? {} : { dynamicTimeoutMs: set.dynamicTimeoutMs }),
  };
}

function canonicalElements(elements: NonNullable<NftSet["elements"]>): NonNullable<NftSet["elements"]> {
  return elements
    .map(({ key, value }) => ({
      key: key.toLowerCase(),
      ...(value === undefined ? {} : { value: value.toLowerCase() }),
    }))
    .sort((a, b) => compare(a.key, b.key));
}

const REGISTER_FIELDS = ["register", "source", "destination"];
const HEX_FIELDS = ["value", "mask", "xor"];

/** Fields in alphabetical order, registers and hexadecimal digits in one spelling. */
function canonicalExpression(expression: NftExpression): NftExpression {
  const fields = Object.entries(expression)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => compare(a, b))
    .map(([field, value]: [string, unknown]) => {
      if (REGISTER_FIELDS.includes(field) && typeof value === "number") return [field, canonicalRegister(value)];
      return [field, HEX_FIELDS.includes(field) && typeof value === "string" ? value.toLowerCase() : value];
    });
  return Object.fromEntries(fields) as NftExpression;
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return compare(a.name, b.name);
}

/** By code unit, the same everywhere. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const FNV_OFFSET = 0xcbf29ce484222325n;
const FNV_PRIME = 0x100000001b3n;

/** Over the UTF-16 code units, low octet first: the texts hashed here are nearly all ASCII. */
function fnv1a64(text: string): string {
  let hash = FNV_OFFSET;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    for (const octet of [unit & 0xff, unit >> 8]) hash = BigInt.asUintN(64, (hash ^ BigInt(octet)) * FNV_PRIME);
  }
  return hash.toString(16).padStart(16, "0");
}
