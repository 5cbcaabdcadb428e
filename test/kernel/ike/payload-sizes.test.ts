/** Protected payload that is too big for its profile or for the path under it, and outer DSCP that routers have changed. */
import assert from "node:assert/strict";
import test from "node:test";
import { DIRECTIONS, freshText, send } from "../lib/exchange.js";
import { crossAll } from "../lib/keys.js";
import { checkTcp, checkTooBig } from "../lib/path-mtu.js";
import { FAMILIES, Scene } from "../lib/scene.js";

const MTU = 1350;
/** Narrower than profile, ESP and outer headers together, and wide enough for a packet of 1280 octets in them. */
const NARROW_MTU = { six: 1380, four: 1370, nat: 1370 } as const;
/** What the sender writes, and what a router makes of the outer header: the ECN bits are not its to change. */
const SENT = (10 << 2) | 1;
const REMARKED = (46 << 2) | 1;

test("R5555-4.1.1-01 F2983-3-01: protected payload too big for profile or path, and DSCP taken from the outer header", async (t) => {
  const scene = await Scene.start(t, { ike: {}, profile: { protection: "esp", mtu: MTU, decapsulateDscp: true } });
  const { mobile, core } = scene;
  scene.attach(mobile, "six");
  await mobile.daemon.start();
  const server = mobile.node.spawn(["iperf3", "--server", "--forceflush"]);
  await server.waitForLog(/listening/);
  for (const access of ["six", "four", "nat"] as const) {
    await scene.move(mobile, access);
    await crossAll(scene, mobile);
    for (const family of FAMILIES) await checkTooBig(scene, mobile, family, MTU);
    await checkTcp(scene, mobile, access, NARROW_MTU[access]);
  }

  // A router of the core changes every packet's DSCP in either direction.
  core.nft(`table inet remark { chain forward { type filter hook forward priority 0;
    ip saddr 203.0.113.1 ip dscp set ef; ip daddr 203.0.113.1 ip dscp set ef; }; }`);
  for (const family of FAMILIES) {
    for (const direction of DIRECTIONS) {
      const text = freshText(`remarked, IPv${family} ${direction}`);
      send(scene, mobile, { family, direction }, text, { trafficClass: SENT });
      const there = direction === "down" ? mobile.stations[family] : scene.correspondents[family];
      const received = await there.waitFor(text);
      assert.equal(received.trafficClass, REMARKED, `IPv${family} ${direction}`);
    }
  }
});
