import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type Files, nodeFiles } from "../../../controller/store/files.js";
import { type BootTime, Journal, type JournalRole } from "../../../controller/store/journal.js";

/** In memory where that is possible: thousands of files are synchronised here. */
const SCRATCH = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

function directory(test: Test): string {
  const path = mkdtempSync(join(SCRATCH, "dsmipd-journal-"));
  test.teardown(() => rmSync(path, { recursive: true }));
  return path;
}

const fileOf = (path: string): string => join(path, "journal.ndjson");
const read = (path: string): string => readFileSync(fileOf(path), "utf8");
const records = (journal: Journal): object =>
  Object.fromEntries([...journal.entries].map(([key, one]) => [key, one.record]));
const keptAside = (path: string): string[] => readdirSync(path).filter((name) => name.includes(".damaged-"));

/** A file system whose calls of these names fail with the code while `failing` says so. */
function faulty(names: readonly (keyof Files)[], failing: () => string | undefined): Files {
  const files: Record<string, unknown> = { ...nodeFiles };
  for (const name of names) {
    const call = nodeFiles[name] as (...args: unknown[]) => unknown;
    files[name] = (...args: unknown[]) => {
      const code = failing();
      if (code === undefined) return call(...args);
      const error = Object.assign(new Error(`${code}: ${name}`), { code, syscall: name });
      if (name.endsWith("Sync") && name !== "dataSync") throw error;
      return Promise.reject(error);
    };
  }
  return files as unknown as Files;
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
  test.match(again.findings, { header: "present", skipped: 0, doubtful: 0, keptAside: undefined });
  again.close();
  journal.close();
});

t.test("appends during a flush are in the next one", async (test) => {
  const path = directory(test);
  const journal = new Journal(path, "mobile-node", () => 1);
  journal.append("a", { n: 1 });
  const first = journal.flush();
  journal.append("b", { n: 2 });
  await Promise.all([first, journal.flush()]);
  test.match(read(path), /"key":"b"/);
  journal.close();
});

t.test("history is compacted away, live records stay, and what is appended meanwhile too", async (test) => {
  const path = directory(test);
  const journal = new Journal(path, "home-agent", () => 1);
  for (let round = 0; round < 3000; round++) {
    for (let i = 0; i < 10; i++) journal.append(`k${i}`, { round, i });
    if (round % 7 === 0) journal.append("k3", null);
    await journal.flush();
  }
  test.ok(read(path).split("\n").length < 6000, "30,000 lines were appended");
  const live = records(journal);
  journal.close();
  const again = new Journal(path, "home-agent", () => 1);
  test.strictSame(records(again), live);
  test.strictSame(readdirSync(path), ["journal.ndjson"]);
  again.close();
});

t.test(
  "a file that is replaced at work is closed beside the event loop: to free a large one takes its time",
  async (test) => {
    const path = directory(test);
    const closed: string[] = [];
    let fresh: number | undefined;
    let replaced: number | undefined;
    const files: Files = {
      ...nodeFiles,
      openSync: (name, flags) => {
        const file = nodeFiles.openSync(name, flags);
        if (name.endsWith(".new")) replaced = file;
        return file;
      },
      open: async (name, flags) => {
        const file = await nodeFiles.open(name, flags);
        if (name.endsWith(".compact")) fresh = file;
        return file;
      },
      closeSync: (file) => {
        if (file === replaced && fresh !== undefined) closed.push("at once");
        nodeFiles.closeSync(file);
      },
      close: (file) => {
        if (file === replaced) closed.push("aside");
        replaced = undefined; // another file may have its number from here on
        return nodeFiles.close(file);
      },
    };
    const journal = new Journal(path, "home-agent", () => 1, { files });
    for (let n = 0; n < 5000 && closed.length === 0; n++) {
      journal.append("a", { n });
      await journal.flush();
    }
    test.strictSame(closed, ["aside"]);
    journal.close();
  },
);

t.test("another role's journal is refused with a remedy", async (test) => {
  const path = directory(test);
  new Journal(path, "home-agent", () => 1).close();
  test.throws(() => new Journal(path, "mobile-node", () => 1), {
    message: /belongs to a home-agent; set another stateDirectory/,
  });
});

