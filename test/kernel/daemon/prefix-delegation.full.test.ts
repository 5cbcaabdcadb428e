/**
 * DHCPv6 prefix delegation through the tunnels of two nodes of Mobile IPv4 at once (RFC 5454 §3.7.1): Debian's kea at the home agent, on the one
 * device that receives from all nodes, wide-dhcpv6-client on one node, dhcpcd on the other one, which is behind a NAT. Nobody tells dsmipd what
 * was delegated but the kernel.
 */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { stringify } from "yaml";
import { type Ipv4Address, ipv4 } from "../../../controller/base/ip.js";
import type { RegistrationExtensionOf } from "../../../controller/wire/mip4/extensions/registration.js";
import { decodeControlMessage } from "../../../controller/wire/mip4/messages/control-message.js";
import { type Capture, describeLayers } from "../lib/capture.js";
import { Daemon } from "../lib/daemons.js";
import { layersOfKind } from "../lib/frame.js";
import type { Background } from "../lib/process.js";
import { type Node, Topology } from "../lib/topology.js";
import { waitFor } from "../lib/wait.js";

const HOME_AGENT = ipv4("203.0.113.1");
const HOMES = [ipv4("198.51.100.101"), ipv4("198.51.100.102")] as const;
const LINK_LOCALS = ["fe80::c633:6465", "fe80::c633:6466"] as const;
const HOME_AGENT_LINK_LOCAL = "fe80::cb00:7101";
const POOL = "2001:db8:d000::/48";
const CORRESPONDENT = "2001:db8:1::2";
/** The node's end of the tunnel to its home address, the home agent's end of all. */
const [NODE_DEVICE, HOME_AGENT_DEVICE] = ["dsmip-th", "dsmip-in4"];
const KEYS = ["00112233445566778899aabbccddee01", "00112233445566778899aabbccddee02"] as const;

const KEA = {
  Dhcp6: {
    "interfaces-config": { interfaces: [HOME_AGENT_DEVICE] },
    "lease-database": { type: "memfile", persist: false },
    "server-id": { type: "EN", "enterprise-id": 32473, identifier: "01", persist: false },
    "valid-lifetime": 3600,
    subnet6: [
      {
        ...{ id: 1, subnet: "2001:db8:d000::/36", interface: HOME_AGENT_DEVICE },
        "pd-pools": [{ prefix: "2001:db8:d000::", "prefix-len": 48, "delegated-len": 60 }],
      },
    ],
    loggers: [{ name: "kea-dhcp6", severity: "INFO", output_options: [{ output: "stdout" }] }],
  },
};

class World {
  readonly net: Topology;
  readonly agent: Daemon;
  readonly nodes: readonly [Daemon, Daemon];
  readonly hosts: readonly [Node, Node];
  readonly correspondent: Node;
  readonly #ha: Node;

