import t from "tap";
import { formatPrefix, ipv4, ipv6 } from "../../../../../controller/base/ip.js";
import type { HomeSubscriber } from "../../../../../controller/protocol/mip6/home-agent/site.js";
import type { MobilityOption } from "../../../../../controller/wire/mip6/options/mobility.js";
import { BindingStatus, Ipv4AckStatus } from "../../../../../controller/wire/mip6/registry.js";
import {
  atHome,
  COA,
  COA_2,
  COA4,
  HOA,
  HOA_B,
  HOA_C,
  HOA4,
  HomeAgentHarness,
  native,
  option6,
  option29,
  option32,
  prefix,
  SILENT,
  subscribers,
  udp,
} from "../../../../sim/home-agent-harness.js";

const SIX = "2001:db8:100::/56";
const SIX_B = "2001:db8:101::/64";
const FOUR = "10.1.0.0/24";
const FOUR_B = "10.2.0.0/29";
const R = { mobileRouter: true };

function agent(changes: Partial<HomeSubscriber> = {}): HomeAgentHarness {
  const router = { homeAddress: HOA, ipv4HomeAddress: HOA4, profile: "default" };
  return new HomeAgentHarness({
    subscribers: subscribers([
      { ...router, prefixes: [SIX, FOUR, SIX_B, FOUR_B].map(prefix), ...changes },
      { homeAddress: HOA_B, profile: "default", prefixes: [prefix("2001:db8:200::/56")] },
    ]),
  });
}

const networks = (harness: HomeAgentHarness, homeAddress = HOA): readonly string[] =>
  (harness.kernel.get(homeAddress)?.prefixes ?? []).map(formatPrefix);

const ipv4Answers = (options: readonly MobilityOption[] | undefined) =>
  (options ?? []).flatMap((one) =>
    one.kind === "ipv4-address-acknowledgement" ? [[one.status, one.prefixLength, one.address]] : [],
  );

t.test("F3963-4.2-01: explicit mode registers the prefixes that are named, and the answer has R", async (test) => {
  const harness = agent();
  const answer = harness.update(native(COA), { sequence: 1, flags: R, options: [option6(SIX_B)] });
  test.match(answer, { status: 0, flags: { mobileRouter: true } });
  test.strictSame(networks(harness), [SIX_B]);
  test.equal(harness.kernel.get(HOA)?.mobileRouter, true);
  test.match(harness.view(), { mobileRouter: true, prefixes: [SIX_B] });
});

t.test("implicit mode registers all that the subscriber has, of both families", async (test) => {
  const harness = agent();
  const answer = harness.update(native(COA), { sequence: 1, flags: R });
  test.match(answer, { status: 0, flags: { mobileRouter: true }, options: [] });
  test.strictSame(networks(harness), [SIX, FOUR, SIX_B, FOUR_B]);
});

t.test("F3963-4.1-01: without R nothing is forwarded, whatever is named", async (test) => {
  const harness = agent();
  const options = [option6(SIX), option29("10.1.0.0", 24, true)];
  const answer = harness.update(native(COA), { sequence: 1, options });
  test.match(answer, { status: 0, flags: { mobileRouter: false } });
  test.strictSame(networks(harness), []);
  test.strictSame(ipv4Answers(answer?.options), [[Ipv4AckStatus.prefixNotAuthorized, 0, "10.1.0.0"]]);
});

t.test("a host that sets R is served as one, and the answer says so", async (test) => {
  for (const changes of [{ prefixes: [] }, { mobileRouter: "no" }] as const) {
    const harness = agent(changes);
    for (const sequence of [1, 2]) {
      const options = [option6(SIX), option29(HOA4), option29("10.1.0.0", 24, true)];
      const answer = harness.update(native(COA), { sequence, flags: R, options });
      test.match(answer, { status: 0, flags: { mobileRouter: false } });
      test.strictSame(ipv4Answers(answer?.options), [
        [0, 32, HOA4],
        [Ipv4AckStatus.prefixNotAuthorized, 0, "10.1.0.0"],
      ]);
    }
    test.strictSame(networks(harness), []);
    test.equal(harness.kernel.get(HOA)?.mobileRouter, undefined);
    test.equal(harness.effects("notify").at(-1)?.event.detail["mobileRouter"] !== undefined, true);
  }
});

