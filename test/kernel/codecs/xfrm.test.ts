/**
 * XFRM states and policies in a real kernel: what we write `ip xfrm` reads, what `ip xfrm` writes we read, what changes in place, and the
 * whole exchange of binding update and acknowledgement over native IPv6 with all its objects made by our codecs.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { release } from "node:os";
import test, { type TestContext } from "node:test";
import { fromHex, toHex } from "../../../controller/base/bytes.js";
import { hostPrefix, IPV6_ANY, type Ipv6Address, ipToBytes, ipv6 } from "../../../controller/base/ip.js";
import { Secret } from "../../../controller/base/secret.js";
import type { IpPacket, IpSocket } from "../../../controller/io/ip/ip-socket.js";
import { openMobilityHeaderSocket } from "../../../controller/io/ip/mobility-header-socket.js";
import { XFRM_MSG_UPDSA } from "../../../controller/kernel/xfrm/constants.js";
import { XFRM_STRUCTS } from "../../../controller/kernel/xfrm/layout.js";
import { xfrmPolicyCodec } from "../../../controller/kernel/xfrm/policy.js";
import { policyHashCodec } from "../../../controller/kernel/xfrm/policy-hash.js";
import { xfrmStateCodec } from "../../../controller/kernel/xfrm/state.js";
import { objectsEqual } from "../../../controller/plan/objects/equal.js";
import { type KernelObject, OWNERSHIP, objectKey } from "../../../controller/plan/objects/objects.js";
import type {
  PolicyHash,
  XfrmPolicy,
  XfrmSelector,
  XfrmState,
  XfrmTemplate,
} from "../../../controller/plan/objects/security.js";
import { loadCodecVectors } from "../../lib/codec-vectors.js";
import { CodecKernel, NAMES, namespace } from "./codec-kernel.js";

const HOME_ADDRESS = ipv6("2001:db8:1::100");
const HOME_AGENT = ipv6("2001:db8:1::1");
const CARE_OF = ipv6("2001:db8:f::2");
const NEW_CARE_OF = ipv6("2001:db8:f::3");
const REQID = OWNERSHIP.reqidBase;
const PRIORITY = OWNERSHIP.policyPriorityBase;
const VECTORS = loadCodecVectors<XfrmState | XfrmPolicy>("xfrm.json");
const VERBS = VECTORS.filter(({ direction }) => direction === "create" || direction === "update");

/** The objects of the vectors once all have been made and changed: the last of each key. */
const FINAL = [...new Map(VERBS.map(({ object }) => [objectKey(object), object])).values()];

const create = (object: XfrmState | XfrmPolicy) =>
  object.kind === "xfrm-state" ? xfrmStateCodec.create(object, NAMES) : xfrmPolicyCodec.create(object, NAMES);
const remove = (object: XfrmState | XfrmPolicy) =>
  object.kind === "xfrm-state" ? xfrmStateCodec.remove(object, NAMES) : xfrmPolicyCodec.remove(object, NAMES);

async function dumpAll(kernel: CodecKernel, ownOnly = true): Promise<readonly (XfrmState | XfrmPolicy)[]> {
  return [...(await kernel.dump(xfrmStateCodec, ownOnly)), ...(await kernel.dump(xfrmPolicyCodec, ownOnly))];
}

function assertSame(found: readonly KernelObject[], wanted: readonly KernelObject[]): void {
  const byKey = new Map(found.map((object) => [objectKey(object), object]));
  assert.deepEqual([...byKey.keys()].sort(), wanted.map(objectKey).sort());
  for (const object of wanted) {
    const match = byKey.get(objectKey(object));
    assert.ok(match !== undefined && objectsEqual(match, object), `${objectKey(object)}: ${JSON.stringify(match)}`);
  }
}

