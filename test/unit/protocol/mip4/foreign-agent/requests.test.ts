/** Which requests a foreign agent relays, with which code it refuses the others, and what becomes of replies. */
import t from "tap";
import { IPV4_ANY, ipv4 } from "../../../../../controller/base/ip.js";
import { visitorPaths, visitorViews } from "../../../../../controller/protocol/mip4/foreign-agent/machine.js";
import type { RegistrationExtension } from "../../../../../controller/wire/mip4/extensions/registration.js";
import { REPLY_CODE_REGISTRY } from "../../../../../controller/wire/mip4/registry.js";
import {
  ALL_AGENTS,
  answered,
  COA,
  codeOf,
  dropsOf,
  ForeignAgentBench,
  HA,
  HA2,
  HOA,
  LINK,
  MAC,
  MOBILE_HOME,
  type Request,
  received,
  relayed,
} from "../../../../lib/mip4-foreign-agent.js";

const NOT_MADE = new Uint8Array(0);
const NAI: RegistrationExtension = {
  kind: "network-access-identifier",
  identifier: new TextEncoder().encode("roamer@example.org"),
};
const MOBILE_FOREIGN: RegistrationExtension = {
  kind: "mobile-foreign-authentication",
  spi: 300,
  authenticator: NOT_MADE,
};

/** The code, what is wrong, the request, the site. */
const REFUSED: readonly (readonly [number, string, Request, object?])[] = [
  [70, "a reserved bit", { flags: { reserved: true } }],
  [70, "nothing authorizes it", { extensions: [] }],
  [70, "the foreign agent's authentication does not", { extensions: [MOBILE_FOREIGN] }],
  [194, "no home agent", { homeAgent: IPV4_ANY }],
  [194, "we are no home agent", { homeAgent: COA }],
  [97, "nobody", { homeAddress: IPV4_ANY, source: IPV4_ANY }],
  [65, "our own address", { homeAddress: LINK, source: HOA }],
  [65, "no unicast", { homeAddress: ipv4("224.0.0.5"), source: HOA }],
  [69, "too long", { lifetimeSeconds: 601 }],
  [69, "without an end", { lifetimeSeconds: 0xffff }],
  [77, "somebody else's care-of address", { careOfAddress: ipv4("203.0.113.11") }],
  [77, "ours as the node's own", { flags: { decapsulatesItself: true } }],
  [72, "minimal encapsulation", { flags: { minimalEncapsulation: true } }],
  [72, "GRE", { flags: { gre: true } }],
  [79, "encapsulating delivery", { extensions: [MOBILE_HOME, { kind: "encapsulating-delivery" }] }],
  [79, "encapsulating delivery, in the wrong place", { extensions: [{ kind: "encapsulating-delivery" }, MOBILE_HOME] }],
  [76, "through a router", { timeToLive: 254 }],
  [75, "no reverse tunnel", { flags: { reverseTunnelling: false } }, { reverseTunnelling: "required" }],
  [74, "a reverse tunnel", {}, { reverseTunnelling: "refused" }],
  [105, "no challenge", {}, { challenge: true }],
  [66, "full", {}, { mostVisitors: 0 }],
];

t.test("what is wrong with a request, and the code of the answer", (t) => {
  for (const [code, what, request, site = {}] of REFUSED) {
    const bench = new ForeignAgentBench(site);
    const effects = bench.request({ low: 77, ...request });
    const told = answered(effects);
    t.equal(told?.reply.code, code, what);
    t.equal(bench.state.list.size + bench.state.list.pendingSize, 0, `${what}: nothing is kept`);
    t.equal(told?.reply.identification.low, 77);
    const { homeAddress = HOA } = request;
    t.equal(told?.to.destination, homeAddress === IPV4_ANY ? "255.255.255.255" : homeAddress);
    t.equal(told?.to.linkAddress, MAC);
    const lifetime = code === 69 ? 600 : 300;
    t.equal(told?.reply.lifetimeSeconds, lifetime, `${what}: as it asked, or how long it may be`);
  }
  t.end();
});

t.test("what is let pass: r, the group with TTL 1, the end of a registration elsewhere", (t) => {
  for (const request of [
    { flags: { reservedFormerlyCompression: true } },
    { destination: ALL_AGENTS, timeToLive: 1 },
    { destination: ipv4("192.0.2.255") },
    { lifetimeSeconds: 0, careOfAddress: HOA },
    { flags: { decapsulatesItself: true, gre: true }, careOfAddress: ipv4("192.0.2.77") },
  ]) {
    const effects = new ForeignAgentBench().request(request);
    t.equal(effects.filter(({ kind }) => kind === "send").length, 1);
    t.ok(relayed(effects));
  }
  t.end();
});

