/**
 * What a home agent answers, as it is on the wire: acknowledgements of the real daemon taken apart octet by octet, and what it says and
 * hears on the home link meanwhile.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { bytesEqual } from "../../../controller/base/bytes.js";
import { IPV4_ANY, type Ipv6Address, ipv4, ipv6, ipv6FromBytes } from "../../../controller/base/ip.js";
import { PacketSocket } from "../../../controller/io/ip/packet-socket.js";
import { encodeIcmpv6, withIcmpv6Checksum } from "../../../controller/wire/icmpv6.js";
import {
  ARP_OPERATION,
  decodeArp,
  decodeEthernet,
  ETHERTYPE,
  encodeArp,
  encodeEthernet,
} from "../../../controller/wire/ip/arp.js";
import { encodeIpv6Packet } from "../../../controller/wire/ip/ipv6.js";
import { dadProbe, ethernetGroup } from "../../../controller/wire/ip/neighbour-discovery.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import { NO_REFRESH_NEEDED } from "../../../controller/wire/mip6/options/dsmip.js";
import type { MobilityOption, OptionOfKind } from "../../../controller/wire/mip6/options/mobility.js";
import { BindingStatus, Ipv4AckStatus } from "../../../controller/wire/mip6/registry.js";
import { bindingUpdate, type UpdateFields } from "../../lib/esp.js";
import { type IcmpLayer, layersOf, layersOfKind } from "../lib/frame.js";
import {
  type Acknowledged,
  ALICE,
  BOB,
  CAROL,
  DAVE,
  HOME_AGENT,
  HostileWorld,
  type Player,
  plainIpv6,
  wantsIpv4,
  withHomeAddress,
} from "../lib/hostile.js";
import { neighbourAdvertisement } from "../lib/neighbours.js";
import { waitFor } from "../lib/wait.js";

const CARE_OF = ipv6("2001:db8:a::2");
const PUBLIC = { source: ipv4("203.0.114.2") } as const;
const BEHIND_NAT = { source: ipv4("203.0.114.2"), sourcePort: 40000 } as const;
const NAT_REFRESH_SECONDS = 77;
const LEASE_SECONDS = 200;
const claimed = (address: string): MobilityOption => ({ kind: "ipv4-care-of-address", address: ipv4(address) });
const anyIpv4: MobilityOption = {
  kind: "ipv4-home-address",
  prefixLength: 32,
  mobileNetworkPrefix: false,
  address: IPV4_ANY,
};

function optionOf<K extends MobilityOption["kind"]>(answer: Acknowledged, kind: K): OptionOfKind<K> | undefined {
  return answer.message.options.find((one): one is OptionOfKind<K> => one.kind === kind);
}

const ipv4Kinds = (answer: Acknowledged): string[] =>
  answer.message.options.map(({ kind }) => kind).filter((kind) => kind.startsWith("ipv4-") || kind === "nat-detection");

/** Over IPv6 from the care-of address, under ESP, with a Home Address option. */
async function native(world: HostileWorld, who: Player, fields: UpdateFields): Promise<Acknowledged> {
  const before = world.acknowledgements(who).length;
  const esp = world.sender(who).seal(bindingUpdate(fields, who.homeAddress, HOME_AGENT.ipv6));
  world.send(6, withHomeAddress(CARE_OF, who.homeAddress, Protocol.esp, esp));
  return world.nextAcknowledgement(who, before);
}

