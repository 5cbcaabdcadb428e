/**
 * Payload between a mobile node and a correspondent that go directly with IPv4 on either side (draft-oulai-mext-dsmip-ro-00), by planned
 * objects alone: IPv4 inside RFC 6275's headers (mode 1), and from an IPv4 network protocols 41 and 4 (mode 3) or UDP behind a NAT (mode 4).
 * Who is in no entry with its outer and its inner addresses is dropped at either end; Home Tests come through the home agent alone.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { type IpAddress, type Ipv4Address, type Ipv6Address, ipv4, ipv6 } from "../../../controller/base/ip.js";
import { PacketCounters } from "../../../controller/daemon/kernel.js";
import { netlinkTransports } from "../../../controller/io/netlink/transport.js";
import { planMobileNode, planMobileNodeSite } from "../../../controller/plan/mobile-node/plan.js";
import type { KernelObject } from "../../../controller/plan/objects/objects.js";
import { planCorrespondentPath, planDirectPath } from "../../../controller/plan/route-optimisation/pair.js";
import { planCorrespondentSite } from "../../../controller/plan/route-optimisation/site.js";
import {
  DIRECT_MARK,
  type MobileNodePlanSite,
  TUN_DEVICE,
  type TunnelProfileSpec,
} from "../../../controller/plan/site.js";
import type { CorrespondentPath } from "../../../controller/protocol/mip6/correspondent-node/path.js";
import type { DirectPath } from "../../../controller/protocol/mip6/mobile-node/correspondents/inputs.js";
import type { LocalEndpoint } from "../../../controller/protocol/mip6/mobile-node/inputs.js";
import type { Reach } from "../../../controller/protocol/mip6/return-routability/modes.js";
import { upperLayerChecksum } from "../../../controller/wire/ip/checksum.js";
import type { Capture, Frame } from "../lib/capture.js";
import { encapsulate, Injector, ipPacket, stationPacket } from "../lib/craft.js";
import { freshText } from "../lib/exchange.js";
import type { Layer } from "../lib/frame.js";
import { ipLayersOf, payloadText } from "../lib/frames.js";
import { Planned } from "../lib/planned.js";
import { Station } from "../lib/station.js";
import { type Node, Topology } from "../lib/topology.js";

const HA = { ipv6: ipv6("2001:db8:a::2"), ipv4: ipv4("192.0.2.2") } as const;
const CN = { ipv6: ipv6("2001:db8:c::2"), ipv4: ipv4("203.0.113.2") } as const;
/** Of the same machine, with which nothing is agreed. */
const OTHER = { ipv6: ipv6("2001:db8:c::3"), ipv4: ipv4("203.0.113.3") } as const;
const HOME = { ipv6: ipv6("2001:db8:1::100"), ipv4: ipv4("198.51.100.100") } as const;
const STRANGER = { ipv6: ipv6("2001:db8:1::666"), ipv4: ipv4("198.51.100.66") } as const;
const VISITED = { ipv6: ipv6("2001:db8:e::2"), ipv4: ipv4("203.0.114.2") } as const;
const GATEWAY = { ipv6: ipv6("2001:db8:e::1"), ipv4: ipv4("203.0.114.1") } as const;
const BEHIND_NAT = ipv4("10.0.0.2");
const NAT = { address: ipv4("203.0.115.2"), toHomeAgent: 40001, toCorrespondent: 40002 } as const;
const PORT = 4191;
const NAMES: Readonly<Record<string, string>> = {
  [CN.ipv6]: "CN6",
  [CN.ipv4]: "CN4",
  [OTHER.ipv4]: "OTHER4",
  [HA.ipv6]: "HA6",
  [HA.ipv4]: "HA4",
  [HOME.ipv6]: "HOME6",
  [HOME.ipv4]: "HOME4",
  [VISITED.ipv6]: "COA6",
  [VISITED.ipv4]: "COA4",
  [BEHIND_NAT]: "PRIVATE",
  [NAT.address]: "NAT",
};

