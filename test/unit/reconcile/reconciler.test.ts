import fc from "fast-check";
import t from "tap";
import { MobilityError } from "../../../controller/base/errors.js";
import { ipv4, ipv6 } from "../../../controller/base/ip.js";
import { type KernelObject, objectKey } from "../../../controller/plan/objects/objects.js";
import { HOME_AGENT_POLICY_HASH } from "../../../controller/plan/security/subscriber.js";
import { byKey, diff } from "../../../controller/reconcile/diff.js";
import { type GroupResult, Reconciler } from "../../../controller/reconcile/reconciler.js";
import { FakeKernel } from "../../fake/fake-kernel.js";

const route = (host: number, metric = 0, device = "dsmip-ip4"): KernelObject => ({
  kind: "route",
  destination: { address: ipv4(`198.51.100.${host}`), length: 32 },
  table: 254,
  metric,
  device,
});
const element = (host: number, value = 4191): KernelObject => ({
  kind: "nft-element",
  set: "port-4",
  key: [ipv4(`198.51.100.${host}`)],
  value,
});
const table = (counters: readonly string[]): KernelObject => ({
  kind: "nft-table",
  family: "inet",
  name: "dsmipd",
  counters,
  sets: [{ name: "port-4", key: ["ipv4_addr"], value: "inet_service" }],
  chains: [],
});
const proxy = (host: number): KernelObject => ({
  kind: "proxy-neighbour",
  device: "home",
  address: ipv6(`2001:db8::${host}`),
  router: false,
});
const link = (name: string): KernelObject => ({ kind: "link", name, mtu: 1400, up: true, link: { type: "dummy" } });

async function bench(before: readonly KernelObject[] = []) {
  const kernel = new FakeKernel();
  for (const object of before) kernel.objects.set(objectKey(object), object);
  const results: GroupResult[] = [];
  const repairs: string[] = [];
  const timers: { delayMs: number; run: () => void }[] = [];
  const reconciler = new Reconciler(
    kernel,
    {
      onResult: (result) => results.push(result),
      onRepair: (what, detail) => repairs.push(`${what}: ${detail}`),
      onLoss: ({ object }) => repairs.push(`lost: ${objectKey(object)}`),
    },
    { schedule: (delayMs, run) => void timers.push({ delayMs, run }) },
  );
  await reconciler.start();
  const go = async (): Promise<void> => {
    reconciler.commit();
    await reconciler.settled();
  };
  return { kernel, results, repairs, timers, reconciler, go };
}

t.test("all that is wanted in one turn is one batch, firewall before routes before the home link", async (test) => {
  const { kernel, results, reconciler, go } = await bench();
  for (const n of [1, 2, 3]) reconciler.setGroup(`node${n}`, [proxy(n), route(n), element(n)], n);
  await go();
  test.equal(kernel.batches.length, 1);
  test.strictSame(
    kernel.batches[0]?.map((line) => line.split(" ")[1]),
    [
      "nft-element",
      "nft-element",
      "nft-element",
      "route",
      "route",
      "route",
      "proxy-neighbour",
      "proxy-neighbour",
      "proxy-neighbour",
    ],
  );
  test.strictSame(results, [
    { group: "node1", revision: 1 },
    { group: "node2", revision: 2 },
    { group: "node3", revision: 3 },
  ]);
});

t.test("make before break: the new path is there and told before the old one goes", async (test) => {
  const { kernel, results, reconciler, go } = await bench();
  reconciler.setGroup("node", [element(1), route(1)], 1);
  await go();
  let toldBeforeRemoval = false;
  kernel.refuse = ({ verb }) => {
    if (verb === "remove") toldBeforeRemoval = results.length === 2;
    return undefined;
  };
  reconciler.setGroup("node", [element(2), route(1, 0, "dsmip-udp")], 2);
  await go();
  test.strictSame(kernel.batches.slice(1), [
    ["create nft-element port-4 198.51.100.2", "update route 254 198.51.100.1/32 0"],
    ["remove nft-element port-4 198.51.100.1"],
  ]);
  test.ok(toldBeforeRemoval);
});

