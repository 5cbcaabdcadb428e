/**
 * A tunnel profile that differs from the default in everything, on every format with real daemons: fixed DSCP, outer hop limit, MTU with the
 * right ICMP errors, and TCP over a path that is narrower than the tunnel thinks.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { asPlanned } from "../lib/as-planned.js";
import { Injector, stationPacket } from "../lib/craft.js";
import { cross, DIRECTIONS, freshText } from "../lib/exchange.js";
import { checkTcp, checkTooBig } from "../lib/path-mtu.js";
import type { Background } from "../lib/process.js";
import { type Access, CORRESPONDENT, FAMILIES, type Mobile, Scene } from "../lib/scene.js";

type Abroad = Exclude<Access, "home">;
const PROFILE = { dscp: 46, ttl: 77, mtu: 1350 } as const;
/**
 * Narrower than profile and outer header together. Linux does not fragment an outer IPv6 packet (RFC 2473 §7.1 would), so that an IPv6
 * path must let a packet of 1280 octets through inside another one: 1320.
 */
const NARROW_MTU: Readonly<Record<Abroad, number>> = { six: 1330, four: 1300, nat: 1300 };
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

/** IPv4 without DF is nobody's error: it is fragmented. */
async function checkFragments(wire: Injector, mobile: Mobile): Promise<void> {
  const text = freshText("without DF");
  const addresses = { source: CORRESPONDENT.ipv4, destination: mobile.home4 };
  wire.send(stationPacket(addresses, text.padEnd(1450)));
  assert.equal((await mobile.stations[4].waitFor(text)).data.length, 1450);
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
      checkTooBig(scene, mobile, 6, PROFILE.mtu),
    );
    await t.test(
      `R5555-4.1.1-01: "${access}": IPv4 with DF gets "fragmentation needed", without it arrives`,
      async () => {
        await checkTooBig(scene, mobile, 4, PROFILE.mtu);
        await checkFragments(wire, mobile);
      },
    );
    await t.test(
      `${access === "four" ? "F2003-5.1-01 " : ""}R5555-4.1.1-01: "${access}": TCP of both families and directions over a path of ${NARROW_MTU[access]}`,
      () => checkTcp(scene, mobile, access, NARROW_MTU[access]),
    );
  }
  await asPlanned(scene.homeAgent, mobile.daemon);
});
