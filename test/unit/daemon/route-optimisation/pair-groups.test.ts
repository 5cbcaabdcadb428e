/** The objects of pairs: both ends in one group, each told of its own revision. */
import t from "tap";
import { MobilityError } from "../../../../controller/base/errors.js";
import { ipv6 } from "../../../../controller/base/ip.js";
import { type EndAnswered, PairGroups } from "../../../../controller/daemon/route-optimisation/pair-groups.js";
import type { KernelObject } from "../../../../controller/plan/objects/objects.js";
import type { CorrespondentPath } from "../../../../controller/protocol/mip6/correspondent-node/path.js";
import type { DirectPath } from "../../../../controller/protocol/mip6/mobile-node/correspondents/inputs.js";

const [HOA, OTHER, COA, OTHER_COA] = ["2001:db8:1::1", "2001:db8:1::2", "2001:db8:a::1", "2001:db8:b::1"].map(ipv6);
if (HOA === undefined || OTHER === undefined || COA === undefined || OTHER_COA === undefined) throw new Error();
const GROUP = `pair ${OTHER}`;

const direct = (revision: number): DirectPath => ({
  ...{ homeAddress: HOA, correspondent: OTHER, stage: "bound", careOf: COA, ipv6: true, former: [], revision },
});
const bound = (revision: number): CorrespondentPath => ({
  ...{ homeAddress: OTHER, self: HOA, ipv6: { via: "headers", careOf: OTHER_COA }, former: [], revision },
});

function world() {
  const asked: { readonly group: string; readonly ends: string; readonly revision: number }[] = [];
  const answers: string[] = [];
  const pairs = new PairGroups({
    groups: {
      setGroup: (group, objects, revision) => void asked.push({ group, revision, ends: objects.join() }),
      stateOf: () => "pending",
    },
    plan: (_, ends) =>
      (["direct", "bound"] as const).filter((end) => ends[end] !== undefined) as unknown as readonly KernelObject[],
  });
  const listener =
    (end: string): EndAnswered =>
    (other, revision, failure) => {
      t.equal(other, OTHER);
      answers.push(`${end} ${revision}${failure === undefined ? "" : " refused"}`);
    };
  pairs.onAnswered("direct", listener("direct"));
  pairs.onAnswered("bound", listener("bound"));
  const kernel = (revision: number | undefined, failure?: MobilityError): readonly string[] => {
    t.equal(pairs.onGroupResult({ group: GROUP, revision: revision ?? 0, ...(failure && { failure }) }), true);
    return answers.splice(0);
  };
  return { pairs, asked: () => asked.splice(0), answers: () => answers.splice(0), kernel };
}

t.test("what was there before is wanted with the site, and is there when it begins", async (t) => {
  const { pairs, asked, answers } = world();
  pairs.set("bound", OTHER, bound(3), 3);
  pairs.set("direct", OTHER, direct(7), 7);
  t.strictSame([...pairs.prepare().keys()], [GROUP]);
  t.strictSame(asked(), []);
  pairs.begin();
  t.strictSame([answers().sort(), asked()], [["bound 3", "direct 7"], []]);
});

t.test("both ends make one group, and each hears of its own revision alone", async (t) => {
  const { pairs, asked, kernel } = world();
  pairs.prepare();
  pairs.begin();
  pairs.set("bound", OTHER, bound(1), 1);
  pairs.set("direct", OTHER, direct(1), 1);
  const [first, second] = asked();
  t.strictSame([first?.group, first?.ends, second?.ends], [GROUP, "bound", "direct,bound"]);
  t.strictSame(kernel(first?.revision), ["bound 1"], "the node's is not in it yet");
  const failure = new MobilityError("MIP_KERNEL", "no");
  t.strictSame(kernel(second?.revision, failure), ["direct 1 refused"], "the correspondent has what it wanted");
  pairs.set("direct", OTHER, undefined);
  const [third] = asked();
  t.equal(third?.ends, "bound");
  t.strictSame(kernel(third?.revision), [], "nobody waits");
  pairs.set("bound", OTHER, undefined, 2);
  const [last] = asked();
  t.equal(last?.ends, "");
  t.strictSame(kernel(last?.revision), ["bound 2"]);
  t.strictSame([...pairs.groups()], [], "and nothing is left");
  t.equal(pairs.onGroupResult({ group: "site", revision: 1 }), false);
});

t.test("what changes between the first groups and the beginning is asked for then", async (t) => {
  const { pairs, asked, answers } = world();
  pairs.set("bound", OTHER, bound(1), 1);
  pairs.prepare();
  pairs.set("bound", OTHER, undefined, 2);
  pairs.begin();
  t.match(asked(), [{ group: GROUP, ends: "" }]);
  t.strictSame(answers(), []);
});