/** "COA6>CN6 60 HOME4>CN4": addresses by their names, between them the extension headers and UDP ports on the way in. */
function lookOf({ layers }: Frame): string {
  const inner = layers.findLastIndex(({ kind }) => kind === "ipv4" || kind === "ipv6");
  const word = (layer: Layer): readonly string[] => {
    if (layer.kind === "ipv4" || layer.kind === "ipv6")
      return [`${NAMES[layer.source] ?? layer.source}>${NAMES[layer.destination] ?? layer.destination}`];
    if (layer.kind === "extension") return [String(layer.protocol)];
    return layer.kind === "udp" ? [`${layer.sourcePort}>${layer.destinationPort}`] : [];
  };
  return layers
    .filter(({ kind }, i) => i <= inner || kind === "extension")
    .flatMap(word)
    .join(" ");
}

class Net {
  readonly topology: Topology;
  readonly core: Node;
  readonly ha: Node;
  readonly cn: Node;
  readonly mn: Node;
  readonly nat: Node;

  constructor(t: TestContext, { behindNat = false } = {}) {
    this.topology = new Topology(t);
    this.core = this.topology.node("core", { forwarding: true });
    this.ha = this.topology.node("ha", { forwarding: true });
    this.cn = this.topology.node("cn");
    this.mn = this.topology.node("mn");
    this.nat = this.topology.node("nat", { forwarding: true });
    const { core, ha, cn, mn, nat } = this;
    const wire = (one: Node, near: readonly string[], far: readonly string[], device = "eth0"): void =>
      this.topology.link(one.port(device, ...near), core.port(one.label, ...far));
    wire(ha, [`${HA.ipv6}/64`, `${HA.ipv4}/24`], ["2001:db8:a::1/64", "192.0.2.1/24"]);
    wire(
      cn,
      [`${CN.ipv6}/64`, `${CN.ipv4}/24`, `${OTHER.ipv6}/64`, `${OTHER.ipv4}/24`],
      ["2001:db8:c::1/64", "203.0.113.1/24"],
    );
    wire(nat, [`${NAT.address}/24`], ["203.0.115.1/24"], "wan");
    if (behindNat) this.topology.link(mn.port("eth0", `${BEHIND_NAT}/24`), nat.port("lan", "10.0.0.1/24"));
    else wire(mn, [`${VISITED.ipv6}/64`, `${VISITED.ipv4}/24`], [`${GATEWAY.ipv6}/64`, `${GATEWAY.ipv4}/24`]);
    core.route("2001:db8:1::/64 via 2001:db8:a::2").route(`198.51.100.0/24 via ${HA.ipv4}`);
    ha.route("::/0 via 2001:db8:a::1").route("default via 192.0.2.1");
    cn.route("::/0 via 2001:db8:c::1").route("default via 203.0.113.1");
    nat.route("default via 203.0.115.1");
    if (behindNat) mn.route("default via 10.0.0.1");
    else mn.route(`::/0 via ${GATEWAY.ipv6}`).route(`default via ${GATEWAY.ipv4}`);
    this.topology.build();
    // A port of its own for each destination, so that it is known here.
    nat.nft(`
      table ip nat {
        chain post {
          type nat hook postrouting priority srcnat
          oifname "wan" udp sport ${PORT} ip daddr ${HA.ipv4} snat to ${NAT.address}:${NAT.toHomeAgent}
          oifname "wan" udp sport ${PORT} ip daddr ${CN.ipv4} snat to ${NAT.address}:${NAT.toCorrespondent}
          oifname "wan" snat to ${NAT.address}
        }
      }
    `);
  }
}

interface Scene {
  readonly net: Net;
  readonly node: Planned;
  readonly correspondent: Planned;
  readonly site: MobileNodePlanSite;
  readonly uplink: LocalEndpoint;
  readonly wire: Capture;
  readonly here: { readonly 4: Station; readonly 6: Station };
  readonly there: { readonly 4: Station; readonly 6: Station };
}

