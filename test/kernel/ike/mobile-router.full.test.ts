/** The networks behind a mobile router whose payload is in ESP: every access, nothing in clear, and nothing leaves without a way. */
import assert from "node:assert/strict";
import test from "node:test";
import { formatPrefix } from "../../../controller/base/ip.js";
import { asPlanned } from "../lib/as-planned.js";
import type { Behind } from "../lib/behind.js";
import { freshText } from "../lib/exchange.js";
import { InClear } from "../lib/in-clear.js";
import { begin, crossAll } from "../lib/keys.js";
import { type Access, FAMILIES, Scene } from "../lib/scene.js";

/** Each way between the correspondent and the host behind the router. */
async function talk(scene: Scene, { stations }: Behind, access: Access): Promise<void> {
  for (const family of FAMILIES) {
    const ends = [stations[family], scene.correspondents[family]] as const;
    for (const [from, to] of [ends, [ends[1], ends[0]]] as const) {
      const text = freshText(`${access} IPv${family}`);
      from.send(to, text);
      await to.waitFor(text);
    }
  }
}

test("the networks behind a mobile router in ESP", async (t) => {
  const scene = await Scene.start(t, { ike: {}, profile: { protection: "esp" }, routers: "implicit" });
  const { mobile } = scene;
  const behind = mobile.behind as Behind;
  const inClear = await InClear.watch(scene);
  await begin(scene, mobile, "six");

  await t.test("F3963-6.5-01: the host behind it talks by way of every access, in ESP alone", async () => {
    for (const access of ["six", "four", "nat", "six"] as const) {
      await scene.move(mobile, access);
      await crossAll(scene, mobile); // what is sent to a router before it is known behind its NAT is lost
      await talk(scene, behind, access);
    }
    assert.deepEqual(inClear.seen(), []);
  });

  await t.test("policies at both ends name its prefixes", async () => {
    for (const family of FAMILIES) {
      const prefix = formatPrefix(behind.prefixes[family]);
      const policies = (node: typeof scene.ha): string => node.script("ip xfrm policy | grep ^src");
      assert.match(policies(scene.ha), new RegExp(`dst ${prefix} `));
      assert.match(policies(mobile.node), new RegExp(`^src ${prefix} `, "m"));
    }
  });

  await t.test(
    "killed and started again, the home agent has the router with its prefixes, and nothing was lost",
    async () => {
      await scene.homeAgent.kill();
      await talk(scene, behind, "six");
      await scene.homeAgent.start();
      const [binding] = await scene.homeAgent.bindings();
      assert.deepEqual(
        binding?.prefixes,
        FAMILIES.map((family) => formatPrefix(behind.prefixes[family])),
      );
      await talk(scene, behind, "six");
      await asPlanned(scene.homeAgent, mobile.daemon);
    },
  );
});
