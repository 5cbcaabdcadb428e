/**
 * What charon promises a client, as one list of cases: run against the fake (test/unit/vici/fake-charon.test.ts) and against the real
 * charon (test/unit/vici/charon.test.ts), so that what the tests of the session and the client rest on is what charon does. A case gets
 * a charon into which nothing was loaded; every assertion that fails throws.
 */
import assert from "node:assert/strict";
import type { MobilityError } from "../../controller/base/errors.js";
import { Secret } from "../../controller/base/secret.js";
import { ViciClient } from "../../controller/vici/client.js";
import { ViciError } from "../../controller/vici/errors.js";
import type { ViciSection } from "../../controller/vici/message.js";
import { textAt, textsAt } from "../../controller/vici/section.js";
import { ViciSession } from "../../controller/vici/session.js";
import type { ViciTransport } from "../../controller/vici/transport.js";

export interface CharonBench {
  readonly connect: () => Promise<ViciTransport>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** After kill(). */
  start(): Promise<void>;
}

export interface CharonCase {
  readonly name: string;
  run(bench: CharonBench): Promise<void>;
}

const setTimer = (delayMs: number, callback: () => void): (() => void) => {
  const timer = setTimeout(callback, delayMs);
  return () => clearTimeout(timer);
};

const connection = (name: string): ViciSection => ({
  [name]: {
    version: "2",
    remote_addrs: ["192.0.2.1"],
    local: { auth: "psk", id: "a.example.org" },
    remote: { auth: "psk", id: "b.example.org" },
    children: { payload: { mode: "transport" } },
  },
});

/** What `work` does with a session of its own. */
async function withSession(bench: CharonBench, work: (session: ViciSession) => Promise<void>): Promise<void> {
  const session = new ViciSession(await bench.connect(), { setTimer });
  try {
    await work(session);
  } finally {
    session.close();
  }
}

async function eventually(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 1000 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(condition(), `never: ${what}`);
}

async function rejection(promise: Promise<unknown>): Promise<ViciError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ViciError, `a ViciError, not ${error}`);
  return error;
}

