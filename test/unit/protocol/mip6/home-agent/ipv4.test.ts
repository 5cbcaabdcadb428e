/** IPv4 home addresses: options 29 and 30, lent addresses. */
import t from "tap";
import { type Ipv4Address, type Ipv6Address, ipv4, ipv6 } from "../../../../../controller/base/ip.js";
import { ownershipOf } from "../../../../../controller/protocol/mip6/home-agent/machine.js";
import { findOptions, type MobilityOption } from "../../../../../controller/wire/mip6/options/mobility.js";
import {
  atHome,
  bindingUpdate,
  COA,
  COA_2,
  COA4,
  GRANTS,
  HA,
  HA4,
  HOA,
  HOA_B,
  HOA_C,
  HOA4,
  HOA4_B,
  HomeAgentHarness,
  NAT_PORT,
  NAT4,
  native,
  option29,
  option32,
  prefix,
  SILENT,
  site,
  subscribers,
  udp,
} from "../../../../sim/home-agent-harness.js";

/** Status, Pref-len and address of each option 30. */
function answers(harness: HomeAgentHarness, options: readonly MobilityOption[], homeAddress = HOA, sequence = 1) {
  const answer = harness.update(native(COA, homeAddress), { sequence, options });
  return findOptions(answer?.options ?? [], "ipv4-address-acknowledgement").map((option) => [
    option.status,
    option.prefixLength,
    option.address as string,
  ]);
}
const answerTo = (option: MobilityOption) => answers(new HomeAgentHarness(), [option]);

t.test("R5555-5-01: an IPv4 home address that is not this node's is 130", async (test) => {
  test.strictSame(answerTo(option29(HOA4)), [[0, 32, HOA4]]);
  test.strictSame(answerTo(option29(HOA4_B)), [[130, 0, HOA4_B]], "another subscriber's");
  test.strictSame(answerTo(option29("192.0.2.77")), [[130, 0, "192.0.2.77"]], "nobody's");
  test.strictSame(answerTo(option29("203.0.113.77")), [[130, 0, "203.0.113.77"]], "elsewhere");
  const harness = new HomeAgentHarness();
  const answer = harness.update(native(COA), { sequence: 1, options: [option29(HOA4_B)] });
  test.equal(answer?.status, 0, "the IPv6 binding stands");
  test.equal(harness.kernel.get(HOA)?.ipv4HomeAddress, undefined);
});

t.test("R5555-3.1.1-10: an IPv4 home address may be a private one", async (test) => {
  const address = ipv4("10.1.2.3");
  const privately = subscribers([{ homeAddress: HOA, ipv4HomeAddress: address, profile: "default" }]);
  const harness = new HomeAgentHarness({ subscribers: privately });
  test.strictSame(answers(harness, [option29(address)]), [[0, 32, address]]);
  test.equal(harness.kernel.get(HOA)?.ipv4HomeAddress, address);
});

t.test("C-13: Prefix-len 0 and 33..63, and what is no host's address, is 131", async (test) => {
  for (const length of [0, 33, 40, 63]) {
    test.strictSame(answerTo(option29(HOA4, length)), [[131, 0, HOA4]], `length ${length}`);
    test.strictSame(answerTo(option29("0.0.0.0", length)), [[131, 0, "0.0.0.0"]], `any, length ${length}`);
  }
  for (const address of ["224.0.0.5", "255.255.255.255", "127.0.0.1", "240.0.0.1", "192.0.2.255", "192.0.2.0"]) {
    test.strictSame(answerTo(option29(address)), [[131, 0, address]]);
  }
});

t.test("C-13: prefixes are 133, by length or by P", async (test) => {
  for (const length of [1, 24, 31]) {
    test.strictSame(answerTo(option29(HOA4, length)), [[133, 0, HOA4]]);
    test.strictSame(answerTo(option29("0.0.0.0", length, true)), [[133, 0, "0.0.0.0"]]);
  }
  test.strictSame(answerTo(option29(HOA4, 32, true)), [[133, 0, HOA4]]);
});

t.test("R5555-3.1.1-07: P is not looked at in a refresh", async (test) => {
  const harness = new HomeAgentHarness();
  answers(harness, [option29(HOA4)]);
  test.strictSame(answers(harness, [option29(HOA4, 32, true)], HOA, 2), [[0, 32, HOA4]]);
  test.strictSame(answers(harness, [option29("0.0.0.0", 32, true)], HOA, 3), [[0, 32, HOA4]]);
  test.strictSame(harness.effects("data-path"), []);
});

