/** The life of a binding (RFC 5944 §3.8.2.2), its journal, and the addresses that are lent with it. */
import t from "tap";
import { IPV4_ANY, ipv4 } from "../../../../../controller/base/ip.js";
import {
  bindingViews,
  dataPaths,
  lookup,
  nextDeadline,
} from "../../../../../controller/protocol/mip4/home-agent/machine.js";
import { BINDING_STATES, nextBindingState } from "../../../../../controller/protocol/mip4/home-agent/states.js";
import {
  COA,
  codeIn,
  dropIn,
  HA,
  HOA,
  HomeAgentBench,
  kinds,
  NAT,
  NODE,
  NODE_SUBSCRIBER,
  OTHER_HOA,
  ofKind,
  ROAMER,
  replyIn,
  SITE,
} from "../../../../lib/mip4-home-agent.js";

const ELSEWHERE = ipv4("198.51.100.8");
const events = (effects: ReturnType<HomeAgentBench["ask"]>) =>
  ofKind(effects, "notify").map(({ event }) => event.event);
const name = { kind: "network-access-identifier", identifier: new TextEncoder().encode("roamer@example.org") } as const;

t.test("F5944-3.8.2.2-01: nothing is answered before the kernel and the journal, and lifetimes are cut", (t) => {
  const bench = new HomeAgentBench();
  const asked = bench.ask({ lifetimeSeconds: 3600 });
  t.strictSame(kinds(asked), ["data-path"]);
  t.equal(lookup(bench.state, HOA), undefined);
  const done = bench.settle(asked).slice(asked.length - 0);
  t.strictSame(kinds(done), ["journal", "announce", "reply", "notify"]);
  t.match(replyIn(done).reply, { code: 1, lifetimeSeconds: 1800, homeAddress: HOA, homeAgent: HA });
  t.strictSame(events(done), ["binding.accepted"]);
  t.strictSame(ofKind(done, "announce"), [{ kind: "announce", address: HOA, holder: "home-agent" }]);
  t.equal(lookup(bench.state, HOA)?.node, NODE);
  t.equal(replyIn(bench.register({ lifetimeSeconds: 30 })).reply.lifetimeSeconds, 30, "never more than asked for");
  t.equal(replyIn(bench.register({ lifetimeSeconds: 0xffff })).reply.lifetimeSeconds, 1800);
  const endless = new HomeAgentBench({ maxLifetimeSeconds: 0xffff });
  t.equal(replyIn(endless.register({ lifetimeSeconds: 0xffff })).reply.lifetimeSeconds, 0xffff);
  t.equal(nextDeadline(endless.state), undefined);
  t.end();
});

t.test("F5944-3.8.2.2-01: a duplicate is answered, and extends nothing", (t) => {
  const bench = new HomeAgentBench();
  const input = bench.input({ lifetimeSeconds: 600 });
  const pending = bench.step(input);
  t.equal(dropIn(bench.step(input)), "duplicate", "while the kernel is at it");
  bench.settle(pending);
  const end = nextDeadline(bench.state);
  bench.wait(100.5);
  const again = bench.step({ ...input, timeOfDay: bench.timestamp() });
  t.match(replyIn(again).reply, { code: 1, lifetimeSeconds: 499, identification: input.request.identification });
  t.strictSame(kinds(again), ["reply"]);
  t.equal(nextDeadline(bench.state), end);
  const udp = { kind: "udp-tunnel-request", forced: true, throughForeignAgent: false, encapsulation: 0 } as const;
  const tunnelled = bench.input({ extensions: [udp] });
  const once = bench.settle(bench.step(tunnelled));
  const twice = bench.step({ ...tunnelled, timeOfDay: bench.timestamp() });
  t.strictSame(replyIn(twice).reply.extensions, replyIn(once).reply.extensions, "with all that the first one had");
  t.end();
});

