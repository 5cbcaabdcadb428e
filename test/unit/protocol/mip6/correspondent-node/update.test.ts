/** What a correspondent answers to binding updates. */
import t from "tap";
import { type Ipv6Address, ipv6 } from "../../../../../controller/base/ip.js";
import { seq16 } from "../../../../../controller/base/seq16.js";
import { seconds } from "../../../../../controller/base/time.js";
import { correspondentPaths } from "../../../../../controller/protocol/mip6/correspondent-node/machine.js";
import { bindingUpdateFlags } from "../../../../../controller/wire/mip6/messages/registration.js";
import {
  acknowledgements,
  answers,
  arrivalFrom,
  COA,
  CorrespondentWorld,
  drops,
  events,
  HOA,
  OTHER_COA,
  SELF,
  sends,
} from "../../../../lib/correspondent-node.js";

const paths = (world: CorrespondentWorld) =>
  [...correspondentPaths(world.state)].map(({ homeAddress, ipv6, former }) => [homeAddress, ipv6?.careOf, [...former]]);

t.test("a proved update is acknowledged when the kernel has the path", (t) => {
  const world = new CorrespondentWorld();
  world.kernel = "is silent";
  const effects = world.bind(1);
  t.strictSame([answers(effects), paths(world)], [[], [[HOA, COA, []]]]);
  const revision = [...correspondentPaths(world.state)][0]?.revision ?? 0;
  const told = world.give({ kind: "programmed", homeAddress: HOA, self: SELF, revision });
  t.strictSame([answers(told), events(told)], [["0/1/420+"], ["binding.accepted"]]);
  t.match(told, [{ kind: "journal", record: { careOf: COA, sequence: 1 } }]);
  t.end();
});

t.test("a kernel that refuses or is silent is status 130, and what was there stays", (t) => {
  const world = new CorrespondentWorld();
  world.kernel = "refuses";
  t.strictSame(answers(world.bind(1)), ["130/1/0+"]);
  t.strictSame(paths(world), []);
  world.kernel = "takes";
  world.bind(2);
  world.kernel = "is silent";
  t.strictSame(answers(world.bind(3, HOA, OTHER_COA)), []);
  world.pass(3);
  t.strictSame(answers(world.give({ kind: "timer" })), ["130/3/0+"]);
  t.strictSame(paths(world), [[HOA, COA, []]]);
  t.end();
});

t.test("F6275-5.2.6-01 F6275-9.5.2-01: never more than 420 s, nor than was asked for, and then it is over", (t) => {
  const world = new CorrespondentWorld();
  t.strictSame(answers(world.bind(1, HOA, COA, 262_140)), ["0/1/420+"]);
  t.strictSame(answers(world.bind(2, HOA, COA, 60)), ["0/2/60+"]);
  world.pass(60);
  t.match(world.give({ kind: "timer" }), [
    { kind: "data-path-removed", homeAddress: HOA },
    { kind: "journal", record: null },
    { kind: "notify", event: { event: "binding.expired" } },
  ]);
  t.strictSame(paths(world), []);
  const generous = new CorrespondentWorld({ maximumLifetime: seconds(4000) });
  t.strictSame(answers(generous.bind(1, HOA, COA, 4000)), ["0/1/420+"]);
  const strict = new CorrespondentWorld({ maximumLifetime: seconds(40) });
  t.strictSame(answers(strict.bind(1)), ["0/1/40+"]);
  t.end();
});

t.test("F6275-9.5.1-04 F6275-5.2.2-01: unknown nonces are 136, 137 and 138, without authenticator", (t) => {
  const world = new CorrespondentWorld();
  const { home, careOfToken } = world.tokens();
  const unknown = { index: 4711, token: home.token };
  t.strictSame(answers(world.update({ home: unknown, careOfToken, sequence: 1 })), ["136/1/0"]);
  t.strictSame(answers(world.update({ home, careOfToken: unknown, sequence: 1 })), ["137/1/0"]);
  t.strictSame(answers(world.update({ home: unknown, careOfToken: unknown, sequence: 1, acknowledge: false })), [
    "138/1/0",
  ]);
  world.pass(240.5);
  t.strictSame(answers(world.update({ home, careOfToken, sequence: 1 })), ["138/1/0"], "too old");
  t.equal(world.state.cache.size, 0);
  t.end();
});

