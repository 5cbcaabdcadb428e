/**
 * Payload does not need the daemon: it goes on while the home agent is frozen, and while it is killed and comes back, which finds its own
 * objects in the kernel and makes none of them anew.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { asPlanned } from "../lib/as-planned.js";
import { DIRECTIONS } from "../lib/exchange.js";
import { Flow } from "../lib/flow.js";
import { type Access, FAMILIES, Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

/** Packets of each flow while the daemon is away. */
const DURING = 40;

function flows(scene: Scene): Flow[] {
  return FAMILIES.flatMap((family) =>
    DIRECTIONS.map((direction) => {
      const ends = [scene.correspondents[family], scene.mobile.stations[family]] as const;
      const [from, to] = direction === "down" ? ends : [ends[1], ends[0]];
      return new Flow(`${direction} IPv${family}`, from, to);
    }),
  );
}

/** Runs `during` with all flows on; none of their packets may be lost or doubled. */
async function undisturbed(scene: Scene, during: (running: readonly Flow[]) => Promise<void>): Promise<void> {
  const running = flows(scene);
  for (const flow of running) flow.start();
  try {
    await during(running);
  } finally {
    for (const flow of running) flow.stop();
  }
  await waitFor(() => running.every((flow) => flow.missing().length === 0), { what: "the last packets" }).catch(
    () => {},
  );
  for (const flow of running) {
    assert.ok(flow.sent >= DURING, `${flow.label}: ${flow.sent} sent`);
    assert.deepEqual([flow.missing(), flow.doubled()], [[], []], flow.label);
  }
}

async function sendSoMany(running: readonly Flow[], count: number): Promise<void> {
  const from = running.map(({ sent }) => sent);
  const options = { what: `${count} packets of every flow`, timeout: 30_000 };
  await waitFor(() => running.every(({ sent }, i) => sent - (from[i] ?? 0) >= count), options);
}

/** Everything of ours in the home agent's kernel with what tells an object from one made anew: interface indices, nftables handles. */
function identities(scene: Scene): unknown {
  const { ha } = scene;
  return {
    links: ha
      .ipJson("link show type sit")
      .concat(ha.ipJson("link show type ip6tnl"))
      .map(({ ifname, ifindex }) => `${ifname} ${ifindex}`),
    tables: ha.nftJson("-a list ruleset").flatMap(({ table, chain, set, map, rule }) => {
      const object = table ?? chain ?? set ?? map ?? rule;
      return object === undefined
        ? []
        : [`${object.family} ${object.table ?? ""} ${object.name ?? object.chain} ${object.handle}`];
    }),
    routes: ["-4", "-6"].flatMap((family) => ha.ipJson(`${family} route show proto 155`)),
  };
}

test("payload while the home agent's daemon is away", async (t: TestContext) => {
  const scene = await Scene.start(t);
  const { mobile, homeAgent } = scene;
  scene.attach(mobile, "six");
  await mobile.daemon.start();

  for (const access of ["six", "four", "nat"] as const satisfies readonly Access[]) {
    await scene.move(mobile, access);
    await t.test(`R5555-4.1.1-04: "${access}": a frozen home agent disturbs no flow`, () =>
      undisturbed(scene, async (running) => {
        homeAgent.process.kill("SIGSTOP");
        try {
          await sendSoMany(running, DURING);
        } finally {
          homeAgent.process.kill("SIGCONT");
        }
      }),
    );
  }

  await t.test("kill -9 and a new start: the binding is kept, no packet is lost, nothing is made anew", async () => {
    const before = { objects: identities(scene), bindings: await homeAgent.bindings() };
    await undisturbed(scene, async (running) => {
      await sendSoMany(running, DURING);
      await homeAgent.kill();
      await sendSoMany(running, DURING);
      await homeAgent.start();
      await sendSoMany(running, DURING);
    });
    const [old, kept] = [before.bindings[0], (await homeAgent.bindings())[0]];
    assert.deepEqual([kept?.homeAddress, kept?.endpoint], [old?.homeAddress, old?.endpoint]);
    assert.deepEqual(identities(scene), before.objects);
    await asPlanned(homeAgent);
  });
});
