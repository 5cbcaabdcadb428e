/**
 * Two uplinks of one family, of which the better one carries nothing (a captive portal, a full cell): after three updates without an answer
 * the other one is used again, the binding is refreshed over it meanwhile, and the bad one is tried less and less often.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import type { Frame } from "../lib/capture.js";
import { Flow } from "../lib/flow.js";
import { ipLayersOf } from "../lib/frames.js";
import { begin, crossAll } from "../lib/keys.js";
import { FAMILIES, HOME_AGENT, Scene, type SceneOptions } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

/** Behind the bad uplink somebody answers ARP and nothing else. */
const PORTAL = { node: "192.168.77.20", router: "192.168.77.1" } as const;
const LIFETIME = 20;

interface Trial {
  readonly at: number;
  readonly updates: number;
}

/** Updates through the bad uplink, in groups with pauses between them. */
function trialsOf(frames: readonly Frame[]): readonly Trial[] {
  const trials: { at: number; last: number; updates: number }[] = [];
  for (const frame of frames) {
    const [outer] = ipLayersOf(frame);
    if (outer?.source !== PORTAL.node || outer.destination !== HOME_AGENT.ipv4) continue;
    const { at } = frame;
    const present = trials.at(-1);
    if (present === undefined || at - present.last > 6) trials.push({ at, last: at, updates: 1 });
    else {
      present.last = at;
      present.updates++;
    }
  }
  return trials;
}

async function portal(t: TestContext, options: SceneOptions, updates: string): Promise<void> {
  const scene = await Scene.start(t, { ...options, mobileNode: { lifetimeSeconds: LIFETIME } });
  const { mobile, lan, net } = scene;
  const { node, daemon, careOf } = mobile;
  await begin(scene, mobile, "four");
  lan.ip(
    `link add ap type veth peer name wlan9 netns ${node.name}`,
    "link set ap up",
    `address add ${PORTAL.router}/24 dev ap`,
  );
  const bad = await net.capture(lan, "ap", updates);
  const flows = FAMILIES.flatMap((family) => [
    new Flow(`down IPv${family}`, scene.correspondents[family], mobile.stations[family]),
    new Flow(`up IPv${family}`, mobile.stations[family], scene.correspondents[family]),
  ]);
  for (const flow of flows) flow.start();
  node.ip(
    "link set wlan9 up",
    `address add ${PORTAL.node}/24 dev wlan9`,
    `route add default via ${PORTAL.router} dev wlan9 metric 1`,
  );

  // Three trials: 7 s each, with pauses of 10 and 20 s. The binding would have run out twice.
  await waitFor(() => trialsOf(bad.frames()).length >= 3, { what: "three trials", timeout: 90_000 });
  const trials = trialsOf(bad.frames());
  t.diagnostic(`trials: ${trials.map(({ at, updates }) => `${(at - (trials[0]?.at ?? 0)).toFixed(1)} s: ${updates}`)}`);
  for (const { updates: count } of trials.slice(0, 2)) assert.ok(count <= 3, `${count} updates in one trial`);
  assert.equal(trials[0]?.updates, 3);
  const pauses = trials.slice(1).map(({ at }, i) => at - (trials[i]?.at ?? 0));
  assert.ok((pauses[0] ?? 0) >= 10 && (pauses[1] ?? 0) > (pauses[0] ?? 0) + 5, `pauses: ${pauses}`);
  await scene.settled(mobile, "four");
  for (const flow of flows) flow.stop();
  await waitFor(() => flows.every((flow) => flow.missing().length === 0), { what: "the last packets" }).catch(() => {});
  for (const flow of flows) assert.deepEqual([flow.missing(), flow.doubled()], [[], []], flow.label);
  assert.doesNotMatch(daemon.process.log, /"registration.lost"/);
  const changes = daemon.process.log.split('"attachment.changed"').length - 1;
  assert.ok(changes <= 8, `${changes} changes of the attachment`);
  await crossAll(scene, mobile);

  // It has become a network, and the other one goes.
  node.ip("link del wlan9");
  await scene.settled(mobile, "four");
  await crossAll(scene, mobile);
  assert.equal((await daemon.bindings())[0]?.endpoint?.address, careOf.four);
  assert.deepEqual((await daemon.audit()).differences, []);
}

test("an uplink that carries nothing beside one that works", (t) => portal(t, {}, "udp port 4191"));

test("the same with keys by IKEv2, MOBIKE and protected payload", (t) =>
  portal(
    t,
    {
      ike: { mobileNode: { movement: "mobike" }, homeAgent: { movement: "mobike" }, ledCharon: true },
      profile: { protection: "esp" },
    },
    "udp port 4191",
  ));
