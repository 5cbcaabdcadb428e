/**
 * nftables in a real kernel: what we write nft reads and lists as it lists its own, drift is seen, a table is replaced under its elements,
 * and packets meet the rules.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import test, { type TestContext } from "node:test";
import { fromHex } from "../../../controller/base/bytes.js";
import { type Ipv6Address, ipToBytes, ipv4, ipv6 } from "../../../controller/base/ip.js";
import { counterDumps, decodeCounters } from "../../../controller/kernel/nftables/counter.js";
import { createNftElementCodec, NftSets } from "../../../controller/kernel/nftables/element.js";
import { createNftTableCodec } from "../../../controller/kernel/nftables/table.js";
import { EBUSY } from "../../../controller/netlink/errno.js";
import { homeAgentFirewall } from "../../../controller/plan/home-agent/firewall.js";
import { mobileNodeFirewall } from "../../../controller/plan/mobile-node/firewall.js";
import type { NftElement, NftTable } from "../../../controller/plan/objects/firewall.js";
import { sameNftTable } from "../../../controller/plan/objects/nft-canonical.js";
import type { TunnelProfileSpec } from "../../../controller/plan/site.js";
import { CodecKernel, NAMES } from "./codec-kernel.js";
import {
  DATAPATH,
  DATAPATH_TEXT,
  METERS,
  METERS_TEXT,
  TRAFFIC_CLASS,
  TRAFFIC_CLASS_TEXT,
} from "./nftables-rulesets.js";

const NAT = ipv4("203.0.113.77");
const HOME_AGENT = ipv4("203.0.113.1");
const HOME_ADDRESS = ipv6("2001:db8:1::100");
const HOME_ADDRESS4 = ipv4("198.51.100.100");

const nft = (...words: string[]): string =>
  execFileSync("nft", words, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
const load = (text: string): string => execFileSync("nft", ["-f", "-"], { input: text, encoding: "utf8" });

/** Why this kernel cannot run these tests, or false. */
function missing(): string | false {
  try {
    load("add table inet probe\ndelete table inet probe");
    return false;
  } catch (error) {
    return `no nftables in this kernel, or not root: ${String((error as { stderr?: Buffer }).stderr ?? error).trim()}`;
  }
}

const skip = missing();

/** The codecs of one kernel, and a clean table at the beginning and at the end. */
async function open(t: TestContext) {
  const kernel = new CodecKernel(t, "netfilter");
  const features = await kernel.nftFeatures();
  t.after(() =>
    load("add table inet dsmipd\ndelete table inet dsmipd\nadd table inet theirs\ndelete table inet theirs"),
  );
  const sets = new NftSets();
  const [table, element] = [createNftTableCodec(sets, features), createNftElementCodec(sets, features)];
  return { kernel, features, table, element };
}

const mapping = (port: number): NftElement => ({ kind: "nft-element", set: "port6", key: [HOME_ADDRESS], value: port });
const ELEMENTS: readonly NftElement[] = [
  mapping(40_000),
  { kind: "nft-element", set: "port4", key: [HOME_ADDRESS4], value: 40_000 },
  { kind: "nft-element", set: "bind6", key: [NAT, 40_000, HOME_ADDRESS] },
  { kind: "nft-element", set: "bind4", key: [NAT, 40_000, HOME_ADDRESS4] },
];
const asText = (elements: readonly NftElement[]): string[] => elements.map((element) => JSON.stringify(element)).sort();

test("what we write, nft lists readably and we read back", { skip }, async (t) => {
  const { kernel, table, element } = await open(t);
  await kernel.commit([...table.create(DATAPATH, NAMES), ...element.createMany(ELEMENTS, NAMES)]);
  const listed = JSON.parse(nft("-j", "list", "ruleset")) as {
    nftables: Record<string, { name?: string; elem?: unknown }>[];
  };
  const elements = (name: string): unknown =>
    listed.nftables.flatMap((item) => Object.values(item)).find((item) => item.name === name && item.elem !== undefined)
      ?.elem;
  assert.deepEqual(elements("bind6"), [{ concat: [NAT, 40_000, HOME_ADDRESS] }]);
  assert.deepEqual(elements("bind4"), [{ concat: [NAT, 40_000, HOME_ADDRESS4] }]);
  assert.deepEqual(elements("port6"), [[HOME_ADDRESS, 40_000]]);
  assert.deepEqual(elements("port4"), [[HOME_ADDRESS4, 40_000]]);
  assert.match(nft("list", "table", "inet", "dsmipd"), /203\.0\.113\.77 \. 40000 \. 2001:db8:1::100/);
  assert.match(nft("list", "table", "inet", "dsmipd"), /comment "dsmipd [0-9a-f]{16}"/);
  const [found, ...more] = await kernel.dump(table);
  assert.ok(found !== undefined && more.length === 0);
  assert.ok(sameNftTable(found, DATAPATH), JSON.stringify(found));
  assert.equal(found.chains[0]?.rules[0]?.text, DATAPATH.chains[0]?.rules[0]?.text);
  assert.deepEqual(asText(await kernel.dump(element)), asText(ELEMENTS));
});

