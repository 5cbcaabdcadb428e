/**
 * A tunnel profile that differs from the default in everything, on every format with real daemons: fixed DSCP, outer hop limit, MTU with the
 * right ICMP errors, and TCP over a path that is narrower than the tunnel thinks.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { Injector, stationPacket } from "./lib/craft.js";
import { cross, DIRECTIONS, freshText } from "./lib/exchange.js";
import { ipLayersOf, tooBigOf } from "./lib/frames.js";
import type { Background } from "./lib/process.js";
import { type Access, CORRESPONDENT, FAMILIES, type Mobile, type PayloadFamily, Scene } from "./lib/scene.js";

type Abroad = Exclude<Access, "home">;
const PROFILE = { dscp: 46, ttl: 77, mtu: 1350 } as const;
/**
 * Narrower than profile and outer header together. Linux does not fragment an outer IPv6 packet (RFC 2473 §7.1 would), so that an IPv6
 * path must let a packet of 1280 octets through inside another one: 1320.
 */
const NARROW_MTU: Readonly<Record<Abroad, number>> = { six: 1330, four: 1300, nat: 1300 };
/** What must arrive; twice as much is sent, because the receiver stops counting when the sender is ready. */
const TCP_OCTETS = 200_000;
/** IP and UDP headers. */
const HEADERS: Readonly<Record<PayloadFamily, number>> = { 6: 48, 4: 28 };
const WAYS = FAMILIES.flatMap((family) => DIRECTIONS.map((direction) => ({ family, direction })));

async function checkHeaders(scene: Scene, mobile: Mobile, access: Abroad): Promise<void> {
  const routers = access === "nat" ? 2 : 1;
  for (const way of WAYS) {
    for (const ecn of [0, 1]) {
      const trafficClass = (10 << 2) | ecn;
      const { outer, inner, received } = await cross(scene, mobile, way, { trafficClass });
      const hopLimit = way.direction === "down" ? PROFILE.ttl : PROFILE.ttl - routers;
      assert.deepEqual(
        [outer.trafficClass, outer.hopLimit, inner.trafficClass, received.trafficClass],
        [(PROFILE.dscp << 2) | ecn, hopLimit, trafficClass, trafficClass],
        `${way.direction}, IPv${way.family}, ECN ${ecn}`,
      );
    }
  }
}

/** The correspondent forgets what it learnt about paths. */
function forgetPaths(scene: Scene): void {
  scene.cn.script("ip -4 route flush cache; ip -6 route flush cache");
}

async function checkTooBig(scene: Scene, mobile: Mobile, family: PayloadFamily): Promise<void> {
  const [here, there] = [scene.correspondents[family], mobile.stations[family]];
  forgetPaths(scene);
  const seenBefore = scene.wire.frames().length;
  const errors = () =>
    scene.wire
      .frames()
      .slice(seenBefore)
      .flatMap((frame) => tooBigOf(frame) ?? []);

  const fitting = freshText("as big as may be");
  here.send(there, fitting, { octets: PROFILE.mtu - HEADERS[family] });
  assert.equal((await there.waitFor(fitting)).data.length, PROFILE.mtu - HEADERS[family]);
  assert.deepEqual(errors(), []);

  const tooBig = freshText("too big");
  here.send(there, tooBig, { octets: PROFILE.mtu + 1 - HEADERS[family] });
  await scene.wire.waitFor(
    (frame) => tooBigOf(frame)?.family === family && ipLayersOf(frame)[0]?.destination === here.address,
    { what: `the ICMP error for IPv${family}` },
  );
  // Having learnt it the correspondent sends fragments; the first packet is lost, as path MTU discovery has it.
  const next = freshText("after the error");
  here.send(there, next, { octets: PROFILE.mtu + 1 - HEADERS[family] });
  assert.equal((await there.waitFor(next)).data.length, PROFILE.mtu + 1 - HEADERS[family]);
  assert.equal(there.count(tooBig), 0);
  assert.deepEqual(errors(), [{ family, mtu: PROFILE.mtu }]);

  const up = freshText("too big, up");
  there.send(here, up, { octets: PROFILE.mtu + 1 - HEADERS[family] });
  assert.equal((await here.waitFor(up)).data.length, PROFILE.mtu + 1 - HEADERS[family]);
}

