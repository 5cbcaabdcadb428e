/**
 * The six tunnel formats of RFC 5555 §4.1 with real daemons, both directions, as the home agent's wire shows them; two nodes behind one
 * NAT address; and what becomes of the fields that a tunnel must carry over: DSCP, ECN, hop limits.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { ipv6 } from "../../../controller/base/ip.js";
import { asPlanned } from "../lib/as-planned.js";
import type { Frame } from "../lib/capture.js";
import { checkCongestion } from "../lib/congestion.js";
import { type Crossing, cross, DIRECTIONS, type Direction, freshText, isEncapsulated } from "../lib/exchange.js";
import { describeFrame } from "../lib/frames.js";
import {
  type Access,
  CORRESPONDENT,
  FAMILIES,
  FORMAT_OF,
  HOME_AGENT,
  type Mobile,
  NAT_ADDRESS,
  Scene,
} from "../lib/scene.js";
import { Station } from "../lib/station.js";

type Abroad = Exclude<Access, "home">;
const DSCP_AND_ECN = 0xb9; // EF and ECT(1)
const WAYS = FAMILIES.flatMap((family) => DIRECTIONS.map((direction) => ({ family, direction })));

/** Requirements about the format of payload in one access: what the home agent sends, and what the node sends. */
const FORMAT_IDS: Readonly<Record<Abroad, Readonly<Record<Direction, string>>>> = {
  six: {
    // Without a Tunnel Encapsulation Limit option: nothing stands between the IP headers.
    down: "R5555-2.3.1-03 R5555-4.5.1-01 R5555-4.5.1-02 F2473-6.6-01",
    up: "R5555-4.4.3-01 R5555-4.4.3-02 F2473-3.1-01 F6275-11.3.1-01",
  },
  four: {
    down: "R5555-4.5-20 R5555-4.5-24 R5555-4.5.1-03 R5555-4.5.1-05",
    up: "R5555-2.3.2.1-07 R5555-4.4.3-03 R5555-4.2-11 R5555-4.2-10",
  },
  nat: {
    down: "R5555-2.3.2.2-06 R5555-4.2-04 R5555-4.2-07 R5555-4.5.1-04",
    up: "R5555-2.3.2.2-07 R5555-4.1-02 R5555-4.2-05 R5555-4.4.3-05",
  },
};

/** What the wire must show, outermost header first. */
async function expected(scene: Scene, mobile: Mobile, access: Abroad, way: (typeof WAYS)[number]): Promise<string> {
  const format = FORMAT_OF[access];
  const agent = format === "ipv6" ? HOME_AGENT.ipv6 : HOME_AGENT.ipv4;
  const node = access === "nat" ? NAT_ADDRESS : mobile.careOf[access];
  const home = way.family === 6 ? mobile.home6 : mobile.home4;
  const correspondent = way.family === 6 ? CORRESPONDENT.ipv6 : CORRESPONDENT.ipv4;
  const down = way.direction === "down";
  const pair = (from: unknown, to: unknown): string => (down ? `${from}>${to}` : `${to}>${from}`);
  const port = format === "udp" ? `udp ${pair(4191, await scene.natPort(mobile))} / ` : "";
  const outer = `${format === "ipv6" ? "ipv6" : "ipv4"} ${pair(agent, node)}`;
  return `${outer} / ${port}ipv${way.family} ${pair(correspondent, home)} / udp 7000>7000`;
}

async function checkFormats(scene: Scene, mobile: Mobile, access: Abroad, ways = WAYS): Promise<void> {
  for (const way of ways) {
    const crossing = await cross(scene, mobile, way);
    assert.equal(describeFrame(crossing.frame), await expected(scene, mobile, access, way));
  }
}

/** The header fields of one crossing that the tunnel or a router may have changed. */
function fields({ outer, inner, received }: Crossing): Record<string, number | undefined> {
  const { hopLimit, trafficClass } = received;
  return {
    outerClass: outer.trafficClass,
    innerClass: inner.trafficClass,
    receivedClass: trafficClass,
    innerHops: inner.hopLimit,
    receivedHops: hopLimit,
  };
}

async function checkClassAndHops(scene: Scene, mobile: Mobile, access: Abroad): Promise<void> {
  for (const way of WAYS) {
    const crossing = await cross(scene, mobile, way, { trafficClass: DSCP_AND_ECN, hopLimit: 50 });
    const down = way.direction === "down";
    assert.deepEqual(
      fields(crossing),
      {
        outerClass: DSCP_AND_ECN,
        innerClass: DSCP_AND_ECN,
        receivedClass: DSCP_AND_ECN,
        // Down: the core router and the home agent forward it before the tunnel. Up: they do after it.
        innerHops: down ? 48 : 50,
        receivedHops: 48,
      },
      `${way.direction}, IPv${way.family}`,
    );
    // RFC 2003 §3.1: DF inside (Linux sets it on what it sends) is DF outside.
    const { outer, inner } = crossing;
    if (outer.kind === "ipv4" && inner.kind === "ipv4")
      assert.deepEqual([inner.dontFragment, outer.dontFragment], [true, true]);
    // The tunnel's own hop limit: as configured when it leaves, less one for each router between.
    const routers = access === "nat" ? 2 : 1;
    assert.equal(crossing.outer.hopLimit, down ? 64 : 64 - routers);
  }
}