t.test("F6275-9.5.1-01 F6275-9.5.1-02: a number that is not after the last is 135 with the last one", (t) => {
  const world = new CorrespondentWorld();
  world.bind(15);
  const tokens = world.tokens();
  const answered = (sequence: number): readonly string[] =>
    answers(world.update({ ...tokens, sequence, acknowledge: false }));
  for (const old of [15, 14, 0, 32_783, 65_535]) t.strictSame(answered(old), ["135/15/0+"], String(old));
  t.strictSame(answered(32_782), [], "taken, and no answer was asked for");
  t.strictSame(answered(13), [], "that is after it again");
  t.end();
});

t.test("F6275-9.5.1-05: without nonce indices, without authenticator, or with a wrong one there is silence", (t) => {
  const world = new CorrespondentWorld();
  const tokens = world.tokens();
  const indices = {
    kind: "nonce-indices",
    homeNonceIndex: tokens.home.index,
    careOfNonceIndex: tokens.careOfToken.index,
  } as const;
  const authenticator = { kind: "binding-authorization-data", authenticator: new Uint8Array(12) } as const;
  const cases: readonly (readonly [string, Parameters<typeof world.update>[0], string])[] = [
    ["no indices", { ...tokens, sequence: 1, options: [authenticator] }, "authorization-missing"],
    ["no authenticator", { ...tokens, sequence: 1, options: [indices] }, "authorization-missing"],
    [
      "another lifetime",
      { ...tokens, sequence: 1, tamper: (octets) => octets.fill(9, 10, 12) },
      "authentication-failed",
    ],
    ["another number", { ...tokens, sequence: 1, tamper: (octets) => octets.fill(9, 6, 8) }, "authentication-failed"],
    ["tokens of others", { ...world.tokens(ipv6("2001:db8:1::99"), COA), sequence: 1 }, "authentication-failed"],
    ["the token of another care-of address", { ...world.tokens(HOA, OTHER_COA), sequence: 1 }, "authentication-failed"],
  ];
  for (const [what, choices, reason] of cases) {
    const effects = world.update(choices);
    t.strictSame([sends(effects), drops(effects)], [[], [reason]], what);
  }
  t.equal(world.state.cache.size, 0);
  t.end();
});

t.test(
  "F6275-6.1.7-02 F6275-9.5.1-06: care-of addresses that nobody can have, and the Alternate Care-of Address",
  (t) => {
    const world = new CorrespondentWorld();
    for (const careOf of ["fe80::1", "ff02::1", "::1", "::ffff:192.0.2.1"].map(ipv6)) {
      const tokens = { home: world.test("home-test-init", HOA), careOfToken: world.test("care-of-test-init", COA) };
      const effects = world.update({ ...tokens, careOf, wireSource: COA, sequence: 1 });
      t.strictSame([sends(effects), drops(effects)], [[], ["care-of-not-unicast"]], careOf);
    }
    const effects = world.update({ ...world.tokens(HOA, OTHER_COA), careOf: OTHER_COA, wireSource: COA, sequence: 1 });
    t.strictSame(paths(world), [[HOA, OTHER_COA, []]]);
    t.match(acknowledgements(effects), [{ status: 0, effect: { departure: { type: "native-routed", careOf: COA } } }]);
    t.end();
  },
);

t.test(
  "F6275-9.5.4-01: the answer goes through a type 2 routing header if there was a Home Address option, else not",
  (t) => {
    const world = new CorrespondentWorld();
    t.match(acknowledgements(world.bind(1)), [
      { effect: { destination: HOA, departure: { type: "native-routed", careOf: COA } } },
    ]);
    const home = world.test("home-test-init", HOA);
    const atHome = world.update({ home, careOf: HOA, sequence: 2, seconds: 0 });
    t.match(acknowledgements(atHome), [
      { status: 0, effect: { destination: HOA, departure: { type: "native-direct" } } },
    ]);
    t.end();
  },
);

