/** The 2004 profile at the home agent (draft-soliman-v4v6-mipv6-00): short options, IPv4-mapped care-of addresses, who may have them. */
import t from "tap";
import { type Ipv4Address, type Ipv6Address, ipv4 } from "../../../../../controller/base/ip.js";
import { mappedAddress } from "../../../../../controller/base/mapped.js";
import { cacheEntries } from "../../../../../controller/protocol/mip6/home-agent/binding-cache.js";
import { lookup } from "../../../../../controller/protocol/mip6/home-agent/machine.js";
import type { Arrival } from "../../../../../controller/protocol/mip6/inputs.js";
import { findOptions, type MobilityOption } from "../../../../../controller/wire/mip6/options/mobility.js";
import {
  alternateCareOf,
  COA,
  COA4,
  HA,
  HOA,
  HOA_B,
  HOA_C,
  HOA4,
  HOA4_B,
  HomeAgentHarness,
  NAT4,
  native,
  prefix,
  SILENT,
  subscribers,
} from "../../../../sim/home-agent-harness.js";

const SIGNALLING = { ipv4Signalling: "soliman2004", profile: "default" } as const;
const SUBSCRIBERS = subscribers([
  { homeAddress: HOA, ipv4HomeAddress: HOA4, ...SIGNALLING },
  { homeAddress: HOA_B, ipv4HomeAddress: HOA4_B, profile: "default" },
  { homeAddress: HOA_C, ...SIGNALLING },
]);
const ONE_TO_LEND = { prefixes: [prefix("192.0.2.129/32")], leaseSeconds: 400 };

const world = (changes: ConstructorParameters<typeof HomeAgentHarness>[0] = {}): HomeAgentHarness =>
  new HomeAgentHarness({ subscribers: SUBSCRIBERS, ...changes });
const short = (address: Ipv4Address | string): MobilityOption => ({
  kind: "ipv4-home-address-2004",
  address: ipv4(address),
});
/** In protocol 41, as the kernel has proved it. */
const from4 = (careOf: Ipv4Address = COA4, homeAddress: Ipv6Address = HOA): Arrival =>
  native(mappedAddress(careOf), homeAddress);
/** Status and address of each short answer. */
const answers = (
  harness: HomeAgentHarness,
  options: readonly MobilityOption[],
  { sequence = 1, arrival = from4() }: { readonly sequence?: number; readonly arrival?: Arrival } = {},
) =>
  findOptions(harness.update(arrival, { sequence, options })?.options ?? [], "ipv4-address-acknowledgement-2004").map(
    ({ status, address }) => [status, address as string],
  );

t.test(
  "S04-2.2.2-05 S04-2.2.2-06 S04-2.2.2-07 S04-3.4-11: from IPv4, an entry each, both to the IPv4 address",
  (test) => {
    const harness = world();
    const answer = harness.update(from4(), {
      sequence: 1,
      options: [alternateCareOf(mappedAddress(COA4)), short(HOA4)],
    });
    test.match(answer, { status: 0, sequence: 1, lifetimeUnits: 150 });
    test.strictSame(answer?.options, [{ kind: "ipv4-address-acknowledgement-2004", status: 0, address: HOA4 }]);
    test.match(harness.sends(), [
      { source: HA, destination: HOA, departure: { type: "native-routed", careOf: mappedAddress(COA4) } },
    ]);
    const entry = harness.entry();
    const entries = entry === undefined ? [] : cacheEntries(entry);
    test.strictSame(
      entries.map(({ address, endpoint, careOfAddress }) => [address, endpoint, careOfAddress]),
      [HOA, HOA4].map((address) => [address, { format: "ipv4", address: COA4 }, COA4]),
    );
    test.strictSame(harness.kernel.get(HOA)?.egress, { format: "ipv4", address: COA4 });
    test.end();
  },
);

t.test("S04-2.2.1-02 S04-2.2-01: over IPv6 one update makes both entries, to the IPv6 care-of address", (test) => {
  const harness = world();
  test.strictSame(answers(harness, [alternateCareOf(COA), short(HOA4)], { arrival: native(COA) }), [[0, HOA4]]);
  const entry = harness.entry();
  test.strictSame(
    (entry === undefined ? [] : cacheEntries(entry)).map(({ address, endpoint }) => [address, endpoint]),
    [HOA, HOA4].map((address) => [address, { format: "ipv6", address: COA }]),
  );
  test.end();
});

t.test("S04-3.4-02 S04-3.4-03 S04-3.4-08 S04-4-01: the entry of the IPv6 home address knows the IPv4 one", (test) => {
  const harness = world();
  answers(harness, [short(HOA4)]);
  test.equal(lookup(harness.state, HOA4), lookup(harness.state, HOA));
  test.equal(harness.view()?.ipv4HomeAddress, HOA4);
  test.equal([...harness.journal.values()].length, 1);
  const after = harness.restart(10, { subscribers: SUBSCRIBERS });
  test.equal(after.kernel.get(HOA)?.ipv4HomeAddress, HOA4, "and after a restart");
  test.strictSame(after.kernel.get(HOA)?.egress, { format: "ipv4", address: COA4 });
  test.end();
});

