/**
 * A foreign agent with strict reverse-path filters and without IPv6, two home agents, and a visitor of each; both visitors have the same home
 * address. Nodes and home agents are scripted; the daemon is dsmipd.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { fromHex } from "../../../controller/base/bytes.js";
import { type Ipv4Address, ipv4 } from "../../../controller/base/ip.js";
import { linkAddressOctets } from "../../../controller/base/link-address.js";
import { Secret } from "../../../controller/base/secret.js";
import { fetchDocument } from "../../../controller/control/client.js";
import { authenticateWith } from "../../../controller/daemon/mip4/authenticators.js";
import { ETH_P_IP, PACKET_OUTGOING } from "../../../controller/io/constants.js";
import type { IpPacket } from "../../../controller/io/ip/ip-socket.js";
import { PacketSocket } from "../../../controller/io/ip/packet-socket.js";
import { openUdpSocket } from "../../../controller/io/ip/udp-socket.js";
import { decodeIpv4Packet, encodeIpv4Packet, ipv4Header } from "../../../controller/wire/ip/ipv4.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import { decodeUdp, encodeUdp } from "../../../controller/wire/ip/udp.js";
import {
  decodeAgentDiscovery,
  type RouterAdvertisement,
} from "../../../controller/wire/mip4/messages/agent-discovery.js";
import { encodeAuthenticated } from "../../../controller/wire/mip4/messages/authenticated-octets.js";
import {
  decodeControlMessage,
  type RegistrationMessage,
} from "../../../controller/wire/mip4/messages/control-message.js";
import { requestFlags } from "../../../controller/wire/mip4/messages/registration.js";
import { MIP4_PORT } from "../../../controller/wire/mip4/registry.js";
import { commandDocument, visitorsDocument } from "../../../schemas/control.js";
import { Daemon } from "../lib/daemons.js";
import { MOBILE_HOME, NOWHERE, ScriptedVisitors, type VisitorRequest } from "../lib/mip4-visitors.js";
import { bridge, type Node, Topology } from "../lib/topology.js";
import { waitFor } from "../lib/wait.js";

const COA = ipv4("203.0.113.10");
const LINK = ipv4("192.0.2.1");
const HOA = ipv4("10.9.0.5");
const AGENTS = [ipv4("203.0.113.1"), ipv4("203.0.113.2")] as const;
const PROFILE = { dscp: 46, ttl: 9, mtu: 1300 } as const;
/** Of the two nodes the one that asks for GRE. */
const GRE_NODE = 1;
const KEY = { algorithm: "hmac-md5", key: new Secret(fromHex("000102030405060708090a0b0c0d0e0f")) } as const;
const FOREIGN_HOME = "ffeeddccbbaa99887766554433221100";
/** Of nodes for whose sake a home agent does not do as it ought to. */
const MISTREATED = { wrongKey: ipv4("10.9.0.68"), bare: ipv4("10.9.0.71") } as const;
/** Somebody who is there and no home agent. */
const NO_AGENT = ipv4("203.0.113.50");

const encode = (message: RegistrationMessage): Uint8Array =>
  encodeAuthenticated(
    message,
    authenticateWith(() => KEY),
  );

/** A mobile node below IP: it has no address on the link, and hears what is sent to its link-layer address. */
class ScriptedNode {
  readonly advertisements: RouterAdvertisement[] = [];
  readonly replies: { readonly destination: Ipv4Address; readonly source: Ipv4Address; readonly code: number }[] = [];
  readonly #socket: PacketSocket;
  readonly #index: number;
  readonly #agent: Uint8Array;
  readonly #gre: boolean;
  #serial = 0;

