import t from "tap";
import { count, type FileRun, formatTotals, judge } from "../../runner/results.js";
import { readTap } from "../../runner/tap.js";

const NODE_TEST = `TAP version 13
# Subtest: outer
    # Subtest: inner good
    ok 1 - inner good
      ---
      duration_ms: 0.5
      ...
    # Subtest: inner bad
    not ok 2 - inner bad
      ---
      duration_ms: 1
      error: |-
        not ok 3 - a line within the diagnostics
      ...
    1..2
not ok 1 - outer
  ---
  error: '1 subtest failed'
  ...
# Subtest: later
ok 2 - later # SKIP no such kernel
  ---
  duration_ms: 1
  ...
1..2
# tests 2
`;

const TAP_14 = `TAP version 14
# Subtest: first
    ok 1 - should be equal
    not ok 2 - should be equal
      ---
      found: 1
      wanted: 2
      ...
    1..2
not ok 1 - first # time=4.1ms

ok 2 - buffered # time=3ms {
    # Subtest: within
        ok 1 - fine
        1..1
    ok 1 - within
    1..1
}

ok 3 - an assertion outside any test
1..3
`;

function file(tap: string, rest: Partial<FileRun> = {}): FileRun {
  return { file: "a.test.ts", tap, status: 0, stderr: "", timedOut: false, ...rest };
}

const brief = (run: FileRun): string[] => judge(run).tests.map(({ path, verdict }) => `${verdict} ${path.join(" > ")}`);

t.test("TAP of node:test: innermost tests count, with their skips and diagnostics", async (t) => {
  const run = file(NODE_TEST, { status: 1 });
  t.strictSame(brief(run), ["passed outer > inner good", "failed outer > inner bad", "skipped later"]);
  const [, bad, later] = judge(run).tests;
  t.match(bad?.detail, /not ok 3 - a line within the diagnostics/);
  t.equal(later?.detail, "no such kernel");
});

t.test("TAP of tap: assertions do not count, but explain their test; buffered subtests are read too", async (t) => {
  const run = file(TAP_14, { status: 1 });
  t.strictSame(brief(run), ["failed first", "passed buffered > within", "passed an assertion outside any test"]);
  t.match(judge(run).tests[0]?.detail, /should be equal\nfound: 1\nwanted: 2/);
});

t.test("a file fails without a failing test when its process does", async (t) => {
  const good = "TAP version 13\n# Subtest: a\nok 1 - a\n1..1\n";
  t.strictSame(brief(file(good)), ["passed a"]);
  const cases: readonly (readonly [FileRun, RegExp])[] = [
    [file(good, { status: 1, stderr: "boom" }), /status 1\nboom/],
    [file(good.replace("1..1\n", "")), /in the middle of its tests/],
    [file(good, { timedOut: true, status: 137 }), /ran too long; last heard of: a/],
    [file(`${good}Bail out! no more\n`), /bailed out: no more/],
    [file("TAP version 13\n1..0\n"), /holds no test/],
    [file("", { status: null }), /status signal/],
  ];
  for (const [run, detail] of cases) {
    const failed = judge(run).tests.filter(({ verdict }) => verdict === "failed");
    t.equal(failed.length, 1, String(detail));
    t.match(failed[0]?.detail, detail);
  }
});

t.test("a file that skips itself is one skipped test with its reason", async (t) => {
  const [only] = judge(file("TAP version 14\n1..0 # SKIP not root\n")).tests;
  t.strictSame(only, { path: ["a.test.ts"], verdict: "skipped", detail: "not root" });
});

t.test("totals", async (t) => {
  const totals = count([judge(file(NODE_TEST, { status: 1 })), judge(file(TAP_14, { status: 1 }))]);
  t.equal(formatTotals(totals), "3 passed, 2 failed, 1 skipped");
  t.equal(readTap("").planned, false);
});
