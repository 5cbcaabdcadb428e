import t, { type Test } from "tap";
import { type Ipv6Address, ipv4, ipv6 } from "../../../../../controller/base/ip.js";
import { UPDATE_CHECKS } from "../../../../../controller/protocol/mip6/home-agent/update.js";
import { findOption } from "../../../../../controller/wire/mip6/options/mobility.js";
import { BindingStatus } from "../../../../../controller/wire/mip6/registry.js";
import {
  alternateCareOf,
  atHome,
  bindingUpdate,
  COA,
  COA_2,
  COA4,
  HA,
  HA4,
  HOA,
  HOA_B,
  HOA4,
  HOA4_B,
  HomeAgentHarness,
  NAT_PORT,
  NAT4,
  native,
  option29,
  option32,
  PRIVATE4,
  prefix,
  udp,
} from "../../../../sim/home-agent-harness.js";

/** Nothing but the answer came of the last update. */
function nothingHappened(test: Test, harness: HomeAgentHarness, homeAddress: Ipv6Address = HOA): void {
  test.strictSame(harness.effects("data-path"), []);
  test.strictSame(harness.effects("data-path-removed"), []);
  test.equal(harness.entry(homeAddress), undefined);
  test.equal(harness.deadline, undefined);
  test.equal(harness.journal.size, 0);
}

t.test("the checks stand in the order of their sources", async (test) => {
  test.strictSame(
    UPDATE_CHECKS.map(({ source }) => source.split(",")[0]),
    [
      "RFC 6275 §5.1",
      "RFC 6275 §9.5.1",
      "draft-soliman-v4v6-mipv6-00 §3.3",
      "RFC 6275 §6.1.7",
      "RFC 6275 §9.5.1",
      "RFC 6275 §9.5.1",
      "RFC 6275 §10.3.2",
      "RFC 6275 §10.3.1",
      "RFC 5846",
      "RFC 6275 §10.3.1",
      "RFC 6275 §10.3.1",
      "RFC 6275 §10.3.1",
      "RFC 6275 §10.3.1",
      "RFC 3963 §6.2",
      "RFC 5555 §4.5",
    ],
  );
});

t.test("131 where no home registration of this kind is offered", async (test) => {
  const noPrefix = new HomeAgentHarness({ homePrefixes: [prefix("192.0.2.0/24")] });
  test.equal(noPrefix.update(native(COA), { sequence: 1 })?.status, BindingStatus.homeRegistrationNotSupported);
  nothingHappened(test, noPrefix);
  for (const flags of [{ mapRegistration: true }, { proxyRegistration: true }]) {
    const harness = new HomeAgentHarness();
    test.equal(harness.update(native(COA), { sequence: 1, flags })?.status, BindingStatus.homeRegistrationNotSupported);
    nothingHappened(test, harness);
  }
});

t.test("C-35: 132 for a home address outside the home prefixes", async (test) => {
  const harness = new HomeAgentHarness();
  const stranger = ipv6("2001:db8:99::1");
  const answer = harness.update(native(COA, stranger), { sequence: 9, options: [option29(HOA4)] });
  test.match(answer, { status: BindingStatus.notHomeSubnet, sequence: 9, lifetimeUnits: 0 });
  nothingHappened(test, harness, stranger);
});

t.test("133 for a home address that is not a subscriber's", async (test) => {
  const harness = new HomeAgentHarness();
  const stranger = ipv6("2001:db8:1::99");
  const answer = harness.update(native(COA, stranger), { sequence: 9 });
  test.match(answer, { status: BindingStatus.notHomeAgent, sequence: 9, lifetimeUnits: 0 });
  nothingHappened(test, harness, stranger);
  test.strictSame(harness.events(), ["binding.rejected"]);
});

t.test("133 for a de-registration without binding", async (test) => {
  const harness = new HomeAgentHarness();
  for (const arrival of [native(COA), atHome(), udp(COA4), native(COA, ipv6("2001:db8:99::1"))]) {
    const answer = harness.update(arrival, { sequence: 1, lifetimeUnits: 0 });
    test.match(answer, { status: BindingStatus.notHomeAgent, sequence: 1, lifetimeUnits: 0 });
    nothingHappened(test, harness, arrival.source);
  }
});

t.test("139 when H differs from the entry, which stays as it is", async (test) => {
  const harness = new HomeAgentHarness();
  harness.update(native(COA), { sequence: 1 });
  const before = harness.view();
  const answer = harness.update(native(COA_2), { sequence: 2, flags: { homeRegistration: false } });
  test.match(answer, { status: BindingStatus.registrationTypeChange, sequence: 2 });
  test.strictSame(harness.view(), before);
});

