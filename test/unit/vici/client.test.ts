/** The client over the fake charon: up, down, the wait between, events that come early, owners that fail. */
import t from "tap";
import type { MobilityError } from "../../../controller/base/errors.js";
import { ViciClient, type ViciClientOptions } from "../../../controller/vici/client.js";
import type { ViciError } from "../../../controller/vici/errors.js";
import { textAt } from "../../../controller/vici/section.js";
import { FakeCharon } from "../../fake/fake-charon.js";
import { FakeTimers } from "../../lib/netlink-fake.js";

interface Setup extends Partial<ViciClientOptions> {
  readonly onUp?: (client: ViciClient, story: string[]) => void | Promise<void>;
}

function setup({ onUp, ...options }: Setup = {}) {
  const charon = new FakeCharon();
  const timers = new FakeTimers();
  const story: string[] = [];
  const client: ViciClient = new ViciClient({
    connect: charon.connect,
    setTimer: timers.set,
    events: ["log"],
    listener: {
      onUp() {
        story.push("up");
        return onUp?.(client, story);
      },
      onDown: (error: MobilityError) => story.push(`down: ${error.message}`),
      onSilence: (command) => story.push(`${command} is waited for`),
      onEvent: (name, message) => story.push(`${name} ${textAt(message, "n") ?? textAt(message, "msg")}`),
    },
    ...options,
  });
  /** The delays of the timers that wait. */
  const delays = (): number[] => [...timers.pending].map(({ delayMs }) => delayMs);
  return { charon, timers, story, client, delays };
}

const settle = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
};

const failure = (promise: Promise<unknown>): Promise<ViciError> =>
  promise.then(
    () => {
      throw new Error("no error");
    },
    (error: ViciError) => error,
  );

const LOST = "down: the connection to charon was lost: charon closed it";
const ABSENT = "fake: charon's socket is not there; start it: systemctl start strongswan";

t.test("it comes up once both connections stand, with its events", async (t) => {
  const { charon, client, story, delays } = setup({ events: ["log", "ike-updown"], optionalEvents: ["child-updown"] });
  client.start();
  client.start();
  await settle();
  t.strictSame(story, ["up"]);
  t.equal(client.up, true);
  t.equal(charon.connects, 2);
  t.strictSame(charon.seen, ["register log", "register ike-updown", "register child-updown"]);
  t.strictSame(delays(), []);
  t.equal(textAt(await client.command("version"), "daemon"), "fake-charon");
  charon.raise("log", { n: "1" });
  t.strictSame(story, ["up", "log 1"]);
  client.close();
  t.equal(charon.clients, 0);
});

t.test("while charon is not there commands are refused at once, and the wait grows to its bound", async (t) => {
  const { charon, client, story, timers, delays } = setup({ backoffMs: 100, maxBackoffMs: 500 });
  charon.running = false;
  const unstarted = await failure(client.command("version"));
  t.match(unstarted.message, "charon is not there: the first connection is still being made");
  client.start();
  const waits: number[] = [];
  for (let i = 0; i < 5; i++) {
    await settle();
    waits.push(...delays());
    timers.tick();
  }
  await settle();
  t.strictSame(waits, [100, 200, 400, 500, 500]);
  t.strictSame(story, [`down: ${ABSENT}`], "the same reason is told once");
  const refused = await failure(client.command("load-conn"));
  t.equal(refused.message, `charon is not there: ${ABSENT}`);
  t.strictSame(refused.details, { reason: "down", command: "load-conn" });
  t.match(await failure(client.stream("list-sas", {}, "list-sa")), { details: { reason: "down" } });
  charon.start();
  timers.tick();
  await settle();
  t.strictSame(story.slice(1), ["up"]);
  charon.kill();
  t.strictSame(delays(), [100], "the wait begins anew");
  await settle();
  t.match((await failure(client.command("version"))).message, /was lost.*; start it: systemctl start strongswan$/);
  timers.tick();
  await settle();
  t.strictSame(story.slice(2), [LOST, `down: ${ABSENT}`], "another reason is told");
  client.close();
});

t.test("whichever connection ends, both do", async (t) => {
  for (const registered of [true, false]) {
    const { charon, client, story, timers } = setup();
    client.start();
    await settle();
    charon.hangUp("log", registered);
    t.equal(charon.clients, 0);
    t.strictSame(story, ["up", LOST]);
    timers.tick();
    await settle();
    t.strictSame(story, ["up", LOST, "up"]);
    t.equal(charon.clients, 2);
    client.close();
  }
});

t.test("events that come during the registrations follow onUp in their order, and none is lost after", async (t) => {
  const { charon, client, story } = setup({ events: ["log", "ike-updown", "child-updown"] });
  let n = 0;
  charon.onRegister = () => {
    for (const name of ["log", "ike-updown", "child-updown"]) charon.raise(name, { n: `${++n}` });
  };
  client.start();
  await settle();
  charon.raise("log", { n: `${++n}` });
  const expected = ["log 1", "log 4", "ike-updown 5", "log 7", "ike-updown 8", "child-updown 9", "log 10"];
  t.strictSame(story, ["up", ...expected]);
  client.close();
});

t.test("an owner that loads asynchronously hears events meanwhile", async (t) => {
  const { charon, client, story } = setup({
    async onUp(client, story) {
      await client.command("load-conn", { home: { version: "2" } });
      story.push("loaded");
    },
  });
  client.start();
  await settle();
  t.strictSame(story, ["up", "log added vici connection: home", "loaded"]);
  t.strictSame(charon.seen, ["register log", "request load-conn"]);
  client.close();
});