/** Why this kernel cannot run these tests, or false. */
function missing(): string | false {
  try {
    execFileSync("ip", ["netns", "add", "probe"], { stdio: "pipe" });
  } catch {
    return "no network namespaces (not root?)";
  }
  try {
    for (const { command } of VERBS)
      execFileSync("ip", ["-n", "probe", ...command.split(" ").slice(1)], { stdio: "pipe" });
    return false;
  } catch (error) {
    const said = String((error as { stderr?: Buffer }).stderr ?? error).trim();
    return `no ESP, no Mobile IPv6 or no sub policies in this kernel: ${said}`;
  } finally {
    execFileSync("ip", ["netns", "del", "probe"]);
  }
}

const skip = missing();

test("what ip xfrm writes, we read", { skip }, async (t) => {
  const kernel = new CodecKernel(t, "xfrm", namespace(t, "theirs"));
  for (const { command } of VERBS) kernel.run("ip", ...command.split(" ").slice(1));
  assertSame(await dumpAll(kernel), FINAL);
});

test("the thresholds of the policies' hash: set, read, changed by somebody else, set back", { skip }, async (t) => {
  const kernel = new CodecKernel(t, "xfrm", namespace(t, "hash"));
  const thresholds = (): string[] =>
    kernel
      .run("ip", "-s", "-s", "xfrm", "policy", "count")
      .split("\n")
      .flatMap((line) => /thresholds: *(.*)/.exec(line)?.slice(1) ?? []);
  const read = async (ownOnly: boolean): Promise<(PolicyHash | undefined)[]> =>
    (await kernel.ask(policyHashCodec.dump())).map((message) => policyHashCodec.decode(message, NAMES, ownOnly));
  const wanted = { kind: "policy-hash", ...OWNERSHIP.policyHash } as const;

  assert.deepEqual(await read(true), [undefined], "what the kernel begins with is not ours");
  await kernel.execute(policyHashCodec.create(wanted, NAMES));
  assert.deepEqual(thresholds(), ["local 0 remote 32", "local 0 remote 128"]);
  assert.deepEqual(await read(true), [wanted]);
  kernel.run("ip", "xfrm", "policy", "set", "hthresh6", "64", "128");
  assert.deepEqual(await read(true), [undefined]);
  assert.deepEqual(await read(false), [{ ...wanted, ipv6: { localBits: 64, remoteBits: 128 } }]);
  await kernel.execute(policyHashCodec.remove(wanted, NAMES));
  assert.deepEqual(thresholds(), ["local 32 remote 32", "local 128 remote 128"]);
});

test("what we write, ip xfrm and we ourselves read; by type, direction, mark and Mobility Header type", {
  skip,
}, async (t) => {
  const kernel = new CodecKernel(t, "xfrm", namespace(t, "ours"));
  await kernel.execute(FINAL.flatMap(create));
  assertSame(await dumpAll(kernel), FINAL);
  const states = kernel.run("ip", "xfrm", "state");
  const policies = kernel.run("ip", "xfrm", "policy");
  for (const pattern of [
    /src 2001:db8:1::100 dst 2001:db8:1::1\n\tproto esp spi 0x00001000 reqid 1140850689 mode transport\n\treplay-window 0/,
    /aead rfc4106\(gcm\(aes\)\) 0x0102030405060708090a0b0c0d0e0f1011121314 128/,
    /sel src 2001:db8:1::100\/128 dst 2001:db8:1::1\/128 proto (135|mobility-header) type 5 /,
    /spi 0x00001001 [^\n]*\n\treplay-window 32/,
    /spi 0x00001002 [^\n]*(\n\t[^\n]+)+\n\tanti-replay esn context:(\n\t[^\n]+)+replay_window 128, bitmap-length 4/,
    /spi 0x00001003 reqid 1140850689 mode tunnel\n\treplay-window 0 flag af-unspec/,
    /proto hao reqid 1140850690 mode ro\n[^\n]*\n\tcoa 2001:db8:e::3/,
    /src :: dst ::\n\tproto route2 reqid 1140850688 mode ro\n\treplay-window 0 flag wildrecv\n\tcoa ::/,
  ]) {
    assert.match(states, pattern);
  }
  for (const pattern of [
    /src 2001:db8:1::1\/128 dst 2001:db8:1::100\/128 proto (135|mobility-header) type 6 /,
    /src ::\/0 dst ::\/0 \n\tdir in priority 1100021859 ptype sub \n\ttmpl src :: dst ::\n\t\tproto hao reqid 0 mode ro\n\t\tlevel use/,
    /dir fwd priority 1100021859 ptype sub \n\tmark 0x4191\/0xffff/,
    /src 198.51.100.0\/24 dst 0.0.0.0\/0 [^\n]*\n\tdir out action block/,
  ]) {
    assert.match(policies, pattern);
  }
});