t.test("what is for others, or from nobody, is dropped without a word", (t) => {
  const bench = new ForeignAgentBench();
  t.strictSame(dropsOf(bench.request({ destination: ipv4("8.8.8.8") })), ["wrong-destination"]);
  t.strictSame(dropsOf(bench.request({ source: ipv4("127.0.0.1") })), ["wrong-source"]);
  t.strictSame(dropsOf(bench.request({ source: COA })), ["wrong-source"]);
  t.equal(bench.effects.filter(({ kind }) => kind === "send").length, 0);
  t.end();
});

t.test("octets up to the node's authentication travel as they are, padding too; what is behind it is for us", (t) => {
  const bench = new ForeignAgentBench({ homeAgents: [{ address: HA, spi: 900 }] });
  const effects = bench.request({ low: 5, extensions: [NAI, MOBILE_HOME, NAI] });
  const out = received(relayed(effects));
  t.strictSame(
    out.located.spans.map(({ extension: { kind } }) => kind),
    ["network-access-identifier", "mobile-home-authentication", "foreign-home-authentication"],
  );
  t.strictSame(out.verdicts, ["valid", "valid"]);
  const end = out.located.spans[1]?.end ?? 0;
  const padded = new Uint8Array([...out.octets.subarray(0, 24), 0, 0, ...out.octets.subarray(24, end)]);
  const again = new ForeignAgentBench().octets(padded);
  t.strictSame(relayed(again), padded);
  const last = new ForeignAgentBench({ homeAgents: [{ address: HA, spi: 900 }] }).request({ lifetimeSeconds: 0 });
  t.equal(received(relayed(last)).verdicts.length, 1, "the end of a registration is not signed (§3.7.2.2)");
  t.end();
});

t.test("a reply makes a visitor when the kernel has it, and the node hears of it then", (t) => {
  const bench = new ForeignAgentBench();
  bench.kernel = null;
  const asked = bench.request();
  t.equal(bench.state.list.size, 0);
  const [path, ...rest] = bench.reply(asked, { lifetimeSeconds: 200 });
  t.match(path, { kind: "data-path", path: { homeAddress: HOA, homeAgent: HA, linkAddress: MAC, number: 1 } });
  t.equal(rest.length, 0);
  const revision = path?.kind === "data-path" ? path.revision : 0;
  const done = bench.step({ kind: "programmed", visitor: `${HOA} ${HA}`, revision });
  t.strictSame(
    done.map(({ kind }) => kind),
    ["journal", "notify", "send"],
  );
  t.match(answered(done), { reply: { code: 0, lifetimeSeconds: 200 }, to: { destination: HOA, source: LINK } });
  t.match([...visitorViews(bench.state, bench.now)], [{ homeAddress: HOA, remainingSeconds: 200 }]);
  bench.wait(199);
  t.equal(bench.state.list.size, 1);
  bench.wait(2);
  t.equal(bench.state.list.size, 0, "and its time ends");
  t.match(bench.effects.at(-1), { kind: "notify", event: "visitor.expired" });
  t.end();
});

t.test("the kernel refuses: code 66; of a visitor that was there the former path stays", (t) => {
  const bench = new ForeignAgentBench();
  bench.kernel = { failure: "ENOMEM" };
  t.equal(codeOf(bench.register()), 66);
  t.equal(bench.state.list.size, 0);
  bench.kernel = {};
  bench.register();
  bench.kernel = { failure: "ENOMEM" };
  t.equal(codeOf(bench.register({ linkAddress: "02:00:00:00:00:02" })), 66);
  t.match([...visitorPaths(bench.state)], [{ linkAddress: MAC }]);
  bench.kernel = null;
  const asked = bench.request({ linkAddress: "02:00:00:00:00:03" });
  bench.reply(asked);
  t.equal(codeOf(bench.wait(4)), 66, "and silence is a refusal");
  t.end();
});