t.test(
  "F5944-3.8.2.2-01: a new care-of address takes the place of the old one, S or not; packets under way are taken for a while",
  (t) => {
    const bench = new HomeAgentBench();
    bench.register();
    const flags = { simultaneousBindings: true, decapsulatesItself: true, reverseTunnelling: true };
    const moved = bench.register({ careOfAddress: ELSEWHERE, arrival: { source: ELSEWHERE }, flags });
    t.equal(codeIn(moved), 1, "no simultaneous bindings");
    t.strictSame(events(moved), ["binding.moved"]);
    t.equal(ofKind(moved, "announce").length, 0, "the address is ours already");
    const [path] = [...dataPaths(bench.state)];
    t.match(path, { egress: { address: ELSEWHERE }, ingress: [{ address: ELSEWHERE }, { address: COA }] });
    bench.wait(5);
    const narrowed = bench.settle(bench.step({ kind: "timer" }));
    t.strictSame(kinds(narrowed), ["data-path"]);
    t.equal([...dataPaths(bench.state)][0]?.ingress.length, 1);
    const refreshed = bench.register({ careOfAddress: ELSEWHERE, arrival: { source: ELSEWHERE } });
    t.strictSame(
      kinds(refreshed).filter((kind) => kind !== "journal"),
      ["reply", "notify"],
      "the kernel is left alone",
    );
    t.strictSame(events(refreshed), ["binding.refreshed"]);
    t.end();
  },
);

t.test("F5944-3.8.2.2-01: one care-of address, another one, all of them; and the end of its time", (t) => {
  const bench = new HomeAgentBench();
  bench.register();
  const other = bench.register({ lifetimeSeconds: 0, careOfAddress: ELSEWHERE });
  t.match(replyIn(other).reply, { code: 1, lifetimeSeconds: 0 });
  t.equal(ofKind(other, "data-path-removed").length, 0, "another care-of address: the binding stays");
  const asked = bench.ask({ lifetimeSeconds: 0 });
  t.strictSame(kinds(asked), ["data-path-removed"], "the answer waits for the kernel");
  const one = bench.settle(asked);
  t.match(replyIn(one).reply, { code: 1, lifetimeSeconds: 0, homeAddress: HOA });
  t.strictSame(events(one), ["binding.removed"]);
  t.strictSame(ofKind(one, "announce"), [{ kind: "announce", address: HOA, holder: "mobile-node" }]);
  t.equal(bench.state.table.size, 0);

  bench.register();
  const home = { lifetimeSeconds: 0, careOfAddress: HOA, arrival: { source: HOA, sourcePort: 434 } };
  const all = bench.register(home);
  t.match(replyIn(all), { departure: "home-link", destination: HOA, reply: { lifetimeSeconds: 0 } });
  t.match(replyIn(bench.register(home)).reply, { code: 1 }, "once more: there is nothing, and that is what it wants");

  bench.register({ lifetimeSeconds: 60 });
  bench.wait(60);
  const expired = bench.step({ kind: "timer" });
  t.strictSame(events(expired), ["binding.expired"]);
  t.equal(ofKind(expired, "reply").length, 0, "no reply but to a request");
  t.equal([...dataPaths(bench.state)].length, 0);
  t.end();
});

t.test("the kernel refuses, or says nothing: 130, and what there was stays", (t) => {
  const bench = new HomeAgentBench();
  const first = bench.settle(bench.ask(), "ENODEV");
  t.equal(codeIn(first), 130);
  t.equal(bench.state.table.size, 0);
  bench.register();
  const moved = bench.settle(bench.ask({ careOfAddress: ELSEWHERE }), "ENOBUFS");
  t.equal(codeIn(moved), 130);
  const asked = ofKind(moved, "data-path").map(({ path }) => path.egress.address);
  t.strictSame(asked, [ELSEWHERE, COA], "the old path is asked for again");
  t.equal([...dataPaths(bench.state)][0]?.egress.address, COA);
  bench.ask({ careOfAddress: ELSEWHERE });
  bench.wait(3);
  t.equal(codeIn(bench.step({ kind: "timer" })), 130);
  t.equal([...dataPaths(bench.state)][0]?.egress.address, COA);
  bench.ask({ lifetimeSeconds: 0 });
  bench.wait(3);
  t.match(replyIn(bench.step({ kind: "timer" })).reply, { code: 1, lifetimeSeconds: 0 });
  t.end();
});

