/**
 * A mobile node of Mobile IPv4 with a scripted home agent and a scripted foreign agent: what it asks, when, and by which way, in octets from
 * the wire; and that nothing convinces it but its home agent's key. The data path has tests of its own.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { stringify } from "yaml";
import { fromHex } from "../../../controller/base/bytes.js";
import { ipv4, ipv6 } from "../../../controller/base/ip.js";
import { Secret } from "../../../controller/base/secret.js";
import { seq16 } from "../../../controller/base/seq16.js";
import { verdictOn } from "../../../controller/daemon/mip4/authenticators.js";
import { timeOfDay } from "../../../controller/daemon/mip4/time-of-day.js";
import { ETH_P_ALL, ETH_P_ARP, ETH_P_IP, PACKET_OUTGOING } from "../../../controller/io/constants.js";
import { type Frame, PacketSocket } from "../../../controller/io/ip/packet-socket.js";
import { decodeIpv4Packet, encodeIpv4Packet, ipv4Header } from "../../../controller/wire/ip/ipv4.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import { decodeUdp, encodeUdp } from "../../../controller/wire/ip/udp.js";
import { encodeAgentDiscovery } from "../../../controller/wire/mip4/messages/agent-discovery.js";
import { authenticationsOf } from "../../../controller/wire/mip4/messages/authenticated-octets.js";
import { AgentFlag, MIP4_PORT, ReplyCode } from "../../../controller/wire/mip4/registry.js";
import { Daemon } from "../lib/daemons.js";
import {
  ASSOCIATION,
  KEY,
  MOBILE_HOME,
  readRequest,
  replyTo,
  ScriptedHomeAgent,
} from "../lib/scripted-mip4-home-agent.js";
import { type Node, Topology } from "../lib/topology.js";
import { waitFor } from "../lib/wait.js";

const HA = ipv4("203.0.113.1");
const HOA = ipv4("198.51.100.10");
const COA = ipv4("203.0.114.7");
const FA = ipv4("192.0.2.1");
const PREFIX = "2001:db8:5::/48";
const FORGED = { ...ASSOCIATION, key: new Secret(fromHex("ff".repeat(16))) };
/** "Accepted, to the care-of address", of the node's prefix. */
const TO_CARE_OF = { kind: "ipv6-prefix-reply", code: 1, prefixLength: 48, prefix: ipv6("2001:db8:5::") } as const;
const HOME_TUNNEL = "dsmip-th";
const YEAR_MS = 366 * 24 * 3600 * 1000;

/** A router of the visited link that takes visitors, and everything that the node sends there. */
class ForeignAgent {
  readonly frames: { readonly protocol: number; readonly data: Uint8Array; readonly source: Uint8Array }[] = [];
  readonly #socket: PacketSocket;
  readonly #index: number;
  #sequence = 0;

  constructor(t: TestContext, node: Node, device: string) {
    this.#index = Number(node.ipJson(`link show dev ${device}`)[0]?.["ifindex"]);
    const options = { type: "dgram", protocol: ETH_P_ALL, interfaceIndex: this.#index, netns: node.path } as const;
    this.#socket = PacketSocket.open(options);
    t.after(() => this.#socket.close());
    this.#socket.listen({
      onFrames: (frames: readonly Frame[]) => {
        for (const { protocol, data, source, packetType } of frames)
          if (packetType !== PACKET_OUTGOING)
            this.frames.push({ protocol, data: data.slice(), source: source.slice() });
      },
      onError: () => undefined,
    });
  }