t.test("a journal without checksums is read and written anew with them", async (test) => {
  const path = directory(test);
  const lines = [
    '{"dsmipd":"journal","version":1,"role":"home-agent"}',
    '{"key":"a","writtenAt":5,"record":{"n":1}}',
    '{"key":"b","writtenAt":6,"record":{"n":2}}',
    '{"key":"b","writtenAt":7,"record":null}',
    "rubbish",
    '{"key":"c","wri',
  ];
  writeFileSync(fileOf(path), lines.join("\n"));
  const journal = new Journal(path, "home-agent", () => 10);
  test.strictSame([...journal.entries], [["a", { record: { n: 1 }, writtenAt: 5 }]]);
  test.match(journal.findings, { header: "version-1", skipped: 2 });
  test.match(read(path), /^\{"dsmipd":"journal","version":2,"role":"home-agent","seal":/);
  test.equal(readFileSync(join(path, keptAside(path)[0] ?? ""), "utf8"), lines.join("\n"));
  journal.close();
});

t.test("a journal of a later dsmipd is kept aside and told", async (test) => {
  const path = directory(test);
  writeFileSync(fileOf(path), '{"dsmipd":"journal","version":3,"role":"home-agent"}\n{"a":1}\n');
  const journal = new Journal(path, "home-agent", () => 10);
  test.match(journal.findings, { header: "newer", skipped: 1 });
  test.equal(keptAside(path).length, 1);
  journal.close();
});

/** A journal whose keys have several records each, with an earlier one last in the file for none of them. */
async function sample(
  path: string,
  role: JournalRole = "home-agent",
): Promise<{ octets: Buffer; last: Record<string, object> }> {
  const journal = new Journal(path, role, () => 1000, { bootTime: () => ({ boot: "b", milliseconds: 7 }) });
  const last: Record<string, object> = {};
  for (const [key, n] of [
    ["a", 1],
    ["b", 1],
    ["a", 2],
    ["c", 1],
    ["b", 2],
    ["d", 1],
    ["a", 3],
    ["c", 2],
  ] as const) {
    last[key] = { address: `2001:db8::${n}`, n };
    journal.append(key, { address: `2001:db8::${n}`, n });
    await journal.flush();
  }
  journal.close();
  return { octets: readFileSync(fileOf(path)), last };
}

function open(test: Test, path: string, octets: Uint8Array): Journal {
  writeFileSync(fileOf(path), octets);
  const journal = new Journal(path, "home-agent", () => 2000);
  test.equal(journal.failure, undefined);
  return journal;
}

t.test("no octet that is changed gives another record than the last one of its key", async (test) => {
  const path = directory(test);
  const { octets, last } = await sample(path);
  for (let at = 0; at < octets.length; at++) {
    for (const change of [0x01, 0x80, (octets[at] ?? 0) ^ 0x0a]) {
      const damaged = Buffer.from(octets);
      damaged[at] = (octets[at] ?? 0) ^ change;
      if (damaged.equals(octets)) continue;
      const journal = open(test, path, damaged);
      const found = Object.entries(records(journal));
      for (const [key, record] of found) test.same(record, last[key], `octet ${at} ^ ${change}: ${key}`);
      test.ok(found.length >= Object.keys(last).length - 2, `octet ${at} ^ ${change}: the others are used`);
      test.equal(keptAside(path).length, at < octets.length - 1 ? 1 : 0);
      journal.close();
      for (const name of keptAside(path)) rmSync(join(path, name));
    }
  }
});

t.test("a file that is cut anywhere tells what it was at that moment, and goes on from there", async (test) => {
  const path = directory(test);
  const { octets } = await sample(path);
  const states: object[] = [{}];
  for (const line of octets.toString().split("\n").slice(1, -1)) {
    const { key, record } = JSON.parse(line) as { key: string; record: object };
    states.push({ ...states.at(-1), [key]: record });
  }
  for (let length = 0; length < octets.length; length++) {
    const cut = octets.subarray(0, length);
    const whole = cut.toString().split("\n").slice(1, -1).length;
    const journal = open(test, path, cut);
    // A last line that lacks nothing but its newline counts.
    const wanted = octets[length] === 0x0a && length > octets.indexOf(0x0a) ? whole + 1 : whole;
    test.same(records(journal), states[wanted], `${length} octets`);
    journal.append("e", { n: 1 });
    await journal.flush();
    journal.close();
    const again = new Journal(path, "home-agent", () => 2000);
    test.same(records(again), { ...states[wanted], e: { n: 1 } });
    test.equal(again.skipped, 0);
    again.close();
    for (const name of keptAside(path)) rmSync(join(path, name));
  }
});

t.test(
  "stretches of zeros, empty files and garbage keep nobody from starting, and the damaged file is kept",
  async (test) => {
    const path = directory(test);
    const { octets, last } = await sample(path);
    for (let from = 0; from < octets.length; from += 31) {
      for (const length of [1, 40, 200, 512, octets.length]) {
        const damaged = Buffer.from(octets).fill(0, from, Math.min(octets.length, from + length));
        const journal = open(test, path, damaged);
        // Of zeros up to the end, which a power cut leaves, nobody knows what they should have been.
        const reachesEnd = from + length > octets.length - 31;
        for (const [key, record] of Object.entries(records(journal)))
          if (!reachesEnd) test.same(record, last[key], `zeros at ${from}, ${length}: ${key}`);
        journal.close();
      }
    }
    for (const garbage of [
      Buffer.alloc(0),
      Buffer.alloc(4096),
      Buffer.from("hello\n"),
      Buffer.from([0xff, 0xfe, 10, 10]),
    ]) {
      const journal = open(test, path, garbage);
      test.equal(journal.entries.size, 0);
      test.equal(journal.findings.header, "damaged");
      journal.close();
    }
    test.equal(keptAside(path).length, 4, "the newest few are kept");
    for (const appended of [Buffer.alloc(4096), Buffer.from("x\n\0\n"), Buffer.from([0xff, 0xfe]), octets]) {
      const journal = open(test, path, Buffer.concat([octets, appended]));
      test.same(records(journal), last);
      test.ok(journal.skipped > 0);
      journal.close();
    }
  },
);

t.test("lines of another role's journal are no records, whatever its header says", async (test) => {
  const path = directory(test);
  const { octets } = await sample(path, "mobile-node");
  const damaged = Buffer.from(octets);
  damaged[3] = 0;
  test.equal(open(test, path, damaged).entries.size, 0);
});

t.test("a write that fails loses nothing, is told, and is tried again", async (test) => {
  for (const [calls, code] of [
    [["write"], "ENOSPC"],
    [["write", "truncate"], "EIO"],
    [["dataSync"], "EIO"],
  ] as const) {
    const path = directory(test);
    let failing: string | undefined;
    const journal = new Journal(path, "home-agent", () => 1, { files: faulty(calls, () => failing) });
    journal.append("a", { n: 1 });
    await journal.flush();
    failing = code;
    journal.append("a", { n: 2 });
    journal.append("b", { n: 2 });
    await test.rejects(journal.flush(), { code });
    test.ok(journal.dirty);
    test.equal(journal.failure?.code, code);
    journal.append("b", { n: 3 });
    await test.rejects(journal.flush(), { code });
    failing = undefined;
    journal.append("c", { n: 4 });
    await journal.flush();
    test.notOk(journal.dirty);
    test.equal(journal.failure, undefined);
    const again = new Journal(path, "home-agent", () => 1);
    test.same(records(again), { a: { n: 2 }, b: { n: 3 }, c: { n: 4 } });
    test.equal(again.skipped, 0);
    again.close();
    journal.close();
  }
});

t.test("what could be written at the end counts as written, whatever the disk said before", async (test) => {
  const path = directory(test);
  let failing: string | undefined = "ENOSPC";
  const journal = new Journal(path, "home-agent", () => 1, { files: faulty(["write"], () => failing) });
  journal.append("a", { n: 1 });
  await test.rejects(journal.flush(), { code: "ENOSPC" });
  failing = undefined;
  journal.close();
  await journal.closed();
  test.equal(journal.failure, undefined);
  const again = new Journal(path, "home-agent", () => 1);
  test.same(records(again), { a: { n: 1 } });
  again.close();
});

t.test("a compaction that the end overtakes is given up before the journal counts as closed", async (test) => {
  const path = directory(test);
  let proceed: (() => void) | undefined;
  let fresh: number | undefined;
  let writes = 0;
  const files: Files = {
    ...nodeFiles,
    open: async (name, flags) => {
      if (!name.endsWith(".compact")) return nodeFiles.open(name, flags);
      await new Promise<void>((resolve) => (proceed = resolve));
      fresh = await nodeFiles.open(name, flags);
      return fresh;
    },
    write: (file, ...rest) => {
      if (file === fresh) writes++;
      return nodeFiles.write(file, ...rest);
    },
  };
  const journal = new Journal(path, "home-agent", () => 1, { files });
  for (let n = 0; n < 4200; n++) {
    journal.append("a", { n });
    await journal.flush();
  }
  test.ok(proceed, "it has begun");
  journal.close();
  let closed = false;
  const end = journal.closed().then(() => {
    closed = true;
  });
  await new Promise(setImmediate);
  test.notOk(closed, "its file would be the next daemon's");
  proceed?.();
  await end;
  test.equal(writes, 1, "no more than its header is written");
  test.strictSame(readdirSync(path), ["journal.ndjson"]);
  const again = new Journal(path, "home-agent", () => 1);
  test.same(records(again), { a: { n: 4199 } });
  again.close();
});

t.test("a write that is cut short is cut off before the next", async (test) => {
  const path = directory(test);
  let room = Number.POSITIVE_INFINITY;
  const files: Files = {
    ...nodeFiles,
    write: async (file, octets, offset, position) => {
      if (room === 0) throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
      const length = Math.min(room, octets.length - offset);
      room -= length;
      return nodeFiles.write(file, octets.subarray(0, offset + length), offset, position);
    },
  };
  const journal = new Journal(path, "home-agent", () => 1, { files });
  journal.append("a", { n: 1 });
  await journal.flush();
  room = 30;
  for (const key of ["b", "c", "d"]) journal.append(key, { pad: "x".repeat(50) });
  await test.rejects(journal.flush(), { code: "ENOSPC" });
  for (const key of ["b", "c", "d"]) journal.append(key, null);
  journal.append("e", {});
  room = Number.POSITIVE_INFINITY;
  await journal.flush();
  const again = new Journal(path, "home-agent", () => 1);
  test.same(records(again), { a: { n: 1 }, e: {} });
  test.equal(again.skipped, 0);
  again.close();
  journal.close();
});

t.test("what waits for a disk that refuses is no more than a record for each key", async (test) => {
  const path = directory(test);
  let failing: string | undefined = "EIO";
  const journal = new Journal(path, "home-agent", () => 1, { files: faulty(["write"], () => failing) });
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 1000; i++) journal.append(`k${round}-${i}`, { round });
    await test.rejects(journal.flush());
    for (let i = 0; i < 1000; i++) journal.append(`k${round}-${i}`, null);
    await test.rejects(journal.flush());
  }
  journal.append("a", { n: 1 });
  failing = undefined;
  await journal.flush();
  test.ok(read(path).length < 2_000_000);
  const again = new Journal(path, "home-agent", () => 1);
  test.same(records(again), { a: { n: 1 } });
  again.close();
  journal.close();
});