t.test(
  "F3963-6.2-02 F3963-6.1.2-01: all prefixes or none: 142 for another's, 141 for what is no prefix of a network",
  async (test) => {
    for (const [named, status] of [
      ["2001:db8:200::/56", BindingStatus.notAuthorizedForPrefix],
      ["2001:db8:100::/64", BindingStatus.notAuthorizedForPrefix],
      ["2001:db8:100::/48", BindingStatus.notAuthorizedForPrefix],
      ["2001:db8:100::1/56", BindingStatus.invalidPrefix],
      ["::/0", BindingStatus.invalidPrefix],
      ["2001:db8:100::/0", BindingStatus.invalidPrefix],
      ["2001:db8:100::/129", BindingStatus.invalidPrefix],
      ["fe80::/64", BindingStatus.invalidPrefix],
    ] as const) {
      const harness = agent();
      const options = [option6(SIX), option6(named), option29(HOA4)];
      const answer = harness.update(native(COA), { sequence: 1, flags: R, options });
      test.match(answer, { status, flags: { mobileRouter: false }, lifetimeUnits: 0 }, named);
      test.strictSame(ipv4Answers(answer?.options), [[Ipv4AckStatus.unspecified, 0, HOA4]], named);
      test.equal(harness.entry(), undefined, named);
      test.equal(harness.kernel.size, 0, named);
    }
  },
);

t.test("F3963-6.1.2-01: whose prefix it is goes by the home address that asks", async (test) => {
  const named = (homeAddress: typeof HOA, text: string): number | undefined =>
    agent().update(native(COA, homeAddress), { sequence: 1, flags: R, options: [option6(text)] })?.status;
  test.strictSame([named(HOA, SIX), named(HOA_B, SIX)], [0, BindingStatus.notAuthorizedForPrefix]);
  test.strictSame(
    [named(HOA_B, "2001:db8:200::/56"), named(HOA, "2001:db8:200::/56")],
    [0, BindingStatus.notAuthorizedForPrefix],
  );
});

t.test("F3963-6.2-02: a refused refresh leaves the binding with the prefixes it had", async (test) => {
  const harness = agent();
  harness.update(native(COA), { sequence: 1, flags: R, options: [option6(SIX)] });
  const before = harness.kernel.get(HOA);
  const options = [option6(SIX), option6("2001:db8:200::/56")];
  const answer = harness.update(native(COA_2), { sequence: 2, flags: R, options });
  test.equal(answer?.status, BindingStatus.notAuthorizedForPrefix);
  test.equal(harness.kernel.get(HOA), before);
});

t.test("F3963-6.2-02: 143 where the update has to name prefixes and does not, 142 where it must not", async (test) => {
  const explicit = agent({ mobileRouter: "explicit" });
  test.equal(explicit.update(native(COA), { sequence: 1, flags: R })?.status, BindingStatus.forwardingSetupFailed);
  const ipv4Only = { sequence: 2, flags: R, options: [option29("10.1.0.0", 24, true)] };
  test.equal(explicit.update(native(COA), ipv4Only)?.status, 0);
  test.strictSame(networks(explicit), [FOUR]);
  const implicit = agent({ mobileRouter: "implicit" });
  const named = { sequence: 1, flags: R, options: [option6(SIX)] };
  test.equal(implicit.update(native(COA), named)?.status, BindingStatus.notAuthorizedForPrefix);
  test.equal(implicit.update(native(COA), { sequence: 2, flags: R })?.status, 0);
});

t.test(
  "F3963-6.2-02: what the kernel does not take is 141 of named prefixes, 143 of others, and nothing stays",
  async (test) => {
    for (const [options, status] of [
      [[option6(SIX)], BindingStatus.invalidPrefix],
      [[], BindingStatus.forwardingSetupFailed],
    ] as const) {
      const harness = agent();
      harness.kernelMood = (effect) => (effect.kind === "data-path" ? "File exists" : undefined);
      test.equal(harness.update(native(COA), { sequence: 1, flags: R, options })?.status, status);
      test.strictSame(networks(harness), []);
    }
  },
);

