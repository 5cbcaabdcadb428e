/**
 * A node of Mobile IPv4 and its home agent, both dsmipd, with flows of both families in both directions: behind a firewall that knows what it
 * has begun itself alone, home while the other network is still up and far away, through crashes of either, with nonces in the place of clocks,
 * with a home agent that it has to find, and in GRE.
 *
 *     mn ──four── core ──wan── ha ──home── cn, mn      203.0.114.0/24; 203.0.113.0/24; 198.51.100.0/24, 2001:db8:1::/64
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { stringify } from "yaml";
import { ipv4, ipv6 } from "../../../controller/base/ip.js";
import { decodeControlMessage } from "../../../controller/wire/mip4/messages/control-message.js";
import { Daemon } from "../lib/daemons.js";
import { freshText } from "../lib/exchange.js";
import { Flow } from "../lib/flow.js";
import { layersOfKind } from "../lib/frame.js";
import { describeFrame, payloadText } from "../lib/frames.js";
import { Station } from "../lib/station.js";
import { type Node, Topology } from "../lib/topology.js";
import { waitFor } from "../lib/wait.js";

const HOME = { 4: ipv4("198.51.100.10"), 6: ipv6("2001:db8:1::10") } as const;
const CN = { 4: ipv4("198.51.100.2"), 6: ipv6("2001:db8:1::2") } as const;
const FAMILIES = [4, 6] as const;
const KEY = "00112233445566778899aabbccddeeff";

/** Nothing is open: what the node begins is answered. */
const STATEFUL = `table inet operator { chain in {
  type filter hook input priority 0; policy drop;
  iif lo accept
  ct state established,related accept
  icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept
  udp dport 7000 accept
  counter
}; }`;

class Scene {
  readonly net: Topology;
  readonly mn: Node;
  readonly core: Node;
  readonly agent: Daemon;
  readonly node: Daemon;
  readonly stations: readonly { readonly cn: Station; readonly mn: Station }[];

  constructor(t: TestContext, mobileNode: Readonly<Record<string, unknown>> = {}, mip4: object = {}, key: object = {}) {
    const net = new Topology(t);
    this.net = net;
    const core = net.node("core", { forwarding: true });
    const ha = net.node("ha", { forwarding: true });
    const cn = net.node("cn");
    const mn = net.node("mn");
    this.mn = mn;
    net.link(ha.port("wan", "203.0.113.1/24"), core.port("ha", "203.0.113.2/24"));
    net.link(mn.port("eth0"), core.port("four", "203.0.114.1/24"));
    net.segment(
      "segment",
      ha.port("home", "198.51.100.1/24", "2001:db8:1::1/64"),
      cn.port("eth0", `${CN[4]}/24`, `${CN[6]}/64`),
      mn.port("home"),
    );
    ha.route("default via 203.0.113.2");
    core.route("198.51.100.0/24 via 203.0.113.1");
    net.build();
    // Up it would answer its neighbours for the home address, and payload would find the node without a tunnel.
    mn.ip("link set home down");
    this.core = core;
    const keyFile = join(net.scratch, "keys.yaml");
    const association = { association: "mobile-home", node: HOME[4], spi: 256, key: KEY, ...key };
    writeFileSync(keyFile, stringify({ mip4: [association] }), { mode: 0o600 });
    const files = { directory: net.scratch, keyFile };
    this.agent = new Daemon(ha, files, {
      role: "home-agent",
      homeAgent: {
        addresses: { ipv4: "203.0.113.1", ipv6: "2001:db8:1::1" },
        homeLink: { interface: "home", prefixes: ["198.51.100.0/24", "2001:db8:1::/64"] },
        mip4: { tunnellingMode: "requested", ...mip4 },
      },
      subscribers: [{ homeAddress: HOME[6], ipv4HomeAddress: HOME[4], protocols: ["mip4"] }],
    });
    this.node = new Daemon(mn, files, {
      ...{ role: "mobile-node", protocol: "mip4" },
      mobileNode: {
        ...{ homeAddress: HOME[4], homeAgent: "203.0.113.1" },
        ...{ homeSubnet: "198.51.100.0/24", prefixes: [`${HOME[6]}/128`], ipv6HomeAddress: HOME[6], ...mobileNode },
      },
    });
    this.stations = FAMILIES.map((family) => ({
      cn: new Station(cn, CN[family]),
      mn: new Station(mn, HOME[family]),
    }));
    t.after(() => {
      for (const { cn: here, mn: there } of this.stations) for (const one of [here, there]) one.close();
    });
  }

