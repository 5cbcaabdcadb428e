/** Replay protection by timestamps and by nonces (RFC 5944 §5.7). */
import t from "tap";
import {
  answerIdentification,
  freshness,
  isLater,
  type ReplayState,
  secondsBetween,
} from "../../../../controller/protocol/mip4/identification.js";
import type { Identification } from "../../../../controller/wire/mip4/messages/registration.js";

const at = (high: number, low = 0): Identification => ({ high: high >>> 0, low });
const HALF = 2 ** 31;
const TIMESTAMPS = { kind: "timestamps", toleranceSeconds: 7 } as const;
const NOW = at(0xed000000);

t.test("F5944-5.7-01: a timestamp is close to our time and later than all before it", (t) => {
  const fresh = (identification: Identification, replay: ReplayState = {}) =>
    freshness(identification, replay, TIMESTAMPS, NOW);
  t.strictSame(fresh(NOW), { fresh: true });
  t.strictSame(fresh(at(0xed000007)), { fresh: true }, "7 s ahead");
  t.strictSame(fresh(at(0xecfffff9)), { fresh: true }, "7 s behind");
  t.match(fresh(at(0xed000007, 1)), { fresh: false, reason: /ahead of our clock/ });
  t.match(fresh(at(0xecfffff8, 0xffffffff)), { fresh: false, reason: /behind our clock/ });
  const year = 31_536_000;
  t.match(fresh(at(NOW.high - year)), { fresh: false, reason: "timestamp 31536000.0 s behind our clock" });
  t.match(fresh(at(NOW.high + year)), { fresh: false, reason: "timestamp 31536000.0 s ahead of our clock" });
  const latest = at(0xed000000, HALF);
  t.match(fresh(latest, { latest }), { fresh: false, reason: "timestamp not later than the last" });
  t.match(fresh(at(0xed000000, HALF - 1), { latest }), { fresh: false });
  t.strictSame(fresh(at(0xed000000, HALF + 1), { latest }), { fresh: true }, "a fraction of 2^-32 s later");
  const future = { latest: at(0xed000000 + year) };
  t.match(fresh(NOW, future), { fresh: false, reason: "the last timestamp of the node is in the future of our clock" });
  t.end();
});

t.test("F5944-5.7-01: the end of the NTP era in 2036 is an instant like any other", (t) => {
  const before = at(0xffffffff, HALF);
  const after = at(0, HALF);
  t.equal(secondsBetween(after, before), 1);
  t.equal(secondsBetween(before, after), -1);
  t.ok(isLater(after, before));
  t.notOk(isLater(before, after));
  t.notOk(isLater(after, after));
  t.strictSame(freshness(after, { latest: before }, TIMESTAMPS, before), { fresh: true });
  t.match(freshness(before, { latest: after }, TIMESTAMPS, after), { fresh: false });
  t.end();
});

t.test("F5944-5.7-01: a nonce is the one that the node was given", (t) => {
  const nonces = { kind: "nonces" } as const;
  t.match(freshness(at(5, 1), {}, nonces, NOW), { fresh: false });
  t.match(freshness(at(5, 1), { nonce: 6 }, nonces, NOW), { fresh: false });
  t.strictSame(freshness(at(6, 1), { nonce: 6 }, nonces, NOW), { fresh: true });
  t.end();
});

t.test("F5944-5.7-01: the low half of an answer is the request's, the high half tells what to use", (t) => {
  const request = at(1, 2);
  const facts = { timeOfDay: at(0xed000000, 7), nonce: 9 };
  t.strictSame(answerIdentification(request, TIMESTAMPS, { fresh: true, ...facts }), request);
  t.strictSame(answerIdentification(request, TIMESTAMPS, { fresh: false, ...facts }), at(0xed000000, 2));
  for (const fresh of [true, false]) {
    t.strictSame(answerIdentification(request, { kind: "nonces" }, { fresh, ...facts }), at(9, 2));
  }
  t.end();
});
