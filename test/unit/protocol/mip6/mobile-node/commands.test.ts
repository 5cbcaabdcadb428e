/** What a home agent wants of a node: revocations (RFC 5846 §10.2) and home agent switch messages (RFC 5142), and from whom it takes them. */
import t from "tap";
import { ipv4, ipv6 } from "../../../../../controller/base/ip.js";
import { seq16 } from "../../../../../controller/base/seq16.js";
import type { Arrival } from "../../../../../controller/protocol/mip6/inputs.js";
import type { MobilityMessage } from "../../../../../controller/wire/mip6/messages/mobility-message.js";
import { findOption, type MobilityOption } from "../../../../../controller/wire/mip6/options/mobility.js";
import { RevocationStatus } from "../../../../../controller/wire/mip6/registry.js";
import { Chart, HOME_ADDRESS, HOME_AGENT, IPV4_HOME_ADDRESS, prefix } from "./chart.js";

const SIX = { eth0: ["2001:db8:a::10/64"] } as const;
const FOUR = { eth0: ["203.0.113.10/24"] } as const;
const ROUTED: Arrival = {
  path: { type: "native", device: "eth0", routingHeaderHomeAddress: HOME_ADDRESS },
  source: HOME_AGENT,
  destination: HOME_ADDRESS,
  protection: "esp",
};

const option29 = (address: string): MobilityOption => ({
  kind: "ipv4-home-address",
  prefixLength: 32,
  mobileNetworkPrefix: false,
  address: ipv4(address),
});

function indication({
  sequence = 5,
  trigger = 1,
  flags = {},
  options = [],
}: {
  sequence?: number;
  trigger?: number;
  flags?: { proxyBinding?: boolean; ipv4HomeAddressOnly?: boolean; global?: boolean };
  options?: readonly MobilityOption[];
} = {}): MobilityMessage {
  const all = { proxyBinding: false, ipv4HomeAddressOnly: false, global: false, ...flags };
  return { type: "binding-revocation-indication", trigger, sequence: seq16(sequence), flags: all, options };
}

function registered(
  links: Parameters<Chart["sees"]>[0] = SIX,
  site: ConstructorParameters<typeof Chart>[0] = {},
): Chart {
  const chart = new Chart(site).sees(links);
  chart.answer(chart.update());
  chart.updates();
  return chart;
}

const statusOf = (chart: Chart): number | undefined => {
  const message = chart.updates().at(-1)?.message as MobilityMessage | undefined;
  return message?.type === "binding-revocation-acknowledgement" ? message.status : undefined;
};
const fresh = (chart: Chart): readonly string[] => chart.news("send").map(({ message }) => message.type);

t.test("it does without its binding, answers, and asks again after minutes", async (test) => {
  const chart = registered();
  chart.hears(indication(), ROUTED);
  const answers = chart.news("send");
  test.match(answers, [
    {
      message: { type: "binding-revocation-acknowledgement", status: 0, sequence: 5 },
      destination: HOME_AGENT,
      departure: { type: "native-home-address-option", careOf: "2001:db8:a::10" },
    },
  ]);
  test.match(chart.state, { phase: "refused", registration: undefined });
  test.equal(chart.path?.egress, undefined, "nothing goes out any more");
  chart.hears(indication(), ROUTED);
  test.equal(statusOf(chart), RevocationStatus.success, "a repetition is answered alike");
  chart.hears(indication({ sequence: 6 }), ROUTED);
  test.equal(statusOf(chart), RevocationStatus.bindingDoesNotExist);
  chart.wait(299);
  test.strictSame(fresh(chart), []);
  chart.wait(2);
  test.ok(fresh(chart).includes("binding-update"));
});

t.test("from IPv4 the answer goes in UDP", async (test) => {
  const chart = registered(FOUR);
  const path = {
    type: "udp",
    outerSource: ipv4("198.51.100.1"),
    outerPort: 4191,
    outerDestination: ipv4("203.0.113.10"),
  };
  chart.hears(indication(), { ...ROUTED, path } as Arrival);
  test.match(chart.news("send"), [
    { message: { status: 0 }, departure: { type: "udp", localAddress: "203.0.113.10" } },
  ]);
});

t.test("only by routing header, by its own home agent and under ESP", async (test) => {
  const chart = registered();
  const cases: readonly [Partial<Arrival>, string][] = [
    [{ path: { type: "native", device: "eth0" } }, "home-address-mismatch"],
    [
      { path: { type: "native", device: "eth0", routingHeaderHomeAddress: ipv6("2001:db8:1::9") } },
      "home-address-mismatch",
    ],
    [{ protection: "none" }, "unprotected"],
    [{ source: ipv6("2001:db8:1::66") }, "wrong-source"],
    [{ destination: ipv6("2001:db8:a::10") }, "wrong-destination"],
  ];
  for (const message of [indication(), { type: "home-agent-switch", addresses: [], options: [] } as MobilityMessage])
    for (const [changes, reason] of cases) {
      chart.news("drop");
      chart.hears(message, { ...ROUTED, ...changes });
      const seen = chart.effects.slice(-1);
      test.match(seen, [{ kind: "drop", reason }]);
    }
  test.equal(chart.state.phase, "registered");
});

