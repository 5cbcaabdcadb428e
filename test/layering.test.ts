/** The layers of ARCHITECTURE.md, enforced. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { LAYERS, layerOf, violations } from "./lib/layers.js";
import { repositoryPath } from "./lib/repository.js";
import { circles, crowdedFolders, needsOf, needsOfC, spreadCalls, trespasses } from "./lib/wings.js";

const textsOf = (folder: string, recursive: boolean, extension: string): ReadonlyMap<string, string> =>
  new Map(
    readdirSync(repositoryPath(folder), { recursive, encoding: "utf8" })
      .filter((file) => file.endsWith(extension))
      .map((file) => join(folder, file))
      .map((file) => [file, readFileSync(repositoryPath(file), "utf8")]),
  );
const CONTROLLER = textsOf("controller", true, ".ts");

t.test("every file of controller/ keeps to its layer", (t) => {
  const files = [...CONTROLLER.keys()];
  t.ok(files.length > 20, "the files were found");
  const seen = new Set(files.map(layerOf));
  t.strictSame(
    [...seen].filter((layer) => !(layer in LAYERS)),
    [],
    "no folder without a rule",
  );
  t.strictSame(
    Object.keys(LAYERS).filter((layer) => !seen.has(layer)),
    [],
    "no rule without a folder",
  );
  const faults = [...CONTROLLER].flatMap(([file, text]) => violations(file, text).map((fault) => `${file}:${fault}`));
  t.strictSame(faults, []);
  t.end();
});

t.test("wings do not know each other, and what they share knows none of them", (t) => {
  const faults = [...CONTROLLER].flatMap(([file, text]) => trespasses(file, text).map((fault) => `${file}:${fault}`));
  t.strictSame(faults, []);
  const forbidden: readonly (readonly [path: string, specifier: string])[] = [
    ["controller/plan/mobile-node/a.ts", "../home-agent/b.js"],
    ["controller/daemon/home-agent/a.ts", "../../protocol/mip6/mobile-node/b.js"],
    ["controller/protocol/mip4/home-agent/a.ts", "../../mip6/home-agent/b.js"],
    ["controller/protocol/mip6/inputs.ts", "../mip4/inputs.js"],
    ["controller/plan/objects/a.ts", "../../protocol/mip6/home-agent/b.js"],
    ["controller/protocol/movement/a.ts", "../mip6/inputs.js"],
    ["controller/wire/ip/a.ts", "../mip6/registry.js"],
    ["controller/daemon/signalling/a.ts", "../home-agent/role.js"],
  ];
  for (const [path, specifier] of forbidden) {
    t.equal(trespasses(path, `import type { B } from "${specifier}";`).length, 1, `${path} → ${specifier}`);
    t.equal(trespasses(path, `type B = import("${specifier}").B;`).length, 1, `${path} → ${specifier}, in a type`);
  }
  const allowed: readonly (readonly [path: string, specifier: string])[] = [
    ["controller/daemon/home-agent/a.ts", "../../protocol/mip6/home-agent/b.js"],
    ["controller/protocol/mip6/home-agent/a.ts", "../inputs.js"],
    ["controller/daemon/daemon.ts", "./mobile-node/role.js"],
    ["controller/wire/mip6/a.ts", "../ip/registry.js"],
  ];
  for (const [path, specifier] of allowed)
    t.strictSame(trespasses(path, `import { B } from "${specifier}";`), [], `${path} → ${specifier}`);
  t.end();
});

t.test("no circle of files, types and C included, and no crowded folder", (t) => {
  t.strictSame(circles(needsOf(CONTROLLER)), []);
  t.strictSame(circles(needsOfC(textsOf("native", false, ".c"))), []);
  t.strictSame(crowdedFolders(CONTROLLER.keys()), []);
  t.strictSame(crowdedFolders(readdirSync(repositoryPath("native")).map((file) => join("native", file))), []);
  const typescript = new Map([
    ["a.ts", 'import type { B } from "./b.js"; import { d } from "./d.js";'],
    ["b.ts", 'export * from "./c.js";'],
    ["c.ts", 'type A = import("./a.js").A;'],
    ["d.ts", '// import "./a.js";'],
  ]);
  t.strictSame(circles(needsOf(typescript)), ["a.ts → b.ts → c.ts → a.ts"]);
  const c = new Map([
    ["a.c", "static int hidden(void) { return 0; }\nint a(void) { return TABLE.x; }"],
    ["b.c", "const struct s TABLE = {.x = 1};\nstruct s *b(int x) {\n  return c(); /* d() */\n}"],
    ["c.c", 'int c(void) { hidden(); puts("d()"); return a(); }'],
    ["d.c", "bool d(void) { return c(); }"],
  ]);
  t.strictSame(circles(needsOfC(c)), ["a.c → b.c → c.c → a.c"]);
  const many = Array.from({ length: 17 }, (_, i) => `controller/x/${i}.ts`);
  t.strictSame(crowdedFolders([...many, "controller/y/1.ts"]), ["controller/x: 17 files"]);
  t.end();
});

