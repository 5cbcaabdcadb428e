/**
 * Tunnel profiles of Mobile IPv4, with both ends' plans in real kernels and no daemon: fixed and copied DSCP, outer hop limit, ECN (RFC 6040)
 * past a router that marks, MTU with the right ICMP errors, and paths that are narrower than the tunnel thinks. In IP in IP, GRE and RFC
 * 3519's UDP, IPv6 beside it and to the home address inside it, and through a foreign agent, whose reverse tunnels have a profile too.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { openUdpSocket } from "../../../controller/io/ip/udp-socket.js";
import type { Encapsulation, PrefixMode } from "../../../controller/protocol/mip4/inputs.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import type { Capture } from "../lib/capture.js";
import { DIRECTIONS, freshText } from "../lib/exchange.js";
import { ipLayersOf, tooBigOf } from "../lib/frames.js";
import {
  CN,
  checkHeaders,
  FAMILIES,
  type Form,
  HA,
  type Headers,
  type Mobile,
  NAT,
  natPort,
  natPorts,
  PORT,
  Scene,
} from "../lib/mip4-scene.js";
import { Visit } from "../lib/mip4-visit.js";
import { checkTooBig, checkTransfers } from "../lib/path-mtu.js";
import type { Node } from "../lib/topology.js";
import { waitFor } from "../lib/wait.js";

const FIXED = { dscp: 46, mtu: 1350 } as const;
const COPIED = { dscp: "copy" } as const;
/** Of the payload: AF11, and each ECN but CE. */
const PAYLOAD_CLASSES = [0, 1, 2].map((ecn) => (10 << 2) | ecn);
const [NOT_ECT, ECT, CE] = [10 << 2, (10 << 2) | 2, (10 << 2) | 3] as const;
/** Less than profile and outer header together. IPv6 in whatever is still passed on in fragments of the outer packet. */
const NARROW = 1300;
/** IPv6 to the home address is in one IPv4 packet more. */
const HOME_ADDRESS_HEADER = 20;

interface Way {
  readonly name: string;
  readonly mobile: Mobile;
  readonly form: Form;
  /** Octets of the outer header. */
  readonly overhead: number;
  /** Where the tunnel's far end is on the wire, and the router's wire to it. */
  readonly end: { readonly node: Node; readonly device: string; readonly router: string };
  readonly register: () => Promise<void>;
  /** The visited link, where the agent tells the node what does not fit. */
  readonly visited?: Capture;
}

const mobileOf = (scene: Scene, number: number): Mobile =>
  scene.mobiles.find((one) => one.number === number) ?? assert.fail(`no node ${number}`);

const MODES = ["care-of-address", "home-address"] as const;
const ENCAPSULATIONS = [
  ["ip-in-ip", "", 20],
  ["gre", " / protocol 47", 24],
] as const satisfies readonly (readonly [Encapsulation, string, number])[];

/** Of a node with an address of its own behind a router. */
function plainWays(scene: Scene): readonly Way[] {
  const mobile = mobileOf(scene, 4);
  return ENCAPSULATIONS.flatMap(([encapsulation, between, overhead]) =>
    MODES.map((mode) => ({
      name: `${encapsulation}, IPv6 to the ${mode}`,
      mobile,
      form: { between, carrier: mode === "home-address" },
      overhead,
      end: { node: mobile.node, device: "eth0", router: "lan4" },
      register: () => mobile.register(scene, { transport: "ip", address: mobile.careOf, encapsulation }, mode),
    })),
  );
}

/** Port 434 is open at both ends, as registrations have it: the kernel takes ICMP errors about its packets for whoever listens there. */
function listenOnPort434(t: TestContext, scene: Scene, mobile: Mobile): void {
  for (const [node, address] of [
    [scene.ha, HA],
    [mobile.node, mobile.careOf],
  ] as const) {
    const socket = openUdpSocket({ netns: node.path, address, port: PORT, family: 4 });
    socket.listen({ onPackets: () => undefined, onError: () => undefined });
    t.after(() => socket.close());
  }
}

/** Behind a NAT. */
function udpWays(t: TestContext, scene: Scene): readonly Way[] {
  const mobile = mobileOf(scene, 1);
  let port: number | undefined;
  const register = async (mode: PrefixMode): Promise<void> => {
    if (port === undefined) {
      port = await natPort(scene, mobile);
      natPorts.set(mobile, port);
      listenOnPort434(t, scene, mobile);
    }
    await mobile.register(scene, { transport: "udp", address: NAT, port, encapsulation: "ip-in-ip" }, mode);
  };
  return MODES.map((mode) => ({
    name: `UDP, IPv6 to the ${mode}`,
    mobile,
    form: { between: " / udp PORTS / protocol NH", carrier: mode === "home-address" },
    overhead: 32,
    end: { node: mobile.node, device: "eth0", router: "lan1" },
    register: () => register(mode),
  }));
}

