/** IPv6 prefixes of a Mobile IPv4 node (RFC 5454 §3.3, §3.7): explicit, implicit, link-local and out of a pool. */
import t from "tap";
import { IPV4_ANY, ipv6 } from "../../../../../controller/base/ip.js";
import { bindingViews, dataPaths } from "../../../../../controller/protocol/mip4/home-agent/machine.js";
import type { RegistrationExtension } from "../../../../../controller/wire/mip4/extensions/registration.js";
import {
  codeIn,
  HomeAgentBench,
  NAT,
  NODE_SUBSCRIBER,
  OTHER,
  OTHER_HOA,
  OWN,
  ofKind,
  replyIn,
} from "../../../../lib/mip4-home-agent.js";

const want = (text: string, prefixLength: number): RegistrationExtension => ({
  kind: "ipv6-prefix-request",
  prefixLength,
  prefix: ipv6(text),
});
const OWN_REQUEST = want("2001:db8:5::", 48);
const MODE: RegistrationExtension = { kind: "ipv6-tunnelling-mode" };
const LINK_LOCAL = want("fe80::c000:20a", 255);
const name = { kind: "network-access-identifier", identifier: new TextEncoder().encode("roamer@example.org") } as const;

/** Code, length and prefix of each prefix reply. */
function repliesIn(effects: ReturnType<HomeAgentBench["ask"]>) {
  return replyIn(effects).reply.extensions.flatMap((one) =>
    one.kind === "ipv6-prefix-reply" ? [[one.code, `${one.prefix}/${one.prefixLength}`] as const] : [],
  );
}
const pathOf = (bench: HomeAgentBench) => [...dataPaths(bench.state)][0];

t.test("V4-2.1-01, V4-4.3.2-01: explicit, to the home address or to the care-of address", (t) => {
  const bench = new HomeAgentBench();
  const plain = bench.register({ extensions: [OWN_REQUEST] });
  t.strictSame(repliesIn(plain), [[0, "2001:db8:5::/48"]]);
  t.strictSame(pathOf(bench)?.prefixes, [{ prefix: OWN, mode: "home-address" }]);
  const toCareOf = bench.register({ extensions: [OWN_REQUEST, MODE] });
  t.strictSame(repliesIn(toCareOf), [[1, "2001:db8:5::/48"]]);
  t.strictSame([...bindingViews(bench.state, bench.now)][0]?.prefixes, [{ prefix: OWN, mode: "care-of-address" }]);
  const gre = bench.register({ extensions: [OWN_REQUEST, MODE], flags: { decapsulatesItself: true, gre: true } });
  t.strictSame(repliesIn(gre), [[1, "2001:db8:5::/48"]]);
  const udp = { kind: "udp-tunnel-request", forced: false, throughForeignAgent: false, encapsulation: 0 } as const;
  const natted = bench.register({ extensions: [OWN_REQUEST, MODE, udp], arrival: { source: NAT } });
  t.strictSame(repliesIn(natted), [[1, "2001:db8:5::/48"]]);
  const noCareOf = new HomeAgentBench({ careOfMode: false }).register({ extensions: [OWN_REQUEST, MODE] });
  t.strictSame(repliesIn(noCareOf), [[0, "2001:db8:5::/48"]], "the home agent chooses");
  const agent = new HomeAgentBench().register({ extensions: [OWN_REQUEST, MODE], flags: {} });
  t.strictSame(repliesIn(agent), [[0, "2001:db8:5::/48"]], "a foreign agent's care-of address is not the node");
  const behind = new HomeAgentBench().register({ behind: [OWN_REQUEST, MODE] });
  t.strictSame(repliesIn(behind), [], "what the node's authentication does not cover is not asked");
  t.end();
});

t.test("V4-4.7-01, V4-4.2-02: what it is not entitled to is refused alone, and IPv4 is served", (t) => {
  const bench = new HomeAgentBench();
  const effects = bench.register({
    extensions: [
      OWN_REQUEST,
      want("2001:db8:7::", 48),
      want("2001:db8:5:1::", 64),
      want("2001:db8::", 32),
      want("2001:db8:f000:1200::", 56),
      want("::", 0),
      want("2001:db8:5::", 129),
      want("ff02::", 16),
      want("2001:db8:6::", 48),
      OWN_REQUEST,
      LINK_LOCAL,
      want("2001:db8:5::1", 255),
    ],
  });
  t.equal(codeIn(effects), 1);
  t.strictSame(repliesIn(effects), [
    [0, "2001:db8:5::/48"],
    [9, "2001:db8:7::/48"],
    [9, "2001:db8:5:1::/64"],
    [9, "2001:db8::/32"],
    [9, "2001:db8:f000:1200::/56"],
    [8, "::/0"],
    [8, "2001:db8:5::/129"],
    [8, "ff02::/16"],
    [0, "2001:db8:6::/48"],
    [9, "fe80::c000:20a/255"],
    [8, "2001:db8:5::1/255"],
  ]);
  t.equal(pathOf(bench)?.prefixes.length, 2, "each once");
  const refused = bench.ask({
    extensions: [OWN_REQUEST],
    flags: { decapsulatesItself: true, minimalEncapsulation: true },
  });
  t.equal(codeIn(refused), 139);
  t.strictSame(repliesIn(refused), [], "with a refusal of all nothing is said of prefixes");
  t.end();
});

