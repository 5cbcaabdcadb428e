/**
 * Mobile IPv4's payload with both ends' plans in real kernels and no daemon: IP in IP, GRE and RFC 3519's UDP, IPv4 and IPv6 in both ways of
 * RFC 5454, two nodes behind one NAT address, and what is forged.
 *
 *     cn ──home── ha ──wan── inet ── m3               198.51.100.0/24, 2001:db8:1::/64 at home; 203.0.113.0/24 between
 *                              └── nat ── m1, m2      10.0.1.0/24, 10.0.2.0/24
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { type IpAddress, type Ipv4Address, ipv4, ipv6 } from "../../../controller/base/ip.js";
import { PacketCounters } from "../../../controller/daemon/kernel.js";
import type { IpPacket } from "../../../controller/io/ip/ip-socket.js";
import { openUdpSocket } from "../../../controller/io/ip/udp-socket.js";
import { netlinkTransports } from "../../../controller/io/netlink/transport.js";
import { planMip4Binding } from "../../../controller/plan/home-agent/mip4/binding.js";
import { planMip4Site } from "../../../controller/plan/home-agent/mip4/site.js";
import { planHomeAgentSite } from "../../../controller/plan/home-agent/plan.js";
import { type Mip4NodePlanSite, withPath } from "../../../controller/plan/mobile-node/mip4/given.js";
import { planMip4NodePath } from "../../../controller/plan/mobile-node/mip4/path.js";
import { planMip4NodeSite } from "../../../controller/plan/mobile-node/mip4/site.js";
import type { KernelObject } from "../../../controller/plan/objects/objects.js";
import { type HomeAgentPlanSite, TUN_DEVICE } from "../../../controller/plan/site.js";
import type { DataPath, PrefixMode, TunnelEnd } from "../../../controller/protocol/mip4/inputs.js";
import type { NodePath } from "../../../controller/protocol/mip4/mobile-node/inputs.js";
import { prefix } from "../codecs/rtnetlink-objects.js";
import type { Capture, Frame } from "../lib/capture.js";
import { encapsulate, Injector, ipPacket, stationPacket } from "../lib/craft.js";
import { DIRECTIONS, freshText } from "../lib/exchange.js";
import { describeFrame, type IpLayer, ipLayersOf, payloadText } from "../lib/frames.js";
import { Planned } from "../lib/planned.js";
import { Station } from "../lib/station.js";
import { type Node, Topology } from "../lib/topology.js";
import { waitFor } from "../lib/wait.js";

const HA = ipv4("203.0.113.1");
const NAT = ipv4("203.0.113.77");
const CN = { 4: ipv4("198.51.100.2"), 6: ipv6("2001:db8:1::2") } as const;
const PORT = 434;
const FAMILIES = [4, 6] as const;
const CLASS = 0xb9; // EF and ECT(1)

const SITE: HomeAgentPlanSite = {
  addresses: { ipv4: HA, ipv6: ipv6("2001:db8:1::1") },
  homePrefixes: [prefix("198.51.100.0/24")],
  homeDevice: "home",
  mtu: 1400,
  profiles: new Map([["default", { dscp: "copy", ttl: 77 }]]),
  mip4: { prefixLengths: [64], gre: true },
};
/** It is made by who opens it, which is nobody here. */
const withoutTun = (objects: readonly KernelObject[]): KernelObject[] =>
  objects.filter(
    (one) => !(("device" in one && one.device === TUN_DEVICE) || ("name" in one && one.name === TUN_DEVICE)),
  );

class Mobile {
  readonly number: number;
  readonly node: Node;
  readonly careOf: Ipv4Address;
  readonly home4: Ipv4Address;
  readonly stations: Readonly<Record<4 | 6, Station>>;
  readonly site: Mip4NodePlanSite;
  kernel!: Planned;
  #revision = 0;

  constructor(node: Node, number: number, careOf: string, router: string) {
    this.node = node;
    this.number = number;
    this.careOf = ipv4(careOf);
    this.home4 = ipv4(`198.51.100.10${number}`);
    this.site = {
      homeAgent: HA,
      homeAddress: this.home4,
      ipv6HomeAddress: ipv6(`2001:db8:9:${number}::1`),
      homePrefixes: [],
      prefixes: [this.prefix],
      profile: { dscp: "copy", ttl: 66 },
      routers: new Map([["eth0", ipv4(router)]]),
      egressDevices: ["eth0"],
    };
    this.stations = {
      4: new Station(node, this.home4),
      6: new Station(node, ipv6(`2001:db8:9:${number}::1`)),
    };
  }