/** The expressions of each rule as the kernel has them, in nft's words: by chain; and the elements of its sets. */
function expressions(table: string): string[] {
  return nft("--debug=netlink", "list", "table", "inet", table)
    .split("\n")
    .filter((line) => /^ {2}\[|^inet /.test(line))
    .map((line) =>
      line
        .replace(`inet ${table}`, "")
        .replace(/\[ (counter|objref) .*\]/, "[ count ]")
        .replace(/ \d+( \d+)?$/, ""),
    );
}

for (const [name, table, text] of [
  ["ports of nodes behind NATs, anti-spoofing, steering of signalling", DATAPATH, DATAPATH_TEXT],
  ["traffic class copied through a map of 256", TRAFFIC_CLASS, TRAFFIC_CLASS_TEXT],
  ["token buckets of keys and of all, and keys that are remembered", METERS, METERS_TEXT],
] as const) {
  test(`nft builds the same expressions: ${name}`, { skip }, async (t) => {
    const { kernel, table: codec } = await open(t);
    await kernel.commit(codec.create(table, NAMES));
    load(text);
    const [ours, theirs] = [expressions("dsmipd"), expressions("theirs")];
    const rules = table.chains.flatMap((chain) => chain.rules.flatMap((rule) => rule.expressions));
    assert.equal(ours.filter((line) => line.startsWith("  [")).length, rules.length);
    assert.deepEqual(ours, theirs);
    const [found] = await kernel.dump(codec);
    assert.ok(found !== undefined && sameNftTable(found, table));
  });
}

test("the tables of the plan for both roles come back as they are, and nft can list them", { skip }, async (t) => {
  const { kernel, table } = await open(t);
  const profile = { dscp: 46, ttl: 32 };
  const profiles = new Map<string, TunnelProfileSpec>([
    ["default", { dscp: "copy", ttl: 64 }],
    ["gold", profile],
  ]);
  const addresses = { ipv6: ipv6("2001:db8:1::1"), ipv4: HOME_AGENT };
  const homePrefixes = [{ address: ipv6("2001:db8:1::"), length: 64 }];
  const node = {
    homeAddress: HOME_ADDRESS,
    ipv4HomeAddress: HOME_ADDRESS4,
    homePrefixes,
    homeAgent: addresses,
    profile,
  };
  const prefixLengths = { ipv4: [24, 28], ipv6: [56, 60] };
  const more = { prefixLengths, addressDiscovery: true, udpOverIpv6: true };
  const home = { addresses, homePrefixes, mtu: 1400, profiles, homeDevice: "home" };
  const esp = { ...profile, protection: "esp" } as const;
  const mixed = { ...home, ...more, profiles: new Map(profiles).set("esp", { ...esp, decapsulateDscp: true }) };
  const protectedAlone = { ...home, profiles: new Map([["default", esp]]) };
  const slots = new Map<Ipv6Address, number>();
  const prefixes = [
    { address: ipv6("2001:db8:100::"), length: 56 },
    { address: ipv4("10.100.0.0"), length: 28 },
  ];
  const { ipv4: _, ...ipv6Alone } = addresses;
  for (const wanted of [
    homeAgentFirewall({ addresses, homePrefixes, mtu: 1400, profiles }),
    homeAgentFirewall({ ...home, ...more, mappedSignalling: true }),
    homeAgentFirewall({ ...home, ...more, addresses: ipv6Alone }),
    homeAgentFirewall(protectedAlone),
    homeAgentFirewall({ ...protectedAlone, ...more, negotiated: { slots, espInUdp: "always" } }),
    homeAgentFirewall({ ...mixed, mappedSignalling: true, negotiated: { slots, espInUdp: "nat" } }),
    mobileNodeFirewall(node),
    mobileNodeFirewall({ ...node, mappedSignalling: true, prefixes, egressDevices: ["eth0", "eth1"] }),
    mobileNodeFirewall({ ...node, udpOverIpv6: true, prefixes, profile: { dscp: "copy", ttl: 64, mtu: 1300 } }),
    mobileNodeFirewall({ ...node, profile: esp, prefixes }),
    mobileNodeFirewall({ ...node, profile: { ...esp, decapsulateDscp: true }, negotiated: true, mobike: true }),
  ]) {
    await kernel.commit(table.create(wanted, NAMES));
    const [found] = await kernel.dump(table);
    assert.ok(found !== undefined && sameNftTable(found, wanted), JSON.stringify(found));
    assert.match(nft("list", "ruleset"), /table inet dsmipd/);
    assert.equal((JSON.parse(nft("-j", "list", "ruleset")) as { nftables: unknown[] }).nftables.length > 10, true);
    await kernel.commit(table.remove(wanted, NAMES));
  }
});

test("what we wrote and somebody changed by hand is not the same any more", { skip }, async (t) => {
  const { kernel, table } = await open(t);
  const isSame = async (): Promise<boolean> => {
    const [found] = await kernel.dump(table);
    return found !== undefined && sameNftTable(found, DATAPATH);
  };
  for (const change of [
    "add rule inet dsmipd in accept",
    "flush chain inet dsmipd steer",
    "add chain inet dsmipd more",
    "add set inet dsmipd more { type ipv4_addr; }",
    "add counter inet dsmipd more",
    "add chain inet dsmipd out { policy drop; }",
  ]) {
    const [present] = await kernel.dump(table);
    await kernel.commit(
      present === undefined ? table.create(DATAPATH, NAMES) : (table.update(DATAPATH, present, NAMES) ?? []),
    );
    assert.ok(await isSame());
    load(change);
    assert.equal(await isSame(), false, change);
  }
});

test("a table of our name without our comment is a stranger's, and making ours beside it is refused", {
  skip,
}, async (t) => {
  const { kernel, table } = await open(t);
  load("add table inet dsmipd");
  assert.deepEqual(await kernel.dump(table), []);
  assert.equal((await kernel.dump(table, false)).length, 1);
  const { committed, errors } = await kernel.transaction(table.create(DATAPATH, NAMES));
  assert.equal(committed, false);
  assert.ok(errors.get(0)?.isExists);
});

test("replacing the table and its elements is one transaction; a refused one changes nothing", { skip }, async (t) => {
  const { kernel, table, element } = await open(t);
  await kernel.commit([...table.create(DATAPATH, NAMES), ...element.createMany(ELEMENTS, NAMES)]);
  const changed: NftTable = { ...DATAPATH, counters: [...DATAPATH.counters, "more"] };
  const replace = table.update(changed, DATAPATH, NAMES) ?? [];
  const absent: NftElement = { kind: "nft-element", set: "bind6", key: [NAT, 1, HOME_ADDRESS] };
  const strict = createNftElementCodec(setsOf(changed), { destroyMissing: false });
  const refused = await kernel.transaction([...replace, ...strict.remove(absent, NAMES)]);
  assert.equal(refused.committed, false);
  assert.ok([...refused.errors.values()].every((error) => error.isNotFound));
  assert.ok(sameNftTable((await kernel.dump(table))[0] ?? changed, DATAPATH));
  assert.deepEqual(asText(await kernel.dump(element)), asText(ELEMENTS));
  await kernel.commit([...replace, ...element.createMany(ELEMENTS, NAMES)]);
  assert.ok(sameNftTable((await kernel.dump(table))[0] ?? DATAPATH, changed));
  assert.deepEqual(asText(await kernel.dump(element)), asText(ELEMENTS));
});

function setsOf(table: NftTable): NftSets {
  const sets = new NftSets();
  sets.learn(table.sets);
  return sets;
}

test("elements: there as wanted is fine, there otherwise is busy, gone is not found or forgiven", {
  skip,
}, async (t) => {
  const { kernel, features, table, element } = await open(t);
  await kernel.commit([...table.create(DATAPATH, NAMES), ...element.createMany(ELEMENTS, NAMES)]);
  await kernel.commit(element.createMany(ELEMENTS, NAMES));
  const clash = await kernel.transaction(element.create(mapping(40_001), NAMES));
  const error = clash.errors.get(0);
  assert.ok(error?.isExists || error?.errno === EBUSY, error?.message);
  assert.deepEqual(element.takenErrors, [EBUSY]);
  await kernel.commit(element.update(mapping(40_001), mapping(40_000), NAMES) ?? []);
  const [reply] = await kernel.ask(element.find(mapping(0), NAMES));
  assert.ok(reply);
  assert.deepEqual(element.decode(reply, NAMES, true), mapping(40_001));
  const absent: NftElement = { kind: "nft-element", set: "bind6", key: [NAT, 1, HOME_ADDRESS] };
  const gone = await kernel.transaction(element.remove(absent, NAMES));
  assert.equal(gone.committed, features.destroyMissing);
  assert.ok([...gone.errors.values()].every((error) => error.isNotFound));
  await kernel.commit(element.removeMany([mapping(40_001), ...ELEMENTS.slice(1)], NAMES));
  assert.deepEqual(await kernel.dump(element), []);
});

test("20,000 bindings in one transaction, then removed in another", { skip }, async (t) => {
  const { kernel, table, element } = await open(t);
  await kernel.commit(table.create(DATAPATH, NAMES));
  const elements = Array.from({ length: 20_000 }, (_, i): NftElement => {
    const inner = ipv6(`2001:db8:1::${(i + 1).toString(16)}`);
    return { kind: "nft-element", set: "bind6", key: [ipv4(`10.${i >> 8}.${i & 255}.1`), 1024 + (i % 50_000), inner] };
  });
  const requests = element.createMany(elements, NAMES);
  assert.ok(requests.length < 20);
  await kernel.commit(requests);
  assert.equal((await kernel.dump(element)).length, elements.length);
  await kernel.commit(element.removeMany(elements, NAMES));
  assert.deepEqual(await kernel.dump(element), []);
});

interface Arrival {
  readonly data: Buffer;
  readonly from: string;
}

/** A UDP socket of the test, and the next datagram it gets. */
async function bound(
  t: TestContext,
  address: string,
  port: number,
): Promise<{ socket: Socket; next: () => Promise<Arrival> }> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(port, address, resolve);
  });
  t.after(() => void socket.close());
  const next = (): Promise<Arrival> =>
    new Promise((resolve) => {
      socket.once("message", (data, from) => resolve({ data, from: `${from.address}:${from.port}` }));
    });
  return { socket, next };
}

