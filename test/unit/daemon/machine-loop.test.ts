import t from "tap";
import { type Instant, instant } from "../../../controller/base/time.js";
import { type Machine, MachineLoop } from "../../../controller/daemon/machine-loop.js";

type Effect = { readonly kind: "send" | "journal" | "stop"; readonly n: number };

function bench(
  options: {
    deadline?: () => Instant | undefined;
    flush?: () => Promise<boolean> | undefined;
    withhold?: (effect: Effect) => Effect | undefined;
    lose?: (effect: Effect) => void;
  } = {},
) {
  const log: string[] = [];
  let turns = 0;
  const machine: Machine<number, Effect> = {
    step: (n) =>
      n < 0
        ? [{ kind: "stop", n }]
        : [
            { kind: "send", n },
            { kind: "journal", n },
          ],
    nextDeadline: () => options.deadline?.(),
  };
  const waiters: { want: number; go: () => void }[] = [];
  const note = (text: string): void => {
    log.push(text);
    for (const waiter of waiters) if (log.length >= waiter.want) waiter.go();
  };
  const loop = new MachineLoop<number, Effect>(machine, -1, {
    perform: (effect) => note(`${effect.kind} ${effect.n}`),
    flush: () => options.flush?.(),
    ...(options.withhold && { withhold: options.withhold }),
    ...(options.lose && { lose: options.lose }),
    turnEnded: () => {
      turns++;
      note("turn");
    },
  });
  const reached = (want: number): Promise<void> =>
    new Promise((go) => (log.length >= want ? go() : waiters.push({ want, go })));
  return { loop, log, reached, turns: () => turns };
}

t.test("all that arrives in one turn of the event loop is one batch, and sends come last", async (test) => {
  const { loop, log, reached, turns } = bench();
  loop.push(1);
  loop.push(2);
  await reached(5);
  test.strictSame(log, ["journal 1", "journal 2", "turn", "send 1", "send 2"]);
  test.equal(turns(), 1);
  loop.close();
});

t.test("a send waits for the journal, and later sends queue behind it", async (test) => {
  let release: (written: boolean) => void = () => undefined;
  const gates: (Promise<boolean> | undefined)[] = [new Promise((resolve) => (release = resolve)), undefined];
  const { loop, log, reached } = bench({ flush: () => gates.shift() });
  loop.push(1);
  await reached(2);
  loop.push(2);
  await reached(4);
  test.strictSame(log, ["journal 1", "turn", "journal 2", "turn"]);
  release(true);
  await reached(6);
  test.strictSame(log.slice(4), ["send 1", "send 2"]);
  loop.close();
});

t.test("so many wait for a disk that hangs, and no more", async (test) => {
  let release: (written: boolean) => void = () => undefined;
  const hanging = new Promise<boolean>((resolve) => (release = resolve));
  const lost: number[] = [];
  const { loop, log, reached } = bench({ flush: () => hanging, lose: ({ n }) => lost.push(n) });
  const most = 1 << 14;
  for (let n = 0; n < most + 10; n++) loop.push(n);
  await reached(most + 11);
  loop.push(most + 10);
  await reached(most + 13);
  test.strictSame(
    lost,
    Array.from({ length: 11 }, (_, i) => most + i),
  );
  release(true);
  await reached(most + 13 + most);
  test.equal(log.filter((line) => line.startsWith("send ")).length, most);
  loop.push(0);
  await reached(most + 13 + most + 3);
  test.equal(log.at(-1), "send 0", "there is room again");
  loop.close();
});

t.test("what is not on the disk is not promised: something else leaves, or nothing", async (test) => {
  const gates = [Promise.resolve(false), Promise.resolve(true)];
  const { loop, log, reached } = bench({
    flush: () => gates.shift(),
    withhold: (effect) => (effect.n === 1 ? undefined : { kind: "send", n: effect.n + 100 }),
  });
  loop.push(1);
  loop.push(2);
  await reached(4);
  loop.push(3);
  await reached(7);
  test.strictSame(log, ["journal 1", "journal 2", "turn", "send 102", "journal 3", "turn", "send 3"]);
  loop.close();
});

t.test("a promise about what an earlier turn is still writing is kept back with it", async (test) => {
  let release: (written: boolean) => void = () => undefined;
  const gates: (Promise<boolean> | undefined)[] = [new Promise((resolve) => (release = resolve)), undefined];
  const { loop, log, reached } = bench({
    flush: () => gates.shift(),
    withhold: (effect) => ({ kind: "send", n: effect.n + 100 }),
  });
  loop.push(1);
  await reached(2);
  loop.push(2);
  await reached(4);
  release(false);
  await reached(6);
  test.strictSame(log.slice(4), ["send 101", "send 102"]);
  loop.push(3);
  await reached(9);
  test.strictSame(log.slice(6), ["journal 3", "turn", "send 3"], "and nothing after that");
  loop.close();
});

t.test("many sends leave in portions, in order, and everything else has its turn in between", async (test) => {
  const { loop, log, reached } = bench();
  const numbers = Array.from({ length: 150 }, (_, i) => i);
  for (const n of numbers) loop.push(n);
  await reached(151);
  setImmediate(() => log.push("elsewhere"));
  await reached(302);
  const order = log.slice(151);
  test.strictSame(
    order.filter((line) => line !== "elsewhere"),
    numbers.map((n) => `send ${n}`),
  );
  test.ok(order.indexOf("elsewhere") < order.indexOf("send 149"), "not all at once");
  loop.close();
});

t.test("the machine's deadline becomes a timer input, and closing ends it all", async (test) => {
  let armed = true;
  const { loop, log, reached } = bench({ deadline: () => (armed ? instant(0) : undefined) });
  loop.push(1);
  await reached(4);
  armed = false;
  test.ok(log.includes("stop -1"));
  loop.close();
  const before = log.length;
  loop.push(3);
  await new Promise((resolve) => setImmediate(resolve));
  test.equal(log.length, before);
});
