/** The session against a kernel that is a function: order, attribution, dumps, lost answers, transactions, secrets. */
import t from "tap";
import { toHex } from "../../../controller/base/bytes.js";
import { AttributeWriter, readAttributes } from "../../../controller/netlink/attribute.js";
import {
  CTRL_ATTR_FAMILY_ID,
  CTRL_ATTR_FAMILY_NAME,
  GENL_ID_CTRL,
  NFNL_MSG_BATCH_BEGIN,
  NFNL_MSG_BATCH_END,
  NFNL_SUBSYS_NFTABLES,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_MULTI,
  NLM_F_REQUEST,
  NLMSG_DONE,
} from "../../../controller/netlink/constants.js";
import {
  EBUSY,
  EEXIST,
  EINTR,
  EMSGSIZE,
  ENOBUFS,
  ENOENT,
  EPERM,
  ESRCH,
  ETIMEDOUT,
} from "../../../controller/netlink/errno.js";
import { KernelError } from "../../../controller/netlink/errors.js";
import { encodeMessage, type NetlinkRequest } from "../../../controller/netlink/message.js";
import { NetlinkSession } from "../../../controller/netlink/session.js";
import { type FakeKernel, FakeNetlink, FakeTimers } from "../../lib/netlink-fake.js";

const ROUTE = 24;
const request = (value: number, type = ROUTE): NetlinkRequest => ({
  family: "route",
  type,
  flags: 0x600,
  body: new AttributeWriter().u32(1, value).finish(),
});
const numberOf = (message: { body: Uint8Array }): number => readAttributes(message.body).get(1)?.u32() ?? -1;

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

function setup(kernel: FakeKernel, options: { maxMessages?: number; maxBytes?: number } = {}) {
  const transport = new FakeNetlink(kernel);
  const timers = new FakeTimers();
  return { transport, timers, session: new NetlinkSession(transport, { setTimer: timers.set, ...options }) };
}

t.test("a batch is one sendmsg, with one acknowledgement asked for at the end", async (t) => {
  const { transport, session, timers } = setup(() => ({}));
  const outcomes = await session.execute([request(1), request(2), request(3)]);
  t.strictSame(outcomes, [{ replies: [] }, { replies: [] }, { replies: [] }]);
  t.equal(transport.sent.length, 1);
  t.strictSame(
    transport.sent[0]?.map(({ flags, sequence, port }) => ({ flags, sequence, port })),
    [
      { flags: 0x600 | NLM_F_REQUEST, sequence: 1, port: 4711 },
      { flags: 0x600 | NLM_F_REQUEST, sequence: 2, port: 4711 },
      { flags: 0x600 | NLM_F_REQUEST | NLM_F_ACK, sequence: 3, port: 4711 },
    ],
  );
  t.match(session.counters, { transactions: 1, messages: 3, errors: 0, strays: 0 });
  t.equal(timers.pending.size, 0, "no timer is left");
});

t.test("a refusal in the middle belongs to its own request, and the rest goes on", async (t) => {
  const { session } = setup((message) =>
    numberOf(message) % 2 === 0 ? { errno: EEXIST, text: `no ${numberOf(message)}`, offset: 16 } : {},
  );
  const outcomes = await session.execute([1, 2, 3, 4].map((value) => request(value)));
  t.strictSame(
    outcomes.map(({ error }) => error?.details.text),
    [undefined, "no 2", undefined, "no 4"],
  );
  t.equal(outcomes[3]?.error?.errno, EEXIST, "the last one too, in the place of its acknowledgement");
  t.equal(session.counters.errors, 2);
});

t.test("a batch beyond the bounds becomes several, still in order", async (t) => {
  const { transport, session } = setup((message) => (numberOf(message) === 5 ? { errno: ESRCH } : {}), {
    maxMessages: 2,
  });
  const outcomes = await session.execute([1, 2, 3, 4, 5].map((value) => request(value)));
  t.strictSame(
    transport.sent.map((batch) => batch.map(numberOf)),
    [[1, 2], [3, 4], [5]],
  );
  t.strictSame(
    outcomes.map(({ error }) => error?.errno),
    [undefined, undefined, undefined, undefined, ESRCH],
  );
  const small = setup(() => ({}), { maxBytes: 60 });
  await small.session.execute([1, 2, 3, 4, 5].map((value) => request(value)));
  t.strictSame(
    small.transport.sent.map((batch) => batch.length),
    [2, 2, 1],
    "24 octets each",
  );
  t.strictSame(await session.execute([]), []);
});

