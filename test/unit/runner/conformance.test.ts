import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { artifactFolder, artifactName } from "../../lib/artifact-name.js";
import { repositoryPath } from "../../lib/repository.js";
import { conformancePage, mistakes, type Row, rowStanding } from "../../requirements/conformance.js";
import {
  captureOf,
  type Evidence,
  evidenceOf,
  namesInSource,
  parseReasons,
  readReasons,
} from "../../requirements/evidence.js";
import { parseRequirements } from "../../requirements/report.js";

const ok = (file: string, name: string, word = "ok"): string =>
  `# file: ${file}\n# Subtest: ${name}\n${word} 1 - ${name}\n1..1\n`;
const KERNEL = "test/kernel/daemon/tour.test.ts";
const row = (id: string, level: string, evidence: readonly Evidence[] = [], reason?: string): Row => {
  return { id, part: "RFC 5555", actor: "HA", strength: "MUST", summary: "a | b", level, evidence, reason };
};
const evidence = (outcome: Evidence["outcome"], inBench = false): Evidence => {
  return { file: inBench ? KERNEL : "test/unit/a.test.ts", path: ["outer", "a test"], outcome, inBench };
};

t.test("evidence is the file, the names down to the test, and its last result", async (t) => {
  const results = [
    { tap: ok("test/unit/a.test.ts", "R5555-4.1-01: codec") + ok("test/unit/b.test.ts", "other"), inBench: false },
    { tap: ok(KERNEL, "R5555-4.1-01: seen", "not ok"), inBench: true },
    { tap: ok(KERNEL, "R5555-4.1-01: seen"), inBench: true },
  ];
  t.strictSame(evidenceOf(results).get("R5555-4.1-01"), [
    { file: "test/unit/a.test.ts", path: ["R5555-4.1-01: codec"], outcome: "passed", inBench: false },
    { file: KERNEL, path: ["R5555-4.1-01: seen"], outcome: "passed", inBench: true },
  ]);
});

t.test("of tests that have not run the sources tell", async (t) => {
  const found = namesInSource(
    KERNEL,
    'await t.test("R5555-4.1-01 R5555-4.1-02: it\'s", async () => {}); // R5555-4.1-03',
  );
  t.strictSame([...found.keys()], ["R5555-4.1-01", "R5555-4.1-02"]);
  t.strictSame(found.get("R5555-4.1-02")?.[0]?.outcome, "not run");
});

t.test(
  "a row stands as high as its level asks, a failure outweighs all, a reason only where there is no test",
  async (t) => {
    t.equal(rowStanding(row("R5555-4.1-01", "W", [evidence("passed")])), "passed elsewhere");
    t.equal(rowStanding(row("R5555-4.1-01", "W", [evidence("passed"), evidence("passed", true)])), "passed");
    t.equal(rowStanding(row("R5555-4.1-01", "WS", [evidence("passed")])), "passed");
    t.equal(rowStanding(row("R5555-4.1-01", "W", [evidence("passed", true), evidence("failed")])), "failed");
    t.equal(rowStanding(row("R5555-4.1-01", "W", [evidence("passed"), evidence("skipped", true)])), "not run");
    t.equal(rowStanding(row("R5555-4.1-01", "W")), "no test");
    t.equal(rowStanding(row("R5555-4.1-01", "W", [], "nobody can")), "not met");
    t.equal(rowStanding(row("R5555-4.1-01", "W", [evidence("not run")], "nobody can")), "not run");
  },
);

t.test("the page: figures by part, a line for each row, captures where they were kept", async (t) => {
  const rows = [row("R5555-4.1-01", "W", [evidence("passed", true)]), row("R5555-4.1-02", "U", [], "nobody can")];
  const page = conformancePage(rows, ({ inBench }) => (inBench ? "artifacts/x" : undefined));
  t.ok(page.includes("| RFC 5555 | 2 | 1 | 0 | 0 | 0 | 0 | 1 |"), page.join("\n"));
  t.ok(
    page.includes(
      `| R5555-4.1-01 | HA MUST | W | a \\| b | passed | \`${KERNEL}\`: outer > a test, capture in \`artifacts/x\` |`,
    ),
    page.join("\n"),
  );
  t.ok(page.includes("| R5555-4.1-02 | HA MUST | U | a \\| b | not met: nobody can |  |"));
});

t.test("mistakes are told: unknown rows, failures, reasons that are out of date", async (t) => {
  const rows = [
    row("R5555-4.1-01", "W", [evidence("passed", true)], "nobody can"),
    row("R5555-4.1-02", "W", [evidence("failed", true)]),
  ];
  const lines = mistakes(
    rows,
    new Map([
      ["R5555-9-99", []],
      ["R5555-4.1-01", []],
    ]),
    new Set(["R5555-4.1-01"]),
  );
  t.equal(lines.length, 3);
  t.match(lines.join("\n"), /R5555-9-99.*\nR5555-4.1-02.*\nR5555-4.1-01 is met/s);
});

t.test("a capture is found by its test's name, in the latest run that kept one", async (t) => {
  const artifacts = t.testdir();
  for (const run of ["1-um", "2-um"]) {
    const directory = join(artifacts, run, artifactFolder(KERNEL), artifactName("a test"));
    mkdirSync(directory, { recursive: true });
    if (run === "1-um") writeFileSync(join(directory, "ha-wan-0.pcap"), "");
  }
  t.match(captureOf(evidence("passed", true), artifacts), /1-um\/daemon-tour\/a-test$/);
  t.equal(captureOf(evidence("passed", false), artifacts), undefined);
});

t.test("reasons name rows that there are, and say something", async (t) => {
  const rows = parseRequirements(readFileSync(repositoryPath("test/requirements/ids.tsv"), "utf8"));
  for (const line of readReasons().trimEnd().split("\n").slice(1)) {
    const [of = "", reason = ""] = line.split("\t");
    const meant = rows.filter(({ id }) => id === of || (of.endsWith("*") && id.startsWith(of.slice(0, -1))));
    t.ok(meant.length > 0 && reason.length > 10, line);
  }
  const { reasonFor, single } = parseReasons("id\treason\nV4-*\tlater\nF1-1-01\tnever");
  t.strictSame(["V4-1-01", "F1-1-01", "F1-1-02"].map(reasonFor), ["later", "never", undefined]);
  t.strictSame([...single], ["F1-1-01"]);
});