t.test(
  "it comes again before the kernel has let go, de-registers before it has made anything, and an operator ends it",
  (t) => {
    const bench = new HomeAgentBench();
    bench.register();
    bench.ask({ lifetimeSeconds: 0 });
    const again = bench.register({ careOfAddress: ELSEWHERE, arrival: { source: ELSEWHERE } });
    t.equal(codeIn(again), 1);
    t.match([...dataPaths(bench.state)], [{ egress: { address: ELSEWHERE }, ingress: { length: 1 } }]);
    const early = new HomeAgentBench();
    early.ask();
    const codes = ofKind(early.register({ lifetimeSeconds: 0 }), "reply").map(({ reply }) => [
      reply.code,
      reply.lifetimeSeconds,
    ]);
    t.strictSame(codes, [
      [128, 0],
      [1, 0],
    ]);
    const ended = bench.step({ kind: "remove", node: NODE, reason: "bound by Mobile IPv6" });
    t.strictSame(events(ended), ["binding.removed"]);
    t.equal(ofKind(ended, "reply").length, 0);
    t.equal(bench.step({ kind: "remove", node: NODE, reason: "twice" }).length, 0);
    bench.ask();
    const meanwhile = bench.step({ kind: "remove", node: NODE, reason: "by an operator" });
    t.equal(codeIn(meanwhile), 129, "a request on its way is refused");
    t.equal(bench.state.table.size, 0);
    t.end();
  },
);

t.test("a home address is lent for 0.0.0.0 with a name, and given back", (t) => {
  const bench = new HomeAgentBench();
  const lent = replyIn(bench.register({ homeAddress: IPV4_ANY, extensions: [name] }));
  t.match(
    lent.reply,
    { code: 1, homeAddress: "192.0.2.129", lifetimeSeconds: 300 },
    "for as long as addresses are lent",
  );
  t.equal(lent.node, ROAMER);
  t.match(lent.reply.extensions[0], name, "its name comes back (RFC 2794 §3)");
  const homeAddress = lent.reply.homeAddress;
  t.equal(codeIn(bench.register({ homeAddress })), 1, "by then it is known by its address too");
  t.equal(replyIn(bench.register({ homeAddress: IPV4_ANY, extensions: [name] })).reply.homeAddress, homeAddress);
  bench.register({ homeAddress, lifetimeSeconds: 0, careOfAddress: homeAddress });
  t.equal(bench.state.ownership.ipv4.ownerOf(homeAddress), undefined);
  t.equal(dropIn(bench.ask({ homeAddress })), "not-a-subscriber", "without a binding the address says nothing");
  const circle = { homeAddress, careOfAddress: homeAddress, extensions: [name] };
  t.equal(codeIn(bench.ask(circle)), 129, "nor does it lead to itself, though it is nobody's just now");
  t.equal(
    replyIn(bench.register({ homeAddress: IPV4_ANY, extensions: [name] })).reply.homeAddress,
    homeAddress,
    "the same again",
  );
  const refused = new HomeAgentBench({ ipv4LeaseSeconds: undefined });
  t.equal(codeIn(refused.ask({ homeAddress: IPV4_ANY, extensions: [name] })), 129);
  const empty = new HomeAgentBench({}, {});
  t.equal(codeIn(empty.ask({ homeAddress: IPV4_ANY, extensions: [name] })), 130);
  t.equal(codeIn(empty.ask({ homeAddress: IPV4_ANY, extensions: [name], lifetimeSeconds: 0 })), 128);
  const bad = { kind: "network-access-identifier", identifier: Uint8Array.of(0xff, 0xfe) } as const;
  t.equal(dropIn(empty.ask({ homeAddress: IPV4_ANY, extensions: [bad] })), "not-a-subscriber");
  t.equal(
    dropIn(empty.ask({ homeAddress: IPV4_ANY, behind: [name] })),
    "not-a-subscriber",
    "a name that is not covered",
  );
  t.end();
});