/** "ipv4/udp/ipv6": the headers of a tunnelled frame, to the inner IP header. */
function formOf(frame: Frame): string {
  const kinds = frame.layers.map(({ kind }) => kind).filter((kind) => ["ipv4", "ipv6", "udp"].includes(kind));
  const inner = kinds.findLastIndex((kind) => kind !== "udp");
  return kinds.slice(0, inner + 1).join("/");
}

const TITLES: Readonly<Record<Abroad, string>> = {
  six: "IPv6 access: IPv6/IPv6 and IPv4/IPv6",
  four: "public IPv4 access: protocols 41 and 4",
  nat: "behind a NAT: UDP port 4191",
};

test("payload in every tunnel format", async (t: TestContext) => {
  const scene = await Scene.start(t, { mobiles: 2 });
  const [first, second] = scene.mobiles as [Mobile, Mobile];
  const homes6 = [first.home6, second.home6];
  // As on any host: the kernel looks for routers behind each new device, and would do so through a tunnel.
  first.node.sysctl({ "net.ipv6.conf.default.accept_ra": 1, "net.ipv6.conf.default.router_solicitations": 3 });
  const beyond = await scene.net.capture(scene.cn, "eth0");
  scene.attach(first, "six");
  scene.attach(second, "nat");
  await Promise.all([first.daemon.start(), second.daemon.start()]);

  // Devices that receive from all nodes would drop what goes to a 6to4 address (RFC 3056 §9).
  scene.core.ip("route add 2002::/16 dev cn");
  scene.cn.ip("address add 2002:c000:202::2/128 dev eth0 nodad");
  const sixToFour = new Station(scene.cn, ipv6("2002:c000:202::2"));
  t.after(() => sixToFour.close());

  for (const access of ["six", "four", "nat"] as const) {
    await scene.move(first, access);
    await t.test(
      `${TITLES[access]}: a correspondent with a 6to4 address is reached, and reaches the node`,
      async () => {
        for (const [from, to] of [
          [first.stations[6], sixToFour],
          [sixToFour, first.stations[6]],
        ] as const) {
          const text = freshText("6to4");
          from.send(to, text);
          await to.waitFor(text);
        }
      },
    );
    for (const direction of DIRECTIONS) {
      await t.test(`${FORMAT_IDS[access][direction]}: ${TITLES[access]}, ${direction}`, () =>
        checkFormats(
          scene,
          first,
          access,
          WAYS.filter((way) => way.direction === direction),
        ),
      );
    }
    await t.test(
      `${access === "four" ? "F2003-3.1-01 " : ""}R5555-4.1.1-02 R5555-4.1.1-05 F2983-3-01: ${TITLES[access]}: the class octet is copied, the inner hop limit falls by one per forwarding node, the outer one is 64`,
      () => checkClassAndHops(scene, first, access),
    );
    await t.test(
      `R5555-4.1.1-03 R5555-4.1.1-04 F6040-4.1-01: ${TITLES[access]}: outer CE becomes inner CE, and a not-ECT packet with it is dropped`,
      () => checkCongestion(scene, first),
    );
  }

  await t.test(
    "R5555-4.1-01 R5555-4.2-08 R5555-4.2-09: all six formats were on the wire, with the home address inside what the node sent",
    () => {
      const forms = new Set(scene.wire.frames().filter(isEncapsulated).map(formOf));
      for (const form of ["ipv6/ipv6", "ipv6/ipv4", "ipv4/ipv6", "ipv4/ipv4", "ipv4/udp/ipv6", "ipv4/udp/ipv4"])
        assert.equal(forms.has(form), true, form);
      const sent = scene.wire
        .frames()
        .map(describeFrame)
        .filter((text) => text.endsWith("udp 7000>7000") && text.includes(`>${CORRESPONDENT.ipv6} / udp`));
      assert.equal(
        sent.length > 0 && sent.every((text) => homes6.some((home) => text.includes(`ipv6 ${home}>`))),
        true,
      );
    },
  );

  await t.test("R5555-2.3.2.2-08 R5555-4.2-06: two nodes behind one NAT address, each by its own port", async () => {
    await scene.settled(second, "nat");
    const ports = await Promise.all([scene.natPort(first), scene.natPort(second)]);
    assert.notEqual(ports[0], ports[1]);
    for (const mobile of [first, second, first]) await checkFormats(scene, mobile, "nat");
  });

  await t.test(
    "R5555-2.4-02 R5555-2.4-03 R5555-4.6-01: the correspondent's link has seen no tunnel, no UDP of ours and no mobility message",
    () => {
      const frames = beyond.frames();
      const plain = frames.filter((frame) => describeFrame(frame).endsWith("udp 7000>7000"));
      assert.ok(plain.length > 0);
      const strange = frames
        .map(describeFrame)
        .filter((text) => /udp (4191>|\d+>4191)|ip.*\/ ip|protocol 135/.test(text));
      assert.deepEqual(strange, []);
    },
  );

  await t.test("F6275-10.4.5-01: the kernel took no packet of all these for a spoofed one", async () => {
    const counters = await scene.homeAgent.kernelCounters();
    const names = ["spoofed-udp", "spoofed-ipv4", "spoofed-ipv6", "bad-version", "link-local"];
    assert.deepEqual(
      names.map((name) => counters[name]),
      [0, 0, 0, 0, 0],
    );
  });
  await asPlanned(scene.homeAgent, first.daemon);
});
