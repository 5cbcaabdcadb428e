/** Associations of ours that somebody takes out of the kernel: their sequence numbers are gone, so other keys come in their place. */
import assert from "node:assert/strict";
import test from "node:test";
import type { Capture } from "../lib/capture.js";
import type { Daemon } from "../lib/daemons.js";
import { waitForEvent } from "../lib/faults.js";
import { Flow } from "../lib/flow.js";
import { layersOfKind } from "../lib/frame.js";
import { crossAll, spis } from "../lib/keys.js";
import { deleteState, type OwnState, ownStates } from "../lib/own-states.js";
import type { Mobile, Scene } from "../lib/scene.js";
import { PATIENCE, protectedScene, renewed } from "../lib/silent-daemons.js";
import type { Node } from "../lib/topology.js";
import { waitFor } from "../lib/wait.js";

const ESP = 50;

/** SPI and sequence number of each ESP packet, in their order. */
function numbersOn(wire: Capture): readonly string[] {
  return wire.frames().flatMap(({ layers }) =>
    layersOfKind(layers, "other")
      .filter(({ protocol, bytes }) => protocol === ESP && bytes.length >= 8)
      .map(({ bytes }) => {
        const view = new DataView(bytes.buffer, bytes.byteOffset);
        return `0x${view.getUint32(0).toString(16)} ${view.getUint32(4)}`;
      }),
  );
}

function flowsOf(scene: Scene, mobile: Mobile): readonly Flow[] {
  const [here, there] = [mobile.stations[6], scene.correspondents[6]];
  return [new Flow("up", here, there), new Flow("down", there, here)];
}

const payloadSender = ({ mode, sends }: OwnState): boolean => mode === "tunnel" && sends;
const payloadReceiver = ({ mode, sends }: OwnState): boolean => mode === "tunnel" && !sends;
const updateSender = ({ mode, sends }: OwnState): boolean => mode === "transport" && sends;
type Victim = readonly [at: "node" | "homeAgent", which: (state: OwnState) => boolean, named: string];

/** One after the other, and the last two in the same moment. */
const VICTIMS: readonly (readonly Victim[])[] = [
  [["node", payloadSender, "payload, send"]],
  [["homeAgent", payloadSender, "payload, send"]],
  [["homeAgent", payloadReceiver, "payload, receive"]],
  [["node", updateSender, "signalling, send"]],
  [
    ["node", payloadSender, "payload, send"],
    ["homeAgent", payloadSender, "payload, send"],
  ],
];

test("an association that somebody deletes while payload flows comes not back: there are new keys, and no number is sent twice", async (t) => {
  const { scene, mobile, inClear } = await protectedScene(t);
  const places: Record<Victim[0], { readonly node: Node; readonly daemon: Daemon }> = {
    node: { node: mobile.node, daemon: mobile.daemon },
    homeAgent: { node: scene.ha, daemon: scene.homeAgent },
  };
  const running = flowsOf(scene, mobile);
  for (const flow of running) flow.start();
  t.after(() => {
    for (const flow of running) flow.stop();
  });
  for (const victims of VICTIMS) {
    const before = await spis(mobile);
    const sent = running.map((flow) => flow.sent);
    // What has been renewed just now still sends with the old keys for a moment, and receives with both for longer.
    const find = () =>
      victims.map(([at, which, named]) => {
        const states = ownStates(places[at].node).filter(({ spi }) => before.join().includes(spi.slice(2)));
        return { at, named, state: states.find(which) };
      });
    await waitFor(() => find().every(({ state }) => state !== undefined), { what: "the present keys in use" });
    const deleted = find().flatMap(({ at, named, state }) => (state === undefined ? [] : [{ at, named, ...state }]));
    await Promise.all(deleted.map((state) => deleteState(places[state.at].node, state)));
    for (const { at, named, spi } of deleted) {
      const reason = new RegExp(`^somebody has taken the association ${spi} of ${mobile.home6} \\(${named}\\)`);
      const event = await waitForEvent(places[at].daemon, "keys.lost", reason);
      assert.equal(event.homeAddress, mobile.home6);
    }
    const gone = async (): Promise<boolean> => {
      const now = (await spis(mobile)).join();
      return deleted.every(({ spi }) => !now.includes(spi.slice(2)));
    };
    await waitFor(gone, { what: "other keys in their place", timeout: PATIENCE });
    await crossAll(scene, mobile);
    const lost = running.map((flow, i) => flow.missing().filter((number) => number >= (sent[i] ?? 0)).length);
    t.diagnostic(`${deleted.map(({ at, named }) => `${at}: ${named}`).join(" and ")}: lost ${lost.join(" up, ")} down`);
  }
  for (const flow of running) flow.stop();
  await scene.move(mobile, "four");
  await crossAll(scene, mobile);
  for (const flow of running) assert.deepEqual(flow.doubled(), []);
  const numbers = numbersOn(scene.wire);
  assert.ok(numbers.length > running.reduce((sum, flow) => sum + flow.sent, 0) / 2, "they were seen");
  assert.deepEqual([...new Set(numbers)].length, numbers.length, "each number once");
  assert.deepEqual(inClear.seen(), []);
  assert.deepEqual((await mobile.daemon.audit()).differences, []);
  assert.deepEqual((await scene.homeAgent.audit()).differences, []);
});

test("all associations of the home agent flushed at once: the nodes get new keys, and keep their bindings", async (t) => {
  const { scene, mobile, inClear } = await protectedScene(t);
  const before = await spis(mobile);
  scene.ha.ip("xfrm state flush");
  await waitForEvent(scene.homeAgent, "keys.lost", /\(signalling, send\)/);
  await renewed(mobile, before);
  await crossAll(scene, mobile);
  const numbers = numbersOn(scene.wire);
  assert.deepEqual([...new Set(numbers)].length, numbers.length, "each number once");
  assert.deepEqual(inClear.seen(), []);
  assert.equal((await scene.homeAgent.bindings()).length, 1);
  assert.deepEqual((await scene.homeAgent.audit()).differences, []);
});
