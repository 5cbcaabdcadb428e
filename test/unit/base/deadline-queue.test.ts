import fc from "fast-check";
import t from "tap";
import { DeadlineQueue } from "../../../controller/base/deadline-queue.js";
import { type Instant, instant } from "../../../controller/base/time.js";

t.test("one deadline for each key, however often it moves", async (test) => {
  const queue = new DeadlineQueue<string>();
  for (let i = 0; i < 1000; i++) queue.set("a", instant(i));
  queue.set("b", instant(500));
  test.equal(queue.size, 2);
  test.equal(queue.next, 500);
  queue.set("b", undefined);
  queue.set("b", undefined);
  test.equal(queue.next, 999);
  test.equal(queue.takeDue(instant(998)), undefined);
  test.equal(queue.takeDue(instant(999)), "a");
  test.equal(queue.next, undefined);
  test.equal(queue.takeDue(instant(Number.MAX_SAFE_INTEGER)), undefined);
});

t.test("any sequence of calls: the front is the minimum of what a plain map would hold", async (test) => {
  const key = fc.integer({ min: 0, max: 30 });
  const at = fc.integer({ min: 0, max: 100 });
  const call = fc.oneof(
    fc.record({ kind: fc.constant("set" as const), key, at }),
    fc.record({ kind: fc.constant("unset" as const), key }),
    fc.record({ kind: fc.constant("take" as const), at }),
  );
  fc.assert(
    fc.property(fc.array(call, { maxLength: 200 }), (calls) => {
      const queue = new DeadlineQueue<number>();
      const model = new Map<number, Instant>();
      for (const one of calls) {
        if (one.kind === "set") {
          queue.set(one.key, instant(one.at));
          model.set(one.key, instant(one.at));
        } else if (one.kind === "unset") {
          queue.set(one.key, undefined);
          model.delete(one.key);
        } else {
          const first = Math.min(...model.values());
          const taken = queue.takeDue(instant(one.at));
          if (first > one.at !== (taken === undefined)) return false;
          if (taken !== undefined && model.get(taken) !== first) return false;
          if (taken !== undefined) model.delete(taken);
        }
        if (queue.size !== model.size) return false;
        if ((queue.next ?? Number.POSITIVE_INFINITY) !== Math.min(...model.values())) return false;
      }
      return true;
    }),
  );
  test.pass();
});

t.test("a change costs the logarithm of the size", async (test) => {
  const size = 1 << 15;
  const queue = new DeadlineQueue<number>();
  for (let i = 0; i < size; i++) queue.set(i, instant((i * 7919) % size));
  const before = queue.steps;
  for (let i = 0; i < size; i++) queue.set(i, instant(size + ((i * 104729) % size)));
  const each = (queue.steps - before) / size;
  test.ok(each <= 2 * 15 + 2, `${each} comparisons a change`);
});