t.test(
  "a compaction that fails at any of its calls leaves the journal as it was, and closes nothing twice",
  async (test) => {
    for (const call of ["open", "rename", "dataSync", "write"] as const) {
      const path = directory(test);
      let compacting = false;
      let failed = 0;
      const open = new Set<number>();
      const files: Files = {
        ...faulty([call], () => (compacting && failed++ >= 0 ? "ENOSPC" : undefined)),
        openSync: (name, flags) => {
          const file = nodeFiles.openSync(name, flags);
          open.add(file);
          return file;
        },
        closeSync: (file) => {
          test.ok(open.delete(file), "it was open");
          nodeFiles.closeSync(file);
        },
        close: (file) => {
          test.ok(open.delete(file), "it was open");
          return nodeFiles.close(file);
        },
      };
      const plain = files.open;
      files.open = async (name, flags) => {
        const ours = name.endsWith(".compact");
        if (ours) compacting = true;
        try {
          const file = await plain(name, flags);
          open.add(file);
          return file;
        } catch (error) {
          compacting = false;
          throw error;
        }
      };
      const plainUnlink = files.unlinkSync;
      files.unlinkSync = (name) => {
        if (name.endsWith(".compact")) compacting = false;
        plainUnlink(name);
      };
      const journal = new Journal(path, "home-agent", () => 1, { files });
      for (let n = 0; n < 4200; n++) {
        journal.append("a", { n });
        await journal.flush().catch(() => undefined);
      }
      journal.append("b", { n: 1 });
      await journal.flush().catch(() => undefined);
      compacting = false;
      await journal.flush();
      test.ok(failed > 0, `${call} has failed`);
      journal.close();
      test.equal(open.size, 0);
      const again = new Journal(path, "home-agent", () => 1);
      test.same(records(again), { a: { n: 4199 }, b: { n: 1 } });
      test.equal(again.skipped, 0);
      again.close();
    }
  },
);

