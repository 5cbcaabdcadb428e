/**
 * A node with two home agents on one home link: when the first one dies with its whole machine the node goes on at the second one, under
 * the same home addresses.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test, { type TestContext } from "node:test";
import { parse } from "yaml";
import { ipv4, ipv6 } from "../../../controller/base/ip.js";
import { Charon } from "../lib/charon.js";
import { run } from "../lib/command.js";
import { Daemon } from "../lib/daemons.js";
import { freshText } from "../lib/exchange.js";
import { serveNames } from "../lib/name-server.js";
import { Namespace } from "../lib/namespace.js";
import { FAMILIES, HOME_AGENT, Scene, type SceneOptions } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

const SECOND = { ipv6: ipv6("2001:db8:1::3"), ipv4: ipv4("203.0.116.1") } as const;
const NAME_SERVER = "2001:db8:a::1";
const RECORDS = [
  "--srv-host=_mip6._ipv6.example.org,ha1.example.org,0,10,0",
  "--srv-host=_mip6._ipv6.example.org,ha2.example.org,0,20,0",
  `--host-record=ha1.example.org,${HOME_AGENT.ipv4},${HOME_AGENT.ipv6}`,
  `--host-record=ha2.example.org,${SECOND.ipv4},${SECOND.ipv6}`,
];

for (const [title, options] of [
  ["static keys", {}],
  ["IKEv2 and payload in ESP", { ike: {}, profile: { protection: "esp" } }],
] as const) {
  test(`F5026-5.1-01: a node whose home agent dies goes on at the next one, with ${title}`, (t) => goesOn(t, options));
}

async function goesOn(t: TestContext, options: Pick<SceneOptions, "ike" | "profile">): Promise<void> {
  const homeAgent = { domain: "example.org", nameServers: [NAME_SERVER], switchAfterSeconds: 5, returnAfterSeconds: 5 };
  const scene = await Scene.start(t, { ...options, mobileNode: { homeAgent, lifetimeSeconds: 8 } });
  const { mobile, core, ha, lan } = scene;
  serveNames(core, [NAME_SERVER], RECORDS);
  const second = await secondHomeAgent();

  await mobile.daemon.start();
  await scene.move(mobile, "six");
  await crossed();
  const isHere = ({ homeAddress, endpoint }: { homeAddress: string; endpoint: unknown }): boolean =>
    homeAddress === mobile.home6 && endpoint !== null;

  await scene.homeAgent.kill();
  ha.ip("link set wan down", "link set home down");
  core.ip(`route replace 198.51.100.0/24 via ${SECOND.ipv4}`, "route replace 2001:db8:1::/64 via 2001:db8:f2::1");
  await second.waitForBinding("the node to come", isHere);
  await mobile.daemon.waitForBinding("its registration", ({ state }) => state === "registered");
  await crossed();
  assert.deepEqual((await mobile.daemon.audit()).differences, []);

  // The best one does not answer an echo request, so the present one is not left for it.
  await mobile.daemon.process.waitForLog(/home-agent\.unanswering.*ha1\.example\.org/, 60_000);
  const choices = (): number => mobile.daemon.process.log.match(/home-agent\.chosen/g)?.length ?? 0;
  assert.equal(choices(), 2, "ha1 and ha2");
  // Its IPv6 addresses and all routes went with the links.
  ha.ip(
    "link set wan up",
    "link set home up",
    `address replace ${HOME_AGENT.ipv6}/64 dev home nodad`,
    "address replace 2001:db8:f::1/64 dev wan nodad",
    "route replace default via 203.0.113.254",
    "route replace ::/0 via 2001:db8:f::fe",
  );
  await scene.homeAgent.start();
  await waitFor(() => choices() === 3, { what: "the return to ha1", timeout: 60_000 });
  await scene.homeAgent.waitForBinding("the node to come back", isHere);

  async function crossed(): Promise<void> {
    for (const family of FAMILIES) {
      const ends = [scene.correspondents[family], mobile.stations[family]] as const;
      for (const [from, to] of [ends, [ends[1], ends[0]] as const]) {
        const text = freshText("packet");
        from.send(to, text);
        await to.waitFor(text);
      }
    }
  }

  async function secondHomeAgent(): Promise<Daemon> {
    const node = new Namespace("ha2", `ha2-${ha.name}`, []);
    run(["ip", "netns", "add", node.name]);
    t.after(() => void run(["ip", "netns", "del", node.name]));
    node.sysctl({ "net.ipv6.conf.default.accept_dad": 0, "net.ipv6.conf.all.forwarding": 1, "net.ipv4.ip_forward": 1 });
    node.ip(
      "link set lo up",
      `link add wan type veth peer name ha2 netns ${core.name}`,
      `link add home type veth peer name ha2 netns ${lan.name}`,
      "link set wan up",
      "link set home up",
      `address add ${SECOND.ipv4}/24 dev wan`,
      "address add 2001:db8:f2::1/64 dev wan nodad",
      "address add 198.51.100.3/24 dev home",
      `address add ${SECOND.ipv6}/64 dev home nodad`,
      "route add default via 203.0.116.254",
      "route add ::/0 via 2001:db8:f2::fe",
    );
    lan.ip("link set ha2 master br0 up");
    core.ip(
      "link set ha2 up",
      "address add 203.0.116.254/24 dev ha2",
      "address add 2001:db8:f2::fe/64 dev ha2 nodad",
      `route add ${SECOND.ipv6}/128 via 2001:db8:f2::1`,
    );
    const of = parse(readFileSync(scene.homeAgent.configPath, "utf8"));
    const { security, subscribers, tunnelProfiles = {} } = of;
    const directory = scene.net.scratch;
    const role = {
      ...{ role: "home-agent", homeAgent: { ...of.homeAgent, addresses: SECOND } },
      ...{ subscribers, tunnelProfiles },
    };
    if (options.ike === undefined) return started(new Daemon(node, { directory, keyFile: of.keyFile }, role));
    const charon = new Charon(node, directory);
    t.after(() => charon.kill());
    await charon.start();
    const keyed = { ...role, security: { ...security, viciSocket: charon.socketPath } };
    return started(new Daemon(node, { directory }, keyed));
  }

  async function started(daemon: Daemon): Promise<Daemon> {
    await daemon.start();
    t.after(() => daemon.kill());
    return daemon;
  }
}