  constructor(t: TestContext) {
    this.net = new Topology(t);
    const { net } = this;
    const ha = net.node("ha", { forwarding: true });
    const inet = net.node("inet", { forwarding: true });
    const mobiles = [net.node("m1"), net.node("m2")] as const;
    const correspondent = net.node("cn");
    const hosts = [net.node("h1"), net.node("h2")] as const;
    net.link(ha.port("wan", "203.0.113.1/24"), inet.port("ha", "203.0.113.254/24"));
    net.link(ha.port("home", "198.51.100.1/24", "2001:db8:1::1/64"), correspondent.port("eth0", `${CORRESPONDENT}/64`));
    net.link(inet.port("m1", "203.0.114.1/24"), mobiles[0].port("eth0", "203.0.114.51/24"));
    net.link(inet.port("m2", "192.168.1.1/24"), mobiles[1].port("eth0", "192.168.1.2/24"));
    ha.route("default via 203.0.113.254");
    mobiles[0].route("default via 203.0.114.1");
    mobiles[1].route("default via 192.168.1.1");
    correspondent.route("::/0 via 2001:db8:1::1");
    for (const [i, host] of hosts.entries()) net.link((mobiles[i] as Node).port("lan"), host.port("eth0"));
    net.build();
    inet.nft(
      [
        "table ip nat {",
        "  chain post {",
        "    type nat hook postrouting priority 100;",
        '    oifname "ha" ip saddr 192.168.1.0/24 masquerade',
        "  }",
        "}",
      ].join("\n"),
    );
    const entries = HOMES.map((node, i) => ({ association: "mobile-home", node, spi: 256 + i, key: KEYS[i] }));
    const keyFile = join(net.scratch, "keys.yaml");
    writeFileSync(keyFile, stringify({ mip4: entries }), { mode: 0o600 });
    const files = { directory: net.scratch, keyFile };
    this.agent = new Daemon(ha, files, {
      role: "home-agent",
      homeAgent: {
        addresses: { ipv4: HOME_AGENT },
        homeLink: { prefixes: ["198.51.100.0/24"] },
        prefixPool: { prefixes: [POOL] },
        mip4: {},
      },
      subscribers: HOMES.map((ipv4HomeAddress) => ({
        ...{ ipv4HomeAddress, protocols: ["mip4"], linkLocal: true, prefixes: "dynamic" },
      })),
    });
    const node = (i: 0 | 1): Daemon =>
      new Daemon(mobiles[i], files, {
        ...{ role: "mobile-node", protocol: "mip4" },
        mobileNode: { homeAddress: HOMES[i], homeAgent: HOME_AGENT, prefixDelegation: true, interfaces: ["eth0"] },
      });
    this.nodes = [node(0), node(1)];
    this.hosts = hosts;
    this.correspondent = correspondent;
    this.#ha = ha;
  }

  get scratch(): string {
    return this.net.scratch;
  }

  /** On the home agent's device, which has to be there. */
  async startServer(): Promise<void> {
    const folder = join(this.scratch, "kea");
    mkdirSync(folder);
    writeFileSync(join(folder, "kea.json"), JSON.stringify(KEA));
    const environment = { KEA_PIDFILE_DIR: folder, KEA_LOCKFILE_DIR: folder };
    const server = this.#ha.spawn(["kea-dhcp6", "-c", join(folder, "kea.json")], { name: "kea", environment });
    await server.waitForLog(/DHCP6_STARTED/, 20_000);
  }

  startWide(): Background {
    const file = join(this.scratch, "dhcp6c");
    mkdirSync("/var/lib/dhcpv6", { recursive: true });
    writeFileSync(
      `${file}.conf`,
      `interface ${NODE_DEVICE} { send ia-pd 1; };
       id-assoc pd 1 { prefix-interface lan { sla-id 1; sla-len 4; ifid 1; }; };\n`,
    );
    return this.nodes[0].namespace.spawn(
      ["dhcp6c", "-f", "-D", "-c", `${file}.conf`, "-p", `${file}.pid`, NODE_DEVICE],
      {
        name: "dhcp6c",
      },
    );
  }

  startDhcpcd(): Background {
    const file = join(this.scratch, "dhcpcd.conf");
    const allowed = `allowinterfaces ${NODE_DEVICE} lan`;
    writeFileSync(file, `duid\nipv6only\nnoipv6rs\n${allowed}\ninterface ${NODE_DEVICE}\n  ia_pd 2 lan/1/64\n`);
    const words = ["-6", "-B", "-d", "-f", file, "-c", "/bin/true"];
    return this.nodes[1].namespace.spawn(["dhcpcd", ...words], { name: "dhcpcd" });
  }

  route(prefix: string): Promise<string> {
    return this.#ha.runAsync("ip", "-6", "route", "show", prefix);
  }

  async delegatedTo(home: Ipv4Address): Promise<string | undefined> {
    return (await this.agent.bindings()).find(({ ipv4HomeAddress }) => ipv4HomeAddress === home)?.prefixes[0];
  }
}

