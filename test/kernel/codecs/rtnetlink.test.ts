/**
 * Links, addresses, routes, rules, proxy neighbours and FOU ports in a real kernel: what we write `ip` reads, what `ip` writes we read,
 * what changes in place stays the same device or route, and what is removed is gone.
 */
import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import test, { type TestContext } from "node:test";
import { ipv4, ipv6 } from "../../../controller/base/ip.js";
import { netlinkTransports } from "../../../controller/io/netlink/transport.js";
import {
  deleteLinkRequest,
  ipipRequest,
  linkStateRequest,
  moveLinkRequest,
  vethRequest,
} from "../../../controller/kernel/route/raw-links.js";
import type { NetlinkRequest } from "../../../controller/netlink/message.js";
import { NetlinkSession } from "../../../controller/netlink/session.js";
import { objectsEqual } from "../../../controller/plan/objects/equal.js";
import { formatObject } from "../../../controller/plan/objects/format.js";
import type { Address, Link } from "../../../controller/plan/objects/forwarding.js";
import { type KernelObject, objectKey } from "../../../controller/plan/objects/objects.js";
import type { JsonObject } from "../lib/namespace.js";
import { type Node, Topology } from "../lib/topology.js";
import {
  create,
  DEDICATED4,
  DEDICATED6,
  DUMMY,
  EXTERNAL,
  errorsOf,
  KINDS,
  missingDevices,
  NBMA,
  OVER_UDP6,
  openKernel,
  PLAIN,
  remove,
  route,
  setTimer,
  TUNNELS,
  update,
} from "./rtnetlink-objects.js";

const skip = missingDevices();

async function setup(t: TestContext) {
  const net = new Topology(t);
  const node = net.node("k");
  net.build();
  return { node, ...(await openKernel(t, node.path)) };
}

function assertSame(found: readonly KernelObject[], wanted: readonly KernelObject[]): void {
  assert.deepEqual(found.map(objectKey).sort(), wanted.map(objectKey).sort());
  for (const object of wanted) {
    const match = found.find((one) => objectKey(one) === objectKey(object));
    assert.ok(match !== undefined && objectsEqual(match, object), `${formatObject(object)}: ${JSON.stringify(match)}`);
  }
}

const linkOf = (node: Node, name: string): JsonObject => node.ipJson(`link show dev ${name}`)[0] ?? {};
const contains = (actual: JsonObject | undefined, wanted: JsonObject): void => {
  assert.ok(actual !== undefined, `nothing like ${JSON.stringify(wanted)}`);
  assert.deepEqual(Object.fromEntries(Object.keys(wanted).map((key) => [key, actual[key]])), wanted);
};

test("a router that somebody names without a device is on its own link, whatever our default route leads into", {
  skip,
}, async (t) => {
  const { node, kernel } = await setup(t);
  node.ip(
    "link add up0 type veth peer name up1",
    "link set up0 up",
    "link set up1 up",
    "address add 10.9.0.2/24 dev up0",
  );
  node.ip("link add dsmip-t type dummy", "link set dsmip-t up");
  const everywhere = { address: ipv4("0.0.0.0"), length: 0 };
  const tunnel = { kind: "route", destination: everywhere, table: 4191, metric: 0, device: "dsmip-t" } as const;
  assert.deepEqual(errorsOf(await kernel.apply([create(tunnel)])), []);
  // What has no source yet looks there first, as at a mobile node.
  node.ip("rule add priority 4193 from 0.0.0.0/32 table 4191", "route add default via 10.9.0.1");
  contains(node.ipJson("route show default")[0], { gateway: "10.9.0.1", dev: "up0" });
  contains(node.ipJson("route get 192.0.2.1")[0], { dev: "dsmip-t" });
});