t.test("a GET brings its reply along", async (t) => {
  const { session } = setup((message) => ({ replies: [{ type: ROUTE, body: message.body }] }));
  const outcomes = await session.execute([request(1, 26), request(2, 26)]);
  t.strictSame(
    outcomes.map(({ replies }) => replies.map(numberOf)),
    [[1], [2]],
  );
});

t.test("exchanges wait for each other", async (t) => {
  const order: string[] = [];
  const { session } = setup((message) => {
    order.push(`sent ${numberOf(message)}`);
    return {};
  });
  await Promise.all(
    [1, 2, 3].map(async (value) => {
      await session.execute([request(value)]);
      order.push(`done ${value}`);
    }),
  );
  t.strictSame(
    order.filter((one) => one.startsWith("sent")),
    ["sent 1", "sent 2", "sent 3"],
  );
  t.ok(order.indexOf("done 1") < order.indexOf("sent 3"));
});

t.test("a dump is put together from many datagrams and ends with NLMSG_DONE", async (t) => {
  const { transport, session } = setup(() => ({
    dump: true,
    replies: [1, 2, 3].map((value) => ({ type: ROUTE, body: request(value).body })),
  }));
  const messages = await session.dump(request(0, 26));
  t.strictSame(messages.map(numberOf), [1, 2, 3]);
  t.equal(transport.sent[0]?.[0]?.flags, 0x600 | NLM_F_REQUEST | NLM_F_DUMP);
});

t.test("an error at the start or at the end of a dump is thrown", async (t) => {
  const start = setup(() => ({ errno: EPERM, text: "not for you" }));
  t.match(await failure(start.session.dump(request(0, 26))), { errno: EPERM, message: "not for you (EPERM)" });
  const end = setup(() => ({ dump: true, errno: EBUSY, replies: [{ type: ROUTE, body: request(1).body }] }));
  t.match(await failure(end.session.dump(request(0, 26))), { errno: EBUSY });
});

t.test("a dump that was interrupted is repeated, ten times at most", async (t) => {
  let interruptions = 2;
  const { transport, session } = setup(() => {
    const interrupted = interruptions-- > 0;
    return {
      dump: true,
      replies: [{ type: ROUTE, flags: interrupted ? NLM_F_DUMP_INTR : 0, body: request(interrupted ? 1 : 2).body }],
    };
  });
  t.strictSame((await session.dump(request(0, 26))).map(numberOf), [2], "nothing of the interrupted ones is kept");
  t.equal(transport.sent.length, 3);
  t.equal(session.counters.dumpRestarts, 2);
  interruptions = 1000;
  t.match(await failure(session.dump(request(0, 26))), { errno: EINTR, isRetryable: true });
  t.equal(transport.sent.length, 13);
});

t.test("lost answers (ENOBUFS) leave every outcome of the batch unknown", async (t) => {
  const { session } = setup((message) => (numberOf(message) === 2 ? { overrun: true } : { silent: true }));
  const outcomes = await session.execute([request(1), request(2), request(3)]);
  for (const { error } of outcomes)
    t.match(error, { errno: ENOBUFS, isRetryable: true, details: { outcomeUnknown: true } });
  t.equal(session.counters.overruns, 1);
  const dump = setup(() => ({ overrun: true }));
  t.match(await failure(dump.session.dump(request(0, 26))), { errno: ENOBUFS });
});

