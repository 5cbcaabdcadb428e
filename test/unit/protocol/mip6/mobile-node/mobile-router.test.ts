/** A mobile router: what it asks its home agent for, and what it makes of the answers (RFC 3963 §5). */
import t from "tap";
import { formatPrefix, ipv4 } from "../../../../../controller/base/ip.js";
import type { MobileNodeSite } from "../../../../../controller/protocol/movement/attachment.js";
import type { MobilityOption } from "../../../../../controller/wire/mip6/options/mobility.js";
import { BindingStatus, Ipv4AckStatus } from "../../../../../controller/wire/mip6/registry.js";
import { accepted4, Chart, IPV4_HOME_ADDRESS, optionKinds, prefix, type Update } from "./chart.js";

const SIX = prefix("2001:db8:100::/56");
const FOUR = prefix("10.1.0.0/24");
const FOUR_B = prefix("10.2.0.0/29");
const V6 = { eth0: ["2001:db8:a::10/64"] };
const R = { flags: { mobileRouter: true } };
const router = (changes: Partial<MobileNodeSite> = {}): Chart =>
  new Chart({ prefixes: [SIX, FOUR, FOUR_B], ...changes });

const answered = (status: number, length: number, address: string): MobilityOption => ({
  kind: "ipv4-address-acknowledgement",
  status,
  prefixLength: length,
  address: ipv4(address),
});
const ALL = [accepted4, answered(0, 24, "10.1.0.0"), answered(0, 29, "10.2.0.0")];
const granted = (chart: Chart): readonly string[] => (chart.state.registration?.prefixes ?? []).map(formatPrefix);

function asked(update: Update): readonly string[] {
  return update.message.options.flatMap((option) => {
    if (option.kind === "mobile-network-prefix") return [`${option.prefix}/${option.prefixLength}`];
    if (option.kind !== "ipv4-home-address") return [];
    return [`${option.address}/${option.prefixLength}${option.mobileNetworkPrefix ? " P" : ""}`];
  });
}

t.test("F3963-5.2-01: R with H, and all prefixes in every update, refreshes too", async (test) => {
  const chart = router().sees(V6);
  const first = chart.update();
  test.match(first.message.flags, { mobileRouter: true, homeRegistration: true });
  const all = ["2001:db8:100::/56", `${IPV4_HOME_ADDRESS}/32`, "10.1.0.0/24 P", "10.2.0.0/29 P"];
  test.strictSame(asked(first), all);
  chart.answer(first, { ...R, options: ALL });
  test.strictSame(granted(chart), [SIX, FOUR, FOUR_B].map(formatPrefix));
  const refresh = chart.wait(450.5).update();
  test.not(refresh.message.sequence, first.message.sequence);
  test.strictSame(asked(refresh), all);
  test.equal(refresh.message.flags.mobileRouter, true);
});

t.test("implicit mode: R alone, and its answer stands for all", async (test) => {
  const chart = router({ mobileRouter: "implicit" }).sees(V6);
  const update = chart.update();
  test.equal(update.message.flags.mobileRouter, true);
  test.strictSame(asked(update), [`${IPV4_HOME_ADDRESS}/32`]);
  chart.answer(update, { ...R, options: [accepted4] });
  test.strictSame(granted(chart), [SIX, FOUR, FOUR_B].map(formatPrefix));
});

t.test("C-14: the answers about IPv4 are taken by their order; what is refused is told once", async (test) => {
  const chart = router().sees(V6);
  const refused = answered(Ipv4AckStatus.prefixNotAuthorized, 0, "10.1.0.0");
  const options = [accepted4, refused, answered(0, 29, "10.2.0.0")];
  chart.answer(chart.update(), { ...R, options });
  test.strictSame(granted(chart), [SIX, FOUR_B].map(formatPrefix));
  test.match(chart.events("registration.failed"), [{ reason: /10\.1\.0\.0\/24/ }]);
  chart.answer(chart.wait(450.5).update(), { ...R, options });
  test.equal(chart.events("registration.failed").length, 1);
  test.equal(chart.state.phase, "registered");
});

t.test("F3963-5.3-01: accepted without R it leaves again, and asks seldom", async (test) => {
  const chart = router().sees(V6);
  const first = chart.update();
  chart.answer(first, { options: [accepted4] });
  const leave = chart.update();
  test.equal(leave.message.lifetimeUnits, 0);
  test.match(leave.message.flags, { mobileRouter: true });
  test.strictSame(optionKinds(leave), ["alternate-care-of-address"]);
  test.equal(chart.state.phase, "refused");
  test.equal(chart.state.registration, undefined);
  test.strictSame(chart.wait(299).updates(), []);
  test.equal(chart.wait(1.1).update().message.lifetimeUnits, 150);
});

t.test("F3963-5.4-01: 140 to 143 are no bindings, and asked again seldom", async (test) => {
  const { mobileRouterNotPermitted, invalidPrefix, notAuthorizedForPrefix, forwardingSetupFailed } = BindingStatus;
  for (const status of [mobileRouterNotPermitted, invalidPrefix, notAuthorizedForPrefix, forwardingSetupFailed]) {
    const chart = router().sees(V6);
    chart.answer(chart.update(), { status, lifetimeUnits: 0, options: [] });
    test.equal(chart.state.phase, "refused", `${status}`);
    test.equal(chart.state.registration, undefined);
    test.strictSame(chart.wait(299).updates(), [], `${status}`);
    test.equal(chart.wait(1.1).updates().length, 1, `${status}`);
  }
});

t.test("an address in a network behind us is no care-of address", async (test) => {
  const chart = router().sees({ eth1: ["2001:db8:100::1/64", "10.1.0.1/24"] });
  test.equal(chart.state.phase, "detached");
  test.strictSame(chart.updates(), []);
});

t.test("139: what it was before is taken back, and it asks again at once", async (test) => {
  const chart = router().sees(V6);
  chart.answer(chart.update(), { status: BindingStatus.registrationTypeChange, lifetimeUnits: 0, options: [] });
  test.equal(chart.update().message.lifetimeUnits, 0);
  const again = chart.wait(2.1).update();
  test.equal(again.message.lifetimeUnits, 150);
  chart.answer(again, { ...R, options: ALL });
  test.equal(chart.state.phase, "registered");
});
