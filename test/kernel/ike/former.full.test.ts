/** The home agent's daemon dies and comes back with other subscribers: keys that were negotiated before are nobody's. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "node:test";
import { parse, stringify } from "yaml";
import { reconfigure } from "../lib/faults.js";
import { crossAll } from "../lib/keys.js";
import { Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

const OTHER = "somebody-else@example.org";

test("a home address that has been given to another identity is not the former one's to register any more", async (t) => {
  const scene = await Scene.start(t, { ike: {}, mobiles: 2, profile: { protection: "esp" } });
  const [former, kept] = scene.mobiles;
  assert.ok(former !== undefined && kept !== undefined);
  for (const mobile of [former, kept]) {
    scene.attach(mobile, "six");
    await mobile.daemon.start();
    await scene.settled(mobile, "six");
    await crossAll(scene, mobile);
  }
  const owners = async (): Promise<readonly string[]> =>
    (await scene.charon?.sas())?.map(({ remoteIdentity }) => remoteIdentity) ?? [];
  assert.equal((await owners()).length, 2);

  await scene.homeAgent.kill();
  const { configPath } = scene.homeAgent;
  const { subscribers } = parse(readFileSync(configPath, "utf8"));
  const given = subscribers.map((one: { homeAddress: string }) =>
    one.homeAddress === former.home6 ? { ...one, identity: OTHER } : one,
  );
  reconfigure(scene.homeAgent, { subscribers: given });
  const secrets = join(dirname(configPath), "secrets.yaml");
  const { credentials } = parse(readFileSync(secrets, "utf8"));
  writeFileSync(secrets, stringify({ credentials: [...credentials, { identity: OTHER, psk: "another secret" }] }));
  await scene.homeAgent.start();

  await waitFor(async () => !(await owners()).includes("node1@example.org"), {
    what: "the former owner's IKE SA to end",
  });
  assert.deepEqual(await owners(), ["node2@example.org"], "the other subscriber keeps its own");
  const nothing = async (): Promise<boolean> => {
    const { nodes } = await scene.homeAgent.security();
    return nodes.find(({ homeAddress }) => homeAddress === former.home6)?.associations.length === 0;
  };
  await waitFor(nothing, { what: "the end of the former owner's associations", timeout: 15_000 });
  await crossAll(scene, kept);
});
