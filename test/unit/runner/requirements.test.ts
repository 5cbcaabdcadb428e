import { readFileSync } from "node:fs";
import t from "tap";
import { repositoryPath } from "../../lib/repository.js";
import { coverageOf, parseRequirements, type Results, reportLines } from "../../requirements/report.js";

const TSV = `id\tpart\tactor\tstrength\tsummary\tlevel
R5555-4.1-01\tRFC 5555\tANY\tMUST\tSix formats\tW
R5555-4.1-02\tRFC 5555\tHA\tIMP\tSomething else\tK
F6275-10.3.1-01\tFoundation\tHA\tMUST\tAnother\tWS
`;

const ok = (name: string): string => `# Subtest: ${name}\nok 1 - ${name}\n`;
const unit = (tap: string): Results => ({ tap, inBench: false });
const bench = (tap: string): Results => ({ tap, inBench: true });

t.test("a passing test covers the IDs in its name, and no others", async (t) => {
  const { passing } = coverageOf([
    unit(ok("R5555-4.1-01 F6275-10.3.1-01: formats")),
    unit(ok("R5555-4.1-021, R5555-4.1")),
  ]);
  t.strictSame([...passing], ["R5555-4.1-01", "F6275-10.3.1-01", "R5555-4.1-021"]);
});

t.test("skipped and failing tests and mere assertions cover nothing", async (t) => {
  const skipped = ok("R5555-4.1-01: a").replace(/a\n$/, "a # SKIP no bench\n");
  const failing = ok("F6275-10.3.1-01: b").replace("ok 1", "not ok 1");
  const { passing, failing: failed, inBench } = coverageOf([skipped, failing, "ok 1 - R5555-4.1-02\n"].map(bench));
  t.strictSame([[...passing], [...failed], [...inBench]], [[], ["F6275-10.3.1-01"], []]);
});

t.test("five rows are more than one test observes", async (t) => {
  const [four, five] = [4, 5].map((count) => Array.from({ length: count }, (_, i) => `V4-1-0${i}`).join(" "));
  t.strictSame(coverageOf([unit(ok(`${four}: a`)), unit(ok(`${five}: b`))]).crowded, [`${five}: b`]);
});

t.test(
  "the report: rows without a test, rows that a unit test cannot see, both figures, and IDs that are no rows",
  async (t) => {
    const rows = parseRequirements(TSV);
    const coverage = coverageOf([
      unit(ok("R5555-4.1-01: formats")),
      unit(ok("F6275-10.3.1-01: state")),
      unit(ok("R5555-9-99: who")),
    ]);
    const { lines, unknown } = reportLines(rows, coverage);
    t.strictSame(lines, [
      "RFC 5555: without a passing test",
      "  R5555-4.1-02           HA   IMP        K    Something else",
      "",
      "RFC 5555: seen by unit tests only, though wire or kernel is asked for",
      "  R5555-4.1-01           ANY  MUST       W    Six formats",
      "",
      "RFC 5555: 0/2 at the level of the row, 1/2 named by a passing test",
      "Foundation: 1/1 at the level of the row, 1/1 named by a passing test",
      "all parts: 1/3 at the level of the row, 2/3 named by a passing test",
    ]);
    t.strictSame(unknown, ["R5555-9-99"]);
    const seen = coverageOf([unit(ok("R5555-4.1-01: a")), bench(ok("R5555-4.1-01: b"))]);
    t.equal(
      reportLines(rows, seen).lines.at(-1),
      "all parts: 1/3 at the level of the row, 1/3 named by a passing test",
    );
  },
);

t.test("a row with a failing test is not covered, wherever it passes", async (t) => {
  const coverage = coverageOf([
    unit(ok("F6275-10.3.1-01: a")),
    bench(ok("F6275-10.3.1-01: b").replace("ok 1", "not ok 1")),
  ]);
  const { lines } = reportLines(parseRequirements(TSV), coverage);
  t.ok(lines.includes("  F6275-10.3.1-01        HA   MUST       WS   Another (its test fails)"));
  t.ok(lines.includes("Foundation: 0/1 at the level of the row, 0/1 named by a passing test"));
});

t.test("the matrix: 651 rows, each ID once, and each found again in a test name", async (t) => {
  const rows = parseRequirements(readFileSync(repositoryPath("test/requirements/ids.tsv"), "utf8"));
  t.equal(rows.length, 651);
  t.equal(new Set(rows.map(({ id }) => id)).size, 651);
  t.strictSame(
    rows.filter(({ level }) => !/^W?K?U?S?$/.test(level) || level === ""),
    [],
    "each row says where it is to be seen",
  );
  const { passing } = coverageOf(rows.map(({ id }) => unit(ok(`${id}: x`))));
  t.strictSame(
    [...passing],
    rows.map(({ id }) => id),
  );
});