test("what is there is refused, what is gone is not found, a stranger's stays", { skip }, async (t) => {
  const kernel = new CodecKernel(t, "xfrm", namespace(t, "twice"));
  const stranger = `src ${HOME_AGENT} dst ${HOME_ADDRESS} proto esp spi 0x2000 reqid 77 mode transport`;
  kernel.run(
    "ip",
    "xfrm",
    "state",
    "add",
    ...stranger.split(" "),
    "aead",
    "rfc4106(gcm(aes))",
    `0x${"11".repeat(20)}`,
    "128",
  );
  await kernel.execute(FINAL.flatMap(create));
  for (const object of FINAL) {
    const again = await kernel.refusal(create(object));
    assert.ok(again?.isExists, `${objectKey(object)}: ${again?.message}`);
    const codec = object.kind === "xfrm-state" ? xfrmStateCodec : xfrmPolicyCodec;
    const [found] = await kernel.ask((codec as typeof xfrmStateCodec).find?.(object as XfrmState, NAMES) ?? []);
    assert.ok(found !== undefined);
    assertSame([codec.decode(found, NAMES, true) as KernelObject], [object]);
  }
  for (const object of FINAL) {
    await kernel.execute(remove(object));
    const gone = await kernel.refusal(remove(object));
    assert.ok(gone?.isNotFound, `${objectKey(object)}: ${gone?.message}`);
  }
  assert.deepEqual(await dumpAll(kernel), []);
  assert.equal((await dumpAll(kernel, false)).length, 1);
});

/** Packets that the state has handled, from the dump. */
async function packets(kernel: CodecKernel, state: XfrmState): Promise<bigint> {
  const [message] = await kernel.ask(xfrmStateCodec.find?.(state, NAMES) ?? []);
  assert.ok(message);
  const { body } = message;
  return new DataView(body.buffer, body.byteOffset).getBigUint64(XFRM_STRUCTS.xfrm_usersa_info.curlft + 8, true);
}

test("an ESP state does not change in place: the kernel ignores selector, reqid and window of an update", {
  skip,
}, async (t) => {
  const kernel = new CodecKernel(t, "xfrm", namespace(t, "fixed"));
  const esp = VECTORS.find(({ name }) => name === "esp transport for the Mobility Header")?.object;
  assert.ok(esp?.kind === "xfrm-state" && esp.transform.type === "esp" && esp.transform.aead !== undefined);
  const { aead } = esp.transform;
  await kernel.execute(create(esp));
  const { selector: _, ...open } = esp;
  for (const changed of [
    open,
    { ...esp, reqid: esp.reqid + 1 },
    { ...esp, transform: { ...esp.transform, replayWindow: 32 } },
    { ...esp, transform: { ...esp.transform, aead: { ...aead, key: new Secret(new Uint8Array(20)) } } },
  ]) {
    assert.equal(xfrmStateCodec.update(changed, esp, NAMES), undefined);
    const [request] = create(changed);
    assert.ok(request);
    await kernel.execute([{ ...request, type: XFRM_MSG_UPDSA }]);
    assertSame(await kernel.dump(xfrmStateCodec), [esp]);
  }
});

