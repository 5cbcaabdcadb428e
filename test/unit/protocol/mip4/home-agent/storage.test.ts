/** What becomes of bindings that the journal does not take: what counts is what the node was told last. */
import t from "tap";
import { ipv4 } from "../../../../../controller/base/ip.js";
import { dataPaths, lookup } from "../../../../../controller/protocol/mip4/home-agent/machine.js";
import { COA, codeIn, HOA, HomeAgentBench, kinds, NODE, ofKind, replyIn } from "../../../../lib/mip4-home-agent.js";

const ELSEWHERE = ipv4("198.51.100.8");
type Effects = ReturnType<HomeAgentBench["ask"]>;

/** The disk has refused what was recorded with this acceptance, and the node was refused in its place. */
function unstored(bench: HomeAgentBench, accepted: Effects): Effects {
  const { node, reply } = replyIn(accepted);
  return bench.settle(bench.step({ kind: "unstored", node, identification: reply.identification }));
}
const from = (careOfAddress = COA) => ({ careOfAddress, arrival: { source: careOfAddress } });
const endOf = (bench: HomeAgentBench) => lookup(bench.state, HOA)?.established?.registration.end.address;
const failed = (effects: Effects) => ofKind(effects, "notify").map(({ event }) => event.event);

t.test("a first binding that could not be stored is none, and the home address is the node's own again", (t) => {
  const bench = new HomeAgentBench();
  const effects = unstored(bench, bench.register(from()));
  t.equal(lookup(bench.state, HOA), undefined);
  t.strictSame([...dataPaths(bench.state)], []);
  t.match(ofKind(effects, "data-path-removed"), [{ node: NODE }]);
  t.strictSame(ofKind(effects, "announce"), [{ kind: "announce", address: HOA, holder: "mobile-node" }]);
  t.match(ofKind(effects, "journal").at(-1)?.record, { binding: null }, "what protects against replays is kept");
  t.strictSame(failed(effects), ["binding.failed"]);
  t.equal(codeIn(bench.register(from())), 1, "it may try again");
  t.end();
});

t.test("a move that could not be stored is taken back; the kernel and the journal have what was told before", (t) => {
  const bench = new HomeAgentBench();
  bench.register(from());
  const effects = unstored(bench, bench.register(from(ELSEWHERE)));
  t.equal(endOf(bench), COA);
  t.match([...dataPaths(bench.state)], [{ egress: { address: COA } }]);
  t.match(ofKind(effects, "data-path").at(-1)?.path, { egress: { address: COA } });
  t.match(ofKind(effects, "journal").at(-1)?.record, { binding: { careOfAddress: COA } });
  t.strictSame(failed(effects), ["binding.failed"]);
  t.strictSame(ofKind(effects, "announce"), [], "the home address is ours before and after");
  t.end();
});

t.test("whatever the disk refuses, in whatever order that is heard, what counts is what was told last", (t) => {
  for (const order of [
    [1, 2, 3],
    [3, 2, 1],
    [2, 3, 1],
  ]) {
    const bench = new HomeAgentBench();
    const accepted = [COA, ELSEWHERE, ELSEWHERE, ELSEWHERE].map((careOf) => bench.register(from(careOf)));
    for (const number of order) unstored(bench, accepted[number] ?? []);
    t.equal(endOf(bench), COA, `${order}`);
    t.strictSame(kinds(unstored(bench, accepted[1] ?? [])), [], "once");
  }
  const recovered = new HomeAgentBench();
  const accepted = [COA, ELSEWHERE, ELSEWHERE].map((careOf) => recovered.register(from(careOf)));
  unstored(recovered, accepted[1] ?? []);
  t.equal(endOf(recovered), ELSEWHERE, "the last one is on the disk");
  t.end();
});

t.test("what was told before is taken up again only while it lasts; a request on its way is refused with it", (t) => {
  const bench = new HomeAgentBench({ previousCareOfGraceSeconds: 0 });
  bench.register({ ...from(), lifetimeSeconds: 10 });
  const moved = bench.register({ ...from(ELSEWHERE), lifetimeSeconds: 600 });
  bench.wait(11);
  const waiting = bench.ask(from(COA));
  t.strictSame(kinds(waiting), ["data-path"]);
  const effects = unstored(bench, moved);
  t.equal(codeIn(effects), 130);
  t.equal(lookup(bench.state, HOA), undefined);
  t.end();
});

t.test("of a de-registration nothing is taken back: the node is at home", (t) => {
  const bench = new HomeAgentBench();
  const accepted = bench.register(from());
  const leaving = bench.ask({ ...from(HOA), lifetimeSeconds: 0 });
  t.match(kinds(leaving), ["data-path-removed"]);
  const { node, reply } = replyIn(accepted);
  t.strictSame(bench.step({ kind: "unstored", node, identification: reply.identification }), []);
  t.equal(codeIn(bench.settle(leaving).slice(leaving.length)), 1);
  t.equal(lookup(bench.state, HOA), undefined);
  t.end();
});
