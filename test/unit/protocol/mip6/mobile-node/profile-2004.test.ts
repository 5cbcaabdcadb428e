/** The 2004 profile at the mobile node (draft-soliman-v4v6-mipv6-00): what its updates say, what it makes of the answers, where it is silent. */
import t from "tap";
import { ipv4 } from "../../../../../controller/base/ip.js";
import { mappedAddress } from "../../../../../controller/base/mapped.js";
import { listEntries } from "../../../../../controller/protocol/mip6/mobile-node/binding-update-list.js";
import type { MobileNodeSite } from "../../../../../controller/protocol/movement/attachment.js";
import type { MobilityOption } from "../../../../../controller/wire/mip6/options/mobility.js";
import { Chart, HOME_ADDRESS, HOME_AGENT, IPV4_HOME_ADDRESS, optionKinds } from "./chart.js";

const V6 = { eth0: ["2001:db8:a::10/64"] };
const V4 = { eth0: ["203.0.113.10/24"] };
const MAPPED = mappedAddress(ipv4("203.0.113.10"));
const ASKED: MobilityOption = { kind: "ipv4-home-address-2004", address: IPV4_HOME_ADDRESS };
const short = (
  status: number,
  address: string = IPV4_HOME_ADDRESS,
): { readonly options: readonly MobilityOption[] } => ({
  options: [{ kind: "ipv4-address-acknowledgement-2004", status, address: ipv4(address) }],
});
const node = (site: Partial<MobileNodeSite> = {}): Chart => new Chart({ ipv4Signalling: "soliman2004", ...site });
const borrower = (): Chart =>
  node({ ipv4HomeAddress: undefined, wishes: { ipv4HomeAddress: "own", lengths: { ipv4: [], ipv6: [] } } });
/** Home addresses of the binding update list, as it has them. */
const list = ({ state }: Chart): readonly string[] =>
  listEntries(state.site, state.registration).map(({ homeAddress }) => homeAddress);

t.test("over IPv4 the care-of address is mapped, in the header and under ESP, and the option is short", (test) => {
  const update = node().sees(V4).update();
  test.strictSame([update.source, update.destination], [HOME_ADDRESS, HOME_AGENT]);
  test.strictSame(update.departure, { type: "native-home-address-option", careOf: MAPPED });
  test.strictSame(update.message.options, [{ kind: "alternate-care-of-address", address: MAPPED }, ASKED]);
  test.strictSame([update.message.flags.acknowledge, update.message.flags.homeRegistration], [true, true]);
  test.end();
});

t.test("over IPv6 everything is RFC 3775's but the short option", (test) => {
  const update = node().sees(V6).update();
  test.strictSame(update.departure, { type: "native-home-address-option", careOf: V6.eth0[0]?.split("/")[0] });
  test.strictSame(optionKinds(update), ["alternate-care-of-address", "ipv4-home-address-2004"]);
  test.end();
});

t.test("S04-3.3-16 S04-3.3-02: success makes two entries, the IPv4 home address in its mapped form", (test) => {
  for (const access of [V4, V6]) {
    const chart = node().sees(access);
    chart.answer(chart.update(), short(0));
    test.strictSame(list(chart), [HOME_ADDRESS, mappedAddress(IPV4_HOME_ADDRESS)]);
    test.equal(chart.path?.ipv4HomeAddress, IPV4_HOME_ADDRESS);
  }
  test.end();
});

t.test(
  "payload goes plain from the first packet on: the data path names no UDP, before the answer and after it",
  (test) => {
    const chart = node().sees(V4);
    const end = { format: "ipv4", address: "203.0.113.10", device: "eth0" };
    test.match(chart.path?.ingress, [end]);
    test.match(chart.path, { updateFrom: MAPPED });
    chart.answer(chart.update(), short(0));
    test.match(chart.path?.egress, end);
    test.strictSame(
      listEntries(chart.state.site, chart.state.registration).map(({ udpEncapsulation }) => udpEncapsulation),
      [false, false],
    );
    chart.wait(400);
    test.strictSame(chart.updates(), [], "and there is no mapping of a NAT's to be kept");
    test.end();
  },
);