t.test("C-14: one option 30 for each option 29, in the same order", async (test) => {
  const harness = new HomeAgentHarness();
  const options = [
    option29(HOA4_B),
    option29("0.0.0.0", 28, true),
    option29(HOA4),
    option29(HOA4, 0),
    option29("0.0.0.0"),
  ];
  test.strictSame(answers(harness, options), [
    [130, 0, HOA4_B],
    [133, 0, "0.0.0.0"],
    [0, 32, HOA4],
    [131, 0, HOA4],
    [0, 32, HOA4],
  ]);
  test.equal(harness.kernel.get(HOA)?.ipv4HomeAddress, HOA4);
});

t.test("R5555-4.4.2.1-03: an update whose option 29 is refused replaces the IPv4 binding by nothing", async (test) => {
  const harness = new HomeAgentHarness();
  answers(harness, [option29(HOA4)]);
  test.strictSame(answers(harness, [option29(HOA4_B)], HOA, 2), [[130, 0, HOA4_B]]);
  test.equal(harness.view()?.ipv4HomeAddress, null);
});

const POOL = { prefixes: [prefix("192.0.2.128/29")], leaseSeconds: 1000 };
const MANY = Array.from({ length: 8 }, (_, i) => ipv6(`2001:db8:1::a${i}`));

function withPool(homeAddresses: readonly Ipv6Address[] = MANY): HomeAgentHarness {
  const lent = homeAddresses.map((homeAddress) => ({ homeAddress, profile: "default" }));
  const own = { homeAddress: HOA, ipv4HomeAddress: ipv4("192.0.2.130"), profile: "default" };
  return new HomeAgentHarness({ ipv4Pool: POOL, subscribers: subscribers([own, ...lent]) });
}

t.test("R5555-4.5-07: 0.0.0.0 lends an address, the same one on refresh, for as long as the lease", async (test) => {
  const harness = withPool();
  const [node] = MANY;
  test.strictSame(answers(harness, [option29("0.0.0.0")], node), [[0, 32, "192.0.2.129"]]);
  test.equal(harness.view(node)?.ipv4HomeAddress, "192.0.2.129");
  test.strictSame(answers(harness, [option29("0.0.0.0")], node, 2), [[0, 32, "192.0.2.129"]]);
  test.strictSame(answers(harness, [option29("192.0.2.129")], node, 3), [[0, 32, "192.0.2.129"]]);
  const long = harness.update(native(COA, node), { sequence: 4, lifetimeUnits: 900, options: [option29("0.0.0.0")] });
  test.equal(long?.lifetimeUnits, 250);
  const own = harness.update(native(COA, HOA), { sequence: 1, lifetimeUnits: 900, options: [option29("0.0.0.0")] });
  test.match(own, { lifetimeUnits: 900, options: [{ address: "192.0.2.130" }] }, "a node with its own gets that");
  test.equal(harness.kernel.get(HOA)?.ipv4HomeAddress, "192.0.2.130");
});

t.test("an empty pool is 132, and so is none; what comes back is lent again", async (test) => {
  const harness = withPool();
  const got = MANY.map((node) => answers(harness, [option29("0.0.0.0")], node)[0]);
  test.strictSame(
    got.map((answer) => answer?.[2]),
    ["192.0.2.129", "192.0.2.131", "192.0.2.132", "192.0.2.133", "192.0.2.134", "0.0.0.0", "0.0.0.0", "0.0.0.0"],
    "neither network, broadcast nor a subscriber's own address",
  );
  test.strictSame(got.at(-1), [132, 0, "0.0.0.0"]);
  harness.update(native(COA, MANY[2]), { sequence: 2, lifetimeUnits: 0 });
  test.strictSame(answers(harness, [option29("0.0.0.0")], MANY[7], 2), [[0, 32, "192.0.2.132"]]);
  test.strictSame(answerTo(option29("0.0.0.0")), [[0, 32, HOA4]]);
  test.strictSame(answers(new HomeAgentHarness(), [option29("0.0.0.0")], HOA_C), [[132, 0, "0.0.0.0"]]);
});

t.test("a node that comes back gets its former address while that is free", async (test) => {
  const harness = withPool();
  const [first, second, third] = MANY as [Ipv6Address, Ipv6Address, Ipv6Address];
  answers(harness, [option29("0.0.0.0")], first);
  harness.update(native(COA, first), { sequence: 2, lifetimeUnits: 0 });
  test.strictSame(answers(harness, [option29("0.0.0.0")], second), [[0, 32, "192.0.2.131"]], "unused ones go first");
  test.strictSame(answers(harness, [option29("192.0.2.129")], third), [[130, 0, "192.0.2.129"]]);
  test.strictSame(answers(harness, [option29("192.0.2.129")], first, 3), [[0, 32, "192.0.2.129"]]);
});

