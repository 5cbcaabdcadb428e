/** Return routability at the mobile node: tests, update, renewal, movement, return, failure (RFC 6275 §5.2, §11.6, §11.7). */
import t from "tap";
import { ipv6 } from "../../../../../../controller/base/ip.js";
import { seq16 } from "../../../../../../controller/base/seq16.js";
import { seconds } from "../../../../../../controller/base/time.js";
import { findOption } from "../../../../../../controller/wire/mip6/options/mobility.js";
import { BindingErrorStatus, BindingStatus } from "../../../../../../controller/wire/mip6/registry.js";
import { CN, COA, COA2, COA4, HA, HOA, Node } from "./node.js";

const cookieOf = (node: Node, type: string): Uint8Array => {
  const found = node.sent.findLast(({ message }) => message.type === type)?.message;
  if (found?.type !== "home-test-init" && found?.type !== "care-of-test-init") throw new Error(`no ${type}`);
  return found.cookie;
};

t.test("a procedure: both tests together, the update with their nonces, and payload goes directly", (t) => {
  const node = new Node().at({ kind: "away", careOf: COA }).demand();
  t.strictSame(
    node.sent.map(({ message, source, departure }) => [message.type, source, departure.type]),
    [
      ["care-of-test-init", COA, "native-direct"],
      ["home-test-init", HOA, "native-direct"],
    ],
  );
  t.equal(node.path, undefined, "nothing is asked of the kernel before the tests have passed");
  node.passTests();
  t.match(node.path, { stage: "updating", careOf: COA, former: [] });
  const [sent] = node.sent;
  t.strictSame(sent?.departure, { type: "native-home-address-option", careOf: COA });
  t.strictSame(sent?.authorization?.careOf, COA);
  const update = node.update();
  t.match(findOption(update.options, "nonce-indices"), { homeNonceIndex: 7, careOfNonceIndex: 9 });
  t.equal(update.options.at(-1)?.kind, "binding-authorization-data");
  t.equal(update.lifetimeUnits, 105);
  t.notOk(update.flags.homeRegistration);
  node.acknowledge(update);
  t.match(node.path, { stage: "bound", careOf: COA });
  t.strictSame(node.events, [
    "correspondent.started",
    "correspondent.tested",
    "correspondent.tested",
    "correspondent.bound",
  ]);
  t.match(node.record, { correspondent: CN, careOf: COA, sequence: 1 });
  t.end();
});

t.test(
  "F6275-5.2.3-01 F6275-11.8-01: each test init has a cookie of its own; waits double; MAX_RO_FAILURE of them",
  (t) => {
    const node = new Node().at({ kind: "away", careOf: COA }).demand();
    const start = node.now;
    node.wait(3.5);
    const inits = node.took().filter(({ message }) => message.type === "care-of-test-init");
    const cookies = inits.map(({ message }) => (message.type === "care-of-test-init" ? message.cookie.join() : ""));
    t.equal(new Set(cookies).size, 3);
    node.wait(3);
    t.strictSame(node.types(), [], "no fourth one");
    t.equal(node.now - start, 6500);
    node.wait(1);
    t.strictSame(node.events.at(-1), "correspondent.failed");
    t.ok(node.silent.has(CN), "the kernel asks no more for a while");
    t.end();
  },
);

t.test(
  "F6275-5.2.9-01: after three failures payload goes by way of the home agent for a while, each time for longer",
  (t) => {
    const node = new Node().at({ kind: "away", careOf: COA }).demand().wait(8);
    node.took();
    t.equal(node.path, undefined);
    t.strictSame(node.demand().types(), []);
    node.wait(60);
    t.notOk(node.silent.has(CN));
    t.equal(node.effects.at(-1)?.kind, "ask-again");
    t.strictSame(node.demand().types(), ["care-of-test-init", "home-test-init"]);
    node.wait(8).took();
    node.wait(60).took();
    t.ok(node.silent.has(CN), "still");
    node.wait(60);
    t.notOk(node.silent.has(CN));
    t.end();
  },
);

