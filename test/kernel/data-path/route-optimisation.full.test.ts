/**
 * Payload between a mobile node and its correspondents by planned objects alone, no daemon: beside the way through the home agent, taken
 * over and given back under running connections, from the bound care-of address only, with payload in ESP, and between two mobile nodes.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { fromHex } from "../../../controller/base/bytes.js";
import { type Ipv6Address, ipv6 } from "../../../controller/base/ip.js";
import { Secret } from "../../../controller/base/secret.js";
import { netlinkTransports } from "../../../controller/io/netlink/transport.js";
import { type Demand, watchDemand } from "../../../controller/kernel/xfrm/demand-watch.js";
import { DirectUseMeter } from "../../../controller/kernel/xfrm/last-used.js";
import { NetlinkSession } from "../../../controller/netlink/session.js";
import { planMobileNode, planMobileNodeSite } from "../../../controller/plan/mobile-node/plan.js";
import type { KernelObject } from "../../../controller/plan/objects/objects.js";
import {
  planCorrespondentPath,
  planDirectPath,
  planPair,
  planSilence,
} from "../../../controller/plan/route-optimisation/pair.js";
import { demandReqid, planCorrespondentSite, planDemand } from "../../../controller/plan/route-optimisation/site.js";
import { type Associations, type MobileNodePlanSite, TUN_DEVICE } from "../../../controller/plan/site.js";
import type { DirectPath } from "../../../controller/protocol/mip6/mobile-node/correspondents/inputs.js";
import type { LocalEndpoint } from "../../../controller/protocol/mip6/mobile-node/inputs.js";
import { setTimer } from "../codecs/rtnetlink-objects.js";
import type { Frame } from "../lib/capture.js";
import { connection, Echoes, repeated } from "../lib/conversation.js";
import { layersOfKind } from "../lib/frame.js";
import { Planned } from "../lib/planned.js";
import { type Node, Topology } from "../lib/topology.js";
import { waitFor } from "../lib/wait.js";

const HA = ipv6("2001:db8:1::1");
const CN = ipv6("2001:db8:c::2");
const OTHER_CN = ipv6("2001:db8:c::3");
const HOME = [ipv6("2001:db8:1::100"), ipv6("2001:db8:1::200")] as const;
const VISITED = [
  [ipv6("2001:db8:e::2"), ipv6("2001:db8:e::3")],
  [ipv6("2001:db8:f::2"), ipv6("2001:db8:f::3")],
] as const;
const GATEWAY = [ipv6("2001:db8:e::1"), ipv6("2001:db8:f::1")] as const;
const KEY = "0102030405060708090a0b0c0d0e0f1011121314";
const SPI = { up: 0x1000, down: 0x1001 } as const;

/** How packets between a node and a correspondent look between the node and its router. */
type Look = "option" | "routing header" | "both" | "tunnel" | "esp" | "plain";

function lookOf({ layers }: Frame): Look {
  const headers = layers.map((layer) => (layer.kind === "extension" || layer.kind === "other" ? layer.protocol : 0));
  if (headers.includes(43)) return headers.includes(60) ? "both" : "routing header";
  if (headers.includes(60)) return "option";
  if (headers.includes(50)) return "esp";
  return layersOfKind(layers, "ipv6").length > 1 ? "tunnel" : "plain";
}

interface MobileEnd {
  readonly node: Node;
  readonly planned: Planned;
  readonly site: MobileNodePlanSite;
  readonly home: Ipv6Address;
  readonly careOf: readonly [Ipv6Address, Ipv6Address];
  uplink(careOf: Ipv6Address): LocalEndpoint;
}

const boundAt = (homeAddress: Ipv6Address, careOf: Ipv6Address) =>
  ({ homeAddress, self: CN, ipv6: { via: "headers", careOf } }) as const;

class Net {
  readonly topology: Topology;
  readonly core: Node;
  readonly ha: Node;
  readonly cn: Node;
  readonly nodes: readonly [Node, Node];

