/** The session against a stream whose other end is the test: order, time, lost and hostile answers, secrets. */
import { inspect } from "node:util";
import fc from "fast-check";
import t from "tap";
import { fromHex, toHex } from "../../../controller/base/bytes.js";
import { Secret } from "../../../controller/base/secret.js";
import { ViciError } from "../../../controller/vici/errors.js";
import type { ViciSection } from "../../../controller/vici/message.js";
import { encodePacket, type ViciPacket } from "../../../controller/vici/packet.js";
import { textAt } from "../../../controller/vici/section.js";
import { ViciSession, type ViciSessionOptions } from "../../../controller/vici/session.js";
import { FakeStream } from "../../fake/fake-charon.js";
import { concat, FakeTimers } from "../../lib/netlink-fake.js";
import { recordedPackets } from "../../lib/vici-vectors.js";

const YES: ViciSection = { success: "yes" };

function setup(options: Pick<ViciSessionOptions, "isNoise"> = {}) {
  const stream = new FakeStream();
  const timers = new FakeTimers();
  const silences: string[] = [];
  const onSilence = (command: string, afterMs: number): void => void silences.push(`${command} after ${afterMs} ms`);
  const session = new ViciSession(stream, { setTimer: timers.set, onSilence, ...options });
  const ends: ViciError[] = [];
  const events: string[] = [];
  session.onClose((error) => ends.push(error));
  session.onEvent((name, message) => events.push(`${name} ${textAt(message, "n")}`));
  const send = (packet: ViciPacket<ViciSection>): void => stream.deliver(encodePacket(packet));
  const respond = (message: ViciSection = YES): void => send({ type: "response", message });
  /** Requests so far, by "type name". */
  const sent = (): string[] =>
    stream.requests().map((packet) => ("name" in packet ? `${packet.type} ${packet.name}` : packet.type));
  return { stream, timers, session, ends, events, silences, send, respond, sent };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const failure = (promise: Promise<unknown>): Promise<ViciError> =>
  promise.then(
    () => {
      throw new Error("no error");
    },
    (error: ViciError) => error,
  );

const event = (name: string, n: number): ViciPacket<ViciSection> => ({
  type: "event",
  name,
  message: { n: `${n}` },
});

/** An event and a response whose message is no VICI. */
const BAD_EVENT = fromHex("00000006 07 03 6c6f67 07");
const BAD_RESPONSE = fromHex("00000002 01 07");

t.test("one command at a time, in the order of the calls", async (t) => {
  const { session, respond, sent, timers } = setup();
  const order: string[] = [];
  const commands = ["version", "stats", "get-conns"].map(async (name) => {
    order.push(textAt(await session.command(name), "n") ?? "");
  });
  for (const [i, expected] of [["version"], ["version", "stats"], ["version", "stats", "get-conns"]].entries()) {
    await settle();
    t.strictSame(
      sent(),
      expected.map((name) => `request ${name}`),
    );
    respond({ n: `${i}` });
  }
  await Promise.all(commands);
  t.strictSame(order, ["0", "1", "2"]);
  t.equal(timers.pending.size, 0, "no timer is left");
});

t.test("a streamed command is three exchanges that nothing comes between", async (t) => {
  const { session, send, respond, sent, events, stream } = setup();
  const streamed = session.stream("list-conns", { ike: "home" }, "list-conn");
  const other = session.command("version");
  await settle();
  t.strictSame(sent(), ["register list-conn"]);
  send({ type: "confirm" });
  await settle();
  send(event("list-conn", 1));
  send(event("list-sa", 9));
  send(event("list-conn", 2));
  respond({});
  await settle();
  send({ type: "confirm" });
  await settle();
  t.strictSame(sent(), ["register list-conn", "request list-conns", "unregister list-conn", "request version"]);
  respond();
  await other;
  t.strictSame(
    (await streamed).map((message) => textAt(message, "n")),
    ["1", "2"],
  );
  t.strictSame(events, [], "they are the stream's alone");
  send(event("list-conn", 3));
  t.match(session.counters, { events: 2, strays: 2, requests: 4 });
  t.equal(toHex(stream.sent[1] ?? new Uint8Array(0)).slice(8), "000a6c6973742d636f6e6e73" + "0303696b650004686f6d65");
});

t.test("events that come before their registration is confirmed are kept in order", async (t) => {
  const { session, send, events } = setup();
  const registered = session.register("log");
  await settle();
  send(event("log", 1));
  send(event("ike-updown", 9));
  send(event("log", 2));
  send({ type: "confirm" });
  send(event("log", 3));
  await registered;
  t.strictSame(events, ["log 1", "log 2", "log 3"]);
  const unknown = failure(session.register("ike-updown"));
  await settle();
  send({ type: "unknown-event" });
  t.match(await unknown, {
    code: "MIP_VICI",
    message: 'charon knows no event "ike-updown"',
    details: { reason: "unknown-event", command: "ike-updown" },
  });
  send(event("ike-updown", 4));
  const off = session.unregister("log");
  await settle();
  send(event("log", 5));
  send({ type: "confirm" });
  await off;
  send(event("log", 6));
  t.strictSame(events, ["log 1", "log 2", "log 3", "log 5"]);
  t.equal(session.counters.strays, 3);
});

t.test("a no is an error with charon's words, where it has any", async (t) => {
  const { session, respond } = setup();
  const refused = failure(session.command("unload-conn", { name: "x" }));
  await settle();
  respond({ success: "no", errmsg: "unload: connection 'x' not found" });
  t.match(await refused, {
    name: "ViciError",
    message: "charon refused unload-conn: unload: connection 'x' not found",
    details: { reason: "refused", command: "unload-conn", errmsg: "unload: connection 'x' not found" },
  });
  const wordless = failure(session.command("initiate"));
  await settle();
  respond({ success: "no", errmsg: Uint8Array.of(0xff) });
  t.equal((await wordless).message, "charon refused initiate and gave no reason");
  t.equal(session.counters.refusals, 2);
});

t.test("a request's octets are zeroed once they are out, and not before", async (t) => {
  const { session, stream, respond } = setup();
  const data = new Secret(fromHex("5ec2e7"));
  const refused = failure(session.command("load-shared", { id: "psk", data }));
  await settle();
  t.match(toHex(stream.sent[0] ?? new Uint8Array(0)), /5ec2e7$/, "charon got it");
  t.match(toHex(stream.buffers[0] ?? new Uint8Array(1)), /^(00)+$/);
  t.equal(toHex(data.reveal()), "5ec2e7", "the owner's is the owner's");
  respond({ success: "no", errmsg: "shared key type missing" });
  t.notMatch(inspect(await refused, { depth: 9, showHidden: true }), /5ec2e7|94, 194, 231/i);
});

t.test("no answer in time ends the connection, since a late one could be taken for another's", async (t) => {
  const { session, timers, ends, stream, sent, silences } = setup();
  const first = failure(session.command("initiate", {}, { timeoutMs: 3000 }));
  const second = failure(session.command("version"));
  await settle();
  t.strictSame(
    [...timers.pending].map(({ delayMs }) => delayMs),
    [500],
  );
  for (let i = 0; i < 5; i++) timers.tick();
  t.equal(stream.closed, false, "a timer may have run out while we were busy");
  t.strictSame(silences, ["initiate after 500 ms"], "told once");
  timers.tick();
  t.equal(stream.closed, true);
  const timeout = await first;
  t.match(timeout, {
    message: "charon did not answer initiate within 3000 ms",
    details: { reason: "timeout", command: "initiate", outcomeUnknown: true },
  });
  const waiting = await second;
  t.equal(waiting.message, "version was not sent: charon did not answer initiate within 3000 ms");
  t.strictSame(waiting.details, { reason: "lost", command: "version" });
  t.strictSame(sent(), ["request initiate"]);
  t.strictSame(
    ends.map(({ message }) => message),
    ["charon did not answer initiate within 3000 ms"],
  );
  t.equal(timers.pending.size, 0);
  t.equal(session.counters.timeouts, 1);
});

t.test("a stream that goes on is waited for", async (t) => {
  const { session, timers, send, respond } = setup();
  const streamed = session.stream("list-sas", {}, "list-sa");
  await settle();
  send({ type: "confirm" });
  await settle();
  for (let i = 0; i < 5; i++) {
    timers.tick();
    send(event("list-sa", i));
  }
  timers.tick();
  respond({});
  await settle();
  send({ type: "confirm" });
  t.equal((await streamed).length, 5);
});

t.test("a connection that is lost: what was sent, what was not, what comes later", async (t) => {
  const { session, stream, ends } = setup();
  const [first, second] = [failure(session.command("load-conn")), failure(session.stream("list-sas", {}, "list-sa"))];
  await settle();
  stream.end(new Error("write EPIPE"));
  t.match(await first, {
    message: "load-conn was not answered: the connection to charon was lost: write EPIPE",
    details: { reason: "lost", command: "load-conn", outcomeUnknown: true },
  });
  t.match(await second, { message: "list-sa was not sent: the connection to charon was lost: write EPIPE" });
  t.notOk((await second).details.outcomeUnknown);
  t.match(await failure(session.register("log")), { details: { reason: "lost", command: "log" } });
  t.equal(ends.length, 1);
  const quiet = setup();
  quiet.stream.end();
  t.equal(quiet.ends[0]?.message, "the connection to charon was lost: charon closed it");
});

t.test("answers that nobody waits for, and octets that are no packets, end the connection", async (t) => {
  const cases: readonly [what: string, bytes: Uint8Array, message: RegExp][] = [
    ["a second answer", encodePacket({ type: "confirm" }), /charon answered "confirm" when version was asked/],
    ["a request", encodePacket({ type: "request", name: "version", message: {} }), /charon answered "request"/],
    ["an unknown type", fromHex("0000000109"), /9 is no packet type/],
    ["an empty packet", fromHex("00000000"), /what charon sent cannot be read/],
    ["a length too long", fromHex("7fffffff"), /2147483647 octets, at most 524288/],
    ["http", new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n"), /octets, at most 524288/],
  ];
  for (const [what, bytes, message] of cases) {
    const { session, stream, ends } = setup();
    const pending = failure(session.command("version"));
    await settle();
    stream.deliver(bytes);
    t.equal(stream.closed, true, what);
    t.match(ends, [{ message, details: { reason: "malformed" } }], what);
    t.match((await pending).message, message, what);
    stream.deliver(encodePacket({ type: "response", message: {} }));
  }
  const { send, ends } = setup();
  send({ type: "response", message: {} });
  t.match(ends, [{ message: 'charon answered "response" when nothing was asked' }]);
});

t.test("packets behind the one that ended the connection are not looked at", async (t) => {
  const { session, stream, send, events, ends } = setup();
  const registered = session.register("log");
  await settle();
  send({ type: "confirm" });
  await registered;
  const packets: readonly ViciPacket<ViciSection>[] = [event("log", 1), { type: "confirm" }, event("log", 2)];
  stream.deliver(concat(packets.map(encodePacket)), 1000);
  t.strictSame(events, ["log 1"]);
  t.equal(ends.length, 1);
});

t.test("a message that cannot be read fails what it is a part of, and nothing else", async (t) => {
  const { session, stream, send, respond, events, ends, sent } = setup();
  const bad = failure(session.command("stats"));
  await settle();
  stream.deliver(BAD_RESPONSE);
  t.match(await bad, {
    message: /^charon's answer to stats cannot be read: 7 is no element type/,
    details: { reason: "malformed", command: "stats", outcomeUnknown: true },
  });
  const streamed = failure(session.stream("list-log", {}, "log"));
  await settle();
  send({ type: "confirm" });
  await settle();
  stream.deliver(BAD_EVENT);
  send(event("log", 1));
  respond({});
  await settle();
  send({ type: "confirm" });
  t.match((await streamed).message, /^an event of list-log cannot be read/);
  t.equal(sent().at(-1), "unregister log");
  const registered = session.register("log");
  await settle();
  send({ type: "confirm" });
  await registered;
  stream.deliver(BAD_EVENT);
  send(event("log", 2));
  t.strictSame(events, ["log 2"]);
  t.equal(session.counters.malformed, 2);
  t.equal(ends.length, 0);
});

t.test("what cannot be encoded is not sent, and the next command is", async (t) => {
  const { session, send, respond, sent } = setup();
  t.match(await failure(session.command("load-conn", { grün: {} })), { code: "MIP_ENCODE" });
  t.match(await failure(session.command("x".repeat(300))), { code: "MIP_ENCODE" });
  const streamed = failure(session.stream("list-conns", { a: "\ud800" }, "list-conn"));
  await settle();
  send({ type: "confirm" });
  await settle();
  send({ type: "confirm" });
  t.match(await streamed, { code: "MIP_ENCODE" });
  const version = session.command("version");
  await settle();
  respond();
  await version;
  t.strictSame(sent(), ["register list-conn", "unregister list-conn", "request version"]);
});

t.test("closing while a stream is under way", async (t) => {
  const { session, send, ends, timers } = setup();
  const streamed = failure(session.stream("list-sas", {}, "list-sa"));
  await settle();
  send({ type: "confirm" });
  await settle();
  session.close();
  t.match(await streamed, { message: "list-sas was not answered: the connection to charon was closed" });
  t.equal(ends.length, 0);
  t.equal(timers.pending.size, 0);
});

t.test("recorded packets with octets changed, in any order: nothing is thrown, and every promise ends", async (t) => {
  const recorded = recordedPackets();
  const change = fc.tuple(fc.nat(), fc.nat(255));
  const packet = fc.tuple(fc.nat(recorded.length - 1), fc.array(change, { maxLength: 2 }));
  await fc.assert(
    fc.asyncProperty(fc.array(packet, { maxLength: 6 }), fc.integer({ min: 1, max: 400 }), async (packets, chunk) => {
      const { session, stream } = setup();
      const outcomes = Promise.allSettled([
        session.register("ike-updown"),
        session.stream("list-sas", {}, "list-sa"),
        session.command("version"),
      ]);
      for (const [which, changes] of packets) {
        await settle();
        const bytes = (recorded[which] ?? new Uint8Array(0)).slice();
        for (const [at, octet] of changes) bytes[at % bytes.length] = octet;
        stream.deliver(bytes, chunk);
      }
      session.close();
      for (const outcome of await outcomes)
        if (outcome.status === "rejected" && !(outcome.reason instanceof ViciError)) throw outcome.reason;
    }),
    { numRuns: 300 },
  );
  t.pass("nothing was thrown");
});

t.test("what a streamed command brought before it was refused is not lost", async (t) => {
  const { session, send, respond } = setup();
  const seen: (string | undefined)[] = [];
  const onMessage = (message: ViciSection): void => void seen.push(textAt(message, "n"));
  const streamed = failure(session.stream("initiate", {}, "control-log", { onMessage }));
  await settle();
  send({ type: "confirm" });
  await settle();
  send(event("control-log", 1));
  send(event("control-log", 2));
  respond({ success: "no", errmsg: "it failed" });
  await settle();
  send({ type: "confirm" });
  t.match(await streamed, { details: { reason: "refused", errmsg: "it failed" } });
  t.strictSame(seen, ["1", "2"]);
});

t.test("noise is not decoded, delivered or counted as malformed", async (t) => {
  const { session, send, events, stream } = setup({ isNoise: (name, octets) => name === "log" && octets[0] === 7 });
  const registered = session.register("log");
  await settle();
  send({ type: "confirm" });
  await registered;
  stream.deliver(BAD_EVENT);
  send(event("log", 1));
  t.strictSame(events, ["log 1"]);
  t.equal(session.counters.malformed, 0);
});
