/**
 * Home agent address discovery on the wire: the home agent with two others on its home link, whose router advertisements Debian's radvd
 * sends, and with a radvd of its own that has the configuration which dsmipd makes for it.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { type Ipv6Address, ipv6 } from "../../../controller/base/ip.js";
import { openIcmpv6Socket } from "../../../controller/io/ip/icmpv6-socket.js";
import { decodeIcmpv6, encodeIcmpv6, type Icmpv6OfType, withIcmpv6Checksum } from "../../../controller/wire/icmpv6.js";
import { Icmpv6Type, Protocol } from "../../../controller/wire/ip/registry.js";
import { type IcmpLayer, type Layer, layersOf, layersOfKind } from "../lib/frame.js";
import { HOME_AGENT, HostileWorld, MAIN, plainIpv6 } from "../lib/hostile.js";
import type { Node } from "../lib/topology.js";
import { waitFor } from "../lib/wait.js";

const ANYCAST = ipv6("2001:db8:1:0:fdff:ffff:ffff:fffe");
const VISITOR = ipv6("2001:db8:a::50");
const SECOND = ipv6("2001:db8:1::2");
const THIRD = ipv6("2001:db8:1::3");
const PREFERENCE = 10;

type Reply = Icmpv6OfType<"home-agent-address-discovery-reply">;
interface Replied {
  readonly reply: Reply;
  readonly source: Ipv6Address;
  readonly octets: number;
}

function question(identifier: number, mobileRouter: boolean): Uint8Array {
  return encodeIcmpv6({ type: "home-agent-address-discovery-request", identifier, flags: { mobileRouter } });
}

test("home agent address discovery", async (t) => {
  const hostile = new HostileWorld(t, { discovery: { preference: 5 } });
  const { net, ha } = hostile;
  const [second, third] = [SECOND, THIRD].map((address, i) => {
    const other = net.node(`ha${i + 2}`, { forwarding: true });
    net.link(ha.port(`home${i + 2}`), other.port("eth0", `${address}/64`));
    ha.also(`link set home${i + 2} master home`);
    return other;
  }) as [Node, Node];
  await hostile.open();
  // Nodes of a home link are sent back to the world by the home agent itself.
  for (const other of [second, third]) other.ip(`route add ::/0 via ${HOME_AGENT.ipv6}`);

  let identifier = 0;
  const replies = (to = VISITOR): Replied[] =>
    hostile.frames.flatMap((frame) => {
      const layers = layersOf(frame, 1);
      const [ip] = layersOfKind(layers, "ipv6");
      const message = icmpv6In(layers).map(({ bytes }) => decodeIcmpv6(bytes))[0];
      if (ip?.destination !== to || !message?.ok) return [];
      const { value } = message;
      if (value.type !== "home-agent-address-discovery-reply") return [];
      return [{ reply: value, source: ip.source, octets: 40 + ip.length }];
    });
  const ask = async ({ mobileRouter = false } = {}): Promise<Replied> => {
    const wanted = ++identifier;
    hostile.send(6, request(question(wanted, mobileRouter)));
    return waitFor(() => replies().find(({ reply }) => reply.identifier === wanted), { what: `reply ${wanted}` });
  };
  const request = (message: Uint8Array, destination = ANYCAST): Uint8Array =>
    plainIpv6(VISITOR, destination, Protocol.icmpv6, withIcmpv6Checksum(message, VISITOR, destination));

  await t.test("F6275-10.5.1-01: alone it tells of itself, from its unicast address", async () => {
    const { reply, source } = await ask();
    assert.equal(source, HOME_AGENT.ipv6);
    assert.deepEqual(reply.addresses, [HOME_AGENT.ipv6]);
  });

  await t.test("what is not asked at the anycast address, or is damaged, is counted and not answered", async () => {
    const before = replies().length;
    hostile.send(6, request(question(0x7777, false), HOME_AGENT.ipv6), request(question(0x7778, false).subarray(0, 6)));
    await waitFor(
      async () => (await hostile.dropped("wrong-destination")) + (await hostile.dropped("malformed")) >= 2,
      {
        what: "both to be counted",
      },
    );
    await ask();
    assert.equal(replies().length, before + 1);
  });

  await t.test("F6275-10.5.1-01: others are learnt from their advertisements; order and equals", async () => {
    advertise(second, { preference: PREFERENCE, mobileRouters: false });
    advertise(third, { preference: PREFERENCE, mobileRouters: true });
    await waitFor(async () => (await ask()).reply.addresses.length === 3, { what: "three home agents", interval: 100 });
    const first = new Set<Ipv6Address | undefined>();
    await waitFor(
      async () => {
        const { reply, octets } = await ask();
        assert.equal(reply.addresses[2], HOME_AGENT.ipv6, "the least preferred is the last");
        assert.ok(octets <= 1280);
        return first.add(reply.addresses[0]).size === 2;
      },
      { what: "both orders of equals" },
    );
    assert.deepEqual([...first].sort(), [SECOND, THIRD]);
  });

  await t.test("F3963-7.2-01: a mobile router is told of who serves mobile routers", async () => {
    const { reply } = await ask({ mobileRouter: true });
    assert.deepEqual(reply.addresses, [THIRD]);
    assert.equal(reply.flags.mobileRouter, true);
  });

  await t.test("with another router on the home link, a host there is answered too", async (t) => {
    const socket = openIcmpv6Socket({ types: [Icmpv6Type.homeAgentAddressDiscoveryReply], netns: second.path });
    t.after(() => socket.close());
    const heard: Ipv6Address[] = [];
    socket.listen({
      onPackets: (packets) => void heard.push(...packets.map(({ source }) => source)),
      onError: (error) => assert.fail(error),
    });
    socket.send([{ data: question(1, false), destination: ANYCAST, source: SECOND }]);
    await waitFor(() => heard.length > 0, { what: "an answer on the home link" });
    assert.deepEqual(heard, [HOME_AGENT.ipv6]);
  });

  await t.test("a flood is bounded in the kernel, and others are still answered after it", async () => {
    const before = replies().length;
    const flood = Array.from({ length: 1000 }, () => request(question(0x6666, false)));
    hostile.send(6, ...flood);
    await waitFor(async () => ((await hostile.status()).counters.kernel["metered-discovery"] ?? 0) > 0, {
      what: "the counter",
    });
    assert.ok(replies().length - before < flood.length);
    await waitFor(
      async () => {
        hostile.send(6, request(question(0x5555, false)));
        return replies().some(({ reply }) => reply.identifier === 0x5555);
      },
      { what: "an answer after the flood", interval: 100 },
    );
  });

  await t.test("F6275-7.1-01: radvd sends what dsmipd has made for it", async () => {
    const capture = await net.capture(third, "eth0", "icmp6 and ip6[40] == 134");
    const made = spawnSync(process.execPath, [MAIN, "radvd", "--config", hostile.config], { encoding: "utf8" });
    assert.equal(made.status, 0, made.stderr);
    const file = join(net.scratch, "own-radvd.conf");
    // No address is found outside: this test's process is in another network namespace.
    writeFileSync(file, made.stdout);
    startRadvd(ha, file, join(net.scratch, "own-radvd.pid"));
    const [frame] = await capture.waitFor(
      ({ layers }) => icmpv6In(layers).some(({ bytes }) => preferenceOf(bytes) === 5),
      { what: "an advertisement of ours" },
    );
    const [icmp] = icmpv6In(frame?.layers ?? []);
    const message = decodeIcmpv6(icmp?.bytes ?? new Uint8Array());
    assert.ok(message.ok && message.value.type === "router-advertisement");
    assert.equal(message.value.flags.homeAgent, true);
    const options = new Map(message.value.options.map((option) => [option.kind, option]));
    const prefix = options.get("prefix-information");
    assert.ok(prefix?.kind === "prefix-information" && prefix.flags.routerAddress && prefix.prefix === HOME_AGENT.ipv6);
    assert.ok(options.has("source-link-layer-address") && options.has("advertisement-interval"));
    const information = options.get("home-agent-information");
    assert.ok(information?.kind === "home-agent-information");
    assert.deepEqual([information.lifetimeSeconds, information.flags.mobileRouter], [1800, false]);
    const { reply } = await ask();
    assert.deepEqual(reply.addresses.filter((address) => address === HOME_AGENT.ipv6).length, 1, "not twice");
  });

  assert.equal(await hostile.differences(), 0);

  function advertise(node: Node, { preference, mobileRouters }: { preference: number; mobileRouters: boolean }): void {
    const file = join(net.scratch, `${node.label}-radvd.conf`);
    const address = node === second ? SECOND : THIRD;
    writeFileSync(
      file,
      `interface eth0 { AdvSendAdvert on; MinRtrAdvInterval 0.2; MaxRtrAdvInterval 0.5; AdvHomeAgentFlag on; AdvHomeAgentInfo on;
  HomeAgentPreference ${preference}; HomeAgentLifetime 600; AdvMobRtrSupportFlag ${mobileRouters ? "on" : "off"};
  prefix ${address}/64 { AdvRouterAddr on; }; };\n`,
    );
    startRadvd(node, file, join(net.scratch, `${node.label}-radvd.pid`));
  }
});

const icmpv6In = (layers: readonly Layer[]): IcmpLayer[] =>
  layers.filter((layer): layer is IcmpLayer => layer.kind === "icmp6");

function startRadvd(node: Node, configuration: string, pidFile: string): void {
  const words = ["--nodaemon", "--logmethod=stderr", `--config=${configuration}`, `--pidfile=${pidFile}`];
  node.spawn(["radvd", ...words], { name: `${node.label}-radvd` });
}

function preferenceOf(bytes: Uint8Array): number | undefined {
  const message = decodeIcmpv6(bytes);
  if (!message.ok || message.value.type !== "router-advertisement") return undefined;
  const information = message.value.options.find((option) => option.kind === "home-agent-information");
  return information?.preference;
}