test("acknowledgements of a home agent on the wire", async (t) => {
  const world = new HostileWorld(t, {
    natRefreshSeconds: NAT_REFRESH_SECONDS,
    refreshAdviceSeconds: 100,
    ipv4Pool: { prefixes: ["198.51.100.96/32"], leaseSeconds: LEASE_SECONDS },
  });
  await world.open();

  await t.test(
    "R5555-2.3.1-04 R5555-2.3.1-05 R5555-4.5-01 R5555-4.5-18: over IPv6, option 29 has option 30 for its answer",
    async () => {
      const answer = await native(world, ALICE, { sequence: 7, options: [wantsIpv4(ALICE)] });
      assert.deepEqual([answer.message.status, answer.message.sequence], [BindingStatus.accepted, 7]);
      assert.deepEqual(optionOf(answer, "ipv4-address-acknowledgement"), {
        kind: "ipv4-address-acknowledgement",
        status: Ipv4AckStatus.success,
        prefixLength: 32,
        address: ALICE.ipv4HomeAddress,
      });
    },
  );

  await t.test(
    "R5555-1-01 R5555-4.2-16 R5555-4.1-03 R5555-4.5-10: an update without IPv4 is answered as by plain Mobile IPv6",
    async () => {
      const answer = await native(world, BOB, { sequence: 7 });
      assert.equal(answer.message.status, BindingStatus.accepted);
      assert.deepEqual(ipv4Kinds(answer), []);
      assert.equal(answer.to, CARE_OF);
      assert.deepEqual([layersOfKind(answer.layers, "ipv4"), layersOfKind(answer.layers, "udp")], [[], []]);
    },
  );

  await t.test("F3963-4.2-01: R is clear in the answer to an update without R", async () => {
    assert.equal((await native(world, BOB, { sequence: 8 })).message.flags.mobileRouter, false);
  });

  await t.test(
    "R5555-2.3.2.1-08 R5555-2.3.2.1-09 R5555-2.3.2.1-10 R5555-4.5-22: over public IPv4 the answer goes to the outer source, inside to the home address",
    async () => {
      const options = [wantsIpv4(ALICE), claimed("203.0.114.2")];
      const answer = await world.update(ALICE, { sequence: 8, options }, PUBLIC);
      assert.equal(answer.to, "203.0.114.2:4191");
      assert.equal(layersOfKind(answer.layers, "ipv6").at(-1)?.destination, ALICE.homeAddress);
      assert.equal(optionOf(answer, "ipv4-address-acknowledgement")?.status, Ipv4AckStatus.success);
    },
  );

  await t.test(
    "R5555-4.2-13 R5555-4.2-15: the answer to UDP is in UDP and has option 31, without a NAT and when it refuses",
    async () => {
      const options = [claimed("203.0.114.2")];
      const good = await world.update(ALICE, { sequence: 9, options }, PUBLIC);
      assert.equal(good.message.status, BindingStatus.accepted);
      const old = await world.update(ALICE, { sequence: 3, options }, PUBLIC);
      assert.equal(old.message.status, BindingStatus.sequenceOutOfWindow);
      for (const answer of [good, old]) {
        assert.equal(layersOfKind(answer.layers, "udp").length, 1);
        const option = optionOf(answer, "nat-detection");
        assert.deepEqual([option?.forceUdp, option?.refreshSeconds], [false, NO_REFRESH_NEEDED]);
      }
    },
  );

  await t.test(
    "R5555-3.2.2-01 R5555-3.2.2-02 R5555-4.5-02 R5555-2.3.2.2-09: behind a NAT option 31 has the configured refresh time",
    async () => {
      const answer = await world.update(ALICE, { sequence: 10, options: [claimed("10.0.0.2")] }, BEHIND_NAT);
      assert.deepEqual([answer.message.status, answer.to], [BindingStatus.accepted, "203.0.114.2:40000"]);
      assert.equal(optionOf(answer, "nat-detection")?.refreshSeconds, NAT_REFRESH_SECONDS);
    },
  );

  await t.test(
    "R5555-5.2.1-06: the answer is IPv4 from the home agent to the NAT, UDP from 4191 to its port, IPv6 to the home address, ESP",
    async () => {
      const { layers } = await world.update(ALICE, { sequence: 11, options: [claimed("10.0.0.2")] }, BEHIND_NAT);
      assert.deepEqual(
        layers.map(({ kind }) => kind),
        ["ethernet", "ipv4", "udp", "ipv6", "other"],
      );
      const [[outer], [udp], [inner]] = [
        layersOfKind(layers, "ipv4"),
        layersOfKind(layers, "udp"),
        layersOfKind(layers, "ipv6"),
      ];
      assert.deepEqual([outer?.source, outer?.destination], [HOME_AGENT.ipv4, BEHIND_NAT.source]);
      assert.deepEqual([udp?.sourcePort, udp?.destinationPort], [4191, BEHIND_NAT.sourcePort]);
      assert.deepEqual([inner?.source, inner?.destination], [HOME_AGENT.ipv6, ALICE.homeAddress]);
    },
  );

  await t.test("R5555-3.2.2-05: over IPv6 F is refused with 144, and no option 31 sets it", async () => {
    const flags = { acknowledge: true, homeRegistration: true, forceUdp: true };
    const answer = await native(world, BOB, { sequence: 9, flags });
    assert.equal(answer.message.status, BindingStatus.forcedUdpNotSupported);
    assert.equal(optionOf(answer, "nat-detection"), undefined);
  });

  await t.test("R5555-5.2.1-03: the home agent's policies for updates are those of the node, mirrored", () => {
    const policies = world.ha.policies();
    for (const [direction, source, destination] of [
      ["in", ALICE.homeAddress, HOME_AGENT.ipv6],
      ["out", HOME_AGENT.ipv6, ALICE.homeAddress],
    ]) {
      const start = `src ${source}/128 dst ${destination}/128 proto mobility-header dir ${direction} `;
      const found = policies.find((line) => line.startsWith(start));
      assert.ok(found, `${start} is not among ${policies.join("\n")}`);
      assert.match(found, /tmpl .*proto esp .*mode transport/);
    }
  });

  await t.test(
    "R5555-2.3.2.2-10 R5555-3.1.1-12 R5555-4.5-12 R5555-4.5-16: one option 30 for each option 29, in their order",
    async () => {
      const prefix: MobilityOption = {
        kind: "ipv4-home-address",
        prefixLength: 24,
        mobileNetworkPrefix: true,
        address: ipv4("192.0.2.0"),
      };
      for (const [sequence, options, statuses] of [
        [12, [wantsIpv4(ALICE), prefix], [Ipv4AckStatus.success, Ipv4AckStatus.prefixNotAuthorized]],
        [13, [prefix, wantsIpv4(ALICE)], [Ipv4AckStatus.prefixNotAuthorized, Ipv4AckStatus.success]],
      ] as const) {
        const answer = await world.update(ALICE, { sequence, options: [...options, claimed("10.0.0.2")] }, BEHIND_NAT);
        const acknowledged = answer.message.options.filter((one) => one.kind === "ipv4-address-acknowledgement");
        assert.deepEqual(
          acknowledged.map(({ status }) => status),
          statuses,
        );
      }
    },
  );

  await t.test(
    "R5555-2.5-02 R5555-2.5-03 R5555-4.5-13: 0.0.0.0 is answered with an address of the pool, for no longer than its lease",
    async () => {
      const answer = await native(world, CAROL, { sequence: 1, lifetimeUnits: 600, options: [anyIpv4] });
      const option = optionOf(answer, "ipv4-address-acknowledgement");
      assert.deepEqual(
        [option?.status, option?.prefixLength, option?.address],
        [Ipv4AckStatus.success, 32, "198.51.100.96"],
      );
      assert.equal(answer.message.lifetimeUnits > 0 && answer.message.lifetimeUnits * 4 <= LEASE_SECONDS, true);
    },
  );

  await t.test("R5555-3.2.1-09: option 30 says why: another's address, none of a host, a prefix", async () => {
    const wanted = (address: string, prefixLength = 32): MobilityOption => ({
      ...{ kind: "ipv4-home-address", prefixLength, mobileNetworkPrefix: prefixLength < 32, address: ipv4(address) },
    });
    for (const [sequence, option, status] of [
      [20, wantsIpv4(BOB), Ipv4AckStatus.incorrectHomeAddress],
      [21, wanted("198.51.100.255"), Ipv4AckStatus.invalidAddress],
      [22, wanted("192.0.2.0", 24), Ipv4AckStatus.prefixNotAuthorized],
      [23, wantsIpv4(ALICE), Ipv4AckStatus.success],
    ] as const) {
      const answer = await native(world, ALICE, { sequence, options: [option] });
      assert.equal(optionOf(answer, "ipv4-address-acknowledgement")?.status, status, `${sequence}`);
    }
  });

  await t.test("F6275-10.3.1-01: a kind of registration that is not offered gets 131", async () => {
    const flags = { acknowledge: true, homeRegistration: true, mapRegistration: true };
    const answer = await native(world, DAVE, { sequence: 1, flags });
    assert.equal(answer.message.status, BindingStatus.homeRegistrationNotSupported);
  });

  await t.test("F3963-6.2-01: R without H is refused with 140", async () => {
    const answer = await native(world, DAVE, { sequence: 1, flags: { acknowledge: true, mobileRouter: true } });
    assert.equal(answer.message.status, BindingStatus.mobileRouterNotPermitted);
  });

  await t.test("R5555-4.5-14: when the pool is empty option 30 says 132", async () => {
    const answer = await native(world, DAVE, { sequence: 2, options: [anyIpv4] });
    assert.equal(optionOf(answer, "ipv4-address-acknowledgement")?.status, Ipv4AckStatus.dynamicAddressNotAvailable);
    assert.equal(answer.message.status, BindingStatus.accepted);
  });

  await t.test(
    "F6275-10.3.1-04: the lifetime is at most what was asked for, and at most the configured one",
    async () => {
      const short = await native(world, BOB, { sequence: 20, lifetimeUnits: 30 });
      assert.equal(short.message.lifetimeUnits > 0 && short.message.lifetimeUnits <= 30, true);
      const long = await native(world, BOB, { sequence: 21, lifetimeUnits: 0xffff });
      assert.equal(long.message.lifetimeUnits, 900, "maxLifetimeSeconds");
    },
  );

  await t.test(
    "F6275-10.3.1-07: the advised refresh comes before the end, and a de-registration has none",
    async () => {
      const answer = await native(world, BOB, { sequence: 22 });
      const advised = optionOf(answer, "binding-refresh-advice")?.intervalUnits;
      assert.equal(advised, 25);
      assert.equal(advised !== undefined && advised < answer.message.lifetimeUnits, true);
      const end = await native(world, BOB, { sequence: 23, lifetimeUnits: 0 });
      assert.equal(end.message.status, BindingStatus.accepted);
      assert.equal(optionOf(end, "binding-refresh-advice"), undefined);
    },
  );

  await t.test("F6275-10.3.2-03: an update that a de-registration has overtaken gets 135", async () => {
    assert.equal((await native(world, BOB, { sequence: 22 })).message.status, BindingStatus.sequenceOutOfWindow);
  });

  await t.test("F6275-10.3.1-02: a care-of address is not registered from the home address itself", async () => {
    const dropped = await world.dropped("home-address-option-missing");
    const answers = world.acknowledgements(DAVE).length;
    const options: MobilityOption[] = [{ kind: "alternate-care-of-address", address: CARE_OF }];
    const esp = world.sender(DAVE).seal(bindingUpdate({ sequence: 9, options }, DAVE.homeAddress, HOME_AGENT.ipv6));
    world.send(6, plainIpv6(DAVE.homeAddress, HOME_AGENT.ipv6, Protocol.esp, esp));
    await waitFor(async () => (await world.dropped("home-address-option-missing")) > dropped, { what: "the drop" });
    assert.equal(world.acknowledgements(DAVE).length, answers);
  });
});

