/** Movement detection: what is believed of a network, and who is asked, evidence by evidence (RFC 6275 §11.5.1, RFC 6059, RFC 4436). */
import t from "tap";
import { type IpAddress, ipv4, ipv6, type Prefix, parseIp, parsePrefix } from "../../../../controller/base/ip.js";
import { type Instant, instant } from "../../../../controller/base/time.js";
import { hostLength } from "../../../../controller/protocol/movement/detection/believed-view.js";
import { claims } from "../../../../controller/protocol/movement/detection/doubts.js";
import {
  believed,
  initialDetection,
  nextAsking,
  step,
} from "../../../../controller/protocol/movement/detection/machine.js";
import type {
  DetectionEffect,
  DetectionInput,
  DetectionState,
  KnownRouter,
  LinkBelief,
} from "../../../../controller/protocol/movement/detection/model.js";
import { claimOf, nextHops, withNextHops } from "../../../../controller/protocol/movement/detection/routers.js";
import type {
  NetworkAddress,
  NetworkRoute,
  NetworkView,
} from "../../../../controller/protocol/movement/network-view.js";

const HOME_AGENT = { ipv6: ipv6("2001:db8:1::1"), ipv4: ipv4("203.0.113.1") };
const INDEX = 2;
const R1 = "fe80::1";
const R2 = "fe80::2";
const MAC1 = "02:00:00:00:00:01";
const MAC2 = "02:00:00:00:00:02";
const A = "2001:db8:a::5/64";
const B = "2001:db8:b::5/64";

interface Port {
  /** With the word "dynamic", and "@N" for the time of configuration. */
  readonly addresses: readonly string[];
  /** Default routes. */
  readonly via?: readonly string[];
  readonly carrier?: number;
  readonly running?: boolean;
}

function view({ addresses, via = [], carrier = 1, running = true }: Port): NetworkView {
  const parsed = ["fe80::5/64 link", ...addresses].map((text): NetworkAddress => {
    const [where = "", ...words] = text.split(" ");
    const [address = "", bits = ""] = where.split("/");
    return {
      device: "eth0",
      address: parseIp(address) as IpAddress,
      prefixLength: Number(bits),
      scope: words.includes("link") ? "link" : "global",
      tentative: false,
      deprecated: false,
      temporary: false,
      ours: words.includes("ours"),
      ...(!words.includes("dynamic") && { permanent: true }),
      configuredAt: Number(words.find((word) => word.startsWith("@"))?.slice(1) ?? 0),
    };
  });
  const route = (destination: string, gateway?: string): NetworkRoute => ({
    family: destination.includes(":") ? 6 : 4,
    destination: parsePrefix(destination) as Prefix,
    device: "eth0",
    ...(gateway !== undefined && { via: parseIp(gateway) as IpAddress }),
    metric: 1024,
    table: 254,
    protocol: 9,
    ours: false,
  });
  const onLink = addresses.flatMap((text) => {
    const [where = ""] = text.split(" ");
    return text.includes("ours") ? [] : [route(networkOf(where))];
  });
  const link = { index: INDEX, name: "eth0", up: true, running, ours: false, carrierChanges: carrier };
  return {
    links: [link],
    addresses: parsed,
    routes: [...onLink, ...via.map((gateway) => route(gateway.includes(":") ? "::/0" : "0.0.0.0/0", gateway))],
  };
}

