/**
 * Ways to the home agent as the kernel has them, not as the main table looks: rules, other tables, next hop objects, several next hops,
 * two routers of which one dies, and tunnels over ourselves.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { TunDevice } from "../../../controller/io/ip/tun-device.js";
import { run } from "../lib/command.js";
import { crossAll } from "../lib/keys.js";
import { Namespace } from "../lib/namespace.js";
import { CORRESPONDENT, HOME_AGENT, type Mobile, Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

/** Routers on the two public accesses: the core, and one that a test adds. */
const FIRST = { 4: "203.0.114.1", 6: "2001:db8:a::1" } as const;
const SECOND = { 4: "203.0.114.9", 6: "2001:db8:a::9" } as const;
/** Refreshed after six seconds, so that an update soon finds out that nobody is there. */
const SHORT = { mobileNode: { lifetimeSeconds: 8 } } as const;

/** The router in the table of the care-of address. */
function routerOf({ node }: Mobile): string | undefined {
  const homes: readonly string[] = [HOME_AGENT.ipv4, HOME_AGENT.ipv6];
  return ["-4", "-6"]
    .flatMap((family) => node.ipJson(`${family} route show table all`))
    .find(({ dst, table }) => homes.includes(dst) && Number(table) > 0x41000000)?.["gateway"];
}

async function follows(mobile: Mobile, gateway: string, timeout = 5000): Promise<void> {
  await waitFor(() => routerOf(mobile) === gateway, {
    what: `the way by ${gateway}`,
    timeout,
  }).catch((error: Error) => {
    throw new Error(`${error.message}; it goes by ${routerOf(mobile)}`);
  });
}