t.test("nothing counts as written while the directory can't be synchronised", async (test) => {
  const path = directory(test);
  let failing: string | undefined = "EIO";
  const journal = new Journal(path, "home-agent", () => 1, { files: faulty(["sync", "syncSync"], () => failing) });
  test.equal(journal.failure?.code, "EIO");
  journal.append("a", { n: 1 });
  await test.rejects(journal.flush(), { code: "EIO" });
  failing = "EINVAL";
  await journal.flush();
  test.notOk(journal.dirty, "a file system that has no such thing");
  journal.close();
});

t.test("a directory that can't be written keeps nobody from starting; what was there is known", async (test) => {
  const path = directory(test);
  const { last } = await sample(path);
  appendFileSync(fileOf(path), "damage\n");
  let failing: string | undefined = "EROFS";
  const files = faulty(["openSync", "open", "mkdirSync", "linkSync", "copySync", "write"], () => failing);
  const journal = new Journal(path, "home-agent", () => 1, { files });
  test.same(records(journal), last);
  test.equal(journal.failure?.code, "EROFS");
  test.ok(journal.dirty);
  journal.append("z", { n: 1 });
  await test.rejects(journal.flush(), { code: "EROFS" });
  failing = undefined;
  await journal.flush();
  test.equal(keptAside(path).length, 1);
  const again = new Journal(path, "home-agent", () => 1);
  test.same(records(again), { ...last, z: { n: 1 } });
  again.close();
  journal.close();
});