t.test("without H and without entry nothing is answered, with H there are no nonce indices", async (test) => {
  const harness = new HomeAgentHarness();
  test.equal(harness.update(native(COA), { sequence: 1, flags: { homeRegistration: false } }), undefined);
  test.strictSame(harness.drops(), ["not-home-registration"]);
  const nonces = { kind: "nonce-indices", homeNonceIndex: 1, careOfNonceIndex: 2 } as const;
  test.equal(harness.update(native(COA), { sequence: 1, options: [nonces] }), undefined);
  test.strictSame(harness.drops(), ["malformed"]);
  nothingHappened(test, harness);
});

t.test("R without H gets 140", async (test) => {
  const harness = new HomeAgentHarness();
  const flags = { mobileRouter: true, homeRegistration: false };
  const answer = harness.update(native(COA), { sequence: 1, flags });
  test.match(answer, { status: BindingStatus.mobileRouterNotPermitted, flags: { mobileRouter: false } });
  nothingHappened(test, harness);
});

t.test("144 when UDP is not to be forced, without any change", async (test) => {
  const harness = new HomeAgentHarness({ forceUdp: "refuse" });
  const fields = { flags: { forceUdp: true }, options: [option29(HOA4), option32(COA4)] };
  const answer = harness.update(udp(COA4), { sequence: 1, ...fields });
  test.match(answer, { status: BindingStatus.forcedUdpNotSupported, sequence: 1, lifetimeUnits: 0 });
  nothingHappened(test, harness);
  harness.update(udp(COA4), { sequence: 2, options: fields.options });
  const path = harness.kernel.get(HOA);
  const deadline = harness.deadline;
  test.equal(harness.update(udp(NAT4), { sequence: 3, ...fields })?.status, BindingStatus.forcedUdpNotSupported);
  test.equal(harness.kernel.get(HOA), path);
  test.equal(harness.deadline, deadline);
});

t.test("F over IPv6 is refused even where it is granted over IPv4", async (test) => {
  const harness = new HomeAgentHarness({ forceUdp: "grant" });
  const answer = harness.update(native(COA), { sequence: 1, flags: { forceUdp: true } });
  test.equal(answer?.status, BindingStatus.forcedUdpNotSupported);
  test.equal(findOption(answer?.options ?? [], "nat-detection"), undefined);
  nothingHappened(test, harness);
});

t.test("174 for a care-of address that is served here: the tunnel would run in circles", async (test) => {
  const harness = new HomeAgentHarness();
  for (const careOf of [HA, HOA_B]) {
    const answer = harness.update(native(COA), { sequence: 1, options: [alternateCareOf(careOf)] });
    test.equal(answer?.status, BindingStatus.invalidCareOfAddress, careOf);
    nothingHappened(test, harness);
  }
  for (const careOf of [HA4, HOA4, HOA4_B]) {
    const answer = harness.update(udp(careOf), { sequence: 1, options: [option32(careOf)] });
    test.equal(answer?.status, BindingStatus.invalidCareOfAddress, careOf);
    nothingHappened(test, harness);
  }
  const private4 = harness.update(udp(NAT4, NAT_PORT), { sequence: 1, options: [option32(HOA4_B)] });
  test.equal(private4?.status, 0, "behind a NAT the claimed address may be anybody's");
});

t.test(
  "C-06 C-12: a refused update over UDP is answered over UDP, to where it came from, with option 31",
  async (test) => {
    const harness = new HomeAgentHarness({ forceUdp: "refuse" });
    const options = [option29(HOA4), option32(PRIVATE4)];
    const refused = harness.update(udp(NAT4, NAT_PORT), { sequence: 1, flags: { forceUdp: true }, options });
    test.equal(refused?.status, 144);
    test.match(harness.sends(), [
      { departure: { type: "udp", localAddress: HA4, remoteAddress: NAT4, remotePort: NAT_PORT }, destination: HOA },
    ]);
    test.strictSame(refused?.options, [
      { kind: "ipv4-address-acknowledgement", status: 128, prefixLength: 0, address: HOA4 },
      { kind: "nat-detection", forceUdp: false, refreshSeconds: 110 },
    ]);
    harness.update(udp(NAT4, NAT_PORT), { sequence: 5, options });
    const stale = harness.update(udp(COA4, 1234), { sequence: 4, options: [option32(COA4)] });
    test.equal(stale?.status, BindingStatus.sequenceOutOfWindow);
    test.match(harness.sends(), [{ departure: { remoteAddress: COA4, remotePort: 1234 } }]);
    test.equal(findOption(stale?.options ?? [], "nat-detection")?.refreshSeconds, 0xffffffff);
  },
);

