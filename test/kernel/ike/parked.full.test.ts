/**
 * A node at home keeps its keys, and the home agent the numbers sent under them: one number used twice with one key would tell what both
 * packets said (RFC 4106 §3).
 */
import assert from "node:assert/strict";
import test from "node:test";
import { OWNERSHIP } from "../../../controller/plan/objects/objects.js";
import { crossAll, spis } from "../lib/keys.js";
import { Scene } from "../lib/scene.js";
import type { Node } from "../lib/topology.js";
import { waitFor } from "../lib/wait.js";

const REQID_BLOCK = 24;

/** Of our associations in tunnel mode: the highest number sent under each SPI. */
function sent(node: Node): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>();
  for (const block of node.run("ip", "xfrm", "state").split(/^(?=src )/m)) {
    const reqid = Number(/reqid (\d+)/.exec(block)?.[1] ?? 0);
    const spi = /spi (0x[0-9a-f]+)/.exec(block)?.[1];
    const number = Number(/oseq (0x[0-9a-f]+)/.exec(block)?.[1] ?? 0);
    if (reqid >> REQID_BLOCK !== OWNERSHIP.reqidBase >> REQID_BLOCK || spi === undefined || number === 0) continue;
    if (block.includes("mode tunnel")) numbers.set(spi, Math.max(number, numbers.get(spi) ?? 0));
  }
  return numbers;
}

test("the home agent dies while the node is at home, and uses no number of the old keys again", async (t) => {
  const scene = await Scene.start(t, { ike: {}, profile: { protection: "esp" } });
  const { mobile, homeAgent, ha } = scene;
  scene.attach(mobile, "six");
  await mobile.daemon.start();
  await scene.settled(mobile, "six");
  await crossAll(scene, mobile);
  const keys = await spis(mobile);
  const before = sent(ha);
  assert.equal(before.size, 1, "payload to the node");
  await scene.move(mobile, "home");
  const unbound = async (): Promise<boolean> =>
    (await homeAgent.bindings()).every(({ endpoint }) => endpoint === null) &&
    (await homeAgent.status()).pendingOperations === 0;
  await waitFor(unbound, { what: "the end of the binding" });

  await homeAgent.kill();
  await homeAgent.start();
  for (const [spi, number] of before) assert.ok((sent(ha).get(spi) ?? 0) >= number, `${spi} goes on after ${number}`);
  await scene.move(mobile, "six");
  await crossAll(scene, mobile);
  assert.deepEqual(await spis(mobile), keys, "no new keys");
  for (const [spi, number] of before) assert.ok((sent(ha).get(spi) ?? 0) > number, `${spi} goes on after ${number}`);
  assert.deepEqual((await homeAgent.audit()).differences, []);
});
