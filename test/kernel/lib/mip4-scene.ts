/**
 * Mobile IPv4's data path with both ends' plans in real kernels and no daemon.
 *
 *     cn ──home── ha ──wan── inet ── m3               198.51.100.0/24, 2001:db8:1::/64 at home; 203.0.113.0/24 between
 *                              └── nat ── m1, m2      10.0.1.0/24, 10.0.2.0/24
 *                                   └──── m4          192.0.2.0/24, where `nat` is a router and nothing else (`routed`)
 *                                   └──── fa ── m5    192.0.3.0/24, and a visited link
 */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { type IpAddress, type Ipv4Address, type Ipv6Address, ipv4, ipv6 } from "../../../controller/base/ip.js";
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
import type { NodePath, PathEnd } from "../../../controller/protocol/mip4/mobile-node/inputs.js";
import { prefix } from "../codecs/rtnetlink-objects.js";
import type { Capture, Frame } from "./capture.js";
import { DIRECTIONS, type Direction, freshText } from "./exchange.js";
import { describeFrame, type IpLayer, ipLayersOf, payloadText } from "./frames.js";
import { Planned } from "./planned.js";
import { Station } from "./station.js";
import { type Node, Topology } from "./topology.js";
import { waitFor } from "./wait.js";

export const HA = ipv4("203.0.113.1");
export const NAT = ipv4("203.0.113.77");
/** A foreign agent's care-of address, and its address on the visited link. */
export const FA = ipv4("192.0.3.10");
export const VISITED = ipv4("10.5.0.1");
export const CN = { 4: ipv4("198.51.100.2"), 6: ipv6("2001:db8:1::2") } as const;
export const PORT = 434;
export const FAMILIES = [4, 6] as const;
export const CLASS = 0xb9; // EF and ECT(1)

/** Of a tunnel profile, of all nodes here. */
export interface Headers {
  readonly dscp: "copy" | number;
  readonly mtu?: number;
}

/** Outer hop limits. */
export const TTL = { down: 77, up: 66 } as const;

const siteWith = (profile: Headers): HomeAgentPlanSite => ({
  addresses: { ipv4: HA, ipv6: ipv6("2001:db8:1::1") },
  homePrefixes: [prefix("198.51.100.0/24")],
  homeDevice: "home",
  mtu: 1400,
  profiles: new Map([["default", { ...profile, ttl: TTL.down }]]),
  mip4: { prefixLengths: [64], gre: true },
});

/** Of a scene. */
export interface SceneOptions {
  readonly profile?: Headers;
  /** With a node, and a foreign agent with a visitor, behind a router. */
  readonly routed?: boolean;
}

/** Where a node is: what the home agent sees of it, and what it has of its own. */
interface Place {
  /** Its own care-of address; none where it is a foreign agent's. */
  readonly careOf?: string;
  readonly router: string;
  /** The other end of its tunnel as the home agent sees it. */
  readonly outer: Ipv4Address;
  /** Routers between that end and the home agent. */
  readonly routers: number;
}

/** It is made by who opens it, which is nobody here. */
const withoutTun = (objects: readonly KernelObject[]): KernelObject[] =>
  objects.filter(
    (one) => !(("device" in one && one.device === TUN_DEVICE) || ("name" in one && one.name === TUN_DEVICE)),
  );

export class Mobile {
  readonly number: number;
  readonly node: Node;
  readonly careOf: Ipv4Address;
  readonly outer: Ipv4Address;
  readonly routers: number;
  readonly home4: Ipv4Address;
  readonly stations: Readonly<Record<4 | 6, Station>>;
  readonly site: Mip4NodePlanSite;
  kernel!: Planned;
  #revision = 0;