t.test(
  "F6275-11.6.2-01: a Home Test counts only through the home agent's tunnel, to the home address, with its cookie",
  (t) => {
    const node = new Node().at({ kind: "away", careOf: COA }).demand();
    const cookie = cookieOf(node, "home-test-init");
    node.took();
    node.homeTest(cookie, { throughHomeAgent: false });
    node.homeTest(cookie, { destination: COA });
    node.homeTest(cookie, { source: HA });
    node.homeTest(new Uint8Array(8));
    node.homeTest(cookieOfCareOf(node));
    t.strictSame(node.drops, ["wrong-path", "wrong-path", "unexpected-type", "cookie-mismatch", "cookie-mismatch"]);
    t.notOk(node.events.includes("correspondent.tested"));
    node.homeTest(cookie);
    t.ok(node.events.includes("correspondent.tested"));
    node.homeTest(cookie);
    t.equal(node.drops.at(-1), "cookie-mismatch", "once only");
    t.end();
  },
);

function cookieOfCareOf(node: Node): Uint8Array {
  const cookie = [...node.state.entries.values()][0]?.careOfTest.cookies[0];
  if (cookie === undefined) throw new Error("no care-of test is under way");
  return cookie;
}

t.test("F6275-11.6.2-01: a Care-of Test counts only at the present care-of address, natively, with its cookie", (t) => {
  const node = new Node().at({ kind: "away", careOf: COA }).demand();
  const cookie = cookieOf(node, "care-of-test-init");
  node.careOfTest(cookie, { destination: COA2 });
  node.careOfTest(cookie, { destination: HOA, throughHomeAgent: true });
  node.careOfTest(cookie, { path: { type: "native", device: "up0", routingHeaderHomeAddress: HOA } });
  node.careOfTest(new Uint8Array(8));
  t.strictSame(node.drops, ["wrong-path", "wrong-path", "wrong-path", "cookie-mismatch"]);
  node.at({ kind: "away", careOf: COA2 }).careOfTest(cookie, { destination: COA });
  node.careOfTest(cookie, { destination: COA2 });
  t.strictSame(node.drops.slice(4), ["wrong-path", "cookie-mismatch"], "nor after a move");
  t.end();
});

t.test(
  "the path is in the kernel before the update leaves; what the kernel refuses goes by way of the home agent",
  (t) => {
    const node = new Node();
    node.obeys = false;
    node.at({ kind: "away", careOf: COA }).demand().passTests();
    t.strictSame(node.types(), []);
    node.give({ kind: "programmed", homeAddress: HOA, correspondent: CN, revision: 99 });
    t.strictSame(node.types(), [], "of another revision");
    node.give({ kind: "programmed", homeAddress: HOA, correspondent: CN, revision: 1, failure: "refused" });
    t.strictSame(node.types(), []);
    t.equal(node.path, undefined);
    t.equal(node.events.at(-1), "correspondent.failed");
    t.end();
  },
);

t.test(
  "F6275-5.2.7-02: both tokens are renewed before they are 210 s old, and payload goes on directly meanwhile",
  (t) => {
    const node = new Node().bind();
    node.wait(179);
    t.strictSame(node.types(), []);
    node.wait(1);
    t.strictSame(
      node.sent.map(({ message }) => message.type),
      ["care-of-test-init", "home-test-init"],
    );
    t.match(node.path, { stage: "bound" });
    node.passTests();
    const update = node.update();
    t.equal(update.sequence, 2);
    t.match(node.path, { stage: "bound" });
    node.acknowledge(update).wait(179);
    t.strictSame(node.types(), []);
    t.end();
  },
);

t.test(
  "while a binding holds, a home agent that is out of reach harms nothing; a direct way that carries nothing ends it",
  (t) => {
    const cut = new Node().bind().wait(180);
    cut.careOfTest(cookieOf(cut, "care-of-test-init"));
    cut.wait(60);
    t.match(cut.path, { stage: "bound" });
    cut.homeTest(cookieOf(cut, "home-test-init"));
    cut.acknowledge(cut.update());
    t.match(cut.path, { stage: "bound" });

    const dead = new Node().bind().wait(180);
    dead.homeTest(cookieOf(dead, "home-test-init"));
    dead.wait(8);
    t.equal(dead.events.at(-2), "correspondent.failed");
    t.match(dead.path, { stage: "receiving" });
    t.match(dead.took().at(-1)?.message, { type: "binding-update", lifetimeUnits: 0 }, "the home token takes it back");
    t.end();
  },
);

