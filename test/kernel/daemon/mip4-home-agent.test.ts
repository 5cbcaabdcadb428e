/**
 * The home agent of Mobile IPv4 with the real daemon, on a machine without an IPv6 address: a scripted node registers from addresses of its own, behind a NAT, in the wrong ways and
 * at home; seen are the replies on the wire, the kernel's objects and the home link.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { fromHex } from "../../../controller/base/bytes.js";
import { type Ipv4Address, ipToBytes, ipv4, ipv6 } from "../../../controller/base/ip.js";
import { Secret } from "../../../controller/base/secret.js";
import { authenticatorOf } from "../../../controller/daemon/mip4/authenticators.js";
import { ETH_P_IPV6 } from "../../../controller/io/constants.js";
import { PacketSocket } from "../../../controller/io/ip/packet-socket.js";
import { ARP_OPERATION, decodeArp, ETHERTYPE } from "../../../controller/wire/ip/arp.js";
import { findExtension, findExtensions } from "../../../controller/wire/mip4/extensions/registration.js";
import { authenticationsOf } from "../../../controller/wire/mip4/messages/authenticated-octets.js";
import { AgentSolicitor } from "../lib/agent-solicitor.js";
import { Daemon } from "../lib/daemons.js";
import { CO_LOCATED, type Heard, Mip4Peer, peerKey } from "../lib/mip4-peer.js";
import { Topology } from "../lib/topology.js";
import { waitFor } from "../lib/wait.js";

const HA = ipv4("203.0.113.1");
const [ALICE, BOB, CAROL, DAVE] = [10, 11, 12, 13].map((host) => ipv4(`198.51.100.${host}`)) as [
  Ipv4Address,
  Ipv4Address,
  Ipv4Address,
  Ipv4Address,
];
const DAVES_NAME = "dave@example.org";
const ACCEPTED = 1;
const FOREIGN_AGENT = ipv4("203.0.113.4");
const FOREIGN_AGENT_KEY = peerKey(3);
const PREFIX = "2001:db8:5::/48";
const SECOND_PREFIX = "2001:db8:5501::/48";
const CAROLS_PREFIX = "2001:db8:6::/48";
const UNTIL = { timeout: 15_000 };

test("V4-4.3-01: the home agent of Mobile IPv4", async (t) => {
  const net = new Topology(t);
  const ha = net.node("ha", { forwarding: true });
  const away = net.node("away");
  const lan = net.node("lan");
  net.link(ha.port("wan", `${HA}/24`), away.port("wan", "203.0.113.2/24", "203.0.113.3/24", "203.0.113.4/24"));
  net.link(ha.port("home", "198.51.100.1/24"), lan.port("eth0", "198.51.100.50/24"));
  net.build();
  const mip4 = [
    { association: "mobile-home", node: ALICE, ...peerKey(1) },
    { association: "mobile-home", node: BOB, ...peerKey(2) },
    { association: "mobile-home", node: CAROL, ...peerKey(4), replay: "nonces" },
    { association: "mobile-home", node: DAVE, ...peerKey(5) },
    { association: "foreign-home", foreignAgent: FOREIGN_AGENT, homeAgent: HA, ...FOREIGN_AGENT_KEY },
  ];
  writeFileSync(join(net.scratch, "keys.yaml"), JSON.stringify({ mip4 }), { mode: 0o600 });
  const daemon = new Daemon(
    ha,
    { directory: net.scratch, keyFile: "keys.yaml" },
    {
      role: "home-agent",
      homeAgent: {
        addresses: { ipv4: HA },
        homeLink: { interface: "home", prefixes: ["198.51.100.0/24"] },
        previousCareOfGraceSeconds: 0,
        // A slow machine takes long to start a daemon.
        mip4: {
          ...{ maxLifetimeSeconds: 300, replayToleranceSeconds: 600, udp: "refuse", strictReservedBits: true },
          foreignAgents: [FOREIGN_AGENT],
          advertisements: { address: "198.51.100.1/24", advertisementIntervalSeconds: 0, advertisePrefixLength: true },
        },
      },
      subscribers: [
        { ipv4HomeAddress: ALICE, protocols: ["mip4"], prefixes: [PREFIX, SECOND_PREFIX] },
        { ipv4HomeAddress: BOB, protocols: ["mip4"], reverseTunnelling: "required" },
        { ipv4HomeAddress: CAROL, protocols: ["mip4"], prefixes: [CAROLS_PREFIX] },
        { ipv4HomeAddress: DAVE, nai: DAVES_NAME, protocols: ["mip4"], reverseTunnelling: "refused" },
      ],
    },
  );
  const arps: { sender: string; mac: string }[] = [];
  const listening = PacketSocket.open({ type: "dgram", protocol: ETHERTYPE.arp, netns: lan.path });
  listening.listen({
    onFrames: (frames) => {
      for (const { data } of frames) {
        const arp = decodeArp(data);
        if (
          arp.ok &&
          arp.value.operation === ARP_OPERATION.request &&
          arp.value.senderAddress === arp.value.targetAddress
        )
          arps.push({ sender: arp.value.senderAddress, mac: Buffer.from(arp.value.senderMac).toString("hex") });
      }
    },
    onError: () => undefined,
  });
  const ipv6AtHome: Uint8Array[] = [];
  const listening6 = PacketSocket.open({ type: "dgram", protocol: ETH_P_IPV6, netns: lan.path });
  listening6.listen({
    onFrames: (frames) => void ipv6AtHome.push(...frames.map(({ data }) => data.slice())),
    onError: () => undefined,
  });
  t.after(() => {
    listening.close();
    listening6.close();
  });
  const peer = (homeAddress: Ipv4Address, number: number, from: string, port?: number): Mip4Peer => {
    const one = new Mip4Peer(
      away,
      { address: ipv4(from), ...(port !== undefined && { port }) },
      { homeAddress, homeAgent: HA, key: peerKey(number) },
    );
    t.after(() => one.close());
    return one;
  };
  const alice = peer(ALICE, 1, "203.0.113.2");
  const bob = peer(BOB, 2, "203.0.113.3");
  const carol = peer(CAROL, 4, FOREIGN_AGENT);
  const dave = peer(DAVE, 5, "203.0.113.3", 5000);
  const macOf = (node: typeof ha, device: string): string =>
    String(node.ipJson(`link show dev ${device}`)[0]?.["address"]).replaceAll(":", "");
  const routeTo = (home: string) => ha.ipJson(`route show ${home}`)[0];
  const proxies = (): string[] => ha.ipJson("neighbour show proxy dev home").map(({ dst }) => String(dst));
  await daemon.start();

  await t.test("F5944-3.8.3.1-01 F5944-3.8.2.2-01 F5944-4.6-01: a registration binds, and is answered", async () => {
    const { reply, packet, authentic } = await alice.askUntil(ACCEPTED);
    assert.deepEqual(
      [reply.code, reply.lifetimeSeconds, reply.homeAddress, reply.homeAgent, authentic],
      [ACCEPTED, 300, ALICE, HA, true],
      "one binding a node (1), and no longer than is granted here",
    );
    assert.deepEqual([packet.source, packet.sourcePort, packet.destination], [HA, 434, alice.address]);
    assert.match(String(routeTo(ALICE)?.["gateway"]), /203\.0\.113\.2/);
    assert.deepEqual(proxies(), [ALICE]);
    await waitFor(() => arps.some(({ sender, mac }) => sender === ALICE && mac === macOf(ha, "home")), {
      what: "a gratuitous ARP",
      ...UNTIL,
    });
    const [binding] = await daemon.bindings();
    assert.deepEqual(
      [binding?.protocol, binding?.homeAddress, binding?.ipv4HomeAddress, binding?.endpoint],
      ["mip4", ALICE, ALICE, { format: "ipv4", address: alice.address }],
    );
  });

  await t.test(
    "V4-2.3-01 V4-4.3.2-01 V4-4.3.1-01: a plain request registers the node's prefixes, to its home address",
    async () => {
      for (const one of [PREFIX, SECOND_PREFIX]) {
        const [route] = ha.ipJson(`-6 route show ${one}`);
        assert.match(String(route?.["dev"]), /^dsmip-oh/);
        assert.equal(String(route?.["protocol"]), "155", "a routing daemon knows it by the protocol");
      }
      assert.deepEqual((await daemon.bindings())[0]?.mip4?.tunnelling, {
        [PREFIX]: "home-address",
        [SECOND_PREFIX]: "home-address",
      });
    },
  );

  const asksFor = (network: string) => {
    const [address = "", length = ""] = network.split("/");
    return { kind: "ipv6-prefix-request", prefixLength: Number(length), prefix: ipv6(address) } as const;
  };
  const MODE = { kind: "ipv6-tunnelling-mode" } as const;
  const prefixesIn = ({ reply }: Heard): readonly string[] =>
    findExtensions(reply.extensions, "ipv6-prefix-reply").map(
      ({ code, prefix, prefixLength }) => `${prefix}/${prefixLength} ${code}`,
    );
  const FOREIGN_LINK_LOCAL = "fe80::c633:640a/255";

  await t.test(
    "V4-2.3-03 V4-4.3-02 V4-4.3-03 V4-4.3-05: each prefix that is asked for has one answer, with that prefix",
    async (one) => {
      const networks = [
        PREFIX,
        CAROLS_PREFIX,
        PREFIX,
        "::/0",
        "2001:db8:4::/47",
        "2001:db8:5::/129",
        FOREIGN_LINK_LOCAL,
      ];
      const heard = await alice.ask({ extensions: networks.map(asksFor) });
      await one.test(
        "V4-4.2-04 V4-3.2-07 V4-4.3-08: its code tells of that prefix alone, and another's is refused",
        () => {
          assert.equal(heard.reply.code, ACCEPTED);
          assert.deepEqual(prefixesIn(heard), [
            `${PREFIX} 0`,
            `${CAROLS_PREFIX} 9`,
            "::/0 8",
            "2001:db8:4::/47 9",
            "2001:db8:5::/129 8",
            `${FOREIGN_LINK_LOCAL} 9`,
          ]);
        },
      );
      const kinds = heard.reply.extensions.map(({ kind }) => kind);
      assert.equal(kinds.indexOf("mobile-home-authentication"), kinds.length - 1, kinds.join(" "));
      assert.equal(ha.ipJson(`-6 route show ${SECOND_PREFIX}`).length, 0, "what is not repeated is registered no more");
    },
  );

  await t.test("V4-3.1-03: bits after the prefix's length are nothing to it", async () => {
    const octets = alice.request({ extensions: [asksFor(PREFIX)] });
    const [{ covered } = assert.fail("no authentication")] = authenticationsOf(octets);
    const at = Buffer.from(covered).indexOf(ipToBytes(ipv6("2001:db8:5::")));
    octets.set(ipToBytes(ipv6("2001:db8:5:dead::beef")), at);
    const key = new Secret(fromHex(alice.key.key));
    octets.set(authenticatorOf({ algorithm: "hmac-md5", key }, covered), covered.length);
    const before = alice.heard.length;
    alice.send(octets);
    const heard = await waitFor(() => alice.heard[before], { what: "an answer", ...UNTIL });
    assert.deepEqual([heard.reply.code, prefixesIn(heard)], [ACCEPTED, [`${PREFIX} 0`]]);
  });

  await t.test("V4-4.3-04 V4-2.3-04 V4-3.3-02: with the mode extension IPv6 goes to the care-of address", async () => {
    const heard = await alice.ask({ extensions: [asksFor(PREFIX), MODE] });
    assert.deepEqual(prefixesIn(heard), [`${PREFIX} 1`]);
    assert.match(String(ha.ipJson(`-6 route show ${PREFIX}`)[0]?.["gateway"]), /203\.0\.113\.2/);
    assert.deepEqual((await daemon.bindings())[0]?.mip4?.tunnelling, { [PREFIX]: "care-of-address" });
  });

  await t.test("V4-4.3-06 V4-4.8-01: prefixes are registered as long as the node is", async () => {
    const { reply } = await alice.ask({ extensions: [asksFor(PREFIX)], lifetimeSeconds: 1 });
    assert.equal(reply.lifetimeSeconds, 1);
    await waitFor(async () => (await daemon.bindings()).length === 0, { what: "its end", ...UNTIL });
    assert.deepEqual([ha.ipJson(`-6 route show ${PREFIX}`), routeTo(ALICE)], [[], undefined]);
    await alice.askUntil(ACCEPTED);
  });

  await t.test("F5944-3.8.2.1-01: without a right authenticator nobody is told anything", async () => {
    const { heard } = bob;
    bob.send(bob.request({ unauthenticated: true }));
    bob.send(bob.request({ key: { ...bob.key, spi: 9999 } }));
    bob.send(bob.request({ key: { ...bob.key, key: "ff".repeat(16) } }));
    bob.send(Uint8Array.of(1, 2, 3));
    const dropped = async () => (await daemon.status()).counters.dropped;
    await waitFor(
      async () => (await dropped())["authentication-failed"] === 1 && (await dropped())["malformed"] === 1,
      {
        what: "drops",
        ...UNTIL,
      },
    );
    assert.equal((await dropped())["unauthenticated"], 2);
    assert.equal(heard.length, 0);
    assert.equal((await daemon.bindings()).length, 1);
  });

  await t.test(
    "F5944-3.8.2.1-02: to the broadcast address of the home network 136, with the home agent's own",
    async () => {
      away.ip("route replace 198.51.100.255/32 via 203.0.113.1");
      const { reply } = await bob.ask({ to: ipv4("198.51.100.255"), homeAgent: ipv4("198.51.100.255") });
      assert.deepEqual([reply.code, reply.homeAgent], [136, HA]);
    },
  );

  await t.test(
    "F3024-4.3.1-01 V4-4.3.2-05: without the reverse tunnel that is mandatory 138, where there is none 137, minimal encapsulation alone 139",
    async () => {
      assert.equal((await dave.ask()).reply.code, 137);
      assert.equal((await dave.ask({ flags: { decapsulatesItself: true } })).reply.code, ACCEPTED);
      const { reply: without } = await bob.ask({ flags: { decapsulatesItself: true } });
      assert.equal(without.code, 138);
      const { reply: minimal } = await bob.ask({
        extensions: [asksFor(PREFIX)],
        flags: { decapsulatesItself: true, reverseTunnelling: true, minimalEncapsulation: true },
      });
      assert.equal(minimal.code, 139);
    },
  );

  await t.test(
    "F5944-3.8.2.3-01: reserved bits 134 where that is wished, another's home address 129, and one binding a node",
    async () => {
      assert.equal((await bob.ask({ flags: { ...CO_LOCATED, reserved: true } })).reply.code, 134);
      const name = { kind: "network-access-identifier", identifier: Buffer.from(DAVES_NAME) } as const;
      assert.equal((await dave.ask({ extensions: [name], homeAddress: ALICE })).reply.code, 129);
      assert.equal((await dave.ask({ flags: { decapsulatesItself: true, simultaneousBindings: true } })).reply.code, 1);
      const leaving = await dave.ask({ flags: { decapsulatesItself: true }, lifetimeSeconds: 0, careOfAddress: DAVE });
      assert.equal(leaving.reply.code, ACCEPTED);
    },
  );

  await t.test(
    "F3519-3.2-01 F3519-4.6-01 F3519-4.6.1-01: behind a NAT the tunnel is in UDP, to where the request came from",
    async () => {
      const asked = {
        kind: "udp-tunnel-request",
        throughForeignAgent: false,
        forced: false,
        encapsulation: 0,
      } as const;
      const { reply: through } = await bob.askUntil(ACCEPTED, {
        extensions: [{ ...asked, throughForeignAgent: true }],
      });
      const declined = findExtension(through.extensions, "udp-tunnel-reply");
      assert.deepEqual([declined?.code, declined?.forced], [64, false], "R: without UDP");
      const { reply: forced } = await bob.ask({ extensions: [{ ...asked, forced: true }] });
      assert.equal(forced.code, 129, "F is refused by the configuration");
      const behind = { extensions: [asked], careOfAddress: ipv4("10.0.0.2") };
      const { reply: undecided } = await bob.ask({ ...behind, flags: { reverseTunnelling: true } });
      assert.equal(undecided.code, 134, "D is not set");
      const { reply: gre } = await bob.ask({ ...behind, extensions: [{ ...asked, encapsulation: 47 }] });
      assert.equal(gre.code, 142, "GRE in UDP");
      const { reply } = await bob.ask({ extensions: [asked], careOfAddress: ipv4("10.0.0.2") });
      const answer = findExtension(reply.extensions, "udp-tunnel-reply");
      assert.deepEqual([reply.code, answer?.code, answer?.keepaliveSeconds], [ACCEPTED, 0, 110]);
      const binding = (await daemon.bindings()).find(({ homeAddress }) => homeAddress === BOB);
      assert.deepEqual(binding?.endpoint, { format: "udp", address: bob.address, port: 434 });
      assert.equal(binding?.mip4?.careOfAddress, "10.0.0.2");
    },
  );

  await t.test(
    "F5944-3.8.3.3-01: a foreign agent with keys has to use them (132), and is answered under them",
    async (one) => {
      const through = { flags: { reverseTunnelling: true } };
      const nonce = { high: 0, low: 7 };
      assert.equal((await carol.ask({ ...through, identification: nonce })).reply.code, 133, "it has no nonce yet");
      const told = () => ({ ...nonce, high: carol.heard.at(-1)?.reply.identification.high ?? 0 });
      assert.equal((await carol.ask({ ...through, identification: told() })).reply.code, 132);
      const wrong = { ...FOREIGN_AGENT_KEY, key: "ff".repeat(16) };
      const refused = await carol.ask({ ...through, identification: told(), foreignAgentKey: wrong });
      assert.deepEqual([refused.reply.code, refused.authentic], [132, true]);
      let identification = told();
      const extensions = [asksFor(CAROLS_PREFIX), MODE];
      const right = { ...through, extensions, foreignAgentKey: FOREIGN_AGENT_KEY };
      const accepted = await waitFor(
        async () => {
          identification = told();
          const heard = await carol.ask({ ...right, identification });
          return heard.reply.code === ACCEPTED && heard;
        },
        { what: "a registration with a nonce", ...UNTIL },
      );
      const { reply, authentic } = accepted;
      assert.deepEqual([reply.identification.low, authentic], [nonce.low, true]);
      assert.deepEqual(
        reply.extensions.map(({ kind }) => kind).filter((kind) => kind !== "unknown"),
        ["ipv6-prefix-reply", "mobile-home-authentication", "foreign-home-authentication"],
      );
      await one.test("V4-4.3.2-12: at a foreign agent IPv6 is tunnelled to the home address, whatever is asked", () => {
        assert.deepEqual(prefixesIn(accepted), [`${CAROLS_PREFIX} 0`]);
      });
      assert.notEqual(reply.identification.high, identification.high, "a new nonce");
      const used = await carol.ask({ ...right, identification: { ...identification, low: 8 } });
      assert.equal(used.reply.code, 133, "none is good twice");
      const leaving = await carol.ask({ ...right, lifetimeSeconds: 0, identification: told() });
      assert.deepEqual([leaving.reply.code, leaving.reply.lifetimeSeconds], [ACCEPTED, 0]);
    },
  );

  await t.test("F5944-5.7-01: a killed home agent has its bindings still, and takes no timestamp again", async () => {
    const [earlier, later] = [alice.timestamp(), alice.timestamp()];
    assert.equal((await alice.ask({ identification: later })).reply.code, ACCEPTED);
    await daemon.kill();
    assert.match(String(routeTo(ALICE)?.["gateway"]), /203\.0\.113\.2/, "payload goes on");
    await daemon.start();
    assert.deepEqual((await daemon.bindings()).map(({ homeAddress }) => homeAddress).sort(), [ALICE, BOB].sort());
    const { reply } = await alice.ask({ identification: earlier });
    assert.equal(reply.code, 133);
    assert.equal(reply.identification.low, earlier.low);
    assert.ok(Math.abs(reply.identification.high - (Date.now() / 1000 + 2_208_988_800)) < 60, "our time of day");
    assert.equal((await alice.askUntil(ACCEPTED)).reply.lifetimeSeconds, 300);
  });

  await t.test("Mobile IPv4 alone has no socket for Mobility Headers, nor the device of their signalling", () => {
    assert.doesNotMatch(ha.run("cat", "/proc/net/raw6"), /:0087 /u);
    assert.ok(!ha.ipJson("link show").some(({ ifname }) => ifname === "dsmip-sig"));
  });

  await t.test("an operator ends a binding, and the kernel lets go", async () => {
    const command = daemon.dsmipctl("binding", "remove", BOB);
    await command.exited;
    assert.match(command.log, /./);
    assert.deepEqual(
      (await daemon.bindings()).map(({ homeAddress }) => homeAddress),
      [ALICE],
    );
    assert.equal(routeTo(BOB), undefined);
  });

  await t.test("RFC 5944 §2.1, §2.3: who asks on the home link hears that the home agent is there", async () => {
    const host = new AgentSolicitor(t, lan, "eth0");
    const hears = async (source: Ipv4Address) => {
      const before = host.heard.length;
      host.solicit(source);
      return waitFor(() => host.heard[before], { what: `an advertisement for ${source}`, ...UNTIL });
    };
    // A neighbour's address or not; no ARP is needed for the answer.
    const { header, message, checksum, toItself } = await hears(ipv4("10.1.2.3"));
    assert.deepEqual(
      [header.source, header.destination, header.timeToLive, checksum, toItself],
      ["198.51.100.1", "10.1.2.3", 1, true, true],
    );
    assert.deepEqual([message.code, message.lifetimeSeconds], [16, 1800]);
    assert.deepEqual(
      message.routers.map(({ address }) => address),
      ["198.51.100.1", HA],
    );
    const [agent, lengths] = message.extensions;
    assert.ok(agent?.kind === "mobility-agent-advertisement" && lengths?.kind === "prefix-lengths");
    assert.deepEqual([Number(agent.sequence), agent.registrationLifetimeSeconds, agent.careOfAddresses], [0, 300, []]);
    const set = Object.entries(agent.flags).flatMap(([name, isSet]) => (isSet ? [name] : []));
    assert.deepEqual(
      [set, lengths.prefixLengths],
      [
        ["homeAgent", "gre"],
        [24, 32],
      ],
    );
    const second = await hears(ipv4("0.0.0.0"));
    assert.deepEqual([second.header.destination, second.toItself], ["224.0.0.1", false]);
    const counters = (await daemon.status()).counters;
    assert.equal(counters.received["router-solicitation"], 2, JSON.stringify(counters.received));
  });

  await t.test("F5944-4.6-01: at home the node is let go, and its own link-layer address told", async () => {
    lan.ip(`address add ${ALICE}/24 dev eth0`, "route add 203.0.113.1 via 198.51.100.1");
    const atHome = new Mip4Peer(lan, { address: ALICE }, { homeAddress: ALICE, homeAgent: HA, key: alice.key });
    t.after(() => atHome.close());
    const { reply } = await atHome.askUntil(ACCEPTED, { lifetimeSeconds: 0, careOfAddress: ALICE });
    assert.equal(reply.lifetimeSeconds, 0);
    assert.equal(routeTo(ALICE), undefined);
    assert.deepEqual(proxies(), []);
    await waitFor(() => arps.some(({ sender, mac }) => sender === ALICE && mac === macOf(lan, "eth0")), {
      what: "its gratuitous ARP",
      ...UNTIL,
    });
    assert.deepEqual((await daemon.audit()).differences, []);
  });

  await t.test("V4-4.3-07 V4-4.3-09: nobody on the home link is asked for a prefix, nor told of one", () => {
    const prefixes = [PREFIX, SECOND_PREFIX, CAROLS_PREFIX].map((one) =>
      ipToBytes(ipv6(one.replace(/\/.*/u, ""))).subarray(0, 6),
    );
    const named = ipv6AtHome.filter((data) => prefixes.some((one) => Buffer.from(data).includes(Buffer.from(one))));
    assert.deepEqual(named, []);
  });
});
