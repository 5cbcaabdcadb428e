/** A few lines a minute for each cause, and a count of the rest. */
import t from "tap";
import { LogLimit } from "../../../controller/store/log-limit.js";
import { FakeTimers } from "../../lib/netlink-fake.js";

t.test("a cause that strikes without end is told a few times a minute, and how often it struck", (t) => {
  const timers = new FakeTimers();
  const rest: [string, number][] = [];
  const limit = new LogLimit({ setTimer: timers.set, onPassedOver: (cause, count) => rest.push([cause, count]) });
  const strike = (cause: string, times: number): number =>
    Array.from({ length: times }, () => limit.admits(cause)).filter(Boolean).length;
  t.equal(strike("drift", 1000), 8);
  t.equal(strike("repair-failed", 2), 2, "another cause is not silenced by it");
  timers.tick();
  t.strictSame(rest, [["drift", 992]], "what was told in full has no rest");
  t.equal(strike("drift", 3), 3, "a new minute");
  timers.tick();
  t.equal(timers.pending.size, 0);
  t.end();
});

t.test("causes without number share an account", (t) => {
  const timers = new FakeTimers();
  const limit = new LogLimit({ setTimer: timers.set, onPassedOver: () => undefined });
  let told = 0;
  for (let i = 0; i < 10_000; i++) if (limit.admits(`cause ${i}`)) told++;
  t.equal(told, 1008);
  t.ok(timers.pending.size <= 1001);
  t.end();
});