t.test("S04-2.2.1-05 S04-3.3-17: without the option in the answer there is the IPv6 entry alone", (test) => {
  const chart = node().sees(V6);
  chart.answer(chart.update(), { options: [] });
  test.equal(chart.state.phase, "registered");
  test.strictSame(list(chart), [HOME_ADDRESS]);
  test.notOk(chart.path?.ipv4HomeAddress);
  chart.wait(450);
  test.strictSame(optionKinds(chart.update()), ["alternate-care-of-address"], "and it is not sent again");
  chart.sees(V4);
  test.strictSame(optionKinds(chart.update()), ["alternate-care-of-address"], "from elsewhere neither");
  test.end();
});

t.test("S04-3.3-19: a failure in the option: no IPv4 entry, and it is asked again", (test) => {
  for (const status of [128, 129, 130, 131, 132]) {
    const chart = node().sees(V4);
    chart.answer(chart.update(), short(status));
    test.equal(chart.state.phase, "registered");
    test.strictSame(list(chart), [HOME_ADDRESS]);
    test.match(chart.events("registration.failed"), [{ status }]);
    chart.wait(450);
    test.ok(optionKinds(chart.update()).includes("ipv4-home-address-2004"));
  }
  const other = node().sees(V4);
  other.answer(other.update(), short(0, "192.0.2.200"));
  test.strictSame(list(other), [HOME_ADDRESS], "another address than ours is none");
  test.end();
});

t.test("what is to be lent is asked for with 0.0.0.0, over either family, and then by its name", (test) => {
  for (const access of [V4, V6]) {
    const chart = borrower().sees(access);
    const update = chart.update();
    test.strictSame(update.message.options.slice(1), [{ kind: "ipv4-home-address-2004", address: ipv4("0.0.0.0") }]);
    chart.answer(update, short(0, "192.0.2.129"));
    test.strictSame(list(chart), [HOME_ADDRESS, mappedAddress(ipv4("192.0.2.129"))]);
    test.equal(chart.path?.ipv4HomeAddress, "192.0.2.129");
    chart.wait(450);
    test.match(chart.update().message.options.slice(1), [{ address: "192.0.2.129" }]);
  }
  const refused = borrower().sees(V4);
  refused.answer(refused.update(), short(132, "0.0.0.0"));
  test.strictSame(list(refused), [HOME_ADDRESS]);
  test.end();
});

t.test("from a private address nothing leaves, unless the home agent's is private too", (test) => {
  for (const address of ["10.0.0.5/24", "172.16.3.4/16", "172.31.3.4/16", "192.168.7.8/24", "100.64.0.9/24"]) {
    const chart = node().sees({ eth0: [address] });
    test.strictSame(chart.updates(), [], address);
    test.notOk(chart.path?.updateFrom);
  }
  for (const address of ["172.32.3.4/16", "100.128.0.9/24", "203.0.113.10/24", "11.0.0.1/24"])
    test.equal(
      node()
        .sees({ eth0: [address] })
        .updates().length,
      1,
      address,
    );
  const inside = node({ homeAgent: { ipv6: HOME_AGENT, ipv4: ipv4("192.168.0.1") } }).sees({ eth0: ["10.0.0.5/24"] });
  test.match(inside.update().departure, { careOf: mappedAddress(ipv4("10.0.0.5")) });
  test.end();
});

t.test("of a private IPv4 and an IPv6 network it takes IPv6", (test) => {
  const chart = node().sees({ eth0: ["10.0.0.5/24", ...V6.eth0] });
  test.match(chart.update().departure, { careOf: "2001:db8:a::10" });
  test.end();
});

t.test("without the home agent's IPv4 address there is no way over IPv4", (test) => {
  test.strictSame(
    node({ homeAgent: { ipv6: HOME_AGENT } })
      .sees(V4)
      .updates(),
    [],
  );
  test.end();
});

t.test("the end of the daemon is told over IPv4 in the same way", (test) => {
  const chart = node().sees(V4);
  chart.answer(chart.update(), short(0));
  chart.give({ kind: "stop" });
  const last = chart.update();
  test.equal(last.message.lifetimeUnits, 0);
  test.strictSame(last.departure, { type: "native-home-address-option", careOf: MAPPED });
  test.strictSame(optionKinds(last), ["alternate-care-of-address"]);
  test.end();
});