t.test("what is answered has been written before, and a request that waits for the kernel is written once", (t) => {
  const bench = new HomeAgentBench();
  const order = (effects: ReturnType<HomeAgentBench["ask"]>) =>
    kinds(effects).filter((kind) => kind === "journal" || kind === "reply");
  const latest = (effects: ReturnType<HomeAgentBench["ask"]>) => ofKind(effects, "journal")[0]?.record?.["latest"];
  const first = bench.input();
  t.strictSame(order(bench.settle(bench.step(first))), ["journal", "reply"]);
  const moved = bench.input({ careOfAddress: ELSEWHERE, arrival: { source: ELSEWHERE } });
  const asked = bench.step(moved);
  t.strictSame(order(asked), [], "nothing is said yet");
  const [path] = ofKind(asked, "data-path");
  const { node, revision } = path?.path ?? { node: NODE, revision: 0 };
  const refused = bench.step({ kind: "programmed", node, revision, failure: "no" });
  t.strictSame(order(refused), ["journal", "reply"], "refused by the kernel");
  t.strictSame(latest(refused), moved.request.identification, "it was fresh once");
  const wrong = bench.input({ homeAgent: OTHER_HOA });
  const rejected = bench.step(wrong);
  t.strictSame(order(rejected), ["journal", "reply"], "refused by us");
  t.strictSame(latest(rejected), wrong.request.identification);
  t.end();
});

t.test("the journal keeps bindings, nonces and the last timestamps", (t) => {
  const bench = new HomeAgentBench();
  const records = new Map<string, Readonly<Record<string, unknown>> | null>();
  const keep = (effects: ReturnType<HomeAgentBench["ask"]>): void => {
    for (const { key, record } of ofKind(effects, "journal")) records.set(key, record);
  };
  const mode = { kind: "ipv6-tunnelling-mode" } as const;
  const wanted = {
    kind: "ipv6-prefix-request",
    prefixLength: 48,
    prefix: NODE_SUBSCRIBER.prefixes?.[0]?.address as never,
  } as const;
  const udp = { kind: "udp-tunnel-request", forced: false, throughForeignAgent: false, encapsulation: 0 } as const;
  const last = bench.input({ extensions: [mode, wanted, udp], arrival: { source: NAT } });
  keep(bench.settle(bench.step(last)));
  keep(bench.register({ homeAddress: OTHER_HOA, identification: { high: 1, low: 1 }, nonce: 77 }));
  keep(bench.register({ homeAddress: IPV4_ANY, extensions: [name] }));
  const stored = [...records.values()].map((record) => ({
    record: JSON.parse(JSON.stringify(record)) as Readonly<Record<string, unknown>>,
    ageSeconds: 100,
  }));
  t.equal(stored.length, 3);

  const next = new HomeAgentBench();
  next.wait(100);
  const restored = next.settle(next.step({ kind: "restore", nodes: stored }));
  t.strictSame(kinds(restored), ["data-path", "notify", "data-path", "notify"]);
  const without = (paths: Iterable<object>) => [...paths].map((path) => ({ ...path, revision: 0 }));
  t.strictSame(without(dataPaths(next.state)), without(dataPaths(bench.state)));
  t.ok([...bindingViews(next.state, next.now)].every(({ remainingSeconds }) => (remainingSeconds ?? 0) <= 500));
  const replayed = next.step({ ...last, timeOfDay: next.timestamp() });
  t.match(replyIn(replayed).reply, { code: 1, lifetimeSeconds: 500 }, "the last request is a duplicate still");
  const older = {
    ...last,
    request: { ...last.request, careOfAddress: ELSEWHERE },
    timeOfDay: last.request.identification,
  };
  t.equal(codeIn(next.step(older)), 133, "and nothing that is not later than it is good");
  t.match(replyIn(next.register({ homeAddress: OTHER_HOA, identification: { high: 77, low: 2 } })).reply, { code: 1 });

  const later = new HomeAgentBench({ subscribers: SITE.subscribers.slice(0, 1) });
  const aged = stored.map((one) => ({ ...one, ageSeconds: 700 }));
  const gone = later.step({ kind: "restore", nodes: [...aged, { record: { kind: "mip4" }, ageSeconds: 0 }] });
  t.equal(later.state.table.size, 0, "their time is over");
  t.strictSame(
    ofKind(gone, "journal").map(({ record }) => record === null),
    [false, true, true],
    "the replay protection of who is served is kept",
  );
  t.equal(ofKind(gone, "drop").length, 1);
  t.end();
});