  visit(): void {
    this.mn.ip("address add 203.0.114.7/24 dev eth0", "route add default via 203.0.114.1 metric 200");
  }

  goHome(): void {
    this.mn.ip(
      "link set home up",
      "address add 2001:db8:1::77/64 dev home nodad",
      "address add 198.51.100.77/24 dev home",
      "route add default via 198.51.100.1 metric 100",
    );
  }

  leaveHome(): void {
    this.mn.ip("route del default via 198.51.100.1 metric 100", "address del 198.51.100.77/24 dev home");
  }

  is(state: string): Promise<unknown> {
    return this.node.waitForBinding(state, (binding) => binding.state === state);
  }

  /** One packet each way, the one to the node first. */
  async cross(): Promise<void> {
    for (const { cn, mn } of this.stations)
      for (const [from, to] of [
        [cn, mn],
        [mn, cn],
      ] as const) {
        const text = freshText("one");
        from.send(to, text);
        await to.waitFor(text);
      }
  }

  flows(): Flow[] {
    const flows = this.stations.flatMap(({ cn, mn }, i) => [
      new Flow(`down ${FAMILIES[i]}`, cn, mn),
      new Flow(`up ${FAMILIES[i]}`, mn, cn),
    ]);
    for (const flow of flows) flow.start();
    return flows;
  }
}

/** Registration messages between node and home agent as they pass, in order. */
async function messagesOn(scene: Scene) {
  const capture = await scene.net.capture(scene.core, "four");
  const passed = () =>
    capture.frames().flatMap(({ layers }) => {
      const [udp] = layersOfKind(layers, "udp");
      const [ip] = layersOfKind(layers, "ipv4");
      const message = udp === undefined ? undefined : decodeControlMessage(udp.payload);
      return ip !== undefined && message?.ok === true ? [{ ...ip, message: message.value }] : [];
    });
  return {
    capture,
    requests: () =>
      passed().flatMap(({ destination, message }) =>
        message.type === "registration-request" ? [{ destination, message }] : [],
      ),
    replies: () =>
      passed().flatMap(({ source, message }) => (message.type === "registration-reply" ? [{ source, message }] : [])),
  };
}

async function whole(flows: readonly Flow[]): Promise<void> {
  for (const flow of flows) flow.stop();
  const missing = (): string[] => flows.flatMap((flow) => flow.missing().map((number) => `${flow.label} #${number}`));
  await waitFor(() => missing().length === 0, { what: "the last packets" }).catch(() => undefined);
  assert.deepEqual(missing(), []);
}

const more = (flows: readonly Flow[]): Promise<unknown> => {
  const before = flows.map((flow) => flow.sent);
  return waitFor(() => flows.every((flow, i) => flow.sent > (before[i] ?? 0) + 15), { what: "more packets" });
};

for (const [words, mobileNode] of [
  ["IP in IP, IPv6 to the care-of address", { ipv6Tunnelling: "care-of-address" }],
  ["IP in IP, IPv6 to the home address", { ipv6Tunnelling: "home-address" }],
  ["GRE", { encapsulation: "gre", ipv6Tunnelling: "care-of-address" }],
  ["UDP, IPv6 to the home address", { forceUdp: true, ipv6Tunnelling: "home-address" }],
] as const)
  test(`a stateful firewall on the node: ${words}`, async (t) => {
    const scene = new Scene(t, mobileNode);
    await scene.agent.start();
    scene.mn.nft(STATEFUL);
    scene.visit();
    await scene.node.start();
    await scene.is("registered");
    await scene.cross();
  });

test("home while the other network is up, and far away: nothing is lost", async (t) => {
  const scene = new Scene(t, { ipv6Tunnelling: "care-of-address" });
  await scene.agent.start();
  scene.visit();
  scene.mn.run("tc", "qdisc", "add", "dev", "eth0", "root", "netem", "delay", "60ms");
  await scene.node.start();
  await scene.is("registered");
  await scene.cross();
  const flows = scene.flows();
  await more(flows);
  scene.goHome();
  await scene.is("home");
  await more(flows);
  await t.test("and away again", async () => {
    scene.leaveHome();
    await scene.is("registered");
    await more(flows);
    await whole(flows);
  });
});

