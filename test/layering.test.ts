/** The layers of ARCHITECTURE.md, enforced. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { LAYERS, layerOf, violations } from "./lib/layers.js";
import { repositoryPath } from "./lib/repository.js";

t.test("every file of controller/ keeps to its layer", (t) => {
  const files = readdirSync(repositoryPath("controller"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => join("controller", file));
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
  const faults = files.flatMap((file) =>
    violations(file, readFileSync(repositoryPath(file), "utf8")).map((fault) => `${file}:${fault}`),
  );
  t.strictSame(faults, []);
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
