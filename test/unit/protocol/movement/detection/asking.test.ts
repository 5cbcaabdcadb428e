/** Movement detection: which router is asked when, how often, and what its silence says (RFC 6275 §11.5.1, RFC 4861 §7.3, RFC 4436). */
import t from "tap";
import { ipv6 } from "../../../../../controller/base/ip.js";
import { believed } from "../../../../../controller/protocol/movement/detection/machine.js";
import type { DetectionInput } from "../../../../../controller/protocol/movement/detection/model.js";
import type { NetworkView } from "../../../../../controller/protocol/movement/network-view.js";
import { A, B, Bench, INDEX, inFirst, MAC1, MAC2, R1, R2, view } from "./bench.js";

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

t.test("the end of a router's lifetime is one reason to ask it, and not one again and again", (t) => {
  const bench = inFirst().wait(26);
  t.equal(bench.asked().length, 3);
  t.strictSame(bench.answers(R1, MAC1).addresses, [A]);
  t.strictSame(bench.wait(60).asked(), []);
  t.end();
});

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