  constructor(node: Node, number: number, { careOf, router, outer, routers }: Place, profile: Headers) {
    this.node = node;
    this.number = number;
    this.careOf = careOf === undefined ? outer : ipv4(careOf);
    this.outer = outer;
    this.routers = routers;
    this.home4 = ipv4(`198.51.100.10${number}`);
    this.site = {
      homeAgent: HA,
      homeAddress: this.home4,
      ipv6HomeAddress: ipv6(`2001:db8:9:${number}::1`),
      homePrefixes: [],
      prefixes: [this.prefix],
      profile: { ...profile, ttl: TTL.up },
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
  async register(
    { kernel, site: home }: Pick<Scene, "kernel" | "site">,
    egress: TunnelEnd,
    mode: PrefixMode,
    {
      linkLocalAddress,
      end = { kind: "co-located", device: "eth0", address: this.careOf },
    }: { readonly linkLocalAddress?: Ipv6Address; readonly end?: PathEnd } = {},
  ): Promise<void> {
    const prefixes = [{ prefix: this.prefix, mode }];
    const binding: DataPath = {
      node: ipv6(`fd4d:4950:34::${this.number}`),
      homeAddress: this.home4,
      egress,
      ingress: [egress],
      reverseTunnelling: true,
      prefixes,
      ...(linkLocalAddress !== undefined && { linkLocalAddress }),
      profile: "default",
      revision: ++this.#revision,
    };
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
      linkLocalAddress,
    };
    const site = withPath(this.site, path);
    await this.kernel.hold("site", planMip4NodeSite(site));
    await Promise.all([
      kernel.hold(`binding ${this.number}`, planMip4Binding(binding, home)),
      this.kernel.hold("path", planMip4NodePath(path, site)),
    ]);
  }
}

/** A packet at the home agent's wide area device, and what became of it. */
export interface Crossing {
  /** "down 4" */
  readonly way: string;
  readonly family: 4 | 6;
  readonly direction: Direction;
  readonly text: string;
  readonly frame: Frame;
  readonly received: IpPacket;
}

export class Scene {
  readonly net: Topology;
  readonly cn: Node;
  readonly ha: Node;
  /** A router without NAT to what is `routed`. */
  readonly nat: Node;
  /** `routed`: its wires are `wan` and `visit`. */
  readonly fa: Node | undefined;
  readonly mobiles: readonly Mobile[];
  readonly correspondents: Readonly<Record<4 | 6, Station>>;
  readonly site: HomeAgentPlanSite;
  /** The home agent's wide area wire. */
  wire!: Capture;
  /** Its home link. */
  homeWire!: Capture;
  kernel!: Planned;
  readonly #counters: PacketCounters;

  static async start(t: TestContext, options: SceneOptions = {}): Promise<Scene> {
    const scene = new Scene(t, options);
    scene.kernel = await Planned.open(t, scene.ha);
    await scene.kernel.hold("site", withoutTun(planHomeAgentSite(scene.site)));
    await scene.kernel.hold("mip4", planMip4Site(scene.site));
    for (const mobile of scene.mobiles) {
      mobile.kernel = await Planned.open(t, mobile.node);
      await mobile.kernel.hold("site", planMip4NodeSite(mobile.site));
    }
    scene.wire = await scene.net.capture(scene.ha, "wan");
    scene.homeWire = await scene.net.capture(scene.ha, "home");
    return scene;
  }

