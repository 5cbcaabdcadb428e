/** Networks out of the pool at the home agent: what is asked for with 0.0.0.0 and ::, kept, refused and given back. */
import t from "tap";
import { formatPrefix, type Ipv6Address, ipv6 } from "../../../../../controller/base/ip.js";
import { seq16 } from "../../../../../controller/base/seq16.js";
import type { BindingAcknowledgement } from "../../../../../controller/wire/mip6/messages/mobility-message.js";
import type { MobilityOption } from "../../../../../controller/wire/mip6/options/mobility.js";
import { BindingStatus } from "../../../../../controller/wire/mip6/registry.js";
import {
  atHome,
  COA,
  COA_2,
  GRANTS,
  HOA,
  HomeAgentHarness,
  native,
  option6,
  option29,
  prefix,
  subscribers,
} from "../../../../sim/home-agent-harness.js";

const R = { mobileRouter: true };
const MANY = Array.from({ length: 6 }, (_, i) => ipv6(`2001:db8:1::b${i}`));
const [A, B] = MANY as [Ipv6Address, Ipv6Address];
const POOL = {
  prefixes: [prefix("10.64.0.0/26"), prefix("2001:db8:200::/55")],
  lengths: { ipv4: [26, 28], ipv6: [56] },
  mostPerNode: 3,
  leaseSeconds: 1000,
};
const SITE = {
  prefixPool: POOL,
  ipv4Pool: { prefixes: [prefix("192.0.2.128/29")], leaseSeconds: 400 },
  subscribers: subscribers([
    ...MANY.map((homeAddress) => ({ homeAddress, profile: "default", borrowsPrefixes: true })),
    { homeAddress: HOA, profile: "default" },
  ]),
};
const FOUR = option29("0.0.0.0", 28, true);
const SIX = option6("::/56");

interface Asked {
  readonly from?: Ipv6Address;
  readonly sequence?: number;
  readonly lifetimeUnits?: number;
  readonly flags?: { readonly mobileRouter: boolean };
}

function ask(harness: HomeAgentHarness, options: readonly MobilityOption[], asked: Asked = {}) {
  const { from = A, sequence = 1, lifetimeUnits = 900, flags = R } = asked;
  return harness.update(native(COA, from), { sequence, lifetimeUnits, flags, options });
}

/** Status and network of each answer about a network. */
const answers = (message: BindingAcknowledgement | undefined): readonly string[] =>
  (message?.options ?? []).flatMap((one) => {
    if (one.kind === "ipv4-address-acknowledgement") return [`${one.status} ${one.address}/${one.prefixLength}`];
    return one.kind === "mobile-network-prefix" ? [`${one.prefix}/${one.prefixLength}`] : [];
  });
const networks = (harness: HomeAgentHarness, of = A): readonly string[] =>
  (harness.kernel.get(of)?.prefixes ?? []).map(formatPrefix);

t.test(
  "R5555-4.5-15, R5555-2.5-03: networks of the wanted length, for the shorter of lease and binding",
  async (test) => {
    const harness = new HomeAgentHarness(SITE);
    const both = ask(harness, [FOUR, SIX]);
    test.match(both, { status: 0, lifetimeUnits: 250, flags: { mobileRouter: true } });
    test.strictSame(answers(both), ["0 10.64.0.0/28", "2001:db8:200::/56"]);
    test.strictSame([...networks(harness)].sort(), ["10.64.0.0/28", "2001:db8:200::/56"]);
    const withAddress = ask(harness, [option29("0.0.0.0"), FOUR, SIX], { sequence: 2 });
    test.match(withAddress, { lifetimeUnits: 100 });
    test.strictSame(answers(withAddress), ["0 192.0.2.129/32", "0 10.64.0.0/28", "2001:db8:200::/56"]);
    test.match(ask(harness, [FOUR], { sequence: 3, lifetimeUnits: 50 }), { lifetimeUnits: 50 });
  },
);

t.test("a network is the node's in refreshes: by name, unnamed again, or with P and length changed", async (test) => {
  const harness = new HomeAgentHarness(SITE);
  ask(harness, [FOUR, SIX]);
  const named = [option29("10.64.0.0", 28, true), option6("2001:db8:200::/56")];
  test.strictSame(answers(ask(harness, named, { sequence: 2 })), ["0 10.64.0.0/28"]);
  test.strictSame(harness.effects("data-path"), [], "the kernel is left alone");
  test.strictSame(answers(ask(harness, [SIX, FOUR], { sequence: 3 })), ["0 10.64.0.0/28", "2001:db8:200::/56"]);
  test.strictSame(harness.effects("data-path"), []);
  const without = [option29("10.64.0.0", 26, false), option6("2001:db8:200::/56")];
  test.strictSame(answers(ask(harness, without, { sequence: 4 })), ["0 10.64.0.0/28"]);
  test.strictSame(harness.effects("data-path"), []);
});

t.test("what a refresh leaves out is not forwarded to, and somebody else's when it is needed", async (test) => {
  const harness = new HomeAgentHarness({ ...SITE, prefixPool: { ...POOL, lengths: { ipv4: [26], ipv6: [56] } } });
  test.strictSame(answers(ask(harness, [FOUR, SIX])), ["0 10.64.0.0/26", "2001:db8:200::/56"]);
  test.strictSame(answers(ask(harness, [FOUR], { from: B })), ["132 0.0.0.0/0"]);
  ask(harness, [option6("2001:db8:200::/56")], { sequence: 2 });
  test.strictSame(networks(harness), ["2001:db8:200::/56"]);
  test.strictSame(answers(ask(harness, [option29("10.64.0.0", 26, true)], { from: B, sequence: 2 })), [
    "133 10.64.0.0/0",
  ]);
  test.strictSame(answers(ask(harness, [FOUR], { from: B, sequence: 3 })), ["0 10.64.0.0/26"]);
  test.strictSame(answers(ask(harness, [FOUR], { sequence: 3 })), ["132 0.0.0.0/0"]);
});

