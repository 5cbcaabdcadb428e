/**
 * The networks behind a mobile router whose payload is in ESP: every access, nothing in clear, and nothing leaves without a way; those that
 * are its own, and those that are lent to it.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { formatPrefix, ipv4, ipv6 } from "../../../controller/base/ip.js";
import { asPlanned } from "../lib/as-planned.js";
import type { Behind } from "../lib/behind.js";
import { freshText } from "../lib/exchange.js";
import { InClear } from "../lib/in-clear.js";
import { begin, crossAll } from "../lib/keys.js";
import { type Access, FAMILIES, Scene } from "../lib/scene.js";
import { Station } from "../lib/station.js";

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

test("address and networks lent to a mobile router, in ESP", async (t) => {
  const [address, six, four] = ["198.51.100.129", "2001:db8:200::/64", "10.64.0.0/28"];
  const scene = await Scene.start(t, {
    ike: {},
    profile: { protection: "esp" },
    homeAgent: {
      duplicateAddressDetection: false,
      ipv4Pool: { prefixes: ["198.51.100.128/25"] },
      prefixPool: { prefixes: ["10.64.0.0/16", "2001:db8:200::/40"] },
    },
    mobileNode: { ipv4HomeAddress: "dynamic", prefixes: "dynamic", prefixLengths: { ipv4: [28], ipv6: [64] } },
    subscriber: { ipv4HomeAddress: undefined, prefixes: "dynamic" },
  });
  const { mobile } = scene;
  const { node, daemon } = mobile;
  scene.core.ip("route add 10.64.0.0/16 via 203.0.113.1", "route add 2001:db8:200::/40 via 2001:db8:f::1");
  node.ip("link add inside type dummy", "link set inside up");
  const stations: Station[] = [mobile.stations[6]];
  t.after(() => {
    for (const station of stations.slice(1)) station.close();
  });
  const inClear = await InClear.watch(scene);
  const each = async (): Promise<void> => {
    for (const station of stations) {
      const correspondent = scene.correspondents[station.address.includes(":") ? 6 : 4];
      for (const [from, to] of [
        [station, correspondent],
        [correspondent, station],
      ] as const) {
        const text = freshText(`${from.address} to ${to.address}`);
        from.send(to, text);
        await to.waitFor(text);
      }
    }
  };

  await t.test("R5555-2.5-02 R5555-3.1.1-11: it is told what it has, and that is reached in ESP alone", async () => {
    await daemon.start();
    await scene.move(mobile, "six");
    for (const one of [daemon, scene.homeAgent]) {
      const [binding] = await one.bindings();
      assert.equal(binding?.ipv4HomeAddress, address);
      assert.deepEqual([...(binding?.prefixes ?? [])].sort(), [four, six]);
    }
    node.ip("address add 10.64.0.1/28 dev inside", "address add 2001:db8:200::1/64 dev inside nodad");
    for (const own of [ipv4(address), ipv4("10.64.0.1"), ipv6("2001:db8:200::1")])
      stations.push(new Station(node, own));
    await crossAll(scene, mobile, [6]);
    await each();
  });

  await t.test("R5555-4.5-07: the same over IPv4, and behind a NAT", async () => {
    for (const access of ["four", "nat", "six"] as const) {
      await scene.move(mobile, access);
      await crossAll(scene, mobile, [6]);
      await each();
    }
    assert.deepEqual(inClear.seen(), []);
    for (const one of [daemon, scene.homeAgent]) assert.deepEqual((await one.audit()).differences, []);
  });

  await t.test("policies at the home agent name what was lent, not the pools", () => {
    const selectors = scene.ha.script("ip xfrm policy | grep ^src");
    for (const own of [`${address}/32`, six, four]) assert.match(selectors, new RegExp(`dst ${own} `));
    assert.doesNotMatch(selectors, /198\.51\.100\.128\/25|10\.64\.0\.0\/16|2001:db8:200::\/40/);
  });
});