async function visitedWays(t: TestContext, scene: Scene, profile: Headers): Promise<readonly Way[]> {
  const mobile = mobileOf(scene, 5);
  const visit = await Visit.open(t, scene, mobile, profile);
  const fa = scene.fa ?? assert.fail("a routed scene");
  const visited = await scene.net.capture(fa, "visit");
  return ENCAPSULATIONS.map(([encapsulation, between, overhead]) => ({
    name: `${encapsulation} of a foreign agent`,
    mobile,
    form: { between, carrier: true },
    overhead,
    end: { node: fa, device: "wan", router: "lan5" },
    register: () => visit.register(encapsulation),
    visited,
  }));
}

const waysOf = async (t: TestContext, scene: Scene, profile: Headers): Promise<readonly Way[]> => [
  ...plainWays(scene),
  ...udpWays(t, scene),
  ...(await visitedWays(t, scene, profile)),
];

async function checkClasses(scene: Scene, { mobile, form }: Way, { dscp }: Headers): Promise<void> {
  for (const inner of PAYLOAD_CLASSES) {
    const outer = dscp === "copy" ? inner : (dscp << 2) | (inner & 3);
    await checkHeaders(scene, mobile, form, { inner, outer });
  }
}

/** The router between the ends marks everything tunnelled; payload beyond the tunnel keeps its field. */
async function checkCongestion(scene: Scene, { mobile }: Way): Promise<void> {
  const rules = ["saddr", "daddr"].map((end) => `ip ${end} ${HA} ip ecn set ce`).join("; ");
  scene.nat.nft(`table ip congestion { chain forward { type filter hook forward priority 0; ${rules}; }; }`);
  try {
    const lost = FAMILIES.flatMap((family) =>
      DIRECTIONS.map((direction) => {
        const ends = [scene.correspondents[family], mobile.stations[family]] as const;
        const [from, to] = direction === "down" ? ends : ([ends[1], ends[0]] as const);
        const text = freshText(`not ECT, ${direction} ${family}`);
        from.send(to, text, { trafficClass: NOT_ECT });
        return { text, to };
      }),
    );
    await scene.crossings(mobile, ECT, CE);
    // What was sent before on the same way would have come before.
    for (const { text, to } of lost) assert.equal(to.count(text), 0, text);
  } finally {
    scene.nat.nft("delete table ip congestion");
  }
}

/** Inner packets of a profile's size pass, and one octet more is answered with what would fit, by whoever would put it into the tunnel. */
async function checkMtu(scene: Scene, way: Way, mtu: number): Promise<void> {
  const { mobile, form, visited } = way;
  const { correspondents, cn, homeWire } = scene;
  const paths = { correspondents, cn, wire: homeWire };
  await checkTooBig(paths, mobile, 4, mtu, visited === undefined ? DIRECTIONS : ["down"]);
  await checkTooBig(paths, mobile, 6, form.carrier ? mtu - HOME_ADDRESS_HEADER : mtu);
  if (visited === undefined) return;
  const [here, there] = [mobile.stations[4], correspondents[4]];
  const before = visited.frames().length;
  here.send(there, freshText("too big for the agent"), { octets: mtu + 1 - 28 });
  const error = await waitFor(() => visited.frames().slice(before).find(tooBigOf), { what: "the agent's ICMP error" });
  assert.deepEqual([ipLayersOf(error)[0]?.destination, tooBigOf(error)], [here.address, { family: 4, mtu }]);
  const next = freshText("after the agent's error");
  here.send(there, next, { octets: mtu + 1 - 28 });
  assert.equal((await there.waitFor(next)).data.length, mtu + 1 - 28);
  assert.equal(visited.frames().slice(before).filter(tooBigOf).length, 1);
  mobile.node.ip("route flush cache");
}

/** An echo and its answer of so many octets, neither with DF; of both the headers outside and inside at the home agent. */
async function echo(scene: Scene, { mobile }: Way, octets: number) {
  const before = scene.wire.frames().length;
  const words = ["-n", "-c1", "-i0.3", "-w5", "-M", "dont", "-s", String(octets - 28), "-I", mobile.home4, CN[4]];
  await mobile.node.runAsync("ping", ...words);
  // Both have come through, so both are in the capture but for its delay.
  return waitFor(
    () => {
      const found = scene.wire
        .frames()
        .slice(before)
        .map(ipLayersOf)
        .filter(([, inner]) => inner?.kind === "ipv4" && inner.protocol === Protocol.icmp)
        .map(([outer, inner]) => ({ outer: outer as Outer, inner: inner as Outer }));
      const down = found.filter(({ outer }) => outer.source === HA);
      return down.length > 0 && down.length * 2 === found.length && found;
    },
    { what: `an echo of ${octets} octets and its answer`, timeout: 2000 },
  );
}
type Outer = Extract<ReturnType<typeof ipLayersOf>[number], { readonly kind: "ipv4" }>;