t.test("F3963-6.2-03: what a refresh does not name is not forwarded any more", async (test) => {
  const harness = agent();
  const both = [option6(SIX), option6(SIX_B), option29("10.1.0.0", 24, true), option29("10.2.0.0", 29, true)];
  harness.update(native(COA), { sequence: 1, flags: R, options: both });
  test.strictSame(networks(harness), [SIX, FOUR, SIX_B, FOUR_B]);
  harness.update(native(COA), { sequence: 2, flags: R, options: [option6(SIX_B), option29("10.1.0.0", 24, true)] });
  test.strictSame(networks(harness), [FOUR, SIX_B]);
  const { revision } = harness.view() ?? {};
  const same = [option6(SIX_B), option6(SIX_B), option29("10.1.0.0", 24, true)];
  harness.update(native(COA), { sequence: 3, flags: R, options: same });
  test.equal(harness.view()?.revision, revision, "named twice is the same: the kernel is left alone");
});

t.test(
  "F3963-6.2-01: the binding of a host does not become a router's, nor the other way; leaving is free",
  async (test) => {
    const harness = agent();
    harness.update(native(COA), { sequence: 1 });
    const change = harness.update(native(COA), { sequence: 2, flags: R });
    test.match(change, { status: BindingStatus.registrationTypeChange, flags: { mobileRouter: false } });
    test.equal(harness.update(native(COA), { sequence: 3, flags: R, lifetimeUnits: 0 })?.status, 0);
    harness.update(native(COA), { sequence: 4, flags: R });
    test.equal(harness.update(native(COA), { sequence: 5 })?.status, BindingStatus.registrationTypeChange);
    test.strictSame(networks(harness), [SIX, FOUR, SIX_B, FOUR_B]);
  },
);

t.test("F3963-6.7-01: a de-registration removes all, whatever it names", async (test) => {
  const harness = agent();
  harness.update(native(COA), { sequence: 1, flags: R });
  const options = [option6("2001:db8:200::/56"), option6("::/0")];
  const answer = harness.update(atHome(), { sequence: 2, flags: R, lifetimeUnits: 0, options });
  test.match(answer, { status: 0, flags: { mobileRouter: true } });
  test.equal(harness.kernel.size, 0);
});

t.test("R5555-4.5-12 R5555-4.5-16: IPv4 prefixes have an answer each, in their order", async (test) => {
  const harness = agent();
  const options = [
    option29("10.2.0.0", 29, true),
    option29(HOA4),
    option29("10.9.0.0", 24, true),
    option29("0.0.0.0", 24, true),
    option29("10.1.0.77", 24, true),
    option29("10.1.0.0", 25, true),
    option29("10.1.0.0", 24),
    option29("10.1.0.0", 0, true),
    option29("10.1.0.0", 40, true),
    option29("224.0.0.0", 24, true),
  ];
  const answer = harness.update(udp(COA4), { sequence: 1, flags: R, options: [...options, option32(COA4)] });
  const no = Ipv4AckStatus.prefixNotAuthorized;
  const invalid = Ipv4AckStatus.invalidAddress;
  test.strictSame(ipv4Answers(answer?.options), [
    [0, 29, "10.2.0.0"],
    [0, 32, HOA4],
    [no, 0, "10.9.0.0"],
    [0, 24, "10.1.0.0"],
    [0, 24, "10.1.0.77"],
    [no, 0, "10.1.0.0"],
    [no, 0, "10.1.0.0"],
    [invalid, 0, "10.1.0.0"],
    [invalid, 0, "10.1.0.0"],
    [invalid, 0, "224.0.0.0"],
  ]);
  test.strictSame(networks(harness), [SIX, FOUR, SIX_B, FOUR_B], "IPv6 in implicit mode, IPv4 as named");
});

t.test("R5555-3.1.1-07: in a refresh P means nothing", async (test) => {
  const harness = agent();
  harness.update(native(COA), { sequence: 1, flags: R, options: [option6(SIX), option29("10.1.0.0", 24, true)] });
  const options = [option6(SIX), option29("10.1.0.0", 24, false)];
  const answer = harness.update(native(COA), { sequence: 2, flags: R, options });
  test.strictSame(ipv4Answers(answer?.options), [[0, 24, "10.1.0.0"]]);
  test.strictSame(networks(harness), [SIX, FOUR]);
});

