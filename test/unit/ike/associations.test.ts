/** The life of negotiated keys: when they receive, when they send, when they are forgotten. */
import t from "tap";
import { ipv4, ipv6 } from "../../../controller/base/ip.js";
import { Secret } from "../../../controller/base/secret.js";
import { instant } from "../../../controller/base/time.js";
import { AssociationTable, isComplete, type Negotiated } from "../../../controller/ike/associations.js";
import {
  assignSlots,
  NO_SLOTS,
  negotiatedReqid,
  type Purpose,
  RequestIds,
  reqidOf,
} from "../../../controller/plan/security/request-ids.js";

const HOA = ipv6("2001:db8:1::100");
const HA = ipv6("2001:db8:1::1");
const COA = ipv6("2001:db8:a::1");
const aead = { algorithm: "rfc4106(gcm(aes))", key: new Secret(new Uint8Array(20)), icvLength: 16 };

const negotiated = (spi: number, way: "up" | "down", purpose: Purpose = "payload"): Negotiated => ({
  source: way === "up" ? COA : HA,
  destination: way === "up" ? HA : COA,
  reqid: negotiatedReqid(reqidOf(HOA, purpose)),
  spi,
  aead,
});
const table = (role: "home-agent" | "mobile-node"): AssociationTable =>
  new AssociationTable(new RequestIds([HOA], NO_SLOTS), new Set([HA]), role);
const at = (seconds: number) => instant(1000 * seconds);

t.test("direction follows from who is asked", (test) => {
  for (const [role, receives] of [
    ["home-agent", 1],
    ["mobile-node", 2],
  ] as const) {
    const one = table(role);
    test.equal(one.add(negotiated(1, "up"), at(0)), HOA);
    one.add(negotiated(2, "down"), at(0));
    const { payload } = one.of(HOA, at(0));
    test.strictSame(
      payload?.receive.map(({ spi }) => spi),
      [receives],
    );
    test.equal(payload?.send?.spi, 3 - receives, "the only one there is sends at once");
    test.equal(isComplete(one.of(HOA, at(0)), ["payload"]), true);
    test.equal(isComplete(one.of(HOA, at(0)), ["payload", "signalling"]), false);
  }
  test.end();
});

t.test("strangers' request ids and addresses are nobody's", (test) => {
  const one = table("home-agent");
  test.equal(one.add({ ...negotiated(1, "up"), reqid: 7 }, at(0)), undefined);
  test.equal(one.add({ ...negotiated(1, "up"), destination: COA }, at(0)), undefined);
  test.strictSame(one.of(HOA, at(0)), {});
  test.end();
});

t.test("renewal: new keys receive at once and send a second later; old ones receive for five more", (test) => {
  const one = table("mobile-node");
  for (const spi of [1, 2]) one.add(negotiated(spi, spi === 1 ? "up" : "down"), at(0));
  one.add(negotiated(3, "up"), at(100));
  one.add(negotiated(4, "down"), at(100));
  test.strictSame(
    one.of(HOA, at(100)).payload?.receive.map(({ spi }) => spi),
    [2, 4],
  );
  test.equal(one.of(HOA, at(100)).payload?.send?.spi, 1, "the other end may not know the new ones yet");
  test.equal(one.nextDeadline, at(101));
  test.equal(one.of(HOA, at(101)).payload?.send?.spi, 3);
  one.remove(negotiated(1, "up"), at(102));
  one.remove(negotiated(2, "down"), at(102));
  test.strictSame(
    one.of(HOA, at(106)).payload?.receive.map(({ spi }) => spi),
    [2, 4],
  );
  test.strictSame(
    one.of(HOA, at(107)).payload?.receive.map(({ spi }) => spi),
    [4],
  );
  test.strictSame([...one.pass(at(107))], [HOA]);
  test.equal(one.nextDeadline, undefined);
  test.end();
});

t.test("old keys that went before the new ones could send go on sending for that moment", (test) => {
  const one = table("mobile-node");
  one.add(negotiated(1, "up"), at(0));
  one.add(negotiated(3, "up"), at(100));
  one.remove(negotiated(1, "up"), at(100.2));
  test.equal(one.of(HOA, at(100.5)).payload?.send?.spi, 1);
  test.equal(one.of(HOA, at(101)).payload?.send?.spi, 3);
  test.end();
});

t.test(
  "after lost announcements the picture is replaced; what is not in it any more ends as if it had been removed",
  (test) => {
    const one = table("mobile-node");
    one.add(negotiated(1, "up"), at(0));
    test.strictSame([...one.replace([negotiated(3, "up")], at(50))], [HOA]);
    test.equal(one.of(HOA, at(51)).payload?.send?.spi, 3);
    one.replace([], at(60));
    one.pass(at(65));
    test.strictSame(one.of(HOA, at(65)), {}, "nothing without keys");
    test.end();
  },
);