t.test("an owner that fails takes the client down, and it tries again with a growing wait", async (t) => {
  const failures: readonly [what: string, onUp: () => void | Promise<void>, reason: string][] = [
    ["throws", () => fail(new TypeError("x is y")), "down: what charon needs could not be loaded: x is y"],
    ["rejects", async () => fail("why"), "down: what charon needs could not be loaded: why"],
  ];
  for (const [what, onUp, reason] of failures) {
    const { charon, client, story, timers, delays } = setup({ onUp, backoffMs: 100 });
    client.start();
    await settle();
    t.strictSame(story, ["up", reason], what);
    t.equal(client.up, false);
    t.equal(charon.clients, 0);
    t.strictSame(delays(), [100]);
    timers.tick();
    await settle();
    t.strictSame(delays(), [200], "coming up alone does not make the wait short");
    client.close();
  }
  const refused = setup({
    async onUp(client) {
      await client.command("load-conn", { home: { frobnicate: "" } });
    },
  });
  refused.client.start();
  await settle();
  t.match(refused.story[1], "down: charon refused load-conn: unknown option: frobnicate, config discarded");
  refused.client.close();
});

function fail(reason: unknown): never {
  throw reason;
}

t.test("a charon that dies while the owner loads is one loss", async (t) => {
  const { charon, client, story, delays } = setup({
    async onUp(client) {
      await client.command("get-conns");
    },
  });
  charon.silent.add("request get-conns");
  client.start();
  await settle();
  charon.kill();
  await settle();
  t.strictSame(story, ["up", LOST]);
  t.equal(delays().length, 1);
  client.close();
});

t.test("a charon that hangs: during a registration, during a command", async (t) => {
  const { charon, client, story, timers, delays } = setup({ timeoutMs: 600, backoffMs: 7 });
  charon.silent.add("register log");
  client.start();
  await settle();
  const runOut = (): void => {
    for (let i = 0; i < 6; i++) timers.tick();
  };
  t.strictSame(delays(), [100]);
  runOut();
  t.strictSame(story, ["log is waited for", "down: charon did not answer log within 600 ms"]);
  t.equal(charon.clients, 0);
  charon.silent.clear();
  charon.silent.add("request version");
  timers.tick();
  await settle();
  const pending = failure(client.command("version", {}, { timeoutMs: 60 }));
  await settle();
  t.strictSame(delays(), [10]);
  runOut();
  t.match(await pending, { details: { reason: "timeout", outcomeUnknown: true } });
  t.strictSame(story.slice(2), ["up", "version is waited for", "down: charon did not answer version within 60 ms"]);
  t.match((await failure(client.command("version"))).message, "charon is not there: charon did not answer version");
  client.close();
});

t.test("an optional event that charon lacks is missed, a needed one is named", async (t) => {
  const optional = setup({ optionalEvents: ["no-such-event", "child-updown"] });
  optional.client.start();
  await settle();
  t.strictSame(optional.story, ["up"]);
  t.strictSame(optional.client.missingEvents, ["no-such-event"]);
  optional.client.close();
  const needed = setup({ events: ["log", "no-such-event"] });
  needed.client.start();
  await settle();
  t.strictSame(needed.story, ['down: charon knows no event "no-such-event"']);
  const { message } = await failure(needed.client.command("version"));
  t.equal(message, 'charon is not there: charon knows no event "no-such-event"');
  needed.client.close();
});

t.test("closed at any moment it leaves nothing open and says nothing more", async (t) => {
  for (let turns = 0; turns < 40; turns++) {
    const { charon, client, story, timers, delays } = setup({ events: ["log", "ike-updown"] });
    charon.onRegister = () => charon.raise("log", { n: "1" });
    client.start();
    for (let i = 0; i < turns; i++) await Promise.resolve();
    client.close();
    client.close();
    const told = story.length;
    await settle();
    charon.raise("log", { n: "2" });
    charon.kill();
    t.strictSame([charon.clients, delays(), story.length, client.up], [0, [], told, false], `after ${turns} turns`);
    client.start();
    timers.expire();
    await settle();
    t.equal(charon.connects <= 2 && story.length === told, true);
    t.match((await failure(client.command("version"))).message, "charon is not there: the client was closed");
  }
  const waiting = setup();
  waiting.charon.running = false;
  waiting.client.start();
  await settle();
  waiting.client.close();
  t.strictSame(waiting.delays(), []);
});

t.test("closed by its own listener", async (t) => {
  const { charon, client, story } = setup({ onUp: (client) => client.close() });
  charon.onRegister = () => charon.raise("log", { n: "1" });
  client.start();
  await settle();
  t.strictSame(story, ["up"], "the events that were kept are not told");
  t.equal(charon.clients, 0);
});

t.test("an event can be left alone for a while, over the connection of the events", async (t) => {
  const { charon, client } = setup({ events: ["log"] });
  t.match(await failure(client.listen("log", false)), { details: { reason: "down" } });
  client.start();
  await settle();
  await client.listen("log", false);
  await client.listen("log", true);
  t.strictSame(charon.seen, ["register log", "unregister log", "register log"]);
  client.close();
});

t.test("a slow answer costs nothing: the connections stay, and what waits behind it comes after", async (t) => {
  const { charon, client, story, timers } = setup();
  client.start();
  await settle();
  const late = charon.hold("request version");
  const answers = [client.command("version"), client.stream("list-conns", {}, "list-conn")];
  await settle();
  for (let i = 0; i < 5; i++) timers.tick();
  t.strictSame(story, ["up", "version is waited for"]);
  late();
  await Promise.all(answers);
  t.equal(client.up, true);
  t.equal(charon.connects, 2);
  client.close();
});