t.test("what is removed is told after it is gone", async (test) => {
  const { kernel, results, reconciler, go } = await bench();
  reconciler.setGroup("node", [route(1)], 1);
  await go();
  reconciler.removeGroup("node", 2);
  kernel.refuse = ({ verb }) => {
    if (verb === "remove") test.equal(results.length, 1);
    return undefined;
  };
  await go();
  test.strictSame(results.at(-1), { group: "node", revision: 2 });
  test.ok(kernel.holds([]));
});

t.test("a refused group stays as it was, and its neighbours in the same transaction do not suffer", async (test) => {
  const { kernel, results, reconciler, go } = await bench();
  reconciler.setGroup("bad", [element(1), route(1)], 1);
  await go();
  kernel.refuse = ({ verb, object }) =>
    verb === "create" && objectKey(object).includes("100.9") ? "No buffer space available" : undefined;
  reconciler.setGroup("bad", [element(9), route(1, 0, "dsmip-udp")], 2);
  reconciler.setGroup("good", [element(2), route(2)], 1);
  await go();
  test.match(results.slice(1), [
    { group: "bad", revision: 2, failure: { message: "No buffer space available" } },
    { group: "good", revision: 1 },
  ]);
  test.notOk(results[2]?.failure);
  test.ok(kernel.holds([element(1), route(1), element(2), route(2)]));
  test.strictSame(reconciler.groupObjects("bad"), [element(1), route(1)]);
});