test("addresses, routes, rules and proxies: ip reads what we write", { skip }, async (t) => {
  const { node, kernel } = await setup(t);
  assert.deepEqual(errorsOf(await kernel.apply(PLAIN.map(create))), []);
  assertSame(await kernel.dump(KINDS), PLAIN);

  contains(linkOf(node, "dsmipd0"), { mtu: 1400, ifalias: "dsmipd", operstate: "UNKNOWN" });
  const addresses = node.ipJson("address show dev dsmipd0")[0]?.["addr_info"] as JsonObject[];
  contains(
    addresses.find(({ local }) => local === "2001:db8:1::100"),
    { prefixlen: 128, home: true, nodad: true, noprefixroute: true },
  );
  contains(
    addresses.find(({ local }) => local === "2001:db8:1::101"),
    { prefixlen: 64, home: undefined, noprefixroute: undefined },
  );
  contains(
    addresses.find(({ local }) => local === "198.51.100.100"),
    { prefixlen: 32, noprefixroute: true },
  );

  const routes = [...node.ipJson("-6 route show table all"), ...node.ipJson("-4 route show table all")];
  const routeTo = (dst: string): JsonObject | undefined =>
    routes.find((one) => one["dst"] === dst && one["protocol"] === "155");
  contains(routeTo("2001:db8:5::/64"), { dev: "dsmipd0", metric: 100, type: "unicast" });
  contains(routeTo("default"), { dev: "dsmipd0", metric: 5, table: "4191" });
  contains(routeTo("2001:db8:6::1"), { gateway: "fe80::1", flags: ["onlink"], prefsrc: "2001:db8:1::100" });
  assert.match(node.run("ip", "-6", "route", "show", "2001:db8:6::1"), /mtu lock 1300 advmss 1220/);
  contains(routeTo("10.2.0.1"), {
    gateway: "203.0.113.77",
    table: "5000",
    prefsrc: "198.51.100.100",
    flags: ["onlink"],
  });
  contains(routeTo("10.1.0.0/16"), { scope: "link", metric: 100 });

  const rules = [...node.ipJson("-6 rule show"), ...node.ipJson("-4 rule show")];
  contains(
    rules.find(({ priority }) => priority === 1000),
    { src: "all", fwmark: "0x4191", table: "4191", protocol: "155" },
  );
  contains(
    rules.find(({ priority }) => priority === 1001),
    { src: "2001:db8:1::100", table: "200", protocol: "155" },
  );
  contains(
    rules.find(({ priority }) => priority === 1002),
    { src: "0.0.0.0", table: "5000", protocol: "155" },
  );

  const proxies = [...node.ipJson("-6 neighbour show proxy"), ...node.ipJson("-4 neighbour show proxy")];
  contains(
    proxies.find(({ dst }) => dst === "2001:db8:1::200"),
    { dev: "dsmipd0", protocol: "155" },
  );
  contains(
    proxies.find(({ dst }) => dst === "198.51.100.200"),
    { dev: "dsmipd0", protocol: "155" },
  );

  assert.deepEqual(errorsOf(await kernel.apply(PLAIN.toReversed().map(remove))), []);
  assert.deepEqual(await kernel.dump(KINDS), []);
  assert.equal(
    node.run(
      "bash",
      "-c",
      "ip -4 route show table all proto 155; ip -6 route show table all proto 155; ip neighbour show proxy",
    ),
    "",
  );
  assert.deepEqual(errorsOf(await kernel.apply(PLAIN.toReversed().map(remove))), [], "removing what is gone");
});