  get prefix() {
    return prefix(`2001:db8:9:${this.number}::/64`);
  }

  /** Both ends hold what a registration with this end of the tunnel, as the home agent sees it, would have them hold. */
  async register(homeAgent: Planned, egress: TunnelEnd, mode: PrefixMode): Promise<void> {
    const prefixes = [{ prefix: this.prefix, mode }];
    const binding: DataPath = {
      node: ipv6(`fd4d:4950:34::${this.number}`),
      homeAddress: this.home4,
      egress,
      ingress: [egress],
      reverseTunnelling: true,
      prefixes,
      profile: "default",
      revision: ++this.#revision,
    };
    const end = { kind: "co-located", device: "eth0", address: this.careOf } as const;
    const path: NodePath = {
      mode: "away",
      homeAddress: this.home4,
      homeAgent: HA,
      egress: end,
      ingress: [end],
      encapsulation: egress.encapsulation,
      keepaliveSeconds: egress.transport === "udp" ? 110 : undefined,
      reverseTunnelling: true,
      prefixes,
    };
    const site = withPath(this.site, path);
    await this.kernel.hold("site", planMip4NodeSite(site));
    await Promise.all([
      homeAgent.hold(`binding ${this.number}`, planMip4Binding(binding, SITE)),
      this.kernel.hold("path", planMip4NodePath(path, site)),
    ]);
  }
}

class Scene {
  readonly net: Topology;
  readonly ha: Node;
  readonly mobiles: readonly Mobile[];
  readonly correspondents: Readonly<Record<4 | 6, Station>>;
  wire!: Capture;
  kernel!: Planned;
  readonly #counters: PacketCounters;

  static async start(t: TestContext): Promise<Scene> {
    const scene = new Scene(t);
    scene.kernel = await Planned.open(t, scene.ha);
    await scene.kernel.hold("site", withoutTun(planHomeAgentSite(SITE)));
    await scene.kernel.hold("mip4", planMip4Site(SITE));
    for (const mobile of scene.mobiles) {
      mobile.kernel = await Planned.open(t, mobile.node);
      await mobile.kernel.hold("site", planMip4NodeSite(mobile.site));
    }
    scene.wire = await scene.net.capture(scene.ha, "wan");
    return scene;
  }

  private constructor(t: TestContext) {
    this.net = new Topology(t);
    const { net } = this;
    const cn = net.node("cn");
    this.ha = net.node("ha");
    const nat = net.node("nat", { forwarding: true });
    const nodes = [1, 2, 3].map((number) => net.node(`m${number}`)) as [Node, Node, Node];
    net.link(
      cn.port("eth0", `${CN[4]}/24`, `${CN[6]}/64`),
      this.ha.port("home", "198.51.100.1/24", "2001:db8:1::1/64"),
    );
    net.segment(
      "inet",
      this.ha.port("wan", `${HA}/24`),
      nat.port("wan", `${NAT}/24`),
      nodes[2].port("eth0", "203.0.113.53/24"),
    );
    for (const [i, node] of nodes.slice(0, 2).entries()) {
      net.link(node.port("eth0", `10.0.${i + 1}.2/24`), nat.port(`lan${i + 1}`, `10.0.${i + 1}.1/24`));
      node.route(`default via 10.0.${i + 1}.1`);
    }
    nodes[2].route("default via 203.0.113.1");
    cn.route("default via 198.51.100.1").route("::/0 via 2001:db8:1::1");
    net.build();
    nat.nft(
      'table ip nat { chain post { type nat hook postrouting priority 100; oifname "wan" masquerade fully-random; }; }',
    );
    this.mobiles = [
      new Mobile(nodes[0], 1, "10.0.1.2", "10.0.1.1"),
      new Mobile(nodes[1], 2, "10.0.2.2", "10.0.2.1"),
      new Mobile(nodes[2], 3, "203.0.113.53", "203.0.113.1"),
    ];
    this.#counters = new PacketCounters(netlinkTransports(this.ha.path));
    this.correspondents = { 4: new Station(cn, CN[4]), 6: new Station(cn, CN[6]) };
    t.after(() => {
      this.#counters.close();
      for (const one of [this.correspondents, ...this.mobiles.map(({ stations }) => stations)])
        for (const family of FAMILIES) one[family].close();
    });
  }