async function away(
  t: TestContext,
  uplink: LocalEndpoint,
  profile: TunnelProfileSpec = { dscp: "copy", ttl: 33 },
): Promise<Scene> {
  const net = new Net(t, { behindNat: uplink.format === "udp" });
  const site: MobileNodePlanSite = {
    homeAddress: HOME.ipv6,
    ipv4HomeAddress: HOME.ipv4,
    homePrefixes: [],
    homeAgent: HA,
    profile,
    routeOptimisation: true,
    dualStackCorrespondents: [CN],
  };
  const node = await Planned.open(t, net.mn);
  // A TUN device is of the namespace of the process that opens it, and for the signalling of the daemon alone.
  const needed = planMobileNodeSite(site, undefined).filter(
    (one) => !(one.kind === "link" && one.name === TUN_DEVICE) && !(one.kind === "route" && one.device === TUN_DEVICE),
  );
  await node.hold("site", needed);
  const home = { homeAddress: HOME.ipv6, ipv4HomeAddress: HOME.ipv4 };
  await node.hold(
    "path",
    planMobileNode({ ...home, mode: "away", egress: uplink, ingress: [uplink], revision: 1 }, site),
  );
  const tunnel = {
    ipv6: `type ip6tnl mode any local ${HA.ipv6} remote ${VISITED.ipv6} encaplimit none`,
    ipv4: `type sit mode any local ${HA.ipv4} remote ${VISITED.ipv4} ttl 64`,
    udp: `type sit mode any local ${HA.ipv4} remote ${NAT.address} ttl 64 encap fou encap-sport ${PORT} encap-dport ${NAT.toHomeAgent}`,
  }[uplink.format];
  if (uplink.format === "udp") net.ha.run("ip", "fou", "add", "port", String(PORT), "gue");
  net.ha.ip(
    `link add tun0 ${tunnel}`,
    "link set tun0 up",
    `route add ${HOME.ipv6}/128 dev tun0`,
    `route add ${HOME.ipv4}/32 dev tun0`,
  );
  const correspondent = await Planned.open(t, net.cn);
  await correspondent.hold(
    "site",
    planCorrespondentSite({ addresses: [CN.ipv6, OTHER.ipv6], direct: { addresses: [CN], profile } }),
  );
  const wire = await net.topology.capture(net.mn, "eth0", "not arp and not icmp6 and not ip6 multicast");
  const station = (at: Node, address: IpAddress): Station => {
    const made = new Station(at, address);
    t.after(() => made.close());
    return made;
  };
  const here = { 4: station(net.mn, HOME.ipv4), 6: station(net.mn, HOME.ipv6) };
  const there = { 4: station(net.cn, CN.ipv4), 6: station(net.cn, CN.ipv6) };
  return { net, node, correspondent, site, uplink, wire, here, there };
}

/** A packet each way between the home address and the correspondent; how each looked at the node, the way up first. */
async function looks({ wire, here, there }: Scene, family: 4 | 6): Promise<readonly [string, string]> {
  const both = [
    [here[family], there[family]],
    [there[family], here[family]],
  ] as const;
  const found: string[] = [];
  for (const [from, to] of both) {
    const text = freshText("payload");
    from.send(to, text);
    await to.waitFor(text);
    const [frame] = await wire.waitFor((one) => payloadText(one) === text, { what: text });
    found.push(frame === undefined ? "" : lookOf(frame));
  }
  return [found[0] ?? "", found[1] ?? ""];
}

const pairOf = (reach: Reach, only: "both" | "ipv4" = "both"): Omit<CorrespondentPath, "former" | "revision"> => ({
  homeAddress: HOME.ipv6,
  self: CN.ipv6,
  ...(only === "both" && { ipv6: reach }),
  ipv4: { homeAddress: HOME.ipv4, self: CN.ipv4, reach },
  ipv4Self: CN.ipv4,
});

const directPath = (rest: Pick<DirectPath, "careOf"> & Partial<DirectPath>): DirectPath => ({
  homeAddress: HOME.ipv6,
  correspondent: CN.ipv6,
  stage: "bound",
  ipv6: true,
  former: [],
  revision: 1,
  ...rest,
});

/** Both ends, in the order in which the protocol has them. */
async function direct(
  { node, correspondent, site, uplink }: Scene,
  reach: Reach,
  path: DirectPath,
  only: "both" | "ipv4" = "both",
): Promise<void> {
  const held = (stage: DirectPath["stage"]): readonly KernelObject[] =>
    planDirectPath({ ...path, stage }, site, uplink);
  await node.hold("pair", held("updating"));
  await correspondent.hold("pair", planCorrespondentPath(pairOf(reach, only), site.profile));
  await node.hold("pair", held("bound"));
}

