/** The home agents list and what is made of it: lifetimes, order, bounds (RFC 6275 §10.5.1, RFC 3963 §7.2). */
import t from "tap";
import { type Ipv6Address, ipv6 } from "../../../../../../controller/base/ip.js";
import { type Instant, instant } from "../../../../../../controller/base/time.js";
import type { RouterAdvertisement } from "../../../../../../controller/protocol/mip6/home-agent/discovery/home-agents-list.js";
import {
  type DiscoveryEffect,
  type DiscoveryInput,
  DiscoveryState,
  nextDeadline,
  step,
} from "../../../../../../controller/protocol/mip6/home-agent/discovery/machine.js";

const SELF = ipv6("2001:db8:1::1");
const ANYCAST = ipv6("2001:db8:1:0:fdff:ffff:ffff:fffe");
const NODE = ipv6("2001:db8:a::50");
const linkLocal = (n: number): Ipv6Address => ipv6(`fe80::${n.toString(16)}`);
const global = (n: number): Ipv6Address => ipv6(`2001:db8:1::${n.toString(16)}`);

interface Told {
  readonly homeAgent?: boolean;
  readonly router?: number;
  readonly information?: { readonly preference?: number; readonly lifetime?: number; readonly mobileRouter?: boolean };
  /** With R, and their valid lifetimes. */
  readonly addresses?: readonly (readonly [Ipv6Address, number])[];
}

function advertisement({ homeAgent = true, router = 1800, information, addresses = [] }: Told): RouterAdvertisement {
  const { preference = 0, lifetime = 600, mobileRouter = false } = information ?? {};
  return {
    type: "router-advertisement",
    currentHopLimit: 64,
    flags: { managedAddresses: false, otherConfiguration: false, homeAgent },
    routerLifetimeSeconds: router,
    reachableTimeMs: 0,
    retransmissionTimerMs: 0,
    options: [
      ...(information === undefined
        ? []
        : [
            {
              kind: "home-agent-information",
              flags: { mobileRouter },
              preference,
              lifetimeSeconds: lifetime,
            } as const,
          ]),
      ...addresses.map(
        ([prefix, validLifetimeSeconds]) =>
          ({
            kind: "prefix-information",
            prefixLength: 64,
            flags: { onLink: true, autonomous: true, routerAddress: true },
            validLifetimeSeconds,
            preferredLifetimeSeconds: validLifetimeSeconds,
            prefix,
          }) as const,
      ),
    ],
  };
}

class World {
  readonly state: DiscoveryState;
  now: Instant = instant(1_000_000);

  constructor(site: { preference?: number; mobileRouters?: boolean } = {}, random: () => number = () => 0) {
    const { preference = 0, mobileRouters = false } = site;
    this.state = new DiscoveryState(
      { address: SELF, anycastAddresses: new Set([ANYCAST]), preference, mobileRouters },
      random,
    );
  }

  give(input: DiscoveryInput): readonly DiscoveryEffect[] {
    return step(this.state, input, this.now);
  }

  hear(n: number, told: Told): readonly DiscoveryEffect[] {
    return this.give({ kind: "advertisement", source: linkLocal(n), advertisement: advertisement(told) });
  }

  later(seconds: number): void {
    this.now = instant(this.now + seconds * 1000);
  }

  ask(options: { mobileRouter?: boolean; source?: Ipv6Address; destination?: Ipv6Address } = {}) {
    const { mobileRouter = false, source = NODE, destination = ANYCAST } = options;
    const request = { type: "home-agent-address-discovery-request", identifier: 7, flags: { mobileRouter } } as const;
    return this.give({ kind: "request", source, destination, request });
  }

  addresses(mobileRouter = false): readonly Ipv6Address[] {
    const [effect] = this.ask({ mobileRouter });
    return effect?.kind === "send" ? effect.reply.addresses : [];
  }
}

t.test("alone it tells of itself, with the identifier of the question, from an address of its own", async (test) => {
  const world = new World();
  test.strictSame(world.ask(), [
    {
      kind: "send",
      destination: NODE,
      reply: {
        type: "home-agent-address-discovery-reply",
        identifier: 7,
        flags: { mobileRouter: false },
        addresses: [SELF],
      },
    },
  ]);
  test.equal(nextDeadline(world.state), undefined);
});

t.test("preference puts in order, and equals come in any order", async (test) => {
  const draws = [0.99, 0.99, 0.99, 0.99, 0.4, 0.99];
  const world = new World({ preference: 5 }, () => draws.shift() ?? 0);
  world.hear(2, { information: { preference: 9 }, addresses: [[global(2), 3600]] });
  world.hear(3, { information: { preference: 9 }, addresses: [[global(3), 3600]] });
  world.hear(4, { addresses: [[global(4), 3600]] });
  test.strictSame(world.addresses(), [global(2), global(3), SELF, global(4)]);
  const again = world.addresses();
  test.strictSame(again.slice(2), [SELF, global(4)]);
  test.strictSame(again.slice(0, 2), [global(3), global(2)], "another draw, another order");
});