test("tunnels, their routes and FOU ports: ip reads what we write", { skip }, async (t) => {
  const { node, kernel } = await setup(t);
  const all = [DUMMY, ...TUNNELS];
  assert.deepEqual(errorsOf(await kernel.apply(all.map(create))), []);
  assertSame(await kernel.dump(KINDS), all);

  const info = (name: string): JsonObject => linkOf(node, name)["linkinfo"]?.info_data ?? {};
  contains(info("dsmip4"), { proto: "any", local: "203.0.113.1", remote: "any", ttl: 64, pmtudisc: true });
  assert.match(node.run("ip", "-d", "link", "show", "dsmip4"), /ttl 64 tos inherit pmtudisc/);
  contains(info("dsmip4x"), { remote: "203.0.113.77", tos: "0xb8", pmtudisc: false });
  contains(info("dsmip4x")["encap"], { type: "fou", sport: 4191, dport: 40_000 });
  contains(info("dsmip4u")["encap"], { type: "fou", sport: 4191, dport: 9 });
  contains(info("dsmip6"), { proto: "any", external: true });
  contains(info("dsmip6x"), {
    proto: "any",
    local: "2001:db8:f::1",
    remote: "2001:db8:f::2",
    ttl: 64,
    ip6_tnl_f_use_orig_tclass: undefined,
  });
  assert.match(node.run("ip", "-d", "link", "show", "dsmip6x"), /hoplimit 64 encaplimit none tclass 0x28/);
  assert.match(node.run("ip", "-d", "link", "show", "dsmip6x"), /state DOWN/);

  const lines = node.run("bash", "-c", "ip -4 -d route show proto 155; ip -6 -d route show proto 155");
  assert.match(
    lines,
    /2001:db8:7::1 {2}encap ip6 id 0 src 2001:db8:f::1 dst 2001:db8:f::2 hoplimit 64 tc 184 dev dsmip6/,
  );
  assert.match(
    lines,
    /10\.7\.0\.1 {2}encap ip6 id 0 src 2001:db8:f::1 dst 2001:db8:f::2 hoplimit 64 tc 184 dev dsmip6/,
  );
  assert.match(lines, /2001:db8:7::2 via ::203\.0\.113\.77 dev dsmip4/);
  assert.match(lines, /10\.7\.0\.2 via 203\.0\.113\.77 dev dsmip4u .*onlink/);
  assert.deepEqual(
    node
      .run("ip", "fou", "show")
      .trim()
      .split("\n")
      .map((line) => line.trim())
      .sort(),
    ["port 4191 gue -6", "port 4191 gue local 127.0.0.1"],
  );

  assert.deepEqual(errorsOf(await kernel.apply(all.toReversed().map(remove))), []);
  assert.deepEqual(await kernel.dump(KINDS), []);
  assert.deepEqual(errorsOf(await kernel.apply(all.toReversed().map(remove))), [], "removing what is gone");
});

/** What iproute2 cannot say: our mark on addresses (before 6.3), FIB_RULE_FIND_SADDR, the hop limit of an external tunnel, DF of a route's. */
function canBeTyped(object: KernelObject): boolean {
  if (object.kind === "address") return false;
  if (object.kind === "rule") return object.findSource !== true;
  const outer = object.kind === "route" ? object.encapsulation : undefined;
  if (outer !== undefined && "ttl" in outer && outer.dontFragment === true) return false;
  return object !== EXTERNAL;
}

test("we read what ip writes: every command of formatObject makes the object it was made from", { skip }, async (t) => {
  const { node, kernel } = await setup(t);
  const untyped = [...PLAIN, ...TUNNELS].filter((object) => !canBeTyped(object));
  const [routes, others] = [true, false].map((isRoute) => untyped.filter(({ kind }) => (kind === "route") === isRoute));
  assert.deepEqual(errorsOf(await kernel.apply([create(DUMMY), ...(others ?? []).map(create)])), []);
  const typed = [...PLAIN, ...TUNNELS].filter((object) => canBeTyped(object) && object !== DUMMY);
  node.script(typed.map(formatObject).join("\n"));
  // Over devices that have just been typed.
  assert.deepEqual(errorsOf(await kernel.apply((routes ?? []).map(create))), []);
  assertSame(await kernel.dump(KINDS), [...PLAIN, ...TUNNELS]);
});

const changed = (link: Link, spec: object, rest: Partial<Link> = {}): Link => ({
  ...link,
  ...rest,
  link: { ...link.link, ...spec } as Link["link"],
});