test("an update replaces all of a policy but its identity", { skip }, async (t) => {
  const kernel = new CodecKernel(t, "xfrm", namespace(t, "policies"));
  const [first] = FINAL.filter(({ kind }) => kind === "xfrm-policy");
  assert.ok(first?.kind === "xfrm-policy");
  const base: XfrmPolicy = { ...first, mark: { value: 1, mask: 0xff } };
  const others: XfrmPolicy[] = [
    { ...base, mark: { value: 2, mask: 0xff } },
    { ...base, policyType: "sub" },
    { ...base, direction: "forward" },
  ];
  await kernel.execute([base, ...others].flatMap(create));
  const changed: XfrmPolicy = { ...base, priority: PRIORITY + 77, action: "block", templates: [] };
  await kernel.execute(xfrmPolicyCodec.update(changed, base, NAMES) ?? []);
  assertSame(await kernel.dump(xfrmPolicyCodec), [changed, ...others]);
  await kernel.execute(remove(changed));
  assertSame(await kernel.dump(xfrmPolicyCodec), others);
});

const KEYS = ["0102030405060708090a0b0c0d0e0f1011121314", "0102030405060708090a0b0c0d0e0f1011121315"];
const UPDATE = fromHex("3b01 0500 0000 0001 c000 003c 0102 0000");
const ACKNOWLEDGEMENT = fromHex("3b01 0600 0000 0000 0001 000a 0102 0000");

const selector = (source: Ipv6Address, destination: Ipv6Address): XfrmSelector => ({
  source: hostPrefix(source),
  destination: hostPrefix(destination),
  protocol: 135,
});
const ANYBODY: XfrmSelector = {
  source: { address: IPV6_ANY, length: 0 },
  destination: { address: IPV6_ANY, length: 0 },
  protocol: 0,
};
const template = (protocol: XfrmTemplate["protocol"], reqid: number, from = IPV6_ANY, to = IPV6_ANY): XfrmTemplate => ({
  protocol,
  mode: protocol === "esp" ? "transport" : "route-optimisation",
  source: from,
  destination: to,
  reqid,
  optional: protocol !== "esp" && reqid === 0,
});

function espStates(): XfrmState[] {
  return [[HOME_ADDRESS, HOME_AGENT] as const, [HOME_AGENT, HOME_ADDRESS] as const].map(([source, destination], i) => ({
    kind: "xfrm-state",
    source,
    destination,
    reqid: REQID + 1,
    selector: selector(source, destination),
    transform: {
      type: "esp",
      spi: 0x1000 + i,
      mode: "transport",
      aead: { algorithm: "rfc4106(gcm(aes))", key: new Secret(fromHex(KEYS[i] ?? "")), icvLength: 16 },
      replayWindow: 64,
    },
  }));
}

function policy(
  direction: "in" | "out",
  of: XfrmSelector,
  templates: XfrmTemplate[],
  policyType: "main" | "sub" = "main",
): XfrmPolicy {
  return { kind: "xfrm-policy", direction, policyType, selector: of, priority: PRIORITY, action: "allow", templates };
}

/** The wildcard that lets the kernel take home address options or routing headers at all: they are judged by ESP and by us. */
function fromAnybody(type: "home-address-option" | "type2-routing-header"): (XfrmState | XfrmPolicy)[] {
  const transform = { type, careOfAddress: IPV6_ANY, wildcard: true } as const;
  return [
    { kind: "xfrm-state", source: IPV6_ANY, destination: IPV6_ANY, reqid: REQID, transform },
    policy("in", ANYBODY, [template(type, 0)], "sub"),
  ];
}

const UP = selector(HOME_ADDRESS, HOME_AGENT);
const DOWN = selector(HOME_AGENT, HOME_ADDRESS);
const UPDATES: XfrmSelector = { ...UP, mobilityHeaderType: 5 };
const ACKNOWLEDGEMENTS: XfrmSelector = { ...DOWN, mobilityHeaderType: 6 };
const careOf = (careOfAddress: Ipv6Address): XfrmState => ({
  kind: "xfrm-state",
  source: HOME_ADDRESS,
  destination: HOME_AGENT,
  reqid: REQID + 2,
  transform: { type: "home-address-option", careOfAddress, wildcard: false },
});
const ESP = template("esp", REQID + 1);
const HAO = template("home-address-option", REQID + 2, HOME_ADDRESS, HOME_AGENT);
const ESP_UP = template("esp", REQID + 1, HOME_ADDRESS, HOME_AGENT);

