/** A node with two home addresses of each family at one home agent: each has a binding of its own, and they move together. */
import assert from "node:assert/strict";
import test from "node:test";
import type { BindingDocument } from "../../../schemas/control.js";
import { type Access, FURTHER_HOME, Scene } from "../lib/scene.js";
import { Station } from "../lib/station.js";
import { waitFor } from "../lib/wait.js";

const AWAY = ["six", "four", "nat"] as const;

async function hasSettled({ homeAgent, mobile }: Scene, at: Access): Promise<void> {
  const isThere = ({ state, endpoint }: BindingDocument): boolean =>
    at === "home" ? state === "home" : state === "registered" && endpoint?.address === mobile.careOf[at];
  await mobile.daemon.waitForBinding(
    `the further home address ${at}`,
    (binding) => binding.homeAddress === FURTHER_HOME.homeAddress && isThere(binding),
  );
  if (at === "home") return;
  await homeAgent.waitForBinding("the further binding", ({ homeAddress }) => homeAddress === FURTHER_HOME.homeAddress);
}

for (const [title, options] of [
  ["static keys", {}],
  ["IKEv2 and payload in ESP", { ike: {}, profile: { protection: "esp" } }],
] as const)
  test(`R5555-2-01: two home addresses move together and are kept over a crash, with ${title}`, async (t) => {
    const scene = await Scene.start(t, { ...options, furtherHome: true });
    const { mobile, homeAgent, correspondents } = scene;
    const further = {
      6: new Station(mobile.node, FURTHER_HOME.homeAddress),
      4: new Station(mobile.node, FURTHER_HOME.ipv4HomeAddress),
    };
    t.after(() => {
      for (const station of Object.values(further)) station.close();
    });
    await mobile.daemon.start();
    const registered = mobile.daemon.dsmipctl("wait", "registered");
    let serial = 0;
    const talks = async (): Promise<void> => {
      for (const family of [6, 4] as const)
        for (const station of [mobile.stations[family], further[family]]) {
          const there = correspondents[family];
          await waitFor(
            async () => {
              const text = `packet ${++serial}`;
              station.send(there, text);
              there.send(station, `answer ${serial}`);
              await waitFor(() => there.count(text) > 0 && station.count(`answer ${serial}`) > 0, {
                what: text,
                timeout: 1000,
              });
              return true;
            },
            { what: `packets of ${station.label}`, interval: 50 },
          );
        }
    };
    for (const access of [...AWAY, "home", "six"] as const) {
      await scene.move(mobile, access);
      await hasSettled(scene, access);
      await talks();
    }
    assert.deepEqual(await registered.exited, { code: 0, signal: null }, registered.log);
    const bindings = await homeAgent.bindings();
    assert.equal(bindings.length, 2);
    const shown = await mobile.daemon.status();
    assert.deepEqual(shown.addresses, [
      ...[mobile.home6, mobile.home4],
      ...[FURTHER_HOME.homeAddress, FURTHER_HOME.ipv4HomeAddress],
    ]);
    const { nodes } = await mobile.daemon.security();
    assert.deepEqual(
      nodes.map(({ homeAddress }) => homeAddress),
      [mobile.home6, FURTHER_HOME.homeAddress],
    );
    const sequences = (await mobile.daemon.bindings()).map(({ homeAddress, sequence }) => [homeAddress, sequence]);
    await mobile.daemon.kill();
    await mobile.daemon.start();
    await hasSettled(scene, "six");
    await talks();
    for (const { homeAddress, sequence } of await mobile.daemon.bindings())
      assert.ok(
        sequences.some(([one, before]) => one === homeAddress && Number(before) <= Number(sequence)),
        `${homeAddress} goes on after ${JSON.stringify(sequences)} with ${sequence}`,
      );
    assert.deepEqual((await mobile.daemon.audit()).differences, []);
    assert.deepEqual((await homeAgent.audit()).differences, []);
    const refresh = mobile.daemon.dsmipctl("refresh");
    await refresh.exited;
    await mobile.daemon.stop();
    const left = (await homeAgent.bindings()).filter(({ state }) => state !== "invalidated");
    assert.deepEqual(left, [], "both are de-registered");
    const rules = mobile.node.run("ip", "rule") + mobile.node.run("ip", "-6", "rule");
    assert.doesNotMatch(rules, /lookup 4\d\d\d/);
  });
