/**
 * The 2004 profile (draft-soliman-v4v6-mipv6-00) with real daemons at both ends: IPv6, public IPv4, home, IPv4 again; what is on the home
 * agent's wire, with a tunnel profile of its own and an address on loan; who is refused, that real 6to4 addresses are what they were, and
 * that no NAT is passed. A second node is played, and at last a home agent.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import test from "node:test";
import { IPV4_ANY, ipToBytes, ipv4, ipv6 } from "../../../controller/base/ip.js";
import { mappedAddress, provenAddress } from "../../../controller/base/mapped.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import type { MobilityOption } from "../../../controller/wire/mip6/options/mobility.js";
import { encapsulate } from "../lib/craft.js";
import { cross, DIRECTIONS, freshText } from "../lib/exchange.js";
import { layersOfKind } from "../lib/frame.js";
import { describeFrame } from "../lib/frames.js";
import { ALICE, DSMIPCTL, withHomeAddress } from "../lib/hostile.js";
import {
  homeAddressOptionOf,
  ipv4OptionsOf,
  isAnswer,
  isInIpv4,
  isUpdate,
  messagesOf,
  openedOf,
  Played,
  routingHeaderOf,
} from "../lib/mapped-signalling.js";
import { checkTooBig } from "../lib/path-mtu.js";
import { CORRESPONDENT, FAMILIES, HOME_AGENT, type Mobile, Scene } from "../lib/scene.js";
import { optionIn, ScriptedHome } from "../lib/scripted-home.js";
import { Station } from "../lib/station.js";
import { waitFor } from "../lib/wait.js";

const UDP_PORT = 4191;
const PROFILE = { dscp: 46, ttl: 77, mtu: 1350 } as const;
const SOLICITATION = 146;

const short = (address: string): MobilityOption => ({ kind: "ipv4-home-address-2004", address: ipv4(address) });
const answered = (status: number, address: string): MobilityOption => ({
  kind: "ipv4-address-acknowledgement-2004",
  status,
  address: ipv4(address),
});

test("the 2004 profile", async (t) => {
  // The first node's address is the only one on loan: nothing is left for the other one.
  const scene = await Scene.start(t, {
    ipv4Signalling: "soliman2004",
    mobiles: 2,
    profile: PROFILE,
    homeAgent: { duplicateAddressDetection: false, ipv4Pool: { prefixes: ["198.51.100.101/32"] } },
    subscriber: { ipv4HomeAddress: undefined },
    mobileNode: { ipv4HomeAddress: "dynamic", prefixDiscovery: "registration" },
  });
  const { mobile, homeAgent, ha, core } = scene;
  const other = scene.mobiles[1] as Mobile;
  const mapped = mappedAddress(ipv4("203.0.114.11"));
  const home6 = Buffer.from(ipToBytes(mobile.home6));
  const counters = () => homeAgent.kernelCounters();
  scene.attach(mobile, "six");
  await mobile.daemon.start();
  await scene.settled(mobile, "six");

  // On a slow machine an update may have been sent again before it was answered.
  const overIpv6 = messagesOf(scene, mobile).filter((one) => !isInIpv4(one));
  const [first, granted] = [overIpv6.find(isUpdate), overIpv6.find(isAnswer)];
  assert.ok(first !== undefined && granted !== undefined);
  await t.test("S04-2.2.1-01 S04-2.4-01 S04-3.3-13 S04-3.3-15: over IPv6 an address is asked for with 0.0.0.0", () => {
    assert.equal(describeFrame(first.frame).startsWith(`ipv6 ${mobile.careOf.six}>${HOME_AGENT.ipv6}`), true);
    assert.deepEqual(ipv4OptionsOf(first), [short(IPV4_ANY)]);
  });
  await t.test("S04-3.3-12: it is RFC 3775's: A, H, Home Address option, Alternate Care-of Address, ESP", () => {
    const { flags, options } = first.message;
    assert.deepEqual([flags.acknowledge, flags.homeRegistration], [true, true]);
    assert.equal(homeAddressOptionOf(first.frame), mobile.home6);
    const alternate = options.find(({ kind }) => kind === "alternate-care-of-address");
    assert.deepEqual(alternate, { kind: "alternate-care-of-address", address: mobile.careOf.six });
  });
  await t.test("S04-2.2.1-03 S04-2.2.1-04 S04-2.4-02 S04-3.4-06: the answer lends one, in the short option", () => {
    assert.equal(granted.message.status, 0);
    assert.deepEqual(ipv4OptionsOf(granted), [answered(0, mobile.home4)]);
  });
  await t.test("S04-2.2.1-07: the routing header of the answer over IPv6 holds the home address", () => {
    assert.deepEqual(Buffer.from(routingHeaderOf(granted.frame) ?? []).subarray(8, 24), home6);
  });

  await scene.move(mobile, "four");
  const overIpv4 = messagesOf(scene, mobile).filter(isInIpv4);
  const [update, answer] = [overIpv4.find(isUpdate), overIpv4.find(isAnswer)];
  assert.ok(update !== undefined && answer !== undefined);
  const [updateOuter, answerOuter] = [update, answer].map(({ frame }) => layersOfKind(frame.layers, "ipv4")[0]);
  const [updateInner, answerInner] = [update, answer].map(({ frame }) => layersOfKind(frame.layers, "ipv6")[0]);

  await t.test("S04-2.2.2-01 S04-3.3-04 S04-3.3-05 S04-3.3-06: the update is tunnelled in protocol 41", () => {
    assert.deepEqual(
      [updateOuter?.source, updateOuter?.destination, updateOuter?.protocol],
      [mobile.careOf.four, HOME_AGENT.ipv4, Protocol.ipv6],
    );
  });
  await t.test("S04-2.2.2-03 S04-3.3-07: its inner source is the IPv4-mapped form of the outer one", () => {
    assert.deepEqual([updateInner?.source, updateInner?.destination], [mapped, HOME_AGENT.ipv6]);
  });
  await t.test("S04-2.2.2-02 S04-3.3-08 S04-3.3-11 S04-4-02: the home address is in the option, under its ESP", () => {
    assert.equal(homeAddressOptionOf(update.frame), mobile.home6);
    const { bytes } = update.frame.layers.at(-1) as { bytes: Uint8Array };
    assert.equal(Buffer.from(bytes).readUInt32BE(0), mobile.keys.update.spi);
  });
  await t.test("S04-2.2.2-04 S04-3.3-01 S04-3.3-09 S04-1-01: the IPv4 home address is asked for, not mapped", () => {
    assert.deepEqual(ipv4OptionsOf(update), [short(mobile.home4)]);
  });
  await t.test("S04-2.2.2-09 S04-2.2.2-10 S04-3.4-01 S04-3.4-10: the answer has the short acknowledgement", () => {
    assert.equal(answer.message.status, 0);
    assert.deepEqual(ipv4OptionsOf(answer), [answered(0, mobile.home4)]);
  });
  await t.test(
    "S04-2.2.2-11 S04-3.4-14 S04-3.4-15 S04-3.4-16: it goes in IPv4 to the IPv4-mapped care-of address",
    () => {
      assert.deepEqual(
        [answerOuter?.source, answerOuter?.destination, answerOuter?.protocol],
        [HOME_AGENT.ipv4, mobile.careOf.four, Protocol.ipv6],
      );
      assert.deepEqual([answerInner?.source, answerInner?.destination], [HOME_AGENT.ipv6, mapped]);
    },
  );
  await t.test("S04-3.4-13 S04-3.2.1-03: its routing header holds the home address, its option the IPv4 one", () => {
    assert.deepEqual(Buffer.from(routingHeaderOf(answer.frame) ?? []).subarray(8, 24), home6);
  });
  await t.test("S04-3.3-21: the mapped address is on the visited interface", () => {
    const addresses = mobile.node.ipJson("-6 address show dev four").flatMap((link) => link["addr_info"]);
    assert.match(JSON.stringify(addresses), /"::ffff:203\.0\.114\.11","prefixlen":128/);
  });
  await t.test("S04-3.4-12: the home agent's tunnel leads to the IPv4 care-of address", () => {
    const [route] = ha.ipJson(`-6 route show ${mobile.home6}`);
    assert.equal(route?.["gateway"], "::203.0.114.11");
  });
  await t.test("S04-2-01: both ends tell of both home addresses at the one IPv4 care-of address", async () => {
    for (const daemon of [homeAgent, mobile.daemon]) {
      const [binding] = await daemon.bindings();
      assert.deepEqual([binding?.homeAddress, binding?.ipv4HomeAddress], [mobile.home6, mobile.home4]);
      assert.deepEqual(binding?.endpoint, { format: "ipv4", address: mobile.careOf.four });
    }
  });
  await t.test(
    "S04-2.2.2-08 S04-3.4-17 S04-3.4-18 S04-3.5-01: payload goes in protocols 41 and 4, never with the mapped form, with the profile's DSCP and TTL and its own ECN, and meets a plain correspondent",
    async () => {
      for (const family of FAMILIES) {
        for (const direction of DIRECTIONS) {
          const trafficClass = (10 << 2) | (direction === "up" ? 1 : 2);
          const crossed = await cross(scene, mobile, { family, direction }, { trafficClass });
          const [home, there] = family === 6 ? [mobile.home6, CORRESPONDENT.ipv6] : [mobile.home4, CORRESPONDENT.ipv4];
          const pair = (a: string, b: string): string => (direction === "down" ? `${a}>${b}` : `${b}>${a}`);
          const outer = pair(HOME_AGENT.ipv4, mobile.careOf.four as string);
          assert.equal(
            describeFrame(crossed.frame),
            `ipv4 ${outer} / ipv${family} ${pair(there, home)} / udp 7000>7000`,
          );
          assert.deepEqual(
            [crossed.outer.trafficClass, crossed.outer.hopLimit, crossed.received.trafficClass],
            [(PROFILE.dscp << 2) | (trafficClass & 3), PROFILE.ttl - (direction === "up" ? 1 : 0), trafficClass],
          );
        }
      }
    },
  );
  await t.test("what is too big for the profile gets the right error in either family", async () => {
    for (const family of FAMILIES) await checkTooBig(scene, mobile, family, PROFILE.mtu);
  });
  await t.test("S04-2.1-03: no association knows the IPv4 care-of address", () => {
    for (const node of [ha, mobile.node])
      assert.doesNotMatch(node.run("ip", "xfrm", "state"), /203\.0\.114\.11 .*proto esp/);
  });

  const played = new Played(scene, other);
  t.after(() => played.close());
  const there = other.careOf.four as ReturnType<typeof ipv4>;
  await t.test("C-50: what is forged is refused and counted before the process sees anything", async () => {
    const before = await counters();
    const { dropped, received } = (await homeAgent.status()).counters;
    const { bytes: esp } = update.frame.layers.at(-1) as { bytes: Uint8Array };
    const send = (outer: string, inner: Uint8Array): void =>
      played.send(encapsulate({ source: ipv4(outer), destination: HOME_AGENT.ipv4 }, inner));
    for (const [outer, inner] of [
      ["203.0.114.99", mapped],
      [mobile.careOf.four, ipv6("::ffff:203.0.114.99")],
      [mobile.careOf.four, ipv6("::ffff:127.0.0.1")],
    ] as const)
      send(outer, withHomeAddress(inner, mobile.home6, Protocol.esp, esp));
    // Good updates, but of 6to4 sources, and one of the form that the home agent's own kernel makes.
    for (const source of [provenAddress(there), ipv6("2002:cb00:720c::1"), ipv6("2002:7f00:1::1")])
      send(there, played.packet(source, { options: [short(IPV4_ANY)] }));
    // Mapped sources that are no updates.
    send(
      there,
      withHomeAddress(mappedAddress(there), other.home6, Protocol.icmpv6, Uint8Array.of(128, 0, 0, 0, 0, 1, 0, 1)),
    );
    played.send(played.packet(mappedAddress(there), {}));
    const grown = async (): Promise<unknown> => {
      const now = await counters();
      return ["mapped-forged", "spoofed-ipv4", "mapped-source"].map((name) => (now[name] ?? 0) - (before[name] ?? 0));
    };
    await waitFor(async () => JSON.stringify(await grown()) === "[3,3,2]", { what: "three, three and two refusals" });
    const after = (await homeAgent.status()).counters;
    assert.deepEqual(after.dropped, dropped, "nothing came to the process");
    assert.equal(after.received["binding-update"], received["binding-update"]);
  });
  await t.test("S04-3.4-05: the address of another node is refused with 130, and IPv6 goes on", async () => {
    const refused = await played.fromIpv4(there, { options: [short(mobile.home4)] });
    assert.equal(refused.message.status, 0);
    assert.deepEqual(ipv4OptionsOf(refused), [answered(130, mobile.home4)]);
  });
  await t.test("S04-3.4-07: an address to lend when there is none left is refused with 132", async () => {
    const refused = await played.fromIpv4(there, { options: [short(IPV4_ANY)] });
    assert.deepEqual(ipv4OptionsOf(refused), [answered(132, IPV4_ANY)]);
  });
  await t.test(
    "real 6to4 addresses are nothing else than they were: correspondents' and care-of addresses",
    async () => {
      core.ip("route add 2002::/16 dev cn");
      scene.cn.ip("address add 2002:c000:202::2/128 dev eth0 nodad");
      const correspondent = new Station(scene.cn, ipv6("2002:c000:202::2"));
      t.after(() => correspondent.close());
      for (const [from, to] of [
        [correspondent, mobile.stations[6]],
        [mobile.stations[6], correspondent],
      ] as const) {
        const text = freshText("6to4");
        from.send(to, text);
        await to.waitFor(text);
      }
      for (const careOf of [ipv6("2002:c000:202::77"), provenAddress(there)]) {
        const seen = await played.fromIpv6(careOf, {});
        assert.ok(describeFrame(seen.frame).startsWith(`ipv6 ${HOME_AGENT.ipv6}>${careOf}`));
        const binding = (await homeAgent.bindings()).find(({ homeAddress }) => homeAddress === other.home6);
        assert.deepEqual(binding?.endpoint, { format: "ipv6", address: careOf });
        scene.correspondents[6].send(other.stations[6], freshText("to 6to4"));
        const tunnelled = `ipv6 ${HOME_AGENT.ipv6}>${careOf} / ipv6 ${CORRESPONDENT.ipv6}>${other.home6}`;
        await scene.wire.waitFor((frame) => describeFrame(frame).startsWith(tunnelled), { what: tunnelled });
      }
      await played.fromIpv6(provenAddress(there), { lifetimeUnits: 0 });
    },
  );

  await t.test("S04-2.2-02: behind a NAT the node says nothing, and nothing of all this was in UDP", async () => {
    scene.attach(mobile, "nat");
    scene.detach(mobile, "four");
    await mobile.daemon.waitForBinding("no way", ({ state }) => state === "detached");
    const udp = scene.wire
      .frames()
      .filter(({ layers }) =>
        layersOfKind(layers, "udp").some(({ sourcePort, destinationPort }) =>
          [sourcePort, destinationPort].includes(UDP_PORT),
        ),
      );
    assert.deepEqual(udp.map(describeFrame), []);
  });
  await t.test("home again: nothing is left of the way", async () => {
    await scene.move(mobile, "home");
    // Sequence numbers are remembered for ten seconds.
    await waitFor(async () => (await homeAgent.bindings()).every(({ endpoint }) => endpoint === null), {
      what: "no binding",
    });
    for (const daemon of [homeAgent, mobile.daemon]) assert.deepEqual((await daemon.audit()).differences, []);
    for (const what of ["address", "rule"]) assert.doesNotMatch(mobile.node.run("ip", "-6", what), /::ffff:203/);
  });
  await t.test(
    "S04-3.3-10 S04-2.1-02: a node that begins in IPv4 asks for an address with 0.0.0.0 there, and for the home prefixes in protocol 41",
    async () => {
      const known = messagesOf(scene, other).length;
      scene.attach(other, "four");
      await other.daemon.start();
      await scene.settled(other, "four");
      const asked = messagesOf(scene, other).slice(known).filter(isInIpv4).find(isUpdate);
      assert.deepEqual(asked && ipv4OptionsOf(asked), [short(IPV4_ANY)]);
      const isQuestion = ({ nextHeader, payload }: ReturnType<typeof openedOf>[number]): boolean =>
        nextHeader === Protocol.icmpv6 && payload[0] === SOLICITATION;
      const question = await waitFor(() => openedOf(scene, other).filter(isInIpv4).find(isQuestion), {
        what: "a mobile prefix solicitation in IPv4",
      });
      assert.match(describeFrame(question.frame), /^ipv4 203\.0\.114\.12>203\.0\.113\.1 \/ ipv6 /);
    },
  );
});

test("a node of the 2004 profile and a home agent of another mind", async (t) => {
  const refused = answered(130, ALICE.ipv4HomeAddress);
  const home = new ScriptedHome(t, [6], () => ({ lifetimeUnits: 1, options: [refused] }), {
    ipv4Signalling: "soliman2004",
  });
  await home.open();
  const asks = async (count: number): Promise<string | undefined> =>
    optionIn(await home.update(count), "ipv4-home-address-2004")?.address;

  await t.test("S04-3.3-14: a static IPv4 home address is in the option, in four octets", async () => {
    assert.match(Buffer.from((await home.update(0)).octets).toString("hex"), /1d04c633640a/);
  });
  await t.test("S04-3.3-20: after a failure it is asked for again", async () => {
    assert.equal((await home.registered()).ipv4HomeAddress, null);
    assert.equal(await asks(1), ALICE.ipv4HomeAddress);
  });
  await t.test("S04-2.2.1-06: after an answer without the option it is not sent again", async () => {
    home.answerWith(() => ({ lifetimeUnits: 1 }));
    const from = home.updates.length;
    await waitFor(() => home.updates.slice(from).some((one) => optionIn(one, "ipv4-home-address-2004") === undefined), {
      what: "a refresh without the option",
    });
  });
  await t.test("S04-3.3-18: but when an operator says so", async () => {
    const from = home.updates.length;
    const { status } = spawnSync(process.execPath, [DSMIPCTL, "--socket", home.controlSocket, "refresh"]);
    assert.equal(status, 0);
    const again = await waitFor(
      () => home.updates.slice(from).find((one) => optionIn(one, "ipv4-home-address-2004") !== undefined),
      { what: "an update with the option" },
    );
    assert.ok(again);
  });
});
