/**
 * The kernel port against a real kernel: strangers are left alone, a restart takes over what is there, thousands of routes are few
 * transactions, and what others change is announced or leads to a new dump.
 */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import test, { type TestContext } from "node:test";
import { ipv4, ipv6 } from "../../../controller/base/ip.js";
import { EADDRINUSE, EEXIST, ENOENT } from "../../../controller/netlink/errno.js";
import { KernelError } from "../../../controller/netlink/errors.js";
import { objectsEqual } from "../../../controller/plan/objects/equal.js";
import type { NftElement, NftTable } from "../../../controller/plan/objects/firewall.js";
import type { KernelObject } from "../../../controller/plan/objects/objects.js";
import type { XfrmPolicy, XfrmState } from "../../../controller/plan/objects/security.js";
import { loadCodecVectors } from "../../lib/codec-vectors.js";
import { type Node, Topology } from "../lib/topology.js";
import { waitFor } from "../lib/wait.js";
import {
  create,
  DUMMY,
  errorsOf,
  KINDS,
  link,
  missingDevices,
  NBMA,
  openKernel,
  PLAIN,
  remove,
  route,
  TUNNELS,
  tinyTransports,
  update,
} from "./rtnetlink-objects.js";

const skip = missingDevices();
const XFRM_VECTORS = loadCodecVectors<XfrmState | XfrmPolicy>("xfrm.json");

function namespace(t: TestContext): Node {
  const net = new Topology(t);
  const node = net.node("k");
  net.build();
  return node;
}

async function setup(t: TestContext, ...objects: readonly KernelObject[]) {
  const node = namespace(t);
  const opened = await openKernel(t, node.path);
  assert.deepEqual(errorsOf(await opened.kernel.apply(objects.map(create))), []);
  return { node, ...opened };
}

const text = (node: Node, command: string): string => node.run("bash", "-c", command).trim();

test("what a stranger made with the same identity stays his", { skip }, async (t) => {
  const { node, kernel } = await setup(t, DUMMY);
  node.ip(
    "route add 2001:db8:5::/64 dev dsmipd0 metric 100 proto static",
    "route add 10.1.0.0/16 dev dsmipd0 metric 100 proto static",
    "address add 198.51.100.1/32 dev dsmipd0",
    "neighbour add proxy 198.51.100.200 dev dsmipd0",
    "link add dsmipd7 type dummy",
    "link set dsmipd7 alias somebody",
    "rule add priority 7 table 77",
  );
  const mine: readonly KernelObject[] = [
    route("2001:db8:5::/64"),
    route("10.1.0.0/16", { mtu: 1300 }),
    {
      kind: "address",
      device: "dsmipd0",
      address: ipv4("198.51.100.1"),
      prefixLength: 32,
      home: false,
      noPrefixRoute: false,
    },
    { kind: "proxy-neighbour", device: "dsmipd0", address: ipv4("198.51.100.200"), router: false },
    link("dsmipd7", { type: "dummy" }),
  ];
  const show =
    "ip -4 route; ip -6 route show proto static; ip -4 -o address show dev dsmipd0; ip neighbour show proxy; ip link show dsmipd7; ip rule";
  const before = text(node, show);
  for (const { error } of await kernel.apply(mine.map(create))) {
    assert.ok(error instanceof KernelError && error.errno === EEXIST, String(error));
    assert.match(error.message, /^ip .*: there is one already that is not ours: ip /);
  }
  assert.equal(text(node, show), before);
  assert.deepEqual(
    (await kernel.dump(KINDS)).map(({ kind }) => kind),
    ["link"],
    "dsmipd0 alone",
  );

  // A rule differs from its twin by the protocol: both stand, and ours goes alone.
  const rule = { kind: "rule", family: 4, priority: 7, table: 77 } as const;
  assert.deepEqual(errorsOf(await kernel.apply([create(rule), remove(rule)])), []);
  // Removing ours does not take a stranger's away.
  assert.deepEqual(
    errorsOf(
      await kernel.apply([
        remove(mine[0] as KernelObject),
        remove(mine[1] as KernelObject),
        remove(mine[4] as KernelObject),
      ]),
    ),
    [],
  );
  assert.equal(text(node, show), before);
});