t.test("a stranger's object is not touched: the group fails", async (test) => {
  const { kernel, results, reconciler, go } = await bench();
  kernel.strangers.set(objectKey(route(1)), route(1));
  reconciler.setGroup("node", [element(1), route(1)], 1);
  await go();
  test.match(results[0]?.failure?.message, /somebody else's/);
  test.ok(kernel.holds([]));
});

t.test(
  "after a restart what is there already is adopted without an operation, the rest goes once the plan is whole",
  async (test) => {
    const { kernel, reconciler, go } = await bench([route(1), element(1), route(7)]);
    reconciler.setGroup("node", [route(1), element(1)], 1);
    await go();
    test.strictSame(kernel.batches, []);
    reconciler.declareComplete();
    await reconciler.settled();
    test.strictSame(kernel.batches, [["remove route 254 198.51.100.7/32 0"]]);
    test.ok(kernel.holds([route(1), element(1)]));
  },
);

t.test("a table that is made anew gets its elements again", async (test) => {
  const { kernel, reconciler, go } = await bench([table(["old"]), element(1)]);
  reconciler.setGroup("site", [table(["new"])], 1);
  reconciler.setGroup("node", [element(1)], 1);
  await go();
  test.strictSame(kernel.batches, [["update nft-table inet dsmipd", "create nft-element port-4 198.51.100.1"]]);
});

t.test("objects that two groups share stay until both have let go", async (test) => {
  const { kernel, reconciler, go } = await bench();
  reconciler.setGroup("a", [link("dsmip0"), route(1)], 1);
  reconciler.setGroup("b", [link("dsmip0"), route(2)], 1);
  await go();
  reconciler.removeGroup("a", 2);
  await go();
  test.ok(kernel.holds([link("dsmip0"), route(2)]));
  reconciler.removeGroup("b", 2);
  await go();
  test.ok(kernel.holds([]));
});

t.test("an object wanted in two forms is refused to the second", async (test) => {
  const { results, reconciler, go } = await bench();
  reconciler.setGroup("a", [route(1)], 1);
  await go();
  reconciler.setGroup("b", [route(1, 0, "other")], 1);
  await go();
  test.match(results[1]?.failure?.message, /is wanted by a in another form/);
});

t.test("what somebody takes away or changes is made again", async (test) => {
  const { kernel, repairs, timers, reconciler, go } = await bench();
  reconciler.setGroup("node", [route(1), element(1)], 1);
  await go();
  kernel.interfere({ verb: "removed", object: route(1) });
  kernel.interfere({ verb: "changed", object: element(1, 9) });
  await reconciler.settled();
  test.ok(kernel.objects.has(objectKey(route(1))), "the first at once");
  timers.shift()?.run();
  await reconciler.settled();
  test.ok(kernel.holds([route(1), element(1)]));
  test.match(repairs, [/drift: route 254.* of node was removed/, /drift: nft-element.* of node was changed/]);
});

t.test("lost notifications lead to a full look at the kernel", async (test) => {
  const { kernel, repairs, reconciler, go } = await bench();
  reconciler.setGroup("node", [route(1), element(1)], 1);
  await go();
  kernel.objects.delete(objectKey(route(1)));
  kernel.announce("resync");
  await reconciler.settled();
  test.ok(kernel.holds([route(1), element(1)]));
  test.match(repairs, [/resync/]);
});

t.test("a repair that the kernel refuses is tried again with a growing pause", async (test) => {
  const { kernel, timers, reconciler, go } = await bench();
  reconciler.setGroup("node", [route(1)], 1);
  await go();
  kernel.refuse = () => "Network is down";
  kernel.interfere({ verb: "removed", object: route(1) });
  await reconciler.settled();
  test.equal(reconciler.failedObjects, 1);
  timers.shift()?.run();
  await reconciler.settled();
  test.strictSame(
    timers.map(({ delayMs }) => delayMs),
    [1000],
  );
  kernel.refuse = () => undefined;
  timers.shift()?.run();
  await reconciler.settled();
  test.ok(kernel.holds([route(1)]));
  test.equal(reconciler.failedObjects, 0);
});

t.test(
  "what we take back ourselves is nobody's drift, and a repair that fails waits whatever is announced",
  async (test) => {
    const { kernel, timers, repairs, reconciler, go } = await bench();
    reconciler.setGroup("node", [link("dsmip0"), route(1), element(1)], 1);
    await go();
    // An element that is refused takes the others back with it; of links the kernel does not say who did it.
    const announce = kernel.announce.bind(kernel);
    kernel.announce = (change) =>
      announce(
        change === "resync" || change.object.kind !== "link" ? change : { verb: change.verb, object: change.object },
      );
    kernel.refuse = ({ object }) => (object.kind === "nft-element" ? "Operation not permitted" : undefined);
    const batches = kernel.batches.length;
    for (const object of [link("dsmip0"), route(1), element(1)]) kernel.objects.delete(objectKey(object));
    announce("resync");
    await reconciler.settled();
    test.equal(kernel.batches.length - batches, 2, "made, and taken back");
    test.equal(timers.length, 2, "after the look and after the failure");
    for (let i = 0; i < 20; i++) {
      kernel.interfere({ verb: "removed", object: route(1) });
      kernel.announce({ verb: "removed", object: link("dsmip0") });
      await reconciler.settled();
    }
    test.equal(kernel.batches.length - batches, 2, "nothing before the pause is over");
    test.equal(repairs.filter((line) => line.startsWith("drift")).length, 0);
    test.equal(repairs.filter((line) => line.startsWith("repair-failed")).length, 1);
    kernel.refuse = () => undefined;
    for (const { run } of timers.splice(0)) run();
    await reconciler.settled();
    test.ok(kernel.holds([link("dsmip0"), route(1), element(1)]));
  },
);

t.test("what we have done ourselves is no news, however late it is announced", async (test) => {
  const { kernel, repairs, reconciler, go } = await bench();
  reconciler.setGroup("node", [route(1, 0, "first")], 1);
  await go();
  reconciler.setGroup("node", [route(1, 0, "second")], 2);
  await go();
  const batches = kernel.batches.length;
  kernel.announce({ verb: "changed", object: route(1, 0, "first"), own: true });
  await reconciler.settled();
  test.strictSame(repairs, []);
  test.equal(kernel.batches.length, batches);
});

t.test(
  "of a group that was whole what can be put back is put back, unless what is missing protects it",
  async (test) => {
    const { kernel, reconciler, go } = await bench();
    reconciler.setGroup("site", [link("dsmip0"), route(1), proxy(1), element(1)], 1);
    await go();
    kernel.refuse = ({ object }) => (object.kind === "proxy-neighbour" ? "No such device" : undefined);
    for (const object of [route(1), proxy(1)]) kernel.objects.delete(objectKey(object));
    kernel.announce("resync");
    await reconciler.settled();
    test.ok(kernel.holds([link("dsmip0"), route(1), element(1)]), "the home link is gone, and the rest need not be");
    const other = await bench();
    other.reconciler.setGroup("site", [route(1), element(1)], 1);
    await other.go();
    other.kernel.refuse = ({ object }) => (object.kind === "nft-element" ? "No such file or directory" : undefined);
    for (const object of [route(1), element(1)]) other.kernel.objects.delete(objectKey(object));
    other.kernel.announce("resync");
    await other.reconciler.settled();
    test.ok(other.kernel.holds([]), "no way without its firewall");
  },
);

t.test(
  "somebody who undoes each repair is answered with growing pauses, and once he rests all is well",
  async (test) => {
    const { kernel, timers, repairs, reconciler, go } = await bench();
    reconciler.setGroup("node", [route(1)], 1);
    await go();
    const pauses: number[] = [];
    for (let i = 0; i < 20; i++) {
      kernel.interfere({ verb: "removed", object: route(1) });
      await reconciler.settled();
      const pause = timers.shift();
      pauses.push(pause?.delayMs ?? 0);
      if (i % 2 === 1) pause?.run();
      await reconciler.settled();
      if (i % 2 === 0 && pause !== undefined) timers.unshift(pause);
    }
    test.strictSame([...new Set(pauses)], [20, 40, 80, 160, 320, 640, 1280, 2000], "and no longer ones");
    test.ok(repairs.length <= 20);
    for (let i = 0; i < 3; i++) timers.shift()?.run();
    await reconciler.settled();
    test.ok(kernel.holds([route(1)]));
    timers.length = 0;
    kernel.interfere({ verb: "removed", object: route(1) });
    await reconciler.settled();
    test.ok(kernel.holds([route(1)]), "at once again");
  },
);

t.test(
  "what a stranger makes under our mark is told once, left alone, and no reason to look at everything",
  async (test) => {
    const { kernel, repairs, reconciler, go } = await bench();
    reconciler.setGroup("node", [route(1)], 1);
    await go();
    const dumps = kernel.dumps;
    for (let i = 0; i < 5; i++) kernel.interfere({ verb: "changed", object: route(9, i) });
    for (let i = 0; i < 5; i++) kernel.interfere({ verb: "changed", object: route(9) });
    await reconciler.settled();
    test.equal(
      repairs.filter(
        (line) => line === "foreign: route 254 198.51.100.9/32 0 has our mark, but is none of ours: it is left alone",
      ).length,
      1,
    );
    test.equal(repairs.length, 5);
    test.equal(kernel.dumps, dumps);
    test.equal(kernel.objects.size, 6);
  },
);

t.test(
  "groups that share a new object: the one that fails does not take the other's back, and tells its own cause",
  async (test) => {
    const { kernel, results, reconciler, go } = await bench();
    kernel.refuse = ({ object }) =>
      objectKey(object) === objectKey(element(2)) ? "No space left on device" : undefined;
    reconciler.setGroup("a", [link("dsmip0"), element(1)], 1);
    reconciler.setGroup("c", [link("dsmip0"), element(3)], 1);
    reconciler.setGroup("b", [link("dsmip0"), element(2)], 1);
    await go();
    test.match(
      results.map(({ group, failure }) => [group, failure?.message]),
      [
        ["a", undefined],
        ["c", undefined],
        ["b", "No space left on device"],
      ],
    );
    test.ok(kernel.holds([link("dsmip0"), element(1), element(3)]));
  },
);

t.test("the first refusal is the cause, and the device of a TUN is not taken away with its group", async (test) => {
  const { kernel, results, reconciler, go } = await bench();
  const tun: KernelObject = { kind: "link", name: "dsmip-sig", mtu: 1400, up: true, link: { type: "tun" } };
  const forwarding: KernelObject = { kind: "sysctl", path: "net/ipv4/ip_forward", value: "1" };
  const removed: string[] = [];
  kernel.refuse = ({ verb, object }) => {
    if (verb === "remove") removed.push(objectKey(object));
    if (object.kind === "sysctl") return "Read-only file system";
    return removed.includes(objectKey(object)) ? "No such device" : undefined;
  };
  reconciler.setGroup("site", [tun, forwarding, link("dsmip0"), element(1)], 1);
  reconciler.setGroup("node", [element(2)], 1);
  await go();
  test.equal(results.find(({ group }) => group === "site")?.failure?.message, "Read-only file system");
  test.notOk(removed.includes(objectKey(tun)));
  test.equal(results.find(({ group }) => group === "node")?.failure, undefined);
});

t.test("a look at the kernel that fails is taken again after a pause, and ends nothing", async (test) => {
  const { kernel, repairs, timers, reconciler, go } = await bench();
  reconciler.setGroup("node", [route(1)], 1);
  await go();
  const read = kernel.dump.bind(kernel);
  kernel.dump = async () => {
    throw new MobilityError("MIP_KERNEL", "the table changed during each of 10 dumps");
  };
  kernel.objects.delete(objectKey(route(1)));
  kernel.announce("resync");
  kernel.announce("resync");
  await reconciler.settled();
  test.strictSame(repairs.slice(1), ["resync-failed: the table changed during each of 10 dumps"]);
  kernel.dump = read;
  timers.shift()?.run();
  await reconciler.settled();
  test.ok(kernel.holds([route(1)]));
});

t.test("a switch that went with its device is set again when the device is back", async (test) => {
  const { kernel, reconciler, go } = await bench();
  const filter: KernelObject = { kind: "sysctl", path: "net/ipv4/conf/dsmip0/rp_filter", value: "2" };
  reconciler.setGroup("site", [link("dsmip0"), filter], 1);
  await go();
  for (const object of [link("dsmip0"), filter]) kernel.objects.delete(objectKey(object));
  kernel.announce({ verb: "removed", object: link("dsmip0") });
  await reconciler.settled();
  test.ok(kernel.holds([link("dsmip0"), filter]));
});

t.test("what has failed is counted by objects, each once", async (test) => {
  const { kernel, timers, reconciler, go } = await bench();
  reconciler.setGroup("a", [route(1), route(2), element(1), link("dsmip0")], 1);
  reconciler.setGroup("b", [route(3), link("dsmip0")], 1);
  reconciler.setGroup("c", [route(4)], 1);
  await go();
  kernel.refuse = ({ verb }) => (verb === "create" ? "Network is down" : undefined);
  for (const object of [route(1), route(2), link("dsmip0")]) kernel.interfere({ verb: "removed", object });
  await reconciler.settled();
  test.equal(reconciler.failedObjects, 3, "two routes of one group, and the link of both");
  kernel.refuse = ({ verb }) => (verb === "remove" ? "Device or resource busy" : undefined);
  reconciler.removeGroup("c", 2);
  await go();
  test.equal(reconciler.failedObjects, 4, "and a route that does not go");
  kernel.refuse = () => undefined;
  for (const { run } of timers.splice(0)) run();
  await reconciler.settled();
  test.equal(reconciler.failedObjects, 0);
});

t.test("a repair that is due while the group gets another form leaves it that form", async (test) => {
  for (const turns of [0, 1, 2, 3, 4, 5, 6, 7, 8]) {
    const { kernel, timers, reconciler } = await bench();
    reconciler.setGroup("node", [route(1, 0, "before")], 1);
    reconciler.commit();
    await reconciler.settled();
    kernel.refuse = () => "Network is down";
    kernel.interfere({ verb: "removed", object: route(1, 0, "before") });
    await reconciler.settled();
    kernel.refuse = () => undefined;
    reconciler.setGroup("node", [route(1, 0, "after")], 2);
    reconciler.commit();
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    timers.shift()?.run();
    await reconciler.settled();
    test.ok(kernel.holds([route(1, 0, "after")]), `${turns} turns into the round`);
    test.strictSame((await reconciler.audit()).differences, []);
    test.equal(reconciler.failedObjects, 0);
  }
});

t.test("audit tells what is missing, different and unwanted, and changes nothing", async (test) => {
  const { kernel, reconciler, go } = await bench();
  reconciler.setGroup("node", [route(1), route(2)], 1);
  await go();
  kernel.objects.delete(objectKey(route(1)));
  kernel.objects.set(objectKey(route(2)), route(2, 0, "other"));
  kernel.objects.set(objectKey(route(3)), route(3));
  const { checked, differences } = await reconciler.audit();
  test.equal(checked, 2);
  test.match(differences, [
    { wanted: route(1) },
    { wanted: route(2), found: route(2, 0, "other") },
    { found: route(3) },
  ]);
  test.equal(kernel.batches.length, 1);
});

t.test("an audit finds no fault with what is made or removed while it reads the kernel", async (test) => {
  const { kernel, reconciler, go } = await bench();
  reconciler.setGroup("node", [route(1), route(2)], 1);
  await go();
  kernel.objects.set(objectKey(route(4)), route(4));
  const read = kernel.dump.bind(kernel);
  kernel.dump = async (kinds) => {
    const found = await read(kinds);
    reconciler.setGroup("node", [route(2), route(3)], 2);
    await go();
    return found;
  };
  test.match((await reconciler.audit()).differences, [{ found: route(4) }], "only what nobody works on");
  kernel.dump = read;
  test.match((await reconciler.audit()).differences, [{ found: route(4) }]);
  test.ok(kernel.holds([route(2), route(3), route(4)]));
});

t.test("an audit finds no fault with what is half made or half removed when it has read", async (test) => {
  for (const turns of [0, 1, 2, 3, 4, 5, 6, 7, 8]) {
    const { kernel, reconciler, go } = await bench();
    reconciler.setGroup("node", [route(1), route(2)], 1);
    await go();
    const read = kernel.dump.bind(kernel);
    kernel.dump = async (kinds) => {
      reconciler.setGroup("node", [route(2), route(3)], 2);
      reconciler.commit();
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      return read(kinds);
    };
    test.strictSame((await reconciler.audit()).differences, [], `${turns} turns into the round`);
    await reconciler.settled();
  }
});

t.test("a refresh mends what went without a word from the kernel, and tells why", async (test) => {
  const { kernel, repairs, results, reconciler, go } = await bench();
  reconciler.setGroup("node", [route(1), proxy(1)], 1);
  await go();
  kernel.objects.delete(objectKey(proxy(1)));
  reconciler.refresh("audit found 1 differences");
  await reconciler.settled();
  test.ok(kernel.holds([route(1), proxy(1)]));
  test.strictSame(repairs, ["resync: audit found 1 differences"]);
  test.equal(results.length, 1, "nobody waits for an answer to a repair");
  test.strictSame((await reconciler.audit()).differences, []);
});

t.test("a clean stop leaves nothing of ours, whatever was believed", async (test) => {
  const { kernel, reconciler, go } = await bench();
  reconciler.setGroup("node", [route(1), link("dsmip0")], 1);
  await go();
  kernel.objects.set(objectKey(route(5)), route(5));
  test.strictSame(await reconciler.removeAll(), []);
  test.ok(kernel.holds([]));
});

const anyObject = fc.oneof(
  fc.tuple(fc.integer({ min: 1, max: 6 }), fc.constantFrom("x", "y")).map(([n, device]) => route(n, 0, device)),
  fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 2 })).map(([n, value]) => element(n, value)),
  fc.integer({ min: 1, max: 4 }).map(proxy),
);
const anySet = fc.array(anyObject, { maxLength: 12 }).map(byKey);

