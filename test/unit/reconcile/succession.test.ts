/** The reconciler names the predecessors of a new association: what the kernel has of the same keys, whichever group holds it. */
import t from "tap";
import { type IpAddress, ipv4, ipv6 } from "../../../controller/base/ip.js";
import { Secret } from "../../../controller/base/secret.js";
import { type KernelObject, OWNERSHIP, objectKey } from "../../../controller/plan/objects.js";
import { SENDING_MARK } from "../../../controller/plan/security-marks.js";
import type { XfrmState } from "../../../controller/plan/security-objects.js";
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

async function bench(...before: readonly KernelObject[]) {
  const kernel = new FakeKernel();
  for (const object of before) kernel.objects.set(objectKey(object), object);
  const reconciler = new Reconciler(
    kernel,
    { onResult: () => undefined, onRepair: () => undefined },
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
  return { kernel, want, heritage };
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
  const { want, heritage } = await bench(state(FIRST));
  await want({ node: [state(SECOND)] });
  t.strictSame(heritage(state(SECOND)), [objectKey(state(FIRST))]);
});

t.test("everything with the same keys is named, but nothing that is gone", async (t) => {
  const { kernel, want, heritage } = await bench();
  await want({ node: [state(FIRST), state(SECOND)] });
  kernel.interfere({ verb: "removed", object: state(FIRST) });
  kernel.refuse = ({ object }) => (objectKey(object) === objectKey(state(FIRST)) ? "refused" : undefined);
  await want({ other: [state(THIRD)] });
  t.strictSame(heritage(state(THIRD)), [objectKey(state(SECOND))]);
});

t.test("another node's keys are nobody's business", async (t) => {
  const { want, heritage } = await bench();
  await want({ one: [state(FIRST)] });
  await want({ two: [state(SECOND, 0x3000)] });
  t.strictSame(heritage(state(SECOND, 0x3000)), []);
});
