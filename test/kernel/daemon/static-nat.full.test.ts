/**
 * A home agent whose IPv4 address is that of a box in front of it (RFC 5555 §1.3): the box maps the whole address, or UDP 4191 alone. The
 * core router is the box; the home agent's link has its real address.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { ipv4 } from "../../../controller/base/ip.js";
import { asPlanned } from "../lib/as-planned.js";
import type { Frame } from "../lib/capture.js";
import { cross } from "../lib/exchange.js";
import { layersOfKind } from "../lib/frame.js";
import { InClear } from "../lib/in-clear.js";
import { begin, crossAll } from "../lib/keys.js";
import { FAMILIES, HOME_AGENT, Scene } from "../lib/scene.js";

const PUBLIC = ipv4("203.0.120.1");
const [UDP, ESP] = [17, 50];
const IKE_BEHIND_NAT = 4500;

async function behind(
  t: TestContext,
  rules: string,
  homeAgent: Readonly<Record<string, unknown>> = {},
): Promise<Scene> {
  const addresses = { ipv6: HOME_AGENT.ipv6, ipv4: PUBLIC, ipv4Local: HOME_AGENT.ipv4 };
  const scene = await Scene.start(t, {
    homeAgent: { addresses, ...homeAgent },
    mobileNode: { homeAgent: { ipv6: HOME_AGENT.ipv6, ipv4: PUBLIC } },
  });
  scene.core.nft(rules);
  await scene.mobile.daemon.start();
  return scene;
}

/** Payload of both families in both directions; gives the outer protocols. */
async function crossed(scene: Scene): Promise<ReadonlySet<number>> {
  const outer = new Set<number>();
  for (const family of FAMILIES)
    for (const direction of ["up", "down"] as const) {
      const seen = await cross(scene, scene.mobile, { family, direction });
      if (seen.outer.kind === "ipv4") outer.add(seen.outer.protocol);
    }
  return outer;
}

test("R5555-1.3-01: behind a static NAT of the whole address all formats work, and no NAT of the node is seen", async (t) => {
  const scene = await behind(
    t,
    `table ip box {
      chain pre { type nat hook prerouting priority -100; ip daddr ${PUBLIC} dnat to ${HOME_AGENT.ipv4}; }
      chain post { type nat hook postrouting priority 100; ip saddr ${HOME_AGENT.ipv4} snat to ${PUBLIC}; }
    }`,
  );
  const { mobile, homeAgent } = scene;
  await scene.move(mobile, "four");
  assert.deepEqual(await crossed(scene), new Set([41, 4]));
  await scene.move(mobile, "nat");
  assert.deepEqual(await crossed(scene), new Set([UDP]));
  await scene.move(mobile, "six");
  await asPlanned(homeAgent, mobile.daemon);
});

test("R5555-1.3-01: where the NAT forwards UDP 4191 alone, forceUdp: always keeps payload in UDP", async (t) => {
  const scene = await behind(
    t,
    `table ip box {
      chain pre { type nat hook prerouting priority -100; ip daddr ${PUBLIC} udp dport 4191 dnat to ${HOME_AGENT.ipv4}; }
      chain post { type nat hook postrouting priority 100; ip saddr ${HOME_AGENT.ipv4} snat to ${PUBLIC}; }
    }`,
    { forceUdp: "always" },
  );
  const { mobile } = scene;
  scene.attach(mobile, "four");
  const udp = ({ state, endpoint }: { state: string; endpoint: { format: string } | null }): boolean =>
    state === "registered" && endpoint?.format === "udp";
  await mobile.daemon.waitForBinding("UDP without a NAT of its own", udp);
  assert.deepEqual(await crossed(scene), new Set([UDP]));
});

test("R5555-1.3-01: behind a static NAT of the whole address IKE negotiates, and payload goes in ESP", async (t) => {
  const addresses = { ipv6: HOME_AGENT.ipv6, ipv4: PUBLIC, ipv4Local: HOME_AGENT.ipv4 };
  const scene = await Scene.start(t, {
    ike: {},
    profile: { protection: "esp" },
    homeAgent: { addresses },
    mobileNode: { homeAgent: { ipv6: HOME_AGENT.ipv6, ipv4: PUBLIC } },
  });
  const { mobile, homeAgent } = scene;
  scene.core.nft(`table ip box {
    chain pre { type nat hook prerouting priority -100; ip daddr ${PUBLIC} dnat to ${HOME_AGENT.ipv4}; }
    chain post { type nat hook postrouting priority 100; ip saddr ${HOME_AGENT.ipv4} snat to ${PUBLIC}; }
  }`);
  const inClear = await InClear.watch(scene);
  // The IKE SA is made over IPv4, through the box.
  await begin(scene, mobile, "four");
  const [sa] = (await mobile.charon?.sas()) ?? [];
  assert.deepEqual([sa?.remoteHost, sa?.remotePort], [PUBLIC, IKE_BEHIND_NAT]);
  // The box maps ESP as it maps everything: nobody needs UDP around it.
  const isEsp = (frame: Frame): boolean =>
    layersOfKind(frame.layers, "ipv4").some(
      ({ protocol, destination }) => protocol === ESP && destination === HOME_AGENT.ipv4,
    );
  assert.ok(scene.wire.frames().some(isEsp), "ESP of the node's at the home agent");
  for (const access of ["nat", "six", "four"] as const) {
    await scene.move(mobile, access);
    await crossAll(scene, mobile);
  }
  assert.deepEqual(inClear.seen(), []);
  for (const daemon of [homeAgent, mobile.daemon]) assert.deepEqual((await daemon.audit()).differences, []);
});
