/** The network watcher against a real kernel: what changes on the wire side of a node is in the next snapshot. */
import assert from "node:assert/strict";
import test from "node:test";
import { type IpAddress, ipv4, ipv6 } from "../../../controller/base/ip.js";
import { NetlinkSocket } from "../../../controller/io/netlink/socket.js";
import { netlinkTransports } from "../../../controller/io/netlink/transport.js";
import { NetworkWatcher } from "../../../controller/kernel/watch.js";
import { linkUsable, type NetworkView } from "../../../controller/protocol/movement/network-view.js";
import { Topology } from "../lib/topology.js";
import { waitFor } from "../lib/wait.js";
import { setTimer } from "./rtnetlink-objects.js";

async function setup(t: test.TestContext, receiveBufferBytes?: number) {
  const net = new Topology(t);
  const node = net.node("mn");
  const router = net.node("router");
  net.link(node.port("eth0", "198.51.100.2/24", "2001:db8:f::2/64"), router.port("lan", "198.51.100.1/24"));
  node.route("default via 198.51.100.1").route("::/0 via 2001:db8:f::1 metric 1024");
  net.build();
  const open = netlinkTransports(node.path);
  const watcher = await NetworkWatcher.open({
    openTransport: (family, groups) =>
      groups.length > 0 && receiveBufferBytes !== undefined
        ? NetlinkSocket.open({ protocol: 0, netns: node.path, groups, receiveBufferBytes })
        : open(family, groups),
    setTimer,
    onError: (error) => assert.fail(String(error)),
  });
  t.after(() => watcher.close());
  const views: NetworkView[] = [];
  watcher.onView((view) => views.push(view));
  return { node, router, watcher, views };
}

const addressPresent = (view: NetworkView, device: string, address: IpAddress): boolean =>
  view.addresses.some((one) => one.device === device && one.address === address);
const defaults = (view: NetworkView) => view.routes.filter(({ destination }) => destination.length === 0);

test("the first snapshot, and a network that comes and goes", async (t) => {
  const { node, router, watcher } = await setup(t);
  assert.ok(linkUsable(watcher.view, "eth0"));
  assert.equal(watcher.view.links.find(({ name }) => name === "eth0")?.kind, "veth");
  assert.ok(addressPresent(watcher.view, "eth0", ipv4("198.51.100.2")));
  assert.ok(addressPresent(watcher.view, "eth0", ipv6("2001:db8:f::2")));
  assert.deepEqual(
    defaults(watcher.view)
      .map(({ via, metric }) => [via, metric])
      .sort(),
    [
      ["198.51.100.1", 0],
      ["2001:db8:f::1", 1024],
    ],
  );
  assert.ok(watcher.view.routes.every(({ table, ours }) => table === 254 && !ours));

  router.ip("link set lan down");
  await waitFor(() => !linkUsable(watcher.view, "eth0"), { what: "the loss of the carrier" });
  router.ip("link set lan up");
  await waitFor(() => linkUsable(watcher.view, "eth0"), { what: "the carrier" });

  node.ip("link set eth0 down");
  await waitFor(() => watcher.view.links.some(({ name, up }) => name === "eth0" && !up), {
    what: "the link to go down",
  });
  await waitFor(() => defaults(watcher.view).length === 0, { what: "all default routes to go, announced or not" });

  node.ip("link set eth0 up", "route add default via 198.51.100.1 metric 7", "address add 203.0.113.9/32 dev eth0");
  await waitFor(() => defaults(watcher.view).some(({ metric }) => metric === 7), { what: "the new default route" });
  await waitFor(() => addressPresent(watcher.view, "eth0", ipv4("203.0.113.9")), { what: "the new address" });
  node.ip("route replace default via 198.51.100.9 metric 7");
  await waitFor(() => defaults(watcher.view).some(({ via }) => via === "198.51.100.9"), { what: "the replaced route" });
  assert.equal(defaults(watcher.view).length, 1);

  node.ip("link set eth0 down", "link set eth0 name wlan0"); // before 6.2 only while it is down
  await waitFor(() => addressPresent(watcher.view, "wlan0", ipv4("203.0.113.9")), { what: "the new name" });
  node.ip("link del wlan0");
  await waitFor(() => !watcher.view.links.some(({ name }) => name === "wlan0"), { what: "the link to vanish" });
  assert.ok(!watcher.view.addresses.some(({ device }) => device === "wlan0"));
});

test("duplicate address detection and lifetimes show in the flags", async (t) => {
  const { node, watcher } = await setup(t);
  node.sysctl({ "net.ipv6.conf.eth0.accept_dad": 1, "net.ipv6.conf.eth0.dad_transmits": 1 });
  node.ip("address add 2001:db8:f::77/64 dev eth0");
  const find = () => watcher.view.addresses.find(({ address }) => address === "2001:db8:f::77");
  await waitFor(() => find()?.tentative === true, { what: "a tentative address" });
  await waitFor(() => find()?.tentative === false, { what: "the end of duplicate address detection" });
  node.ip("address change 2001:db8:f::77/64 dev eth0 preferred_lft 0 valid_lft 100");
  await waitFor(() => find()?.deprecated === true, { what: "a deprecated address" });
});

test("lost announcements end in a snapshot of how things are", async (t) => {
  const { node, watcher, views } = await setup(t, 4096);
  const lines = Array.from({ length: 400 }, (_, i) => `route add 10.9.${i >> 8}.${i & 255}/32 dev eth0`);
  node.ip(...lines, "address add 203.0.113.9/32 dev eth0"); // blocks this process meanwhile, so nobody reads
  await waitFor(() => addressPresent(watcher.view, "eth0", ipv4("203.0.113.9")), {
    what: "the address behind the flood",
  });
  await waitFor(
    () => watcher.view.routes.filter(({ destination }) => destination.address.startsWith("10.9.")).length === 400,
    { what: "all routes" },
  );
  assert.ok(views.length < 50, `${views.length} snapshots`);
});
