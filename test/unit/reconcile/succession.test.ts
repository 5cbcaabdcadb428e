/** The reconciler names the predecessors of a new association: what the kernel has of the same keys, whichever group holds it. */
import t from "tap";
import { MobilityError } from "../../../controller/base/errors.js";
import { type IpAddress, ipv4, ipv6 } from "../../../controller/base/ip.js";
import { Secret } from "../../../controller/base/secret.js";
import { type KernelObject, OWNERSHIP, objectKey } from "../../../controller/plan/objects/objects.js";
import type { EspState, XfrmState } from "../../../controller/plan/objects/security.js";
import { SENDING_MARK } from "../../../controller/plan/security/marks.js";
import { Reconciler } from "../../../controller/reconcile/reconciler.js";
import { FakeKernel } from "../../fake/fake-kernel.js";

const [FIRST, SECOND, THIRD] = [ipv6("2001:db8:a::11"), ipv4("203.0.114.11"), ipv4("10.0.0.2")];

function state(destination: IpAddress, spi = 0x1000): XfrmState {
  const key = new Secret(new Uint8Array(20).fill(spi & 0xff));
  return {
    kind: "xfrm-state",
    source: destination,
    destination,
    reqid: OWNERSHIP.reqidBase + 19,
    transform: {
      type: "esp",
      spi,
      mode: "tunnel",
      aead: { algorithm: "rfc4106(gcm(aes))", key, icvLength: 16 },
      replayWindow: 64,
      mark: SENDING_MARK,
    },
  };
}

/** `instead`: what its owner wants after a loss, in the place of the group's objects. */
async function bench(before: readonly KernelObject[] = [], instead?: readonly KernelObject[]) {
  const kernel = new FakeKernel();
  for (const object of before) kernel.objects.set(objectKey(object), object);
  const losses: string[] = [];
  const repairs: string[] = [];
  const reconciler = new Reconciler(
    kernel,
    {
      onResult: () => undefined,
      onRepair: (_, detail) => repairs.push(detail),
      onLoss: ({ object, groups }) => {
        losses.push(`${objectKey(object)} of ${groups.join()}`);
        if (instead !== undefined) for (const group of groups) reconciler.setGroup(group, instead, 99);
      },
    },
    { schedule: () => undefined },
  );
  await reconciler.start();
  let revision = 0;
  const want = async (wishes: Readonly<Record<string, readonly KernelObject[]>>): Promise<void> => {
    for (const [group, objects] of Object.entries(wishes)) reconciler.setGroup(group, objects, ++revision);
    reconciler.commit();
    await reconciler.settled();
  };
  const heritage = (object: KernelObject): readonly string[] | undefined => kernel.heritage.get(objectKey(object));
  return { kernel, reconciler, want, heritage, losses, repairs };
}

t.test("a move", async (t) => {
  const { kernel, want, heritage } = await bench();
  await want({ node: [state(FIRST), state(FIRST, 0x2000)] });
  t.strictSame(heritage(state(FIRST)), [], "the first one has none");
  await want({ node: [state(SECOND), state(SECOND, 0x2000)] });
  t.strictSame(heritage(state(SECOND)), [objectKey(state(FIRST))]);
  t.strictSame(heritage(state(SECOND, 0x2000)), [objectKey(state(FIRST, 0x2000))]);
  t.ok(kernel.holds([state(SECOND), state(SECOND, 0x2000)]), "and then the old ones go");
});

t.test("from one group to another in one round", async (t) => {
  const { want, heritage } = await bench();
  await want({ parked: [state(FIRST)] });
  await want({ parked: [], node: [state(SECOND)] });
  t.strictSame(heritage(state(SECOND)), [objectKey(state(FIRST))]);
});

t.test("what an earlier life left hands on its numbers before it goes", async (t) => {
  const { want, heritage } = await bench([state(FIRST)]);
  await want({ node: [state(SECOND)] });
  t.strictSame(heritage(state(SECOND)), [objectKey(state(FIRST))]);
});

