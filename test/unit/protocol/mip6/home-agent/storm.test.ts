/**
 * Thousands of nodes ask at once for addresses and networks out of pools that have enough for a few: nothing is lent twice, who gets no
 * address has its IPv6 binding, an update costs the same however many ask in vain, and what comes back is lent at once. Operations are
 * counted, not time.
 */
import t from "tap";
import { formatPrefix, type Ipv6Address, ipToBytes, ipv6FromBytes } from "../../../../../controller/base/ip.js";
import { findOptions } from "../../../../../controller/wire/mip6/options/mobility.js";
import { iterated } from "../../../../lib/iterated.js";
import {
  HomeAgentHarness,
  native,
  option6,
  option29,
  prefix,
  subscribers,
} from "../../../../sim/home-agent-harness.js";

const COUNT = 4000;
/** Of a /24, without its edges. */
const ADDRESSES = 254;
const NETWORKS = 256;
const LEAVING = 100;
/** Elements walked over for one update; with a walk through all that ask it would be thousands. */
const WALKED = 20;

const address = (network: string, index: number): Ipv6Address => {
  const bytes = ipToBytes(network as Ipv6Address).slice();
  bytes.set([index >> 8, index & 0xff], 14);
  return ipv6FromBytes(bytes);
};
const NODES = Array.from({ length: COUNT }, (_, i) => address("2001:db8:1::", 0x1000 + i));
const SITE = {
  homePrefixes: [prefix("2001:db8:1::/64")],
  ipv4Pool: { prefixes: [prefix("192.0.2.0/24")], leaseSeconds: 1000 },
  prefixPool: {
    prefixes: [prefix("10.64.0.0/16"), prefix("2001:db8:200::/48")],
    lengths: { ipv4: [24], ipv6: [56] },
    mostPerNode: 2,
    leaseSeconds: 1000,
  },
  subscribers: subscribers(NODES.map((homeAddress) => ({ homeAddress, profile: "default", borrowsPrefixes: true }))),
};

/** Each node's answer: the status, and those of its options 30. */
function ask(harness: HomeAgentHarness, who: "host" | "router", sequence: number, lifetimeUnits = 150) {
  const answers: string[] = [];
  const host = [option29("0.0.0.0")];
  const router = [option29("0.0.0.0", 24, true), option6("::/56")];
  const walked = iterated(() => {
    for (const [i, node] of NODES.entries()) {
      const answer = harness.update(native(address("2001:db8:2::", i), node), {
        ...{ sequence, lifetimeUnits, flags: { mobileRouter: who === "router" } },
        options: lifetimeUnits === 0 ? [] : who === "router" ? router : host,
      });
      const four = findOptions(answer?.options ?? [], "ipv4-address-acknowledgement");
      answers.push(`${answer?.status} ${four.map(({ status }) => status).join()}`);
    }
  });
  return { answers, walked };
}
const count = (answers: readonly string[], text: string): number => answers.filter((one) => one === text).length;
const lentAddresses = ({ kernel }: HomeAgentHarness): readonly string[] =>
  [...kernel.values()].flatMap(({ ipv4HomeAddress }) => ipv4HomeAddress ?? []);
const lentNetworks = ({ kernel }: HomeAgentHarness): readonly string[] =>
  [...kernel.values()].flatMap(({ prefixes = [] }) => prefixes.map(formatPrefix));

/** The first ones leave. */
function leave(harness: HomeAgentHarness): void {
  for (const node of NODES.slice(0, LEAVING))
    harness.update(native(address("2001:db8:2::", 0), node), { sequence: 50, lifetimeUnits: 0 });
}

t.test("hosts that get no IPv4 home address hear 132 and are bound all the same", (test) => {
  const harness = new HomeAgentHarness(SITE);
  for (const sequence of [1, 2]) {
    const { answers, walked } = ask(harness, "host", sequence);
    test.strictSame(
      [count(answers, "0 0"), count(answers, "0 132")],
      [ADDRESSES, COUNT - ADDRESSES],
      `round ${sequence}: as many as there are addresses`,
    );
    test.ok(walked <= WALKED * COUNT, `${walked / COUNT} elements walked over an update`);
  }
  test.equal(new Set(lentAddresses(harness)).size, ADDRESSES, "none twice");
  test.equal(harness.kernel.size, COUNT);
  leave(harness);
  const { answers } = ask(harness, "host", 100);
  test.equal(count(answers, "0 0"), ADDRESSES);
  test.equal(new Set(lentAddresses(harness)).size, ADDRESSES, "what came back is lent again");
  test.end();
});

t.test("routers that get no network hear 141 and bind nothing, and what comes back goes to the next", (test) => {
  const harness = new HomeAgentHarness(SITE);
  for (const sequence of [1, 2]) {
    const { answers, walked } = ask(harness, "router", sequence);
    test.strictSame(
      [count(answers, "0 0"), count(answers, "141 128")],
      [NETWORKS, COUNT - NETWORKS],
      `round ${sequence}: as many as there are networks`,
    );
    test.ok(walked <= WALKED * COUNT, `${walked / COUNT} elements walked over an update`);
  }
  test.equal(new Set(lentNetworks(harness)).size, 2 * NETWORKS, "none twice, of either family");
  test.equal(harness.kernel.size, NETWORKS);
  leave(harness);
  test.equal(new Set(lentNetworks(harness)).size, 2 * (NETWORKS - LEAVING));
  ask(harness, "router", 100);
  test.equal(new Set(lentNetworks(harness)).size, 2 * NETWORKS);
  test.end();
});
