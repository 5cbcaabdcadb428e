/** The clock that counts sleep, its timer, and the lock of a directory: system calls that Node lacks. */
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { BootTimer, bootId, bootTimeMilliseconds } from "../../../controller/io/boot-timer.js";
import { native } from "../../../controller/io/native.js";

t.test("a timer goes off at its moment, or at once if that is over, as often as it is set", async (test) => {
  let due = (): void => undefined;
  const timer = new BootTimer(() => due());
  test.teardown(() => timer.close());
  const goesOff = (at: number): Promise<number> =>
    new Promise((resolve) => {
      due = () => resolve(bootTimeMilliseconds());
      timer.set(at);
    });
  const before = bootTimeMilliseconds();
  test.ok((await goesOff(before + 5)) >= before + 5);
  await goesOff(before - 1000);
  await goesOff(0);
  due = () => test.fail("it was disarmed");
  timer.set(bootTimeMilliseconds() + 1);
  timer.set(undefined);
  const other = new BootTimer(() => wake());
  let wake = (): void => undefined;
  await new Promise<void>((resolve) => {
    wake = resolve;
    other.set(bootTimeMilliseconds() + 5);
  });
  other.close();
  timer.close();
  timer.set(1);
  test.match(bootId() ?? "", /^[0-9a-f-]{8}$/);
  test.equal(bootId("/nowhere"), undefined);
});

t.test("moments that are none are TypeErrors, a closed timer is EBADF", (test) => {
  const addon = native();
  const timer = addon.openTimer();
  const set = addon.setTimer as (...values: unknown[]) => void;
  for (const at of [-1, Number.NaN, Number.POSITIVE_INFINITY, 1e15, "soon", undefined])
    test.throws(() => set(timer, at), { name: "TypeError", message: /at must be/ }, String(at));
  addon.close(timer);
  test.throws(() => set(timer, 1), { code: "EBADF" });
  test.end();
});

t.test("a lock is one open file's at a time", (test) => {
  const directory = mkdtempSync(join(tmpdir(), "dsmipd-lock-"));
  test.teardown(() => rmSync(directory, { recursive: true }));
  const [first, second] = [openSync(directory, "r"), openSync(directory, "r")];
  native().lock(first);
  test.throws(() => native().lock(second), { code: "EAGAIN", syscall: "flock" });
  closeSync(first);
  native().lock(second);
  closeSync(second);
  test.throws(() => native().lock(second), { code: "EBADF" });
  test.throws(() => native().lock(-1), TypeError);
  test.end();
});