t.test("the laws of diff: nothing for equals, and applied to a it gives b", (test) => {
  fc.assert(
    fc.property(anySet, (set) => {
      const { make, remove } = diff(set, set);
      return make.length === 0 && remove.length === 0;
    }),
  );
  fc.assert(
    fc.asyncProperty(anySet, anySet, async (a, b) => {
      const kernel = new FakeKernel();
      for (const [key, object] of a) kernel.objects.set(key, object);
      const { make, remove } = diff(b, a);
      await kernel.apply([...make, ...remove]);
      return kernel.holds([...b.values()]);
    }),
  );
  test.end();
});

t.test(
  "whatever groups want in whatever order, and whatever is refused, the kernel ends with what was granted",
  async () => {
    const wish = fc.record({
      group: fc.constantFrom("a", "b", "c"),
      objects: fc.array(anyObject, { maxLength: 6 }),
      refused: fc.boolean(),
      commit: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(wish, { maxLength: 15 }), async (wishes) => {
        const { kernel, reconciler, go } = await bench();
        for (const [i, { group, objects, refused, commit }] of wishes.entries()) {
          kernel.refuse = ({ verb, object }) =>
            refused && verb !== "remove" && object.kind === "route" ? "no" : undefined;
          reconciler.setGroup(group, objects, i);
          if (commit) await go();
        }
        kernel.refuse = () => undefined;
        await go();
        const granted = byKey(["a", "b", "c"].flatMap((group) => reconciler.groupObjects(group)));
        return kernel.holds([...granted.values()]);
      }),
    );
  },
);