  advertise(): void {
    const flags = Object.fromEntries(Object.keys(AgentFlag).map((key) => [key, key === "foreignAgent"])) as never;
    const payload = encodeAgentDiscovery({
      ...{ type: "router-advertisement", code: 0, lifetimeSeconds: 1800, routers: [] },
      extensions: [
        {
          kind: "mobility-agent-advertisement",
          ...{ sequence: seq16(this.#sequence++), registrationLifetimeSeconds: 300, flags, careOfAddresses: [FA] },
        },
      ],
    });
    const header = ipv4Header({ source: FA, destination: ipv4("224.0.0.1"), protocol: Protocol.icmp, timeToLive: 1 });
    this.#send(encodeIpv4Packet({ header, payload }), fromHex("01005e000001"));
  }

  reply(data: Uint8Array, to: Uint8Array): void {
    const ports = { sourcePort: MIP4_PORT, destinationPort: MIP4_PORT };
    const ends = { source: FA, destination: HOA };
    const payload = encodeUdp({ ...ports, payload: data }, ends);
    this.#send(encodeIpv4Packet({ header: ipv4Header({ ...ends, protocol: Protocol.udp }), payload }), to);
  }

  /** The requests that the node has sent to it, below IP. */
  get requests() {
    return this.frames.flatMap(({ protocol, data, source: mac }) => {
      const packet = protocol === ETH_P_IP ? decodeIpv4Packet(data) : undefined;
      if (packet?.ok !== true || packet.value.header.destination !== FA) return [];
      const udp = packet.value.header.protocol === Protocol.udp ? decodeUdp(packet.value.payload) : undefined;
      if (udp?.ok !== true || udp.value.destinationPort !== MIP4_PORT) return [];
      const { header } = packet.value;
      return [{ ...readRequest(udp.value.payload, header.source, udp.value.sourcePort), ttl: header.timeToLive, mac }];
    });
  }

  #send(data: Uint8Array, destination: Uint8Array): void {
    this.#socket.send([{ data, interfaceIndex: this.#index, protocol: ETH_P_IP, destination }]);
  }
}

test("F5944-3.6.3-01 F5944-5.7-01 F5944-3.6.2.1-01 V4-4.5-04: a node that nobody answers, whose clock is a year behind, and whose home agent has no IPv6", async (t) => {
  const net = new Topology(t);
  const core = net.node("core", { forwarding: true });
  const ha = net.node("ha");
  const mn = net.node("mn");
  const fa = net.node("fa");
  net.link(ha.port("wan", "203.0.113.1/24"), core.port("ha", "203.0.113.2/24"));
  net.link(mn.port("eth0"), core.port("four", "203.0.114.1/24"));
  net.link(mn.port("eth1"), fa.port("visit", "192.0.2.1/24"));
  ha.route("default via 203.0.113.2");
  net.build();
  const homeAgent = new ScriptedHomeAgent(t, ha, HA);
  const foreignAgent = new ForeignAgent(t, fa, "visit");
  const keyFile = join(net.scratch, "keys.yaml");
  writeFileSync(
    keyFile,
    stringify({ mip4: [{ association: "mobile-home", node: HOA, spi: ASSOCIATION.spi, key: KEY }] }),
    { mode: 0o600 },
  );
  const daemon = new Daemon(
    mn,
    { directory: net.scratch, keyFile },
    {
      role: "mobile-node",
      protocol: "mip4",
      mobileNode: { homeAddress: HOA, homeAgent: HA, homeSubnet: "198.51.100.0/24", prefixes: [PREFIX] },
    },
  );
  await daemon.start({ clockBehind: YEAR_MS });
  assert.equal((await daemon.status()).readiness, "detached");
  mn.ip(`address add ${COA}/24 dev eth0`, "route add default via 203.0.114.1");

  await t.test("F5944-3.3-01 F5944-3.6.1.1-01 F5944-3.6.1.3-01 V4-4.1-03: the request, octet by octet", async (one) => {
    const { request, octets, source, sourcePort } = await waitFor(() => homeAgent.asked[0], { what: "a request" });
    assert.deepEqual([source, sourcePort], [COA, MIP4_PORT]);
    const { homeAddress, careOfAddress, homeAgent: asked, flags } = request;
    assert.deepEqual([homeAddress, careOfAddress, asked], [HOA, COA, HA]);
    assert.deepEqual([flags.decapsulatesItself, flags.reverseTunnelling, flags.gre], [true, true, false]);
    // In front of the authentication, which is the last: the prefix with its length and no bits behind it, one mode, UDP.
    const kinds = request.extensions.map(({ kind }) => kind);
    const wanted = ["ipv6-prefix-request", "ipv6-tunnelling-mode", "udp-tunnel-request", "mobile-home-authentication"];
    assert.deepEqual(kinds, wanted);
    const hex = (from: number, to: number): string => Buffer.from(octets.subarray(from, to)).toString("hex");
    assert.equal(hex(24, 44), `98120130${"20010db80005"}${"00".repeat(10)}`);
    await one.test("V4-4.1-01 V4-4.1-02 V4-4.5-02 V4-4.5-11: with its prefix, and one mode of tunnelling", () => {
      assert.equal(hex(44, 48), "98020300");
      assert.equal(kinds.filter((kind) => kind === "ipv6-tunnelling-mode").length, 1);
    });
    await one.test(
      "F3519-3.1-01 V4-4.9-01 V4-4.9-03: and with UDP, neither forced nor of another encapsulation",
      () => {
        assert.equal(hex(48, 56), "9006000000000000");
      },
    );
    const [authentication] = authenticationsOf(octets);
    assert.ok(authentication !== undefined);
    assert.equal(
      verdictOn(authentication, () => ASSOCIATION),
      "valid",
    );
  });

  await t.test(
    "F5944-3.6.3-01: again after at least a second, then twice as long, each with a later timestamp",
    async () => {
      await waitFor(() => homeAgent.asked.length >= 3, { what: "three requests", timeout: 15_000 });
      const stamps = homeAgent.asked.slice(0, 3).map(({ request: { identification } }) => identification);
      // When each was made: a machine with other work reads them later.
      const [first, second, third] = stamps.map(({ high, low }) => high + low / 2 ** 32) as [number, number, number];
      assert.ok(second - first >= 0.99, `${second - first} s`);
      assert.ok(third - second >= 1.9, `${third - second} s`);
    },
  );

  await t.test(
    "F5944-5.7-01 F5944-3.6.2.1-01: only the home agent's key and the request's own number count; 133 sets the clock",
    async () => {
      const off = timeOfDay().high - homeAgent.latest.request.identification.high;
      assert.ok(off > YEAR_MS / 1000 - 60, `${off} s`);
      homeAgent.answer = (asked) => {
        const now = timeOfDay();
        const { identification } = asked.request;
        homeAgent.send(asked, replyTo(asked.request, {}, FORGED));
        homeAgent.send(
          asked,
          replyTo(asked.request, { identification: { high: 1, low: (identification.low ^ 1) >>> 0 } }),
        );
        if (Math.abs(now.high - identification.high) <= 7) return replyTo(asked.request);
        const told = { high: now.high, low: identification.low };
        return replyTo(asked.request, { code: ReplyCode.identificationMismatch, identification: told });
      };
      await daemon.waitForBinding("a registration", ({ state }) => state === "registered");
      const { dropped } = (await daemon.status()).counters;
      assert.ok((dropped["authentication-failed"] ?? 0) > 0, JSON.stringify(dropped));
      assert.match(daemon.process.log, /clock\.corrected/);
    },
  );

  await t.test(
    "V4-4.5-03 V4-4.5-04 V4-4.5-06: a home agent that says nothing of prefixes has no IPv6, and IPv4 goes on",
    async () => {
      assert.match(daemon.process.log, /ipv6\.unsupported/);
      const [binding] = await daemon.bindings();
      assert.deepEqual([binding?.prefixes, binding?.endpoint], [[], { format: "ipv4", address: COA }]);
      assert.equal((await daemon.audit()).differences.length, 0);
    },
  );

  await t.test(
    "F3024-3.2-01 V4-4.5-12 F5944-4.6-02 V4-4.5-01: at a foreign agent without an address of its own, and without ARP",
    async (one) => {
      mn.ip("address flush dev eth0");
      await waitFor(async () => (await daemon.status()).readiness === "detached", { what: "no network" });
      foreignAgent.advertise();
      const asked = await waitFor(() => foreignAgent.requests.at(-1), { what: "a request to the foreign agent" });
      assert.deepEqual([asked.ttl, asked.source, asked.request.careOfAddress], [255, HOA, FA]);
      assert.equal(asked.request.flags.decapsulatesItself, false);
      assert.ok(asked.request.lifetimeSeconds <= 300, "what the agent takes at most");
      const kinds = asked.request.extensions.map(({ kind }) => kind);
      assert.deepEqual(kinds, ["ipv6-prefix-request", "mobile-home-authentication"]);
      // Whichever request is the latest when this is read.
      await waitFor(
        async () => {
          const last = foreignAgent.requests.at(-1);
          if (last !== undefined)
            foreignAgent.reply(replyTo(last.request, { extensions: [TO_CARE_OF, MOBILE_HOME] }), last.mac);
          return (await daemon.status()).readiness === "registered";
        },
        { what: "a registration at the foreign agent", timeout: 15_000, interval: 200 },
      );
      const arp = foreignAgent.frames.filter(({ protocol }) => protocol === ETH_P_ARP);
      assert.deepEqual(arp, [], "nobody was asked by ARP, nor told");
      await one.test("V4-4.5-10: IPv6 to the agent's care-of address would be IPv6 to the home address", async () => {
        const [binding] = await daemon.bindings();
        assert.deepEqual(binding?.prefixes, [PREFIX]);
        const defaults = mn.ipJson("-6 route show table all default").map(({ dev }) => dev);
        assert.ok(defaults.includes(HOME_TUNNEL), String(defaults));
        const [tunnel] = mn.ipJson(`-details link show dev ${HOME_TUNNEL}`) as unknown as readonly {
          readonly linkinfo: { readonly info_data: { readonly local: string; readonly remote: string } };
        }[];
        const { local, remote } = tunnel?.linkinfo.info_data ?? assert.fail("no tunnel");
        assert.deepEqual([local, remote], [HOA, HA]);
      });
    },
  );

  await t.test(
    "F5944-3.6.1.2-01: back at an address of its own, and the end: lifetime 0, the home address as care-of address",
    async () => {
      mn.ip(`address add ${COA}/24 dev eth0`, "route add default via 203.0.114.1");
      await daemon.waitForBinding("a registration", ({ endpoint }) => endpoint?.address === COA);
      const stamps = homeAgent.asked.map(({ request: { identification } }) => identification);
      assert.equal(new Set(stamps.map(({ high, low }) => `${high} ${low}`)).size, stamps.length, "no number twice");
      await daemon.stop();
      const { request } = homeAgent.latest;
      assert.deepEqual([request.lifetimeSeconds, request.careOfAddress, request.homeAddress], [0, HOA, HOA]);
      assert.deepEqual(
        mn.ipJson("rule").filter(({ protocol }) => protocol === "155"),
        [],
      );
    },
  );
});