  constructor(t: TestContext) {
    this.topology = new Topology(t);
    const node = (label: string, forwarding = false): Node =>
      this.topology.node(label, { forwarding, sysctl: { "net.core.xfrm_acq_expires": 300 } });
    this.core = node("core", true);
    this.ha = node("ha", true);
    this.cn = node("cn");
    this.nodes = [node("m1"), node("m2")];
    const wire = (one: Node, prefix: string, ...addresses: readonly string[]): void =>
      this.topology.link(
        one.port("eth0", ...addresses.map((address) => `${address}/64`)),
        this.core.port(one.label, `${prefix}::1/64`),
      );
    wire(this.ha, "2001:db8:a", "2001:db8:a::2");
    wire(this.cn, "2001:db8:c", CN, OTHER_CN);
    for (const [i, one] of this.nodes.entries()) wire(one, `2001:db8:${"ef"[i]}`, ...(VISITED[i] ?? []));
    this.core.route("2001:db8:1::/64 via 2001:db8:a::2");
    this.ha.also(`addr add ${HA}/128 dev lo`).route("::/0 via 2001:db8:a::1");
    this.cn.route("::/0 via 2001:db8:c::1");
    for (const [i, one] of this.nodes.entries()) one.route(`::/0 via ${GATEWAY[i]}`);
    this.topology.build();
  }

  /** The node's own side by its plan, the home agent's by hand. */
  async away(t: TestContext, which: 0 | 1, associations?: Associations): Promise<MobileEnd> {
    const [node, home, careOf] = [this.nodes[which], HOME[which], VISITED[which]];
    const site: MobileNodePlanSite = {
      homeAddress: home,
      homePrefixes: [],
      homeAgent: { ipv6: HA },
      profile: { dscp: "copy", ttl: 64, protection: associations === undefined ? "none" : "esp" },
      negotiated: associations !== undefined,
      routeOptimisation: true,
    };
    const uplink = (address: Ipv6Address): LocalEndpoint => ({
      format: "ipv6",
      address,
      device: "eth0",
      gateway: GATEWAY[which],
    });
    const planned = await Planned.open(t, node);
    // A TUN device is of the namespace of the process that opens it, and for the signalling of the daemon alone.
    const needed = planMobileNodeSite(site, undefined).filter(
      (one) =>
        !(one.kind === "link" && one.name === TUN_DEVICE) && !(one.kind === "route" && one.device === TUN_DEVICE),
    );
    await planned.hold("site", needed);
    const egress = uplink(careOf[0]);
    const path = { homeAddress: home, mode: "away", egress, ingress: [egress], revision: 1 } as const;
    await planned.hold("path", planMobileNode(path, site, associations));
    if (associations === undefined)
      this.ha.ip(
        `link add t${which} type ip6tnl mode any local ${HA} remote ${careOf[0]} encaplimit none`,
        `link set t${which} up`,
        `route add ${home}/128 dev t${which}`,
      );
    else this.#protect(home, careOf[0]);
    return { node, planned, site, home, careOf, uplink };
  }

  #protect(home: Ipv6Address, careOf: Ipv6Address): void {
    const [up, down] = [`src ${careOf} dst ${HA}`, `src ${HA} dst ${careOf}`];
    this.ha.ip("link add esp type dummy", "link set esp up", `route add ${home}/128 dev esp`);
    for (const [ends, spi] of [
      [up, SPI.up],
      [down, SPI.down],
    ] as const)
      this.ha.run(
        ..."ip xfrm state add".split(" "),
        ...`${ends} proto esp spi ${spi} reqid 7 mode tunnel flag af-unspec aead`.split(" "),
        ...["rfc4106(gcm(aes))", `0x${KEY}`, "128"],
      );
    const template = (ends: string): string => `tmpl ${ends} proto esp reqid 7 mode tunnel`;
    this.ha.ip(
      `xfrm policy add src ::/0 dst ${home}/128 dir out ${template(down)}`,
      `xfrm policy add src ${home}/128 dst ::/0 dir fwd ${template(up)}`,
    );
  }
}

const direct = (mobile: MobileEnd, correspondent: Ipv6Address, changes: Partial<DirectPath> = {}): DirectPath => ({
  homeAddress: mobile.home,
  correspondent,
  stage: "bound",
  careOf: mobile.careOf[0],
  ipv6: true,
  former: [],
  revision: 1,
  ...changes,
});
const directObjects = (mobile: MobileEnd, path: DirectPath): readonly KernelObject[] =>
  planDirectPath(path, mobile.site, mobile.uplink(path.careOf as Ipv6Address));

/** Whether one of three echo requests is answered. */
async function answered(from: Node, source: Ipv6Address, to: Ipv6Address): Promise<boolean> {
  const ping = from.spawn(["ping", "-6", "-c", "3", "-i", "0.1", "-W", "1", "-I", source, to]);
  return (await ping.exited).code === 0;
}

/** A Mobility Header of a type, without a word in it. */
const MESSAGE = `
import socket,sys
s=socket.socket(10,socket.SOCK_RAW,135); s.bind((sys.argv[1],0))
s.sendto(bytes([59,1,int(sys.argv[3]),0,0,0,0,1,0xc0,0,0,60,1,2,0,0]),(sys.argv[2],0))
`;

