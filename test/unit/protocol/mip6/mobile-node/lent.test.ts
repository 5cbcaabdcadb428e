/** Addresses and networks on loan at the mobile node: how they are asked for, what is made of the answers, and when it asks again. */
import t from "tap";
import { formatPrefix, ipv4, ipv6 } from "../../../../../controller/base/ip.js";
import { recordOf } from "../../../../../controller/protocol/mip6/mobile-node/record.js";
import type { Wishes } from "../../../../../controller/protocol/movement/lent.js";
import type { MobilityOption } from "../../../../../controller/wire/mip6/options/mobility.js";
import { BindingStatus, Ipv4AckStatus } from "../../../../../controller/wire/mip6/registry.js";
import { Chart, prefix, SITE, type Update } from "./chart.js";

const V6 = { eth0: ["2001:db8:a::10/64"] };
const R = { flags: { mobileRouter: true } };
const { ipv4HomeAddress: _own, ...WITHOUT } = SITE;
const borrower = (wishes: Partial<Wishes> = {}): Chart => {
  const lengths = { ipv4: [24, 29], ipv6: [56] };
  return new Chart({ ...WITHOUT, ipv4HomeAddress: undefined, wishes: { ipv4HomeAddress: "own", lengths, ...wishes } });
};
const ADDRESS_ONLY = { lengths: { ipv4: [], ipv6: [] } };
const SIX_ONLY = { ipv4HomeAddress: "none", lengths: { ipv4: [], ipv6: [56] } } as const;

const answered = (status: number, length: number, address: string): MobilityOption => ({
  kind: "ipv4-address-acknowledgement",
  status,
  prefixLength: length,
  address: ipv4(address),
});
const six = (text: string): MobilityOption => {
  const { address, length } = prefix(text);
  return { kind: "mobile-network-prefix", prefix: ipv6(address), prefixLength: length };
};
const ADDRESS = answered(0, 32, "192.0.2.77");
const ALL = [ADDRESS, answered(0, 26, "10.64.1.0"), answered(0, 29, "10.64.2.8"), six("2001:db8:200:100::/56")];
const granted = (chart: Chart): readonly string[] => (chart.state.registration?.prefixes ?? []).map(formatPrefix);

function asked(update: Update): readonly string[] {
  return update.message.options.flatMap((option) => {
    if (option.kind === "mobile-network-prefix") return [`${option.prefix}/${option.prefixLength}`];
    if (option.kind !== "ipv4-home-address") return [];
    return [`${option.address}/${option.prefixLength}${option.mobileNetworkPrefix ? " P" : ""}`];
  });
}

const FIRST = ["::/56", "0.0.0.0/32", "0.0.0.0/24 P", "0.0.0.0/29 P"];
const LATER = ["2001:db8:200:100::/56", "192.0.2.77/32", "10.64.1.0/26 P", "10.64.2.8/29 P"];

t.test(
  "R5555-3.2.1-05: first the wanted lengths, later what was granted; it is on the node, and forwarded",
  async (test) => {
    const chart = borrower().sees(V6);
    const first = chart.update();
    test.equal(first.message.flags.mobileRouter, true);
    test.strictSame(asked(first), FIRST);
    chart.answer(first, { ...R, options: ALL });
    test.equal(chart.state.registration?.ipv4HomeAddress, "192.0.2.77");
    test.equal(chart.path?.ipv4HomeAddress, "192.0.2.77");
    test.strictSame(granted(chart), ["10.64.1.0/26", "10.64.2.8/29", "2001:db8:200:100::/56"]);
    test.strictSame((chart.state.site.prefixes ?? []).map(formatPrefix), granted(chart));
    const refresh = chart.wait(450.5).update();
    test.strictSame(asked(refresh), LATER);
    const { site } = chart.state;
    chart.answer(refresh, { ...R, options: ALL.slice(0, 3) });
    test.equal(chart.state.site, site, "the same loans are the same site");
    test.equal(chart.path?.ipv4HomeAddress, "192.0.2.77");
  },
);

