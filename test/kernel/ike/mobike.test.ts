/** MOBIKE moves the IKE SA and the payload's associations (RFC 4555, RFC 5555 §5.1), with the real charon on both sides. */
import assert from "node:assert/strict";
import test from "node:test";
import { asPlanned } from "../lib/as-planned.js";
import { type Capture, describeLayers, type Frame } from "../lib/capture.js";
import { Flow } from "../lib/flow.js";
import { INFORMATIONAL, ikeOf, NAT_PORT } from "../lib/ike-wire.js";
import { begin, crossAll, ikeAt, spis } from "../lib/keys.js";
import { type Access, type Mobile, outerAddress, Scene } from "../lib/scene.js";
import { STATION_PORT } from "../lib/station.js";
import { waitFor } from "../lib/wait.js";

const NODE = { movement: "mobike" } as const;
const ESP_PAYLOAD = { protection: "esp" } as const;

/** Waits until payload goes between these ends, at both of them. */
async function espAt(scene: Scene, mobile: Mobile, access: Access): Promise<void> {
  const careOf = mobile.careOf[access];
  const ways = [
    [mobile.daemon, "source", careOf],
    [scene.homeAgent, "destination", outerAddress(mobile, access)],
  ] as const;
  for (const [daemon, end, address] of ways) {
    const there = async (): Promise<boolean> =>
      (await daemon.security()).nodes.some(({ associations }) =>
        associations.some(
          (one) => one.purpose === "payload" && one.direction === "send" && one.ends[0]?.[end] === address,
        ),
      );
    await waitFor(there, { what: `payload's ${end} ${address} at ${daemon.namespace.label}` });
  }
}

function isInformational(frame: Frame, from: string): boolean {
  const { source, destinationPort, exchange } = ikeOf(frame) ?? {};
  return source === from && destinationPort === NAT_PORT && exchange === INFORMATIONAL;
}

const isClear = ({ layers }: Frame): boolean =>
  layers.some(
    (layer) => layer.kind === "udp" && (layer.destinationPort === STATION_PORT || layer.sourcePort === STATION_PORT),
  );

const updates = ({ charon }: Mobile): number => charon?.process.log.split("N(UPD_SA_ADDR)").length ?? 0;

test("R5555-5.1-14 R5555-5.1-20 R5555-5.1-21 R5555-5.1-22: MOBIKE leads the IKE SA and payload in ESP everywhere, and nobody else does", async (t) => {
  const ike = { mobileNode: NODE, homeAgent: NODE, ledCharon: true };
  const scene = await Scene.start(t, { ike, profile: ESP_PAYLOAD });
  const { mobile, core, nat, net } = scene;
  const accesses: readonly Capture[] = await Promise.all([
    net.capture(core, "six"),
    net.capture(core, "four"),
    net.capture(nat, "lan"),
  ]);
  await begin(scene, mobile, "six");
  const before = await spis(mobile);
  assert.equal(before.length, 2, "updates and payload");
  let known = updates(mobile);
  const follows = async (access: Access): Promise<void> => {
    await ikeAt(scene, mobile, access);
    if (access !== "home") await espAt(scene, mobile, access);
    await waitFor(() => updates(mobile) > known, { what: "UPDATE_SA_ADDRESSES" });
    known = updates(mobile);
    await crossAll(scene, mobile);
    assert.deepEqual(await spis(mobile), before, `no new keys at ${access}`);
    const outer = outerAddress(mobile, access);
    if (access !== "home")
      assert.ok(
        scene.wire.frames().some((frame) => isInformational(frame, outer)),
        outer,
      );
  };

  // The old way is lost, and no update gets through: MOBIKE alone leads payload to the new place, both ways.
  core.nft("table inet deaf { chain forward { type filter hook forward priority 0; udp dport 4191 drop; }; }");
  scene.attach(mobile, "four");
  scene.detach(mobile, "six");
  await follows("four");
  const [binding] = await scene.homeAgent.bindings();
  assert.equal(binding?.endpoint?.address, mobile.careOf.six, "the binding has not moved");
  core.nft("delete table inet deaf");
  await scene.settled(mobile, "four");
  await crossAll(scene, mobile);

  await scene.move(mobile, "nat");
  await follows("nat");

  // Both ways are there for a while: nothing is lost.
  const flows = [
    new Flow("down", scene.correspondents[6], mobile.stations[6]),
    new Flow("up", mobile.stations[6], scene.correspondents[6]),
  ];
  for (const flow of flows) flow.start();
  scene.attach(mobile, "six");
  await scene.settled(mobile, "six");
  await follows("six");
  for (const flow of flows) flow.stop();
  await crossAll(scene, mobile);
  for (const flow of flows) assert.deepEqual([flow.missing(), flow.doubled()], [[], []], flow.label);
  scene.detach(mobile, "nat");

  const clear = accesses.flatMap((capture) => capture.frames().filter(isClear));
  assert.deepEqual(
    clear.map(({ layers }) => describeLayers(layers)),
    [],
    "payload in clear",
  );
  await scene.move(mobile, "home");
  await follows("home");
  await scene.move(mobile, "four");
  await follows("four");
  for (const [role, charon] of [
    ["node", mobile.charon],
    ["home agent", scene.charon],
  ] as const)
    assert.doesNotMatch(charon?.process.log ?? "", /migrate job/, `XFRM_MSG_MIGRATE at the ${role}`);
  await asPlanned(scene.homeAgent, mobile.daemon);
});

test("a restart of the node's dsmipd: what is agreed is not known any more, so it is agreed anew", async (t) => {
  const scene = await Scene.start(t, {
    ike: { mobileNode: NODE, homeAgent: NODE, ledCharon: true },
    profile: ESP_PAYLOAD,
  });
  const { mobile } = scene;
  scene.attach(mobile, "six");
  await mobile.daemon.start();
  await scene.settled(mobile, "six");
  const before = await spis(mobile);
  await mobile.daemon.kill();
  await mobile.daemon.start();
  const others = async (): Promise<boolean> => {
    const now = await spis(mobile);
    return now.length === before.length && now.every((one) => !before.includes(one));
  };
  await waitFor(others, { what: "new keys", timeout: 15_000 });
  await scene.move(mobile, "nat");
  await ikeAt(scene, mobile, "nat");
  await espAt(scene, mobile, "nat");
  await crossAll(scene, mobile);
  assert.doesNotMatch(scene.charon?.process.log ?? "", /migrate job/);
});

test("R5555-5.1-20: without MOBIKE at the home agent the binding update leads the IKE SA", async (t) => {
  const scene = await Scene.start(t, { ike: { mobileNode: NODE, ledCharon: true }, profile: ESP_PAYLOAD });
  const { mobile } = scene;
  scene.attach(mobile, "six");
  await mobile.daemon.start();
  await scene.settled(mobile, "six");
  const before = await spis(mobile);
  for (const access of ["four", "nat", "six"] as const) {
    await scene.move(mobile, access);
    await ikeAt(scene, mobile, access);
    await crossAll(scene, mobile);
    assert.deepEqual(await spis(mobile), before, `no new keys at ${access}`);
  }
  assert.match(mobile.daemon.process.log, /the home agent has not agreed on MOBIKE/);
  assert.match(scene.charon?.process.log ?? "", /migrate job/);
});