/** A second router on the links "four" and "six". */
function secondRouter(t: TestContext, { core }: Scene): Namespace {
  const router = new Namespace("router", `router-${core.name}`, []);
  run(["ip", "netns", "add", router.name]);
  t.after(() => void run(["ip", "netns", "del", router.name]));
  router.sysctl({ "net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1, "net.ipv6.conf.default.accept_dad": 0 });
  core.ip(
    ...["four", "six"].flatMap((link) => [
      `link add r-${link} type veth peer name ${link} netns ${router.name}`,
      `link set r-${link} master ${link} up`,
    ]),
    `link add r-up type veth peer name up netns ${router.name}`,
    "address add 203.0.116.1/24 dev r-up",
    "address add 2001:db8:e::1/64 dev r-up nodad",
    "link set r-up up",
  );
  router.ip(
    "link set lo up",
    "link set four up",
    "link set six up",
    "link set dev up up",
    `address add ${SECOND[4]}/24 dev four`,
    `address add ${SECOND[6]}/64 dev six nodad`,
    "address add 203.0.116.2/24 dev up",
    "address add 2001:db8:e::2/64 dev up nodad",
    "route add default via 203.0.116.1",
    "route add ::/0 via 2001:db8:e::1",
  );
  return router;
}

test("ways to the home agent", async (t) => {
  const scene = await Scene.start(t);
  const { mobile, core } = scene;
  const { node, daemon, careOf } = mobile;
  core.ip("address add 203.0.114.2/24 dev four", "address add 203.0.114.3/24 dev four");
  core.ip("address add 2001:db8:a::2/64 dev six nodad", "address add 2001:db8:a::3/64 dev six nodad");
  scene.attach(mobile, "four");
  node.ip(
    "route del default",
    `rule add from ${careOf.four} lookup 100`,
    "route add default via 203.0.114.1 dev four table 100",
  );
  await daemon.start();

  await t.test("the default route stands in another table, behind a rule, and changes there", async () => {
    await scene.settled(mobile, "four");
    await follows(mobile, "203.0.114.1");
    node.ip("route replace default via 203.0.114.2 dev four table 100");
    await follows(mobile, "203.0.114.2");
    node.ip("route add default via 203.0.114.1 dev four table 101", `rule add from ${careOf.four} lookup 101 pref 90`);
    await follows(mobile, "203.0.114.1");
    node.ip("rule del pref 90", "route flush table 101");
    await follows(mobile, "203.0.114.2");
  });

  const nextHops = (before: string, route: string, [one, two, three]: readonly [string, string, string]) => {
    const dev = one.includes(":") ? "six" : "four";
    const family = one.includes(":") ? "-6 " : "";
    return async (): Promise<void> => {
      node.ip(`nexthop add id 7 via ${one} dev ${dev}`);
      node.script(`ip ${family}route ${before} ${route} nhid 7`);
      await follows(mobile, one);
      node.ip(`nexthop replace id 7 via ${three} dev ${dev}`);
      await follows(mobile, three);
      node.ip(`nexthop add id 8 via ${two} dev ${dev}`, "nexthop add id 9 group 8/7");
      node.script(`ip ${family}route replace ${route} nhid 9`);
      await follows(mobile, two);
      node.ip("nexthop replace id 9 group 7");
      await follows(mobile, three);
      node.script(`ip ${family}route replace ${route} via ${one} dev ${dev}; ip nexthop flush`);
      await follows(mobile, one);
    };
  };
  for (const mode of [1, 0])
    await t.test(`next hop objects that change in place, and groups (nexthop_compat_mode ${mode})`, async () => {
      node.sysctl({ "net.ipv4.nexthop_compat_mode": mode });
      await nextHops("replace", "default table 100", ["203.0.114.1", "203.0.114.2", "203.0.114.3"])();
    });

  await t.test("several next hops of which one goes", async () => {
    node.ip("route replace default table 100 nexthop via 203.0.114.1 dev four nexthop via 203.0.114.2 dev four");
    await follows(mobile, "203.0.114.1");
    node.ip("route replace default table 100 nexthop via 203.0.114.2 dev four nexthop via 203.0.114.3 dev four");
    await follows(mobile, "203.0.114.2");
  });

  await t.test("the same over IPv6", async () => {
    node.ip("rule del lookup 100", "route flush table 100");
    scene.attach(mobile, "six");
    scene.detach(mobile, "four");
    await scene.settled(mobile, "six");
    await follows(mobile, "2001:db8:a::1");
    node.sysctl({ "net.ipv4.nexthop_compat_mode": 0 });
    node.ip("route del ::/0");
    await nextHops("add", "default metric 20", ["2001:db8:a::1", "2001:db8:a::2", "2001:db8:a::3"])();
    node.script("ip -6 route del default; ip -6 route add default table 100 via 2001:db8:a::2 dev six");
    node.script(`ip -6 rule add from ${careOf.six} lookup 100`);
    await follows(mobile, "2001:db8:a::2");
    node.script(
      "ip -6 route replace default table 100 nexthop via 2001:db8:a::3 dev six nexthop via 2001:db8:a::1 dev six",
    );
    await waitFor(() => ["2001:db8:a::3", "2001:db8:a::1"].includes(routerOf(mobile) ?? ""), { what: "one of two" });
    await scene.settled(mobile, "six");
    await crossAll(scene, mobile);
    assert.deepEqual((await daemon.audit()).differences, []);
  });
});

test("two routers on a link, one of which dies and comes back", async (t) => {
  const scene = await Scene.start(t, SHORT);
  const { mobile } = scene;
  const { node, daemon } = mobile;
  const router = secondRouter(t, scene);
  scene.attach(mobile, "four");
  node.ip(`route add default via ${SECOND[4]} dev four metric 5`);
  await daemon.start();
  for (const family of [4, 6] as const) {
    const access = ({ 4: "four", 6: "six" } as const)[family];
    await t.test(`over IPv${family}`, async () => {
      if (family === 6) {
        scene.attach(mobile, "six");
        node.ip(`route add ::/0 via ${SECOND[6]} dev six metric 5`);
        scene.detach(mobile, "four");
      }
      await scene.settled(mobile, access);
      await follows(mobile, SECOND[family]);
      await crossAll(scene, mobile);
      router.ip(`link set ${access} down`);
      await follows(mobile, FIRST[family], 15_000);
      await scene.settled(mobile, access);
      await crossAll(scene, mobile);
      router.ip(`link set ${access} up`);
      if (family === 6) router.ip(`address replace ${SECOND[6]}/64 dev six nodad`);
      await follows(mobile, SECOND[family], 35_000);
      await crossAll(scene, mobile);
    });
  }
});

test("several next hops with one route, one of which dies (ECMP)", async (t) => {
  const scene = await Scene.start(t, SHORT);
  const { mobile } = scene;
  const { node, daemon } = mobile;
  const router = secondRouter(t, scene);
  scene.attach(mobile, "four");
  node.ip("route del default", `route add default nexthop via ${SECOND[4]} dev four nexthop via ${FIRST[4]} dev four`);
  await daemon.start();
  await scene.settled(mobile, "four");
  await follows(mobile, SECOND[4]);
  router.ip("link set four down");
  await follows(mobile, FIRST[4], 15_000);
  await scene.settled(mobile, "four");
  await crossAll(scene, mobile);
});

test("tunnels over ourselves are no uplinks, whatever their metric and family", async (t) => {
  const scene = await Scene.start(t);
  const { mobile } = scene;
  const { node, daemon, home4, home6, careOf } = mobile;
  scene.attach(mobile, "four");
  await daemon.start();
  await scene.settled(mobile, "four");
  let number = 0;
  const isNone = async (device: string): Promise<void> => {
    number++;
    node.ip(
      `address add 10.${number}.0.2/24 dev ${device}`,
      `address add 2001:db8:${number}f::2/64 dev ${device} nodad`,
      `link set ${device} up`,
      `route add default dev ${device} metric ${number}`,
      `route add ::/0 dev ${device} metric ${number}`,
    );
    // Its network is one of the node's own: so the daemon has seen the link.
    await waitFor(() => node.script("ip route show table 4194").includes(`10.${number}.0.0/24`), {
      what: `the network of ${device}`,
    });
    await stays();
  };
  const stays = async (): Promise<void> => {
    await scene.settled(mobile, "four");
    const accepted = (await daemon.bindings())[0]?.acceptedFrom.map(({ address }) => address);
    assert.deepEqual(accepted, [careOf.four]);
    await crossAll(scene, mobile);
  };

  await t.test("IPv4 in IPv4, GRE and IPv6 in IPv6 with a home address as their own end", async () => {
    node.ip(`tunnel add vpn0 mode ipip local ${home4} remote ${CORRESPONDENT.ipv4}`);
    await isNone("vpn0");
    node.ip(`tunnel add vpn1 mode gre local ${home4} remote ${CORRESPONDENT.ipv4}`);
    await isNone("vpn1");
    node.script(`ip -6 tunnel add vpn2 mode any local ${home6} remote ${CORRESPONDENT.ipv6}`);
    await isNone("vpn2");
  });

  await t.test("a tunnel that names no end of its own, and a second one within the first", async () => {
    node.ip(`tunnel add vpn3 mode gre remote ${CORRESPONDENT.ipv4}`);
    await isNone("vpn3");
    node.ip("tunnel add vpn4 mode ipip local 10.1.0.2 remote 10.1.0.1");
    await isNone("vpn4");
  });

  await t.test("TUN, behind which a program sends everything on by a socket of its own", async (t) => {
    const tun = TunDevice.open({ name: "vpn5", netns: node.path });
    t.after(() => tun.close());
    tun.listen({
      onPackets: (packets) => {
        for (const packet of packets) {
          mobile.stations[4].trySend(scene.correspondents[4], `vpn ${Buffer.from(packet).toString("hex")}`);
        }
      },
      onError: () => undefined,
    });
    await isNone("vpn5");
    // Without any real uplink it is not one either: nobody is registered through it, and its packets do not go round.
    node.ip("link set four down");
    await waitFor(async () => (await daemon.bindings())[0]?.state !== "registered", { what: "the loss of the uplink" });
    const [without] = await daemon.bindings();
    assert.deepEqual([without?.state, without?.acceptedFrom], ["detached", []], "no tunnel takes its place");
    scene.attach(mobile, "four");
    await stays();
  });

  await t.test("nor after a restart in the midst of them", async () => {
    await daemon.kill();
    await daemon.start();
    await stays();
    assert.deepEqual((await daemon.audit()).differences, []);
  });
});