t.test(
  "F6275-5.2.5-02 F6275-5.2.8-01: a deletion needs the home token alone, and its number is known while nonces are",
  (t) => {
    const world = new CorrespondentWorld();
    const tokens = world.tokens();
    world.update({ ...tokens, sequence: 7 });
    const ended = world.update({ home: tokens.home, careOf: COA, sequence: 8, seconds: 0 });
    t.strictSame([answers(ended), paths(world)], [["0/8/0+"], []]);
    t.strictSame(answers(world.update({ ...tokens, sequence: 7 })), ["135/8/0+"], "played back");
    t.strictSame(paths(world), []);
    world.pass(240.1);
    world.give({ kind: "timer" });
    t.equal(world.state.cache.size, 0);
    t.strictSame(answers(world.update({ ...tokens, sequence: 7 })), ["138/7/0"], "now its nonces are void");
    t.end();
  },
);

t.test("F6275-5.2.8-01: a deletion that overtakes its update makes that one old", (t) => {
  const world = new CorrespondentWorld();
  const tokens = world.tokens();
  t.strictSame(answers(world.update({ home: tokens.home, sequence: 8, seconds: 0 })), ["0/8/0+"]);
  t.strictSame(answers(world.update({ ...tokens, sequence: 7 })), ["135/8/0+"]);
  t.end();
});

t.test("a deletion is acknowledged when the kernel has let go", (t) => {
  const world = new CorrespondentWorld();
  world.bind(1);
  world.kernel = "is silent";
  const home = world.test("home-test-init", HOA);
  t.strictSame(answers(world.update({ home, sequence: 2, seconds: 0 })), []);
  t.strictSame(drops(world.update({ home, sequence: 2, seconds: 0 })), ["duplicate"]);
  const revision = [...world.effects].reverse().find((effect) => effect.kind === "data-path-removed")?.revision ?? 0;
  t.strictSame(answers(world.give({ kind: "programmed", homeAddress: HOA, self: SELF, revision })), ["0/2/0+"]);
  t.end();
});

t.test("a movement leaves the former care-of address known for a while", (t) => {
  const world = new CorrespondentWorld();
  world.bind(1);
  t.strictSame(events(world.bind(2, HOA, OTHER_COA)), ["binding.moved"]);
  t.strictSame(paths(world), [[HOA, OTHER_COA, [COA]]]);
  world.pass(3);
  world.give({ kind: "timer" });
  t.strictSame(paths(world), [[HOA, OTHER_COA, []]]);
  t.end();
});

t.test("what a node sent before it moved brings no binding error while its former address is known", (t) => {
  const world = new CorrespondentWorld();
  world.bind(1);
  world.bind(2, HOA, OTHER_COA);
  const late = () =>
    world.give({ kind: "option-refused", source: COA, destination: SELF, homeAddress: HOA, protocol: 17 });
  const held = late();
  t.same([sends(held).length, drops(held)], [0, ["unknown-binding"]]);
  world.pass(4);
  t.equal(sends(late()).length, 1, "then it is nobody's any more");
  t.end();
});

t.test(
  "while the kernel is being asked, neither the former nor the coming care-of address brings a binding error",
  (t) => {
    const world = new CorrespondentWorld();
    const refused = (source: Ipv6Address) =>
      sends(world.give({ kind: "option-refused", source, destination: SELF, homeAddress: HOA, protocol: 17 })).length;
    world.kernel = "is silent";
    world.bind(1);
    t.equal(refused(COA), 0, "of a node that did not wait for an acknowledgement");
    t.equal(refused(OTHER_COA), 1, "somebody else's");
    const revision = [...correspondentPaths(world.state)][0]?.revision ?? 0;
    world.give({ kind: "programmed", homeAddress: HOA, self: SELF, revision });
    world.bind(2, HOA, OTHER_COA);
    t.strictSame([refused(COA), refused(OTHER_COA)], [0, 0]);
    world.pass(3);
    world.give({ kind: "timer" });
    t.equal(refused(OTHER_COA), 1, "the kernel did not take it");
    t.end();
  },
);