t.test("replies that are not believed", (t) => {
  const site = { homeAgents: [{ address: HA, spi: 900 }] };
  const signed: RegistrationExtension = { kind: "foreign-home-authentication", spi: 900, authenticator: NOT_MADE };
  const bench = new ForeignAgentBench();
  const asked = bench.request({ low: 9 });
  t.strictSame(dropsOf(bench.reply(asked, { identification: { high: 7, low: 10 } })), ["identification-mismatch"]);
  t.strictSame(dropsOf(bench.reply(asked, {}, HA2)), ["wrong-source"]);
  t.strictSame(dropsOf(bench.reply(asked, { homeAddress: ipv4("198.51.100.7") })), ["no-outstanding-request"]);
  t.strictSame(dropsOf(bench.reply(asked, { homeAgent: HA2 })), ["wrong-source"]);
  t.equal(bench.state.list.pendingSize, 1, "the request still waits");
  t.equal(codeOf(bench.reply(asked)), 0);
  t.strictSame(dropsOf(bench.reply(asked)), ["no-outstanding-request"], "once");
  for (const extensions of [[MOBILE_HOME], [MOBILE_HOME, signed, signed], [MOBILE_HOME, { ...signed, spi: 901 }]]) {
    const strict = new ForeignAgentBench(site);
    const effects = strict.reply(strict.request(), { extensions });
    t.equal(codeOf(effects), 68);
    t.equal(dropsOf(effects).length, 1);
    t.equal(strict.state.list.size, 0);
  }
  const strict = new ForeignAgentBench(site);
  const done = strict.reply(strict.request(), { extensions: [MOBILE_HOME, signed] });
  t.strictSame(
    answered(done)?.reply.extensions.map(({ kind }) => kind),
    ["mobile-home-authentication"],
  );
  const bare = new ForeignAgentBench();
  t.equal(codeOf(bare.reply(bare.request(), { extensions: [] })), 71);
  t.end();
});

t.test("a refusal and a lost answer change nothing of a visitor", (t) => {
  const bench = new ForeignAgentBench();
  bench.register();
  t.equal(codeOf(bench.reply(bench.request(), { code: 133, lifetimeSeconds: 0 })), 133);
  bench.request({ linkAddress: "02:00:00:00:00:09" });
  t.equal(codeOf(bench.wait(8)), 78);
  t.match([...visitorPaths(bench.state)], [{ linkAddress: MAC }]);
  bench.reply(bench.request({ lifetimeSeconds: 0 }));
  t.equal(bench.state.list.size, 0, "it has de-registered");
  t.end();
});

t.test("a home agent that is not there: 80, 81, 82, 88", (t) => {
  for (const [what, code] of [
    ["network", 80],
    ["host", 81],
    ["port", 82],
    ["other", 88],
  ] as const) {
    const bench = new ForeignAgentBench();
    bench.request({ low: 4 });
    t.strictSame(dropsOf(bench.step({ kind: "unreachable", homeAgent: HA, what, identification: 5 })), [
      "no-outstanding-request",
    ]);
    t.equal(codeOf(bench.step({ kind: "unreachable", homeAgent: HA, what, identification: 4 })), code);
  }
  t.end();
});

/** Codes of foreign agents (64 to 127, and 194) that ours has no cause for. */
const WITHOUT_CAUSE = {
  agentUnspecified: "each refusal has its reason",
  homeAddressRequired: "who has a name may be without an address (RFC 2794 §4)",
  missingHomeAgent: "194 says that (RFC 5944 §3.7.2)",
  missingHomeAddress: "of a home agent that lends none",
} as const;

