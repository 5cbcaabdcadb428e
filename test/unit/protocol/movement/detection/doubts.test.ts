/** Movement detection: what of a network is believed, and what takes doubts away (RFC 6275 §11.5.1, RFC 6059, RFC 4436). */
import t from "tap";
import { ipv4, ipv6, type Prefix, parsePrefix } from "../../../../../controller/base/ip.js";
import { hostLength } from "../../../../../controller/protocol/movement/detection/believed-view.js";
import { claims } from "../../../../../controller/protocol/movement/detection/doubts.js";
import { believed } from "../../../../../controller/protocol/movement/detection/machine.js";
import { claimOf } from "../../../../../controller/protocol/movement/detection/routers.js";
import type { NetworkRoute, NetworkView } from "../../../../../controller/protocol/movement/network-view.js";
import { A, B, Bench, elsewhere, inFirst, MAC1, MAC2, type Port, R1, R2, view } from "./bench.js";

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

t.test("a flap of which only the count tells is a loss of the carrier; without a carrier nobody is asked", (t) => {
  const bench = inFirst()
    .sees({ addresses: [`${A} dynamic`], via: [R1], carrier: 2, running: false })
    .wait(10);
  t.strictSame(bench.asked(), []);
  bench.sees({ addresses: [`${A} dynamic`], via: [R1], carrier: 3 });
  t.strictSame(bench.asked(), [`${R1} ${MAC1} from fe80::5`]);
  t.end();
});

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

t.test("an unproven home prefix says nothing about home", (t) => {
  const bench = elsewhere(["2001:db8:a::5/64"], "fe80::1").answers("fe80::1", MAC2);
  t.strictSame(bench.addresses, ["2001:db8:a::5/64 deprecated"]);
  t.notOk(believed(bench.state)?.routes.some(({ destination }) => destination.address === "2001:db8:a::"));
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

t.test("a second loss of the carrier takes no doubt of the first one away", (t) => {
  const moved = (carrier: number): Port => ({ addresses: [`${A} dynamic`], via: [R1], carrier });
  const bench = inFirst().sees(moved(3)).sees(moved(5));
  t.strictSame(bench.addresses, []);
  t.strictSame(bench.wait(2).addresses, []);
  t.strictSame(bench.answers(R1, MAC1).addresses, [A]);
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