t.test("a binding that is not renewed ends with its lifetime, and payload goes by way of the home agent", (t) => {
  const node = new Node().bind().wait(419);
  t.match(node.path, { stage: "bound" });
  node.wait(2);
  t.not(node.path?.stage, "bound");
  t.ok(node.events.includes("correspondent.lost"));
  t.end();
});

t.test("C-40 movement: the home agent first; then the care-of test alone, for the home token still holds", (t) => {
  const node = new Node().bind();
  node.wait(20).took();
  node.at({ kind: "between" });
  t.match(node.path, { stage: "receiving", careOf: COA }, "payload goes by way of the home agent");
  t.strictSame(node.types(), []);
  node.at({ kind: "away", careOf: COA2 });
  t.strictSame(
    node.sent.map(({ message, source }) => [message.type, source]),
    [["care-of-test-init", COA2]],
  );
  t.match(node.path, { stage: "updating", careOf: COA2, former: [COA] }, "the former way in stays");
  node.passTests();
  t.strictSame(node.sent[0]?.departure, { type: "native-home-address-option", careOf: COA2 });
  node.acknowledge(node.update());
  t.match(node.path, { stage: "bound", careOf: COA2, former: [COA] });
  node.wait(4);
  t.match(node.path, { stage: "bound", careOf: COA2, former: [] }, "for the grace time");
  t.end();
});

t.test("F6275-5.2.7-02 movement with a home token of more than 205 s: both tests are made", (t) => {
  const node = new Node().bind().wait(208);
  node.took();
  node.at({ kind: "away", careOf: COA2 });
  t.strictSame(node.types(), ["care-of-test-init", "home-test-init"]);
  t.end();
});

t.test("F6275-5.2.5-02 return home: de-registration from the home address, with the home token alone", (t) => {
  const node = new Node().bind().wait(5);
  node.took();
  node.at({ kind: "home" });
  t.match(node.path, { stage: "receiving", careOf: COA });
  const [sent] = node.sent;
  t.strictSame(sent?.departure, { type: "native-direct" });
  t.equal(sent?.source, HOA);
  t.strictSame(Object.keys(sent?.authorization?.tokens ?? {}), ["home"]);
  t.equal(sent?.authorization?.careOf, HOA);
  const update = node.update();
  t.equal(update.lifetimeUnits, 0);
  node.acknowledge(update);
  node.wait(4);
  t.equal(node.path, undefined);
  t.equal(node.record, null);
  t.equal(node.state.entries.size, 0);
  t.end();
});

t.test("R5555-5.1-01 R5555-5.1-02: a network without IPv6 takes all bindings back, by way of the home agent", (t) => {
  const node = new Node().bind();
  node.took();
  node.at({ kind: "away", careOf: COA4 });
  const [sent] = node.sent;
  t.match(sent, { source: HOA, destination: CN, departure: { type: "native-direct" } });
  t.equal(node.update().lifetimeUnits, 0);
  t.match(node.path, { stage: "receiving" });
  node.demand();
  t.strictSame(node.types(), [], "R5555-2.4-02: and no test leaves");
  t.end();
});

t.test("R5555-2.4-02: nothing leaves in a network without IPv6, whoever is sent to", (t) => {
  t.strictSame(new Node().at({ kind: "away", careOf: COA4 }).demand().wait(100).types(), []);
  t.end();
});

t.test("an unanswered farewell is repeated, then the way in stays until the binding ends", (t) => {
  const node = new Node().bind();
  node.took();
  node.give({ kind: "forget", correspondent: CN }).wait(30);
  t.strictSame(node.types(), ["binding-update", "binding-update", "binding-update"]);
  t.match(node.path, { stage: "receiving" });
  node.wait(420);
  t.equal(node.path, undefined);
  t.end();
});

