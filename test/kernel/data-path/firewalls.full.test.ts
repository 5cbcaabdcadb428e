/**
 * Stateful firewalls of the operators on the mobile node and on the home agent, with no more open in them than README says: everything
 * goes its way, whatever the access.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { cross } from "../lib/exchange.js";
import { waitForEvent } from "../lib/faults.js";
import { type Access, FAMILIES, Scene } from "../lib/scene.js";

/** Nothing is open: what the node begins is answered. */
const NODE = `table inet operator { chain in {
  type filter hook input priority 0; policy drop;
  iif lo accept
  ct state established,related accept
  meta l4proto ipv6-icmp accept
  udp dport 7000 accept
  counter
}; }`;

const HOME_AGENT = `table inet operator { chain in {
  type filter hook input priority 0; policy drop;
  iif lo accept
  ct state established,related accept
  udp dport 4191 accept
  meta l4proto { icmp, ipv6-icmp, 4, 41, 50, 135 } accept
}; }`;

test("stateful firewalls on both sides", async (t) => {
  const scene = await Scene.start(t);
  const { mobile } = scene;
  mobile.node.nft(NODE);
  scene.ha.nft(HOME_AGENT);
  await mobile.daemon.start();
  for (const access of ["six", "four", "nat", "six"] as const satisfies readonly Exclude<Access, "home">[]) {
    await t.test(`registers and is reached from "${access}"`, async () => {
      await scene.move(mobile, access);
      for (const direction of ["down", "up"] as const)
        for (const family of FAMILIES) await cross(scene, mobile, { family, direction });
    });
  }
  await t.test("says so when the firewall takes the acknowledgements", async () => {
    mobile.node.nft("table inet strict { chain in { type filter hook input priority -1; udp sport 4191 drop; }; }");
    scene.attach(mobile, "four");
    scene.detach(mobile, "six");
    await waitForEvent(mobile.daemon, "acknowledgement.filtered", /a firewall of this machine drops them/);
    mobile.node.nft("delete table inet strict");
    await scene.settled(mobile, "four");
  });
  assert.equal(Number(scene.ha.run("sysctl", "-n", "net.netfilter.nf_conntrack_count")) <= 4, true);
});