/** IPv4 without DF is nobody's error: it is fragmented. */
async function checkFragments(wire: Injector, mobile: Mobile): Promise<void> {
  const text = freshText("without DF");
  const addresses = { source: CORRESPONDENT.ipv4, destination: mobile.home4 };
  wire.send(stationPacket(addresses, text.padEnd(1450)));
  assert.equal((await mobile.stations[4].waitFor(text)).data.length, 1450);
}

/** Sets the MTU of the wire that is the last one of the path, at both of its ends. */
function setPathMtu(scene: Scene, { node }: Mobile, access: Abroad, mtu: number): void {
  const port = `${node.label}-${access}`;
  if (access === "nat") {
    scene.nat.ip(`link set wan mtu ${mtu}`);
    scene.core.ip(`link set nat mtu ${mtu}`);
    return;
  }
  scene.core.ip(`link set ${port} mtu ${mtu}`, `link set ${access} mtu ${mtu}`);
  node.ip(`link set ${access} mtu ${mtu}`);
}

interface IperfReport {
  readonly error?: string;
  readonly end: { readonly sum_received?: { readonly bytes: number } };
}

/** Down or, with -R, up. */
async function transfer(scene: Scene, to: string, ...options: readonly string[]): Promise<void> {
  // What is still in the buffers when the sender has written all does not count as received: small buffers, and more than enough to send.
  const bytes = ["--bytes", String(4 * TCP_OCTETS), "--window", "64K"];
  const words = ["iperf3", "--client", to, ...bytes, "--json", ...options];
  const report = JSON.parse(await scene.cn.runAsync("timeout", "60", ...words)) as IperfReport;
  assert.equal(report.error, undefined);
  assert.ok((report.end.sum_received?.bytes ?? 0) >= TCP_OCTETS, `${report.end.sum_received?.bytes} octets arrived`);
}

async function checkTcp(scene: Scene, mobile: Mobile, access: Abroad): Promise<void> {
  setPathMtu(scene, mobile, access, NARROW_MTU[access]);
  try {
    for (const to of [mobile.home6, mobile.home4]) {
      forgetPaths(scene);
      await transfer(scene, to);
      await transfer(scene, to, "--reverse");
    }
  } finally {
    setPathMtu(scene, mobile, access, 1500);
  }
}

test("a tunnel profile of its own", async (t: TestContext) => {
  const scene = await Scene.start(t, { profile: PROFILE });
  const { mobile } = scene;
  scene.attach(mobile, "six");
  await mobile.daemon.start();
  const server: Background = mobile.node.spawn(["iperf3", "--server", "--forceflush"]);
  await server.waitForLog(/listening/);
  const wire = new Injector({ namespace: scene.cn, device: "eth0" }, { namespace: scene.core, device: "cn" });
  t.after(() => wire.close());

  for (const access of ["six", "four", "nat"] as const) {
    await scene.move(mobile, access);
    await t.test(
      `F2983-3-01 F6040-4.1-01 R5555-4.1.1-02: "${access}": fixed DSCP, ECN copied, outer hop limit 77`,
      () => checkHeaders(scene, mobile, access),
    );
    await t.test(`R5555-4.1.1-01: "${access}": IPv6 too big gets Packet Too Big with the profile's MTU`, () =>
      checkTooBig(scene, mobile, 6),
    );
    await t.test(
      `R5555-4.1.1-01: "${access}": IPv4 with DF gets "fragmentation needed", without it arrives`,
      async () => {
        await checkTooBig(scene, mobile, 4);
        await checkFragments(wire, mobile);
      },
    );
    await t.test(
      `${access === "four" ? "F2003-5.1-01 " : ""}R5555-4.1.1-01: "${access}": TCP of both families and directions over a path of ${NARROW_MTU[access]}`,
      () => checkTcp(scene, mobile, access),
    );
  }
});