t.test("each asked prefix of 60 is answered, and of more than there is room for the first ones", async (test) => {
  const prefixes = Array.from({ length: 60 }, (_, i) => prefix(`10.50.${i}.0/24`));
  const harness = agent({ prefixes });
  const options = prefixes.map(({ address }) => option29(ipv4(address), 24, true));
  const answer = harness.update(udp(COA4), { sequence: 1, flags: R, options: [...options, option32(COA4)] });
  test.equal(ipv4Answers(answer?.options).filter(([status]) => status === 0).length, 60);
  test.equal(networks(harness).length, 60);
  const many = Array.from({ length: 250 }, () => option29("10.50.0.0", 24, true));
  const bounded = harness.update(udp(COA4), { sequence: 2, flags: R, options: [...many, option32(COA4)] });
  test.equal(ipv4Answers(bounded?.options).length, 128);
});

t.test("a restart forgets no router, but what it is not entitled to any more", async (test) => {
  const harness = agent();
  harness.update(native(COA), { sequence: 1, flags: R });
  const site = (changes: Partial<HomeSubscriber>) => ({
    subscribers: subscribers([
      { homeAddress: HOA, profile: "default", prefixes: [SIX, FOUR].map(prefix), ...changes } as HomeSubscriber,
    ]),
  });
  const successor = harness.restart(1, site({}));
  test.strictSame(networks(successor), [SIX, FOUR]);
  test.match(successor.view(), { mobileRouter: true, prefixes: [SIX, FOUR] });
  const host = harness.restart(1, site({ mobileRouter: "no" }));
  test.strictSame(networks(host), []);
  test.equal(host.view()?.mobileRouter, false);
});

t.test(
  "174 for a care-of address behind the node itself, directly or by way of others; a visit is none",
  async (test) => {
    const harness = agent();
    const inA = ipv6("2001:db8:100::5");
    const inB = ipv6("2001:db8:200::5");
    const own = harness.update(native(inA), { sequence: 1, flags: R });
    test.equal(own?.status, BindingStatus.invalidCareOfAddress);
    test.equal(harness.update(native(inA, HOA_B), { sequence: 1, flags: R })?.status, 0);
    const circle = harness.update(native(inB), { sequence: 2, flags: R });
    test.equal(circle?.status, BindingStatus.invalidCareOfAddress);
    harness.update(native(COA, HOA_B), { sequence: 2, flags: R });
    test.equal(harness.update(native(inB), { sequence: 3, flags: R })?.status, 0);
  },
);

t.test("174 for a circle with a router whose move the kernel has not answered yet", async (test) => {
  const harness = agent();
  harness.kernelMood = SILENT;
  harness.update(native(ipv6("2001:db8:100::5"), HOA_B), { sequence: 1, flags: R });
  const circle = harness.update(native(ipv6("2001:db8:200::5")), { sequence: 1, flags: R });
  test.equal(circle?.status, BindingStatus.invalidCareOfAddress);
});

t.test(
  "after a restart a node is in as many tunnels as before, whichever binding the journal has first",
  async (test) => {
    const guest = ipv6("2001:db8:100::5");
    const far = { homeAddress: HOA_C, profile: "default" };
    const changes = { subscribers: subscribers([far, ...agent().state.site.subscribers.values()]) };
    const all = new HomeAgentHarness(changes);
    all.update(native(COA), { sequence: 1, flags: R });
    all.update(native(guest, HOA_B), { sequence: 1, flags: R });
    all.update(native(ipv6("2001:db8:200::5"), HOA_C), { sequence: 1 });
    test.equal(all.kernel.get(HOA_C)?.nesting, 2);
    // As a compaction may leave it: the guest before the routers that it is behind.
    const records = [...all.journal].reverse();
    all.journal.clear();
    for (const [key, value] of records) all.journal.set(key, value);
    const successor = all.restart(1, changes);
    test.equal(successor.kernel.get(HOA_C)?.nesting, 2);
    test.equal(successor.kernel.get(HOA_B)?.nesting, 1);
  },
);

t.test("C-34 F3963-6.2-04: a router is announced as one", async (test) => {
  const harness = agent();
  harness.update(native(COA), { sequence: 1, flags: R });
  test.match(harness.effects("announce"), [{ router: true }]);
});