test("RFC 5944 §2.4.3: home by what the home agent says there, which nothing else tells: nothing is lost", async (t) => {
  const advertisements = { address: "198.51.100.1/24", advertisementIntervalSeconds: 1 };
  const scene = new Scene(t, { homeSubnet: undefined }, { advertisements });
  await scene.agent.start();
  scene.visit();
  await scene.node.start();
  await scene.is("registered");
  await scene.cross();
  const flows = scene.flows();
  await more(flows);
  scene.goHome();
  await scene.is("home");
  await more(flows);
  assert.deepEqual(await scene.agent.bindings(), []);
  await whole(flows);
});

test("a node whose process is killed: the tunnel stays, over its next start too", async (t) => {
  const scene = new Scene(t, { ipv6Tunnelling: "care-of-address" });
  await scene.agent.start();
  scene.visit();
  await scene.node.start();
  await scene.is("registered");
  await scene.cross();
  const flows = scene.flows();
  await more(flows);
  await scene.node.kill();
  await more(flows);
  await scene.node.start();
  await scene.is("registered");
  await more(flows);
  await whole(flows);
});

test("F5944-5.7-01: nonces in the place of clocks: the node learns its first one, and uses each once, over a crash of the home agent", async (t) => {
  const scene = new Scene(t, { lifetimeSeconds: 20 }, {}, { replay: "nonces" });
  const wire = await messagesOn(scene);
  await scene.agent.start();
  scene.visit();
  await scene.node.start();
  await scene.is("registered");
  await scene.cross();
  const used = () => wire.requests().map(({ message }) => message.identification.high);
  const given = () => wire.replies().map(({ message }) => message.identification.high);
  const [first] = await waitFor(() => wire.replies().length > 1 && wire.replies(), { what: "two replies" });
  assert.equal(first?.message.code, 133);
  const isNextOf = () => used().at(-1) === given().at(-2) && used().at(-1) !== given().at(-1);
  await waitFor(isNextOf, { what: "the nonce of the reply before in the last request" });
  await scene.agent.kill();
  await scene.agent.start();
  const before = wire.replies().length;
  const refreshed = await waitFor(() => wire.replies()[before], { what: "a refresh", timeout: 20_000 });
  assert.equal(refreshed.message.code, 1, "the home agent knows what it has given");
  await scene.cross();
  const accepted = wire.requests().map(({ message }) => message.identification);
  assert.equal(new Set(accepted.map(({ high, low }) => `${high} ${low}`)).size, accepted.length);
});

test("RFC 5944 §3.6.1.2: a node that does not know its home agent asks at the broadcast address of its home network", async (t) => {
  const scene = new Scene(t, { homeAgent: "dynamic" });
  const wire = await messagesOn(scene);
  await scene.agent.start();
  scene.visit();
  await scene.node.start();
  await scene.is("registered");
  await scene.cross();
  const [first, ...later] = wire.requests().map(({ destination, message }) => [destination, message.homeAgent]);
  assert.deepEqual(first, ["198.51.100.255", "198.51.100.255"]);
  assert.deepEqual(later.at(-1), ["203.0.113.1", "203.0.113.1"]);
  const answers = wire.replies().map(({ source, message }) => [source, message.code, message.homeAgent]);
  assert.deepEqual(answers[0], ["203.0.113.1", 136, "203.0.113.1"]);
  assert.equal(answers.at(-1)?.[1], 1);
});

test("F5944-4.1-01: GRE from end to end, with both families inside", async (t) => {
  const scene = new Scene(t, { encapsulation: "gre", ipv6Tunnelling: "care-of-address" });
  const { capture } = await messagesOn(scene);
  await scene.agent.start();
  scene.visit();
  await scene.node.start();
  await scene.is("registered");
  for (const { cn, mn } of scene.stations)
    for (const [from, to] of [
      [cn, mn],
      [mn, cn],
    ] as const) {
      const text = freshText("in GRE");
      from.send(to, text);
      await to.waitFor(text);
      const [frame] = await capture.waitFor((one) => payloadText(one) === text, { what: text });
      const outer = from === cn ? "203.0.113.1>203.0.114.7" : "203.0.114.7>203.0.113.1";
      const inner = `ipv${from.address.includes(":") ? 6 : 4} ${from.address}>${to.address}`;
      assert.match(
        frame === undefined ? "" : describeFrame(frame),
        new RegExp(`^ipv4 ${outer} / protocol 47 / ${inner} / udp`),
      );
    }
});
