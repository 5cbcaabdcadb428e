/** What a home agent answers to mobile routers, and what its kernel then has: the real daemon, with updates made octet by octet. */
import assert from "node:assert/strict";
import test from "node:test";
import { ipv4, ipv6 } from "../../../controller/base/ip.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import type { MobilityOption } from "../../../controller/wire/mip6/options/mobility.js";
import { BindingStatus, Ipv4AckStatus } from "../../../controller/wire/mip6/registry.js";
import { bindingUpdate, type UpdateFields } from "../../lib/esp.js";
import {
  type Acknowledged,
  ALICE,
  BOB,
  CAROL,
  DAVE,
  HOME_AGENT,
  HostileWorld,
  type Player,
  wantsIpv4,
  withHomeAddress,
} from "../lib/hostile.js";
import { waitFor } from "../lib/wait.js";

const CARE_OF = ipv6("2001:db8:a::2");
const [SIX, SIX_B, FOUR] = ["2001:db8:100::/60", "2001:db8:200::/64", "10.1.0.0/27"];
const R = { acknowledge: true, homeRegistration: true, mobileRouter: true } as const;
const ACCEPTED = [BindingStatus.accepted, true];

/** One address, one IPv6 network and four of IPv4. */
const LENT_ADDRESSES = { prefixes: ["198.51.100.96/32"], leaseSeconds: 400 };
const LENT_NETWORKS = { prefixes: ["10.64.0.0/26", "2001:db8:300:100::/56"], ipv4Lengths: [28], leaseSeconds: 200 };
const named = (text: string): MobilityOption => {
  const [address = "", length = ""] = text.split("/");
  return { kind: "mobile-network-prefix", prefix: ipv6(address), prefixLength: Number(length) };
};
const asked = (address: string, prefixLength: number): MobilityOption => ({
  kind: "ipv4-home-address",
  prefixLength,
  mobileNetworkPrefix: true,
  address: ipv4(address),
});

const wantsAny = { ...asked("0.0.0.0", 32), mobileNetworkPrefix: false };