const HOME_AGENT_OBJECTS = [
  ...espStates(),
  ...fromAnybody("home-address-option"),
  policy("in", UP, [ESP]),
  policy("out", ACKNOWLEDGEMENTS, [ESP]),
];
const MOBILE_NODE_OBJECTS = [
  ...espStates(),
  ...fromAnybody("type2-routing-header"),
  policy("in", DOWN, [ESP]),
  careOf(CARE_OF),
  policy("out", UPDATES, [HAO, ESP_UP]),
];

async function buildTopology(t: TestContext): Promise<{ homeAgent: CodecKernel; mobileNode: CodecKernel }> {
  for (const name of ["ha", "mn"]) namespace(t, name);
  const ip = (...words: string[]): string => execFileSync("ip", words, { encoding: "utf8" });
  ip("link", "add", "name", "eth0", "netns", "mn", "type", "veth", "peer", "name", "wan", "netns", "ha");
  ip("-n", "ha", "link", "set", "wan", "up");
  ip("-n", "ha", "address", "add", "2001:db8:f::1/64", "dev", "wan", "nodad");
  ip("-n", "ha", "address", "add", `${HOME_AGENT}/128`, "dev", "lo", "nodad");
  ip("-n", "mn", "link", "set", "eth0", "up");
  for (const address of [CARE_OF, NEW_CARE_OF])
    ip("-n", "mn", "address", "add", `${address}/64`, "dev", "eth0", "nodad");
  ip("-n", "mn", "route", "add", "default", "via", "2001:db8:f::1");
  ip("-n", "mn", "link", "add", "name", "hoa", "type", "dummy");
  ip("-n", "mn", "link", "set", "hoa", "up");
  ip("-n", "mn", "address", "add", `${HOME_ADDRESS}/128`, "dev", "hoa", "nodad", "home");
  const [homeAgent, mobileNode] = [new CodecKernel(t, "xfrm", "ha"), new CodecKernel(t, "xfrm", "mn")];
  await homeAgent.execute(HOME_AGENT_OBJECTS.flatMap(create));
  await mobileNode.execute(MOBILE_NODE_OBJECTS.flatMap(create));
  return { homeAgent, mobileNode };
}

function next(socket: IpSocket<Ipv6Address>): Promise<IpPacket<Ipv6Address>> {
  return new Promise((resolve, reject) => {
    socket.listen({ onPackets: ([packet]) => packet && resolve(packet), onError: reject });
  });
}