test("a route that a stranger replaced is announced as gone, and is his", { skip }, async (t) => {
  const { node, kernel, changes } = await setup(t, DUMMY, route("2001:db8:5::/64"));
  node.ip("route replace 2001:db8:5::/64 dev dsmipd0 metric 100 proto static");
  await waitFor(() => changes.some((change) => change !== "resync" && change.verb === "removed"), {
    what: "the announcement",
  });
  assert.deepEqual(await kernel.dump(["route"]), []);
});

test("a restart takes over what is there and changes nothing", { skip }, async (t) => {
  const all = [...PLAIN, ...TUNNELS];
  const { node, kernel: first } = await setup(t, ...all);
  first.close();
  const show =
    "ip -d link; ip -4 -d route show table all; ip -6 -d route show table all; ip rule; ip -6 rule; ip -d address | grep -v valid_lft";
  const before = text(node, show);
  const { kernel, changes } = await openKernel(t, node.path);
  const found = await kernel.dump(KINDS);
  assert.equal(found.length, all.length);
  for (const object of all)
    assert.ok(
      found.some((one) => objectsEqual(one, object)),
      JSON.stringify(object),
    );
  assert.deepEqual(errorsOf(await kernel.apply(all.map(create))), [], "even if nobody had looked");
  assert.equal(text(node, show), before);
  assert.deepEqual(changes, []);
});

test("a device that a crash left without its mark is finished", { skip }, async (t) => {
  const { node, kernel } = await setup(t);
  node.ip("link add dsmip4 mtu 1400 type sit mode any local 203.0.113.1 remote any ttl 64 tos inherit");
  assert.deepEqual(errorsOf(await kernel.apply([create(NBMA)])), []);
  const [found] = await kernel.dump(["link"]);
  assert.ok(found !== undefined && objectsEqual(found, NBMA));
});

test("a tunnel that another one excludes is refused by name", { skip }, async (t) => {
  const { kernel } = await setup(t, NBMA);
  const [outcome] = await kernel.apply([create({ ...NBMA, name: "dsmip4b" })]);
  assert.match(outcome?.error?.message ?? "", /another one is in the way: ip link add dsmip4 /);
});

test("a UDP port that another program holds is no FOU port", { skip }, async (t) => {
  const socket = createSocket("udp4");
  t.after(() => socket.close());
  await new Promise<void>((resolve) => socket.bind(4193, resolve));
  const { kernel } = await openKernel(t);
  const [outcome] = await kernel.apply([create({ kind: "fou-port", family: 4, port: 4193, encapsulation: "gue" })]);
  assert.ok(outcome?.error instanceof KernelError && outcome.error.errno === EADDRINUSE, String(outcome?.error));
});

test("2,000 routes and proxies are few transactions, new, the same again, changed and removed", { skip }, async (t) => {
  const { kernel } = await setup(t, DUMMY);
  const routes = Array.from({ length: 2000 }, (_, i) => route(`2001:db8:9::${(i + 1).toString(16)}/128`));
  const changed = routes.map((one) => ({ ...one, mtu: 1300 }));
  const transactions = async (work: () => Promise<unknown>): Promise<number> => {
    const before = kernel.counters().transactions;
    await work();
    return kernel.counters().transactions - before;
  };
  const apply = (operations: Parameters<typeof kernel.apply>[0]) => async () =>
    assert.deepEqual(errorsOf(await kernel.apply(operations)), []);
  assert.equal(await transactions(apply(routes.map(create))), 4);
  assert.deepEqual(new Set(await kernel.dump(["route"])), new Set(routes));
  assert.ok((await transactions(apply(routes.map(create)))) <= 7, "four refused and one look at what is there");
  assert.equal(await transactions(apply(changed.map((one, i) => update(one, routes[i] as KernelObject)))), 4);
  assert.equal((await kernel.dump(["route"])).filter((one) => one.kind === "route" && one.mtu === 1300).length, 2000);
  assert.equal(await transactions(apply(routes.map(remove))), 4);
  assert.deepEqual(await kernel.dump(["route"]), []);
  const proxies = routes.slice(0, 500).map(
    ({ destination }): KernelObject => ({
      kind: "proxy-neighbour",
      device: "dsmipd0",
      address: destination.address,
      router: false,
    }),
  );
  assert.equal(await transactions(apply(proxies.map(create))), 2, "asked first, because the kernel would overwrite");
  assert.equal((await kernel.dump(["proxy-neighbour"])).length, 500);
  assert.equal(await transactions(apply(proxies.map(remove))), 1);
});