t.test(
  "every code of a foreign agent has its cause, as an answer to a node that is new and to one that is there",
  (t) => {
    const UNASSIGNED = [73, 83, 84, 85, 86, 87, 89];
    const signed: RegistrationExtension = { kind: "foreign-home-authentication", spi: 901, authenticator: NOT_MADE };
    const waits = (bench: ForeignAgentBench) => bench.request({ low: 4 });
    const unreachable = (what: "network" | "host" | "port" | "other") => (bench: ForeignAgentBench) => {
      waits(bench);
      return bench.step({ kind: "unreachable", homeAgent: HA, what });
    };
    const challenge: RegistrationExtension = { kind: "mobile-foreign-challenge", challenge: Uint8Array.of(9, 9) };
    const challenging = { challenge: true, mobileNodes: [{ node: HOA, spi: 300 }] };
    const answering = { extensions: [MOBILE_HOME, challenge, MOBILE_FOREIGN] };
    type Cause = readonly [number, object, (bench: ForeignAgentBench) => ReturnType<ForeignAgentBench["request"]>];
    const causes: readonly Cause[] = [
      ...REFUSED.map(([code, , request, site = {}]): Cause => [code, site, (bench) => bench.request(request)]),
      [67, { mobileNodes: [{ node: HOA, spi: 300 }] }, (bench) => bench.request()],
      [
        68,
        { homeAgents: [{ address: HA, spi: 900 }] },
        (bench) => bench.reply(waits(bench), { extensions: [MOBILE_HOME, signed] }),
      ],
      [71, {}, (bench) => bench.reply(waits(bench), { extensions: [] })],
      [
        78,
        {},
        (bench) => {
          waits(bench);
          return bench.wait(7);
        },
      ],
      [80, {}, unreachable("network")],
      [81, {}, unreachable("host")],
      [82, {}, unreachable("port")],
      [88, {}, unreachable("other")],
      [104, challenging, (bench) => bench.request(answering)],
      [
        106,
        challenging,
        (bench) => {
          bench.state.challenges.use(MAC, Uint8Array.of(9, 9));
          return bench.request(answering);
        },
      ],
    ];
    const caused = new Set(causes.map(([code]) => code));
    for (const [code, site, cause] of causes) {
      const effects = cause(new ForeignAgentBench(site));
      t.equal(codeOf(effects), code);
      t.equal(
        answered(effects)?.reply.lifetimeSeconds,
        code === 69 ? 600 : 300,
        `${code}: the lifetime of the request`,
      );
      const bench = new ForeignAgentBench({
        ...site,
        homeAgents: [],
        mobileNodes: [],
        challenge: false,
        mostVisitors: 3,
      });
      if (![67, 68, 74, 75, 104, 105, 106].includes(code)) bench.register({ low: 1 });
      const before = [...visitorPaths(bench.state)];
      if (before.length > 0 && code !== 66) {
        t.equal(codeOf(cause(bench)), code);
        t.strictSame([...visitorPaths(bench.state)], before, `${code} changes nothing of who is there`);
      }
    }
    const isOurs = (code: number): boolean => (code >= 64 && code < 128) || code === 194;
    const unused = Object.entries(REPLY_CODE_REGISTRY).filter(([, { code }]) => isOurs(code) && !caused.has(code));
    t.strictSame(unused.map(([name]) => name).sort(), Object.keys(WITHOUT_CAUSE).sort());
    const known = new Set<number>(Object.values(REPLY_CODE_REGISTRY).map(({ code }) => code));
    for (const code of UNASSIGNED) t.notOk(known.has(code), `${code} means nothing (RFC 5944 §3.4)`);
    t.end();
  },
);

t.test("a visitor's registration is its home agent's and its own to change", (t) => {
  const views = (bench: ForeignAgentBench) =>
    [...visitorViews(bench.state, bench.now)].map(({ homeAgent }) => homeAgent);
  const bench = new ForeignAgentBench();
  bench.register();
  const refused = bench.request({ homeAgent: HA2 });
  t.equal(codeOf(refused), 65, "its addresses and a home agent that says yes are anybody's");
  t.strictSame(views(bench), [HA]);
  t.ok(relayed(bench.request({ homeAgent: HA2, lifetimeSeconds: 0 })), "an end changes nothing of another's");
  bench.reply(bench.request({ lifetimeSeconds: 0 }));
  bench.register({ homeAgent: HA2 });
  t.strictSame(views(bench), [HA2], "once it has de-registered");
  const race = new ForeignAgentBench();
  const [first, second] = [race.request(), race.request({ homeAgent: HA2 })];
  race.reply(first);
  t.equal(codeOf(race.reply(second)), 65, "who was accepted first stays");
  t.strictSame(views(race), [HA]);
  race.wait(301);
  t.equal(codeOf(race.register({ homeAgent: HA2 })), 0, "until its time ends");
  const known = new ForeignAgentBench({ mobileNodes: [{ node: HOA, spi: 300 }] });
  const extensions = [MOBILE_HOME, MOBILE_FOREIGN];
  known.register({ extensions });
  t.equal(codeOf(known.register({ extensions, homeAgent: HA2 })), 0, "a node that has proved who it is may change it");
  t.strictSame(views(known), [HA2]);
  t.end();
});