/** What has no DF inside has none outside, and what is too large for the tunnel is in fragments inside it and not around it (RFC 3519 §4.8). */
async function checkFragments(scene: Scene, way: Way, mtu: number): Promise<void> {
  for (const [octets, pieces] of [
    [mtu, 1],
    [mtu + 100, 2],
  ] as const) {
    const found = await echo(scene, way, octets);
    assert.equal(found.length, 2 * pieces, `${octets} octets`);
    for (const { outer, inner } of found) {
      assert.deepEqual([outer.fragment, outer.dontFragment], [false, false], `${octets} octets`);
      assert.equal(inner.fragment, pieces > 1, `${octets} octets`);
      assert.ok(inner.length <= mtu, `${inner.length} octets inside`);
    }
  }
}

/** A link of the path is narrower than profile and outer header: at the node's end, or at the home agent's. */
async function checkNarrow(scene: Scene, way: Way, where: "node" | "home agent", families: readonly (4 | 6)[]) {
  const { mobile, end, overhead } = way;
  const wires: readonly (readonly [Node, string])[] =
    where === "node"
      ? [
          [end.node, end.device],
          [scene.nat, end.router],
        ]
      : [
          [scene.ha, "wan"],
          [scene.nat, "wan"],
        ];
  const set = (mtu: number): void => {
    for (const [node, device] of wires) node.ip(`link set ${device} mtu ${mtu}`);
    for (const node of [scene.ha, scene.cn, scene.nat, mobile.node, end.node]) node.ip("route flush cache");
  };
  set(NARROW);
  try {
    const before = scene.homeWire.frames().length;
    const [here, there] = [scene.correspondents[4], mobile.stations[4]];
    const tooBig = await waitFor(
      () => {
        here.trySend(there, freshText("too big for the path"), { octets: FIXED.mtu - 28 });
        return scene.homeWire
          .frames()
          .slice(before)
          .flatMap((frame) => tooBigOf(frame) ?? [])
          .find(({ family }) => family === 4);
      },
      { what: "the ICMP error to the correspondent", interval: 100 },
    );
    assert.equal(tooBig.mtu, NARROW - overhead);
    await echo(scene, way, 1250);
    for (const family of families) {
      // A foreign agent does not learn the path of its reverse tunnels (README, Limits).
      const directions = family === 4 && way.visited !== undefined ? (["down"] as const) : DIRECTIONS;
      await checkTransfers(scene, [mobile.stations[family].address], directions);
    }
  } finally {
    set(1500);
  }
}

test("fixed class, hop limit and MTU in Mobile IPv4's tunnels", async (t) => {
  const scene = await Scene.start(t, { profile: FIXED, routed: true });
  const servers = new Set<Mobile>();
  for (const way of await waysOf(t, scene, FIXED)) {
    await way.register();
    if (!servers.has(way.mobile)) {
      servers.add(way.mobile);
      await way.mobile.node.spawn(["iperf3", "--server", "--forceflush"]).waitForLog(/listening/);
    }
    await t.test(`V4-4.6-07 V4-4.6-08 F2983-3-01: ${way.name}: fixed DSCP, ECN copied, hop limit`, () =>
      checkClasses(scene, way, FIXED),
    );
    await t.test(`V4-4.6-08: ${way.name}: CE comes in, and is a loss to what is not capable of it`, () =>
      checkCongestion(scene, way),
    );
    await t.test(`V4-4.6-05: ${way.name}: what is too big gets the right ICMP error`, () =>
      checkMtu(scene, way, FIXED.mtu),
    );
    await t.test(`F3519-4.8-01: ${way.name}: IPv4 without DF is fragmented before it is encapsulated`, () =>
      checkFragments(scene, way, FIXED.mtu),
    );
    // IPv4 is the same wherever IPv6 goes, and IPv6 to the home address is IPv4 that any path takes in fragments.
    const again = way.form.carrier && way.visited === undefined;
    for (const where of again ? (["node"] as const) : (["node", "home agent"] as const))
      await t.test(`${way.name}: a path of ${NARROW} at the ${where}`, () =>
        checkNarrow(scene, way, where, again ? [6] : FAMILIES),
      );
  }
});

test("copied class in Mobile IPv4's tunnels", async (t) => {
  const scene = await Scene.start(t, { profile: COPIED, routed: true });
  for (const way of await waysOf(t, scene, COPIED)) {
    await way.register();
    await t.test(`V4-4.6-07 V4-4.6-08 F2983-3-01: ${way.name}: class copied, hop limit`, () =>
      checkClasses(scene, way, COPIED),
    );
    await t.test(`V4-4.6-08: ${way.name}: CE comes in, and is a loss to what is not capable of it`, () =>
      checkCongestion(scene, way),
    );
  }
});
