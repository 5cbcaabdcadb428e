/** Ways to the home agent as the kernel has them, not as the main table looks: rules, other tables, next hop objects, tunnels over ourselves. */
import assert from "node:assert/strict";
import test from "node:test";
import { HOME_AGENT, Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

test("uplinks", async (t) => {
  const scene = await Scene.start(t);
  const { mobile, core } = scene;
  const { node, daemon, home4, careOf } = mobile;
  core.ip("address add 203.0.114.2/24 dev four", "address add 203.0.114.3/24 dev four");
  scene.attach(mobile, "four");
  node.ip(
    "route del default",
    `rule add from ${careOf.four} lookup 100`,
    "route add default via 203.0.114.1 dev four table 100",
  );
  await daemon.start();
  /** The router in the table of the care-of address. */
  const router = (): unknown =>
    node
      .ipJson("route show table all")
      .find(({ dst, table }) => dst === HOME_AGENT.ipv4 && Number(table) > 0x41000000)?.["gateway"];
  const follows = (gateway: string): Promise<true> =>
    waitFor(() => (router() === gateway ? true : undefined), { what: `the way by ${gateway}, not by ${router()}` });

  await t.test("the default route stands in another table, behind a rule, and changes there", async () => {
    await scene.settled(mobile, "four");
    await follows("203.0.114.1");
    node.ip("route replace default via 203.0.114.2 dev four table 100");
    await follows("203.0.114.2");
    node.ip("route add default via 203.0.114.1 dev four table 101", `rule add from ${careOf.four} lookup 101 pref 90`);
    await follows("203.0.114.1");
    node.ip("rule del pref 90", "route flush table 101");
    await follows("203.0.114.2");
  });

  await t.test("a next hop object that changes in place, and several next hops of which one goes", async () => {
    node.ip("nexthop add id 7 via 203.0.114.1 dev four", "route replace default nhid 7 table 100");
    await follows("203.0.114.1");
    node.ip("nexthop replace id 7 via 203.0.114.3 dev four");
    await follows("203.0.114.3");
    node.ip("route replace default table 100 nexthop via 203.0.114.1 dev four nexthop via 203.0.114.2 dev four");
    await follows("203.0.114.1");
    node.ip("route replace default table 100 nexthop via 203.0.114.2 dev four nexthop via 203.0.114.3 dev four");
    await follows("203.0.114.2");
  });

  await t.test("a tunnel over the home address is no uplink, whatever its metric", async () => {
    node.ip(
      `tunnel add vpn0 mode ipip local ${home4} remote 192.0.2.2`,
      "address add 10.8.0.2/24 dev vpn0",
      "link set vpn0 up",
      "route add default dev vpn0 metric 1",
    );
    // Its network is one of the node's own: so the daemon has seen the link.
    await waitFor(() => node.script("ip route show table 4194").includes("10.8.0.0/24"), {
      what: "the tunnel's network",
    });
    await scene.settled(mobile, "four");
    assert.deepEqual(
      (await daemon.bindings())[0]?.acceptedFrom.map(({ address }) => address),
      [careOf.four],
    );
    assert.deepEqual((await daemon.audit()).differences, []);
  });
});