/** In the order in which they were sent: lengths that each registration request asks for. */
function asked(capture: Capture): readonly (readonly number[])[] {
  return capture.frames().flatMap(({ layers }) => {
    const [datagram] = layersOfKind(layers, "udp");
    const message = datagram?.destinationPort === 434 ? decodeControlMessage(datagram.payload) : undefined;
    if (message?.ok !== true || message.value.type !== "registration-request") return [];
    const requests = message.value.extensions.filter(
      (one): one is RegistrationExtensionOf<"ipv6-prefix-request"> => one.kind === "ipv6-prefix-request",
    );
    return [requests.map(({ prefixLength }) => prefixLength)];
  });
}

/** Packets with IPv6 of link-local addresses inside, layer by layer. */
const ipv6Ways = (capture: Capture): readonly string[] =>
  capture
    .frames()
    .map(({ layers }) => describeLayers(layers))
    .filter((text) => text.includes("ipv6 fe80::"));
const THROUGH_HOME = new RegExp(
  `ipv4 \\S+ / ipv4 (${HOMES[0]}>${HOME_AGENT}|${HOME_AGENT}>${HOMES[0]}) / ipv6 fe80::`.replaceAll(".", "\\."),
);

const answers = (from: Node, to: string, ...words: readonly string[]): Promise<boolean> =>
  from.runAsync("ping", "-6", "-n", "-c1", "-W1", ...words, to).then(
    () => true,
    () => false,
  );
const reaches = (from: Node, to: string): Promise<true> =>
  waitFor(() => answers(from, to), { what: `an answer of ${to} to ${from.label}`, timeout: 15_000 });

