/** What a home agent tells its home link, how often, and to whom. */
import t from "tap";
import { IPV4_ANY, type Ipv4Address, ipv4 } from "../../../../../controller/base/ip.js";
import { type Instant, instant } from "../../../../../controller/base/time.js";
import type { ToLink } from "../../../../../controller/protocol/mip4/advertisements.js";
import {
  type AdvertisedHome,
  type AdvertiserEffect,
  type AdvertiserInput,
  HomeLinkAdvertiser,
} from "../../../../../controller/protocol/mip4/home-agent/advertiser.js";
import {
  decodeAgentDiscovery,
  encodeAgentDiscovery,
} from "../../../../../controller/wire/mip4/messages/agent-discovery.js";

const OWN = ipv4("198.51.100.1");
const HOA = ipv4("198.51.100.10");
const MAC = "02:00:00:00:00:01";
const HOME: AdvertisedHome = {
  link: {
    ...{ device: "home", address: OWN, prefixLength: 24 },
    ...{ advertisementIntervalSeconds: 10, advertisementLifetimeSeconds: 30, advertisesPrefixLength: true },
  },
  homeAgent: OWN,
  registrationLifetimeSeconds: 1800,
  gre: true,
  routesCommonTraffic: false,
};

class Bench {
  readonly advertiser: HomeLinkAdvertiser;
  now: Instant = instant(0);
  random = 0.5;

  constructor(home: AdvertisedHome = HOME) {
    this.advertiser = new HomeLinkAdvertiser(home);
  }

  step(input: AdvertiserInput): readonly AdvertiserEffect[] {
    return this.advertiser.step(input, this.now, this.random);
  }

  solicit(source: Ipv4Address): readonly AdvertiserEffect[] {
    return this.step({ kind: "solicitation", linkAddress: MAC, source });
  }

  /** What is said until then, and when. */
  wait(seconds: number): readonly { readonly at: number; readonly said: ToLink }[] {
    const end = this.now + 1000 * seconds;
    const all: { at: number; said: ToLink }[] = [];
    for (;;) {
      const due = this.advertiser.nextDeadline;
      if (due === undefined || due > end) break;
      this.now = instant(Math.max(this.now, due));
      for (const message of said(this.step({ kind: "timer" }))) all.push({ at: this.now / 1000, said: message });
    }
    this.now = instant(end);
    return all;
  }
}

const said = (effects: readonly AdvertiserEffect[]): readonly ToLink[] =>
  effects.flatMap((effect) => (effect.kind === "send" ? [effect.message] : []));

const sequenceOf = ({ advertisement }: ToLink): number => {
  const [agent] = advertisement.extensions;
  return agent?.kind === "mobility-agent-advertisement" ? Number(agent.sequence) : -1;
};

t.test("content of an advertisement, through the codec: H, and nothing that is a foreign agent's", (t) => {
  const bench = new Bench();
  bench.step({ kind: "begin" });
  const [first] = bench.wait(0);
  t.match(first?.said, { device: "home", source: OWN, receiver: undefined });
  const decoded = decodeAgentDiscovery(encodeAgentDiscovery((first as { said: ToLink }).said.advertisement));
  t.match(decoded.ok && decoded.value, {
    code: 16,
    lifetimeSeconds: 30,
    routers: [{ address: OWN, preference: -0x80000000 }],
    extensions: [
      {
        sequence: 0,
        registrationLifetimeSeconds: 1800,
        flags: {
          ...{ homeAgent: true, foreignAgent: false, busy: false, registrationRequired: false },
          ...{ gre: true, reverseTunnelling: false, udpTunnelling: false },
        },
        careOfAddresses: [],
      },
      { prefixLengths: [24] },
    ],
  });
  t.end();
});

t.test("an agent that nodes know by an address on another link has that one among its own", (t) => {
  const homeAgent = ipv4("203.0.113.1");
  const bench = new Bench({ ...HOME, homeAgent, routesCommonTraffic: true });
  const [answer] = said(bench.solicit(HOA));
  const decoded = answer && decodeAgentDiscovery(encodeAgentDiscovery(answer.advertisement));
  t.match(decoded?.ok && decoded.value, {
    code: 0,
    routers: [
      { address: OWN, preference: 0 },
      { address: homeAgent, preference: -0x80000000 },
    ],
    extensions: [{}, { prefixLengths: [24, 32] }],
  });
  t.end();
});

t.test(
  "numbers from 0 on, 256 after 0xffff; at most 16 s apart at first, then as far as is wanted, never at once",
  (t) => {
    const bench = new Bench({ ...HOME, link: { ...HOME.link, advertisementIntervalSeconds: 100 } });
    bench.step({ kind: "begin" });
    const first = bench.wait(300);
    t.strictSame(
      first.map(({ at }) => at),
      [0, 16, 32, 132, 232],
    );
    const fast = new Bench({ ...HOME, link: { ...HOME.link, advertisementIntervalSeconds: 1 } });
    fast.step({ kind: "begin" });
    fast.random = 0;
    const all = fast.wait(65_600);
    const numbers = all.map(({ said: one }) => sequenceOf(one));
    t.strictSame(numbers.slice(0, 3), [0, 1, 2]);
    t.strictSame(numbers.slice(0xffff, 0xffff + 3), [0xffff, 256, 257]);
    t.ok(
      all.every(({ at }, i) => i === 0 || at - (all[i - 1]?.at ?? 0) >= 1),
      "once a second at most",
    );
    t.end();
  },
);

t.test("who asks is answered by its own address, whatever that is; all at most once a second", (t) => {
  const bench = new Bench({ ...HOME, link: { ...HOME.link, advertisementIntervalSeconds: 0 } });
  bench.step({ kind: "begin" });
  t.strictSame(bench.wait(1000), [], "nobody asks");
  const stranger = ipv4("10.1.2.3");
  t.match(said(bench.solicit(stranger)), [{ receiver: { linkAddress: MAC, address: stranger } }]);
  for (let i = 0; i < 9; i++) t.equal(said(bench.solicit(HOA)).length, 1);
  t.match(bench.solicit(HOA), [{ kind: "drop", reason: "rate-limited" }]);
  t.match(said(bench.solicit(IPV4_ANY)), [{ receiver: undefined }]);
  t.strictSame(bench.solicit(IPV4_ANY), []);
  t.strictSame(bench.solicit(IPV4_ANY), []);
  t.strictSame(
    bench.wait(10).map(({ at }) => at),
    [1001],
    "one for both, a second later",
  );
  t.equal(said(bench.solicit(HOA)).length, 1, "the next second");
  t.end();
});
