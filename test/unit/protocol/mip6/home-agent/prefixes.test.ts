/** Mobile prefix discovery at the home agent: what is believed of the home link's routers, who is told of it, and how often. */
import t from "tap";
import { formatPrefix, type Ipv6Address, ipv6, parsePrefix } from "../../../../../controller/base/ip.js";
import { after, elapsed, type Instant, instant, seconds } from "../../../../../controller/base/time.js";
import type { RouterAdvertisement } from "../../../../../controller/protocol/mip6/home-agent/prefixes/home-prefixes.js";
import {
  nextDeadline,
  type PrefixesEffect,
  type PrefixesInput,
  PrefixesState,
  step,
} from "../../../../../controller/protocol/mip6/home-agent/prefixes/machine.js";
import type { Arrival } from "../../../../../controller/protocol/mip6/inputs.js";
import { COA, HA, HOA, HOA_B, native, prefix } from "../../../../sim/home-agent-harness.js";

const ROUTER = ipv6("fe80::1");
const HOME = "2001:db8:1::/64";
const OTHER = "2001:db8:7::/64";
const DAY = 86_400;
const INFINITE = 0xffffffff;

function advertisement(text: string, valid: number, preferred = valid): RouterAdvertisement {
  const { address, length } = parsePrefix(text) ?? prefix(HOME);
  return {
    type: "router-advertisement",
    currentHopLimit: 64,
    flags: { managedAddresses: false, otherConfiguration: false, homeAgent: true },
    routerLifetimeSeconds: 1800,
    reachableTimeMs: 0,
    retransmissionTimerMs: 0,
    options: [
      {
        kind: "prefix-information",
        prefixLength: length,
        flags: { onLink: true, autonomous: true, routerAddress: false },
        validLifetimeSeconds: valid,
        preferredLifetimeSeconds: preferred,
        prefix: address as Ipv6Address,
      },
    ],
  };
}