t.test("a binding that its node has ended does not come back when the kernel refuses the next one", (t) => {
  const world = new CorrespondentWorld();
  world.bind(1);
  world.kernel = "is silent";
  const tokens = world.tokens(HOA, OTHER_COA);
  world.update({ home: tokens.home, sequence: 2, seconds: 0 });
  const again = world.update({ ...tokens, careOf: OTHER_COA, sequence: 3 });
  t.strictSame([answers(again), events(again)], [["0/2/0+"], ["binding.removed"]]);
  t.strictSame(paths(world), [[HOA, OTHER_COA, []]]);
  world.pass(3);
  t.strictSame(answers(world.give({ kind: "timer" })), ["130/3/0+"]);
  t.strictSame(paths(world), []);
  t.equal([...world.effects].reverse().find((effect) => effect.kind === "journal")?.record, null);
  t.end();
});

t.test("a refresh changes nothing in the kernel", (t) => {
  const world = new CorrespondentWorld();
  world.bind(1);
  const effects = world.bind(2);
  t.strictSame([answers(effects), events(effects)], [["0/2/420+"], ["binding.refreshed"]]);
  t.notOk(effects.some(({ kind }) => kind === "data-path"));
  t.end();
});

t.test("F6275-9.5.1-03: home registrations are refused here, and bindings of a home agent are not touched", (t) => {
  const world = new CorrespondentWorld({ isHomeRegistration: (address) => address === ipv6("2001:db8:1::77") });
  const home = (homeAddress: Ipv6Address) =>
    world.give({
      kind: "update",
      arrival: arrivalFrom(homeAddress, COA),
      message: {
        type: "binding-update",
        ...{ sequence: seq16(9), lifetimeUnits: 10, options: [] },
        flags: bindingUpdateFlags({ acknowledge: true, homeRegistration: true }),
      },
    });
  t.strictSame(answers(home(HOA)), ["131/9/0"]);
  world.bind(1);
  t.strictSame(answers(home(HOA)), ["139/9/0"]);
  t.strictSame(paths(world), [[HOA, COA, []]], "unchanged");
  t.strictSame(answers(world.bind(1, ipv6("2001:db8:1::77"))), ["139/1/0+"]);
  t.end();
});

t.test("who is not allowed any more is told so (129), and its binding may end", (t) => {
  const world = new CorrespondentWorld();
  const denying = new CorrespondentWorld({ allow: [] });
  // The same key and nonce in both.
  const careOfToken = denying.test("care-of-test-init", COA);
  world.test("care-of-test-init", COA);
  const home = world.test("home-test-init", HOA);
  t.strictSame(answers(denying.update({ home, careOfToken, sequence: 1 })), ["129/1/0+"]);
  t.strictSame(answers(denying.update({ home, careOfToken, sequence: 2, seconds: 0 })), ["0/2/0+"]);
  t.strictSame(paths(denying), []);
  t.end();
});

t.test("when it is full a newcomer is refused, or the oldest gives way", (t) => {
  const address = (i: number): Ipv6Address => ipv6(`2001:db8:1::${i.toString(16)}`);
  const strict = new CorrespondentWorld();
  for (let i = 1; i <= 10; i++) strict.bind(1, address(i));
  t.strictSame(answers(strict.bind(1, address(11))), ["130/1/0+"]);
  t.strictSame(answers(strict.bind(2, address(1))), ["0/2/420+"], "who is there is refreshed");
  const lenient = new CorrespondentWorld({ whenFull: "oldest" });
  for (let i = 1; i <= 10; i++) lenient.bind(1, address(i));
  lenient.bind(2, address(1));
  t.strictSame(answers(lenient.bind(1, address(11))), ["0/1/420+"]);
  t.strictSame(
    paths(lenient).map(([homeAddress]) => homeAddress),
    [1, 3, 4, 5, 6, 7, 8, 9, 10, 11].map(address),
  );
  t.end();
});

t.test("numbers of ended bindings are remembered of so many and no more", (t) => {
  const world = new CorrespondentWorld();
  for (let i = 1; i <= 30; i++) {
    const homeAddress = ipv6(`2001:db8:1::${i.toString(16)}`);
    const home = world.test("home-test-init", homeAddress);
    world.update({ homeAddress, home, sequence: 1, seconds: 0 });
  }
  t.equal(world.state.cache.size, 20);
  t.strictSame(answers(world.bind(1, ipv6("2001:db8:1::77"))), ["130/1/0+"]);
  world.pass(241);
  world.give({ kind: "timer" });
  t.strictSame(answers(world.bind(1, ipv6("2001:db8:1::77"))), ["0/1/420+"]);
  t.end();
});