test("two nodes, a DHCPv6 server and two clients", async (t) => {
  const world = new World(t);
  const { agent, nodes, hosts, correspondent } = world;
  const captures = await Promise.all(
    nodes.map(({ namespace }) =>
      world.net.capture(namespace as Node, "eth0", "udp port 434 or ip proto 4 or ip proto 41"),
    ),
  );
  const prefixes: string[] = [];
  let wide: Background | undefined;
  /** What is behind the first that fails says nothing. */
  const step = async (name: string, run: () => Promise<void>): Promise<void> => {
    let isDone = false;
    await t.test(name, async () => {
      await run();
      isDone = true;
    });
    assert.ok(isDone, name);
  };
  await agent.start();
  await world.startServer();
  await Promise.all(nodes.map((one) => one.start()));

  await step("V4-4.7.1-02, V4-4.7.1-03, V4-4.7.1-04: the home address first, then the link-local address", async () => {
    for (const [i, home] of HOMES.entries()) {
      await agent.waitForBinding(
        "a link-local address",
        (one) => one.ipv4HomeAddress === home && one.mip4?.linkLocalAddress === LINK_LOCALS[i],
      );
      const node = nodes[i] as Daemon;
      await node.waitForBinding("it", (one) => one.mip4?.linkLocalAddress === LINK_LOCALS[i]);
      const addresses = node.namespace.ipJson(`-6 address show dev ${NODE_DEVICE} scope link`);
      const locals = (addresses as { addr_info?: { local: string }[] }[]).flatMap(({ addr_info = [] }) => addr_info);
      assert.ok(locals.some(({ local }) => local === LINK_LOCALS[i]));
      const lengths = asked(captures[i] as Capture);
      const first = lengths.findIndex((one) => one.includes(255));
      assert.ok(first > 0 && lengths.slice(0, first).every((one) => one.length === 0), JSON.stringify(lengths));
    }
  });

  await step("V4-4.7.1-05, V4-4.7.1-06: link-local packets pass, of both nodes", async () => {
    for (const { namespace } of nodes) await reaches(namespace as Node, `${HOME_AGENT_LINK_LOCAL}%${NODE_DEVICE}`);
    for (const one of LINK_LOCALS) await reaches(agent.namespace as Node, `${one}%${HOME_AGENT_DEVICE}`);
    const ways = ipv6Ways(captures[0] as Capture);
    assert.ok(ways.length >= 4);
    for (const way of ways) assert.match(way, THROUGH_HOME, "in the tunnel to the home address alone");
  });

  await step(
    "V4-2.1-02, V4-4.7.1-01, V4-4.7.1-07: what is delegated is registered, whatever client it is",
    async () => {
      wide = world.startWide();
      world.startDhcpcd();
      for (const [i, home] of HOMES.entries()) {
        const prefix = await waitFor(() => world.delegatedTo(home), { what: `a prefix of ${home}`, timeout: 60_000 });
        assert.match(prefix, /^2001:db8:d000:/);
        prefixes.push(prefix);
        assert.match(await world.route(prefix), /dev dsmip-o/);
        const lengths = asked(captures[i] as Capture);
        assert.ok(lengths.some((one) => one.includes(Number(prefix.split("/")[1]))));
      }
      // wide-dhcpv6-client leaves nothing of a prefix but the networks that it has made of it.
      assert.deepEqual(
        prefixes.map((one) => one.split("/")[1]),
        ["64", "60"],
      );
      assert.notEqual(prefixes[0]?.split("/")[0], prefixes[1]?.split("/")[0]);
    },
  );

  const lan = ({ namespace }: Daemon): string => {
    const found = namespace.ipJson("-6 address show dev lan scope global") as { addr_info?: { local: string }[] }[];
    return found.flatMap(({ addr_info = [] }) => addr_info)[0]?.local ?? "";
  };
  const addresses: string[] = [];

  await step("hosts behind both nodes reach everybody, and are reached", async () => {
    for (const [i, node] of nodes.entries()) {
      const router = await waitFor(() => lan(node), { what: "an address on the link behind the node" });
      const address = `${router.slice(0, router.lastIndexOf("::"))}::2`;
      addresses.push(address);
      hosts[i]?.ip(`address add ${address}/64 dev eth0`, `route add ::/0 via ${router}`);
    }
    const [one = "", two = ""] = addresses;
    for (const host of hosts) await reaches(host, CORRESPONDENT);
    for (const address of addresses) await reaches(correspondent, address);
    await reaches(hosts[0], two);
    await reaches(hosts[1], one);
  });

  await step("V4-5-02: another node's prefix is no source", async () => {
    const [first] = nodes;
    const stolen = `${(addresses[1] ?? "").slice(0, -1)}9`;
    const spoofed = async (): Promise<number> => (await agent.kernelCounters())["spoofed-ipv4"] ?? 0;
    const before = await spoofed();
    first.namespace.ip(`address add ${stolen}/128 dev lo`, `route add ${CORRESPONDENT}/128 dev ${NODE_DEVICE}`);
    const seen = await world.net.capture(correspondent, "eth0", `icmp6 and src host ${stolen}`);
    await waitFor(
      async () => {
        assert.equal(await answers(first.namespace as Node, CORRESPONDENT, "-I", stolen), false);
        return (await spoofed()) > before;
      },
      { what: "a dropped packet", timeout: 10_000 },
    );
    assert.deepEqual(seen.frames(), []);
    first.namespace.ip(`address del ${stolen}/128 dev lo`, `route del ${CORRESPONDENT}/128 dev ${NODE_DEVICE}`);
  });

  await step("a home agent that is killed and started again has all of it", async () => {
    const sent = captures.map((one) => asked(one).length);
    await agent.process.stop("SIGKILL");
    for (const host of hosts) await reaches(host, CORRESPONDENT);
    await agent.start();
    for (const [i, home] of HOMES.entries()) assert.equal(await world.delegatedTo(home), prefixes[i]);
    for (const host of hosts) await reaches(host, CORRESPONDENT);
    for (const address of addresses) await reaches(correspondent, address);
    assert.deepEqual((await agent.audit()).differences, []);
    assert.deepEqual(
      captures.map((one) => asked(one).length),
      sent,
    );
  });

  await step("V4-4.8-03: what the client has given back is registered no more", async () => {
    const [prefix = ""] = prefixes;
    await wide?.stop("SIGTERM");
    await waitFor(async () => (await world.route(prefix)) === "", { what: "the end of the route", timeout: 20_000 });
    assert.equal(await world.delegatedTo(HOMES[0]), undefined);
    await reaches(hosts[1], CORRESPONDENT);
  });
});
