/**
 * Fuzzes the wire codecs for some seconds: `node build/test/fuzz/wire.js [--seconds N] [--seed N] [--only TARGET] [--keep]`.
 * --keep writes inputs with new features into the corpus; --replay TARGET HEX runs one input. Exit status 1 on a finding.
 * The corpus in test/fuzz/corpus/wire is replayed by the unit tests.
 */
import { appendFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { fromHex, toHex } from "../../controller/base/bytes.js";
import { corpusFile, corpusOf, type Finding, FUZZ_TARGETS, FuzzSearch, features } from "../lib/wire-fuzz.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "30" },
    seed: { type: "string", default: String(Date.now() & 0x7fffffff) },
    only: { type: "string" },
    keep: { type: "boolean", default: false },
    replay: { type: "boolean", default: false },
  },
});

function report({ target, input, error }: Finding): void {
  console.error(`FOUND in ${target}: ${error instanceof Error ? error.stack : String(error)}`);
  console.error(`replay: node build/test/fuzz/wire.js --replay ${target} ${toHex(input)}`);
}

function replay(name: string, hex: string): void {
  const target = FUZZ_TARGETS.find((candidate) => candidate.name === name);
  if (target === undefined) throw new Error(`no such target: ${name}`);
  console.log(features(target, fromHex(hex)).join("\n"));
}

function search(seconds: number, seed: number): number {
  const targets = FUZZ_TARGETS.filter(({ name }) => values.only === undefined || name === values.only);
  if (targets.length === 0) throw new Error(`no such target: ${values.only}`);
  const searches = targets.map((target) => new FuzzSearch(target, corpusOf(target.name), seed));
  const known = searches.map(({ pool }) => pool.length);
  const end = Date.now() + seconds * 1000;
  let found: Finding | undefined;
  while (found === undefined && Date.now() < end) {
    for (const each of searches) for (let i = 0; i < 500 && found === undefined; i++) found = each.step();
  }
  searches.forEach((each, i) => {
    const fresh = each.pool.slice(known[i]);
    console.log(`${each.target.name}: ${each.runs} inputs, ${each.pool.length} kept, ${fresh.length} new`);
    if (values.keep) for (const input of fresh) appendFileSync(corpusFile(each.target.name), `${toHex(input)}\n`);
  });
  if (found !== undefined) report(found);
  console.log(`seed ${seed}: ${found === undefined ? "nothing found" : "FOUND"}`);
  return found === undefined ? 0 : 1;
}

if (values.replay) replay(positionals[0] ?? "", positionals[1] ?? "");
else process.exitCode = search(Number(values.seconds), Number(values.seed));