test("the home link of a node that registers, on the wire", async (t) => {
  const world = new HostileWorld(t, { duplicateAddressDetection: true });
  const link = new HomeLinkEar(t, world);
  await world.open();
  link.open();

  await t.test(
    "F6275-10.3.1-03: a new home address is asked for on the home link, and the answer waits for a second of silence",
    async () => {
      const answer = await native(world, ALICE, { sequence: 1, options: [wantsIpv4(ALICE)] });
      assert.equal(answer.message.status, BindingStatus.accepted);
      const probe = link.frames.find(({ data }) => isProbeFor(data, ALICE));
      assert.ok(probe, "a neighbour solicitation from ::");
      assert.equal(link.at(probe) + 950 <= link.now(), true, "a second has passed since");
    },
  );

  await t.test("F6275-10.3.1-03: an address that somebody on the home link has gets 134", async () => {
    const answered = native(world, BOB, { sequence: 1 });
    await waitFor(() => link.frames.some(({ data }) => isProbeFor(data, BOB)), { what: "a probe" });
    link.advertise(BOB);
    assert.equal((await answered).message.status, BindingStatus.dadFailed);
  });

  await t.test(
    "R5555-4.5-03: the IPv4 home address is drawn to the home agent by gratuitous ARP, and requests for it are answered",
    async () => {
      const mine = link.gatewayMac();
      const gratuitous = link
        .arps()
        .find(
          ({ senderAddress, targetAddress }) =>
            senderAddress === ALICE.ipv4HomeAddress && targetAddress === senderAddress,
        );
      assert.ok(gratuitous, "a gratuitous ARP");
      assert.equal(bytesEqual(gratuitous.senderMac, mine), true);
      link.ask(ALICE);
      const reply = await waitFor(
        () =>
          link
            .arps()
            .find(
              ({ operation, senderAddress }) =>
                operation === ARP_OPERATION.reply && senderAddress === ALICE.ipv4HomeAddress,
            ),
        { what: "an ARP reply for the home address" },
      );
      assert.equal(bytesEqual(reply.senderMac, mine), true);
    },
  );

  await t.test(
    "F6275-10.4.1-02: with L the link-local address is probed, drawn to the home agent and answered for; not without L, nor after the end",
    async () => {
      const address = ipv6("fe80::10"); // the interface identifier of Alice's home address
      const flags = { acknowledge: true, homeRegistration: true, linkLocalCompatibility: true };
      link.probe(address);
      // Who asks after something else that is answered for knows that the answer to this would have come before.
      link.probe(ALICE.homeAddress);
      await waitFor(() => link.claims(ALICE.homeAddress) > 1, { what: "the answer for the home address" });
      assert.equal(link.claims(address), 0);

      const end = await native(world, ALICE, { sequence: 2, lifetimeUnits: 0 });
      assert.equal(end.message.status, BindingStatus.accepted);
      assert.equal((await native(world, ALICE, { sequence: 3, flags })).message.status, BindingStatus.accepted);
      assert.ok(
        link.frames.some(({ data }) => probedAddress(data) === address),
        "the home agent's own probe",
      );
      await waitFor(() => link.claims(address) === 1, { what: "the unsolicited advertisement" });
      link.probe(address);
      await waitFor(() => link.claims(address) === 2, { what: "the kernel's answer to duplicate address detection" });

      await native(world, ALICE, { sequence: 4 });
      await waitFor(() => !world.ha.run("ip", "-6", "neighbour", "show", "proxy").includes(`${address} `), {
        what: "the end of the entry",
      });
      const before = link.claims(ALICE.homeAddress);
      link.probe(address);
      link.probe(ALICE.homeAddress);
      await waitFor(() => link.claims(ALICE.homeAddress) > before, { what: "the answer for the home address" });
      assert.equal(link.claims(address), 2);
    },
  );
});

