import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { Journal } from "../../../controller/store/journal.js";

function directory(test: Test): string {
  const path = mkdtempSync(join(tmpdir(), "dsmipd-journal-"));
  test.teardown(() => rmSync(path, { recursive: true }));
  return path;
}

t.test("the last record of each key is there after a restart", async (test) => {
  const path = directory(test);
  const journal = new Journal(path, "home-agent", () => 1000);
  journal.append("a", { sequence: 1 });
  journal.append("b", { sequence: 1 });
  journal.append("a", { sequence: 2 });
  journal.append("b", null);
  await journal.flush();
  // No close: the process was killed.
  const again = new Journal(path, "home-agent", () => 2000);
  test.strictSame([...again.entries], [["a", { record: { sequence: 2 }, writtenAt: 1000 }]]);
  again.close();
  journal.close();
});

t.test("a torn last line is cut off, a broken one is skipped and told", async (test) => {
  const path = directory(test);
  const journal = new Journal(path, "home-agent", () => 1);
  journal.append("a", { n: 1 });
  await journal.flush();
  journal.close();
  appendFileSync(join(path, "journal.ndjson"), 'rubbish\n{"key":"b","writtenAt":1,"record":{"n":2}}\n{"key":"c","wri');
  const again = new Journal(path, "home-agent", () => 1);
  test.equal(again.skipped, 2);
  test.strictSame([...again.entries.keys()], ["a", "b"]);
  again.append("c", { n: 3 });
  await again.flush();
  again.close();
  test.strictSame([...new Journal(path, "home-agent", () => 1).entries.keys()], ["a", "b", "c"]);
});

t.test("history is compacted away, live records stay", async (test) => {
  const path = directory(test);
  const journal = new Journal(path, "home-agent", () => 1);
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 1000; i++) journal.append(`k${i % 10}`, { round, i });
    await journal.flush();
  }
  const lines = readFileSync(join(path, "journal.ndjson"), "utf8").split("\n").length;
  test.ok(lines < 6000, `${lines} lines for 10 live records`);
  test.equal(journal.entries.size, 10);
  journal.close();
});

t.test("appends during a flush are in the next one", async (test) => {
  const path = directory(test);
  const journal = new Journal(path, "mobile-node", () => 1);
  journal.append("a", { n: 1 });
  const first = journal.flush();
  journal.append("b", { n: 2 });
  await Promise.all([first, journal.flush()]);
  test.match(readFileSync(join(path, "journal.ndjson"), "utf8"), /"key":"b"/);
  journal.close();
});

t.test("another role's journal, or no journal at all, is refused with a remedy", (test) => {
  const path = directory(test);
  new Journal(path, "home-agent", () => 1).close();
  test.throws(() => new Journal(path, "mobile-node", () => 1), {
    message: /belongs to a home-agent; set another stateDirectory/,
  });
  writeFileSync(join(path, "journal.ndjson"), "hello\n");
  test.throws(() => new Journal(path, "home-agent", () => 1), { message: /is no journal of dsmipd/ });
  test.end();
});