  /** Packets, by the home agent's own counter of this name. */
  async counter(name: string): Promise<number> {
    const counter = (await this.#counters.read()).get(name) ?? assert.fail(`no counter ${name}`);
    return Number(counter.packets);
  }

  /** One packet each way and family; of each the frame at the home agent's wide area device. */
  async crossings(mobile: Mobile): Promise<readonly { readonly way: string; readonly frame: Frame }[]> {
    const found: { way: string; frame: Frame }[] = [];
    for (const family of FAMILIES)
      for (const direction of DIRECTIONS) {
        const ends = [this.correspondents[family], mobile.stations[family]] as const;
        const [from, to] = direction === "down" ? ends : ([ends[1], ends[0]] as const);
        const text = freshText(`${direction} IPv${family}`);
        from.send(to, text, { trafficClass: CLASS, hopLimit: 50 });
        const received = await to.waitFor(text);
        assert.equal(received.trafficClass, CLASS, text);
        const [frame] = await this.wire.waitFor((one) => payloadText(one) === text, { what: text });
        if (frame !== undefined) found.push({ way: `${direction} ${family}`, frame });
      }
    return found;
  }
}

/** On port 434 at both ends of the NAT: what a registration teaches the home agent. */
async function natPort(scene: Scene, mobile: Mobile): Promise<number> {
  const received: IpPacket[] = [];
  const answers: IpPacket[] = [];
  const listening = (packets: IpPacket[]) => ({
    onPackets: (some: readonly IpPacket[]) => void packets.push(...some),
    onError: () => {},
  });
  const agent = openUdpSocket({ netns: scene.ha.path, address: HA, port: PORT, family: 4 });
  const node = openUdpSocket({ netns: mobile.node.path, address: mobile.careOf, port: PORT, family: 4 });
  try {
    agent.listen(listening(received));
    node.listen(listening(answers));
    node.send([{ data: Uint8Array.from([1, ...new Array(23).fill(7)]), destination: HA, destinationPort: PORT }]);
    const [request] = await waitFor(() => received.length > 0 && received, { what: "a request on port 434" });
    const { source, sourcePort } = request as IpPacket<Ipv4Address>;
    assert.equal(source, NAT);
    agent.send([
      { data: Uint8Array.from([3, ...new Array(19).fill(0)]), destination: source, destinationPort: sourcePort },
    ]);
    await waitFor(() => answers.length > 0, { what: "the answer from port 434" });
    return sourcePort;
  } finally {
    agent.close();
    node.close();
  }
}

/** What the wire shows: the way of each packet, outermost header first. */
function forms(scene: Scene, mobile: Mobile, between: string, carrier: boolean): Record<string, string> {
  const expected: Record<string, string> = {};
  const outer = mobile.number === 3 ? mobile.careOf : NAT;
  for (const family of FAMILIES)
    for (const direction of DIRECTIONS) {
      const pair = (a: IpAddress | number, b: IpAddress | number): string =>
        direction === "down" ? `${a}>${b}` : `${b}>${a}`;
      const home = family === 6 && carrier ? ` / ipv4 ${pair(HA, mobile.home4)}` : "";
      const way = between
        .replaceAll("NH", family === 6 && !carrier ? "41" : "4")
        .replace("PORTS", pair(PORT, natPorts.get(mobile) ?? 0));
      const inner = pair(scene.correspondents[family].address, mobile.stations[family].address);
      expected[`${direction} ${family}`] =
        `ipv4 ${pair(HA, outer)}${way}${home} / ipv${family} ${inner} / udp 7000>7000`;
    }
  return expected;
}
const natPorts = new Map<Mobile, number>();

const GRE_PROTOCOL = 47;
const GRE_IPV4 = [0, 0, 8, 0];
/** K, and the key 7. */
const GRE_WITH_KEY = [0x20, 0, 8, 0, 0, 0, 0, 7];

test("Mobile IPv4's payload in the kernel", async (t: TestContext) => {
  const scene = await Scene.start(t);
  const [first, second, third] = scene.mobiles as [Mobile, Mobile, Mobile];
  const check = async (mobile: Mobile, between: string, carrier: boolean): Promise<void> => {
    const seen = await scene.crossings(mobile);
    const shown = Object.fromEntries(seen.map(({ way, frame }) => [way, describeFrame(frame)]));
    assert.deepEqual(shown, forms(scene, mobile, between, carrier));
    for (const { way, frame } of seen) {
      const layers = ipLayersOf(frame);
      const tunnels = layers.slice(0, -1);
      assert.deepEqual(
        tunnels.map(({ trafficClass }: IpLayer) => trafficClass),
        tunnels.map(() => CLASS),
        way,
      );
      // RFC 2003 §3.1 for IPv4, RFC 4213 §3.2.1 for IPv6.
      const inner = layers.at(-1);
      const outer = layers[0];
      assert.equal(outer?.kind === "ipv4" && outer.dontFragment, inner?.kind === "ipv4" && inner.dontFragment, way);
      const ttl = way.startsWith("down") ? 77 : 66;
      // A NAT is a router, too.
      const routers = way.startsWith("up") && mobile !== third ? 1 : 0;
      assert.deepEqual(
        tunnels.map(({ hopLimit }, i) => hopLimit + (i === 0 ? routers : 0)),
        tunnels.map(() => ttl),
        way,
      );
    }
  };
  const PLAIN: TunnelEnd = { transport: "ip", address: third.careOf, encapsulation: "ip-in-ip" };
  const GRE: TunnelEnd = { transport: "ip", address: third.careOf, encapsulation: "gre" };

  await t.test(
    "V4-4.3.2-10 V4-4.3.2-11 V4-4.6-07 IP in IP, and IPv6 in protocol 41 to the care-of address",
    async () => {
      await third.register(scene.kernel, PLAIN, "care-of-address");
      await check(third, "", false);
    },
  );
  await t.test("V4-4.3.2-07 V4-4.3.2-09 IP in IP, and IPv6 to the home address inside it", async () => {
    await third.register(scene.kernel, PLAIN, "home-address");
    await check(third, "", true);
  });
  await t.test("V4-4.3.2-02 V4-4.3.2-04 GRE for IPv4 and IPv6", async () => {
    await third.register(scene.kernel, GRE, "care-of-address");
    await check(third, " / protocol 47", false);
  });
  await t.test("IPv6 to the home address inside GRE", async () => {
    await third.register(scene.kernel, GRE, "home-address");
    await check(third, " / protocol 47", true);
  });
  await t.test("V4-4.9-02 RFC 3519's UDP, two nodes behind one NAT address, each in its way of IPv6", async () => {
    for (const [mobile, mode] of [
      [first, "care-of-address"],
      [second, "home-address"],
    ] as const) {
      const port = await natPort(scene, mobile);
      natPorts.set(mobile, port);
      await mobile.register(scene.kernel, { transport: "udp", address: NAT, port, encapsulation: "ip-in-ip" }, mode);
    }
    await check(first, " / udp PORTS / protocol NH", false);
    await check(second, " / udp PORTS / protocol NH", true);
  });
  await t.test("a keepalive is answered while nobody listens on port 434", () => {
    first.node.run("ping", "-c1", "-w60", "-I", first.home4, HA);
  });
  await t.test(
    "F3519-4.3-01 V4-4.3.2-13 V4-5-01 F3024-4.3.2-01 what is forged is dropped and counted by what it is",
    async () => {
      const injector = new Injector({ namespace: third.node, device: "eth0" }, { namespace: scene.ha, device: "wan" });
      t.after(() => injector.close());
      const texts: string[] = [];
      const payload = (from: Mobile, family: 4 | 6): Uint8Array => {
        const text = freshText("forged");
        texts.push(text);
        return stationPacket({ source: from.stations[family].address, destination: CN[family] }, text);
      };
      const toAgent = (source: Ipv4Address) => ({ source, destination: HA });
      const gre = (header: readonly number[], inner: Uint8Array): Uint8Array => Buffer.from([...header, ...inner]);
      const data = (
        source: Ipv4Address,
        port: number,
        header: readonly number[],
        inner: Uint8Array,
        to = PORT,
      ): Uint8Array => encapsulate(toAgent(source), gre(header, inner), { sourcePort: port, destinationPort: to });
      const carrier = (home: Mobile, prefixOf: Mobile): Uint8Array =>
        encapsulate(toAgent(home.home4), payload(prefixOf, 6));
      const port = natPorts.get(first) ?? 0;
      const FORGED: readonly (readonly [counter: string, packet: Uint8Array])[] = [
        ["spoofed-gre", ipPacket(toAgent(third.careOf), GRE_PROTOCOL, gre(GRE_IPV4, payload(second, 4)))],
        ["spoofed-gre", ipPacket(toAgent(NAT), GRE_PROTOCOL, gre(GRE_IPV4, payload(third, 4)))],
        ["bad-gre", ipPacket(toAgent(third.careOf), GRE_PROTOCOL, gre(GRE_WITH_KEY, payload(third, 4)))],
        // To another address of the machine: the device without ends would take it.
        [
          "spoofed-gre",
          ipPacket(
            { source: third.careOf, destination: ipv4("198.51.100.1") },
            GRE_PROTOCOL,
            gre(GRE_IPV4, payload(third, 4)),
          ),
        ],
        ["spoofed-udp", data(NAT, port, [4, 4, 0, 0], payload(second, 4))],
        ["spoofed-udp", data(NAT, 9, [4, 4, 0, 0], payload(first, 4))],
        ["spoofed-udp", data(third.careOf, port, [4, 41, 0, 0], payload(first, 6))],
        ["bad-version", data(NAT, port, [4, 47, 0, 0], gre(GRE_IPV4, payload(first, 4)))],
        ["tunnel-port", data(NAT, port, [0, 4, 0, 0], payload(first, 4), 4193)],
        // IPv6 to the home address: outside any tunnel, and in another node's name.
        ["spoofed-ipv4", carrier(third, third)],
        ["spoofed-ipv4", ipPacket(toAgent(third.careOf), GRE_PROTOCOL, gre(GRE_IPV4, carrier(third, second)))],
      ];
      for (const [i, [counter, packet]] of FORGED.entries()) {
        const before = await scene.counter(counter);
        injector.send(packet);
        await waitFor(async () => (await scene.counter(counter)) > before, {
          what: `number ${i + 1} to be counted as ${counter}`,
        });
      }
      const good = freshText("reserved bits");
      const addresses = { source: first.home4, destination: CN[4] };
      injector.send(data(NAT, port, [4, 4, 0xff, 0xff], stationPacket(addresses, good)));
      await scene.correspondents[4].waitFor(good);
      for (const text of texts)
        assert.equal(scene.correspondents[4].count(text) + scene.correspondents[6].count(text), 0, text);
    },
  );
  await t.test("F5944-4.2.3-01 what is in a tunnel already goes on, but not in circles", async () => {
    const injector = new Injector({ namespace: third.node, device: "eth0" }, { namespace: scene.ha, device: "wan" });
    t.after(() => injector.close());
    const tunnelled = (source: Ipv4Address, to: Mobile): string => {
      const text = freshText("tunnelled");
      const inner = stationPacket({ source: CN[4], destination: to.home4 }, text);
      injector.send(encapsulate({ source, destination: third.home4 }, inner));
      return text;
    };
    const arrived = (text: string) =>
      scene.wire.waitFor((frame) => payloadText(frame) === text && ipLayersOf(frame).length === 3, { what: text });
    const before = await scene.counter("tunnel-loop");
    const circling = tunnelled(third.careOf, third);
    // From elsewhere, or for somebody else inside: the outer source is the home agent's, the node gets what it was sent.
    for (const text of [tunnelled(ipv4("203.0.113.99"), third), tunnelled(third.careOf, second)]) {
      const [frame] = await arrived(text);
      const [outer] = ipLayersOf(frame ?? assert.fail(text));
      assert.deepEqual([outer?.source, outer?.destination], [HA, third.careOf], text);
    }
    assert.equal((await scene.counter("tunnel-loop")) - before, 1);
    const circled = (frame: Frame) => payloadText(frame) === circling && ipLayersOf(frame).length > 2;
    assert.equal(scene.wire.frames().filter(circled).length, 0);
  });
  await t.test("requests of one node and refusals to it are limited by the kernel", async () => {
    const agent = openUdpSocket({ netns: scene.ha.path, address: HA, port: PORT, family: 4 });
    const node = openUdpSocket({ netns: third.node.path, address: third.careOf, port: PORT, family: 4 });
    t.after(() => [agent, node].map((socket) => socket.close()));
    const home = [198, 51, 100, 103];
    const some = (data: readonly number[], destination: Ipv4Address) =>
      Array.from({ length: 200 }, () => ({ data: Uint8Array.from(data), destination, destinationPort: PORT }));
    node.send(some([1, 0, 0, 60, ...home, ...new Array(16).fill(1)], HA));
    await waitFor(async () => (await scene.counter("metered-registrations")) > 0, {
      what: "requests beyond the bucket",
    });
    // A dropped one is an error to who sends it.
    for (const reply of some([3, 133, 0, 60, ...home, ...new Array(12).fill(1)], third.careOf)) agent.send([reply]);
    await waitFor(async () => (await scene.counter("metered-answers")) > 0, { what: "refusals beyond the bucket" });
  });
  await t.test("all of it is in the kernels as planned, and nft lists it", async () => {
    for (const { kernel, node } of [{ kernel: scene.kernel, node: scene.ha }, ...scene.mobiles]) {
      assert.deepEqual(await kernel.differences(), [], node.label);
      node.script("nft list ruleset > /dev/null; nft -j list ruleset > /dev/null");
    }
  });
});
