/** The bench itself: the kernel under it has what the product needs, and the toolkit of the kernel tests does what it says. */
import assert from "node:assert/strict";
import test from "node:test";
import { run } from "../lib/command.js";
import { layersOfKind } from "../lib/frame.js";
import { Topology } from "../lib/topology.js";
import { waitFor } from "../lib/wait.js";

test("the kernel can make one of everything: sit, ip6tnl, fou, ESP, Mobile IPv6, nftables, tun", () => {
  assert.equal(run(["test/bench/guest/probe.sh"]), "");
});

/**
 * Design facts 1 to 3: a GUE port takes off the UDP header of RFC 5555 §4.1, one sit device without a remote sends it for every node.
 *
 *   mn1 eth0 203.0.113.11 ─┐
 *                          inet ─ wan 203.0.113.1 ha
 *   mn2 eth0 203.0.113.12 ─┘
 */
test("one NBMA sit device and a GUE port carry both families for two nodes over UDP port 4191", async (t) => {
  const net = new Topology(t);
  const ha = net.node("ha");
  const nodes = [1, 2].map((number) => ({ number, node: net.node(`mn${number}`) }));
  const ports = nodes.map(({ number, node }) => node.port("eth0", `203.0.113.1${number}/24`));
  net.segment("inet", ha.port("wan", "203.0.113.1/24"), ...ports);
  ha.also(
    "fou add port 4191 gue",
    "link add tun0 type sit local 203.0.113.1 mode any ttl 64 encap fou encap-sport 4191 encap-dport 4191",
    "link set tun0 up mtu 1400",
    "address add 2001:db8:1::1/128 dev tun0",
    "address add 198.51.100.1/32 dev tun0",
  );
  for (const { number, node } of nodes) {
    ha.also(
      `route add 2001:db8:1::10${number}/128 via ::203.0.113.1${number} dev tun0`,
      `route add 198.51.100.10${number}/32 via 203.0.113.1${number} dev tun0 onlink`,
    );
    node.also(
      "fou add port 4191 gue",
      `link add tun0 type sit local 203.0.113.1${number} remote 203.0.113.1 mode any ttl 64 encap fou encap-sport 4191 encap-dport 4191`,
      "link set tun0 up mtu 1400",
      `address add 2001:db8:1::10${number}/128 dev tun0`,
      `address add 198.51.100.10${number}/32 dev tun0`,
      "route add 2001:db8:1::1/128 dev tun0",
      "route add 198.51.100.1/32 dev tun0",
    );
  }
  net.build();
  const capture = await net.capture(ha, "wan", "udp port 4191");

  for (const { number, node } of nodes) {
    node.run("ping", "-6", "-c1", "-W5", "2001:db8:1::1");
    node.run("ping", "-4", "-c1", "-W5", "-I", `198.51.100.10${number}`, "198.51.100.1");
  }

  const frames = await capture.waitFor(() => true, { what: "four requests and four answers", count: 8 });
  const seen = frames.map(({ layers }) => {
    const [outer, ...inner] = [...layersOfKind(layers, "ipv4"), ...layersOfKind(layers, "ipv6")];
    const [udp] = layersOfKind(layers, "udp");
    return `${outer?.source} ${udp?.destinationPort} ${inner[0]?.kind} ${inner[0]?.source}`;
  });
  assert.deepEqual(seen.sort(), [
    "203.0.113.1 4191 ipv4 198.51.100.1",
    "203.0.113.1 4191 ipv4 198.51.100.1",
    "203.0.113.1 4191 ipv6 2001:db8:1::1",
    "203.0.113.1 4191 ipv6 2001:db8:1::1",
    "203.0.113.11 4191 ipv4 198.51.100.101",
    "203.0.113.11 4191 ipv6 2001:db8:1::101",
    "203.0.113.12 4191 ipv4 198.51.100.102",
    "203.0.113.12 4191 ipv6 2001:db8:1::102",
  ]);
  const judged = capture.tshark(["ipv6.dst", "udp.dstport"], "icmpv6.type == 128");
  assert.deepEqual(judged, [
    { "ipv6.dst": "2001:db8:1::1", "udp.dstport": "4191" },
    { "ipv6.dst": "2001:db8:1::1", "udp.dstport": "4191" },
  ]);
  const [link] = ha.ipJson("link show dev tun0");
  assert.equal(link?.["linkinfo"].info_kind, "sit");
  assert.equal(ha.ipJson("route show table main").filter(({ dev }) => dev === "tun0").length >= 2, true);
});

test("what the toolkit reads of a namespace: nftables, sysctls, counters, programs", async (t) => {
  const net = new Topology(t);
  const node = net.node("one", { forwarding: true, sysctl: { "net.ipv4.ip_default_ttl": 77 } });
  net.build();
  node.nft("table inet probe { counter drops { packets 3 bytes 4; }; }");
  assert.deepEqual(node.nftJson("list counters").at(-1)?.["counter"].packets, 3);
  assert.equal(
    node.run("cat", "/proc/sys/net/ipv4/ip_default_ttl", "/proc/sys/net/ipv6/conf/all/forwarding"),
    "77\n1\n",
  );
  assert.equal(node.counters("Ip6InReceives")["Ip6InReceives"], 0);

  const shell = node.spawn(["bash", "-c", "echo ready; read word; echo got $word; exit 7"]);
  await shell.waitForLog(/^ready$/m);
  shell.write("hello\n");
  await waitFor(() => !shell.running, { what: "the shell to end" });
  assert.deepEqual([shell.log, await shell.exited], ["ready\ngot hello\n", { code: 7, signal: null }]);
  await assert.rejects(
    waitFor(() => undefined, { what: "nothing", timeout: 1 }),
    /waiting for nothing/,
  );
});