t.test("F6275-9.5.5-01: a node whose binding is in use and about to end is asked to refresh it, until it does", (t) => {
  const world = new CorrespondentWorld();
  world.bind(1);
  world.pass(360);
  t.match(world.give({ kind: "timer" }), [{ kind: "ask-use", homeAddress: HOA }]);
  t.strictSame(
    sends(world.give({ kind: "used", family: "ipv6", homeAddress: HOA, self: SELF, agoSeconds: 61 })),
    [],
    "not in use",
  );
  const asked = sends(world.give({ kind: "used", family: "ipv6", homeAddress: HOA, self: SELF, agoSeconds: 1 }));
  t.match(asked, [{ message: { type: "binding-refresh-request" }, destination: HOA }]);
  world.pass(30);
  t.match(world.give({ kind: "timer" }), [{ kind: "ask-use" }], "half of what was left has gone by");
  world.bind(2);
  world.pass(20);
  t.strictSame(world.give({ kind: "timer" }), []);
  t.end();
});

t.test("F6275-9.2-02 F6275-9.3.1-01: binding errors, limited in rate", (t) => {
  const world = new CorrespondentWorld();
  const refused = () =>
    world.give({ kind: "option-refused", source: COA, destination: SELF, homeAddress: HOA, protocol: 17 });
  t.match(sends(refused()), [{ message: { type: "binding-error", status: 1, homeAddress: HOA }, destination: COA }]);
  t.match(
    sends(
      world.give({
        kind: "message",
        arrival: arrivalFrom(HOA, COA),
        message: { type: "unknown", mhType: 77, body: new Uint8Array(2) },
      }),
    ),
    [{ message: { type: "binding-error", status: 2, homeAddress: HOA }, destination: COA }],
  );
  for (let i = 0; i < 20; i++) refused();
  t.strictSame(drops(refused()), ["rate-limited"]);
  t.end();
});

t.test("what the journal has kept goes on, as far as it is allowed still", (t) => {
  const world = new CorrespondentWorld();
  world.bind(4);
  const record = [...world.effects].reverse().find((effect) => effect.kind === "journal")?.record ?? {};
  const later = new CorrespondentWorld();
  const effects = later.give({ kind: "restore", records: [{ record, ageSeconds: 20 }] });
  t.match(effects, [
    { kind: "data-path", path: { homeAddress: HOA, self: SELF, ipv6: { careOf: COA } } },
    { kind: "notify" },
  ]);
  t.equal(later.state.cache.get({ homeAddress: HOA, self: SELF }, "ipv6")?.sequence, 4);
  t.strictSame(answers(later.bind(5)), ["0/5/420+"]);
  const denied = new CorrespondentWorld({ allow: [] });
  t.match(denied.give({ kind: "restore", records: [{ record, ageSeconds: 20 }] }), [{ kind: "journal", record: null }]);
  t.strictSame(paths(denied), []);
  t.strictSame(denied.give({ kind: "restore", records: [{ record: { kind: "x" }, ageSeconds: 1 }] }), []);
  const old = new CorrespondentWorld();
  old.give({ kind: "restore", records: [{ record, ageSeconds: 421 }] });
  t.strictSame(paths(old), []);
  t.end();
});

t.test("who plays its own updates back is refused each time, and makes no more than a few events of it", (t) => {
  const world = new CorrespondentWorld();
  const tokens = world.tokens();
  world.update({ ...tokens, sequence: 9 });
  const again = () => world.update({ ...tokens, sequence: 9 });
  const all = Array.from({ length: 60 }, again);
  t.ok(all.every((effects) => answers(effects).join() === "135/9/0+"));
  t.equal(all.flatMap(events).filter((event) => event === "binding.rejected").length, 50);
  t.strictSame(drops(all.at(-1) ?? []), ["rate-limited"]);
  world.pass(1);
  t.strictSame(events(again()), ["binding.rejected"]);
  t.end();
});