test("links that change in place keep their index", { skip }, async (t) => {
  const { node, kernel } = await setup(t);
  assert.deepEqual(
    errorsOf(await kernel.apply([NBMA, DEDICATED4, DEDICATED6, OVER_UDP6, EXTERNAL, DUMMY].map(create))),
    [],
  );
  const steps: readonly (readonly [string, Link, Link])[] = [
    ["sit: local, ttl, class", NBMA, changed(NBMA, { local: ipv4("203.0.113.2"), ttl: 32, trafficClass: 0x48 })],
    ["sit: over UDP", changed(NBMA, {}), changed(NBMA, { udp: { sourcePort: 4191, destinationPort: 9 } })],
    [
      "sit: remote, both ports",
      DEDICATED4,
      changed(DEDICATED4, { remote: ipv4("203.0.113.78"), udp: { sourcePort: 4192, destinationPort: 1 } }),
    ],
    [
      "sit: no UDP, path MTU discovery",
      changed(DEDICATED4, {}),
      changed(DEDICATED4, { udp: undefined, ttl: 64, pathMtuDiscovery: true }),
    ],
    [
      "ip6tnl: both ends, hop limit, class",
      DEDICATED6,
      changed(DEDICATED6, {
        remote: ipv6("2001:db8:f::3"),
        local: ipv6("2001:db8:f::4"),
        ttl: 3,
        trafficClass: "inherit",
      }),
    ],
    [
      "ip6tnl: MTU and state together with an end",
      changed(DEDICATED6, {}),
      changed(DEDICATED6, { remote: ipv6("2001:db8:f::5") }, { mtu: 1300, up: true }),
    ],
    [
      "ip6tnl over UDP: both ports, end, hop limit",
      OVER_UDP6,
      changed(OVER_UDP6, { udp: { sourcePort: 4192, destinationPort: 1 }, remote: ipv6("2001:db8:f::6"), ttl: 3 }),
    ],
    ["external: MTU, state", EXTERNAL, changed(EXTERNAL, {}, { mtu: 1320, up: false })],
    ["dummy: MTU, state", DUMMY, changed(DUMMY, {}, { mtu: 1320, up: false })],
  ];
  for (const [what, from, to] of steps) {
    const before = linkOf(node, from.name)["ifindex"] as number;
    assert.deepEqual(errorsOf(await kernel.apply([update(to, from)])), [], what);
    assert.equal(linkOf(node, from.name)["ifindex"], before, `${what}: the same device`);
    const now = (await kernel.dump(["link"])).find((one) => objectKey(one) === objectKey(to));
    assert.ok(now !== undefined && objectsEqual(now, to), `${what}: ${JSON.stringify(now)}`);
  }
});

test("links that cannot change in place are made anew", { skip }, async (t) => {
  const { node, kernel } = await setup(t);
  assert.deepEqual(errorsOf(await kernel.apply([NBMA, EXTERNAL].map(create))), []);
  const steps: readonly (readonly [Link, Link])[] = [
    [NBMA, changed(NBMA, { remote: ipv4("203.0.113.78") })],
    [EXTERNAL, changed(EXTERNAL, { ttl: 3 })],
    [changed(EXTERNAL, { ttl: 3 }), changed(DEDICATED6, {}, { name: EXTERNAL.name })],
  ];
  for (const [from, to] of steps) {
    const before = linkOf(node, from.name)["ifindex"] as number;
    assert.deepEqual(errorsOf(await kernel.apply([update(to, from)])), []);
    assert.notEqual(linkOf(node, from.name)["ifindex"], before);
    const now = (await kernel.dump(["link"])).find((one) => objectKey(one) === objectKey(to));
    assert.ok(now !== undefined && objectsEqual(now, to), JSON.stringify(now));
  }
});

test("the kernel takes no parameters for an external tunnel, and no change from or to NBMA", { skip }, async (t) => {
  const { node, kernel } = await setup(t);
  assert.deepEqual(errorsOf(await kernel.apply([NBMA, EXTERNAL].map(create))), []);
  assert.throws(() => node.run("ip", "link", "set", "dsmip6", "type", "ip6tnl", "hoplimit", "3"), /Invalid argument/);
  assert.throws(
    () => node.run("ip", "link", "set", "dsmip4", "type", "sit", "remote", "203.0.113.9", "local", "203.0.113.1"),
    /Invalid argument/,
  );
});

const address = (text: string, prefixLength: number): Address => ({
  kind: "address",
  device: "dsmipd0",
  address: text.includes(":") ? ipv6(text) : ipv4(text),
  prefixLength,
  home: false,
  noPrefixRoute: false,
});