t.test("with MOBIKE the ends are those that the IKE daemon gives, also while it moves them", (test) => {
  const one = table("home-agent");
  const there = ipv4("203.0.115.2");
  const here = ipv4("203.0.113.1");
  const agent = new AssociationTable(new RequestIds([HOA], NO_SLOTS), new Set([HA, here]), "home-agent");
  for (const of of [one, agent]) {
    of.add(negotiated(1, "up"), at(0));
    of.add(negotiated(2, "down"), at(0));
    test.notOk("ends" in (of.of(HOA, at(1)).payload ?? {}), "without MOBIKE they do not matter");
    test.strictSame(of.of(HOA, at(1), true).payload?.ends, { local: HA, remote: COA });
  }
  agent.remove(negotiated(2, "down"), at(2));
  test.equal(agent.of(HOA, at(2), true).payload?.ends?.remote, COA, "between deletion and re-creation");
  const encapsulation = { sourcePort: 4500, destinationPort: 61000 };
  agent.add({ ...negotiated(2, "down"), source: here, destination: there, encapsulation }, at(2));
  test.strictSame(agent.of(HOA, at(2), true).payload?.ends, {
    local: here,
    remote: there,
    udp: { localPort: 4500, remotePort: 61000 },
  });
  test.equal(agent.of(HOA, at(2), true).payload?.send?.spi, 2, "the same key");
  test.end();
});

t.test(
  "what a dead IKE daemon has left behind serves until there is something new, and never again after that",
  (test) => {
    const one = table("mobile-node");
    const spisAt = (seconds: number) => {
      const { payload } = one.of(HOA, at(seconds));
      return [payload?.receive.map(({ spi }) => spi) ?? [], payload?.send?.spi];
    };
    const left = [negotiated(1, "up"), negotiated(2, "down")];
    for (const state of left) one.add(state, at(0));
    test.strictSame(one.orphan(at(10)), [], "nobody has anything new");
    test.strictSame(spisAt(100), [[2], 1], "still in use");
    one.add(negotiated(3, "up"), at(200));
    test.strictSame(spisAt(201)[0], [2], "one direction alone changes nothing");
    one.add(negotiated(4, "down"), at(200));
    one.pass(at(206));
    test.strictSame(spisAt(206), [[4], 3]);
    one.replace([...left, negotiated(3, "up"), negotiated(4, "down")], at(300));
    test.strictSame(spisAt(301), [[4], 3], "the kernel has them still");
    for (const state of [negotiated(3, "up"), negotiated(4, "down")]) one.remove(state, at(400));
    one.pass(at(406));
    test.equal(isComplete(one.of(HOA, at(406)), ["payload"]), false, "so the node asks for new ones");
    test.end();
  },
);

t.test("after a restart of ours only what the IKE daemon does not know is left behind", (test) => {
  const one = table("mobile-node");
  for (const spi of [1, 3]) one.add(negotiated(spi, "up"), at(0));
  for (const spi of [2, 4]) one.add(negotiated(spi, "down"), at(0));
  test.strictSame(one.orphan(at(10), new Set([3, 4])), [HOA]);
  one.pass(at(16));
  const { payload } = one.of(HOA, at(16));
  test.strictSame([payload?.receive.map(({ spi }) => spi), payload?.send?.spi], [[4], 3]);
  test.end();
});

t.test("lost announcements do not end what a dead IKE daemon has left behind", (test) => {
  const one = table("home-agent");
  const left = [negotiated(1, "up"), negotiated(2, "down")];
  for (const state of left) one.add(state, at(0));
  test.strictSame(one.orphan(at(10)), [], "nobody has anything new");
  one.replace(left, at(20));
  one.pass(at(30));
  test.equal(isComplete(one.of(HOA, at(30)), ["payload"]), true, "still in the kernel, still in use");
  one.replace([], at(40));
  one.pass(at(46));
  test.strictSame(one.of(HOA, at(46)), {}, "gone from the kernel, forgotten");
  test.end();
});

t.test(
  "an association whose numbers are lost is used no more, until the IKE daemon has let it go and beyond",
  (test) => {
    const one = table("mobile-node");
    const seen = (seconds: number) => {
      const { payload } = one.of(HOA, at(seconds));
      return [payload?.receive.map(({ spi }) => spi) ?? [], payload?.send?.spi];
    };
    const reqid = reqidOf(HOA, "payload");
    for (const spi of [1, 2]) one.add(negotiated(spi, spi === 1 ? "up" : "down"), at(0));
    test.strictSame(one.spend(reqid, 1, "send"), { homeAddress: HOA, purpose: "payload", spi: 1, direction: "send" });
    test.strictSame(seen(10), [[2], undefined], "nothing else to send with");
    test.equal(isComplete(one.of(HOA, at(10)), ["payload"]), false);
    test.equal(one.of(HOA, at(10), true).payload?.ends?.remote, HA, "its original still tells where the IKE SA lies");
    test.equal(one.spend(reqid, 1, "send"), undefined, "told once");
    one.remove(negotiated(1, "up"), at(11));
    one.add(negotiated(1, "up"), at(11));
    one.replace([negotiated(1, "up"), negotiated(2, "down")], at(12));
    test.strictSame(seen(20), [[2], undefined], "the original has moved, the numbers are as lost as before");
    for (const [spi, way] of [
      [3, "up"],
      [4, "down"],
    ] as const)
      one.add(negotiated(spi, way), at(20));
    test.strictSame(seen(20), [[2, 4], 3], "there is no reason to wait");
    test.equal(one.of(HOA, at(20), true).payload?.ends?.remote, HA);
    one.spend(reqid, 2, "receive");
    test.strictSame(seen(21), [[4], 3], "nor is anything received that may have been received before");
    test.end();
  },
);