t.test("F3963-6.2-02: an IPv6 pool that is empty is 141, and nothing of the update is forwarded to", async (test) => {
  const harness = new HomeAgentHarness(SITE);
  ask(harness, [SIX]);
  ask(harness, [SIX], { from: B });
  const [, , third] = MANY;
  const refused = ask(harness, [FOUR, SIX], { from: third ?? A });
  test.equal(refused?.status, BindingStatus.invalidPrefix);
  test.strictSame(networks(harness, third), []);
  const also = ask(harness, [SIX, SIX], { sequence: 2 });
  test.equal(also?.status, BindingStatus.invalidPrefix, "all or nothing");
  test.strictSame(networks(harness), ["2001:db8:200::/56"], "the binding stays");
  const [lent] = MANY.map((one) => harness.state.ownership.lent.leasesOf(one)).filter((list) => list.length > 1);
  test.equal(lent, undefined);
});

t.test("what is not lent to it is 142 or 133; more than it may have 142 or 129", async (test) => {
  const harness = new HomeAgentHarness(SITE);
  ask(harness, [SIX], { from: B });
  test.equal(ask(harness, [option6("2001:db8:200::/56")])?.status, BindingStatus.notAuthorizedForPrefix);
  test.equal(
    ask(harness, [option6("2001:db8:200::/57")], { sequence: 2 })?.status,
    BindingStatus.notAuthorizedForPrefix,
  );
  test.equal(ask(harness, [], { sequence: 3 })?.status, BindingStatus.forwardingSetupFailed, "R alone");
  const many = ask(harness, [FOUR, FOUR, FOUR, FOUR], { sequence: 4 });
  test.strictSame(answers(many).at(-1), "129 0.0.0.0/0");
  test.equal(networks(harness).length, 3);
  const host = ask(harness, [FOUR, SIX], { sequence: 5, flags: { mobileRouter: false } });
  test.equal(host?.status, BindingStatus.registrationTypeChange);
  const other = ask(new HomeAgentHarness(SITE), [FOUR, SIX], { from: HOA });
  test.match(other, { status: 0, flags: { mobileRouter: false } });
  test.strictSame(answers(other), ["133 0.0.0.0/0"], "who is not to have any");
});

t.test(
  "networks come back when the kernel refuses, at the end of the binding, and are the node's again",
  async (test) => {
    const harness = new HomeAgentHarness(SITE);
    const lent = (): number => harness.state.ownership.lent.leasesOf(A).length;
    harness.kernelMood = (effect) => (effect.kind === "data-path" ? "EIO" : undefined);
    test.not(ask(harness, [FOUR, SIX])?.status, 0);
    test.equal(lent(), 0);
    harness.kernelMood = GRANTS;
    ask(harness, [FOUR, SIX], { sequence: 2 });
    test.equal(lent(), 2);
    ask(harness, [FOUR], { from: B });
    harness.update(atHome(A), { sequence: 3, lifetimeUnits: 0, flags: R });
    test.equal(lent(), 0);
    const again = ask(harness, [option29("10.64.0.0", 28, true), option6("2001:db8:200::/56")], { sequence: 4 });
    test.strictSame(answers(again), ["0 10.64.0.0/28"]);
    test.equal(networks(harness).length, 2);
    harness.advance(1001);
    test.equal(lent(), 0);
  },
);

t.test("R5555-4.5-06, R5555-4.5-07: after a restart everybody has the networks of before", async (test) => {
  const before = new HomeAgentHarness(SITE);
  ask(before, [FOUR, SIX]);
  ask(before, [FOUR], { from: B });
  const after = before.restart(1, SITE);
  for (const one of [A, B]) test.strictSame(networks(after, one), networks(before, one));
  test.strictSame(answers(ask(after, [FOUR], { from: MANY[2] ?? A })), ["0 10.64.0.32/28"]);
  const without = {
    ...SITE,
    prefixPool: { ...POOL, prefixes: [prefix("10.65.0.0/24")], lengths: { ipv4: [28], ipv6: [] } },
  };
  const elsewhere = before.restart(1, without);
  test.strictSame(networks(elsewhere), [], "what the pool does not have any more is not forwarded to");
});

t.test("a disk that refuses takes back what the refresh gave, and what it had is lent to it again", async (test) => {
  const harness = new HomeAgentHarness(SITE);
  ask(harness, [FOUR]);
  ask(harness, [SIX], { sequence: 2 });
  harness.step({ kind: "unstored", homeAddress: A, sequence: seq16(2) });
  test.strictSame(networks(harness), ["10.64.0.0/28"]);
  test.strictSame(harness.state.ownership.lent.leasesOf(A).map(formatPrefix), ["10.64.0.0/28"]);
  test.equal(harness.state.ownership.routerTo(ipv6("2001:db8:200::1")), undefined);
});

t.test("a node in the network that it would get gets another one", async (test) => {
  const harness = new HomeAgentHarness(SITE);
  const inPool = ipv6("2001:db8:200::77");
  const answer = harness.update(native(inPool, A), { sequence: 1, flags: R, options: [SIX] });
  test.strictSame(answers(answer), ["2001:db8:200:100::/56"]);
  const other = harness.update(native(COA_2, B), { sequence: 1, flags: R, options: [SIX] });
  test.equal(other?.status, BindingStatus.invalidPrefix, "nobody gets the network that somebody is in");
});