const [NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT] = [135, 136];
const ETH_P_ALL = 3;
const STATION = Uint8Array.of(2, 0, 0, 0, 0, 7);
const EVERYBODY = new Uint8Array(6).fill(0xff);

const isProbeFor = (data: Uint8Array, who: Player): boolean => probedAddress(data) === who.homeAddress;

/** For which duplicate address detection asks. */
function probedAddress(data: Uint8Array): Ipv6Address | undefined {
  const layers = layersOf(data, 1);
  const [ip] = layersOfKind(layers, "ipv6");
  const icmp = layers.find((layer): layer is IcmpLayer => layer.kind === "icmp6");
  if (ip?.source !== "::" || icmp?.type !== NEIGHBOUR_SOLICITATION) return undefined;
  return ipv6FromBytes(icmp.bytes.subarray(8, 24));
}

/** A station on the home link that hears everything. */
class HomeLinkEar {
  readonly frames: { readonly data: Uint8Array; readonly receivedAt: number }[] = [];
  readonly #world: HostileWorld;
  #socket: PacketSocket | undefined;
  #interfaceIndex = 0;

  constructor(t: TestContext, world: HostileWorld) {
    this.#world = world;
    world.net.link(world.ha.port("hl"), world.world.port("ear"));
    world.ha.also("link set hl master home");
    t.after(() => this.#socket?.close());
  }

  open(): void {
    const [link] = this.#world.world.ipJson("link show dev ear");
    this.#interfaceIndex = link?.["ifindex"] as number;
    const { path: netns } = this.#world.world;
    this.#socket = PacketSocket.open({ type: "raw", protocol: ETH_P_ALL, interfaceIndex: this.#interfaceIndex, netns });
    this.#socket.listen({
      onFrames: (frames) => {
        for (const { data } of frames) this.frames.push({ data, receivedAt: this.now() });
      },
      onError: (error) => {
        throw error;
      },
    });
  }

  now(): number {
    return performance.now();
  }

  at(frame: { readonly receivedAt: number }): number {
    return frame.receivedAt;
  }

  gatewayMac(): Uint8Array {
    const [link] = this.#world.ha.ipJson("link show dev home");
    return Uint8Array.from(String(link?.["address"]).split(":"), (octet) => Number.parseInt(octet, 16));
  }

  arps() {
    return this.frames.flatMap(({ data }) => {
      const frame = decodeEthernet(data);
      if (!frame.ok || frame.value.etherType !== ETHERTYPE.arp) return [];
      const arp = decodeArp(frame.value.payload);
      return arp.ok ? [arp.value] : [];
    });
  }

  ask(who: Player): void {
    const payload = encodeArp({
      ...{ operation: ARP_OPERATION.request, senderMac: STATION, senderAddress: ipv4("198.51.100.77") },
      ...{ targetMac: new Uint8Array(6), targetAddress: who.ipv4HomeAddress },
    });
    this.#send(
      encodeEthernet({ destination: EVERYBODY, source: STATION, etherType: ETHERTYPE.arp, payload }),
      ETHERTYPE.arp,
    );
  }

  /** Duplicate address detection as a neighbour does it. */
  probe(address: Ipv6Address): void {
    const { source, destination, message } = dadProbe(address);
    const payload = withIcmpv6Checksum(encodeIcmpv6(message), source, destination);
    const header = { trafficClass: 0, flowLabel: 0, nextHeader: Protocol.icmpv6, hopLimit: 255, source, destination };
    const packet = encodeIpv6Packet({ header, payload });
    const frame = { destination: ethernetGroup(destination), source: STATION, etherType: ETHERTYPE.ipv6 };
    this.#send(encodeEthernet({ ...frame, payload: packet }), ETHERTYPE.ipv6);
  }

  /** How often the home agent has advertised the address as its own. */
  claims(address: Ipv6Address): number {
    const mine = this.gatewayMac();
    return this.frames.filter(({ data }) => {
      const icmp = layersOf(data, 1).find((layer): layer is IcmpLayer => layer.kind === "icmp6");
      return (
        bytesEqual(data.subarray(6, 12), mine) &&
        icmp?.type === NEIGHBOUR_ADVERTISEMENT &&
        ipv6FromBytes(icmp.bytes.subarray(8, 24)) === address
      );
    }).length;
  }

  /** A neighbour advertisement for the node's home address to all nodes (RFC 4861 §4.4). */
  advertise(who: Player): void {
    const to = { address: ipv6("ff02::1"), mac: Uint8Array.of(0x33, 0x33, 0, 0, 0, 1) };
    this.#send(neighbourAdvertisement({ address: who.homeAddress, mac: STATION, to }), ETHERTYPE.ipv6);
  }

  #send(data: Uint8Array, protocol: number): void {
    const report = this.#socket?.send([
      { data, interfaceIndex: this.#interfaceIndex, protocol, destination: data.subarray(0, 6) },
    ]);
    if (report?.error !== undefined) throw report.error;
  }
}