t.test(
  "one that was forgotten with its original before its loss was noticed is asked for all the same, once",
  (test) => {
    const one = table("home-agent");
    const reqid = reqidOf(HOA, "payload");
    for (const state of [negotiated(1, "up"), negotiated(2, "down")]) one.add(state, at(0));
    one.replace([], at(10)); // ip xfrm state flush
    one.pass(at(20));
    test.strictSame(one.of(HOA, at(20)), {});
    const lost = { homeAddress: HOA, purpose: "payload", spi: 1, direction: "receive" };
    test.strictSame(one.spend(reqid, 1, "receive"), lost);
    test.equal(one.spend(reqid, 1, "receive"), undefined, "its second copy");
    test.equal(one.spend(2 ** 24, 1, "receive"), undefined, "nobody's");
    test.end();
  },
);

const left = [negotiated(1, "up"), negotiated(2, "down")];
const fresh = [negotiated(3, "up"), negotiated(4, "down")];

t.test(
  "what a dead IKE daemon has left behind and moves still serves: without another it is not superseded",
  (test) => {
    const one = table("mobile-node");
    for (const state of left) one.add(state, at(0));
    one.orphan(at(10));
    for (const state of left) one.remove(state, at(20));
    for (const state of left) one.add(state, at(21));
    one.pass(at(40));
    test.equal(isComplete(one.of(HOA, at(40)), ["payload"]), true);
    test.end();
  },
);

t.test("what has been superseded stays so, also if the IKE daemon turns out to know it", (test) => {
  const one = table("mobile-node");
  for (const state of left) one.add(state, at(0));
  one.orphan(at(10));
  for (const state of fresh) one.add(state, at(20));
  test.strictSame(one.orphan(at(20.5), new Set([3, 4])), [], "no news");
  one.orphan(at(21), new Set([1, 2, 3, 4]));
  one.replace([...left, ...fresh], at(22));
  one.pass(at(30));
  const { payload } = one.of(HOA, at(30));
  test.strictSame([payload?.receive.map(({ spi }) => spi), payload?.send?.spi], [[4], 3]);
  test.end();
});

t.test("each node has its own time: the earliest counts, and nobody else is looked at when it comes", (test) => {
  const nodes = [1, 2, 3].map((n) => ipv6(`2001:db8:1::${n}00`));
  const slots = assignSlots(nodes);
  const agent = new AssociationTable(new RequestIds(nodes, slots), new Set([HA]), "home-agent");
  const stateOf = (node: (typeof nodes)[number], spi: number): Negotiated => ({
    ...negotiated(spi, "down"),
    reqid: negotiatedReqid(reqidOf(node, "payload", slots)),
  });
  for (const [i, node] of nodes.entries()) agent.add(stateOf(node, i), at(10 * (3 - i)));
  test.equal(agent.nextDeadline, at(11), "the last one was added first");
  test.strictSame([...agent.pass(at(10.9))], []);
  test.strictSame([...agent.pass(at(11))], nodes.slice(2));
  test.equal(agent.nextDeadline, at(21));
  for (const [i, node] of nodes.entries()) agent.remove(stateOf(node, i), at(12));
  test.strictSame(agent.nextDeadline, at(17), "all at once");
  test.strictSame(new Set(agent.pass(at(17))), new Set(nodes));
  test.equal(agent.nextDeadline, undefined);
  test.strictSame(agent.of(nodes[0] ?? HOA, at(17)), {});
  test.end();
});

t.test("in renewals one upon the other nothing sends again that has given way", (test) => {
  const one = table("mobile-node");
  const sender = (seconds: number): number | undefined => one.of(HOA, at(seconds)).payload?.send?.spi;
  one.add(negotiated(1, "up"), at(0));
  test.equal(sender(0), 1);
  one.add(negotiated(3, "up"), at(10));
  one.remove(negotiated(1, "up"), at(10));
  test.equal(sender(10.5), 1);
  test.equal(sender(11), 3);
  one.add(negotiated(5, "up"), at(12));
  one.remove(negotiated(3, "up"), at(12));
  test.equal(sender(12), 3, "and not the first, which went less than five seconds ago");
  test.equal(one.spend(reqidOf(HOA, "payload"), 3, "send")?.spi, 3);
  test.equal(sender(12.1), 5, "rather the newest at once");
  one.remove(negotiated(5, "up"), at(12.2));
  one.spend(reqidOf(HOA, "payload"), 5, "send");
  test.equal(sender(12.3), undefined, "rather nothing at all");
  test.end();
});
