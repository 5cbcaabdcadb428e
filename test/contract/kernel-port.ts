/**
 * What every KernelPort promises, as one list of cases: run against the fake (test/unit/reconcile/kernel-port.test.ts) and against the
 * kernel (test/kernel/kernel-port.test.ts), so that what the reconciler's tests rest on is what the kernel does. A case gets an empty
 * port; every assertion that fails throws.
 */
import assert from "node:assert/strict";
import { ipv4, ipv6 } from "../../controller/base/ip.js";
import { Secret } from "../../controller/base/secret.js";
import type { Filter, FilterHook } from "../../controller/plan/objects/copying.js";
import { objectsEqual } from "../../controller/plan/objects/equal.js";
import type { NftElement, NftTable } from "../../controller/plan/objects/firewall.js";
import type { Address, Link, Route } from "../../controller/plan/objects/forwarding.js";
import { type KernelObject, OWNERSHIP, objectKey } from "../../controller/plan/objects/objects.js";
import type { XfrmState } from "../../controller/plan/objects/security.js";
import { SENDING_MARK } from "../../controller/plan/security/marks.js";
import type { KernelChange, KernelPort, Operation, Outcome } from "../../controller/reconcile/kernel-port.js";
import { KIND_ORDER } from "../../controller/reconcile/order.js";

export interface ContractBench {
  readonly port: KernelPort;
  /** All that was announced so far. */
  readonly changes: readonly (KernelChange | "resync")[];
  /** Somebody else makes the route or address, without our mark. */
  strangerMakes(object: Route | Address): Promise<void>;
  /** Somebody else takes an object of ours away. */
  strangerRemoves(object: Route | Address): Promise<void>;
  /** Whether the stranger's object is as he made it. */
  strangerHas(object: Route | Address): Promise<boolean>;
  /** Returns when the condition holds, or throws in the end. */
  eventually(condition: () => boolean, what: string): Promise<void>;
}

export interface ContractCase {
  readonly name: string;
  run(bench: ContractBench): Promise<void>;
}

const DEVICE: Link = { kind: "link", name: "dsmipd0", mtu: 1400, up: true, link: { type: "dummy" } };
const address = (text: string): Address => ({
  kind: "address",
  device: DEVICE.name,
  address: ipv4(text),
  prefixLength: 32,
  home: false,
  noPrefixRoute: false,
});
const route = (host: number, changes: Partial<Route> = {}): Route => ({
  kind: "route",
  destination: { address: ipv6(`2001:db8:5::${host.toString(16)}`), length: 128 },
  table: 254,
  metric: 100,
  device: DEVICE.name,
  ...changes,
});
const TABLE: NftTable = {
  kind: "nft-table",
  family: "inet",
  name: OWNERSHIP.nftTable,
  counters: [],
  sets: [
    { name: "bound", key: ["ipv6_addr"] },
    { name: "ports", key: ["ipv4_addr"], value: "inet_service" },
  ],
  chains: [],
};
const element = (host: number): NftElement => ({
  kind: "nft-element",
  set: "bound",
  key: [ipv6(`2001:db8:5::${host.toString(16)}`)],
});
const port = (value: number): NftElement => ({
  kind: "nft-element",
  set: "ports",
  key: [ipv4("203.0.113.77")],
  value,
});

const HOOK: FilterHook = { kind: "qdisc", device: DEVICE.name, direction: "ingress", block: 4191 };
const copy = (priority: number, changes: Partial<Filter> = {}): Filter => ({
  kind: "filter",
  block: 4191,
  chain: 7,
  priority,
  handle: 1,
  family: 6,
  match: {},
  tag: "020007020003",
  outcome: { verb: "copy-in", device: DEVICE.name },
  ...changes,
});

const association = (end: string): XfrmState => ({
  kind: "xfrm-state",
  source: ipv4("203.0.113.1"),
  destination: ipv4(end),
  reqid: OWNERSHIP.reqidBase + 19,
  transform: {
    type: "esp",
    spi: 0x1000,
    mode: "tunnel",
    aead: { algorithm: "rfc4106(gcm(aes))", key: new Secret(new Uint8Array(20).fill(7)), icvLength: 16 },
    replayWindow: 4096,
    mark: SENDING_MARK,
  },
});

const create = (object: KernelObject): Operation => ({ verb: "create", object });
const remove = (object: KernelObject): Operation => ({ verb: "remove", object });
const update = (object: KernelObject, previous: KernelObject): Operation => ({ verb: "update", object, previous });

const refused = (outcomes: readonly Outcome[]): string[] =>
  outcomes.flatMap(({ operation, error }) => (error === undefined ? [] : [objectKey(operation.object)]));

async function accepted(bench: ContractBench, ...operations: readonly Operation[]): Promise<void> {
  const outcomes = await bench.port.apply(operations);
  assert.deepEqual(
    outcomes.map(({ operation, error }) => [operation, error?.message]),
    operations.map((operation) => [operation, undefined]),
  );
}