/** How many packets these counters have counted, together. */
async function counted(at: Node, ...names: readonly string[]): Promise<number> {
  const counters = new PacketCounters(netlinkTransports(at.path));
  const read = await counters.read();
  counters.close();
  return names.reduce((sum, name) => sum + Number(read.get(name)?.packets ?? 0), 0);
}

/** None of these gets to the station; the last one, which is genuine, does. Ends with how many were counted. */
async function refused(
  wire: Injector,
  to: Station,
  make: {
    readonly genuine: (text: string) => Uint8Array;
    readonly forged: Record<string, (text: string) => Uint8Array>;
  },
  count: () => Promise<number>,
): Promise<void> {
  const before = await count();
  const texts = Object.entries(make.forged).map(([what, forge]) => {
    const text = freshText(what);
    wire.send(forge(text));
    return text;
  });
  const honest = freshText("genuine");
  wire.send(make.genuine(honest));
  await to.waitFor(honest);
  assert.deepEqual(
    texts.filter((text) => to.count(text) > 0),
    [],
    "forgeries that were taken",
  );
  assert.equal((await count()) - before, texts.length, "counted");
}

const V6: LocalEndpoint = { format: "ipv6", address: VISITED.ipv6, device: "eth0", gateway: GATEWAY.ipv6 };
const V4: LocalEndpoint = { format: "ipv4", address: VISITED.ipv4, device: "eth0", gateway: GATEWAY.ipv4 };
const PRIVATE: LocalEndpoint = { format: "udp", address: BEHIND_NAT, device: "eth0", gateway: ipv4("10.0.0.1") };
const IPV4_PAIR = { homeAddress: HOME.ipv4, correspondent: CN.ipv4 } as const;

/** Destination options or a routing header right before IPv4, as the kernel writes them. */
const withHeader = (type: "option" | "routing", named: Ipv6Address, inner: Uint8Array): Uint8Array => {
  const address = Buffer.from(ipPacket({ source: named, destination: named }, 59, new Uint8Array(0)).subarray(8, 24));
  const head = type === "option" ? [4, 2, 1, 2, 0, 0, 0xc9, 16] : [4, 2, 2, 1, 0, 0, 0, 0];
  return Buffer.concat([Buffer.from(head), address, inner]);
};