t.test("what others change without a word is mended when one asks for it, and nothing else is read", async (test) => {
  const { kernel, repairs, reconciler, go } = await bench();
  reconciler.setGroup("site", [HOME_AGENT_POLICY_HASH, route(1)], 1);
  await go();
  const batches = kernel.batches.length;
  test.ok(await reconciler.recheck(HOME_AGENT_POLICY_HASH));
  await reconciler.settled();
  test.equal(kernel.batches.length, batches, "it is as it should be");
  kernel.objects.delete(objectKey(HOME_AGENT_POLICY_HASH)); // other thresholds are none of ours
  kernel.objects.delete(objectKey(route(1)));
  test.notOk(await reconciler.recheck(HOME_AGENT_POLICY_HASH));
  await reconciler.settled();
  test.strictSame(kernel.batches.slice(batches), [["create policy-hash"]]);
  test.strictSame(repairs, ["drift: policy-hash of site was removed"]);
});

t.test(
  "what is announced while the kernel is read for the first time is taken in without another word",
  async (test) => {
    const kernel = new FakeKernel();
    const repairs: string[] = [];
    const listener = {
      onResult: () => undefined,
      onRepair: (what: string) => void repairs.push(what),
      onLoss: () => undefined,
    };
    const reconciler = new Reconciler(kernel, listener, { schedule: () => undefined });
    const started = reconciler.start();
    kernel.announce({ verb: "changed", object: route(9) });
    await started;
    await reconciler.settled();
    test.strictSame(repairs, ["foreign"]);
  },
);

