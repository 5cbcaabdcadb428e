/**
 * A tunnel profile that differs from the default in everything, on the formats beside the six (profile.test.ts has those): UDP over IPv6,
 * the networks behind a mobile router in every format, and the 2004 profile. Fixed DSCP, ECN both ways, outer hop limit, MTU.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { asPlanned } from "../lib/as-planned.js";
import type { Behind } from "../lib/behind.js";
import { checkCongestion } from "../lib/congestion.js";
import { cross, DIRECTIONS } from "../lib/exchange.js";
import { checkTooBig } from "../lib/path-mtu.js";
import { FAMILIES, type Mobile, Scene } from "../lib/scene.js";
import { settledInUdp, UDP_ONLY } from "../lib/udp-only.js";

const PROFILE = { dscp: 46, ttl: 77, mtu: 1350 } as const;
const WAYS = FAMILIES.flatMap((family) => DIRECTIONS.map((direction) => ({ family, direction })));
const OCTETS = { udp: 8, ipv4: 20, ipv6: 40 } as const;

type Ends = Pick<Mobile, "stations">;

/** `routers`: between the node and the home agent's wire. Prints how much the tunnel takes. */
async function checkHeaders(t: TestContext, scene: Scene, ends: Ends, routers: number): Promise<void> {
  for (const way of WAYS) {
    for (const ecn of [0, 1, 2]) {
      const trafficClass = (10 << 2) | ecn;
      const { frame, outer, inner, received } = await cross(scene, ends, way, { trafficClass });
      assert.deepEqual(
        [outer.trafficClass, outer.hopLimit, inner.trafficClass, received.trafficClass],
        [
          (PROFILE.dscp << 2) | ecn,
          way.direction === "down" ? PROFILE.ttl : PROFILE.ttl - routers,
          trafficClass,
          trafficClass,
        ],
        `${way.direction}, IPv${way.family}, ECN ${ecn}`,
      );
      if (ecn > 0) continue;
      const kinds = frame.layers.map(({ kind }) => kind);
      const outside = kinds.slice(kinds.indexOf(outer.kind), kinds.lastIndexOf(inner.kind));
      const octets = outside.reduce((sum, kind) => sum + (kind in OCTETS ? OCTETS[kind as keyof typeof OCTETS] : 0), 0);
      t.diagnostic(`${way.direction}, IPv${way.family}: ${outside.join("/")}, ${octets} octets`);
    }
  }
}

async function checkAll(t: TestContext, scene: Scene, access: string, own: Ends, routers: number, behind?: Behind) {
  for (const [name, ends] of [
    ["the node", own],
    ...(behind ? [["the host behind it", behind] as const] : []),
  ] as const) {
    const title = `${access}, ${name}`;
    await t.test(`F2983-3-01 F6040-4.1-01 R5555-4.1.1-02: ${title}: fixed DSCP, ECN copied, hop limit`, (one) =>
      checkHeaders(one, scene, ends, routers),
    );
    await t.test(`R5555-4.1.1-03 R5555-4.1.1-04: ${title}: outer CE becomes inner CE`, () =>
      checkCongestion(scene, ends),
    );
    await t.test(`R5555-4.1.1-01: ${title}: what is too big gets the right ICMP error`, async () => {
      const directions = ends === own ? DIRECTIONS : (["down"] as const);
      for (const family of FAMILIES) await checkTooBig(scene, ends, family, PROFILE.mtu, directions);
    });
  }
}

test("a mobile router, in UDP over IPv6 and in the six formats", async (t) => {
  const on = { udpOverIpv6: true };
  const scene = await Scene.start(t, { routers: "explicit", profile: PROFILE, homeAgent: on, mobileNode: on });
  const { mobile } = scene;
  const behind = mobile.behind as Behind;
  scene.core.nft(UDP_ONLY);
  scene.attach(mobile, "six");
  await mobile.daemon.start();
  await settledInUdp(scene, mobile);
  await checkAll(t, scene, "UDP over IPv6", mobile, 1, behind);
  await asPlanned(scene.homeAgent, mobile.daemon);
  scene.core.nft("delete table ip6 filter");
  for (const access of ["four", "nat", "six"] as const) {
    await scene.move(mobile, access);
    await checkAll(t, scene, access, mobile, access === "nat" ? 2 : 1, behind);
  }
  await asPlanned(scene.homeAgent, mobile.daemon);
});

test("the 2004 profile, in protocol 41 and 4", async (t) => {
  const scene = await Scene.start(t, { ipv4Signalling: "soliman2004", profile: PROFILE });
  const { mobile } = scene;
  scene.attach(mobile, "four");
  await mobile.daemon.start();
  await scene.settled(mobile, "four");
  await checkAll(t, scene, "four", mobile, 1);
});