test("F6275-5.1-01 F4877-4.3-01: an exchange under ESP, selected by Mobility Header type, with objects of our making; the care-of address moves in place; without ESP it dies", {
  skip,
}, async (t) => {
  const { homeAgent, mobileNode } = await buildTopology(t);
  assertSame(await dumpAll(homeAgent), HOME_AGENT_OBJECTS);
  assertSame(await dumpAll(mobileNode), MOBILE_NODE_OBJECTS);
  assert.match(mobileNode.run("ip", "xfrm", "policy"), /proto (135|mobility-header) type 5 \n\tdir out/);
  assert.match(homeAgent.run("ip", "xfrm", "policy"), /proto (135|mobility-header) type 6 \n\tdir out/);
  const [ha, mn] = openSockets(t);

  const first = next(ha);
  assert.equal(mn.send([MESSAGE]).sent, 1);
  const received = await first;
  assert.equal(received.source, HOME_ADDRESS);
  assert.match(
    toHex(received.destinationOptions[0] ?? new Uint8Array()),
    new RegExp(`c910${toHex(ipToBytes(CARE_OF))}`),
  );

  const answer = next(mn);
  const routingHeader = Buffer.concat([fromHex("00020201 00000000"), ipToBytes(CARE_OF)]);
  assert.equal(
    ha.send([{ data: ACKNOWLEDGEMENT, source: HOME_AGENT, destination: HOME_ADDRESS, routingHeader }]).sent,
    1,
  );
  assert.equal((await answer).data[2], 6);

  // In place: the kernel's own count of packets goes on, and nothing but the care-of address is different.
  assert.equal(await packets(mobileNode, careOf(CARE_OF)), 1n);
  await mobileNode.execute(xfrmStateCodec.update(careOf(NEW_CARE_OF), careOf(CARE_OF), NAMES) ?? []);
  assert.equal(await packets(mobileNode, careOf(CARE_OF)), 1n);
  assertSame(await dumpAll(mobileNode), [
    ...MOBILE_NODE_OBJECTS.filter((object) => objectKey(object) !== objectKey(careOf(CARE_OF))),
    careOf(NEW_CARE_OF),
  ]);
  const second = next(ha);
  assert.equal(mn.send([MESSAGE]).sent, 1);
  assert.match(
    toHex((await second).destinationOptions[0] ?? new Uint8Array()),
    new RegExp(`c910${toHex(ipToBytes(NEW_CARE_OF))}`),
  );
  assert.equal(await packets(mobileNode, careOf(CARE_OF)), 2n);

  // Without ESP the home agent's policy lets it die.
  await mobileNode.execute(xfrmPolicyCodec.update(UNPROTECTED, PROTECTED, NAMES) ?? []);
  assert.equal(await fate(ha, mn), "dropped");
});

const PROTECTED = policy("out", UPDATES, [HAO, ESP_UP]);
const UNPROTECTED = policy("out", UPDATES, [HAO]);
const MESSAGE = { data: UPDATE, source: HOME_ADDRESS, destination: HOME_AGENT };

function openSockets(t: TestContext): [IpSocket<Ipv6Address>, IpSocket<Ipv6Address>] {
  const [ha, mn] = ["ha", "mn"].map((name) => openMobilityHeaderSocket({ netns: `/run/netns/${name}` }));
  assert.ok(ha && mn);
  t.after(() => [ha, mn].forEach((socket) => void socket.close()));
  return [ha, mn];
}

/** Whether the home agent's socket gets the update that the mobile node sends, or its kernel counts a mismatch with the templates. */
async function fate(ha: IpSocket<Ipv6Address>, mn: IpSocket<Ipv6Address>): Promise<"received" | "dropped"> {
  const arrived = next(ha).then(() => "received" as const);
  const dropped = waitForCounter("XfrmInTmplMismatch", ha).then(() => "dropped" as const);
  assert.equal(mn.send([MESSAGE]).sent, 1);
  return await Promise.race([arrived, dropped]);
}

test("an inbound policy for one Mobility Header type protects nothing from Linux 6.8 on: the kernel does not look at the type any more", {
  skip,
}, async (t) => {
  const { homeAgent, mobileNode } = await buildTopology(t);
  const [ha, mn] = openSockets(t);
  await homeAgent.execute([...remove(policy("in", UP, [ESP])), ...create(policy("in", UPDATES, [ESP]))]);
  await mobileNode.execute(xfrmPolicyCodec.update(UNPROTECTED, PROTECTED, NAMES) ?? []);
  const [major = 0, minor = 0] = release().split(".").map(Number);
  const looksAtType = major < 6 || (major === 6 && minor < 8);
  assert.equal(await fate(ha, mn), looksAtType ? "dropped" : "received");
});

/** Resolves when the home agent's kernel has counted one, or the test has ended without it. */
async function waitForCounter(name: string, socket: IpSocket<Ipv6Address>): Promise<void> {
  const counted = (): boolean => {
    const statistics = execFileSync("ip", ["netns", "exec", "ha", "cat", "/proc/net/xfrm_stat"], { encoding: "utf8" });
    return new RegExp(`^${name}\\s+[1-9]`, "m").test(statistics);
  };
  while (!counted() && !socket.socket.closed) await new Promise((resolve) => setImmediate(resolve));
}