t.test("lost answers (ENOBUFS) make nothing succeed: what was refused is told, the rest is unknown", async (t) => {
  // The kernel refuses 2, whose answer comes, and some of 1 and 3, whose answers do not.
  const { session } = setup((message) => {
    if (numberOf(message) === 2) return { errno: EEXIST };
    return numberOf(message) === 4 ? { overrun: true } : { silent: true };
  });
  const outcomes = await session.execute([1, 2, 3, 4].map((value) => request(value)));
  t.strictSame(
    outcomes.map(({ error }) => [error?.errno, error?.details.outcomeUnknown === true]),
    [
      [ENOBUFS, true],
      [EEXIST, false],
      [ENOBUFS, true],
      [ENOBUFS, true],
    ],
  );
  t.equal(session.counters.errors, 4);
});

t.test("an answer that does not come", async (t) => {
  const { session, timers } = setup((message) => (numberOf(message) === 1 ? { silent: true } : {}));
  const waiting = session.execute([request(1)]);
  await Promise.resolve().then(() => undefined);
  await new Promise(setImmediate);
  timers.expire();
  t.match(await waiting, [{ error: { errno: ETIMEDOUT, details: { outcomeUnknown: true } } }]);
  t.match(await session.execute([request(2)]), [{ replies: [] }], "the session goes on");
  t.match(session.counters, { timeouts: 1 });
});

t.test("a kernel that is slow but not silent is waited for", async (t) => {
  const { transport, session, timers } = setup(() => ({ silent: true }));
  const waiting = session.dump(request(0, 26));
  await new Promise(setImmediate);
  const sequence = transport.sent[0]?.[0]?.sequence ?? 0;
  const part = (type: number, body: Uint8Array): void =>
    transport.deliver(encodeMessage({ type, flags: NLM_F_MULTI, sequence, body }));
  for (let i = 0; i < 5; i++) {
    timers.tick();
    part(ROUTE, request(i).body);
  }
  timers.tick();
  part(NLMSG_DONE, new Uint8Array(4));
  t.strictSame((await waiting).map(numberOf), [0, 1, 2, 3, 4]);
  t.equal(timers.pending.size, 0);
});

t.test("late answers and those to nobody's request are counted and ignored", async (t) => {
  const { transport, session, timers } = setup((message) => (numberOf(message) === 1 ? { silent: true } : {}));
  const waiting = session.execute([request(1)]);
  await new Promise(setImmediate);
  timers.expire();
  await waiting;
  transport.announce({ type: ROUTE, body: request(9).body });
  t.equal(session.counters.strays, 1);
  t.strictSame(await session.execute([request(2)]), [{ replies: [] }]);
});

t.test("octets that are no netlink fail the exchange and nothing else", async (t) => {
  const { transport, session } = setup((message) => (numberOf(message) === 1 ? { silent: true } : {}));
  const waiting = session.execute([request(1)]);
  await new Promise(setImmediate);
  transport.deliver(Uint8Array.of(1, 2, 3));
  t.match(await waiting, [{ error: { errnoName: "EBADMSG", details: { outcomeUnknown: true } } }]);
  t.strictSame(await session.execute([request(2)]), [{ replies: [] }]);
});

t.test("a datagram that the kernel does not take", async (t) => {
  const { transport, session } = setup(() => ({}));
  transport.failure = Object.assign(new Error("sendmsg EMSGSIZE"), { errno: -EMSGSIZE, syscall: "sendmsg" });
  const [outcome] = await session.execute([request(1)]);
  t.equal(outcome?.error?.errno, EMSGSIZE);
  t.notOk(outcome?.error?.details.outcomeUnknown, "nothing was sent, so nothing was done");
});

t.test("closing fails what is under way and what comes later", async (t) => {
  const { transport, session } = setup(() => ({ silent: true }));
  const waiting = session.execute([request(1)]);
  await new Promise(setImmediate);
  session.close();
  session.close();
  t.match(await waiting, [{ error: { errnoName: "ECANCELED" } }]);
  t.match(await session.execute([request(2)]), [{ error: { errnoName: "ECANCELED" } }]);
  t.equal(transport.closed, true);
});