/** An IPv6 header and nothing behind it. */
const inner6 = (source: string, destination: string): Buffer =>
  Buffer.concat([fromHex("6000 0000 0000 3b40"), ipToBytes(ipv6(source)), ipToBytes(ipv6(destination))]);

test("packets: the port of the node's NAT, spoofed inner sources dropped and counted, signalling steered", {
  skip,
}, async (t) => {
  const { kernel, table, element } = await open(t);
  for (const address of [HOME_AGENT, NAT]) execFileSync("ip", ["address", "add", `${address}/32`, "dev", "lo"]);
  t.after(() => {
    for (const address of [HOME_AGENT, NAT]) execFileSync("ip", ["address", "del", `${address}/32`, "dev", "lo"]);
  });
  await kernel.commit([...table.create(DATAPATH, NAMES), ...element.createMany(ELEMENTS, NAMES)]);
  const agent = await bound(t, HOME_AGENT, 4191);
  const signalling = await bound(t, HOME_AGENT, 4192);
  const node = await bound(t, NAT, 40_000);
  const moved = await bound(t, NAT, 40_001);
  const toNode = inner6("2001:db8:9::9", HOME_ADDRESS);

  const first = node.next();
  agent.socket.send(toNode, 9, NAT);
  assert.deepEqual(await first, { data: toNode, from: `${HOME_AGENT}:4191` });
  await kernel.commit(element.update(mapping(40_001), mapping(40_000), NAMES) ?? []);
  const second = moved.next();
  agent.socket.send(toNode, 9, NAT);
  assert.deepEqual(await second, { data: toNode, from: `${HOME_AGENT}:4191` });

  const steered = signalling.next();
  const update = inner6(HOME_ADDRESS, "2001:db8:1::1");
  node.socket.send(update, 4191, HOME_AGENT);
  assert.deepEqual(await steered, { data: update, from: `${NAT}:40000` });
  const answered = node.next();
  signalling.socket.send(Buffer.from([0]), 40_000, NAT);
  assert.equal((await answered).from, `${HOME_AGENT}:4191`);

  // The spoofed ones first: when the honest one has arrived, they are counted.
  const honest = inner6(HOME_ADDRESS, "2001:db8:9::9");
  const arrived = agent.next();
  moved.socket.send(honest, 4191, HOME_AGENT);
  node.socket.send(inner6("2001:db8:1::101", "2001:db8:9::9"), 4191, HOME_AGENT);
  node.socket.send(honest, 4191, HOME_AGENT);
  assert.deepEqual(await arrived, { data: honest, from: `${NAT}:40000` });

  const counters = decodeCounters(await kernel.dumpMessages(counterDumps()));
  const octets = BigInt(20 + 8 + honest.length);
  assert.deepEqual(Object.fromEntries([...counters].map(([name, value]) => [name, value])), {
    encapsulated: { packets: 2n, octets: 2n * octets },
    decapsulated: { packets: 1n, octets },
    steered: { packets: 1n, octets },
    answered: { packets: 1n, octets: 29n },
    signalled: { packets: 0n, octets: 0n },
    spoofed: { packets: 2n, octets: 2n * octets },
  });
});