t.test(
  "a lent address comes back when the kernel refuses, when it is not asked for any more, and at expiry",
  async (test) => {
    const harness = withPool();
    const [node] = MANY;
    const free = (): boolean => harness.state.ipv4.ownerOf(ipv4("192.0.2.129")) === undefined;
    harness.kernelMood = (effect) => (effect.kind === "data-path" ? "EIO" : undefined);
    answers(harness, [option29("0.0.0.0")], node);
    test.ok(free());
    harness.kernelMood = GRANTS;
    answers(harness, [option29("0.0.0.0")], node, 2);
    test.notOk(free());
    harness.kernelMood = SILENT;
    harness.update(native(COA, node), { sequence: 3 });
    test.notOk(free(), "the kernel still has it");
    harness.kernelMood = GRANTS;
    harness.answerKernel();
    test.ok(free());
    harness.update(native(COA, node), { sequence: 4, lifetimeUnits: 2, options: [option29("0.0.0.0")] });
    test.notOk(free());
    harness.advance(8);
    test.ok(free());
  },
);

t.test("a lent address is not lent again before the kernel has let it go", async (test) => {
  const harness = withPool();
  const [node] = MANY;
  answers(harness, [option29("0.0.0.0")], node);
  harness.kernelMood = SILENT;
  harness.update(atHome(node), { sequence: 2, lifetimeUnits: 0, options: [option29("0.0.0.0")] });
  test.equal(harness.state.ipv4.ownerOf(ipv4("192.0.2.129")), node);
  harness.answerKernel();
  test.equal(harness.state.ipv4.ownerOf(ipv4("192.0.2.129")), undefined);
  test.match(harness.acknowledgements(), [{ options: [{ status: 0, address: "192.0.2.129" }] }]);
});

t.test("a de-registration lends nothing", async (test) => {
  const harness = withPool();
  const [node] = MANY;
  harness.update(native(COA, node), { sequence: 1 });
  const answer = harness.update(native(COA, node), { sequence: 2, lifetimeUnits: 0, options: [option29("0.0.0.0")] });
  test.match(answer, { status: 0, options: [{ status: 132, address: "0.0.0.0" }] });
  test.equal(harness.state.ipv4.leaseOf(node ?? HOA), undefined);
});

t.test("two updates at once never get one address", async (test) => {
  const harness = withPool();
  harness.kernelMood = SILENT;
  for (const node of MANY) {
    harness.deliver(native(COA_2, node), bindingUpdate({ sequence: 1, options: [option29("0.0.0.0")] }));
  }
  const lent = MANY.map((node) => harness.state.ipv4.leaseOf(node)).filter((address) => address !== undefined);
  test.equal(new Set(lent).size, 5);
});

t.test(
  "pools of any shape: host prefixes, several prefixes, the home agent's own address, IPv6 prefixes",
  async (test) => {
    const lend = (prefixes: readonly string[], count: number) => {
      const { ipv4: addresses } = ownershipOf(site({ ipv4Pool: { prefixes: prefixes.map(prefix), leaseSeconds: 60 } }));
      return Array.from({ length: count }, (_, i) => {
        const homeAddress = ipv6(`2001:db8:1::f${i}`);
        const found = addresses.candidateFor(homeAddress);
        if (found !== undefined) addresses.lease(homeAddress, found);
        return found as string | undefined;
      });
    };
    test.strictSame(lend(["192.0.2.200/32"], 2), ["192.0.2.200", undefined]);
    test.strictSame(lend(["192.0.2.200/31"], 3), ["192.0.2.200", "192.0.2.201", undefined]);
    test.strictSame(lend(["192.0.2.200/30", "2001:db8::/64", "10.0.0.0/31"], 5), [
      "192.0.2.201",
      "192.0.2.202",
      "10.0.0.0",
      "10.0.0.1",
      undefined,
    ]);
    test.strictSame(lend([`${HA4}/32`, "255.255.255.254/31"], 2), ["255.255.255.254", "255.255.255.255"]);
  },
);

t.test("an address belongs to one node, or the machine does not start", async (test) => {
  const twice = [HOA, HOA_B].map((homeAddress) => ({ homeAddress, ipv4HomeAddress: HOA4, profile: "default" }));
  test.throws(() => ownershipOf(site({ subscribers: subscribers(twice) })), { code: "MIP_INVARIANT" });
  const { ipv4: addresses } = ownershipOf(site({ ipv4Pool: POOL }));
  test.throws(() => addresses.lease(HOA_C, HOA4), { code: "MIP_INVARIANT" });
});