  constructor(node: Node, agent: Uint8Array, gre: boolean) {
    this.#agent = agent;
    this.#gre = gre;
    this.#index = (node.ipJson("link show dev eth0") as { readonly ifindex: number }[])[0]?.ifindex ?? 0;
    this.#socket = PacketSocket.open({ type: "dgram", protocol: ETH_P_IP, netns: node.path });
    this.#socket.listen({
      onFrames: (frames) => {
        for (const { data, packetType } of frames) if (packetType !== PACKET_OUTGOING) this.#hear(data);
      },
      onError: () => undefined,
    });
  }

  #hear(data: Uint8Array): void {
    const packet = decodeIpv4Packet(data);
    if (!packet.ok) return;
    const { header, payload } = packet.value;
    if (header.protocol === Protocol.icmp) {
      const message = decodeAgentDiscovery(payload);
      if (message.ok && message.value.type === "router-advertisement") this.advertisements.push(message.value);
    }
    if (header.protocol !== Protocol.udp) return;
    const datagram = decodeUdp(payload, header);
    const message = datagram.ok ? decodeControlMessage(datagram.value.payload) : undefined;
    if (message?.ok === true && message.value.type === "registration-reply")
      this.replies.push({ destination: header.destination, source: header.source, code: message.value.code });
  }

  /** From its home address to the agent's, which is no neighbour of it. */
  ask(homeAgent: Ipv4Address, lifetimeSeconds = 300): void {
    const request = encode({
      type: "registration-request",
      flags: requestFlags({ reverseTunnelling: true, gre: this.#gre }),
      lifetimeSeconds,
      homeAddress: HOA,
      homeAgent,
      careOfAddress: COA,
      identification: { high: 1, low: ++this.#serial },
      extensions: [MOBILE_HOME],
    });
    const addresses = { source: HOA, destination: LINK };
    const ports = { sourcePort: MIP4_PORT, destinationPort: MIP4_PORT };
    const payload = encodeUdp({ ...ports, payload: request }, addresses);
    const header = ipv4Header({ ...addresses, protocol: Protocol.udp, timeToLive: 255 });
    const data = encodeIpv4Packet({ header, payload });
    this.#socket.send([{ data, interfaceIndex: this.#index, protocol: ETH_P_IP, destination: this.#agent }]);
  }

  /** Asks until it is answered: the first word may be lost. */
  async register(homeAgent: Ipv4Address, lifetimeSeconds?: number): Promise<void> {
    const before = this.replies.length;
    let asked = 0;
    await waitFor(
      () => {
        if (this.replies.length > before) return true;
        if (asked++ % 50 === 0) this.ask(homeAgent, lifetimeSeconds);
        return false;
      },
      { what: `a reply of ${homeAgent}`, timeout: 15_000 },
    );
    assert.deepEqual(this.replies.at(-1), { destination: HOA, source: LINK, code: 0 });
  }

  close(): void {
    this.#socket.close();
  }
}

/** "source>destination protocol" of an IPv4 packet, and of the one in it. */
function headersOf(octets: Uint8Array): string {
  const packet = decodeIpv4Packet(octets);
  if (!packet.ok) return "";
  const { header, payload } = packet.value;
  const own = `${header.source}>${header.destination} ${header.protocol}`;
  return header.protocol === Protocol.ipv4 ? `${own} ${headersOf(payload)}` : own;
}

/** What comes in on the links of a machine, and how. */
function heardBy(node: Node) {
  const headers = new Set<string>();
  const fields = new Set<string>();
  const socket = PacketSocket.open({ type: "dgram", protocol: ETH_P_IP, netns: node.path });
  socket.listen({
    onFrames: (frames) => {
      for (const { data } of frames) {
        headers.add(headersOf(data));
        const packet = decodeIpv4Packet(data);
        if (!packet.ok) continue;
        const { source, destination, protocol, trafficClass, timeToLive, dontFragment } = packet.value.header;
        fields.add(`${source}>${destination} ${protocol} tos ${trafficClass} ttl ${timeToLive} df ${dontFragment}`);
      }
    },
    onError: () => undefined,
  });
  return { headers, fields, close: () => socket.close() };
}

/** Accepts whatever it is asked for. */
function scriptedHomeAgent(node: Node, address: Ipv4Address) {
  const requests: IpPacket<Ipv4Address>[] = [];
  const socket = openUdpSocket({ family: 4, port: MIP4_PORT, netns: node.path });
  socket.listen({
    onPackets: (packets) => {
      for (const packet of packets) {
        const message = decodeControlMessage(packet.data);
        if (!message.ok || message.value.type !== "registration-request") continue;
        requests.push(packet);
        const { lifetimeSeconds, homeAddress, identification, homeAgent } = message.value;
        const fields = { lifetimeSeconds, homeAddress, identification, homeAgent };
        const foreign = { ...MOBILE_HOME, kind: "foreign-home-authentication", spi: 300 } as const;
        const own = homeAddress === MISTREATED.bare ? [] : [MOBILE_HOME];
        const extensions = address === AGENTS[0] && lifetimeSeconds > 0 ? [...own, foreign] : own;
        const foreignHome = homeAddress === MISTREATED.wrongKey ? KEY.key : new Secret(fromHex(FOREIGN_HOME));
        const data = encodeAuthenticated(
          { type: "registration-reply", code: 0, ...fields, extensions },
          authenticateWith(({ spi }) => (spi === 300 ? { ...KEY, key: foreignHome } : KEY)),
        );
        socket.send([{ data, source: address, destination: packet.source, destinationPort: packet.sourcePort }]);
      }
    },
    onError: () => undefined,
  });
  return { requests, close: () => socket.close() };
}

test("a foreign agent", async (t) => {
  const net = new Topology(t);
  const agents = AGENTS.map((_, i) => net.node(`ha${i + 1}`));
  const fa = net.node("fa", {
    sysctl: {
      "net.ipv6.conf.all.disable_ipv6": 1,
      "net.ipv6.conf.default.disable_ipv6": 1,
      "net.ipv4.conf.all.rp_filter": 1,
      "net.ipv4.conf.default.rp_filter": 1,
    },
  });
  const nodes = AGENTS.map((_, i) => net.node(`v${i + 1}`));
  const [inet, sw] = [net.node("inet"), net.node("sw")];
  for (const [i, agent] of agents.entries()) net.link(agent.port("wan", `${AGENTS[i]}/24`), inet.port(`ha${i}`));
  net.link(fa.port("wan", `${COA}/24`), inet.port("fa"));
  net.link(fa.port("visit", `${LINK}/24`), sw.port("fa"));
  for (const [i, node] of nodes.entries()) net.link(node.port("eth0"), sw.port(`v${i}`));
  inet.also(
    ...bridge("br0"),
    ...["ha0", "ha1", "fa"].map((port) => `link set ${port} master br0`),
    `address add ${NO_AGENT}/24 dev br0`,
    "route add unreachable 198.18.1.0/24",
    "route add prohibit 198.18.2.0/24",
  );
  sw.also(...bridge("br0"), ...["v0", "v1", "fa"].map((port) => `link set ${port} master br0`));
  net.build();

  const [visit] = fa.ipJson("link show dev visit") as { readonly address: string }[];
  const agentMac = visit?.address ?? "";
  const keyFile = join(net.scratch, "fa-keys.yaml");
  writeFileSync(
    keyFile,
    [
      "mip4:",
      `  - { association: foreign-home, foreignAgent: ${COA}, homeAgent: ${AGENTS[0]}, spi: 300, algorithm: hmac-md5, key: ${FOREIGN_HOME} }`,
      `  - { association: mobile-foreign, node: 10.9.0.9, foreignAgent: ${LINK}, spi: 301, algorithm: hmac-md5, key: ${FOREIGN_HOME} }`,
      "",
    ].join("\n"),
    { mode: 0o600 },
  );
  const daemon = new Daemon(
    fa,
    { directory: net.scratch, keyFile },
    {
      role: "foreign-agent",
      foreignAgent: {
        careOfAddress: COA,
        links: [
          { interface: "visit", address: `${LINK}/24`, advertisementIntervalSeconds: 1, registrationRequired: true },
        ],
        mostVisitors: 2,
      },
      tunnelProfile: PROFILE,
    },
  );
  const homes = agents.map((agent, i) => scriptedHomeAgent(agent, AGENTS[i] as Ipv4Address));
  const visitors = nodes.map((node, i) => new ScriptedNode(node, linkAddressOctets(agentMac), i === GRE_NODE));
  const crowd = new ScriptedVisitors({
    node: nodes[0] as Node,
    device: "eth0",
    agent: { address: LINK, linkAddress: agentMac, careOfAddress: COA },
    defaults: { homeAddress: ipv4("10.9.0.20"), homeAgent: AGENTS[0] },
    keyOf: () => KEY,
  });
  const [atAgent, atNode] = [heardBy(fa), heardBy(nodes[0] as Node)];
  const atHomes = agents.map(heardBy);
  t.after(() => {
    for (const one of [...homes, ...visitors, ...atHomes, crowd, atAgent, atNode]) one.close();
  });
  const list = async () => visitorsDocument.parse(await fetchDocument(daemon.socketPath, "/visitors")).visitors;
  const ping = (node: Node, to: string, ...more: readonly string[]): Promise<string> =>
    waitFor(() => node.runAsync("ping", "-n", "-c1", "-W1", ...more, to).catch(() => undefined), {
      what: `an echo of ${to} in ${node.label}`,
      timeout: 10_000,
    });
  await daemon.start();

  await t.test("it advertises itself: number 0 first, its care-of address, TTL 1", async () => {
    const [first] = await waitFor(() => visitors[0]?.advertisements.length && visitors[0].advertisements, {
      what: "an advertisement",
    });
    assert.equal(first?.code, 16);
    const [agent] = first?.extensions ?? [];
    assert.ok(agent?.kind === "mobility-agent-advertisement");
    assert.deepEqual(agent.careOfAddresses, [COA]);
    assert.ok(agent.sequence < 256);
    const { registrationRequired, busy, foreignAgent, gre } = agent.flags;
    assert.deepEqual([registrationRequired, busy, foreignAgent, gre], [true, false, true, true]);
  });

  const unanswered = crowd.newcomer();
  await t.test("what it refuses, and with which code", async () => {
    fa.ip("neigh add 203.0.113.51 lladdr 02:00:00:00:00:51 nud permanent dev wan");
    crowd.send(unanswered, { homeAgent: ipv4("203.0.113.51") });
    const codes = async (...cases: readonly (readonly [code: number, request: VisitorRequest])[]): Promise<void> => {
      const found = await Promise.all(cases.map(([, request]) => crowd.ask(request)));
      assert.deepEqual(
        found.map(({ code }) => code),
        cases.map(([code]) => code),
      );
    };
    await codes(
      [65, { homeAddress: LINK, source: ipv4("10.9.0.20") }],
      [67, { homeAddress: ipv4("10.9.0.9") }],
      [68, { homeAddress: MISTREATED.wrongKey }],
      [69, { lifetimeSeconds: 65535 }],
      [70, { flags: { reserved: true } }],
      [70, { extensions: [] }],
      [71, { homeAddress: MISTREATED.bare, homeAgent: AGENTS[1] }],
      [72, { flags: { minimalEncapsulation: true } }],
      [76, { timeToLive: 254 }],
      [77, { careOfAddress: ipv4("203.0.113.11") }],
      [79, { extensions: [MOBILE_HOME, { kind: "encapsulating-delivery" }] }],
      [80, { homeAgent: ipv4("198.18.0.1") }],
      [82, { homeAgent: NO_AGENT }],
      [97, { homeAddress: NOWHERE }],
      [194, { homeAgent: COA }],
    );
    fa.ip(`route add default via ${NO_AGENT}`);
    inet.run("sysctl", "-qw", "net.ipv4.ip_forward=1");
    await codes(
      [80, { homeAgent: ipv4("198.18.3.1") }],
      [81, { homeAgent: ipv4("198.18.1.1") }],
      [88, { homeAgent: ipv4("198.18.2.1") }],
    );
    assert.deepEqual(await list(), []);
  });

  await t.test(
    "a request with a wrong UDP checksum is counted and nothing else; one without a checksum would do",
    async () => {
      const { malformed = 0 } = (await daemon.status()).counters.dropped;
      const node = crowd.newcomer();
      crowd.send(node, { checksumError: 1, flags: { reserved: true } });
      await waitFor(async () => ((await daemon.status()).counters.dropped["malformed"] ?? 0) > malformed, {
        what: "a malformed request to be counted",
      });
      assert.deepEqual(crowd.repliesTo(node), []);
    },
  );

  await t.test("two nodes with one home address register, each with its home agent", async () => {
    for (const [i, homeAgent] of AGENTS.entries()) await visitors[i]?.register(homeAgent);
    assert.deepEqual(
      (await list()).map(({ homeAddress, homeAgent, device }) => [homeAddress, homeAgent, device]),
      AGENTS.map((homeAgent) => [HOA, homeAgent, "visit"]),
    );
    const [request] = homes[0]?.requests ?? [];
    assert.deepEqual([request?.source, request?.destination], [COA, AGENTS[0]]);
    const message = decodeControlMessage(request?.data ?? new Uint8Array(0));
    assert.ok(message.ok && message.value.type === "registration-request");
    assert.deepEqual(
      message.value.extensions.map(({ kind }) => kind),
      ["mobile-home-authentication", "foreign-home-authentication"],
    );
  });

  await t.test("V4-4.4-01, V4-2.3-02: payload in the kernel, both ways, IPv6 to the home address too", async () => {
    agents.forEach((agent, i) => {
      agent.ip(
        `link add tofa type ${i === GRE_NODE ? "gre" : "ipip"} local ${AGENTS[i]} remote ${COA}`,
        "link set tofa up",
        "address add 10.9.0.1/32 dev tofa",
        `route add ${HOA}/32 dev tofa`,
        `link add hoa type sit local ${AGENTS[i]} remote ${HOA}`,
        "link set hoa mtu 1280 up",
        "address add 2001:db8:9::1/64 dev hoa nodad",
      );
      nodes[i]?.ip(
        `address add ${HOA}/32 dev eth0`,
        `neigh add ${LINK} lladdr ${agentMac} nud permanent dev eth0`,
        `route add default via ${LINK} dev eth0 onlink src ${HOA}`,
        `link add hoa type sit local ${HOA} remote ${AGENTS[i]}`,
        "link set hoa mtu 1280 up",
        "address add 2001:db8:9::2/64 dev hoa nodad",
      );
    });
    daemon.process.kill("SIGSTOP");
    try {
      for (const node of nodes) {
        await ping(node, "10.9.0.1", "-I", HOA, "-Q", "2", "-M", "do");
        await ping(node, "10.9.0.1", "-I", HOA, "-Q", "2", "-M", "dont");
        // The flow label's first bits are where an IPv4 header would have its ECN.
        await ping(node, "2001:db8:9::1", "-6", "-F", "20000", "-Q", "1");
      }
      for (const agent of agents) await ping(agent, HOA, "-I", "10.9.0.1");
    } finally {
      daemon.process.kill("SIGCONT");
    }
    for (const [i, { fields }] of atHomes.entries()) {
      const outer = `${COA}>${AGENTS[i]} ${i === GRE_NODE ? 47 : 4}`;
      const wanted = ["tos 186 ttl 9 df true", "tos 186 ttl 9 df false", "tos 185 ttl 9 df true"];
      const missing = wanted.filter((one) => !fields.has(`${outer} ${one}`));
      assert.deepEqual(missing, [], [...fields].join("; "));
    }
    const inner = `${AGENTS[0]}>${HOA} 41`;
    await waitFor(() => atAgent.headers.has(`${AGENTS[0]}>${COA} 4 ${inner}`) && atNode.headers.has(inner), {
      what: `IPv6 for the home address in the tunnel and on the visited link: ${[...atAgent.headers].join("; ")}`,
    });
    const neighbours = fa.ipJson("neigh show dev visit").map(({ dst }) => String(dst));
    assert.ok(!neighbours.includes(HOA), `nobody asks for a home address: ${neighbours.join(" ")}`);
    assert.equal((await daemon.audit()).differences.length, 0);
    assert.match(fa.run("nft", "list", "table", "inet", "dsmipd"), /@home-agents/, "people can list the table");
  });

  await t.test("two are as many as it takes: B in its advertisements, code 66, and no harm done to those", async () => {
    assert.equal((await crowd.ask({})).code, 66);
    await waitFor(
      () =>
        visitors[0]?.advertisements
          .at(-1)
          ?.extensions.some((one) => one.kind === "mobility-agent-advertisement" && one.flags.busy),
      { what: "an advertisement with B" },
    );
    assert.equal(
      (await crowd.ask({ homeAddress: HOA, homeAgent: AGENTS[0], low: 1, flags: { reserved: true } })).code,
      70,
    );
    await ping(nodes[0] as Node, "10.9.0.1", "-I", HOA);
  });

  await t.test("what another home agent sends to a visitor, and another node in its name, is dropped", async () => {
    const before = await daemon.kernelCounters();
    const [, second] = nodes;
    second?.ip("address add 10.9.0.6/32 dev eth0");
    second?.run("bash", "-c", "ping -n -c1 -W1 -I 10.9.0.6 10.9.0.1 || true");
    agents[1]?.ip("route add 10.9.0.7/32 dev tofa");
    agents[1]?.run("bash", "-c", "ping -n -c1 -W1 10.9.0.7 || true");
    // In a tunnel that was not agreed on, and with a key.
    for (const [i, kind] of ["ipip", "gre key 5"].entries()) {
      agents[1]?.ip(
        `link add bad${i} type ${kind} local ${AGENTS[1]} remote ${COA}`,
        `link set bad${i} up`,
        `address add 10.9.0.1/32 dev bad${i}`,
        `route add ${HOA}/32 dev bad${i} metric ${i + 10}`,
      );
      agents[1]?.run("bash", "-c", `ping -n -c1 -W1 -I bad${i} ${HOA} || true`);
    }
    const wanted = ["not-a-visitor", "spoofed-gre", "spoofed-ipv4", "bad-gre"] as const;
    await waitFor(
      async () => {
        const now = await daemon.kernelCounters();
        return wanted.every((one) => (now[one] ?? 0) > (before[one] ?? 0));
      },
      { what: `all of ${wanted.join(", ")} to be counted` },
    );
  });

  await t.test("who waits in vain for a home agent is told so: code 78", async () => {
    const [answer] = await waitFor(() => crowd.repliesTo(unanswered).length > 0 && crowd.repliesTo(unanswered), {
      what: "the answer in the home agent's place",
      timeout: 10_000,
    });
    assert.equal(answer?.code, 78);
  });

  await t.test("killed and started again it has its visitors; who de-registers is none", async () => {
    await daemon.kill();
    await daemon.start();
    assert.equal((await list()).length, 2);
    await visitors[0]?.register(AGENTS[0], 0);
    assert.deepEqual(
      (await list()).map(({ homeAgent }) => homeAgent),
      [AGENTS[1]],
    );
    await ping(nodes[1] as Node, "10.9.0.1", "-I", HOA);
  });

  await t.test("an operator ends a visit: the kernel has let go when the command is over", async () => {
    const command = `/commands/remove-visitor?homeAddress=${HOA}`;
    const done = commandDocument.parse(await fetchDocument(daemon.socketPath, command, { method: "POST" }));
    assert.equal(done.nodes, 1);
    assert.deepEqual(await list(), []);
    const left =
      JSON.stringify(fa.ipJson("route show table all")) + JSON.stringify(fa.ipJson("neigh show nud permanent"));
    assert.ok(!left.includes(HOA) && !left.includes("240.43."), left);
    await assert.rejects(fetchDocument(daemon.socketPath, command, { method: "POST" }), /is no visitor here/);
  });

  await daemon.stop();
  assert.ok(!fa.run("ip", "rule").includes("418"), "nothing of it is left");
});
