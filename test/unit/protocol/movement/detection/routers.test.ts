/** Movement detection: which routers are known, which is another one at the same address, and what each vouches for (RFC 6059, RFC 4436). */
import t from "tap";
import { type IpAddress, ipv4, ipv6, type Prefix, parsePrefix } from "../../../../../controller/base/ip.js";
import { believed } from "../../../../../controller/protocol/movement/detection/machine.js";
import type { KnownRouter, LinkBelief } from "../../../../../controller/protocol/movement/detection/model.js";
import { nextHops, withNextHops } from "../../../../../controller/protocol/movement/detection/routers.js";
import type { NetworkView } from "../../../../../controller/protocol/movement/network-view.js";
import { A, B, Bench, elsewhere, HOME_AGENT, INDEX, inFirst, MAC1, MAC2, R1, R2, view } from "./bench.js";

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