class Agent {
  now: Instant = instant(1000);
  readonly sent: { readonly at: number; readonly to: string; readonly told: readonly string[]; readonly id: number }[] =
    [];
  readonly drops: string[] = [];
  events = 0;
  readonly #state = new PrefixesState(
    { address: HA, homePrefixes: [prefix(HOME)], isSubscriber: (one) => one === HOA || one === HOA_B },
    () => 0.5,
  );

  give(input: PrefixesInput): this {
    for (const effect of step(this.#state, input, this.now)) this.#see(effect);
    return this;
  }

  hears(text: string, valid: number, preferred = valid, source = ROUTER): this {
    return this.give({ kind: "router", source, advertisement: advertisement(text, valid, preferred) });
  }

  asks(identifier: number, arrival: Arrival = native(COA)): this {
    return this.give({
      kind: "solicitation",
      arrival,
      message: { type: "mobile-prefix-solicitation", identifier },
    });
  }

  wait(time: number): this {
    const end = after(this.now, seconds(time));
    for (let turns = 0; ; turns++) {
      if (turns > 500) throw new Error("the timer does not end");
      const deadline = nextDeadline(this.#state);
      if (deadline === undefined || deadline > end) break;
      if (deadline > this.now) this.now = deadline;
      this.give({ kind: "timer" });
    }
    this.now = end;
    return this;
  }

  /** Prefixes with valid and preferred seconds. */
  get believed(): readonly string[] {
    return this.#state.prefixes
      .at(this.now)
      .map(
        ({ prefix, validUntil, preferredUntil }) =>
          `${formatPrefix(prefix)} ${elapsed(this.now, validUntil)} ${Math.max(0, elapsed(this.now, preferredUntil))}`,
      );
  }

  validFor(address: Ipv6Address): number | undefined {
    return this.#state.prefixes.validFor(address, this.now);
  }

  hasNews(): boolean {
    return this.#state.hasNews(HOA);
  }

  #see(effect: PrefixesEffect): void {
    if (effect.kind === "drop") this.drops.push(effect.reason);
    if (effect.kind === "notify") this.events++;
    if (effect.kind !== "send") return;
    const told = effect.message.options.flatMap((one) =>
      one.kind === "prefix-information"
        ? [`${one.prefix}/${one.prefixLength} ${one.validLifetimeSeconds} ${one.preferredLifetimeSeconds}`]
        : [],
    );
    this.sent.push({ at: this.now, to: effect.homeAddress, told, id: effect.message.identifier });
  }
}

t.test("RFC 4862 §5.5.3: a prefix that is served is valid for two hours whatever routers say", async (test) => {
  const agent = new Agent();
  test.strictSame(agent.believed, [`${HOME} Infinity Infinity`]);
  agent.hears(HOME, 0);
  test.strictSame(agent.believed, [`${HOME} 7200 0`]);
  agent.wait(7000).hears(HOME, 60);
  test.strictSame(agent.believed, [`${HOME} 7200 60`], "the operator serves it still");
  agent.hears(HOME, DAY);
  test.strictSame(agent.believed, [`${HOME} ${DAY} ${DAY}`]);
  test.equal(agent.validFor(HOA), DAY);
  test.equal(agent.validFor(ipv6("2001:db8:9::1")), undefined);
});

t.test("another prefix is shortened to two hours and no further, and goes when its time is over", async (test) => {
  const agent = new Agent().hears(OTHER, DAY);
  agent.hears(OTHER, 60);
  test.strictSame(agent.believed.slice(1), [`${OTHER} 7200 60`]);
  agent.wait(3600).hears(OTHER, 60);
  test.strictSame(agent.believed.slice(1), [`${OTHER} 3600 60`], "not put off by being said again");
  agent.wait(3599);
  test.equal(agent.believed.length, 2);
  agent.wait(1);
  test.equal(agent.believed.length, 1);
  test.strictSame(agent.hears(OTHER, 0).believed.length, 1, "what nobody knows is not withdrawn");
  for (const [text, valid, preferred] of [
    ["fe80::/64", DAY, DAY],
    ["ff00::/8", DAY, DAY],
    [OTHER, DAY, DAY + 1],
  ] as const)
    test.equal(agent.hears(text, valid, preferred).believed.length, 1, text);
});

t.test("RFC 4861 §6.1.2: who does not speak from a link-local address is no router", async (test) => {
  const agent = new Agent().hears(OTHER, DAY, DAY, ipv6("2001:db8:1::9")).hears(HOME, 0, 0, HOA);
  test.strictSame(agent.believed, [`${HOME} Infinity Infinity`]);
  test.strictSame(agent.drops, ["wrong-source", "wrong-source"]);
});

t.test("a forger of advertisements fills no memory", async (test) => {
  const agent = new Agent();
  for (let i = 0; i < 1000; i++)
    agent.hears(`2001:db8:${i.toString(16)}::/64`, INFINITE, INFINITE, ipv6(`fe80::${(i + 1).toString(16)}`));
  test.equal(agent.believed.length, 16);
});

t.test("who is bound is told of a change, again after 3, 6 and 12 s, until it asks", async (test) => {
  const agent = new Agent().give({ kind: "bound", homeAddress: HOA });
  agent.hears(HOME, INFINITE);
  test.notOk(agent.hasNews(), "what a router says first is no change");
  agent.hears(HOME, DAY, 0);
  test.ok(agent.hasNews());
  const begun = agent.now;
  agent.wait(40);
  test.strictSame(
    agent.sent.map(({ at }) => (at - begun) / 1000),
    [1.5, 4.5, 10.5, 22.5],
  );
  test.match(agent.sent[0], { to: HOA, id: 0, told: [`${HOME} ${DAY - 1} 0`] });
  agent.give({ kind: "bound", homeAddress: HOA }).wait(2);
  test.equal(agent.sent.length, 5, "with its next update it begins again");
  agent.asks(77).wait(1);
  test.match(agent.sent.at(-1), { id: 77 });
  test.notOk(agent.hasNews());
  const { length } = agent.sent;
  agent.wait(60);
  test.equal(agent.sent.length, length, "who has asked knows");
});

t.test("RFC 6275 §6.8: no more than one advertisement a second, the latest question is answered", async (test) => {
  const agent = new Agent();
  for (let id = 1; id <= 20; id++) agent.asks(id).wait(0.1);
  agent.wait(5);
  const gaps = agent.sent.slice(1).map(({ at }, i) => at - (agent.sent[i]?.at ?? 0));
  test.ok(
    gaps.every((gap) => gap >= 1000),
    gaps.join(" "),
  );
  test.strictSame([agent.sent.length, agent.sent[0]?.id, agent.sent[2]?.id], [3, 1, 20]);
});

t.test("strangers, unprotected and misdirected questions are dropped, and nothing is kept of them", async (test) => {
  const agent = new Agent()
    .asks(1, native(COA, ipv6("2001:db8:1::bad")))
    .asks(2, native(COA, HOA, { protection: "none" }))
    .asks(3, native(COA, HOA, { destination: ipv6("2001:db8:1::2") }));
  test.strictSame(agent.drops, ["not-a-subscriber", "unprotected", "wrong-destination"]);
  test.strictSame(agent.sent, []);
  agent.hears(OTHER, DAY).wait(100);
  test.strictSame(agent.sent, []);
});

t.test("who is not bound any more is told nothing", async (test) => {
  const agent = new Agent().give({ kind: "bound", homeAddress: HOA }).give({ kind: "bound", homeAddress: HOA_B });
  agent.hears(OTHER, DAY).give({ kind: "unbound", homeAddress: HOA }).wait(30);
  test.strictSame([...new Set(agent.sent.map(({ to }) => to))], [HOA_B]);
  test.equal(agent.events, 1);
});

t.test(
  "advertisements that contradict each other all the time cost no more than one a second, and keep nobody ignorant",
  async (test) => {
    const agent = new Agent();
    const nodes = Array.from({ length: 500 }, (_, i) => ipv6(`2001:db8:1::1:${(i + 1).toString(16)}`));
    for (const homeAddress of nodes) agent.give({ kind: "bound", homeAddress });
    for (let i = 0; i < 300; i++) agent.hears(HOME, DAY, i % 2 === 0 ? 0 : DAY).wait(0.1);
    test.ok(agent.events <= 31, `${agent.events} changes in 30 s`);
    test.equal(new Set(agent.sent.map(({ to }) => to)).size, nodes.length, "all have heard of it");
    agent.hears(HOME, DAY, 0).wait(60);
    const latest = new Map(agent.sent.map(({ to, told }) => [to, told[0]]));
    test.ok(
      [...latest.values()].every((told) => told?.endsWith(" 0")),
      "what was said last",
    );
  },
);