export const VICI_CONTRACT: readonly CharonCase[] = [
  {
    name: "a command is answered with a section",
    run: (bench) =>
      withSession(bench, async (session) => {
        const version = await session.command("version");
        assert.match(textAt(version, "daemon") ?? "", /charon/);
        assert.match(textAt(version, "version") ?? "", /^[0-9]+\.[0-9]+/);
      }),
  },
  {
    name: "a command that charon lacks is an error, and the connection goes on",
    run: (bench) =>
      withSession(bench, async (session) => {
        const error = await rejection(session.command("no-such-command"));
        assert.equal(error.message, 'charon knows no command "no-such-command"');
        assert.equal(error.details.reason, "unknown-command");
        await session.command("version");
      }),
  },
  {
    name: "a connection with a key that charon does not know is refused in charon's words, and nothing of it is loaded",
    run: (bench) =>
      withSession(bench, async (session) => {
        const error = await rejection(session.command("load-conn", { home: { version: "2", frobnicate: "yes" } }));
        assert.deepEqual(error.details, {
          reason: "refused",
          command: "load-conn",
          errmsg: "unknown option: frobnicate, config discarded",
        });
        assert.equal(error.code, "MIP_VICI");
        assert.equal(error.message, "charon refused load-conn: unknown option: frobnicate, config discarded");
        assert.deepEqual(textsAt(await session.command("get-conns"), "conns"), []);
      }),
  },
  {
    name: "what was loaded is streamed, and what was unloaded is not",
    run: (bench) =>
      withSession(bench, async (session) => {
        for (const name of ["home", "away"]) await session.command("load-conn", connection(name));
        const list = async (): Promise<string[]> =>
          (await session.stream("list-conns", {}, "list-conn")).flatMap((message) => Object.keys(message)).sort();
        assert.deepEqual(await list(), ["away", "home"]);
        const [message] = await session.stream("list-conns", { ike: "home" }, "list-conn");
        assert.equal(textAt(message ?? {}, "home", "version"), "IKEv2");
        await session.command("unload-conn", { name: "home" });
        assert.deepEqual(await list(), ["away"]);
        const error = await rejection(session.command("unload-conn", { name: "home" }));
        assert.equal(error.details.errmsg, "unload: connection 'home' not found");
        assert.equal(session.counters.strays, 0);
      }),
  },
  {
    name: "an empty stream, a stream of an unknown event, a stream of an unknown command",
    run: (bench) =>
      withSession(bench, async (session) => {
        assert.deepEqual(await session.stream("list-conns", {}, "list-conn"), []);
        const event = await rejection(session.stream("list-conns", {}, "no-such-event"));
        assert.equal(event.message, 'charon knows no event "no-such-event"');
        const command = await rejection(session.stream("no-such-command", {}, "list-conn"));
        assert.equal(command.details.reason, "unknown-command");
        const leftOver = await rejection(session.unregister("list-conn"));
        assert.equal(leftOver.details.reason, "unknown-event", "the stream's registration is gone");
      }),
  },
  {
    name: "commands that are given at the same time are answered each with its own answer",
    run: (bench) =>
      withSession(bench, async (session) => {
        await session.command("load-conn", connection("home"));
        const answers = await Promise.all(
          Array.from({ length: 30 }, async (_, i) => {
            if (i % 3 === 0) return textAt(await session.command("version"), "version") !== undefined;
            if (i % 3 === 1) return (await session.stream("list-conns", {}, "list-conn")).length === 1;
            return (await rejection(session.command("unload-conn", { name: `${i}` }))).message.includes(`'${i}'`);
          }),
        );
        assert.ok(answers.every(Boolean), answers.join());
      }),
  },
  {
    name: "an event comes from its registration to the end of it",
    run: (bench) =>
      withSession(bench, async (session) => {
        const heard: string[] = [];
        session.onEvent((name, message) => heard.push(`${name}: ${textAt(message, "msg")}`));
        await session.command("load-conn", connection("before"));
        await session.register("log");
        for (const name of ["one", "two"]) await session.command("load-conn", connection(name));
        const added = (name: string): string => `log: added vici connection: ${name}`;
        await eventually(() => heard.includes(added("two")), "the event");
        await session.unregister("log");
        await session.command("load-conn", connection("after"));
        await session.command("version");
        assert.deepEqual(
          heard.filter((line) => line.includes("added")),
          [added("one"), added("two")],
        );
        assert.equal((await rejection(session.register("no-such-event"))).details.reason, "unknown-event");
      }),
  },
  {
    name: "a secret gets there, and a message of many octets",
    run: (bench) =>
      withSession(bench, async (session) => {
        const data = new Secret(Uint8Array.of(0, 0xff, 0xfe, 0x80, 1, 2, 3, 4));
        await session.command("load-shared", { id: "psk-1", type: "IKE", data, owners: ["a.example.org"] });
        assert.deepEqual(textsAt(await session.command("get-shared"), "keys"), ["psk-1"]);
        const certificate = { type: "X509", flag: "NONE", data: new Uint8Array(0xffff).fill(0x41) };
        const error = await rejection(session.command("load-cert", certificate));
        assert.equal(error.details.errmsg, "parsing X509 certificate failed");
      }),
  },
  {
    name: "a charon that dies ends the session once, with all that waits and all that comes later",
    run: (bench) =>
      withSession(bench, async (session) => {
        await session.command("version");
        const ends: ViciError[] = [];
        session.onClose((error) => ends.push(error));
        await bench.kill();
        await eventually(() => ends.length > 0, "the end");
        assert.match(ends[0]?.message ?? "", /^the connection to charon was lost: /);
        const error = await rejection(session.command("version"));
        assert.match(error.message, /^version was not sent: the connection to charon was lost: /);
        assert.equal(error.details.reason, "lost");
        assert.equal(ends.length, 1);
      }),
  },
  {
    name: "closing tells nobody, and rejects what waits",
    run: (bench) =>
      withSession(bench, async (session) => {
        let ends = 0;
        session.onClose(() => ends++);
        const waiting = rejection(session.command("version"));
        await Promise.resolve();
        session.close();
        session.close();
        assert.match((await waiting).message, /the connection to charon was closed/);
        await new Promise((resolve) => setTimeout(resolve, 20));
        assert.equal(ends, 0);
      }),
  },
  {
    name: "a client goes down with charon and comes up with the next one, its events registered anew",
    async run(bench) {
      const story: string[] = [];
      const client: ViciClient = new ViciClient({
        connect: bench.connect,
        setTimer,
        events: ["log", "ike-updown"],
        optionalEvents: ["no-such-event", "child-updown"],
        backoffMs: 10,
        maxBackoffMs: 50,
        listener: {
          async onUp() {
            story.push("up");
            await client.command("load-conn", connection(`generation-${story.filter((line) => line === "up").length}`));
          },
          onDown: () => story.push("down"),
          onEvent: (_, message) => {
            const text = textAt(message, "msg") ?? "";
            if (text.startsWith("added")) story.push(text);
          },
        },
      });
      try {
        client.start();
        await eventually(() => story.length === 2, "the first charon");
        assert.deepEqual(client.missingEvents, ["no-such-event"]);
        await bench.kill();
        await eventually(() => !client.up, "the end of the first charon");
        const error = await rejection(client.command("version"));
        assert.equal(error.details.reason, "down");
        assert.match(error.message, /^charon is not there: .*start it: systemctl start strongswan/);
        await bench.start();
        await eventually(() => story.filter((line) => line !== "down").length === 4, "the second charon");
        assert.deepEqual(
          story.filter((line, i) => line !== "down" || story[i - 1] !== "down"),
          ["up", "added vici connection: generation-1", "down", "up", "added vici connection: generation-2"],
        );
        const [message] = await client.stream("list-conns", {}, "list-conn");
        assert.deepEqual(Object.keys(message ?? {}), ["generation-2"]);
      } finally {
        client.close();
      }
    },
  },
  {
    name: "a client that needs an event which charon lacks says so, and does not come up",
    async run(bench) {
      const reasons: MobilityError[] = [];
      const listener = {
        onUp: () => assert.fail("came up"),
        onDown: (error: MobilityError) => reasons.push(error),
        onEvent: () => undefined,
      };
      const client = new ViciClient({
        connect: bench.connect,
        setTimer,
        events: ["log", "no-such-event"],
        backoffMs: 5,
        listener,
      });
      try {
        client.start();
        await eventually(() => reasons.length > 0, "the reason");
        await new Promise((resolve) => setTimeout(resolve, 40));
        assert.deepEqual(
          reasons.map(({ message }) => message),
          ['charon knows no event "no-such-event"'],
        );
      } finally {
        client.close();
      }
    },
  },
];