t.test("S04-3.4-05: what is another node's or nobody's is 130, with the address that was asked for", (test) => {
  for (const address of [HOA4_B, "192.0.2.77", "203.0.113.77"]) {
    const harness = world();
    test.strictSame(answers(harness, [short(address)]), [[130, address]]);
    test.equal(harness.kernel.get(HOA)?.ipv4HomeAddress, undefined);
    test.match(harness.kernel.get(HOA)?.egress, { address: COA4 }, "the IPv6 binding stands");
  }
  test.end();
});

t.test(
  "S04-2.4-02 S04-2.4-03 S04-3.4-04 S04-3.4-06: 0.0.0.0 lends an address, for the shorter of lease and binding",
  (test) => {
    const harness = world({ ipv4Pool: ONE_TO_LEND });
    const arrival = from4(COA4, HOA_C);
    const long = harness.update(arrival, { sequence: 1, lifetimeUnits: 900, options: [short("0.0.0.0")] });
    test.match(long, { lifetimeUnits: 100, options: [{ status: 0, address: "192.0.2.129" }] });
    test.equal(harness.kernel.get(HOA_C)?.ipv4HomeAddress, "192.0.2.129");
    const brief = harness.update(arrival, { sequence: 2, lifetimeUnits: 50, options: [short("192.0.2.129")] });
    test.match(
      brief,
      { lifetimeUnits: 50, options: [{ status: 0, address: "192.0.2.129" }] },
      "by its name in refreshes",
    );
    test.end();
  },
);

t.test("S04-3.4-07: with nothing to lend it is 132", (test) => {
  test.strictSame(answers(world(), [short("0.0.0.0")], { arrival: from4(COA4, HOA_C) }), [[132, "0.0.0.0"]]);
  test.end();
});

t.test("S04-3.2.1-02: the statuses are 0 and 128 to 132, whatever is asked for", (test) => {
  const asked = [
    "0.0.0.0",
    HOA4,
    HOA4_B,
    "224.0.0.5",
    "255.255.255.255",
    "127.0.0.1",
    "192.0.2.0",
    "192.0.2.255",
    "10.9.8.7",
  ];
  for (const homeAddress of [HOA, HOA_C])
    for (const address of asked)
      for (const [status = 1] of answers(world(), [short(address)], { arrival: from4(COA4, homeAddress) }))
        test.ok(status === 0 || (Number(status) >= 128 && Number(status) <= 132), `${address}: ${status}`);
  // What the disk did not take.
  const harness = world();
  harness.kernelMood = () => "EIO";
  test.strictSame(answers(harness, [short(HOA4)]), [[128, HOA4]]);
  test.end();
});

t.test("an answer is in the form of the question (C-53)", (test) => {
  const harness = world();
  const long: MobilityOption = {
    kind: "ipv4-home-address",
    prefixLength: 32,
    mobileNetworkPrefix: false,
    address: HOA4,
  };
  test.strictSame(harness.update(native(COA), { sequence: 1, options: [long] })?.options, [
    { kind: "ipv4-address-acknowledgement", status: 0, prefixLength: 32, address: HOA4 },
  ]);
  test.strictSame(harness.update(from4(), { sequence: 2 })?.options, [], "nothing about IPv4 that was not asked");
  test.equal(harness.kernel.get(HOA)?.ipv4HomeAddress, undefined);
  test.end();
});

t.test("C-50: a mapped care-of address is dropped of who has not the profile, and beside another one", (test) => {
  const dropped = (arrival: Arrival, ...options: readonly MobilityOption[]): readonly string[] => {
    const harness = world();
    harness.update(arrival, { sequence: 1, options });
    test.strictSame(harness.sends(), []);
    test.equal(harness.kernel.size, 0);
    return harness.drops();
  };
  test.strictSame(dropped(from4(COA4, HOA_B)), ["mapped-source"]);
  test.strictSame(dropped(from4(), alternateCareOf(COA)), ["mapped-source"], "an IPv6 one under ESP");
  test.strictSame(dropped(from4(), alternateCareOf(mappedAddress(NAT4))), ["mapped-source"]);
  test.strictSame(dropped(native(COA), alternateCareOf(mappedAddress(COA4))), ["care-of-not-unicast"], "over IPv6");
  test.strictSame(dropped({ ...from4(), protection: "none" }), ["unprotected"]);
  for (const none of ["127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255"])
    test.strictSame(dropped(from4(ipv4(none))), ["care-of-not-unicast"], none);
  test.end();
});

t.test("a move, a refresh and the end over IPv4", (test) => {
  const harness = world();
  harness.update(native(COA), { sequence: 1, options: [short(HOA4)] });
  harness.update(from4(), { sequence: 2, options: [short(HOA4)] });
  test.strictSame(harness.kernel.get(HOA)?.egress, { format: "ipv4", address: COA4 });
  harness.update(from4(NAT4), { sequence: 3, options: [short(HOA4)] });
  test.match(harness.kernel.get(HOA)?.egress, { address: NAT4 });
  test.match(harness.kernel.get(HOA)?.ingress, [{ address: NAT4 }, { address: COA4 }], "for the grace time");
  test.match(harness.update(from4(COA4), { sequence: 3 }), { status: 135, sequence: 3 });
  harness.kernelMood = SILENT;
  test.equal(harness.update(from4(NAT4), { sequence: 4, lifetimeUnits: 0 }), undefined, "not before the kernel");
  harness.answerKernel();
  test.match(harness.acknowledgements(), [{ status: 0, sequence: 4, lifetimeUnits: 0, options: [] }]);
  test.equal(harness.kernel.size, 0);
  test.end();
});