t.test("a record that lies in any member is no binding, and takes nothing else along", (t) => {
  const bench = new HomeAgentBench();
  const [record] = ofKind(bench.register(), "journal")
    .slice(-1)
    .map((effect) => effect.record);
  const binding = record?.["binding"] as Record<string, unknown>;
  for (const key of Object.keys(binding)) {
    const other = new HomeAgentBench();
    const broken = { ...record, binding: { ...binding, [key]: "nonsense" } };
    other.step({ kind: "restore", nodes: [{ record: broken, ageSeconds: 0 }] });
    const tolerated = key === "linkLocalAddress";
    t.equal(other.state.table.size, tolerated ? 1 : 0, key);
    t.ok(other.state.replay.get(NODE)?.latest, key);
  }
  t.end();
});

t.test("a stored binding that would run in circles now, or whose address is another's, is not taken up", (t) => {
  const bench = new HomeAgentBench();
  const [record] = ofKind(bench.register(), "journal")
    .slice(-1)
    .map((effect) => effect.record);
  const binding = record?.["binding"] as Record<string, unknown>;
  const ends = { transport: "ip", encapsulation: "ip-in-ip" };
  for (const part of [
    { end: { ...ends, address: HA } },
    { end: { ...ends, address: OTHER_HOA } },
    { homeAddress: OTHER_HOA },
    { homeAddress: "192.0.2.77" },
  ]) {
    const other = new HomeAgentBench();
    const effects = other.step({
      kind: "restore",
      nodes: [{ record: { ...record, binding: { ...binding, ...part } }, ageSeconds: 0 }],
    });
    t.strictSame(kinds(effects), ["journal"], JSON.stringify(part));
    t.match(ofKind(effects, "journal"), [{ record: { binding: null, latest: {} } }]);
    t.equal(other.state.table.size, 0);
  }
  t.end();
});

t.test("another port of the same NAT is another end of the tunnel", (t) => {
  const bench = new HomeAgentBench();
  const udp = { kind: "udp-tunnel-request", forced: false, throughForeignAgent: false, encapsulation: 0 } as const;
  const from = (sourcePort: number) => bench.register({ extensions: [udp], arrival: { source: NAT, sourcePort } });
  from(61000);
  t.strictSame(events(from(61000)), ["binding.refreshed"]);
  const changed = from(61001);
  t.strictSame(events(changed), ["nat.changed"]);
  t.match(ofKind(changed, "data-path"), [
    { path: { egress: { port: 61001 }, ingress: [{ port: 61001 }, { port: 61000 }] } },
  ]);
  t.end();
});

t.test("while the journal can't be written nothing is promised, and bindings end all the same", (t) => {
  const bench = new HomeAgentBench();
  bench.register();
  bench.step({ kind: "storage", writable: false });
  const refused = bench.ask();
  t.equal(codeIn(refused), 130);
  t.match(ofKind(refused, "drop"), [{ reason: "journal-unwritable" }]);
  t.match(replyIn(bench.register({ lifetimeSeconds: 0 })).reply, { code: 1 });
  const silent = new HomeAgentBench({ journalFailure: "silent" });
  silent.step({ kind: "storage", writable: false });
  t.equal(ofKind(silent.ask(), "reply").length, 0);
  t.end();
});

t.test("every event that a state does not list is a bug", (t) => {
  const all = [
    "program",
    "refresh",
    "programmed",
    "refused",
    "narrow",
    "deregister",
    "removed",
    "end",
    "restore",
  ] as const;
  for (const [state, listed] of Object.entries(BINDING_STATES) as [keyof typeof BINDING_STATES, object][]) {
    for (const event of all) {
      if (event in listed) t.doesNotThrow(() => nextBindingState(state, event));
      else t.throws(() => nextBindingState(state, event), `${state} ${event}`);
    }
  }
  t.end();
});
