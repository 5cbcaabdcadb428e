/** The fuzz target has a corpus, the corpus holds, and a fixed number of mutations of it hold too (`make fuzz` goes on from there). */
import t from "tap";
import { toHex } from "../../../controller/base/bytes.js";
import {
  corpusNames,
  corpusOf,
  FUZZ_TARGETS,
  FuzzSearch,
  features,
  mutate,
  randomNumbers,
} from "../../lib/wire-fuzz.js";

const MUTATIONS = 2000;

t.test("every target has a corpus that is not empty, and every corpus a target", (t) => {
  t.strictSame([...corpusNames()].sort(), FUZZ_TARGETS.map(({ name }) => name).sort());
  for (const { name } of FUZZ_TARGETS) t.ok(corpusOf(name).length >= 5, `${name}: ${corpusOf(name).length} inputs`);
  t.end();
});

t.test("F6275-6.2-01: the corpus gives values and DecodeErrors, nothing else", (t) => {
  for (const target of FUZZ_TARGETS) {
    const seen = new Set(corpusOf(target.name).flatMap((input) => features(target, input)));
    t.ok(seen.size >= 5, `${target.name}: ${seen.size} features`);
  }
  t.end();
});

t.test("so do mutations of the corpus", (t) => {
  for (const target of FUZZ_TARGETS) {
    const search = new FuzzSearch(target, corpusOf(target.name), 1);
    for (let i = 0; i < MUTATIONS; i++) {
      const finding = search.step();
      if (finding !== undefined) t.fail(`${target.name} ${toHex(finding.input)}: ${finding.error}`);
    }
    t.ok(search.runs >= MUTATIONS, target.name);
  }
  t.end();
});

t.test("a target whose decoder throws something else is found", (t) => {
  const good = FUZZ_TARGETS[0];
  if (good === undefined) throw new Error("no target");
  const decode = (): never => {
    throw new RangeError("a bug");
  };
  const broken = { ...good, format: { ...good.format, decode } };
  const finding = new FuzzSearch(broken, [], 1).step();
  t.match(finding, { target: "mobility-header", error: { message: "a bug" } });
  t.end();
});

t.test("the same seed gives the same inputs", (t) => {
  const run = (seed: number): string[] => {
    const random = randomNumbers(seed);
    return Array.from({ length: 20 }, () => toHex(mutate(new Uint8Array(16), new Uint8Array(4), random)));
  };
  t.strictSame(run(7), run(7));
  t.notSame(run(7), run(8));
  t.end();
});