const networkOf = (where: string): string =>
  where.includes(":") ? where.replace(/::.*\//, "::/") : where.replace(/\.\d+\//, ".0/");

class Bench {
  state: DetectionState = initialDetection(HOME_AGENT);
  now: Instant = instant(1_000_000);
  effects: DetectionEffect[] = [];

  give(input: DetectionInput): this {
    const { state, effects } = step(this.state, input, this.now);
    this.state = state;
    for (const effect of effects) this.effects.push(effect);
    return this;
  }

  sees(port: Port): this {
    return this.give({ kind: "network", view: view(port) });
  }

  hears(router: string, linkLayerAddress: string, ...prefixes: readonly string[]): this {
    const advertisement = {
      router: ipv6(router),
      linkLayerAddress,
      lifetimeSeconds: 30,
      prefixes: prefixes.map((text) => parsePrefix(text) as Prefix),
    };
    return this.give({ kind: "advertisement", index: INDEX, advertisement });
  }

  answers(address: string, linkLayerAddress?: string): this {
    const parsed = parseIp(address) as IpAddress;
    return this.give({
      kind: "reachable",
      index: INDEX,
      address: parsed,
      ...(linkLayerAddress && { linkLayerAddress }),
    });
  }

  knows(address: string, linkLayerAddress: string): this {
    return this.give({ kind: "neighbour", index: INDEX, address: parseIp(address) as IpAddress, linkLayerAddress });
  }

  wait(seconds: number): this {
    const end = this.now + seconds * 1000;
    for (let steps = 0; steps < 1000; steps++) {
      const next = nextAsking(this.state);
      if (next === undefined || next > end) {
        this.now = instant(end);
        return this;
      }
      this.now = instant(Math.max(this.now, next));
      this.give({ kind: "timer" });
    }
    throw new Error("it does not come to rest");
  }

  /** Global addresses that are believed. */
  get addresses(): readonly string[] {
    const seen = believed(this.state)?.addresses ?? [];
    return seen
      .filter(({ scope }) => scope === "global")
      .map(({ address, prefixLength, deprecated }) => `${address}/${prefixLength}${deprecated ? " deprecated" : ""}`);
  }

  get gateways(): readonly string[] {
    return (believed(this.state)?.routes ?? []).flatMap(({ via }) => (via === undefined ? [] : [via]));
  }

  /** Who was asked, with the link-layer address, since the last look. */
  asked(): readonly string[] {
    const asked = this.effects.flatMap((effect) =>
      effect.kind === "ask" ? [`${effect.router} ${effect.linkLayerAddress ?? "everybody"} from ${effect.sender}`] : [],
    );
    this.effects = [];
    return asked;
  }

  solicited(): number {
    return this.effects.filter(({ kind }) => kind === "solicit").length;
  }
}

/** In the first network, with its router known. */
function inFirst(): Bench {
  const bench = new Bench()
    .sees({ addresses: [`${A} dynamic`], via: [R1] })
    .hears(R1, MAC1, "2001:db8:a::/64")
    .wait(5);
  bench.asked();
  return bench;
}

t.test("nothing speaks against what is configured: it is believed, and nobody is asked", (t) => {
  const bench = new Bench()
    .sees({ addresses: ["2001:db8:a::5/64", "203.0.114.5/24"], via: [R1, "203.0.114.1"] })
    .wait(60);
  t.strictSame(bench.addresses, ["2001:db8:a::5/64", "203.0.114.5/24"]);
  t.equal(bench.solicited(), 0, "a network without advertisements is left alone");
  t.strictSame(bench.asked(), []);
  t.end();
});

t.test(
  "the carrier was lost: nothing is believed until its own router answers, and it is asked at its link-layer address",
  (t) => {
    const bench = inFirst().sees({ addresses: [`${A} dynamic`], via: [R1], carrier: 3 });
    t.strictSame(bench.addresses, []);
    t.strictSame(bench.gateways, []);
    t.equal(bench.solicited(), 1);
    t.strictSame(bench.asked(), [`${R1} ${MAC1} from fe80::5`]);
    bench.answers(R1, MAC2);
    t.strictSame(bench.addresses, [], "a router of the same address in another network");
    bench.answers(R1);
    t.strictSame(bench.addresses, [A]);
    t.strictSame(bench.gateways, [R1]);
    t.strictSame(bench.wait(20).asked(), []);
    t.end();
  },
);

t.test("what is doubted, and what of it is confirmed or left, is told once with its addresses", (t) => {
  const told = (bench: Bench): readonly (readonly string[])[] => {
    const reports = bench.effects.flatMap((one) =>
      one.kind === "report" ? [[one.event, one.detail["addresses"] ?? ""] as const] : [],
    );
    bench.effects = [];
    return reports;
  };
  const moved = { addresses: [`${A} dynamic`], via: [R1], carrier: 3 };
  const bench = inFirst().sees(moved);
  t.strictSame(told(bench), [["network.doubted", "2001:db8:a::5"]]);
  t.strictSame(told(bench.sees(moved)), []);
  t.strictSame(told(bench.answers(R1)), [["network.confirmed", "2001:db8:a::5"]]);
  const silent = inFirst().sees(moved);
  told(silent);
  t.strictSame(told(silent.wait(2)), [["network.left", "2001:db8:a::5"]]);
  t.end();
});

t.test("on a link without a link-local address a router is asked from an address of ours on it", (t) => {
  const port = { addresses: [`${A} dynamic`], via: [R1] };
  const bare = (carrier: number): NetworkView => {
    const all = view({ ...port, carrier });
    return { ...all, addresses: all.addresses.filter(({ scope }) => scope === "global") };
  };
  const bench = new Bench()
    .give({ kind: "network", view: bare(1) })
    .hears(R1, MAC1, "2001:db8:a::/64")
    .wait(5);
  bench.asked();
  bench.give({ kind: "network", view: bare(3) });
  t.strictSame(bench.asked(), [`${R1} ${MAC1} from 2001:db8:a::5`]);
  t.end();
});

t.test("a flap of which only the count tells is a loss of the carrier; without a carrier nobody is asked", (t) => {
  const bench = inFirst()
    .sees({ addresses: [`${A} dynamic`], via: [R1], carrier: 2, running: false })
    .wait(10);
  t.strictSame(bench.asked(), []);
  bench.sees({ addresses: [`${A} dynamic`], via: [R1], carrier: 3 });
  t.strictSame(bench.asked(), [`${R1} ${MAC1} from fe80::5`]);
  t.end();
});

t.test(
  "a router that does not answer three times is gone, with the addresses it vouched for and the ways through it",
  (t) => {
    const bench = inFirst()
      .sees({ addresses: [`${A} dynamic`], via: [R1], carrier: 3 })
      .wait(2);
    t.equal(bench.asked().length, 3);
    t.strictSame(bench.addresses, []);
    const again = bench.wait(100).asked().length;
    t.ok(again > 2 && again < 10, `asked again ${again} times in 100 s`);
    bench.hears(R1, MAC1, "2001:db8:a::/64");
    t.strictSame(bench.addresses, [A]);
    t.end();
  },
);

t.test(
  "another router advertises while the carrier stays: the former one is asked and believed until the answer is overdue",
  (t) => {
    const bench = inFirst().hears(R2, MAC2, "2001:db8:b::/64");
    t.strictSame(bench.asked(), [`${R1} ${MAC1} from fe80::5`]);
    bench.sees({ addresses: [`${A} dynamic`, `${B} dynamic`], via: [R1, R2] });
    t.strictSame(bench.addresses, [A, B], "both, until it is overdue");
    bench.wait(0.9);
    t.strictSame(bench.addresses, [B]);
    t.strictSame(bench.gateways, [R2]);
    // Back, without a loss of the carrier.
    bench.hears(R1, MAC1, "2001:db8:a::/64").wait(0.9);
    t.strictSame(bench.addresses, [A]);
    t.strictSame(bench.gateways, [R1]);
    t.end();
  },
);

t.test("two routers on one link: each is asked once, and both are believed", (t) => {
  const bench = inFirst().hears(R2, MAC2, "2001:db8:b::/64");
  bench.sees({ addresses: [`${A} dynamic`, `${B} dynamic`], via: [R1, R2] }).answers(R1, MAC1);
  bench.asked();
  for (let i = 0; i < 5; i++)
    bench.hears(R1, MAC1, "2001:db8:a::/64").wait(4).hears(R2, MAC2, "2001:db8:b::/64").wait(4);
  t.strictSame(bench.asked(), []);
  t.strictSame(bench.addresses, [A, B]);
  t.end();
});

t.test(
  "the same router address and another network: a router that advertises nothing any more of what it did is another",
  (t) => {
    const bench = inFirst().hears(R1, MAC1, "2001:db8:b::/64");
    t.strictSame(bench.addresses, []);
    bench
      .sees({ addresses: [`${A} dynamic`, `${B} dynamic`], via: [R1] })
      .answers(R1, MAC1)
      .wait(2);
    t.strictSame(bench.addresses, [B]);
    bench.hears(R1, MAC1, "2001:db8:a::/64");
    t.strictSame(bench.addresses, [A]);
    t.end();
  },
);

t.test("a prefix without an address, a home prefix perhaps, is believed no longer than its router", (t) => {
  const port = (carrier: number): NetworkView => {
    const seen = view({ addresses: [A], via: [R1], carrier });
    return { ...seen, addresses: seen.addresses.filter(({ scope }) => scope === "link") };
  };
  const bench = new Bench().give({ kind: "network", view: port(1) }).hears(R1, MAC1, "2001:db8:a::/64");
  const onLink = (): number => (believed(bench.state)?.routes ?? []).filter(({ via }) => via === undefined).length;
  t.equal(onLink(), 1);
  bench.give({ kind: "network", view: port(3) });
  t.equal(onLink(), 0);
  bench.hears(R1, MAC1, "2001:db8:a::/64");
  t.equal(onLink(), 1);
  t.end();
});

t.test("our home address on a link is no word for the network there", (t) => {
  const addresses = [`${A} dynamic`, "2001:db8:a::100/128 ours"];
  const bench = new Bench()
    .sees({ addresses, via: [R1] })
    .hears(R1, MAC1, "2001:db8:a::/64")
    .wait(5);
  bench.sees({ addresses, via: [R1], carrier: 3 });
  t.notOk(believed(bench.state)?.routes.some(({ destination }) => destination.address === "2001:db8:a::"));
  t.end();
});

t.test(
  "IPv4 after a loss of the carrier: the router is asked at its link-layer address, twice more at most, from the address in question",
  (t) => {
    const port = { addresses: ["10.0.0.5/24 dynamic"], via: ["10.0.0.1"] };
    const bench = new Bench()
      .sees(port)
      .knows("10.0.0.1", MAC1)
      .sees({ ...port, carrier: 3 });
    t.strictSame(bench.addresses, []);
    bench.wait(2);
    t.strictSame(bench.asked(), Array(3).fill(`10.0.0.1 ${MAC1} from 10.0.0.5`));
    bench.answers("10.0.0.1", MAC2);
    t.strictSame(bench.addresses, [], "another router of the same address");
    bench.answers("10.0.0.1", MAC1);
    t.strictSame(bench.addresses, ["10.0.0.5/24"]);
    t.end();
  },
);

t.test(
  "DHCP gives the address of another network, whose router has the same address: it is used, the former one is not",
  (t) => {
    const former = "10.0.0.5/24 dynamic";
    const bench = new Bench().sees({ addresses: [former], via: ["10.0.0.1"] }).knows("10.0.0.1", MAC1);
    bench.sees({ addresses: [former], via: ["10.0.0.1"], carrier: 3 }).wait(2);
    bench.sees({ addresses: [former, "10.0.0.9/24 dynamic @7"], via: ["10.0.0.1"], carrier: 3 });
    t.strictSame(bench.addresses, ["10.0.0.9/24"]);
    t.strictSame(bench.gateways, ["10.0.0.1"]);
    bench.answers("10.0.0.1", MAC2).wait(40);
    t.strictSame(bench.addresses, ["10.0.0.9/24"]);
    // The same lease again: whoever configures it vouches for it.
    bench.sees({ addresses: ["10.0.0.5/24 dynamic @9"], via: ["10.0.0.1"], carrier: 3 });
    t.strictSame(bench.addresses, ["10.0.0.5/24"]);
    t.end();
  },
);

/** Configured by hand, and the carrier was lost: the router of that address has another link-layer address now. */
function elsewhere(addresses: readonly string[], gateway: string): Bench {
  const port = { addresses, via: [gateway] };
  const bench = new Bench()
    .sees(port)
    .knows(gateway, MAC1)
    .sees({ ...port, carrier: 3 });
  t.strictSame(bench.addresses, []);
  return bench;
}

t.test("set by hand: the known router is asked, then everybody; nobody answers, and it is not used", (t) => {
  const bench = elsewhere(["10.0.0.5/24"], "10.0.0.1");
  t.strictSame(bench.wait(2).asked(), [
    ...Array(3).fill(`10.0.0.1 ${MAC1} from 10.0.0.5`),
    "10.0.0.1 everybody from 10.0.0.5",
  ]);
  t.strictSame(bench.addresses, []);
  t.ok(bench.wait(100).asked().length > 2, "it is asked again now and then");
  t.strictSame(bench.answers("10.0.0.1", MAC1).addresses, ["10.0.0.5/24"]);
  t.end();
});

t.test(
  "set by hand: another router of that address makes it a last resort, until the known one or the home agent answers",
  (t) => {
    const unproven = (): IpAddress | undefined =>
      believed(bench.state)?.addresses.find((one) => one.unproven === true)?.address;
    let bench = elsewhere(["10.0.0.5/24"], "10.0.0.1").answers("10.0.0.1", MAC2);
    t.strictSame(bench.addresses, ["10.0.0.5/24 deprecated"]);
    t.equal(unproven(), "10.0.0.5");
    t.strictSame(bench.gateways, ["10.0.0.1"]);
    const told = bench.effects.filter((one) => one.kind === "report" && one.event === "network.unproven");
    t.equal(told.length, 1);
    bench.answers("10.0.0.1", MAC2).wait(60).answers("10.0.0.1", MAC2);
    t.strictSame(bench.addresses, ["10.0.0.5/24 deprecated"], "and stays one, however often it answers");
    bench.give({ kind: "answered", device: "eth0", address: ipv4("10.0.0.9") });
    t.equal(unproven(), "10.0.0.5", "an answer to another address");
    t.strictSame(bench.answers("10.0.0.1", MAC1).addresses, ["10.0.0.5/24"], "the known one is back");

    bench = elsewhere(["10.0.0.5/24"], "10.0.0.1").answers("10.0.0.1", MAC2);
    bench.give({ kind: "answered", device: "eth0", address: ipv4("10.0.0.5") });
    t.strictSame(bench.addresses, ["10.0.0.5/24"]);
    t.strictSame(bench.gateways, ["10.0.0.1"]);
    bench.asked();
    t.strictSame(bench.wait(60).asked(), [], "nobody asks for the former one any more");
    bench.sees({ addresses: ["10.0.0.5/24"], via: ["10.0.0.1"], carrier: 5 });
    t.strictSame(bench.asked(), [`10.0.0.1 ${MAC2} from 10.0.0.5`], "the next time the new one is the known one");
    t.end();
  },
);

t.test(
  "IPv4, a router that was exchanged while the carrier stayed: a last resort, and good when the home agent answers",
  (t) => {
    const bench = new Bench().sees({ addresses: ["10.0.0.5/24 dynamic"], via: ["10.0.0.1"] }).knows("10.0.0.1", MAC1);
    bench.give({ kind: "unanswered", device: "eth0", family: 4 }).answers("10.0.0.1", MAC2);
    t.strictSame(bench.addresses, ["10.0.0.5/24"], "believed while the known one may answer yet");
    bench.wait(1);
    t.strictSame(bench.addresses, ["10.0.0.5/24 deprecated"]);
    t.strictSame(bench.gateways, ["10.0.0.1"]);
    bench.give({ kind: "answered", device: "eth0", address: ipv4("10.0.0.5") });
    t.strictSame(bench.addresses, ["10.0.0.5/24"]);
    // Only when the first one has long been gone.
    const late = new Bench().sees({ addresses: ["10.0.0.5/24 dynamic"], via: ["10.0.0.1"] }).knows("10.0.0.1", MAC1);
    late.give({ kind: "unanswered", device: "eth0", family: 4 }).wait(60);
    t.strictSame(late.gateways, []);
    t.ok(late.asked().some((one) => one.includes("everybody")));
    t.strictSame(late.answers("10.0.0.1", MAC2).gateways, ["10.0.0.1"]);
    t.strictSame(late.addresses, ["10.0.0.5/24 deprecated"]);
    t.end();
  },
);

t.test("an unproven home prefix says nothing about home", (t) => {
  const bench = elsewhere(["2001:db8:a::5/64"], "fe80::1").answers("fe80::1", MAC2);
  t.strictSame(bench.addresses, ["2001:db8:a::5/64 deprecated"]);
  t.notOk(believed(bench.state)?.routes.some(({ destination }) => destination.address === "2001:db8:a::"));
  t.end();
});

t.test(
  "updates without an answer, a neighbour given up, the end of a router's lifetime: it is asked, and solicited",
  (t) => {
    const evidence: readonly DetectionInput[] = [
      { kind: "unanswered", device: "eth0", family: 6 },
      { kind: "unreachable", index: INDEX, address: ipv6(R1) },
    ];
    for (const input of evidence) {
      const bench = inFirst().give(input);
      t.strictSame(bench.asked(), [`${R1} ${MAC1} from fe80::5`], input.kind);
      t.strictSame(bench.addresses, [A], "believed meanwhile");
      t.strictSame(
        bench.wait(1).addresses,
        [`${A} deprecated`],
        "silence alone: good enough where nothing better is there",
      );
      t.strictSame(bench.gateways, []);
      t.strictSame(bench.hears(R2, MAC2, "2001:db8:b::/64").addresses, [], "and not with another network's router");
    }
    t.ok(inFirst().give({ kind: "unanswered", device: "eth0", family: 6 }).solicited() > 0);
    const silent = inFirst().wait(26);
    t.equal(silent.asked().length, 3, "after 30 s without another advertisement");
    t.strictSame(silent.addresses, [`${A} deprecated`]);
    t.end();
  },
);

t.test("R5555-4.4.4-02 a network without advertisements: three solicitations, then it has no IPv6", (t) => {
  const bench = inFirst()
    .sees({ addresses: [`${A} dynamic`], via: [R1], carrier: 3 })
    .wait(20);
  t.equal(bench.solicited(), 3);
  const told = bench.effects.some((effect) => effect.kind === "report" && effect.event === "network.without-router");
  t.ok(told);
  t.strictSame(bench.addresses, []);
  t.end();
});

t.test("a start in another network than the addresses are of: the first advertisement tells", (t) => {
  const bench = new Bench().sees({ addresses: [`${A} dynamic`, `${B} dynamic`], via: [R1, R2] });
  t.strictSame(bench.addresses, [A, B]);
  bench.hears(R2, MAC2, "2001:db8:b::/64").wait(2);
  t.strictSame(bench.addresses, [B]);
  t.strictSame(bench.gateways, [R2]);
  t.end();
});

t.test("a forger's routers fill neither the memory nor the link", (t) => {
  const bench = inFirst();
  for (let i = 0; i < 500; i++) {
    bench.hears(`fe80::bad:${i.toString(16)}`, MAC2, `2001:db8:${(0x1000 + i).toString(16)}::/64`).answers(R1, MAC1);
  }
  t.ok((bench.state.links.get(INDEX)?.routers.length ?? 0) < 40);
  t.ok(bench.asked().length < 40, "one question in a tenth of a second to each");
  t.strictSame(bench.addresses, [A]);
  t.end();
});

t.test("a second loss of the carrier takes no doubt of the first one away", (t) => {
  const moved = (carrier: number): Port => ({ addresses: [`${A} dynamic`], via: [R1], carrier });
  const bench = inFirst().sees(moved(3)).sees(moved(5));
  t.strictSame(bench.addresses, []);
  t.strictSame(bench.wait(2).addresses, []);
  t.strictSame(bench.answers(R1, MAC1).addresses, [A]);
  t.end();
});

t.test(
  "routers are solicited at the start where one has given an address, and once for an update without an answer",
  (t) => {
    const port = { addresses: [`${A} dynamic`], via: [R1] };
    t.equal(new Bench().sees(port).solicited(), 1);
    t.equal(new Bench().sees(port).wait(20).solicited(), 3);
    t.equal(
      new Bench()
        .sees({ ...port, running: false })
        .wait(20)
        .solicited(),
      0,
      "not without a carrier",
    );
    const bench = inFirst().give({ kind: "unanswered", device: "eth0", family: 6 }).wait(20);
    t.equal(bench.solicited(), 1);
    t.equal(inFirst().give({ kind: "unanswered", device: "eth0", family: 4 }).wait(20).solicited(), 0);
    t.equal(inFirst().give({ kind: "unanswered", device: "eth1", family: 6 }).solicited(), 0, "another link");
    t.end();
  },
);

t.test("a believed router that answers with another link-layer address has been exchanged", (t) => {
  const moved = { addresses: [`${A} dynamic`], via: [R1], carrier: 3 };
  const bench = inFirst().answers(R1, MAC2);
  t.strictSame(bench.addresses, [A]);
  t.strictSame(bench.sees(moved).asked(), [`${R1} ${MAC2} from fe80::5`]);
  t.strictSame(bench.answers(R1, MAC1).addresses, [], "the former one is another now");
  t.strictSame(bench.answers(R1, MAC2).addresses, [A]);
  t.end();
});

t.test("routers that advertise other prefixes are remembered, the last sixteen of them", (t) => {
  const bench = inFirst();
  const known = (): readonly string[] =>
    (bench.state.links.get(INDEX)?.routers ?? []).map(({ address }) => address).filter((one) => one !== R1);
  const more = (from: number, to: number): readonly string[] =>
    Array.from({ length: to - from }, (_, i) => `fe80::1:${(from + i).toString(16)}`);
  for (const one of more(0, 16)) bench.hears(one, MAC2, "2001:db8:b::/64");
  t.strictSame(known(), more(0, 16));
  for (const one of more(16, 20)) bench.hears(one, MAC2, "2001:db8:b::/64");
  t.strictSame(known(), more(4, 20));
  t.end();
});

t.test("with nothing to ask from a router is not asked, and is known all the same when an address comes", (t) => {
  const port = (carrier: number, addresses: readonly string[]): NetworkView => {
    const all = view({ addresses: [`${A} dynamic`], via: [R1], carrier });
    return { ...all, addresses: all.addresses.filter(({ address }) => addresses.includes(address)) };
  };
  const bench = new Bench()
    .give({ kind: "network", view: port(1, []) })
    .hears(R1, MAC1, "2001:db8:a::/64")
    .give({ kind: "network", view: port(3, []) });
  t.strictSame(bench.wait(1).asked(), []);
  bench.give({ kind: "network", view: port(5, ["fe80::5"]) });
  t.strictSame(bench.asked(), [`${R1} ${MAC1} from fe80::5`]);
  t.end();
});

t.test("an advertisement without prefixes says nothing of other ones", (t) => {
  t.strictSame(inFirst().hears(R1, MAC1).addresses, [A]);
  t.end();
});

t.test("the end of a router's lifetime is one reason to ask it, and not one again and again", (t) => {
  const bench = inFirst().wait(26);
  t.equal(bench.asked().length, 3);
  t.strictSame(bench.answers(R1, MAC1).addresses, [A]);
  t.strictSame(bench.wait(60).asked(), []);
  t.end();
});

t.test(
  "by hand: silence and another network's router together are more than silence, and no exchange of the router",
  (t) => {
    const bench = new Bench()
      .sees({ addresses: [A], via: [R1] })
      .hears(R1, MAC1, "2001:db8:a::/64")
      .wait(5);
    bench.give({ kind: "unanswered", device: "eth0", family: 6 }).wait(1).hears(R2, MAC2, "2001:db8:b::/64");
    t.strictSame(bench.addresses, []);
    t.strictSame(bench.answers(R1, MAC2).addresses, []);
    t.strictSame(bench.answers(R1, MAC1).addresses, [A]);
    t.end();
  },
);

t.test("the network on the link stays while its router is asked and when only silence speaks against it", (t) => {
  const networks = (bench: Bench): number => (believed(bench.state)?.routes ?? []).filter(({ via }) => !via).length;
  const bench = inFirst().hears(R2, MAC2, "2001:db8:b::/64");
  t.equal(networks(bench), 1, "until the answer is overdue");
  t.equal(networks(bench.wait(2)), 0);
  t.equal(networks(inFirst().give({ kind: "unanswered", device: "eth0", family: 6 }).wait(2)), 1);
  t.end();
});

t.test(
  "routers are solicited every four seconds; who is gone is asked again after 3, 6, 12, 24 and then each 30 seconds",
  (t) => {
    const bench = inFirst();
    const start = bench.now;
    bench.sees({ addresses: [`${A} dynamic`], via: [R1], carrier: 3 });
    const times = { ask: [0], solicit: [0] };
    bench.effects = [];
    while (bench.now < start + 120_000) {
      bench.wait(0.05);
      for (const { kind } of bench.effects) if (kind !== "report") times[kind].push((bench.now - start) / 1000);
      bench.effects = [];
    }
    t.strictSame(times.solicit, [0, 4, 8]);
    const waits = times.ask.slice(3).map((time, i) => Math.round(time - (times.ask[2 + i] ?? 0)));
    t.strictSame(waits, [3, 6, 12, 24, 30, 30]);
    t.end();
  },
);

t.test("an address set by hand since makes a router anew of the one that serves it, and of no other", (t) => {
  const trust = (bench: Bench, address: string): readonly string[] =>
    (bench.state.links.get(INDEX)?.routers ?? []).filter((one) => one.address === address).map((one) => one.trust);
  const former = { addresses: ["10.0.0.5/24", "10.1.0.5/24"], via: ["10.0.0.1", "10.1.0.1"] };
  const bench = new Bench().sees(former).sees({ ...former, carrier: 3 });
  bench.sees({ ...former, addresses: [...former.addresses, "10.0.0.9/24 @7"], carrier: 3 });
  t.strictSame(bench.addresses, ["10.0.0.9/24"]);
  t.ok(trust(bench, "10.0.0.1").includes("sure"));
  t.strictSame(trust(bench, "10.1.0.1"), ["unsure"]);
  const six = inFirst().sees({ addresses: [`${A} dynamic`], via: [R1], carrier: 3 });
  six.sees({ addresses: [`${A} dynamic`, "2001:db8:b::9/64 dynamic @7"], via: [R1], carrier: 3 });
  t.notOk(trust(six, R1).includes("sure"), "an advertisement has said it, which is heard by itself");
  six.sees({ addresses: [`${A} dynamic`, "2001:db8:b::7/64 @7"], via: [R1], carrier: 3 });
  t.ok(trust(six, R1).includes("sure"));
  t.end();
});

t.test(
  "the next hops to the home agent: of routes and of ways, each family once; the home agent itself on the link",
  (t) => {
    const { routes } = view({ addresses: [A, "203.0.113.5/24"], via: [R1, R1, "203.0.113.9"] });
    const way = (via: string) => ({
      device: "eth0",
      address: ipv6(via),
      via: ipv6(via),
      metric: 0,
    });
    const hops = nextHops(
      { ...view({ addresses: [] }), routes, ways: [way(R1), way(R2), way(R2)] },
      "eth0",
      HOME_AGENT,
    );
    t.strictSame(
      [...hops],
      [
        ["203.0.113.1", [4]],
        [R1, [6]],
        ["203.0.113.9", [4]],
        [R2, [6]],
      ],
    );
    t.equal(nextHops({ ...view({ addresses: [] }), routes }, "eth1", HOME_AGENT).size, 0);
    t.end();
  },
);

t.test("an address more in the network of a router that is believed makes no other one of it", (t) => {
  const port = { addresses: ["10.0.0.5/24"], via: ["10.0.0.1"] };
  const bench = new Bench().sees(port).knows("10.0.0.1", MAC1);
  bench.sees({ ...port, addresses: [...port.addresses, "10.0.0.9/24 @7"] });
  const routers = bench.state.links.get(INDEX)?.routers ?? [];
  t.strictSame(
    routers.map(({ address, linkLayerAddress, trust }) => [address, linkLayerAddress, trust]),
    [["10.0.0.1", MAC1, "sure"]],
  );
  t.end();
});

t.test("an address is claimed as a host of its network, in both families", (t) => {
  t.strictSame(claimOf(ipv4("10.0.0.5"), 24, "k"), {
    ...{ key: "k", family: 4, what: { address: "10.0.0.5", length: 32 } },
    network: { address: "10.0.0.0", length: 24 },
  });
  t.match(claimOf(ipv6("2001:db8:a::5"), 64, "k"), { family: 6, what: { length: 128 }, network: { length: 64 } });
  t.strictSame([hostLength(ipv4("10.0.0.5")), hostLength(ipv6("::1"))], [32, 128]);
  t.end();
});

const ROUTER: KnownRouter = {
  ...{ address: ipv6(R1), linkLayerAddress: MAC1, trust: "sure", serves: [6] },
  ...{ attempts: 0, askAt: undefined, askedAt: undefined },
};
const LINK: LinkBelief = {
  ...{ index: INDEX, device: "eth0", usable: true, carrierChanges: 1, routers: [ROUTER], doubts: [] },
  ...{ seen: new Map(), soliciting: undefined },
};

t.test("a router stays known for what it serves, advertises or vouches for, and no longer", (t) => {
  const advertising = { ...ROUTER, advertised: { prefixes: [], until: undefined } };
  const doubt = { key: "x", family: 6, what: parsePrefix("2001:db8:a::5/128") as Prefix, vouchers: [ROUTER] } as const;
  const manner = { lenient: false, believed: true, lastResort: false };
  const kept = (link: LinkBelief, ...hops: readonly string[]): readonly string[] =>
    withNextHops(link, new Map(hops.map((hop) => [ipv6(hop), [6]]))).routers.map(({ address }) => address);
  t.strictSame(kept(LINK, R1), [R1]);
  t.strictSame(kept(LINK), [], "nothing leads through it");
  t.strictSame(kept({ ...LINK, routers: [advertising] }), [R1]);
  t.strictSame(kept({ ...LINK, doubts: [{ ...doubt, ...manner }] }), [R1]);
  t.strictSame(kept(LINK, R2), [R2]);
  t.end();
});

t.test(
  "a route that comes to a router which is not believed makes a new one of it, of which nothing is known yet",
  (t) => {
    const routed = (trust: KnownRouter["trust"], serves: KnownRouter["serves"]) =>
      withNextHops(
        { ...LINK, routers: [{ ...ROUTER, trust, serves, advertised: { prefixes: [], until: undefined } }] },
        HOP,
      ).routers.map((one) => [one.trust, one.linkLayerAddress]);
    const HOP = new Map([[ipv6(R1), [6] as const]]);
    t.strictSame(routed("gone", []), [
      ["gone", MAC1],
      ["sure", undefined],
    ]);
    t.strictSame(routed("gone", [6]), [["gone", MAC1]], "a route that was there is no news");
    t.strictSame(routed("sure", []), [["sure", MAC1]], "nor is one to a router that is believed");
    t.end();
  },
);

t.test("on a link stand its addresses, and the IPv6 networks that a route alone puts there (RFC 4861 §6.3.4)", (t) => {
  const port = view({ addresses: [A, "203.0.113.5/24"] });
  const route = (destination: string, changes: Partial<NetworkRoute> = {}): NetworkRoute => ({
    ...(port.routes[0] as NetworkRoute),
    ...{ family: destination.includes(":") ? 6 : 4, destination: parsePrefix(destination) as Prefix },
    ...changes,
  });
  const standing = (...routes: readonly NetworkRoute[]): readonly string[] =>
    claims({ ...port, routes: [...port.routes, ...routes] }, "eth0").map(({ key }) => key);
  const addresses = standing();
  t.equal(addresses.length, 2);
  t.strictSame(standing(route("2001:db8:f::/64")), [...addresses, "on-link 2001:db8:f::/64"]);
  for (const other of [
    route("2001:db8:f::/64", { device: "eth1" }),
    route("2001:db8:f::/64", { ours: true }),
    route("2001:db8:f::/64", { via: ipv6(R1) }),
    route("198.51.100.0/24"),
    route("2001:db8:f::7/128"),
    route("::/0"),
    route("fe80::/64"),
    route("ff00::/8"),
    route("2001:db8:a::/64"),
  ])
    t.strictSame(standing(other), addresses, `${other.destination.address}/${other.destination.length}`);
  t.end();
});