test("the kernel's words reach the error, and the rest of the batch the kernel", { skip }, async (t) => {
  const { kernel } = await setup(t, DUMMY);
  const [good, bad, alsoGood] = await kernel.apply([
    create(route("10.1.0.0/16")),
    create(route("10.2.0.0/16", { via: ipv4("192.0.2.1") })),
    create(route("10.3.0.0/16")),
  ]);
  assert.equal(good?.error ?? alsoGood?.error, undefined);
  assert.equal(
    bad?.error?.message,
    "ip route add 10.2.0.0/16 via 192.0.2.1 dev dsmipd0 table 254 proto 155 metric 100: Nexthop has invalid gateway (ENETUNREACH)",
  );
});

test("announcements of what others do to our objects", { skip }, async (t) => {
  const objects: readonly KernelObject[] = [
    DUMMY,
    route("2001:db8:5::/64"),
    ...PLAIN.filter(({ kind }) => kind === "address" || kind === "rule"),
  ];
  const { node, changes } = await setup(t, ...objects);
  await waitFor(
    () =>
      objects.every((object) =>
        changes.some((one) => one !== "resync" && one.verb === "changed" && objectsEqual(one.object, object)),
      ),
    {
      what: "announcements of our own changes",
    },
  );
  node.ip("route del 2001:db8:5::/64 dev dsmipd0 metric 100", "address del 2001:db8:1::100/128 dev dsmipd0");
  node.run("ip", "-6", "rule", "del", "priority", "1000");
  await waitFor(() => changes.filter((one) => one !== "resync" && one.verb === "removed").length === 3, {
    what: "three removals",
  });
  const before = changes.length;
  node.ip("link set dsmipd0 down");
  await waitFor(() => changes.slice(before).includes("resync"), { what: "a resync: IPv4 routes go without a word" });
});

test("our own link changes are no reason for a new dump", { skip }, async (t) => {
  const { kernel, changes } = await setup(t, DUMMY, ...TUNNELS);
  const links = TUNNELS.filter(({ kind }) => kind === "link").length;
  assert.deepEqual(errorsOf(await kernel.apply(TUNNELS.toReversed().map(remove))), []);
  await waitFor(
    () =>
      changes.filter((one) => one !== "resync" && one.verb === "removed" && one.object.kind === "link").length ===
      links,
    { what: `${links} links gone` },
  );
  assert.ok(!changes.includes("resync"));
});

test("lost announcements are noticed", { skip }, async (t) => {
  const node = namespace(t);
  const { kernel, changes } = await openKernel(t, node.path, tinyTransports(node.path));
  assert.deepEqual(errorsOf(await kernel.apply([create(DUMMY)])), []);
  const lines = Array.from(
    { length: 500 },
    (_, i) => `route add 2001:db8:a::${(i + 1).toString(16)}/128 dev dsmipd0 proto 155 metric 9`,
  );
  node.ip(...lines); // blocks this process meanwhile, so nobody reads
  await waitFor(() => changes.includes("resync"), { what: "a resync" });
  assert.equal((await kernel.dump(["route"])).length, 500);
});

test("a switch under /proc/sys", { skip }, async (t) => {
  const { kernel } = await openKernel(t);
  const path = "net/ipv6/conf/lo/proxy_ndp";
  const read = (): string => readFileSync(`/proc/sys/${path}`, "utf8").trim();
  const value = read() === "1" ? "0" : "1";
  assert.deepEqual(errorsOf(await kernel.apply([create({ kind: "sysctl", path, value })])), []);
  assert.equal(read(), value);
  assert.deepEqual(await kernel.dump(["sysctl"]), [{ kind: "sysctl", path, value }]);
  const [outcome] = await kernel.apply([
    create({ kind: "sysctl", path: "net/ipv6/conf/nowhere/proxy_ndp", value: "1" }),
  ]);
  assert.ok(outcome?.error instanceof KernelError && outcome.error.errno === ENOENT);
});