t.test("V bit: the IPv4 home address goes, and is not asked for any more", async (test) => {
  const flags = { ipv4HomeAddressOnly: true };
  const chart = registered();
  chart.hears(indication({ flags }), ROUTED);
  test.equal(statusOf(chart), RevocationStatus.ipv4HomeAddressRequired);
  chart.hears(indication({ flags, options: [option29("192.0.2.7")] }), ROUTED);
  test.equal(statusOf(chart), RevocationStatus.bindingDoesNotExist);
  test.equal(chart.state.registration?.ipv4HomeAddress, IPV4_HOME_ADDRESS);
  chart.hears(indication({ flags, options: [option29(IPV4_HOME_ADDRESS)] }), ROUTED);
  test.equal(statusOf(chart), RevocationStatus.success);
  test.match(chart.state, { phase: "registered", registration: { ipv4HomeAddress: undefined } });
  test.equal(chart.path?.ipv4HomeAddress, undefined);
  test.ok(chart.path?.egress, "IPv6 goes on");
  chart.wait(451);
  const update = chart.updates()[0];
  test.equal(findOption(update?.message.options ?? [], "ipv4-home-address"), undefined);
  chart.give({ kind: "refresh" });
  const again = chart.updates().at(-1);
  test.ok(findOption(again?.message.options ?? [], "ipv4-home-address"), "until the node's operator wants it");
});

t.test("V bit for a mobile router: its IPv4 networks go along", async (test) => {
  const chart = new Chart({ prefixes: [prefix("2001:db8:100::/56"), prefix("10.1.0.0/24")], mobileRouter: "implicit" });
  chart.sees(SIX);
  chart.answer(chart.update(), { flags: { mobileRouter: true } });
  chart.hears(indication({ flags: { ipv4HomeAddressOnly: true }, options: [option29("10.1.0.0")] }), ROUTED);
  test.equal(statusOf(chart), RevocationStatus.success);
  test.strictSame(
    chart.state.registration?.prefixes.map(({ length }) => length),
    [56],
  );
});

t.test("what is for proxies and for many is not for a node", async (test) => {
  const chart = registered();
  chart.hears(indication({ flags: { proxyBinding: true } }), ROUTED);
  test.equal(statusOf(chart), RevocationStatus.proxyNotSupported);
  chart.hears(indication({ flags: { global: true }, trigger: 129 }), ROUTED);
  test.equal(statusOf(chart), RevocationStatus.globalNotAuthorized);
  chart.hears(indication({ trigger: 128 }), ROUTED);
  test.equal(statusOf(chart), RevocationStatus.triggerNotSupported);
  test.equal(chart.state.phase, "registered");
});

t.test("in every phase away a revocation is answered, and a move registers elsewhere", async (test) => {
  const registering = registered();
  registering.sees({ ...SIX, eth1: ["2001:db8:b::10/64 metric=10"] });
  registering.hears(indication(), ROUTED);
  test.equal(statusOf(registering), RevocationStatus.success);
  test.equal(registering.state.phase, "refused");
  registering.sees({ eth1: ["2001:db8:c::10/64"] });
  test.ok(fresh(registering).includes("binding-update"));

  const preparing = registered();
  preparing.kernel = "silent";
  preparing.sees({ ...SIX, eth1: ["2001:db8:b::10/64 metric=10"] });
  preparing.hears(indication(), ROUTED);
  test.equal(preparing.state.phase, "refused");

  const stopping = registered().give({ kind: "stop" });
  stopping.updates();
  stopping.hears(indication(), ROUTED);
  test.equal(statusOf(stopping), RevocationStatus.success);
  stopping.wait(10);
  test.equal(stopping.state.phase, "stopped");

  const home = registered().sees({ home: ["2001:db8:1::100/64"] });
  home.hears(indication(), ROUTED);
  home.wait(10);
  test.equal(home.state.phase, "home");
});

t.test(
  "another home agent is somebody else's choice; without one it de-registers and comes back later",
  async (test) => {
    const addresses = [ipv6("2001:db8:1::2"), ipv6("ff02::1")];
    const chart = registered();
    chart.hears({ type: "home-agent-switch", addresses, options: [] }, ROUTED);
    test.match(chart.news("switch"), [{ homeAgents: ["2001:db8:1::2"] }]);
    chart.give({ kind: "withdraw" });
    test.match(chart.updates(), [{ message: { type: "binding-update", lifetimeUnits: 0 } }]);
    test.match(chart.state, { phase: "refused", registration: undefined });
    chart.give({ kind: "withdraw" });
    test.match(chart.updates(), [{ message: { lifetimeUnits: 0 } }], "again when it is told again");
    chart.wait(299);
    test.strictSame(chart.updates(), []);
    chart.wait(2);
    test.match(chart.updates()[0]?.message, { lifetimeUnits: 150 });
    const home = new Chart().sees({ home: ["2001:db8:1::100/64"] }).give({ kind: "withdraw" });
    test.strictSame(home.updates(), []);
  },
);
