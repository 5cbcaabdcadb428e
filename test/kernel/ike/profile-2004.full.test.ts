/** The 2004 profile (draft-soliman-v4v6-mipv6-00) with keys by IKEv2: the same keys over IPv6 and public IPv4, from the first network on. */
import assert from "node:assert/strict";
import test from "node:test";
import { ipv4 } from "../../../controller/base/ip.js";
import { mappedAddress } from "../../../controller/base/mapped.js";
import { asPlanned } from "../lib/as-planned.js";
import { describeFrame } from "../lib/frames.js";
import { spiOf } from "../lib/ike-wire.js";
import { begin, crossAll, spis, spisOf } from "../lib/keys.js";
import { HOME_AGENT, Scene } from "../lib/scene.js";

const MAPPED = mappedAddress(ipv4("203.0.114.11"));

for (const movement of ["migrate", "mobike"] as const) {
  test(`keys by IKEv2 in the 2004 profile, ${movement}`, async (t) => {
    const keys = { movement };
    const scene = await Scene.start(t, {
      ipv4Signalling: "soliman2004",
      ike: { mobileNode: keys, homeAgent: keys, ledCharon: movement === "mobike" },
    });
    const { mobile } = scene;
    await begin(scene, mobile, "six");
    const before = await spis(mobile);
    const spi = await spisOf(mobile, "signalling");
    await t.test("the keys stay on the way to IPv4, where updates and answers are mapped in protocol 41", async () => {
      const from = scene.wire.frames().length;
      await scene.move(mobile, "four");
      await crossAll(scene, mobile);
      assert.deepEqual(await spis(mobile), before);
      const forms = scene.wire.frames().slice(from);
      for (const [one, outer, inner] of [
        [spi.up, `${mobile.careOf.four}>${HOME_AGENT.ipv4}`, `${MAPPED}>${HOME_AGENT.ipv6}`],
        [spi.down, `${HOME_AGENT.ipv4}>${mobile.careOf.four}`, `${HOME_AGENT.ipv6}>${MAPPED}`],
      ] as const) {
        const seen = forms.filter((frame) => spiOf(frame) === one).map(describeFrame);
        assert.ok(
          seen.some((text) => text.startsWith(`ipv4 ${outer} / ipv6 ${inner}`)),
          seen.join("\n"),
        );
      }
      await asPlanned(scene.homeAgent, mobile.daemon);
    });
    await t.test("home, and straight to IPv4", async () => {
      await scene.move(mobile, "home");
      await scene.move(mobile, "four");
      await crossAll(scene, mobile);
      assert.ok(scene.wire.frames().every((frame) => !/udp (4191>|\d+>4191)/.test(describeFrame(frame))));
      await asPlanned(scene.homeAgent, mobile.daemon);
    });
  });
}

test("keys that are negotiated from an IPv4 network first", async (t) => {
  const scene = await Scene.start(t, { ipv4Signalling: "soliman2004", ike: {} });
  const { mobile } = scene;
  await begin(scene, mobile, "four");
  await crossAll(scene, mobile);
  await scene.move(mobile, "six");
  await crossAll(scene, mobile);
  await asPlanned(scene.homeAgent, mobile.daemon);
});