t.test("an address at which somebody is reached is lent to nobody, and is lent again when nobody is there", (test) => {
  const pool = { prefixes: [prefix("192.0.2.64/29")], leaseSeconds: 300 };
  const first = ipv4("192.0.2.65");
  const lentTo = (agent: HomeAgentHarness, from: Ipv4Address, sequence: number) => {
    const answer = agent.update(udp(from, 4191, HOA_C), { sequence, options: [option29("0.0.0.0")] });
    return answer?.options.flatMap((one) => (one.kind === "ipv4-address-acknowledgement" ? [one.address] : []))[0];
  };
  const own = new HomeAgentHarness({ ipv4Pool: pool });
  test.equal(lentTo(own, first, 1), "192.0.2.66", "not to the node that is there itself");
  const claimed = new HomeAgentHarness({ ipv4Pool: pool });
  const options = [option29("0.0.0.0"), option32(first)];
  const behindNat = claimed.update(udp(NAT4, NAT_PORT, HOA_C), { sequence: 1, options });
  test.match(behindNat?.options[0], { address: "192.0.2.66" }, "nor what it calls itself behind a NAT");
  const others = new HomeAgentHarness({ ipv4Pool: pool });
  test.equal(others.update(udp(first), { sequence: 1, options: [option29(HOA4)] })?.status, 0);
  test.equal(lentTo(others, ipv4("203.0.113.77"), 1), "192.0.2.66", "nor to another");
  test.equal(others.update(udp(first), { sequence: 2, lifetimeUnits: 0 })?.status, 0);
  others.update(udp(ipv4("203.0.113.77"), 4191, HOA_C), { sequence: 2, lifetimeUnits: 0 });
  others.update(udp(ipv4("192.0.2.66")), { sequence: 3, options: [option29(HOA4)] });
  test.equal(
    lentTo(others, ipv4("203.0.113.77"), 3),
    "192.0.2.67",
    "the one it had last is somebody's now; never used ones come first",
  );
  const restarted = others.restart(1, { ipv4Pool: pool });
  test.equal(restarted.view(HOA_C)?.ipv4HomeAddress, "192.0.2.67");
  test.equal(restarted.state.ipv4.isCareOf(ipv4("192.0.2.66")), true, "after a restart too");
  test.end();
});

t.test("a care-of address that is lent, or is no host's in a network here, is refused with status 174", (test) => {
  const agent = new HomeAgentHarness({
    ipv4Pool: { prefixes: [prefix("192.0.2.64/29")], leaseSeconds: 300 },
    isNetworkEdge: (address) => address === "198.51.100.255",
  });
  agent.update(udp(COA4, 4191, HOA_C), { sequence: 1, options: [option29("0.0.0.0")] });
  let sequence = 1;
  const statusFrom = (address: string) => agent.update(udp(ipv4(address)), { sequence: sequence++ })?.status;
  test.equal(statusFrom("192.0.2.65"), 174, "lent");
  test.equal(
    agent.update(udp(ipv4("192.0.2.65"), 4191, HOA_C), { sequence: 2 })?.status,
    174,
    "lent to the node itself",
  );
  test.equal(statusFrom("192.0.2.255"), 174, "directed broadcast of a home prefix");
  test.equal(statusFrom("192.0.2.0"), 174, "its network address");
  test.equal(statusFrom("198.51.100.255"), 174, "directed broadcast of a connected network");
  test.equal(statusFrom("198.51.100.254"), 0);
  test.end();
});

t.test(
  "behind a static NAT neither of the home agent's addresses is lent, nor taken up from a journal",
  async (test) => {
    const [local, free] = [ipv4("192.0.2.129"), ipv4("192.0.2.130")];
    const changes = {
      addresses: { ipv6: HA, ipv4: HA4, ipv4Local: local },
      ipv4Pool: { prefixes: [prefix("192.0.2.128/30")], leaseSeconds: 300 },
    };
    const harness = new HomeAgentHarness(changes);
    harness.update(native(COA, HOA_C), { sequence: 1, options: [option29("0.0.0.0")] });
    test.equal(harness.view(HOA_C)?.ipv4HomeAddress, free);
    const record = { ...harness.journal.get(HOA_C)?.record, ipv4HomeAddress: local };
    const after = new HomeAgentHarness(changes);
    after.step({ kind: "restore", bindings: [{ record, ageSeconds: 0 }] });
    test.match(after.view(HOA_C), { state: "established", ipv4HomeAddress: null });
  },
);