t.test("F6275-11.7.3-01: an acknowledgement without the right authenticator, or of no update, is ignored", (t) => {
  const node = new Node().at({ kind: "away", careOf: COA }).demand().passTests();
  const update = node.update();
  node.acknowledge(update, {}, { authorized: false });
  node.acknowledge(update, { sequence: 77 });
  node.acknowledge(update, {}, { destination: COA });
  t.strictSame(node.drops, ["authentication-failed", "sequence-mismatch", "wrong-destination"]);
  t.match(node.path, { stage: "updating" });
  node.acknowledge(update, {}, { authorized: ({ careOf }, at) => careOf !== undefined && at === COA });
  t.match(node.path, { stage: "bound" });
  t.end();
});

t.test("F6275-11.7.3-01: the lifetime is what remains of that asked for, less what the correspondent took off", (t) => {
  const node = new Node().at({ kind: "away", careOf: COA }).demand().passTests();
  const update = node.update();
  node.wait(0.5).acknowledge(update, { units: 25 });
  const binding = node.state.entries.get(CN)?.binding;
  t.equal((binding?.expiresAt ?? 0) - node.now, 99_500);
  t.equal(binding?.lifetime, 100);
  t.end();
});

t.test("F6275-11.7.3-02: an authenticated 135 gives the number, and the next update has the following one", (t) => {
  const node = new Node().at({ kind: "away", careOf: COA }).demand().passTests();
  const update = node.update();
  const outOfWindow = { status: BindingStatus.sequenceOutOfWindow, sequence: seq16(500) };
  node.acknowledge(update, outOfWindow, { authorized: false });
  t.strictSame(node.types(), []);
  node.acknowledge(update, outOfWindow);
  const next = node.update();
  t.equal(next.sequence, 501);
  t.match(node.acknowledge(next).path, { stage: "bound" });
  t.end();
});

t.test("136 to 138 make the tests again that they name, three times", (t) => {
  const cases = [
    [BindingStatus.expiredHomeNonceIndex, ["home-test-init"]],
    [BindingStatus.expiredCareOfNonceIndex, ["care-of-test-init"]],
    [BindingStatus.expiredNonces, ["care-of-test-init", "home-test-init"]],
  ] as const;
  for (const [status, expected] of cases) {
    const node = new Node().at({ kind: "away", careOf: COA }).demand().passTests();
    node.acknowledge(node.update(), { status }, { authorized: false });
    t.strictSame(
      node.sent.map(({ message }) => message.type),
      expected,
      `${status}`,
    );
    for (let i = 0; i < 2; i++) {
      node.wait(1).passTests();
      node.acknowledge(node.update(), { status }, { authorized: false });
    }
    node.wait(1).passTests();
    node.acknowledge(node.update(), { status }, { authorized: false });
    t.equal(node.events.at(-1), "correspondent.failed", `${status}, too often`);
  }
  t.end();
});

t.test("a refusal sends payload to the home agent for a while", (t) => {
  const node = new Node().at({ kind: "away", careOf: COA }).demand().passTests();
  node.acknowledge(node.update(), { status: BindingStatus.administrativelyProhibited });
  t.equal(node.path, undefined);
  t.ok(node.silent.has(CN));
  t.end();
});

const bindingError = (status: number, homeAddress = HOA) =>
  ({ type: "binding-error", status, homeAddress, options: [] }) as const;

t.test("F6275-11.3.6-01: a binding error with status 1 drops the entry; without one it is ignored", (t) => {
  const node = new Node().at({ kind: "away", careOf: COA });
  node.hears(bindingError(BindingErrorStatus.unknownBinding), { destination: COA });
  t.strictSame(node.drops, ["unexpected-type"]);
  node.bind();
  node.took();
  node.hears(bindingError(BindingErrorStatus.unknownBinding, HA), { destination: COA });
  node.hears(bindingError(BindingErrorStatus.unknownBinding), { destination: COA2 });
  t.match(node.path, { stage: "bound" });
  node.hears(bindingError(BindingErrorStatus.unknownBinding), { destination: COA });
  t.not(node.path?.stage, "bound");
  t.strictSame(
    node.sent.map(({ message }) => message.type),
    ["care-of-test-init", "home-test-init"],
  );
  node.passTests();
  t.match(node.acknowledge(node.update()).path, { stage: "bound" }, "and it is made anew");
  t.end();
});

