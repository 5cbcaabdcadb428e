/** The outer header of protected payload by profile: DSCP copied or fixed, TTL, ECN both ways, and packets too big for the way. */
import assert from "node:assert/strict";
import test from "node:test";
import type { Frame } from "./lib/capture.js";
import { freshText, send } from "./lib/exchange.js";
import type { Layer } from "./lib/frame.js";
import { ipLayersOf } from "./lib/frames.js";
import { crossAll } from "./lib/keys.js";
import { type Access, FAMILIES, HOME_AGENT, Scene } from "./lib/scene.js";

const ESP_ENDS: ReadonlySet<string> = new Set([HOME_AGENT.ipv4, HOME_AGENT.ipv6]);
const DSCP_AND_ECN = 0xb9;

/** IKE has the same port, and four octets of zero in the place of the SPI (RFC 3948 §2.2). */
function isEspInUdp(layer: Layer): boolean {
  return layer.kind === "udp" && layer.sourcePort === 4500 && layer.payload.subarray(0, 4).some((octet) => octet !== 0);
}

/** Outer headers of ESP from the home agent since the frame with this number. */
function outerHeaders(frames: readonly Frame[], from: number) {
  return frames.slice(from).flatMap((frame) => {
    const esp = frame.layers.some((layer) => layer.kind === "other" && layer.protocol === 50);
    const udp = frame.layers.some(isEspInUdp);
    const [outer] = ipLayersOf(frame);
    const signalling =
      outer !== undefined && ipLayersOf(frame).length === 1 && outer.destination.startsWith("2001:db8:1:");
    return outer !== undefined && (esp || udp) && !signalling && ESP_ENDS.has(outer.source) ? [outer] : [];
  });
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
      const headers = outerHeaders(scene.wire.frames(), from);
      assert.ok(headers.length >= 2, `ESP seen at ${access}`);
      for (const { hopLimit, trafficClass } of headers)
        assert.deepEqual({ hopLimit, trafficClass }, { hopLimit: ttl, trafficClass: octet }, access);
    }
  });
}
