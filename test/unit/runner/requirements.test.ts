import { readFileSync } from "node:fs";
import t from "tap";
import { repositoryPath } from "../../lib/repository.js";
import { coverageOf, parseRequirements, reportLines } from "../../requirements/report.js";

const TSV = `id\tpart\tactor\tstrength\tsummary
R5555-4.1-01\tRFC 5555\tANY\tMUST\tSix formats
R5555-4.1-02\tRFC 5555\tHA\tIMP\tSomething else
F6275-10.3.1-01\tFoundation\tHA\tMUST\tAnother
`;

const ok = (name: string): string => `# Subtest: ${name}\nok 1 - ${name}\n`;

t.test("a passing test covers the IDs in its name, and no others", async (t) => {
  const { passing } = coverageOf([ok("R5555-4.1-01 F6275-10.3.1-01: formats"), ok("R5555-4.1-021, R5555-4.1")]);
  t.strictSame([...passing], ["R5555-4.1-01", "F6275-10.3.1-01", "R5555-4.1-021"]);
});

t.test("skipped and failing tests and mere assertions cover nothing", async (t) => {
  const skipped = ok("R5555-4.1-01: a").replace(/a\n$/, "a # SKIP no bench\n");
  const failing = ok("F6275-10.3.1-01: b").replace("ok 1", "not ok 1");
  const { passing, failing: failed } = coverageOf([skipped, failing, "ok 1 - R5555-4.1-02\n"]);
  t.strictSame([[...passing], [...failed]], [[], ["F6275-10.3.1-01"]]);
});

t.test("the report names the rows without a passing test, and IDs that are no rows", async (t) => {
  const rows = parseRequirements(TSV);
  const passing = new Set(["R5555-4.1-01", "F6275-10.3.1-01", "R5555-9-99"]);
  const { lines, unknown } = reportLines(rows, { passing, failing: new Set(["F6275-10.3.1-01"]) });
  t.strictSame(lines, [
    "RFC 5555: without a passing test",
    "  R5555-4.1-02           HA   IMP        Something else",
    "",
    "Foundation: without a passing test",
    "  F6275-10.3.1-01        HA   MUST       Another (its test fails)",
    "",
    "RFC 5555: 1/2",
    "Foundation: 0/1",
    "all parts: 1/3",
  ]);
  t.strictSame(unknown, ["R5555-9-99"]);
});

t.test("the matrix: 651 rows, each ID once, and each found again in a test name", async (t) => {
  const rows = parseRequirements(readFileSync(repositoryPath("test/requirements/ids.tsv"), "utf8"));
  t.equal(rows.length, 651);
  t.equal(new Set(rows.map(({ id }) => id)).size, 651);
  const { passing } = coverageOf(rows.map(({ id }) => ok(`${id}: x`)));
  t.strictSame(
    [...passing],
    rows.map(({ id }) => id),
  );
});