t.test("F6275-11.3.6-01: who sends binding errors again and again is left to the home agent", (t) => {
  const node = new Node().bind();
  for (let i = 0; i < 3; i++) {
    node.hears(bindingError(BindingErrorStatus.unknownBinding), { destination: COA });
    if (i < 2) node.wait(1).passTests().acknowledge(node.update());
  }
  t.equal(node.events.at(-1), "correspondent.failed");
  t.match(
    node.path,
    { stage: "receiving", careOf: COA },
    "nobody has proved that it has forgotten: what it sends still comes in",
  );
  t.equal(node.record, null);
  node.wait(421);
  t.equal(node.path, undefined, "as long as its binding may last");
  t.end();
});

t.test("a binding error closes no way in: who forges one makes payload take the longer way, and no more", (t) => {
  const node = new Node().bind();
  node.hears(bindingError(BindingErrorStatus.unknownBinding), { destination: COA });
  t.match(node.path, { stage: "updating", careOf: COA });
  const leaving = new Node().bind().give({ kind: "forget", correspondent: CN });
  leaving.hears(bindingError(BindingErrorStatus.unknownBinding), { destination: COA }).wait(60);
  t.match(leaving.path, { stage: "receiving", careOf: COA });
  const held = new Node().bind().at({ kind: "between" });
  held.took();
  held.hears(bindingError(BindingErrorStatus.unknownBinding), { destination: COA }).wait(10);
  t.strictSame(held.types(), [], "nothing leaves from an address that is gone");
  t.end();
});

t.test("two moves within the grace time: the way in that stays is the one that the correspondent sends to", (t) => {
  // In the order of time, not of numbers.
  const third = ipv6("2001:db8:d::2");
  const node = new Node({ grace: seconds(60) }).bind();
  node.wait(1).at({ kind: "away", careOf: COA2 }).passTests();
  node.acknowledge(node.update()).at({ kind: "between" });
  t.match(node.path, { stage: "receiving", careOf: COA2, former: [COA] });
  node.at({ kind: "away", careOf: third });
  t.match(node.path, { stage: "updating", careOf: third, former: [COA2, COA] });
  node.passTests();
  node.acknowledge(node.update());
  t.match(node.path, { stage: "bound", careOf: third, former: [COA2, COA] });
  const other = new Node({ grace: seconds(60) }).at({ kind: "away", careOf: COA2 }).demand().passTests();
  other.acknowledge(other.update()).wait(1).at({ kind: "away", careOf: COA }).passTests();
  other.acknowledge(other.update()).at({ kind: "away", careOf: third });
  t.match(other.path, { stage: "updating", careOf: third, former: [COA, COA2] });
  t.end();
});

t.test(
  "F6275-11.3.5-01: a Parameter Problem, or a binding error with status 2, marks the correspondent for long",
  (t) => {
    const asked = () => new Node().at({ kind: "away", careOf: COA }).demand();
    const nodes = [
      asked().give({ kind: "unsupported", homeAddress: HOA, correspondent: CN }),
      asked().hears(bindingError(BindingErrorStatus.unknownMessageType), { destination: COA }),
    ];
    for (const node of nodes) {
      node.took();
      t.ok(node.silent.has(CN));
      node.wait(3599).demand();
      t.strictSame(node.types(), []);
    }
    const bound = new Node().bind().give({ kind: "unsupported", homeAddress: HOA, correspondent: CN });
    t.match(bound.path, { stage: "bound" }, "one that has accepted a binding knows mobility messages");
    t.end();
  },
);

t.test(
  "a refresh request makes an update at once, with tokens that still hold; but not for who just had one, nor without payload",
  (t) => {
    const request = { type: "binding-refresh-request", options: [] } as const;
    const node = new Node().bind();
    node.took();
    t.strictSame(node.hears(request).types(), []);
    node.wait(100).used(1).hears(request);
    node.acknowledge(node.update());
    const idle = new Node({ idle: 50 as never }).bind();
    idle.took();
    idle.wait(100).hears(request);
    t.equal(idle.update().lifetimeUnits, 0);
    t.end();
  },
);