test("mobile routers at a home agent, on the wire and in the kernel", async (t) => {
  const world = new HostileWorld(
    t,
    { ipv4Pool: LENT_ADDRESSES, prefixPool: LENT_NETWORKS },
    { prefixes: [SIX, SIX_B, FOUR] },
  );
  await world.open();
  const link = await world.net.capture(world.ha, "home", "icmp6");
  let sequence = 0;

  async function update(who: Player, fields: Omit<UpdateFields, "sequence">): Promise<Acknowledged> {
    const before = world.acknowledgements(who).length;
    const all = { sequence: ++sequence, ...fields };
    const esp = world.sender(who).seal(bindingUpdate(all, who.homeAddress, HOME_AGENT.ipv6));
    world.send(6, withHomeAddress(CARE_OF, who.homeAddress, Protocol.esp, esp));
    return world.nextAcknowledgement(who, before);
  }
  const verdict = ({ message }: Acknowledged) => [message.status, message.flags.mobileRouter];
  const routes = (): readonly string[] =>
    world.ha
      .script("ip -4 route show proto 155; ip -6 route show proto 155")
      .split("\n")
      .flatMap((line) => /^(\S+\/\d+) /.exec(line)?.[1] ?? [])
      .filter((one) => [SIX, SIX_B, FOUR].includes(one));
  const settled = (wanted: readonly string[]): Promise<true> =>
    waitFor(() => JSON.stringify([...routes()].sort()) === JSON.stringify([...wanted].sort()) || undefined, {
      what: `routes to ${wanted}`,
    });

  await t.test("F3963-4.1-01: without R nothing is forwarded for networks", async () => {
    assert.deepEqual(verdict(await update(ALICE, { options: [named(SIX)] })), [BindingStatus.accepted, false]);
    assert.deepEqual(routes(), []);
  });

  await t.test("F3963-6.2-01: R that differs from the binding's gets 139, but in a de-registration", async () => {
    assert.deepEqual(verdict(await update(ALICE, { flags: R })), [BindingStatus.registrationTypeChange, false]);
    assert.deepEqual(verdict(await update(ALICE, { flags: R, lifetimeUnits: 0 })), ACCEPTED);
  });

  await t.test("F3963-6.2-02: one prefix that is another's or none refuses all: 142, 141", async () => {
    for (const [bad, status] of [
      ["2001:db8:300::/60", BindingStatus.notAuthorizedForPrefix],
      ["2001:db8:100::/56", BindingStatus.notAuthorizedForPrefix],
      ["2001:db8:100::/61", BindingStatus.notAuthorizedForPrefix],
      ["2001:db8:100::1/60", BindingStatus.invalidPrefix],
      ["::/0", BindingStatus.invalidPrefix],
    ] as const) {
      const answer = await update(ALICE, { flags: R, options: [named(SIX), named(bad), wantsIpv4(ALICE)] });
      assert.deepEqual([...verdict(answer), answer.message.lifetimeUnits], [status, false, 0], bad);
      assert.deepEqual(routes(), [], bad);
    }
  });

  await t.test("F3963-4.2-01 F3963-6.2-02: what it names and may have is forwarded, and the answer has R", async () => {
    const options = [named(SIX), named(SIX_B), named(SIX)];
    assert.deepEqual(verdict(await update(ALICE, { flags: R, options })), ACCEPTED);
    assert.deepEqual([...routes()].sort(), [SIX, SIX_B]);
  });

  await t.test("F3963-6.2-03: what a refresh does not name goes", async () => {
    assert.deepEqual(verdict(await update(ALICE, { flags: R, options: [named(SIX_B)] })), ACCEPTED);
    await settled([SIX_B]);
  });

  await t.test("F3963-6.2-02: without names it has all prefixes of its subscriber", async () => {
    assert.deepEqual(verdict(await update(ALICE, { flags: R })), ACCEPTED);
    await settled([SIX, SIX_B, FOUR]);
  });

  await t.test(
    "R5555-3.1.1-12 R5555-4.5-12 R5555-4.5-16: IPv4 prefixes have an answer each, in their order",
    async () => {
      const options = [
        asked("10.1.0.0", 27),
        wantsIpv4(ALICE),
        asked("10.9.0.0", 24),
        asked("0.0.0.0", 27),
        asked("10.1.0.0", 0),
      ];
      const answer = await update(ALICE, { flags: R, options });
      assert.deepEqual(
        answer.message.options.flatMap((one) =>
          one.kind === "ipv4-address-acknowledgement" ? [[one.status, one.prefixLength, one.address]] : [],
        ),
        [
          [Ipv4AckStatus.success, 27, "10.1.0.0"],
          [Ipv4AckStatus.success, 32, ALICE.ipv4HomeAddress],
          [Ipv4AckStatus.prefixNotAuthorized, 0, "10.9.0.0"],
          [Ipv4AckStatus.prefixNotAuthorized, 0, "0.0.0.0"],
          [Ipv4AckStatus.invalidAddress, 0, "10.1.0.0"],
        ],
      );
      await settled([SIX, SIX_B, FOUR]);
    },
  );

  await t.test("sixty prefixes asked for in one update have sixty answers", async () => {
    const options = Array.from({ length: 60 }, (_, i) => asked(`10.77.${i}.0`, 24));
    const { message } = await update(ALICE, { flags: R, options });
    const statuses = message.options.flatMap((one) =>
      one.kind === "ipv4-address-acknowledgement" ? [one.status] : [],
    );
    assert.deepEqual(
      statuses,
      options.map(() => Ipv4AckStatus.prefixNotAuthorized),
    );
    await settled([SIX, SIX_B]);
  });

  await t.test("F3963-6.2-04: its home address is announced as a router's", async () => {
    const isAdvertised = ({ layers }: { layers: readonly { readonly kind: string }[] }): boolean => {
      const icmp = layers.at(-1) as { readonly kind: string; readonly bytes?: Uint8Array } | undefined;
      if (icmp?.kind !== "icmp6" || icmp.bytes?.[0] !== 136) return false;
      return ((icmp.bytes[4] ?? 0) & 0x80) !== 0 && icmp.bytes[23] === 0x10;
    };
    await link.waitFor(isAdvertised, { what: "a neighbour advertisement with R for the home address" });
    const proxies = world.ha.script("ip -6 neighbour show proxy");
    assert.match(proxies, new RegExp(`${ALICE.homeAddress} dev home.*router`));
  });

  await t.test("a host that sets R is served as a host", async () => {
    const answer = await update(BOB, { flags: R, options: [named(SIX), wantsIpv4(BOB)] });
    assert.deepEqual(verdict(answer), [BindingStatus.accepted, false]);
    assert.equal((await world.binding(BOB))?.mobileRouter, false);
    assert.equal((await world.binding(ALICE))?.mobileRouter, true);
  });

  const ipv4Answers = ({ message }: Acknowledged) =>
    message.options.flatMap((one) =>
      one.kind === "ipv4-address-acknowledgement" ? [`${one.status} ${one.address}/${one.prefixLength}`] : [],
    );

  await t.test("R5555-2.5-02 R5555-2.5-03 R5555-4.5-13 R5555-4.5-15: address and networks are lent", async () => {
    const options = [asked("0.0.0.0", 28), wantsAny, asked("0.0.0.0", 28), named("::/56")];
    const answer = await update(CAROL, { flags: R, lifetimeUnits: 900, options });
    assert.deepEqual(verdict(answer), ACCEPTED);
    assert.equal(answer.message.lifetimeUnits, 50, "the shortest lease");
    assert.deepEqual(ipv4Answers(answer), ["0 10.64.0.0/28", "0 198.51.100.96/32", "0 10.64.0.16/28"]);
    const six = answer.message.options.flatMap((one) => (one.kind === "mobile-network-prefix" ? [one.prefix] : []));
    assert.deepEqual(six, ["2001:db8:300:100::"]);
    assert.deepEqual(
      world.ha
        .script("ip -4 route show 10.64.0.0/26 proto 155; ip -4 route show root 10.64.0.0/26 proto 155")
        .match(/10\.64\.\S+/g),
      ["10.64.0.0/28", "10.64.0.16/28"],
    );
    assert.equal((await world.binding(CAROL))?.ipv4HomeAddress, "198.51.100.96");
  });

  await t.test("R5555-4.5-14 R5555-4.5-16 F3963-6.2-02: an empty pool is 132, with IPv6 141 for all", async () => {
    const answer = await update(DAVE, { flags: R, options: [wantsAny, asked("0.0.0.0", 28)] });
    assert.deepEqual(verdict(answer), ACCEPTED);
    assert.deepEqual(ipv4Answers(answer), ["132 0.0.0.0/0", "0 10.64.0.32/28"]);
    // As often as a node asks, and the network that it has stays the one that it has.
    for (let again = 0; again < 5; again++) {
      const next = await update(DAVE, { flags: R, options: [wantsAny, asked("0.0.0.0", 28)] });
      assert.deepEqual([...verdict(next), ...ipv4Answers(next)], [...ACCEPTED, "132 0.0.0.0/0", "0 10.64.0.32/28"]);
    }
    const six = await update(DAVE, { flags: R, options: [asked("10.64.0.32", 28), named("::/56")] });
    assert.deepEqual(verdict(six), [BindingStatus.invalidPrefix, false]);
    const another = await update(DAVE, { flags: R, options: [asked("10.64.0.0", 28)] });
    assert.deepEqual(ipv4Answers(another), ["133 10.64.0.0/0"]);
  });

  await t.test("dsmipctl shows whose a network is", () => {
    assert.match(world.dsmipctl("bindings").stdout, new RegExp(`${SIX} ${SIX_B}`));
    assert.match(
      world.dsmipctl("binding", "2001:db8:100:f::5").stdout,
      new RegExp(`home address +${ALICE.homeAddress}`),
    );
  });

  await t.test("F3963-6.7-01: a de-registration takes all away, whatever it names", async () => {
    const options = [named("2001:db8:300::/60")];
    assert.deepEqual(verdict(await update(ALICE, { flags: R, lifetimeUnits: 0, options })), ACCEPTED);
    assert.deepEqual(routes(), []);
    assert.equal(await world.differences(), 0);
  });
});