t.test("what a node has registered with is of no use in the mouth of another one, over a restart neither", (t) => {
  const other = { linkAddress: "02:00:00:00:00:66" };
  const bench = new ForeignAgentBench();
  bench.register({ low: 5 });
  // The home agent would say once more that it has accepted this one.
  t.strictSame(dropsOf(bench.request({ low: 5, ...other })), ["duplicate"]);
  t.ok(relayed(bench.request({ low: 5 })), "the node itself may");
  const records = bench.effects.flatMap((one) => (one.kind === "journal" && one.record !== null ? [one.record] : []));
  const next = new ForeignAgentBench();
  const [record = {}] = records.slice(-1);
  next.step({ kind: "restore", records: [{ record: JSON.parse(JSON.stringify(record)), ageSeconds: 1 }] });
  t.strictSame(dropsOf(next.request({ low: 5, ...other })), ["duplicate"]);
  t.ok(relayed(next.request({ low: 6, ...other })), "a new one tells the home agent who it is");
  const old = new ForeignAgentBench();
  old.step({ kind: "restore", records: [{ record: { ...record, accepted: undefined }, ageSeconds: 1 }] });
  t.equal(old.state.list.size, 1, "a journal of before");
  t.end();
});

t.test("requests that wait do not outlive a restart: the late answer is nobody's, and the node asks again", (t) => {
  const asked = new ForeignAgentBench().request({ low: 5 });
  const next = new ForeignAgentBench();
  t.strictSame(dropsOf(next.reply(asked)), ["no-outstanding-request"]);
  t.equal(codeOf(next.register({ low: 6 })), 0);
  t.end();
});

t.test("Mobile-Foreign authentication, where there is an association: checked, and made", (t) => {
  for (const node of [HOA, "726f616d6572406578616d706c652e6f7267"]) {
    const site = { mobileNodes: [{ node, spi: 300 }] };
    const ask = (extensions: readonly RegistrationExtension[]) =>
      new ForeignAgentBench(site).request({ extensions: [NAI, ...extensions] });
    const none = ask([MOBILE_HOME]);
    t.equal(codeOf(none), 67);
    t.equal(received(answered(none)?.octets ?? new Uint8Array(1)).verdicts[0], "valid", "our refusal is signed");
    t.equal(codeOf(ask([MOBILE_HOME, MOBILE_FOREIGN, MOBILE_FOREIGN])), 67);
    t.equal(codeOf(ask([MOBILE_HOME, { ...MOBILE_FOREIGN, spi: 301 }])), 67);
    const bench = new ForeignAgentBench(site);
    const asked = bench.request({ extensions: [NAI, MOBILE_HOME, MOBILE_FOREIGN] });
    t.equal(received(relayed(asked)).verdicts.length, 1, "ours goes no further");
    const done = bench.reply(asked);
    t.strictSame(received(answered(done)?.octets ?? new Uint8Array(1)).verdicts, ["valid", "valid"]);
  }
  t.end();
});

t.test("one denial a second for a node; others have theirs", (t) => {
  const bench = new ForeignAgentBench();
  const wrong = { lifetimeSeconds: 700 };
  t.equal(codeOf(bench.request(wrong)), 69);
  t.strictSame(dropsOf(bench.request(wrong)), ["rate-limited"]);
  t.equal(codeOf(bench.request({ ...wrong, linkAddress: "02:00:00:00:00:07" })), 69);
  bench.wait(1);
  t.equal(codeOf(bench.request(wrong)), 69);
  t.end();
});

t.test("requests that wait are bounded, in all and of one node; what another sends again takes nothing away", (t) => {
  const bench = new ForeignAgentBench();
  for (let i = 0; i < 5; i++) bench.request({ low: 1000 + i });
  t.equal(codeOf(bench.request({ low: 2000 })), 66);
  t.strictSame(dropsOf(bench.request({ low: 1000, linkAddress: "02:00:00:00:00:66" })), ["duplicate"]);
  t.ok(relayed(bench.request({ low: 1000 })), "sent again by itself it is relayed again");
  t.equal(bench.state.list.pendingSize, 5);
  t.end();
});

t.test("a node without an address: by its name, and the address it is lent", (t) => {
  const bench = new ForeignAgentBench();
  const asked = bench.request({ homeAddress: IPV4_ANY, source: IPV4_ANY, extensions: [NAI, MOBILE_HOME] });
  const done = bench.reply(asked, { homeAddress: HOA, extensions: [NAI, MOBILE_HOME] });
  t.match(answered(done), { to: { destination: HOA } });
  t.match([...visitorPaths(bench.state)], [{ visitor: `${HOA} ${HA}` }]);
  const other = bench.request({ homeAddress: IPV4_ANY, source: IPV4_ANY, extensions: [NAI, MOBILE_HOME] });
  t.match(
    answered(bench.reply(other, { homeAddress: ipv4("198.51.100.102") })),
    { reply: { code: 0 } },
    "no name in the reply",
  );
  t.end();
});