t.test("a body that holds a key is zeroed once it is sent", async (t) => {
  const { transport, session } = setup(() => ({}));
  const secret = { ...request(0x01020304), secret: true as const };
  const plain = request(5);
  await session.execute([secret, plain]);
  t.equal(toHex(secret.body), "00".repeat(8));
  t.equal(numberOf(plain), 5);
  t.equal(transport.sent[0]?.map(numberOf).join(), `${0x01020304},5`, "the kernel got it");
});

t.test("a generic netlink family is asked for once, by name", async (t) => {
  const asked: string[] = [];
  const { transport, session } = setup((message) => {
    if (message.type !== GENL_ID_CTRL) return {};
    const name = readAttributes(message.body.subarray(4)).get(CTRL_ATTR_FAMILY_NAME)?.string() ?? "";
    asked.push(name);
    if (name !== "fou") return { errno: ENOENT };
    return {
      replies: [
        {
          type: GENL_ID_CTRL,
          body: new AttributeWriter().raw(new Uint8Array(4)).u16(CTRL_ATTR_FAMILY_ID, 33).finish(),
        },
      ],
    };
  });
  const fou = (generic: string): NetlinkRequest => ({
    family: "generic",
    generic,
    type: 0,
    flags: 0,
    body: new Uint8Array(4),
  });
  await session.execute([fou("fou"), fou("fou")]);
  await session.execute([fou("fou")]);
  t.strictSame(asked, ["fou"]);
  t.strictSame(
    transport.sent.slice(1).map((batch) => batch.map(({ type }) => type)),
    [[33, 33], [33]],
  );
  const [missing] = await session.execute([fou("nonsense")]);
  t.equal(missing?.error?.errno, ENOENT);
  t.match(missing?.error?.message, /"nonsense"; try: modprobe nonsense/);
  t.match(await failure(session.dump(fou("nonsense"))), { code: "MIP_MISSING" });
});

t.test("a transaction stands between BEGIN and END in one sendmsg", async (t) => {
  const { transport, session } = setup(() => ({}));
  const outcome = await session.transaction([request(1, 0xa09), request(2, 0xa0c)], NFNL_SUBSYS_NFTABLES);
  t.match(outcome, { committed: true });
  t.equal(outcome.errors.size, 0);
  t.strictSame(
    transport.sent.map((batch) => batch.map(({ type, flags }) => [type, flags & (NLM_F_ACK | NLM_F_REQUEST)])),
    [
      [
        [NFNL_MSG_BATCH_BEGIN, 1],
        [0xa09, 1],
        [0xa0c, 5],
        [NFNL_MSG_BATCH_END, 1],
      ],
    ],
  );
  t.equal(toHex(transport.sent[0]?.[0]?.body ?? new Uint8Array(0)), "0000000a");
  t.match(await session.transaction([], NFNL_SUBSYS_NFTABLES), { committed: true });
});

t.test("one refusal undoes the whole transaction and names the culprits", async (t) => {
  const { session } = setup((message) => {
    if (message.type === NFNL_MSG_BATCH_BEGIN || message.type === NFNL_MSG_BATCH_END) return {};
    return numberOf(message) === 2 || numberOf(message) === 3 ? { errno: ENOENT } : {};
  });
  const outcome = await session.transaction(
    [1, 2, 3].map((value) => request(value)),
    NFNL_SUBSYS_NFTABLES,
  );
  t.equal(outcome.committed, false);
  t.strictSame(
    [...outcome.errors].map(([index, { errno }]) => [index, errno]),
    [
      [1, ENOENT],
      [2, ENOENT],
    ],
  );
  t.equal(outcome.failure, undefined);
});

t.test("a refusal of the batch as such", async (t) => {
  const { session } = setup((message) => (message.type === NFNL_MSG_BATCH_BEGIN ? { errno: EPERM } : { silent: true }));
  const outcome = await session.transaction([request(1)], NFNL_SUBSYS_NFTABLES);
  t.match(outcome, { committed: false, failure: { errno: EPERM } });
  const lost = setup(() => ({ overrun: true }));
  t.match(await lost.session.transaction([request(1)], NFNL_SUBSYS_NFTABLES), {
    committed: false,
    failure: { errno: ENOBUFS },
  });
  t.ok(outcome.failure instanceof KernelError);
});
