/** The mutation run itself: what it changes, what it leaves alone, and that a sample can be repeated. */
import t from "tap";
import { mutate, mutationsOf } from "../../mutants/operators.js";
import { randomNumbers, sample } from "../../mutants/sample.js";

const mutantsOf = (text: string): string[] => mutationsOf("a.ts", text).map((one) => mutate(text, one));

t.test("each operator changes one thing", (t) => {
  const cases: readonly (readonly [text: string, ...mutants: string[]])[] = [
    ["f(a === b);", ";", "f(a !== b);"],
    ["x = a < b;", "x = a <= b;", "x = a >= b;"],
    ["x = a && !b;", "x = a || !b;", "x = a && (b);"],
    ["if (a) b = c;", "if (!(a)) b = c;"],
    ["x = a ? b : c;", "x = !(a) ? b : c;"],
    ["x = [...a, b];", "x = [...[], b];"],
    ["x = { a, ...b };", "x = { a, ...{} };"],
    ["const x = 3;", "const x = 4;"],
    ["const x = true;", "const x = false;"],
    ["effects.push(a);", ";"],
  ];
  for (const [text, ...mutants] of cases) t.strictSame(mutantsOf(text), mutants, text);
  t.end();
});

t.test("types, imports, messages and invariants are left alone", (t) => {
  for (const text of [
    'import { a } from "./a.js";',
    "interface A { readonly b: true; c: 4 }",
    "type B = 1 | 2;",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the text of a program
    "throw new RangeError(`${1 + 2}`);",
    "const e = new ConfigError(a && b);",
    "x = exhaustive(1);",
    'x = "a" + b;',
  ])
    t.strictSame(mutantsOf(text), [], text);
  t.end();
});

t.test("a sample is the same for the same seed, and half of it comes from what has changed", (t) => {
  const mutants = Array.from({ length: 40 }, (_, start) => ({
    ...{ file: start < 10 ? "new.ts" : "old.ts", start, end: start, replacement: "", line: 1 },
  }));
  const changed = new Set(["new.ts"]);
  const one = sample(mutants, changed, 8, 7);
  t.strictSame(sample(mutants, changed, 8, 7), one);
  t.notSame(sample(mutants, changed, 8, 8), one);
  t.equal(one.length, 8);
  t.equal(new Set(one).size, 8, "none twice");
  t.ok(one.filter(({ file }) => file === "new.ts").length >= 4);
  t.equal(sample(mutants, changed, 100, 1).length, 40, "not more than there are");
  const random = randomNumbers(1);
  t.ok(Array.from({ length: 100 }, random).every((number) => number >= 0 && number < 1));
  t.end();
});
