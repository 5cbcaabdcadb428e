import t from "tap";
import { type Instant, instant } from "../../../controller/base/time.js";
import { clock, journalTime, TimerQueue } from "../../../controller/daemon/clock.js";

/** A queue on a clock that is moved by hand, as sleep moves it: nothing runs until the alarm goes off. */
function played() {
  let now = 1000;
  let setFor: number | undefined;
  let ring: () => void = () => undefined;
  let sets = 0;
  const queue = new TimerQueue(
    () => instant(now),
    (onDue) => {
      ring = onDue;
      return {
        set: (at) => {
          setFor = at;
          sets++;
        },
      };
    },
  );
  const wakeAt = (at: number): void => {
    now = at;
    if (setFor !== undefined && setFor <= now) ring();
  };
  return { queue, wakeAt, setFor: () => setFor, sets: () => sets };
}

t.test("what fell due in sleep is done at waking, once, in order", (test) => {
  const { queue, wakeAt, setFor } = played();
  const done: string[] = [];
  queue.setTimer(60_000, () => done.push("minute"));
  queue.setTimer(1_000, () => {
    done.push("second");
    queue.setTimer(0, () => done.push("after"));
  });
  queue.setTimer(7_200_000, () => done.push("two hours"));
  test.equal(setFor(), 2000);
  wakeAt(1500);
  test.strictSame(done, []);
  wakeAt(3_600_000);
  test.strictSame(done, ["second", "minute"]);
  wakeAt(3_600_000);
  test.strictSame(done, ["second", "minute", "after"]);
  wakeAt(7_300_000);
  test.equal(done.length, 4);
  test.equal(setFor(), undefined, "nothing keeps the process");
  test.end();
});

t.test("a cancelled timer does nothing, and one that is renewed all the time costs no system call", (test) => {
  const { queue, wakeAt, sets } = played();
  let cancel: () => void = () => undefined;
  let rung = 0;
  for (let i = 0; i < 100; i++) {
    const before = cancel;
    cancel = queue.setTimer(1000 + i, () => rung++);
    before();
  }
  test.equal(sets(), 1);
  wakeAt(2050);
  test.equal(rung, 0, "too early");
  wakeAt(2200);
  test.equal(rung, 1);
  cancel();
  wakeAt(9999);
  test.equal(rung, 1);
  test.end();
});

t.test("the daemon's clock is CLOCK_BOOTTIME", async (test) => {
  const before: Instant = clock.now();
  await new Promise<void>((done) => clock.setTimer(20, done));
  test.ok(clock.now() - before >= 20);
  const cancel = clock.setTimer(5, () => test.fail("cancelled"));
  cancel();
  await new Promise<void>((done) => clock.setTimer(10, done));
  test.match(journalTime?.().boot, /^[0-9a-f]{8}$/);
});