test("mode 1: IPv4 inside RFC 6275's headers", async (t) => {
  const scene = await away(t, V6);
  const { net, node, correspondent, here, there, wire, site } = scene;
  assert.deepEqual(await looks(scene, 4), ["COA6>HA6 HOME4>CN4", "HA6>COA6 CN4>HOME4"]);
  const reach: Reach = { via: "headers", careOf: VISITED.ipv6 };
  const path = directPath({ careOf: VISITED.ipv6, ipv4: { ...IPV4_PAIR, mode: "ipv6-encapsulation" } });
  await direct(scene, reach, path);

  await t.test("RO-7.1.3-01 RO-7.1.3-02 RO-7.1.3-05: Home Address option up, routing header down", async () => {
    assert.deepEqual(await looks(scene, 4), ["COA6>CN6 60 HOME4>CN4", "CN6>COA6 43 CN4>HOME4"]);
    assert.deepEqual(await looks(scene, 6), ["COA6>CN6 60", "CN6>COA6 43"]);
    assert.deepEqual([await node.differences(), await correspondent.differences()], [[], []]);
  });

  await t.test("another address of the correspondent is reached through the home agent", async () => {
    const other = new Station(net.cn, OTHER.ipv4);
    t.after(() => other.close());
    assert.deepEqual(await looks({ ...scene, there: { ...there, 4: other } }, 4), [
      "COA6>HA6 HOME4>OTHER4",
      "HA6>COA6 OTHER4>HOME4",
    ]);
  });

  await t.test("DSCP and ECN are the packet's own outside too, the hop limit is the profile's", async () => {
    for (const [from, to] of [
      [here[4], there[4]],
      [there[4], here[4]],
    ] as const) {
      const text = freshText("class");
      from.send(to, text, { trafficClass: 0xb9 });
      await to.waitFor(text);
      const [frame] = await wire.waitFor((one) => payloadText(one) === text, { what: text });
      const [outer, inner] = frame === undefined ? [] : ipLayersOf(frame);
      assert.deepEqual([outer?.trafficClass, inner?.trafficClass], [0xb9, 0xb9]);
      assert.equal(outer?.hopLimit, from === here[4] ? 33 : 32);
    }
  });

  await t.test("RO-7.1.3-03 RO-7.1.3-04: the correspondent takes nothing but the pair's own", async () => {
    const spoof =
      (named: Ipv6Address, inner: { source: IpAddress; destination: IpAddress }, outer = VISITED.ipv6) =>
      (text: string): Uint8Array =>
        ipPacket({ source: outer, destination: CN.ipv6 }, 60, withHeader("option", named, stationPacket(inner, text)));
    const genuine = { source: HOME.ipv4, destination: CN.ipv4 };
    const injector = new Injector({ namespace: net.core, device: "cn" }, { namespace: net.cn, device: "eth0" });
    t.after(() => injector.close());
    await refused(
      injector,
      there[4],
      {
        genuine: spoof(HOME.ipv6, genuine),
        forged: {
          "another's inner source": spoof(HOME.ipv6, { ...genuine, source: STRANGER.ipv4 }),
          "another inner destination": spoof(HOME.ipv6, { ...genuine, destination: OTHER.ipv4 }),
          "no option": (text) => ipPacket({ source: HOME.ipv6, destination: CN.ipv6 }, 4, stationPacket(genuine, text)),
          "from the care-of address without the option": (text) =>
            ipPacket({ source: VISITED.ipv6, destination: CN.ipv6 }, 4, stationPacket(genuine, text)),
        },
      },
      () => counted(net.cn, "spoofed-direct"),
    );
  });

  await t.test("RO-7.1.3-06 RO-7.1.3-07: nor does the node", async () => {
    const spoof =
      (inner: { source: IpAddress; destination: IpAddress }, source = CN.ipv6) =>
      (text: string): Uint8Array =>
        ipPacket(
          { source, destination: VISITED.ipv6 },
          43,
          withHeader("routing", HOME.ipv6, stationPacket(inner, text)),
        );
    const genuine = { source: CN.ipv4, destination: HOME.ipv4 };
    const injector = new Injector({ namespace: net.core, device: "mn" }, { namespace: net.mn, device: "eth0" });
    t.after(() => injector.close());
    await refused(
      injector,
      here[4],
      {
        genuine: spoof(genuine),
        forged: {
          "another's inner source": spoof({ ...genuine, source: OTHER.ipv4 }),
          "another inner destination": spoof({ ...genuine, destination: VISITED.ipv4 }),
          "no routing header": (text) =>
            ipPacket({ source: CN.ipv6, destination: VISITED.ipv6 }, 4, stationPacket(genuine, text)),
        },
      },
      () => counted(net.mn, "spoofed-direct"),
    );
  });

  await t.test("IPv4 alone: IPv6 payload stays with the home agent", async () => {
    await direct(scene, reach, { ...path, ipv6: false }, "ipv4");
    assert.deepEqual(await looks(scene, 4), ["COA6>CN6 60 HOME4>CN4", "CN6>COA6 43 CN4>HOME4"]);
    assert.deepEqual(await looks(scene, 6), ["COA6>HA6 HOME6>CN6", "HA6>COA6 CN6>HOME6"]);
  });

  await t.test("given back, nothing is left of it", async () => {
    await node.hold("pair", planDirectPath({ ...path, stage: "updating" }, site, V6));
    await correspondent.hold("pair", []);
    await node.hold("pair", []);
    assert.deepEqual(await looks(scene, 4), ["COA6>HA6 HOME4>CN4", "HA6>COA6 CN4>HOME4"]);
    assert.deepEqual([await node.differences(), await correspondent.differences()], [[], []]);
  });
});

/** A Mobility Header of this type, without a word in it, from the correspondent's IPv6 address. */
function message(type: number, to: Ipv6Address, hopLimit: number): Uint8Array {
  const header = Uint8Array.of(59, 2, type, 0, 0, 0, 0, 1, ...new Uint8Array(16));
  new DataView(header.buffer).setUint16(4, upperLayerChecksum(header, MOBILITY_HEADER, CN.ipv6, to));
  const packet = ipPacket({ source: CN.ipv6, destination: to }, MOBILITY_HEADER, header);
  packet[HOP_LIMIT_AT] = hopLimit;
  return packet;
}
const MOBILITY_HEADER = 135;
const HOP_LIMIT_AT = 7;