const TABLE: NftTable = {
  kind: "nft-table",
  family: "inet",
  name: "dsmipd",
  counters: [],
  sets: [{ name: "port6", key: ["ipv6_addr"], value: "inet_service" }],
  chains: [{ name: "common", rules: [{ text: "accept", expressions: [{ type: "verdict", verdict: "accept" }] }] }],
};
const element = (host: number, port: number): NftElement => ({
  kind: "nft-element",
  set: "port6",
  key: [ipv6(`2001:db8:1::${host.toString(16)}`)],
  value: port,
});

test("nftables through the port: one transaction, what is needless left out, a stranger's hand noticed", {
  skip,
}, async (t) => {
  const { node, kernel, changes } = await setup(t);
  const many = Array.from({ length: 1000 }, (_, i) => element(i + 1, 1024 + i));
  const before = kernel.counters().transactions;
  assert.deepEqual(errorsOf(await kernel.apply([create(TABLE), ...many.map(create)])), []);
  assert.equal(kernel.counters().transactions - before, 1);
  assert.equal((await kernel.dump(["nft-element"])).length, 1000);
  const [table] = await kernel.dump(["nft-table"]);
  assert.ok(table !== undefined && objectsEqual(table, TABLE), JSON.stringify(table));

  // There already, there with another value, gone already: all end as wanted.
  const mixed = [
    create(element(1, 1024)),
    create(element(2, 9999)),
    remove(element(3, 1026)),
    remove(element(5000, 1)),
    update(element(4, 8888), element(4, 1027)),
  ];
  assert.deepEqual(errorsOf(await kernel.apply(mixed)), []);
  const elements = await kernel.dump(["nft-element"]);
  assert.equal(elements.length, 999);
  for (const wanted of [element(1, 1024), element(2, 9999), element(4, 8888)])
    assert.ok(elements.some((one) => objectsEqual(one, wanted)));
  assert.deepEqual(errorsOf(await kernel.apply([create(TABLE)])), [], "the table as well");

  // A true refusal undoes all.
  const wrong: NftElement = { kind: "nft-element", set: "nowhere", key: [1] };
  const outcomes = await kernel.apply([create(element(6000, 1)), create(wrong)]);
  assert.ok(outcomes.every(({ error }) => error !== undefined));
  assert.equal((await kernel.dump(["nft-element"])).length, 999);

  changes.length = 0;
  node.nft("add table inet theirs\nadd chain inet theirs c\nadd rule inet theirs c accept");
  node.nft("add rule inet dsmipd common drop");
  await waitFor(() => changes.includes("resync"), { what: "a resync" });
  const [drifted] = await kernel.dump(["nft-table"]);
  assert.ok(drifted !== undefined && !objectsEqual(drifted, TABLE));
  node.nft("delete element inet dsmipd port6 { 2001:db8:1::1 }");
  await waitFor(
    () => changes.some((one) => one !== "resync" && one.verb === "removed" && one.object.kind === "nft-element"),
    { what: "the removal" },
  );
});

test("XFRM states and policies through the port", { skip }, async (t) => {
  const { node, kernel, changes } = await setup(t);
  const objects = XFRM_VECTORS.filter(({ direction }) => direction === "create").map(({ object }) => object);
  const outcomes = await kernel.apply(objects.map(create));
  assert.deepEqual(errorsOf(outcomes), []);
  assert.deepEqual(errorsOf(await kernel.apply(objects.map(create))), [], "the same again");
  const found = await kernel.dump(["xfrm-state", "xfrm-policy"]);
  for (const object of objects)
    assert.ok(
      found.some((one) => objectsEqual(one, object)),
      JSON.stringify(object),
    );
  assert.deepEqual(errorsOf(await kernel.apply(objects.toReversed().map(remove))), []);
  assert.deepEqual(errorsOf(await kernel.apply(objects.toReversed().map(remove))), [], "gone already");
  assert.deepEqual(await kernel.dump(["xfrm-state", "xfrm-policy"]), []);
  assert.deepEqual(errorsOf(await kernel.apply(objects.slice(0, 1).map(create))), []);
  node.run("ip", "xfrm", "state", "flush"); // announced without a name
  await waitFor(() => changes.includes("resync"), { what: "a resync" });
});