/** The port has these objects and no others. */
async function holds(bench: ContractBench, ...objects: readonly KernelObject[]): Promise<void> {
  const found = await bench.port.dump(KIND_ORDER);
  assert.deepEqual(found.map(objectKey).sort(), objects.map(objectKey).sort());
  for (const object of objects) {
    const same = found.find((one) => objectKey(one) === objectKey(object));
    assert.ok(
      same !== undefined && objectsEqual(object, same),
      `${JSON.stringify(same)} for ${JSON.stringify(object)}`,
    );
  }
}

export const KERNEL_PORT_CONTRACT: readonly ContractCase[] = [
  {
    name: "what was made is dumped as it was made, kind by kind, with one outcome for each operation in their order",
    async run(bench) {
      const objects = [DEVICE, address("198.51.100.1"), route(1), TABLE, element(1), port(40_000)];
      await accepted(bench, ...objects.map(create));
      await holds(bench, ...objects);
      const some = await bench.port.dump(["route", "nft-element"]);
      assert.deepEqual(some.map(({ kind }) => kind).sort(), ["nft-element", "nft-element", "route"]);
    },
  },
  {
    name: "what is looked up by its key is what the kernel has now, or nothing, a stranger's too",
    async run(bench) {
      const proxy = (host: number): KernelObject => ({
        kind: "proxy-neighbour",
        device: DEVICE.name,
        address: ipv6(`2001:db8:5::${host.toString(16)}`),
        router: false,
      });
      const narrow = route(1, { mtu: 1300 });
      await accepted(bench, create(DEVICE), create(narrow), create(proxy(1)), create(TABLE), create(element(1)));
      const asked = [proxy(2), route(1), proxy(1), route(2), element(1), DEVICE];
      const found = await bench.port.lookUp(asked);
      assert.deepEqual(
        found.map((object) => object && objectKey(object)),
        [undefined, route(1), proxy(1), undefined, element(1), DEVICE].map((object) => object && objectKey(object)),
      );
      assert.ok(found[1] !== undefined && objectsEqual(found[1], narrow), "as it is, not as it was asked for");
      await bench.strangerMakes(route(2));
      assert.deepEqual(await bench.port.lookUp([route(2)]), [undefined]);
      assert.deepEqual(await bench.port.lookUp([]), []);
    },
  },
  {
    name: "making what is there already in the same form is a success, removing what is gone too",
    async run(bench) {
      await accepted(bench, create(DEVICE), create(route(1)), create(TABLE), create(element(1)));
      await accepted(bench, create(DEVICE), create(route(1)), create(element(1)));
      await holds(bench, DEVICE, route(1), TABLE, element(1));
      await accepted(bench, remove(route(1)), remove(element(1)));
      await accepted(bench, remove(route(1)), remove(element(1)), remove(route(2)), remove(element(2)));
      await holds(bench, DEVICE, TABLE);
    },
  },
  {
    name: "an update replaces the content under the same key",
    async run(bench) {
      await accepted(bench, create(DEVICE), create(route(1)), create(TABLE), create(port(40_000)));
      const [narrow, moved] = [route(1, { mtu: 1300 }), port(50_000)];
      await accepted(bench, update(narrow, route(1)), update(moved, port(40_000)));
      await holds(bench, DEVICE, narrow, TABLE, moved);
    },
  },
  {
    name: "filters that copy packets are dumped as they were made, each kind of them, change in place, and go one by one",
    async run(bench) {
      const group: Filter = {
        ...copy(1),
        ...{ chain: 0, handle: 9, outcome: { verb: "goto", chain: 7 } },
        match: { destination: { address: ipv6("ff3e::99"), length: 128 } },
      };
      const group4: Filter = {
        ...{ ...group, priority: 2, family: 4, outcome: { verb: "goto", chain: 8 } },
        match: { destination: { address: ipv4("239.1.1.9"), length: 32 } },
      };
      const reports: Filter = {
        ...{ kind: "filter", block: 4191, chain: 0, priority: 3, handle: 1, family: 6 },
        match: { protocol: 58, icmpv6Type: 143, destination: { address: ipv6("ff00::"), length: 8 } },
        outcome: { verb: "move-out", device: DEVICE.name },
      };
      const inward: Filter = { ...reports, priority: 4, match: {}, outcome: { verb: "move-in", device: DEVICE.name } };
      const all = [DEVICE, HOOK, copy(1), copy(2), group, group4, reports, inward];
      await accepted(bench, ...all.map(create));
      await holds(bench, ...all);
      await accepted(bench, ...all.map(create));
      const retagged = copy(2, { tag: "020007030004" });
      await accepted(bench, update(retagged, copy(2)), remove(copy(1)), remove(copy(1)), remove(copy(5)));
      await holds(bench, DEVICE, HOOK, retagged, group, group4, reports, inward);
      const rest = [inward, reports, group4, group, retagged, HOOK];
      await accepted(bench, ...rest.map(remove), ...rest.map(remove));
      await holds(bench, DEVICE);
    },
  },
  {
    name: "a permanent neighbour of either family is dumped and looked up as it was made, changes in place, and goes",
    async run(bench) {
      const neighbour = (text: string, linkAddress: string): KernelObject => ({
        kind: "permanent-neighbour",
        device: DEVICE.name,
        address: text.includes(":") ? ipv6(text) : ipv4(text),
        linkAddress,
      });
      const old = neighbour("240.43.0.1", "02:00:00:00:00:01");
      const moved = neighbour("240.43.0.1", "02:00:00:00:00:02");
      const other = neighbour("2001:db8:5::9", "02:00:00:00:00:01");
      await accepted(bench, create(DEVICE), create(old), create(other), create(old));
      await holds(bench, DEVICE, old, other);
      await accepted(bench, update(moved, old));
      await holds(bench, DEVICE, moved, other);
      const [found] = await bench.port.lookUp([old]);
      assert.ok(found !== undefined && objectsEqual(found, moved));
      await accepted(bench, remove(moved), remove(moved), remove(other));
      await holds(bench, DEVICE);
    },
  },
  {
    name: "a table that is replaced takes its elements with it, and takes new ones in the same transaction",
    async run(bench) {
      await accepted(bench, create(TABLE), create(element(1)), create(element(2)));
      const bigger: NftTable = { ...TABLE, counters: ["spoofed"] };
      await accepted(bench, update(bigger, TABLE), create(element(1)));
      await holds(bench, bigger, element(1));
    },
  },
  {
    name: "what a stranger made with the same identity is refused, stays his and is not dumped",
    async run(bench) {
      await accepted(bench, create(DEVICE));
      const his = route(1);
      await bench.strangerMakes(his);
      await bench.strangerMakes(address("198.51.100.1"));
      const outcomes = await bench.port.apply([create(route(1, { mtu: 1300 })), create(address("198.51.100.1"))]);
      assert.deepEqual(refused(outcomes), [objectKey(his), objectKey(address("198.51.100.1"))]);
      assert.ok(await bench.strangerHas(his));
      assert.ok(await bench.strangerHas(address("198.51.100.1")));
      await holds(bench, DEVICE);
    },
  },
  {
    name: "what takes on from another is made beside it, and refused where that one is gone",
    async run(bench) {
      const [first, second, third] = ["203.0.114.11", "203.0.114.12", "203.0.114.13"].map(association);
      assert.ok(first && second && third);
      const after = (object: XfrmState, ...predecessors: readonly XfrmState[]): Operation => ({
        verb: "create",
        object,
        predecessors,
      });
      await accepted(bench, create(first));
      await accepted(bench, after(second, first), remove(first));
      await holds(bench, second);
      assert.deepEqual(refused(await bench.port.apply([after(third, first, second)])), [objectKey(third)]);
      await accepted(bench, after(third, second), after(third, second));
      await holds(bench, second, third);
      await accepted(bench, remove(second), after(first, second));
      await holds(bench, first, third);
    },
  },
  {
    name: "a refused operation does not stop the ones after it",
    async run(bench) {
      await accepted(bench, create(DEVICE));
      await bench.strangerMakes(route(2));
      const outcomes = await bench.port.apply([create(route(1)), create(route(2)), create(route(3))]);
      assert.deepEqual(refused(outcomes), [objectKey(route(2))]);
      await holds(bench, DEVICE, route(1), route(3));
    },
  },
  {
    name: "an nftables transaction fails whole: every operation of it is refused, nothing has changed and nothing is announced; others go through",
    async run(bench) {
      await accepted(bench, create(DEVICE), create(TABLE), create(element(1)));
      const impossible: NftElement = { ...element(9), set: "no-such-set" };
      const transaction = [create(element(2)), create(impossible), remove(element(1))];
      const outcomes = await bench.port.apply([create(route(1)), ...transaction, create(route(2))]);
      assert.deepEqual(
        refused(outcomes),
        transaction.map(({ object }) => objectKey(object)),
      );
      await holds(bench, DEVICE, route(1), route(2), TABLE, element(1));
      const untold = bench.changes.every((change) => {
        return change === "resync" || objectKey(change.object) !== objectKey(element(2));
      });
      assert.ok(untold, "what was taken back was never there");
    },
  },
  {
    name: "what others take from us is announced, and that it is gone shows in the next dump",
    async run(bench) {
      await accepted(bench, create(DEVICE), create(route(1)), create(route(2)));
      await bench.strangerRemoves(route(1));
      await bench.eventually(
        () =>
          bench.changes.some(
            (change) =>
              change === "resync" || (change.verb === "removed" && objectKey(change.object) === objectKey(route(1))),
          ),
        "the announcement",
      );
      await holds(bench, DEVICE, route(2));
    },
  },
  {
    name: "an empty batch is no work, and calls may overlap: each sees what the ones before it made",
    async run(bench) {
      assert.deepEqual(await bench.port.apply([]), []);
      const [made, , found] = await Promise.all([
        bench.port.apply([create(DEVICE)]),
        bench.port.apply([create(route(1))]),
        bench.port.dump(["link", "route"]),
      ]);
      assert.deepEqual(refused(made), []);
      assert.deepEqual(found.map(objectKey), [objectKey(DEVICE), objectKey(route(1))]);
    },
  },
];