const refusedIn = (node: Node): number =>
  node
    .run("cat", "/proc/net/xfrm_stat")
    .split("\n")
    .reduce(
      (sum, line) =>
        sum + (/^XfrmIn\w+\s+(\d+)/.exec(line)?.[1] === undefined ? 0 : Number(/\d+$/.exec(line.trim())?.[0])),
      0,
    );

function demandsOf(t: TestContext, mobile: MobileEnd) {
  const demands: Demand[] = [];
  const watch = watchDemand({
    openTransport: netlinkTransports(mobile.node.path),
    setTimer,
    onHeard: (demand) => demands.push(demand),
    onLost: () => assert.fail("lost"),
    onError: (error) => assert.fail(String(error)),
  });
  t.after(() => watch.close());
  return demands;
}

test("payload goes directly, and back through the home agent, under running flows", async (t) => {
  const net = new Net(t);
  const mobile = await net.away(t, 0);
  const correspondent = await Planned.open(t, net.cn);
  await correspondent.hold("site", planCorrespondentSite({ addresses: [CN] }));
  const demands = demandsOf(t, mobile);
  await mobile.planned.hold("demand", planDemand(mobile.home, mobile.site, 0));
  const wire = await net.topology.capture(net.nodes[0], "eth0", "ip6 and not ip6 multicast");
  const echoes = new Echoes(mobile.node, mobile.home, CN);
  await echoes.more();
  const tcp = await connection(mobile.node, mobile.home, net.cn, CN);
  const looks = (): Set<Look> => new Set(wire.frames().slice(-8).map(lookOf));

  await t.test(
    "F6275-11.3.1-01: the kernel asks about the correspondent, and packets go on through the home agent",
    async () => {
      await waitFor(() => demands.length > 0, { what: "a question" });
      const { homeAddress, correspondent: asked, reqid } = demands[0] ?? assert.fail();
      assert.deepEqual([homeAddress, asked, reqid], [mobile.home, CN, demandReqid(mobile.site)]);
      assert.deepEqual([...looks()], ["tunnel"]);
      assert.match(mobile.node.run("ip", "xfrm", "state"), new RegExp(`src ${mobile.home} dst ${CN}\\n\\tproto hao`));
    },
  );

  const pair = planCorrespondentPath(boundAt(mobile.home, mobile.careOf[0]));
  await t.test(
    "F6275-9.3.2-01: both ways directly, made over the entry of the question, with nothing lost",
    async () => {
      await mobile.planned.hold("pair", directObjects(mobile, direct(mobile, CN, { stage: "updating" })));
      await correspondent.hold("pair", pair);
      await mobile.planned.hold("pair", directObjects(mobile, direct(mobile, CN)));
      await echoes.more(10);
      await tcp.more(10);
      await waitFor(() => [...looks()].every((look) => look === "option" || look === "routing header"), {
        what: "direct packets alone",
      });
      assert.deepEqual(await mobile.planned.differences(), []);
      assert.deepEqual(await correspondent.differences(), []);
    },
  );

  await t.test("use is seen in the states' counters", async () => {
    const session = new NetlinkSession(netlinkTransports(mobile.node.path)("xfrm", []), { setTimer });
    t.after(() => session.close());
    const meter = new DirectUseMeter(session);
    assert.deepEqual(await meter.look(0), [{ own: mobile.home, other: CN, idleSeconds: 0 }]);
    await echoes.more();
    assert.deepEqual(await meter.look(10), [{ own: mobile.home, other: CN, idleSeconds: 0 }]);
  });

  await t.test("F6275-9.3.2-01: of mobility messages only updates bear a header, at both ends", async () => {
    const send = (from: Node, source: Ipv6Address, to: Ipv6Address, type: number): void =>
      void from.run("python3", "-c", MESSAGE, source, to, String(type));
    const types: Record<Look, number[]> = {
      option: [],
      "routing header": [],
      both: [],
      tunnel: [],
      esp: [],
      plain: [],
    };
    send(mobile.node, mobile.home, CN, 1);
    send(mobile.node, mobile.home, CN, 5);
    send(net.cn, CN, mobile.home, 3);
    const isMessage = ({ layers }: Frame): boolean =>
      layers.some((one) => one.kind === "other" && one.protocol === 135);
    for (const frame of await wire.waitFor(isMessage, { what: "mobility messages", count: 3 }))
      for (const layer of frame.layers) if (layer.kind === "other") types[lookOf(frame)].push(layer.bytes[2] ?? 0);
    assert.deepEqual([types.tunnel.sort(), types.option], [[1, 3], [5]]);
  });

  await t.test("the node moves: both care-of addresses for a while, nothing lost", async () => {
    const [before, now] = mobile.careOf;
    const egress = mobile.uplink(now);
    const ingress = [mobile.uplink(before), egress];
    const moved = { homeAddress: mobile.home, mode: "away", egress, ingress, revision: 2 } as const;
    net.ha.ip(
      `link set t0 down`,
      `link del t0`,
      `link add t0 type ip6tnl mode any local ${HA} remote ${now} encaplimit none`,
      "link set t0 up",
      `route add ${mobile.home}/128 dev t0`,
    );
    await mobile.planned.hold("path", planMobileNode(moved, mobile.site));
    const updating = direct(mobile, CN, { stage: "updating", careOf: now, former: [before] });
    await mobile.planned.hold("pair", directObjects(mobile, updating));
    await echoes.more();
    await correspondent.hold("pair", planCorrespondentPath(boundAt(mobile.home, now)));
    await mobile.planned.hold("pair", directObjects(mobile, { ...updating, stage: "bound" }));
    await echoes.more();
    const to = wire
      .frames()
      .slice(-8)
      .flatMap((frame) =>
        lookOf(frame) === "routing header" ? (layersOfKind(frame.layers, "ipv6")[0]?.destination ?? []) : [],
      );
    assert.deepEqual([...new Set(to)], [now]);
    await mobile.planned.hold("path", planMobileNode({ ...moved, ingress: [egress] }, mobile.site));
    await mobile.planned.hold("pair", directObjects(mobile, direct(mobile, CN, { careOf: now })));
    await echoes.more();
  });

  await t.test("given back: through the home agent, with nothing lost", async () => {
    await mobile.planned.hold(
      "pair",
      directObjects(mobile, direct(mobile, CN, { stage: "updating", careOf: mobile.careOf[1] })),
    );
    await correspondent.hold("pair", []);
    await mobile.planned.hold("silence", planSilence(mobile.home, CN));
    await mobile.planned.hold("pair", []);
    await echoes.more(10);
    await tcp.more(10);
    assert.deepEqual([...looks()], ["tunnel"]);
  });
  await t.test("about one that is not worth it the kernel asks nothing, until it is", async () => {
    const before = demands.length;
    await mobile.planned.hold("demand", planDemand(mobile.home, mobile.site, 1));
    await echoes.more();
    await tcp.more();
    assert.equal(demands.length, before);
    await mobile.planned.hold("silence", []);
    // A connected socket keeps the way it has found; of a new policy it is told.
    await mobile.planned.hold("demand", planDemand(mobile.home, mobile.site, 2));
    await waitFor(() => demands.length > before, { what: "a question again" });
    assert.deepEqual(await mobile.planned.differences(), []);
  });
  assert.equal(await echoes.lost(), 0);
  assert.deepEqual([repeated(mobile.node), repeated(net.cn)], [0, 0], "segments sent again");
  assert.deepEqual([refusedIn(mobile.node), refusedIn(net.cn)], [0, 0], "refused by the kernel");
});