t.test("V4-4.8-01, V4-4.8-02, V4-4.8-03: prefixes live as long as the request says that they do", (t) => {
  const bench = new HomeAgentBench();
  const both = [OWN_REQUEST, want("2001:db8:6::", 48)];
  bench.register({ extensions: both, lifetimeSeconds: 60 });
  t.equal(pathOf(bench)?.prefixes.length, 2);
  bench.register({ extensions: [OWN_REQUEST], lifetimeSeconds: 60 });
  t.strictSame(
    pathOf(bench)?.prefixes.map(({ prefix }) => prefix),
    [OWN],
    "what is not repeated goes",
  );
  bench.register({ lifetimeSeconds: 60 });
  t.strictSame(pathOf(bench)?.prefixes, []);
  bench.register({ extensions: both, lifetimeSeconds: 60 });
  bench.wait(60);
  t.equal(ofKind(bench.step({ kind: "timer" }), "data-path-removed").length, 1);
  bench.register({ extensions: both });
  bench.register({ lifetimeSeconds: 0 });
  t.equal(pathOf(bench), undefined);
  t.end();
});

t.test("implicit: all of its own, to the home address, and none that it names", (t) => {
  const bench = new HomeAgentBench();
  const identification = { high: 5, low: 1 };
  bench.register({ homeAddress: OTHER_HOA, identification: { high: 0, low: 1 }, nonce: 5 });
  const effects = bench.register({ homeAddress: OTHER_HOA, identification, nonce: 6, extensions: [MODE] });
  t.strictSame(repliesIn(effects), []);
  t.match(pathOf(bench)?.prefixes, [{ prefix: { length: 48 }, mode: "home-address" }]);
  const named = bench.register({
    homeAddress: OTHER_HOA,
    identification: { high: 6, low: 1 },
    extensions: [want("2001:db8:7::", 48), LINK_LOCAL],
  });
  t.strictSame(repliesIn(named), [
    [9, "2001:db8:7::/48"],
    [0, "fe80::c000:20a/255"],
  ]);
  t.equal(pathOf(bench)?.linkLocalAddress, "fe80::c000:20a");
  const either = new HomeAgentBench({ subscribers: [{ ...NODE_SUBSCRIBER, prefixRegistration: undefined }] });
  either.register();
  t.equal(pathOf(either)?.prefixes.length, 2, "either: who names none means all");
  either.register({ extensions: [OWN_REQUEST] });
  t.equal(pathOf(either)?.prefixes.length, 1);
  t.end();
});

t.test("delegated prefixes come out of the pool, one node's never overlap another's, and they go back", (t) => {
  const bench = new HomeAgentBench();
  const first = { homeAddress: IPV4_ANY, extensions: [name, LINK_LOCAL, MODE] };
  const start = bench.register(first);
  t.strictSame(repliesIn(start), [[0, "fe80::c000:20a/255"]], "DHCPv6 goes by the home address, whatever the mode");
  const lent = want("2001:db8:f000:1200::", 56);
  const asked = { homeAddress: IPV4_ANY, extensions: [name, LINK_LOCAL, MODE, lent, want("2001:db8:f000:1200::", 60)] };
  t.strictSame(repliesIn(bench.register(asked)), [
    [0, "fe80::c000:20a/255"],
    [1, "2001:db8:f000:1200::/56"],
    [9, "2001:db8:f000:1200::/60"],
  ]);
  t.equal(
    bench.state.ownership.routerTo(ipv6("2001:db8:f000:1200::1")),
    [...bindingViews(bench.state, bench.now)][0]?.node,
  );
  const three = [1, 2, 3].map((i) => want(`2001:db8:f000:${i}00::`, 56));
  const codes = repliesIn(bench.register({ homeAddress: IPV4_ANY, extensions: [name, ...three] })).map(
    ([code]) => code,
  );
  t.strictSame(codes, [0, 9, 9], "two in all, and one was there");
  t.strictSame(
    bench.state.ownership.lent.leasesOf([...bindingViews(bench.state, bench.now)][0]?.node as never).length,
    1,
  );
  bench.register({ homeAddress: IPV4_ANY, extensions: [name], lifetimeSeconds: 0 });
  t.equal(bench.state.ownership.routerTo(ipv6("2001:db8:f000:100::1")), undefined);
  t.end();
});

t.test("a link-local address is one node's alone, and never the home agent's: their tunnels are one link here", (t) => {
  const subscribers = [
    { ...NODE_SUBSCRIBER, linkLocal: true },
    { ...NODE_SUBSCRIBER, node: OTHER, ipv4HomeAddress: OTHER_HOA, prefixes: [], linkLocal: true },
  ];
  const bench = new HomeAgentBench({ subscribers });
  const other = { homeAddress: OTHER_HOA, extensions: [LINK_LOCAL] } as const;
  t.strictSame(repliesIn(bench.register({ extensions: [LINK_LOCAL] })), [[0, "fe80::c000:20a/255"]]);
  t.strictSame(repliesIn(bench.register({ extensions: [LINK_LOCAL] })), [[0, "fe80::c000:20a/255"]], "its own again");
  t.strictSame(repliesIn(bench.register(other)), [[9, "fe80::c000:20a/255"]]);
  bench.register({ lifetimeSeconds: 0 });
  t.strictSame(repliesIn(bench.register(other)), [[0, "fe80::c000:20a/255"]], "free again");
  const homeAgent = want("fe80::cb00:7101", 255);
  t.strictSame(repliesIn(bench.register({ extensions: [homeAgent] })).at(0)?.[0], 9);
  t.end();
});
