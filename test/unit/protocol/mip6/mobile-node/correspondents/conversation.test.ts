/** The node's machine and the correspondent's speak to each other in octets, with the authenticators that both ends really make. */
import t from "tap";
import { SELF } from "../../../../../lib/correspondent-node.js";
import { COA, COA2 } from "./node.js";
import { Talk } from "./talk.js";

t.test("F6275-5.2.5-02 F6275-11.7.3-01: bind, renew, move, take back: each end accepts what the other makes", (t) => {
  const talk = new Talk();
  const { node } = talk;
  talk.at({ kind: "away", careOf: COA });
  node.demand(SELF);
  talk.run();
  t.match(node.path, { stage: "bound", careOf: COA });
  talk.pass(180).run();
  t.match(node.path, { stage: "bound", careOf: COA });
  talk.pass(20);
  talk.at({ kind: "away", careOf: COA2 });
  talk.run();
  t.match(node.path, { stage: "bound", careOf: COA2, former: [COA] });
  talk.pass(5);
  talk.at({ kind: "home" });
  talk.run();
  t.strictSame(talk.statuses, [0, 0, 0, 0]);
  talk.pass(5);
  t.equal(node.path, undefined);
  t.equal(node.state.entries.size, 0);
  t.end();
});

t.test("a correspondent that has forgotten its nonces is answered with new tests", (t) => {
  const talk = new Talk();
  const { node } = talk;
  talk.at({ kind: "away", careOf: COA });
  node.demand(SELF);
  talk.run();
  talk.world.pass(300);
  node.wait(100).took();
  talk.at({ kind: "away", careOf: COA2 });
  talk.run();
  t.strictSame(talk.statuses, [0, 136, 0]);
  t.match(node.path, { stage: "bound", careOf: COA2 });
  t.end();
});
