/**
 * FRR beside the home agent tells a neighbour of the networks of mobile routers, as they come and go: the core router learns them from
 * bgpd and has no other route to them.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { formatPrefix } from "../../../controller/base/ip.js";
import { AGGREGATES, type Behind, prefixesOf } from "../lib/behind.js";
import { freshText } from "../lib/exchange.js";
import { Frr } from "../lib/frr.js";
import { FAMILIES, Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

const [HOME_AGENT_AS, CORE_AS] = [64512, 64513];

/** One session a family, `redistribute kernel` at the home agent. */
function configuration(own: number, peer: number, [six, four]: readonly [string, string], redistribute: boolean) {
  const import6 = redistribute ? ["redistribute kernel route-map mobile6"] : [];
  const import4 = redistribute ? ["redistribute kernel route-map mobile4"] : [];
  return [
    `ip prefix-list mobile4 permit ${AGGREGATES.four} le 32`,
    `ipv6 prefix-list mobile6 permit ${AGGREGATES.six} le 64`,
    "route-map mobile4 permit 10",
    "match ip address prefix-list mobile4",
    "route-map mobile6 permit 10",
    "match ipv6 address prefix-list mobile6",
    `router bgp ${own}`,
    "bgp router-id 192.0.2.1",
    "no bgp ebgp-requires-policy",
    "no bgp network import-check",
    "timers bgp 1 3",
    `neighbor ${four} remote-as ${peer}`,
    `neighbor ${four} timers connect 1`,
    `neighbor ${six} remote-as ${peer}`,
    `neighbor ${six} timers connect 1`,
    "address-family ipv4 unicast",
    `no neighbor ${six} activate`,
    ...import4,
    "exit-address-family",
    "address-family ipv6 unicast",
    `neighbor ${six} activate`,
    ...import6,
    "exit-address-family",
  ];
}

test("R5555-4.5-04: a neighbour of FRR learns the networks of a mobile router while it is bound", async (t) => {
  const scene = await Scene.start(t, { routers: "explicit" });
  const { core, ha, mobile } = scene;
  const { prefixes, stations } = mobile.behind as Behind;
  core.ip(`route del ${AGGREGATES.four}`, `route del ${AGGREGATES.six}`);
  // Not the operator's for a router at home, which would be told of in their place.
  ha.ip(...prefixesOf(1).map((prefix) => `route del ${prefix} dev home`));
  const at = configuration(HOME_AGENT_AS, CORE_AS, ["2001:db8:f::fe", "203.0.113.254"], true);
  const there = configuration(CORE_AS, HOME_AGENT_AS, ["2001:db8:f::1", "203.0.113.1"], false);
  const [frr, neighbour] = [new Frr(ha, scene.net.scratch, at), new Frr(core, scene.net.scratch, there)];
  await Promise.all([frr.start(), neighbour.start()]);
  await mobile.daemon.start();

  const learnt = (): readonly string[] =>
    FAMILIES.flatMap((family) => {
      const routes = core.ipJson(`-${family} route show proto bgp`).map(({ dst }) => dst);
      return routes as string[];
    });
  const learns = (what: string, wanted: readonly string[]): Promise<true> =>
    waitFor(() => JSON.stringify([...learnt()].sort()) === JSON.stringify([...wanted].sort()) || undefined, {
      what: `${what} (${wanted})`,
      timeout: 20_000,
    });
  const both = FAMILIES.map((family) => formatPrefix(prefixes[family]));

  for (const access of ["six", "four", "nat"] as const)
    await t.test(`by way of "${access}" the neighbour has both, and payload goes there`, async () => {
      await scene.move(mobile, access);
      await learns("routes at the neighbour", both);
      for (const family of FAMILIES) {
        const text = freshText(access);
        scene.correspondents[family].send(stations[family], text);
        await stations[family].waitFor(text);
      }
    });

  await t.test("they are withdrawn when it de-registers, and come back with it", async () => {
    await mobile.daemon.stop();
    await learns("no routes", []);
    await mobile.daemon.start();
    await learns("routes at the neighbour", both);
  });

  await t.test("and stay while dsmipd at the home agent is killed and started again", async () => {
    await scene.homeAgent.kill();
    await scene.homeAgent.start();
    await learns("routes at the neighbour", both);
    assert.deepEqual((await scene.homeAgent.audit()).differences, []);
    t.diagnostic(await frr.show("zebra", "show ip route kernel"));
    t.diagnostic(await frr.show("zebra", "show ipv6 route kernel"));
  });
});