t.test(
  "a home agent goes with its lifetime, its address with the prefix, and both at once when it says so",
  async (test) => {
    const world = new World();
    test.strictSame(world.hear(2, { router: 0, information: { lifetime: 60 }, addresses: [[global(2), 30]] }), [
      { kind: "report", event: "home-agent.learnt", linkLocal: linkLocal(2) },
    ]);
    test.equal(nextDeadline(world.state), world.now + 60_000);
    world.later(29);
    test.ok(world.addresses().includes(global(2)));
    world.later(1);
    test.notOk(world.addresses().includes(global(2)), "its prefix is no longer valid");
    world.later(30);
    test.strictSame(world.give({ kind: "timer" }), [
      { kind: "report", event: "home-agent.gone", linkLocal: linkLocal(2) },
    ]);
    world.hear(3, { information: {}, addresses: [[global(3), 3600]] });
    test.ok(world.addresses().includes(global(3)));
    world.hear(3, { information: {}, addresses: [[global(3), 0]] });
    test.notOk(world.addresses().includes(global(3)), "a valid lifetime of 0");
    world.hear(3, { information: {}, addresses: [[global(3), 0xffffffff]] });
    world.later(599);
    test.ok(world.addresses().includes(global(3)));
    world.hear(3, { homeAgent: false, addresses: [[global(3), 3600]] });
    test.notOk(world.addresses().includes(global(3)), "H is off");
    world.hear(3, { addresses: [[global(3), 3600]] });
    test.ok(world.addresses().includes(global(3)), "without the option the router's lifetime counts");
    world.hear(3, { information: { lifetime: 0 }, addresses: [[global(3), 3600]] });
    test.notOk(world.addresses().includes(global(3)), "a lifetime of 0");
  },
);

t.test("mobile routers are told of those that serve them, and of all where none does", async (test) => {
  const none = new World();
  none.hear(2, { information: {}, addresses: [[global(2), 3600]] });
  const [plain] = none.ask({ mobileRouter: true });
  test.match(plain, { reply: { flags: { mobileRouter: false } } });
  test.equal(none.addresses(true).length, 2);
  const one = new World();
  one.hear(2, { information: { mobileRouter: true }, addresses: [[global(2), 3600]] });
  const [capable] = one.ask({ mobileRouter: true });
  test.match(capable, { reply: { flags: { mobileRouter: true }, addresses: [global(2)] } });
  test.equal(one.addresses(true).length, 1);
  test.equal(one.addresses(false).length, 2);
  test.match(one.ask()[0], { reply: { flags: { mobileRouter: false } } });
  test.strictSame(new World({ mobileRouters: true }).addresses(true), [SELF]);
});

t.test("a home agent is told once, by its address in the prefix that was asked for", async (test) => {
  const world = new World();
  const elsewhere = ipv6("2001:db8:77::2");
  world.hear(2, {
    information: {},
    addresses: [
      [elsewhere, 3600],
      [ipv6("fe80::2"), 3600],
    ],
  });
  test.ok(world.addresses().includes(elsewhere), "rather another than none");
  world.hear(2, { information: {}, addresses: [[global(2), 3600]] });
  test.strictSame([...world.addresses()].sort(), [SELF, global(2)]);
  world.hear(3, { information: {}, addresses: [[SELF, 3600]] });
  world.hear(4, { information: {} });
  test.strictSame([...world.addresses()].sort(), [SELF, global(2)], "who has our address, or none, is nobody");
});

t.test("whatever the link says, the list ends, and the answer fits the smallest MTU", async (test) => {
  const world = new World();
  for (let n = 2; n < 1000; n++)
    world.hear(n, {
      information: { preference: n },
      addresses: Array.from({ length: 20 }, (_, i) => [ipv6(`2001:db8:1:${i}::${n.toString(16)}`), 3600] as const),
    });
  test.equal(world.state.list.size, 128);
  for (const { addresses } of world.state.list.at(world.now)) test.equal(addresses.size, 8);
  test.match(world.hear(5000, { information: {} })[0], { kind: "drop", reason: "queue-full" });
  const addresses = world.addresses();
  test.equal(addresses.length, 77);
  test.ok(40 + 8 + 16 * addresses.length <= 1280);
  test.equal(addresses[0], global(129), "those with the highest preference");
});

t.test("what is not sent to the anycast address, or comes from nobody, is dropped", async (test) => {
  const world = new World();
  test.match(world.ask({ destination: SELF }), [{ kind: "drop", reason: "wrong-destination" }]);
  for (const source of ["fe80::9", "ff02::1", "::", "::1"])
    test.match(world.ask({ source: ipv6(source) }), [{ kind: "drop", reason: "wrong-source" }], source);
});

t.test(
  "the anycast addresses are drawn here on the home link for as long as another router serves it",
  async (test) => {
    const world = new World();
    const defences = (effects: readonly DiscoveryEffect[]) =>
      effects.flatMap((effect) => (effect.kind === "defend" ? [effect.wanted] : []));
    test.strictSame(defences(world.hear(2, { homeAgent: false, router: 30 })), [true]);
    test.strictSame(defences(world.hear(3, { homeAgent: false, router: 60 })), []);
    world.later(30);
    test.strictSame(defences(world.give({ kind: "timer" })), []);
    test.strictSame(defences(world.hear(3, { homeAgent: false, router: 0 })), [false]);
    test.strictSame(defences(world.hear(3, { homeAgent: false, router: 0 })), []);
  },
);