t.test("no list of any length becomes an argument list", (t) => {
  const takesMany = /\.(push|unshift|splice|concat)$|^Math\.(max|min)$|^String\.from(CharCode|CodePoint)$/;
  const faults = [...CONTROLLER].flatMap(([file, text]) =>
    spreadCalls(file, text, takesMany).map((fault) => `${file}:${fault}`),
  );
  t.strictSame(faults, []);
  const found = ["a.push(...b)", "this.#a.b\n  .push(1, ...b())", "Math.max(0, ...b)", "String.fromCharCode(...b)"];
  for (const text of found) t.equal(spreadCalls("controller/kernel/a.ts", text, takesMany).length, 1, text);
  for (const text of ["push(...b)", "a.push([...b])", "// a.push(...b)", "rule(...b)"])
    t.strictSame(spreadCalls("controller/kernel/a.ts", text, takesMany), [], text);
  t.end();
});

t.test("only controller/io/native.ts knows the addon, and nobody the second netlink reader of the tests", (t) => {
  const mentions = readdirSync(repositoryPath("controller"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .filter((file) => /\.node["'`]|from "netlink"/.test(readFileSync(repositoryPath("controller", file), "utf8")));
  t.strictSame(mentions, ["io/native.ts"]);
  t.end();
});

t.test("what the rules forbid is found", (t) => {
  const cases: readonly (readonly [path: string, text: string, fault: string])[] = [
    ["controller/base/a.ts", 'import { x } from "../wire/b.js";', "1: base must not import from controller/wire/b.ts"],
    ["controller/wire/a.ts", 'import fs from "node:fs";', "1: wire must not import node:fs"],
    ["controller/wire/a.ts", "\nconst a = Date.now();", "2: wire is pure and must not use Date"],
    ["controller/plan/a.ts", "const a = Math.random();", "1: plan is pure and must not use Math.random"],
    ["controller/protocol/a.ts", "setTimeout(f, 1);", "1: protocol is pure and must not use setTimeout"],
    ["controller/reconcile/a.ts", "console.log(1);", "1: reconcile is pure and must not use console"],
    [
      "controller/plan/a.ts",
      'import { step, type Binding } from "../protocol/b.js";',
      "1: plan may import only types from controller/protocol/b.ts, not step",
    ],
    [
      "controller/protocol/a.ts",
      'import { decodeMessage } from "../wire/b.js";',
      "1: protocol must not import decodeMessage from wire",
    ],
    [
      "controller/kernel/a.ts",
      'export * from "../protocol/b.js";',
      "1: kernel must not import from controller/protocol/b.ts",
    ],
    [
      "controller/netlink/a.ts",
      'const a = await import("../plan/b.js");',
      "1: netlink must not import from controller/plan/b.ts",
    ],
    ["controller/new/a.ts", "", "controller/new is no layer: give it a row in test/lib/layers.ts"],
  ];
  for (const [path, text, fault] of cases) t.strictSame(violations(path, text), [fault], `${path}: ${text.trim()}`);
  t.end();
});

t.test("what the rules allow is not", (t) => {
  const allowed: readonly (readonly [path: string, text: string])[] = [
    ["controller/wire/a.ts", 'import { b } from "../base/b.js"; import { c } from "./c.js";'],
    [
      "controller/plan/a.ts",
      'import type { Binding } from "../protocol/b.js"; import { type Input } from "../protocol/c.js";',
    ],
    [
      "controller/protocol/a.ts",
      "const a = { Date: 1 }; interface B { process: string } const c = a.Date; // Date.now()",
    ],
    ["controller/main.ts", 'import { step } from "./protocol/b.js"; setTimeout(step, Math.random());'],
  ];
  for (const [path, text] of allowed) t.strictSame(violations(path, text), [], `${path}: ${text}`);
  t.end();
});
