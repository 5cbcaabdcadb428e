/** The outer header of protected payload by profile: DSCP copied or fixed, TTL, ECN both ways, and packets too big for the way. */
import assert from "node:assert/strict";
import test from "node:test";
import type { Frame } from "../lib/capture.js";
import { freshText, send } from "../lib/exchange.js";
import { type IpLayer, ipLayersOf } from "../lib/frames.js";
import { spiOf } from "../lib/ike-wire.js";
import { crossAll, spisOf } from "../lib/keys.js";
import { type Access, FAMILIES, Scene } from "../lib/scene.js";

const DSCP_AND_ECN = 0xb9;

/** Outer headers of one association's packets from the frame with this number on. */
function outerHeaders(frames: readonly Frame[], spi: number, from: number): readonly IpLayer[] {
  return frames.slice(from).flatMap((frame) => (spiOf(frame) === spi ? ipLayersOf(frame).slice(0, 1) : []));
}

for (const { profile, octet, ttl } of [
  { profile: { protection: "esp", ttl: 33 }, octet: DSCP_AND_ECN, ttl: 33 },
  { profile: { protection: "esp", ttl: 64, dscp: 10 }, octet: (10 << 2) | (DSCP_AND_ECN & 3), ttl: 64 },
] as const) {
  test(`F2983-3-01 F6040-4.1-01: ESP with ${"dscp" in profile ? "a fixed" : "the inner"} DSCP and TTL ${ttl}`, async (t) => {
    const scene = await Scene.start(t, { ike: {}, profile });
    const { mobile } = scene;
    scene.attach(mobile, "six");
    await mobile.daemon.start();
    for (const access of ["six", "four", "nat"] as const satisfies readonly Access[]) {
      await scene.move(mobile, access);
      await crossAll(scene, mobile);
      const from = scene.wire.frames().length;
      for (const family of FAMILIES) {
        const text = freshText(`down IPv${family}`);
        send(scene, mobile, { family, direction: "down" }, text, { trafficClass: DSCP_AND_ECN, hopLimit: 50 });
        const received = await mobile.stations[family].waitFor(text);
        assert.equal(received.trafficClass, DSCP_AND_ECN, `${access}, IPv${family}: inside it stays`);
      }
      const headers = outerHeaders(scene.wire.frames(), (await spisOf(mobile, "payload")).down, from);
      assert.ok(headers.length >= 2, `ESP seen at ${access}`);
      for (const { hopLimit, trafficClass } of headers)
        assert.deepEqual({ hopLimit, trafficClass }, { hopLimit: ttl, trafficClass: octet }, access);
    }
  });
}
