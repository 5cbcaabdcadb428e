/** Numbers used under a key are never forgotten: what takes on from parked associations is there before they go, or they stay. */
import t from "tap";
import { type IpAddress, ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { Secret } from "../../../../controller/base/secret.js";
import { ParkedNodes } from "../../../../controller/daemon/home-agent/parked-nodes.js";
import { type KernelObject, objectKey } from "../../../../controller/plan/objects/objects.js";
import type { XfrmState } from "../../../../controller/plan/objects/security.js";
import { SENDING_MARK } from "../../../../controller/plan/security/marks.js";
import { reqidOf } from "../../../../controller/plan/security/request-ids.js";
import { parkedAssociations } from "../../../../controller/plan/security/tunnel-associations.js";
import { Reconciler } from "../../../../controller/reconcile/reconciler.js";
import { FakeKernel } from "../../../fake/fake-kernel.js";

const HOA = ipv6("2001:db8:1::100");
const SEND = {
  spi: 0x1000,
  aead: { algorithm: "rfc4106(gcm(aes))", key: new Secret(new Uint8Array(20).fill(1)), icvLength: 16 },
};
const PARKED = parkedAssociations(HOA, "payload", { receive: [], send: SEND });

const bound = (destination: IpAddress): XfrmState => ({
  kind: "xfrm-state",
  source: ipv4("203.0.113.1"),
  destination,
  reqid: reqidOf(HOA, "payload"),
  transform: { type: "esp", spi: SEND.spi, mode: "tunnel", aead: SEND.aead, replayWindow: 4096, mark: SENDING_MARK },
});
const FOUR = bound(ipv4("203.0.114.2"));

async function bench(known: readonly KernelObject[] = PARKED) {
  const kernel = new FakeKernel();
  let isBound = false;
  for (const object of known) kernel.objects.set(objectKey(object), object);
  const reconciler = new Reconciler(
    kernel,
    {
      onResult: ({ group, failure }) => {
        if (group === "binding" && failure === undefined && isBound) parked.bound(HOA);
      },
      onRepair: () => undefined,
      onLoss: () => undefined,
    },
    { schedule: () => undefined },
  );
  const parked = new ParkedNodes(
    () => PARKED,
    (_, objects) => reconciler.setGroup("parked", objects, 1),
  );
  await reconciler.start();
  const settled = async (): Promise<void> => {
    reconciler.commit();
    await reconciler.settled();
  };
  const bind = async (...objects: readonly KernelObject[]): Promise<void> => {
    isBound = objects.length > 0;
    reconciler.setGroup("binding", objects, 1);
    await settled();
  };
  const numbersFrom = (object: KernelObject): readonly string[] | undefined => kernel.heritage.get(objectKey(object));
  return { kernel, reconciler, parked, settled, bind, numbersFrom };
}
const KEYS = PARKED.map(objectKey);

t.test("what an earlier life has parked is adopted", async (test) => {
  const { kernel, reconciler, parked, settled } = await bench();
  parked.update(HOA);
  await settled();
  reconciler.declareComplete();
  await settled();
  test.ok(kernel.holds(PARKED));
  test.strictSame(kernel.batches.flat(), [], "and not made anew");
});

t.test("a binding takes on from what is parked, which goes after that", async (test) => {
  const { kernel, parked, settled, bind, numbersFrom } = await bench();
  parked.update(HOA);
  await settled();
  await bind(FOUR);
  test.strictSame(numbersFrom(FOUR), KEYS);
  test.ok(kernel.holds([FOUR]));
  parked.unbound(HOA);
  await bind();
  test.strictSame(numbersFrom(PARKED[0] as KernelObject), [objectKey(FOUR)], "and back");
  test.ok(kernel.holds(PARKED));
});

t.test("a binding that the kernel refuses leaves it parked", async (test) => {
  const { kernel, parked, settled, bind, numbersFrom } = await bench();
  parked.update(HOA);
  await settled();
  kernel.refuse = ({ object }) => (object.kind === "route" ? "no" : undefined);
  const destination = { address: HOA, length: 128 };
  await bind(FOUR, { kind: "route", destination, table: 254, metric: 1024, device: "dsmip-esp" });
  test.ok(kernel.holds(PARKED), "all that there is");
  parked.unbound(HOA);
  await bind();
  test.ok(kernel.holds(PARKED));
  test.strictSame(
    numbersFrom(PARKED[0] as KernelObject),
    [...KEYS, objectKey(FOUR)],
    "ahead of what may have been sent",
  );
});

t.test("with nothing to park nothing is wanted", (test) => {
  const wants: string[] = [];
  const parked = new ParkedNodes(
    () => [],
    (homeAddress) => wants.push(homeAddress),
  );
  parked.update(HOA);
  parked.bound(HOA);
  parked.unbound(HOA);
  test.strictSame(wants, []);
  test.end();
});
