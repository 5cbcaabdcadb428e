/** One binding of two protocols: who has asked last is heard, who is overtaken lets go, and what comes to nothing leaves what was there. */
import t from "tap";
import { MobilityError } from "../../../../controller/base/errors.js";
import { ipv6 } from "../../../../controller/base/ip.js";
import { OneBinding } from "../../../../controller/daemon/home-agent/one-binding.js";
import type { KernelObject } from "../../../../controller/plan/objects/objects.js";

const NODE = ipv6("2001:db8:1::10");
const REFUSED = new MobilityError("MIP_KERNEL", "no");
const objects = (name: string): readonly KernelObject[] => [
  { kind: "link", name, mtu: 1400, up: true, link: { type: "dummy" } },
];

function bench() {
  const one = new OneBinding();
  const said: string[] = [];
  const wishes: { objects: readonly KernelObject[]; revision: number }[] = [];
  const groups = {
    setGroup: (_: string, wanted: readonly KernelObject[], revision: number) =>
      void wishes.push({ objects: wanted, revision }),
    removeGroup: (_: string, revision: number) => void wishes.push({ objects: [], revision }),
    stateOf: () => "realised" as const,
  };
  const paths = new Map<string, string>();
  const join = (protocol: "mip6" | "mip4") => {
    const mine = one.join(groups, {
      protocol,
      onResult: (_, revision, failure) =>
        void said.push(`${protocol} ${revision} ${failure === undefined ? "ok" : "no"}`),
      planAgain: (node) => {
        const path = paths.get(protocol);
        if (path !== undefined) mine.set(node, objects(path), 99);
        return path !== undefined;
      },
      onTaken: (_, by) => void said.push(`${protocol} taken by ${by}`),
    });
    return {
      ...mine,
      bind: (path: string, revision: number) => {
        paths.set(protocol, path);
        mine.set(NODE, objects(path), revision);
      },
      end: (revision: number) => {
        paths.delete(protocol);
        mine.remove(NODE, revision);
      },
    };
  };
  const [mip6, mip4] = [join("mip6"), join("mip4")];
  /** The kernel answers what was wanted last. */
  const answer = (failure?: MobilityError): void => {
    const { revision = 0 } = wishes.at(-1) ?? {};
    mip6.answered({ group: `binding ${NODE}`, revision, ...(failure !== undefined && { failure }) });
  };
  const wanted = (): string => {
    const [object] = wishes.at(-1)?.objects ?? [];
    return object?.kind === "link" ? object.name : "nothing";
  };
  return { mip6, mip4, said: () => said.splice(0), answer, wanted, wishes };
}

t.test(
  "a registration by the other protocol takes the binding over when the kernel has it, and not before",
  async (test) => {
    const { mip6, mip4, said, answer, wanted, wishes } = bench();
    mip6.bind("six", 1);
    answer();
    test.same(said(), ["mip6 1 ok", "mip4 taken by mip6"]);
    mip4.bind("four", 1);
    test.same(said(), [], "both count revisions from 1, and the kernel has said nothing yet");
    test.equal(mip6.isElsewhere(NODE), false);
    answer();
    test.same(said(), ["mip4 1 ok", "mip6 taken by mip4"]);
    test.equal(mip6.isElsewhere(NODE), true);
    const before = wishes.length;
    mip6.end(2);
    await Promise.resolve();
    test.same(said(), ["mip6 2 ok"], "it is let go at once");
    test.equal(wishes.length, before, "and nothing of the other one's is touched");
    test.equal(wanted(), "four");
    mip4.end(2);
    test.equal(wanted(), "nothing");
    answer();
    test.same(said(), ["mip4 2 ok"]);
  },
);

t.test("a take-over that the kernel refuses leaves the binding what it was", async (test) => {
  const { mip6, mip4, said, answer, wanted } = bench();
  mip6.bind("six", 1);
  answer();
  said();
  mip4.bind("four", 1);
  answer(REFUSED);
  test.same(said(), ["mip4 1 no"]);
  mip4.end(2);
  await Promise.resolve();
  test.equal(wanted(), "six");
  answer();
  test.same(said(), ["mip4 2 ok", "mip6 99 ok"], "nobody is told that it was taken");
  test.equal(mip6.isElsewhere(NODE), false);
});

t.test("a binding that ends while the other protocol asks for its place goes with what comes of that", async (test) => {
  const { mip6, mip4, said, answer, wanted } = bench();
  mip6.bind("six", 1);
  answer();
  said();
  mip4.bind("four", 1);
  mip6.end(2);
  await Promise.resolve();
  test.equal(wanted(), "four");
  answer(REFUSED);
  mip4.end(2);
  test.equal(wanted(), "nothing", "neither has it: the kernel lets go of what it had");
  test.same(said(), ["mip6 2 ok", "mip4 1 no"]);
});

t.test("an answer that was overtaken is nobody's", (test) => {
  const { mip6, mip4, said, answer, wishes } = bench();
  mip6.bind("six", 1);
  mip4.bind("four", 1);
  mip4.answered({ group: `binding ${NODE}`, revision: wishes[0]?.revision ?? 0 });
  test.same(said(), ["mip6 1 ok"], "no take-over: the other one has asked since");
  answer();
  test.same(said(), ["mip4 1 ok", "mip6 taken by mip4"]);
  test.equal(mip4.answered({ group: "site", revision: 1 }), false);
  test.end();
});