for (const { mode, uplink, reach, up, down, outer } of [
  {
    mode: 3,
    uplink: V4,
    reach: { via: "ipv4", careOf: VISITED.ipv4 } as Reach,
    up: "COA4>CN4 ",
    down: "CN4>COA4 ",
    outer: { source: VISITED.ipv4, ports: undefined },
  },
  {
    mode: 4,
    uplink: PRIVATE,
    reach: {
      via: "udp",
      careOf: BEHIND_NAT,
      observed: { address: NAT.address, port: NAT.toCorrespondent },
    } as Reach,
    up: `PRIVATE>CN4 ${PORT}>${PORT} `,
    down: `CN4>PRIVATE ${PORT}>${PORT} `,
    outer: { source: NAT.address, ports: { sourcePort: NAT.toCorrespondent, destinationPort: PORT } },
  },
] as const)
  test(`mode ${mode}: over IPv4${mode === 4 ? " in UDP, behind a NAT" : ""}`, async (t) => {
    const scene = await away(t, uplink);
    const { net, node, correspondent, here, there, wire } = scene;
    const careOf = uplink.address as Ipv4Address;
    const path = directPath({
      careOf,
      ipv4: { ...IPV4_PAIR, mode: mode === 3 ? "ipv4-encapsulation" : "ipv4-udp" },
      outer: { correspondent: CN.ipv4, udp: mode === 4 },
    });
    const throughHomeAgent = await looks(scene, 4);
    assert.match(throughHomeAgent.join(), /HA4 .*HOME4>CN4.*HA4>.* CN4>HOME4/);
    await direct(scene, reach, path);

    await t.test("RO-7.2.3-01 RO-7.2.3-02 RO-7.2.3-04: both families, no option and no routing header", async () => {
      assert.deepEqual(await looks(scene, 4), [`${up}HOME4>CN4`, `${down}CN4>HOME4`]);
      assert.deepEqual(await looks(scene, 6), [`${up}HOME6>CN6`, `${down}CN6>HOME6`]);
      assert.deepEqual([await node.differences(), await correspondent.differences()], [[], []]);
    });

    await t.test("DSCP and ECN are the packet's own outside too, the TTL is the profile's", async () => {
      for (const family of [4, 6] as const)
        for (const [from, to] of [
          [here[family], there[family]],
          [there[family], here[family]],
        ] as const) {
          const text = freshText("class");
          from.send(to, text, { trafficClass: 0xb9 });
          await to.waitFor(text);
          const [frame] = await wire.waitFor((one) => payloadText(one) === text, { what: text });
          const [outside, inside] = frame === undefined ? [] : ipLayersOf(frame);
          assert.deepEqual([outside?.trafficClass, inside?.trafficClass], [0xb9, 0xb9]);
          const routers = mode === 4 ? 2 : 1;
          assert.equal(outside?.hopLimit, from === here[family] ? 33 : 33 - routers);
        }
    });

    await t.test("RO-7.2.3-03: outer and inner source belong to one entry at the correspondent", async () => {
      const injector = new Injector({ namespace: net.core, device: "cn" }, { namespace: net.cn, device: "eth0" });
      t.after(() => injector.close());
      for (const [family, home, to] of [
        [4, HOME.ipv4, CN.ipv4],
        [6, HOME.ipv6, CN.ipv6],
      ] as const) {
        const from = { source: outer.source, destination: CN.ipv4 };
        const inner = (text: string, source: IpAddress = home): Uint8Array =>
          stationPacket({ source, destination: to }, text);
        const another = family === 4 ? STRANGER.ipv4 : STRANGER.ipv6;
        await refused(
          injector,
          there[family],
          {
            genuine: (text) => encapsulate(from, inner(text), outer.ports),
            forged: {
              "another's inner source": (text) => encapsulate(from, inner(text, another), outer.ports),
              "another outer source": (text) =>
                encapsulate({ ...from, source: STRANGER.ipv4 }, inner(text), outer.ports),
              ...(outer.ports === undefined
                ? {}
                : {
                    "another port": (text: string) =>
                      encapsulate(from, inner(text), { ...outer.ports, sourcePort: 1234 }),
                    "without UDP": (text: string) => encapsulate(from, inner(text)),
                  }),
            },
          },
          () => counted(net.cn, "spoofed-direct", "spoofed-udp"),
        );
      }
    });

    await t.test("RO-7.2.3-05: outer and inner destination belong to one entry at the node", async () => {
      const [from, device] = mode === 4 ? [net.nat, "lan"] : [net.core, "mn"];
      const injector = new Injector({ namespace: from, device }, { namespace: net.mn, device: "eth0" });
      t.after(() => injector.close());
      const ports = mode === 4 ? { sourcePort: PORT, destinationPort: PORT } : undefined;
      for (const [family, home, source] of [
        [4, HOME.ipv4, CN.ipv4],
        [6, HOME.ipv6, CN.ipv6],
      ] as const) {
        const ends = { source: CN.ipv4, destination: careOf };
        const inner = (text: string, by: IpAddress = source): Uint8Array =>
          stationPacket({ source: by, destination: home }, text);
        const other = family === 4 ? OTHER.ipv4 : OTHER.ipv6;
        await refused(
          injector,
          here[family],
          {
            genuine: (text) => encapsulate(ends, inner(text), ports),
            forged: {
              "another's inner source": (text) => encapsulate(ends, inner(text, other), ports),
              "another outer source": (text) => encapsulate({ ...ends, source: OTHER.ipv4 }, inner(text), ports),
              "another inner destination": (text) =>
                encapsulate(
                  ends,
                  stationPacket({ source, destination: family === 4 ? careOf : STRANGER.ipv6 }, text),
                  ports,
                ),
            },
          },
          () => counted(net.mn, "spoofed-direct", "spoofed-udp"),
        );
      }
    });

    await t.test("RO-7.1.1.1-05 RO-7.1.1.1-06 RO-7.1.1.1-07: a Home Test for the IPv4 home address", async () => {
      const listener = net.mn.spawn(["python3", "-c", LISTENER]);
      await listener.waitForLog(/listening/);
      const send = (to: Ipv6Address, hopLimit: number): void =>
        void net.cn.run("python3", "-c", SENDER, Buffer.from(message(3, to, hopLimit)).toString("hex"));
      const before = await counted(net.mn, "spoofed-direct");
      const [from, device] = mode === 4 ? [net.nat, "lan"] : [net.core, "mn"];
      const injector = new Injector({ namespace: from, device }, { namespace: net.mn, device: "eth0" });
      t.after(() => injector.close());
      const inner = encapsulate({ source: CN.ipv4, destination: HOME.ipv4 }, message(3, HOME.ipv6, 1));
      const ports = mode === 4 ? { sourcePort: PORT, destinationPort: PORT } : undefined;
      injector.send(encapsulate({ source: CN.ipv4, destination: careOf }, inner, ports));
      send(HOME.ipv6, 2);
      send(STRANGER.ipv6, 1);
      send(HOME.ipv6, 1);
      const asSent = `${mode === 4 ? `HA4>PRIVATE ${PORT}>${PORT}` : "HA4>COA4"} CN4>HOME4 CN6>HOME6`;
      await wire.waitFor((one) => lookOf(one) === asSent, { what: "Home Tests", count: 2 });
      await listener.waitForLog(/message 3/);
      assert.equal(listener.stdout.match(/message/g)?.length, 1, "one of four");
      assert.equal((await counted(net.mn, "spoofed-direct")) - before, 3);
    });
  });

const LISTENER = `
import socket
s=socket.socket(10,socket.SOCK_RAW,135); s.setsockopt(41,51,1); s.setsockopt(41,49,1); print('listening',flush=True)
while 1:
  d,anc,f,a=s.recvmsg(999,500); print('message',d[2],a[0],[(t,v.hex()) for l,t,v in anc],flush=True)
`;
const SENDER = `
import socket,sys
s=socket.socket(2,socket.SOCK_RAW,41); s.setsockopt(1,36,${DIRECT_MARK}); s.bind(('${CN.ipv4}',0)); s.sendto(bytes.fromhex(sys.argv[1]),('${HOME.ipv4}',0))
`;