test("from and to another care-of address than the bound one nothing is taken", async (t) => {
  const net = new Net(t);
  const mobile = await net.away(t, 0);
  const correspondent = await Planned.open(t, net.cn);
  await correspondent.hold("site", planCorrespondentSite({ addresses: [CN, OTHER_CN] }));
  const bound = boundAt(mobile.home, mobile.careOf[0]);
  await correspondent.hold("pair", planCorrespondentPath(bound));
  await mobile.planned.hold("pair", directObjects(mobile, direct(mobile, CN)));
  assert.equal(await answered(mobile.node, mobile.home, CN), true);

  await mobile.planned.hold("pair", directObjects(mobile, direct(mobile, CN, { careOf: mobile.careOf[1] })));
  assert.equal(await answered(mobile.node, mobile.home, CN), false, "option from elsewhere");
  assert.ok(refusedIn(net.cn) > 0);
  await mobile.planned.hold("other", directObjects(mobile, direct(mobile, OTHER_CN)));
  assert.equal(await answered(mobile.node, mobile.home, OTHER_CN), false, "option of nobody's binding");

  await mobile.planned.hold("other", []);
  await mobile.planned.hold("pair", directObjects(mobile, direct(mobile, CN)));
  await correspondent.hold("pair", planCorrespondentPath(boundAt(mobile.home, mobile.careOf[1])));
  const before = refusedIn(mobile.node);
  await answered(net.cn, CN, mobile.home);
  assert.ok(refusedIn(mobile.node) > before, "a routing header to where the node does not say it is");
  await mobile.planned.hold("pair", []);
  await correspondent.hold("pair", planCorrespondentPath(bound));
  assert.equal(await answered(net.cn, CN, mobile.home), false, "a routing header of a stranger's");
});