t.test("what nobody announces and two groups share is looked at until both have let go", async (test) => {
  const { kernel, reconciler, go } = await bench();
  reconciler.setGroup("a", [proxy(1)], 1);
  reconciler.setGroup("b", [proxy(1), proxy(2)], 1);
  await go();
  reconciler.setGroup("a", [proxy(2)], 2);
  await go();
  kernel.objects.delete(objectKey(proxy(1)));
  await reconciler.look();
  await reconciler.settled();
  test.ok(kernel.objects.has(objectKey(proxy(1))), "the other group still has it");
  reconciler.setGroup("b", [], 2);
  await go();
  test.ok(kernel.holds([proxy(2)]));
  const asked = kernel.lookedUp.length;
  await reconciler.look();
  test.strictSame(kernel.lookedUp.slice(asked), [objectKey(proxy(2))]);
});

t.test("what is announced while the kernel is read is newer than the answer", async (test) => {
  const kernel = new FakeKernel();
  kernel.objects.set(objectKey(route(1)), route(1));
  const repairs: string[] = [];
  const listener = {
    onResult: () => undefined,
    onRepair: (what: string, detail: string) => void repairs.push(`${what}: ${detail}`),
    onLoss: () => undefined,
  };
  const reconciler = new Reconciler(kernel, listener, { schedule: () => undefined });
  const read = kernel.dump.bind(kernel);
  const lookUp = kernel.lookUp.bind(kernel);
  const readThen = (change: () => void): void => {
    kernel.lookUp = async (objects) => {
      kernel.lookUp = lookUp;
      const found = await lookUp(objects);
      change();
      return found;
    };
    kernel.dump = async (kinds) => {
      kernel.dump = read;
      const found = await read(kinds);
      change();
      return found;
    };
  };
  // At the start: what the answer has is gone by then.
  readThen(() => kernel.interfere({ verb: "removed", object: route(1) }));
  await reconciler.start();
  reconciler.setGroup("node", [route(1)], 1);
  reconciler.commit();
  await reconciler.settled();
  test.ok(kernel.holds([route(1)]), "it is not believed to be there still");
  // One thing is looked at: the answer has not got it, and it is back by then.
  const there = kernel.objects.get(objectKey(route(1)));
  kernel.objects.delete(objectKey(route(1)));
  readThen(() => {
    if (there !== undefined) kernel.interfere({ verb: "changed", object: there });
  });
  const batches = kernel.batches.length;
  await reconciler.recheck(route(1));
  await reconciler.settled();
  test.strictSame(kernel.batches.slice(batches), [], "nothing is to be mended");
  test.strictSame(repairs, []);
  // All is looked at.
  readThen(() => kernel.interfere({ verb: "removed", object: route(1) }));
  reconciler.refresh("asked");
  await reconciler.settled();
  test.ok(kernel.holds([route(1)]), "what goes behind the answer is put back");
});