  private constructor(t: TestContext, { profile = { dscp: "copy" }, routed = false }: SceneOptions) {
    this.site = siteWith(profile);
    this.net = new Topology(t);
    const { net } = this;
    this.cn = net.node("cn");
    this.ha = net.node("ha");
    this.nat = net.node("nat", { forwarding: true });
    const { cn, ha, nat } = this;
    const nodes = [1, 2, 3].map((number) => net.node(`m${number}`)) as [Node, Node, Node];
    net.link(cn.port("eth0", `${CN[4]}/24`, `${CN[6]}/64`), ha.port("home", "198.51.100.1/24", "2001:db8:1::1/64"));
    net.segment(
      "inet",
      ha.port("wan", `${HA}/24`),
      nat.port("wan", `${NAT}/24`),
      nodes[2].port("eth0", "203.0.113.53/24"),
    );
    for (const [i, node] of nodes.slice(0, 2).entries()) {
      net.link(node.port("eth0", `10.0.${i + 1}.2/24`), nat.port(`lan${i + 1}`, `10.0.${i + 1}.1/24`));
      node.route(`default via 10.0.${i + 1}.1`);
    }
    nodes[2].route("default via 203.0.113.1");
    cn.route("default via 198.51.100.1").route("::/0 via 2001:db8:1::1");
    const third = ipv4("203.0.113.53");
    const places: [Node, Place][] = [
      [nodes[0], { careOf: "10.0.1.2", router: "10.0.1.1", outer: NAT, routers: 1 }],
      [nodes[1], { careOf: "10.0.2.2", router: "10.0.2.1", outer: NAT, routers: 1 }],
      [nodes[2], { careOf: third, router: HA, outer: third, routers: 0 }],
    ];
    if (routed) {
      const here = net.node("m4");
      const visitor = net.node("m5");
      this.fa = net.node("fa", { forwarding: true });
      net.link(here.port("eth0", "192.0.2.4/24"), nat.port("lan4", "192.0.2.1/24"));
      net.link(this.fa.port("wan", `${FA}/24`), nat.port("lan5", "192.0.3.1/24"));
      net.link(this.fa.port("visit", `${VISITED}/24`), visitor.port("eth0"));
      here.route("default via 192.0.2.1");
      this.fa.route("default via 192.0.3.1");
      ha.route(`192.0.2.0/23 via ${NAT}`);
      const fourth = ipv4("192.0.2.4");
      places.push(
        [here, { careOf: fourth, router: "192.0.2.1", outer: fourth, routers: 1 }],
        [visitor, { router: VISITED, outer: FA, routers: 1 }],
      );
    }
    net.build();
    nat.nft(
      'table ip nat { chain post { type nat hook postrouting priority 100; oifname "wan" ip saddr 10.0.0.0/8 masquerade fully-random; }; }',
    );
    this.mobiles = places.map(([node, place], i) => new Mobile(node, i + 1, place, profile));
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

  /** One packet each way and family, which comes with class `arriving`; of each the frame at the home agent's wide area device. */
  async crossings(mobile: Mobile, trafficClass = CLASS, arriving = trafficClass): Promise<readonly Crossing[]> {
    const found: Crossing[] = [];
    for (const family of FAMILIES)
      for (const direction of DIRECTIONS) {
        const ends = [this.correspondents[family], mobile.stations[family]] as const;
        const [from, to] = direction === "down" ? ends : ([ends[1], ends[0]] as const);
        const text = freshText(`${direction} IPv${family}`);
        from.send(to, text, { trafficClass, hopLimit: 50 });
        const received = await to.waitFor(text);
        assert.equal(received.trafficClass, arriving, text);
        const [frame] = await this.wire.waitFor((one) => payloadText(one) === text, { what: text });
        if (frame !== undefined)
          found.push({ way: `${direction} ${family}`, family, direction, text, frame, received });
      }
    return found;
  }
}

/** On port 434 at both ends of the NAT: what a registration teaches the home agent. */
export async function natPort(scene: Scene, mobile: Mobile): Promise<number> {
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
export function forms(scene: Scene, mobile: Mobile, between: string, carrier: boolean): Record<string, string> {
  const expected: Record<string, string> = {};
  const { outer } = mobile;
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
export const natPorts = new Map<Mobile, number>();

/** How a binding's payload looks: what stands between the outermost header and the next, and whether IPv6 goes to the home address. */
export interface Form {
  readonly between: string;
  readonly carrier: boolean;
}

/** A packet each way and family has this form, class and hop limit in each of its tunnel's headers, and no bit "don't fragment" but its own. */
export async function checkHeaders(
  scene: Scene,
  mobile: Mobile,
  { between, carrier }: Form,
  { inner: innerClass, outer: outerClass } = { inner: CLASS, outer: CLASS },
): Promise<readonly Crossing[]> {
  const seen = await scene.crossings(mobile, innerClass);
  const shown = Object.fromEntries(seen.map(({ way, frame }) => [way, describeFrame(frame)]));
  assert.deepEqual(shown, forms(scene, mobile, between, carrier));
  for (const { way, direction, frame } of seen) {
    const layers = ipLayersOf(frame);
    const tunnels = layers.slice(0, -1);
    assert.deepEqual(
      tunnels.map(({ trafficClass }: IpLayer) => trafficClass),
      tunnels.map(() => outerClass),
      way,
    );
    // RFC 2003 §3.1 for IPv4, RFC 4213 §3.2.1 for IPv6.
    const inner = layers.at(-1);
    const outer = layers[0];
    assert.equal(outer?.kind === "ipv4" && outer.dontFragment, inner?.kind === "ipv4" && inner.dontFragment, way);
    // A NAT is a router, too; a foreign agent is one for what is inside its tunnel.
    const routers = direction === "up" ? mobile.routers : 0;
    assert.deepEqual(
      tunnels.map(({ hopLimit }, i) => hopLimit + (i === 0 || mobile.outer === FA ? routers : 0)),
      tunnels.map(() => TTL[direction]),
      way,
    );
  }
  return seen;
}
