/** Which correspondents are worth a direct path, how long it stays, what of it survives. */
import t from "tap";
import { ipv6 } from "../../../../../../controller/base/ip.js";
import { seconds } from "../../../../../../controller/base/time.js";
import { CN, COA, COA2, HA, HOA, Node } from "./node.js";

const AWAY = { kind: "away", careOf: COA } as const;
const TESTS = ["care-of-test-init", "home-test-init"];
const kinds = (node: Node): readonly string[] => node.effects.splice(0).map(({ kind }) => kind);

t.test("the operator's prefixes decide; the home agent, groups and neighbours are never correspondents", (t) => {
  const node = new Node().at(AWAY);
  for (const one of ["2001:db8:dead::1", HA, HOA, "ff0e::1", "fe80::1", "::1"]) node.demand(ipv6(one));
  t.strictSame(node.types(), []);
  t.equal(node.silent.size, 6, "the kernel is told not to ask");
  t.strictSame(node.demand().types(), TESTS);
  const nobody = new Node({ allow: [] }).at(AWAY).demand();
  t.strictSame(nobody.types(), []);
  t.end();
});

t.test("a flow of the minimum age: a second question begins, the first one alone does not", (t) => {
  const node = new Node({ minimumAge: seconds(5) }).at(AWAY).demand();
  t.strictSame(node.types(), []);
  t.strictSame(node.wait(2).demand().types(), [], "too early");
  kinds(node);
  node.wait(3);
  t.match(node.effects, [{ kind: "ask-again", homeAddress: HOA, unanswered: [CN] }]);
  node.effects.splice(0);
  t.strictSame(node.types(), []);
  t.strictSame(node.demand().types(), TESTS);
  const short = new Node({ minimumAge: seconds(5) }).at(AWAY).demand().wait(70);
  t.equal(short.state.candidates.size, 0, "a flow that was over is forgotten");
  t.end();
});

t.test("no more than the maximum, and who comes later is asked about again", (t) => {
  const node = new Node({ maximum: 1 }).at(AWAY).demand();
  node.took();
  const other = ipv6("2001:db8:c::3");
  t.strictSame(node.demand(other).types(), []);
  t.ok(node.silent.has(other));
  node.wait(31);
  t.notOk(node.silent.has(other));
  t.match(node.effects.at(-1), { kind: "ask-again", unanswered: [other] });
  t.end();
});

t.test("what is remembered of correspondents without a path is bounded", (t) => {
  const node = new Node({ allow: [], minimumAge: seconds(1) }).at(AWAY);
  for (let i = 0; i < 400; i++) node.demand(ipv6(`2001:db8:c:1::${i.toString(16)}`));
  t.equal(node.state.pauses.size, 256);
  t.equal(node.silent.size, 256);
  const flood = new Node({ minimumAge: seconds(1) }).at(AWAY);
  for (let i = 0; i < 400; i++) flood.demand(ipv6(`2001:db8:c:1::${i.toString(16)}`));
  t.equal(flood.state.candidates.size, 256);
  flood.effects.splice(0);
  for (let i = 0; i < 100; i++) flood.wait(0.003).demand(ipv6(`2001:db8:c:2::${i.toString(16)}`));
  const asked = flood.wait(2).effects.filter(({ kind }) => kind === "ask-again");
  t.ok(asked.length <= 4, `asked about together, ${asked.length} times`);
  t.end();
});

t.test("a direct path that carries nothing is given up after the idle time", (t) => {
  const node = new Node().bind();
  node.took();
  kinds(node);
  node.wait(30);
  t.strictSame(kinds(node), ["ask-usage"]);
  node.used(2).wait(115).used(100);
  t.match(node.path, { stage: "bound" });
  node.wait(20).used(125);
  t.match(node.path, { stage: "receiving" });
  const farewell = node.update();
  t.equal(farewell.lifetimeUnits, 0);
  node.acknowledge(farewell).wait(4);
  t.equal(node.path, undefined);
  t.equal(node.effects.at(-1)?.kind, "ask-again", "a connected socket is not told that the path is gone");
  t.end();
});

t.test("updates out and their answers in are counted, for the kernel counts them with payload", (t) => {
  const node = new Node().bind();
  const messages = (): number | undefined => node.state.pairs.get(CN)?.messages;
  t.equal(messages(), 2);
  node.took();
  node.wait(180).passTests();
  t.equal(messages(), 3);
  node.give({ kind: "forget", correspondent: CN });
  t.equal(messages(), 3, "what takes a binding back has no header");
  t.end();
});

t.test("a journal's record goes on with the path; the addresses are proved anew, for tokens are not written", (t) => {
  const before = new Node().bind();
  const { record } = before;
  if (record === null) throw new Error("nothing was written");
  t.notMatch(JSON.stringify(record), /token/i);
  const node = new Node().give({ kind: "restore", record, ageSeconds: 20 }).at({ kind: "between", careOf: COA });
  t.match(node.path, { stage: "bound", careOf: COA });
  t.strictSame(node.types(), []);
  node.at(AWAY);
  t.match(node.path, { stage: "bound" });
  node.passTests();
  t.equal(node.update().sequence, 2, "numbers go on");

  const moved = new Node().give({ kind: "restore", record, ageSeconds: 20 }).at({ kind: "away", careOf: COA2 });
  t.match(moved.path, { stage: "updating", careOf: COA2, former: [COA] });
  for (const bad of [
    {},
    { ...record, careOf: 1 },
    { ...record, remainingSeconds: Number.NaN },
    { ...record, sequence: "x" },
  ])
    t.equal(new Node().give({ kind: "restore", record: bad, ageSeconds: 0 }).state.entries.size, 0);
  t.equal(new Node().give({ kind: "restore", record, ageSeconds: 421 }).state.entries.size, 0);
  const unwanted = new Node({ allow: [] }).give({ kind: "restore", record, ageSeconds: 20 }).at(AWAY);
  t.match(unwanted.path, { stage: "receiving" }, "of one that the policy does not allow any more it is taken back");
  t.strictSame(unwanted.types(), ["home-test-init"]);
  t.end();
});

t.test("the end: all bindings are taken back, and an answer or three updates later it is over", (t) => {
  const node = new Node().bind();
  node.took();
  node.give({ kind: "stop" });
  t.notOk(kinds(node).includes("stopped"));
  node.acknowledge(node.update()).wait(4);
  t.equal(kinds(node).at(-1), "stopped");
  const silent = new Node().bind().give({ kind: "stop" }).wait(8);
  t.equal(kinds(silent).at(-1), "stopped");
  const nowhere = new Node().bind().at({ kind: "between", careOf: COA }).give({ kind: "stop" });
  t.equal(kinds(nowhere).at(-1), "stopped", "between networks there is nobody to say it to");
  const patient = new Node({ grace: seconds(60) }).bind();
  patient.took();
  patient.give({ kind: "stop" }).acknowledge(patient.update()).wait(4);
  t.equal(kinds(patient).at(-1), "stopped", "whatever the grace time");
  const empty = new Node().give({ kind: "stop" });
  t.strictSame(kinds(empty), ["stopped"]);
  t.strictSame(empty.demand(CN).types(), []);
  t.end();
});