t.test(
  "what nobody announces is looked at, few at a time, and mended; more at once when some are missing",
  async (test) => {
    const { kernel, repairs, reconciler, timers, go } = await bench();
    const many = Array.from({ length: 1200 }, (_, i) => proxy(i + 1));
    const port: KernelObject = { kind: "fou-port", family: 4, port: 4191, encapsulation: "gue" };
    reconciler.setGroup("site", [port, HOME_AGENT_POLICY_HASH, route(1)], 1);
    for (const [i, one] of many.entries()) reconciler.setGroup(`binding ${i}`, [one], 1);
    await go();
    const batches = kernel.batches.length;
    test.equal(await reconciler.look(), false);
    await reconciler.settled();
    test.ok(kernel.lookedUp.length <= 512);
    test.ok(kernel.lookedUp.includes(objectKey(port)));
    test.equal(kernel.batches.length, batches, "all is well, and nothing is done");
    test.equal(kernel.dumps, 1);
    // All proxies go with a flap of the link; only a few are in the slice.
    for (const one of many) kernel.objects.delete(objectKey(one));
    kernel.objects.delete(objectKey(port));
    let looks = 1;
    while (await reconciler.look()) looks++;
    await reconciler.settled();
    for (const { run } of timers.splice(0)) run();
    await reconciler.settled();
    test.ok(looks <= 4, `${looks} looks`);
    test.ok(kernel.holds([port, HOME_AGENT_POLICY_HASH, route(1), ...many]));
    test.equal(repairs.filter((line) => /fou-port/.test(line)).length, 1);
    reconciler.removeGroup("site", 2);
    await go();
    kernel.lookedUp.length = 0;
    for (let i = 0; i < 3; i++) await reconciler.look();
    test.notOk(kernel.lookedUp.includes(objectKey(port)), "what nobody wants is not looked at");
    test.equal(new Set(kernel.lookedUp).size, 1200, "each has its turn");
  },
);

t.test("a home address comes after its protection and goes before it", async (test) => {
  const { kernel, reconciler, go } = await bench();
  const home: KernelObject = {
    kind: "address",
    device: "dsmip-hoa",
    address: ipv6("2001:db8:1::100"),
    prefixLength: 128,
    home: true,
    noPrefixRoute: true,
  };
  const selector = { source: { address: home.address, length: 128 }, destination: { address: ipv6("::"), length: 0 } };
  const block: KernelObject = {
    kind: "xfrm-policy",
    ...{ direction: "out", policyType: "main", action: "block" },
    selector: { ...selector, protocol: 0 },
    priority: 0x41910800,
    templates: [],
  };
  reconciler.setGroup("node", [home, block, route(1)], 1);
  await go();
  reconciler.removeGroup("node", 2);
  await go();
  const kinds = kernel.batches.map((batch) => batch.map((line) => line.split(" ")[1]));
  test.strictSame(kinds, [
    ["xfrm-policy", "address", "route"],
    ["route", "address", "xfrm-policy"],
  ]);
});