t.test("everything with the same keys is named, but nothing that is gone", async (t) => {
  const { kernel, want, heritage } = await bench();
  await want({ node: [state(FIRST), state(SECOND)] });
  kernel.interfere({ verb: "removed", object: state(FIRST) });
  await want({ other: [state(THIRD)] });
  t.strictSame(heritage(state(THIRD)), [objectKey(state(SECOND))]);
});

t.test("another node's keys are nobody's business", async (t) => {
  const { want, heritage } = await bench();
  await want({ one: [state(FIRST)] });
  await want({ two: [state(SECOND, 0x3000)] });
  t.strictSame(heritage(state(SECOND, 0x3000)), []);
});

const route: KernelObject = {
  kind: "route",
  destination: { address: ipv4("198.51.100.1"), length: 32 },
  table: 254,
  metric: 0,
  device: "dsmip-ip4",
};

t.test("what somebody takes away is not made again, for its numbers have been used; its owner is told", async (t) => {
  const { kernel, reconciler, want, heritage, losses } = await bench();
  await want({ node: [state(FIRST), route], other: [state(THIRD, 0x3000)] });
  kernel.interfere({ verb: "removed", object: state(FIRST) });
  kernel.interfere({ verb: "removed", object: route });
  await reconciler.settled();
  t.strictSame(losses, [`${objectKey(state(FIRST))} of node`]);
  t.ok(kernel.holds([route, state(THIRD, 0x3000)]), "the rest is mended");
  t.strictSame(reconciler.groupObjects("node"), [route]);
  t.match(await reconciler.audit(), { checked: 2, differences: [] });
  t.equal(reconciler.failedObjects, 0);
  await want({ node: [state(SECOND, 0x2000), route] });
  t.strictSame(heritage(state(SECOND, 0x2000)), [], "other keys begin anew");
  t.ok(kernel.holds([route, state(SECOND, 0x2000), state(THIRD, 0x3000)]));
});

const refuseRoutes = (kernel: FakeKernel, refused: boolean): void => {
  kernel.refuse = ({ object }) => (refused && object.kind === "route" ? "Network is down" : undefined);
};

t.test("a move that fails may have sent with the new one: the old one leaps ahead of it", async (t) => {
  const { kernel, reconciler, want, heritage } = await bench();
  await want({ node: [state(FIRST)] });
  refuseRoutes(kernel, true);
  await want({ node: [state(SECOND), route] });
  t.ok(kernel.holds([state(FIRST)]));
  t.strictSame(heritage(state(FIRST)), [objectKey(state(FIRST)), objectKey(state(SECOND))], "asked for before it went");
  t.strictSame(kernel.batches.at(-1), [
    `remove ${objectKey(state(FIRST))}`,
    `create ${objectKey(state(FIRST))}`,
    `remove ${objectKey(state(SECOND))}`,
  ]);
  t.match(await reconciler.audit(), { checked: 1, differences: [] });
  refuseRoutes(kernel, false);
  await want({ node: [state(THIRD), route] });
  t.strictSame(heritage(state(THIRD)), [objectKey(state(FIRST))]);
  t.ok(kernel.holds([state(THIRD), route]));
});

t.test("what was parked is not let go while the move that was to use it has failed", async (t) => {
  const { kernel, want, heritage } = await bench();
  await want({ parked: [state(FIRST)] });
  refuseRoutes(kernel, true);
  await want({ parked: [], node: [state(SECOND), route] });
  t.ok(kernel.holds([state(FIRST)]), "it has leapt, and knows the numbers");
  refuseRoutes(kernel, false);
  await want({ node: [state(SECOND), route] });
  t.strictSame(heritage(state(SECOND)), [objectKey(state(FIRST))]);
  t.ok(kernel.holds([state(SECOND), route]), "and goes then");
});

t.test("the first with its keys is kept when its group fails, and goes when that has got something else", async (t) => {
  const { kernel, want } = await bench();
  refuseRoutes(kernel, true);
  await want({ node: [state(FIRST), route] });
  t.ok(kernel.holds([state(FIRST)]));
  await want({ node: [state(FIRST), route] });
  t.equal(kernel.batches.flat().filter((line) => line === `create ${objectKey(state(FIRST))}`).length, 1);
  refuseRoutes(kernel, false);
  await want({ node: [route] });
  t.ok(kernel.holds([route]));
});