test("both ends mobile: each to where the other is, and what follows a move of one", async (t) => {
  const net = new Net(t);
  const [one, two] = [await net.away(t, 0), await net.away(t, 1)];
  for (const mobile of [one, two])
    await mobile.planned.hold(
      "correspondent",
      planCorrespondentSite({ addresses: [mobile.home], homeAddresses: [mobile.home] }),
    );
  const pair = (mobile: MobileEnd, peer: MobileEnd, careOf = mobile.careOf[0], peerCareOf = peer.careOf[0]) =>
    mobile.planned.hold(
      "pair",
      planPair({
        direct: { path: direct(mobile, peer.home, { careOf }), site: mobile.site, uplink: mobile.uplink(careOf) },
        bound: { homeAddress: peer.home, self: mobile.home, careOf: peerCareOf },
      }),
    );
  const wire = await net.topology.capture(one.node, "eth0", "icmp6 or ip6 proto 43 or ip6 proto 60 or ip6 proto 41");
  assert.equal(await answered(one.node, one.home, two.home), true, "through both home agents");
  await pair(one, two);
  await pair(two, one);
  for (const [from, to] of [
    [one, two],
    [two, one],
  ] as const)
    assert.equal(await answered(from.node, from.home, to.home), true);
  const both = wire.frames().filter((frame) => lookOf(frame) === "both");
  assert.ok(both.length >= 4, "option and routing header in one packet, both ways");

  const [, now] = one.careOf;
  const egress = one.uplink(now);
  await one.planned.hold(
    "path",
    planMobileNode(
      { homeAddress: one.home, mode: "away", egress, ingress: [one.uplink(one.careOf[0]), egress], revision: 2 },
      one.site,
    ),
  );
  await pair(one, two, now);
  await pair(two, one, two.careOf[0], now);
  assert.equal(await answered(one.node, one.home, two.home), true, "after a move");
  assert.equal(await answered(two.node, two.home, one.home), true, "after a move");
  assert.deepEqual([refusedIn(one.node), refusedIn(two.node)], [0, 0]);
});

test("with payload in ESP: who is bound leaves it, who is not stays, and what comes in clear dies", async (t) => {
  const net = new Net(t);
  const aead = { algorithm: "rfc4106(gcm(aes))", key: new Secret(fromHex(KEY)), icvLength: 16 } as const;
  const payload = { receive: [{ spi: SPI.down, aead }], send: { spi: SPI.up, aead } };
  const mobile = await net.away(t, 0, { payload });
  const correspondent = await Planned.open(t, net.cn);
  await correspondent.hold("site", planCorrespondentSite({ addresses: [CN, OTHER_CN] }));
  const bound = planCorrespondentPath(boundAt(mobile.home, mobile.careOf[0]));
  const wire = await net.topology.capture(mobile.node, "eth0", "ip6 and not ip6 multicast");
  const flows = (): Look[] =>
    wire
      .frames()
      .map(lookOf)
      .filter((look) => look !== "plain");
  let seen = 0;
  /** Of three requests and their answers. */
  const looks = async (to: Ipv6Address): Promise<Look[]> => {
    assert.equal(await answered(mobile.node, mobile.home, to), true, to);
    await waitFor(() => flows().length >= seen + 6, { what: `six packets after ${seen}` });
    const fresh = flows().slice(seen, seen + 6);
    seen += fresh.length;
    return [...new Set(fresh)].sort();
  };
  assert.deepEqual(await looks(CN), ["esp"]);
  await mobile.planned.hold("pair", directObjects(mobile, direct(mobile, CN, { stage: "updating" })));
  await correspondent.hold("pair", bound);
  assert.deepEqual(await looks(CN), ["esp", "routing header"], "on the way there");
  await mobile.planned.hold("pair", directObjects(mobile, direct(mobile, CN)));
  assert.deepEqual(await looks(CN), ["option", "routing header"]);
  assert.deepEqual(await looks(OTHER_CN), ["esp"]);
  assert.equal(refusedIn(mobile.node), 0);

  await correspondent.hold("pair", bound.slice(0, 2));
  assert.deepEqual(await looks(CN), ["esp", "option"], "one that forgot where to send");
  net.core.ip(`route add ${mobile.home}/128 via ${mobile.careOf[0]}`);
  assert.equal(await answered(mobile.node, mobile.home, CN), false, "in clear without a routing header");
  assert.ok(refusedIn(mobile.node) > 0);
});
