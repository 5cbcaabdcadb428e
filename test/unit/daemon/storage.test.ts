import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { instant } from "../../../controller/base/time.js";
import { Storage } from "../../../controller/daemon/storage.js";
import type { Logger } from "../../../controller/log.js";
import { type Files, nodeFiles } from "../../../controller/store/files.js";

function played(test: Test, bootTime = { boot: "one", milliseconds: 0 }) {
  const directory = mkdtempSync(join(tmpdir(), "dsmipd-storage-"));
  test.teardown(() => rmSync(directory, { recursive: true }));
  let full = false;
  const refuse = (): Error => Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
  const files: Files = {
    ...nodeFiles,
    write: async (...args) => {
      if (full) throw refuse();
      return nodeFiles.write(...args);
    },
    openSync: (path, flags) => {
      if (full) throw refuse();
      return nodeFiles.openSync(path, flags);
    },
  };
  const lines: string[] = [];
  const tell = (line: { readonly event: string }): void => void lines.push(line.event);
  const log = { info: tell, warn: tell, error: tell } as unknown as Logger;
  const events: string[] = [];
  const timers: { readonly delayMs: number; readonly run: () => void }[] = [];
  const time = { now: 0 };
  const clock = {
    now: () => instant(time.now),
    setTimer: (delayMs: number, run: () => void) => {
      const timer = { delayMs, run };
      timers.push(timer);
      return () => void timers.splice(timers.indexOf(timer), 1);
    },
  };
  const open = (): Storage =>
    new Storage({
      ...{ directory, role: "home-agent", log, clock },
      note: ({ event }) => events.push(event),
      journal: { files, bootTime: () => bootTime },
    });
  return { directory, open, lines, events, timers, time, setFull: (on: boolean) => (full = on) };
}

t.test("a disk that refuses is told once, tried again by itself, and told when it is well", async (test) => {
  const { open, lines, events, timers, setFull } = played(test);
  const storage = open();
  const writable: boolean[] = [];
  storage.onWritable((now) => writable.push(now));
  test.equal(storage.flush(), undefined);
  setFull(true);
  for (let n = 0; n < 50; n++) {
    storage.journal.append("a", { n });
    test.equal(await storage.flush(), false);
  }
  test.strictSame([lines, events, writable], [["journal.failed"], ["journal.failed"], [false]]);
  test.equal(timers.length, 1, "one attempt is on its way, however often it was tried in between");
  setFull(false);
  const [retry] = timers.splice(0);
  retry?.run();
  test.equal(await storage.flush(), true);
  test.strictSame(
    [events, writable],
    [
      ["journal.failed", "journal.recovered"],
      [false, true],
    ],
  );
  test.equal(timers.length, 0);
  test.ok(storage.writable);
  await storage.close();
  test.strictSame(open().journal.entries.get("a")?.record, { n: 49 });
});

t.test("a start on a full disk is told to who asks later", async (test) => {
  const { open, events, time, setFull } = played(test);
  setFull(true);
  const storage = open();
  const writable: boolean[] = [];
  storage.onWritable((now) => writable.push(now));
  test.strictSame([writable, events], [[false], ["journal.failed"]]);
  test.equal(await storage.flush(), false);
  setFull(false);
  test.equal(await storage.flush(), false, "all of it is not written again for each message");
  time.now = 250;
  test.equal(await storage.flush(), true);
  test.strictSame(writable, [false, true]);
  await storage.close();
});

t.test("ages are told where only the wall clock knows them, damage is told with where the file is", async (test) => {
  const bootTime = { boot: "one", milliseconds: 1000 };
  const { directory, open, lines } = played(test, bootTime);
  const storage = open();
  storage.journal.append("a", { n: 1 });
  await storage.flush();
  bootTime.milliseconds = 61_000;
  const [age] = open().restored();
  test.equal(age?.ageSeconds, 60);
  test.strictSame(lines, []);
  bootTime.boot = "two";
  open().restored();
  test.strictSame(lines, ["journal.ages"]);
  writeFileSync(join(directory, "journal.ndjson"), "\0\0");
  open();
  test.strictSame(lines, ["journal.ages", "journal.damaged"]);
});