test("routes change in one step, addresses and proxies in place", { skip }, async (t) => {
  const { node, kernel, changes } = await setup(t);
  assert.deepEqual(errorsOf(await kernel.apply(PLAIN.map(create))), []);
  node.ip("link add dsmipd9 type dummy", "link set dsmipd9 up");
  const pairs: readonly (readonly [KernelObject, KernelObject])[] = [
    [route("2001:db8:5::/64"), route("2001:db8:5::/64", { device: "dsmipd9", mtu: 1280 })],
    [
      route("2001:db8:5::/64", { device: "dsmipd9", mtu: 1280 }),
      route("2001:db8:5::/64", { via: ipv6("fe80::9"), onlink: true }),
    ],
    [route("10.1.0.0/16"), route("10.1.0.0/16", { device: "dsmipd9", via: ipv4("203.0.113.9"), onlink: true })],
    [address("2001:db8:1::101", 64), { ...address("2001:db8:1::101", 64), home: true, noPrefixRoute: true }],
    [{ ...address("198.51.100.100", 32), noPrefixRoute: true }, address("198.51.100.100", 32)],
    [
      { kind: "proxy-neighbour", device: "dsmipd0", address: ipv6("2001:db8:1::200"), router: true },
      { kind: "proxy-neighbour", device: "dsmipd0", address: ipv6("2001:db8:1::200"), router: false },
    ],
    [
      {
        kind: "rule",
        family: 6,
        priority: 1001,
        table: 200,
        from: route("2001:db8:1::100/128").destination,
        findSource: true,
      },
      { kind: "rule", family: 6, priority: 1001, table: 200, from: route("2001:db8:1::100/128").destination },
    ],
  ];
  for (const [from, to] of pairs) {
    assert.deepEqual(errorsOf(await kernel.apply([update(to, from)])), [], formatObject(to));
    const now = (await kernel.dump([to.kind])).find((one) => objectKey(one) === objectKey(to));
    assert.ok(now !== undefined && objectsEqual(now, to), `${formatObject(to)}: ${JSON.stringify(now)}`);
  }
  const removed = changes.flatMap((change) =>
    change !== "resync" && change.verb === "removed" ? [change.object.kind] : [],
  );
  assert.ok(!removed.includes("route"), "no route was ever missing");
});

test("wires and plain tunnels of test networks: ip reads what we write", { skip }, async (t) => {
  const net = new Topology(t);
  const [near, far] = [net.node("near"), net.node("far")];
  net.build();
  const session = new NetlinkSession(netlinkTransports(near.path)("route", []), { setTimer });
  t.after(() => session.close());
  const namespace = openSync(far.path, "r");
  t.after(() => closeSync(namespace));
  const execute = async (...requests: readonly NetlinkRequest[]): Promise<void> => {
    for (const { error } of await session.execute(requests)) assert.equal(error, undefined);
  };
  await execute(
    vethRequest({ name: "w0", mtu: 1400 }, { name: "w1", mtu: 1300, namespace }),
    vethRequest({ name: "w2" }, { name: "w3" }),
    moveLinkRequest("w3", namespace),
    linkStateRequest("w0", true),
    ipipRequest({ name: "i0", local: ipv4("203.0.113.1"), ttl: 64, tos: "inherit", pathMtuDiscovery: true }),
    ipipRequest({
      name: "i1",
      local: ipv4("203.0.113.1"),
      remote: ipv4("203.0.113.77"),
      ttl: 0,
      tos: 0xb8,
      pathMtuDiscovery: false,
      udp: { sourcePort: 4191, destinationPort: 9 },
    }),
    ipipRequest({ name: "i2", local: ipv4("0.0.0.0"), ttl: 0, tos: 0, pathMtuDiscovery: true, external: true }),
  );
  contains(linkOf(near, "w0"), { mtu: 1400 });
  assert.ok((linkOf(near, "w0")["flags"] as string[]).includes("UP"));
  contains(linkOf(far, "w1"), { mtu: 1300 });
  contains(linkOf(far, "w3"), { mtu: 1500 });
  assert.match(
    near.run("ip", "-d", "link", "show", "i0"),
    /ipip .*remote any local 203\.0\.113\.1 ttl 64 tos inherit pmtudisc/,
  );
  assert.match(
    near.run("ip", "-d", "link", "show", "i1"),
    /ttl inherit tos 0xb8 nopmtudisc encap fou encap-sport 4191 encap-dport 9/,
  );
  assert.match(near.run("ip", "-d", "link", "show", "i2"), /ipip external/);
  await execute(...["w0", "w2", "i0", "i1", "i2"].map(deleteLinkRequest));
  assert.ok(!far.ipJson("link show").some(({ ifname }) => ifname === "w1" || ifname === "w3"));
});