t.test("a file that can't be read is kept aside", async (test) => {
  const path = directory(test);
  await sample(path);
  const journal = new Journal(path, "home-agent", () => 1, { files: faulty(["readSync"], () => "EIO") });
  test.equal(journal.findings.header, "unreadable");
  test.equal(keptAside(path).length, 1);
  test.equal(journal.failure, undefined);
  journal.close();
});

t.test("a directory of the journal's name is told, and keeps nobody from starting", async (test) => {
  const path = directory(test);
  mkdirSync(fileOf(path));
  const journal = new Journal(path, "home-agent", () => 1);
  test.ok(journal.failure !== undefined);
  await test.rejects(journal.flush());
  journal.close();
});

const at = (boot: string, milliseconds: number) => (): BootTime => ({ boot, milliseconds });

t.test("ages are exact within a run of the kernel, whatever the wall clock does", async (test) => {
  const path = directory(test);
  const day = 86_400_000;
  const journal = new Journal(path, "home-agent", () => 10 * day, { bootTime: at("one", 5000) });
  journal.append("a", { n: 1 });
  await journal.flush();
  for (const wall of [0, 9 * day, 11 * day]) {
    const again = new Journal(path, "home-agent", () => wall, { bootTime: at("one", 65_000) });
    const [entry] = again.entries.values();
    test.strictSame(entry && again.age(entry), { seconds: 60, certain: true });
  }
  journal.close();
});

t.test("over a reboot the wall clock says what it knows, and at least the time since", async (test) => {
  const path = directory(test);
  const journal = new Journal(path, "home-agent", () => 1_000_000, { bootTime: at("one", 5000) });
  journal.append("a", { n: 1 });
  await journal.flush();
  const after = (wall: number): unknown => {
    const again = new Journal(path, "home-agent", () => wall, { bootTime: at("two", 20_000) });
    const [entry] = again.entries.values();
    return entry && again.age(entry);
  };
  test.strictSame(after(1_300_000), { seconds: 300, certain: false });
  test.strictSame(after(0), { seconds: 20, certain: false }, "a clock that was set back, or has no battery");
  journal.close();
});

t.test("a clock that is set after a record was written is right about it after the next reboot", async (test) => {
  const path = directory(test);
  let wall = 0;
  let up = 1000;
  const journal = new Journal(path, "home-agent", () => wall, { bootTime: () => ({ boot: "one", milliseconds: up }) });
  journal.append("early", { n: 1 });
  wall = 50_000_000;
  up = 11_000;
  journal.append("late", { n: 1 });
  await journal.flush();
  const again = new Journal(path, "home-agent", () => 50_060_000, { bootTime: at("two", 5000) });
  const ages = [...again.entries.values()].map((entry) => again.age(entry).seconds);
  test.strictSame(ages, [70, 60]);
  again.close();
  journal.close();
});