t.test("two visitors with one home address, of two home agents", (t) => {
  const bench = new ForeignAgentBench();
  bench.register();
  bench.register({ homeAgent: HA2, linkAddress: "02:00:00:00:00:02" });
  t.match(
    [...visitorPaths(bench.state)],
    [
      { homeAgent: HA, separate: false, number: 1, homeAgentNumber: 1 },
      { homeAgent: HA2, separate: true, number: 2, homeAgentNumber: 2 },
    ],
  );
  bench.reply(bench.request({ lifetimeSeconds: 0 }));
  bench.register({ homeAgent: HA2, linkAddress: "02:00:00:00:00:02" });
  t.match(
    [...visitorPaths(bench.state)],
    [{ homeAgent: HA2, separate: true, number: 2 }],
    "who is there stays as it is",
  );
  t.end();
});

t.test("a challenge is used once by each node, and only while it is known", (t) => {
  const site = { challenge: true, mobileNodes: [{ node: HOA, spi: 300 }] };
  const bench = new ForeignAgentBench(site);
  bench.step({ kind: "begin" });
  const heard = (): Uint8Array => {
    for (const effect of bench.wait(30).toReversed())
      if (effect.kind === "send" && effect.message.to === "link")
        for (const one of effect.message.advertisement.extensions) if (one.kind === "challenge") return one.challenge;
    throw new Error("no challenge");
  };
  const challenge = heard();
  const withIt = (one: Uint8Array): readonly RegistrationExtension[] => [
    MOBILE_HOME,
    { kind: "mobile-foreign-challenge", challenge: one },
    MOBILE_FOREIGN,
  ];
  const asked = bench.request({ extensions: withIt(challenge) });
  t.ok(relayed(bench.request({ extensions: withIt(challenge) })), "sent again, it is relayed again");
  const done = bench.reply(asked);
  const next = answered(done)?.reply.extensions.at(-2);
  t.equal(next?.kind, "mobile-foreign-challenge");
  bench.reply(bench.request({ extensions: withIt(challenge), low: 1 }));
  bench.wait(8);
  t.equal(codeOf(bench.request({ extensions: withIt(challenge) })), 106);
  t.equal(codeOf(bench.request({ extensions: withIt(Uint8Array.of(1, 2)), linkAddress: "02:00:00:00:00:05" })), 104);
  if (next?.kind !== "mobile-foreign-challenge") throw new Error("none");
  bench.wait(2);
  t.end();
});

t.test(
  "a challenge that nothing covers is discarded in silence; Mobile-Foreign authentication needs a key of ours, Mobile-AAA none",
  (t) => {
    const challenge: RegistrationExtension = { kind: "mobile-foreign-challenge", challenge: Uint8Array.of(1, 2, 3, 4) };
    const aaa: RegistrationExtension = { kind: "mobile-aaa-authentication", spi: 400, authenticator: NOT_MADE };
    const ask = (extensions: readonly RegistrationExtension[], more: Request = {}, site = {}) => {
      const bench = new ForeignAgentBench({ challenge: true, ...site });
      bench.state.challenges.advertised(Uint8Array.of(1, 2, 3, 4));
      return bench.request({ extensions: [NAI, ...extensions], ...more });
    };
    for (const extensions of [
      [MOBILE_HOME, challenge],
      [MOBILE_HOME, MOBILE_FOREIGN, challenge],
      [challenge, MOBILE_HOME],
    ])
      for (const more of [{}, { lifetimeSeconds: 0 }]) {
        const effects = ask(extensions, more);
        t.strictSame(dropsOf(effects), ["unauthenticated"]);
        t.equal(effects.length, 1);
      }
    t.equal(codeOf(ask([MOBILE_HOME, challenge, MOBILE_FOREIGN])), 67, "under no key of ours");
    const known = { mobileNodes: [{ node: HOA, spi: 300 }] };
    const out = received(relayed(ask([MOBILE_HOME, challenge, MOBILE_FOREIGN], {}, known)));
    t.notOk(out.located.spans.some(({ extension: { kind } }) => kind === "mobile-foreign-challenge"));
    const on = received(relayed(ask([MOBILE_HOME, challenge, aaa])));
    t.strictSame(
      on.located.spans.map(({ extension: { kind } }) => kind),
      [
        "network-access-identifier",
        "mobile-home-authentication",
        "mobile-foreign-challenge",
        "mobile-aaa-authentication",
      ],
      "both go on to the home agent",
    );
    t.ok(relayed(ask([MOBILE_HOME, challenge], {}, { challenge: false })), "who asks for none heeds none");
    t.end();
  },
);