t.test("a move asks for what is there, and a journal brings it over a restart", async (test) => {
  const chart = borrower().sees(V6);
  chart.answer(chart.update(), { ...R, options: ALL });
  chart.sees({ eth0: ["2001:db8:b::10/64"] });
  test.strictSame(asked(chart.update()), LATER);
  const record = JSON.parse(JSON.stringify(recordOf(chart.state, chart.now)));
  const after = borrower().give({ kind: "restore", record, ageSeconds: 5 }).sees(V6);
  test.equal(after.path?.ipv4HomeAddress, "192.0.2.77");
  test.strictSame((after.state.site.prefixes ?? []).map(formatPrefix).length, 3);
  test.strictSame(asked(after.update()), LATER);
  const others = borrower({ ipv4HomeAddress: "none", lengths: { ipv4: [24], ipv6: [56] } });
  others.give({ kind: "restore", record, ageSeconds: 5 }).sees(V6);
  test.strictSame(asked(others.update()), ["2001:db8:200:100::/56", "0.0.0.0/24 P"], "other wishes by now");
  for (const bad of [null, 7, { ipv4: "x", ipv6: [1] }, { ipv4HomeAddress: "::1", ipv4: [], ipv6: ["10.0.0.0/8"] }]) {
    const odd = borrower()
      .give({ kind: "restore", record: { ...record, lent: bad }, ageSeconds: 5 })
      .sees(V6);
    test.strictSame(asked(odd.update()), FIRST);
  }
});

t.test("R5555-4.4.2-21: what is not lent is on no device; it is asked for again, ever more seldom", async (test) => {
  const chart = borrower(ADDRESS_ONLY).sees(V6);
  const refused = [answered(Ipv4AckStatus.dynamicAddressNotAvailable, 0, "0.0.0.0")];
  chart.answer(chart.update(), { options: refused });
  test.equal(chart.path?.ipv4HomeAddress, undefined);
  test.equal(chart.state.registration?.ipv4HomeAddress, undefined);
  test.match(chart.events("registration.failed"), [{ status: 132 }]);
  const pauses = [2, 4, 8, 16].map((pause) => {
    test.strictSame(chart.wait(pause - 0.5).updates(), []);
    const again = chart.wait(0.6).update();
    chart.answer(again, { options: refused });
    return asked(again)[0];
  });
  test.strictSame(pauses, Array(4).fill("0.0.0.0/32"));
  chart.answer(chart.wait(32.5).update(), { options: [ADDRESS] });
  test.equal(chart.path?.ipv4HomeAddress, "192.0.2.77");
  test.strictSame(chart.wait(440).updates(), []);
});

t.test("a loan that is another's by now is given up, and any other asked for", async (test) => {
  const chart = borrower(ADDRESS_ONLY).sees(V6);
  chart.answer(chart.update(), { options: [ADDRESS] });
  chart.answer(chart.wait(450.5).update(), {
    options: [answered(Ipv4AckStatus.incorrectHomeAddress, 0, "192.0.2.77")],
  });
  test.equal(chart.path?.ipv4HomeAddress, undefined);
  const again = chart.wait(2.1).update();
  test.strictSame(asked(again), ["0.0.0.0/32"]);
  chart.answer(again, { options: [answered(0, 32, "192.0.2.78")] });
  test.equal(chart.path?.ipv4HomeAddress, "192.0.2.78");
});

t.test("142 to lent networks of before: others are asked for at once; then it counts as a refusal", async (test) => {
  const chart = borrower(SIX_ONLY).sees(V6);
  chart.answer(chart.update(), { ...R, options: [six("2001:db8:200::/56")] });
  const refresh = chart.wait(450.5).update();
  test.strictSame(asked(refresh), ["2001:db8:200::/56"]);
  chart.answer(refresh, { status: BindingStatus.notAuthorizedForPrefix, lifetimeUnits: 0, options: [] });
  const again = chart.update();
  test.strictSame(asked(again), ["::/56"]);
  chart.answer(again, { status: BindingStatus.invalidPrefix, lifetimeUnits: 0, options: [] });
  test.equal(chart.state.phase, "refused");
  test.strictSame(chart.wait(299).updates(), []);
});