t.test("static keys are put back, and what that means is told with the subscriber's name", async (t) => {
  const negotiated = state(FIRST);
  const { mark, ...transform } = negotiated.transform as EspState;
  const update: XfrmState = { ...negotiated, source: ipv6("2001:db8:1::100"), transform };
  const { kernel, reconciler, want, losses, repairs } = await bench();
  await want({ "security 2001:db8:1::100": [update] });
  kernel.interfere({ verb: "removed", object: update });
  await reconciler.settled();
  t.ok(mark, "which only negotiated ones have");
  t.strictSame(losses, []);
  t.ok(kernel.holds([update]));
  t.match(repairs, [
    /of security 2001:db8:1::100 was removed: static keys .* from 2001:db8:1::100 to 2001:db8:a::11 new messages may be dropped as replays/,
  ]);
});

t.test("what the owner wants instead comes in the same round, also where that was to be something else", async (t) => {
  for (const turns of [0, 1, 2, 3, 4, 5, 6]) {
    const { kernel, reconciler, want, losses } = await bench([], [state(SECOND, 0x2000)]);
    await want({ node: [state(FIRST)] });
    kernel.objects.delete(objectKey(state(FIRST)));
    reconciler.setGroup("node", [state(FIRST), route], 7);
    reconciler.commit();
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    kernel.announce({ verb: "removed", object: state(FIRST) });
    await reconciler.settled();
    t.equal(losses.length, 1);
    t.ok(kernel.holds([state(SECOND, 0x2000)]), `${turns} turns into the round`);
    t.notOk(
      kernel.batches
        .slice(1)
        .flat()
        .includes(`create ${objectKey(state(FIRST))}`),
    );
  }
});

t.test("a loss that only a dump tells is one all the same", async (t) => {
  const { kernel, reconciler, want, losses } = await bench();
  await want({ node: [state(FIRST), route], parked: [state(SECOND, 0x2000)] });
  kernel.objects.clear();
  kernel.announce("resync");
  await reconciler.settled();
  t.strictSame(losses, [`${objectKey(state(FIRST))} of node`, `${objectKey(state(SECOND, 0x2000))} of parked`]);
  t.ok(kernel.holds([route]));
});

t.test("what is put in its place by somebody else goes, whoever wanted the old one", async (t) => {
  const { kernel, reconciler, want, losses } = await bench();
  await want({ node: [state(FIRST)], parked: [] });
  kernel.interfere({ verb: "removed", object: state(FIRST) });
  kernel.interfere({ verb: "changed", object: state(FIRST) });
  await reconciler.settled();
  t.equal(losses.length, 1);
  t.ok(kernel.holds([]), "nobody knows where its numbers are");
});

t.test("what we remove and make again ourselves is no loss, even if only half of it has been announced", async (t) => {
  const { kernel, reconciler, want, losses } = await bench();
  await want({ node: [state(FIRST), state(SECOND)] });
  kernel.announce({ verb: "removed", object: state(FIRST), own: true });
  await reconciler.settled();
  t.strictSame(losses, []);
  t.strictSame(reconciler.groupObjects("node"), [state(FIRST), state(SECOND)]);
  await want({ node: [state(SECOND)] });
  kernel.announce({ verb: "removed", object: state(FIRST) });
  await reconciler.settled();
  t.strictSame(losses, [], "nor is what nobody wants any more");
});

t.test(
  "an association made without an answer is told as lost and goes: nobody knows which numbers it has used",
  async (t) => {
    const { kernel, want, losses } = await bench();
    const apply = kernel.apply.bind(kernel);
    kernel.apply = async (operations) => {
      kernel.apply = apply;
      const outcomes = await apply(operations);
      kernel.announce("resync");
      const error = new MobilityError("MIP_KERNEL", "no answer");
      return outcomes.map(({ operation }) => ({ operation, error, unknown: true as const }));
    };
    await want({ node: [state(FIRST)] });
    t.strictSame(losses, [`${objectKey(state(FIRST))} of `]);
    t.ok(kernel.holds([]));
  },
);