t.test("C-11: type 2 routing header if and only if there was a Home Address option", async (test) => {
  const harness = new HomeAgentHarness();
  harness.update(native(COA), { sequence: 1 });
  test.match(harness.sends(), [{ destination: HOA, departure: { type: "native-routed", careOf: COA } }]);
  harness.update(atHome(), { sequence: 2, lifetimeUnits: 0 });
  test.strictSame(harness.sends()[0]?.departure, { type: "native-direct", device: "home0" });
  test.equal(harness.sends()[0]?.destination, HOA);
});

t.test("without ESP nothing is answered and nothing changes, not even a sequence number", async (test) => {
  const harness = new HomeAgentHarness();
  harness.update(native(COA), { sequence: 1 });
  const before = harness.view();
  for (const arrival of [native(COA_2), udp(COA4), atHome()]) {
    const message = bindingUpdate({ sequence: 2, lifetimeUnits: 0 });
    test.strictSame(harness.deliver({ ...arrival, protection: "none" }, message), [
      { kind: "drop", reason: "unprotected", detail: "binding update without ESP" },
    ]);
  }
  test.strictSame(harness.view(), before);
});

t.test("the home address is the one of the SA, whatever is in the options", async (test) => {
  const harness = new HomeAgentHarness();
  harness.update(native(COA, HOA_B), { sequence: 1, options: [alternateCareOf(COA), option29(HOA4)] });
  test.equal(harness.entry(HOA), undefined);
  test.strictSame([...harness.kernel.keys()], [HOA_B]);
  test.equal(harness.kernel.get(HOA_B)?.ipv4HomeAddress, undefined);
});

t.test("care-of addresses that are no routable unicast ones are met with silence", async (test) => {
  const harness = new HomeAgentHarness();
  harness.update(native(COA), { sequence: 1 });
  const before = harness.view();
  const six = ["fe80::1", "ff02::1", "ff0e::5", "::", "::1", "::ffff:198.51.100.9"].map(ipv6);
  for (const careOf of six) {
    harness.update(native(COA), { sequence: 2, options: [alternateCareOf(careOf)] });
    test.strictSame(
      harness.take().map(({ kind }) => kind),
      ["drop"],
      `alternate ${careOf}`,
    );
    harness.update(native(careOf), { sequence: 2, options: [alternateCareOf(COA)] });
    const reason = careOf.startsWith("::ffff:") ? "mapped-source" : "care-of-not-unicast";
    test.strictSame(harness.drops(), [reason], `wire source ${careOf}`);
    test.strictSame(harness.sends(), []);
  }
  for (const careOf of ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "169.254.1.1"].map(ipv4)) {
    harness.update(udp(NAT4), { sequence: 2, options: [option32(careOf)] });
    test.strictSame(harness.drops(), ["care-of-not-unicast"], `option 32 ${careOf}`);
    harness.update(udp(careOf), { sequence: 2, options: [option32(PRIVATE4)] });
    test.strictSame(harness.drops(), ["care-of-not-unicast"], `outer source ${careOf}`);
    test.strictSame(harness.sends(), []);
  }
  test.strictSame(harness.view(), before);
});

t.test("C-10: away on IPv6 the Home Address option is a must, over IPv4 it is not", async (test) => {
  const harness = new HomeAgentHarness();
  test.equal(harness.update(atHome(), { sequence: 1, options: [alternateCareOf(COA)] }), undefined);
  test.strictSame(harness.drops(), ["home-address-option-missing"]);
  nothingHappened(test, harness);
  test.equal(harness.update(udp(COA4), { sequence: 1, options: [option32(COA4)] })?.status, 0);
});

t.test("a home address that is none is dropped, as is what was sent to somebody else", async (test) => {
  const harness = new HomeAgentHarness();
  for (const source of ["::", "fe80::10", "ff02::1", "::1"].map(ipv6)) {
    harness.update(native(COA, source), { sequence: 1 });
    test.strictSame(harness.drops(), ["home-address-mismatch"], source);
    test.strictSame(harness.sends(), []);
  }
  harness.update(native(COA, HOA, { destination: ipv6("2001:db8:1::2") }), { sequence: 1 });
  test.strictSame(harness.drops(), ["wrong-destination"]);
});