t.test("answers that lend what has another meaning, or nothing that is a network, lend nothing", async (test) => {
  for (const bad of ["192.0.2.0/24", "224.0.0.0/24", "198.51.100.0/24", "127.0.0.0/8"]) {
    const chart = borrower({ ipv4HomeAddress: "none", lengths: { ipv4: [24], ipv6: [] } }).sees(V6);
    const { address, length } = prefix(bad);
    chart.answer(chart.update(), { ...R, options: [answered(0, length, address)] });
    test.strictSame(granted(chart), [], bad);
  }
  for (const bad of ["2001:db8:1::/64", "::/0", "fe80::/64", "ff00::/8"]) {
    const chart = borrower(SIX_ONLY).sees(V6);
    chart.answer(chart.update(), { ...R, options: [six(bad)] });
    test.strictSame(granted(chart), [], bad);
  }
  const address = borrower(ADDRESS_ONLY).sees(V6);
  address.answer(address.update(), { options: [answered(0, 32, "198.51.100.1")] });
  test.equal(address.path?.ipv4HomeAddress, undefined, "the home agent's own");
  const twice = borrower({ ipv4HomeAddress: "none", lengths: { ipv4: [24, 26], ipv6: [] } }).sees(V6);
  twice.answer(twice.update(), { ...R, options: [answered(0, 24, "10.64.1.0"), answered(0, 26, "10.64.1.64")] });
  test.strictSame(granted(twice), ["10.64.1.0/24"], "one in another");
  test.strictSame(asked(twice.wait(2.1).update()), ["10.64.1.0/24 P", "0.0.0.0/26 P"]);
  const around = borrower(SIX_ONLY).sees(V6);
  around.answer(around.update(), { ...R, options: [six("2001:db8:a::/48")] });
  test.strictSame(granted(around), [], "where the node is itself");
  test.equal(around.state.phase, "registered");
  const silent = borrower(SIX_ONLY).sees(V6);
  silent.answer(silent.update(), { ...R, options: [] });
  test.strictSame(granted(silent), []);
});

t.test("C-05: a home agent that knows nothing of IPv4 is not asked for it again and again", async (test) => {
  const chart = borrower(ADDRESS_ONLY).sees(V6);
  chart.answer(chart.update(), { options: [] });
  const refresh = chart.wait(450.5);
  test.equal(refresh.updates().length, 1);
});

t.test("an address out of the lent prefix is the first that a host can have there", async (test) => {
  const chart = borrower({ ipv4HomeAddress: "from-prefix", lengths: { ipv4: [28], ipv6: [] } }).sees(V6);
  const first = chart.update();
  test.strictSame(asked(first), ["0.0.0.0/28 P"]);
  chart.answer(first, { ...R, options: [answered(0, 28, "10.64.0.16")] });
  test.equal(chart.path?.ipv4HomeAddress, "10.64.0.17");
  test.strictSame(granted(chart), ["10.64.0.16/28"]);
  test.strictSame(asked(chart.wait(450.5).update()), ["10.64.0.16/28 P"]);
});

t.test("at home what is lent is given back: no home link has it", async (test) => {
  const chart = borrower(ADDRESS_ONLY).sees(V6);
  chart.answer(chart.update(), { options: [ADDRESS] });
  chart.sees({ eth0: ["2001:db8:1::10/64"] }).wait(0.3);
  chart.answer(chart.update(), { lifetimeUnits: 0, options: [] });
  test.equal(chart.state.phase, "home");
  test.equal(chart.path?.ipv4HomeAddress, undefined);
  chart.sees(V6);
  test.strictSame(asked(chart.update()), ["192.0.2.77/32"], "the same is asked for where it leaves");
});
