/** What visited networks offer by DHCPv6: taken while the link is in the IPv6 network it was in, bounded, and never relied on without IPv6. */
import t from "tap";
import { fromHex, toHex } from "../../../../../controller/base/bytes.js";
import { type Ipv6Address, ipv4, ipv6 } from "../../../../../controller/base/ip.js";
import { HomeAgentOffers, homeAgentsOffered } from "../../../../../controller/daemon/mobile-node/discovery/offers.js";
import { encodeHomeInformation, type HomeInformation } from "../../../../../controller/wire/dhcpv6/home-information.js";
import { DNS_TYPE, type DnsQuestion } from "../../../../../controller/wire/dns/message.js";
import { mobileNodeConfig } from "../../../../../schemas/config/mobile-node.js";

const HOA = ipv6("2001:db8:1::100");
const HA = ipv6("2001:db8:1::1");
const address = (one: Ipv6Address): HomeInformation => ({ kind: "home-agent-address", address: one });
const named = (name: string): HomeInformation => ({ kind: "home-agent-name", name });
const hex = (...options: readonly HomeInformation[]): string =>
  toHex(encodeHomeInformation([{ kind: "home-network", network: "visited", options }]));

/** A node on links with these addresses, which may change. */
function links(homeAgent: object = { dhcpv6: true }, further: object = {}) {
  const here: Record<string, readonly string[]> = {
    eth0: ["fe80::1", "2001:db8:a::5"],
    four0: ["10.0.0.5", "fe80::2"],
  };
  const node = mobileNodeConfig.shape.mobileNode.parse({ homeAddress: HOA, homeAgent, ...further });
  const addresses = () =>
    Object.fromEntries(Object.entries(here).map(([link, all]) => [link, all.map((one) => ({ address: one }))]));
  const offers = new HomeAgentOffers(node, addresses as unknown as ConstructorParameters<typeof HomeAgentOffers>[1]);
  const take = (link: string, dhcpv6: string) => offers.take({ command: "offer", interface: link, dhcpv6 });
  return { here, offers, take };
}

t.test("an offer counts on a link with IPv6 and nowhere else, and goes with the network", async (test) => {
  const { here, offers, take } = links();
  await test.rejects(take("four0", hex(address(HA))), { code: "MIP_COMMAND", message: /four0 has no global IPv6/ });
  await test.rejects(take("eth7", hex(address(HA))), { message: /eth7 has no global IPv6/ });
  test.match(await take("eth0", hex(address(HA))), { command: "offer", nodes: 1, outcome: "begun" });
  test.match(offers.current(), [{ address: HA }]);
  here["eth0"] = ["2001:db8:a:0:1234::9"];
  test.equal(offers.current().length, 1, "another address of the same network");
  here["eth0"] = ["10.0.0.7", "fe80::1"];
  test.strictSame(offers.current(), [], "the link has IPv4 alone");
  here["eth0"] = ["2001:db8:a::5"];
  test.strictSame(offers.current(), [], "what is gone is gone");
  await take("eth0", hex(address(HA)));
  here["eth0"] = ["2001:db8:b::5"];
  test.strictSame(offers.current(), [], "another network");
});

t.test(
  "a later offer takes the place of the former one, and none takes it away; the latest link comes first",
  async (test) => {
    const { here, offers, take } = links();
    here["wlan0"] = ["2001:db8:b::5"];
    await take("eth0", hex(address(HA)));
    await take("wlan0", hex(named("ha2.example.org")));
    test.match(offers.current(), [{ name: "ha2.example.org" }, { address: HA }]);
    await take("eth0", hex(address(ipv6("2001:db8:1::3"))));
    test.match(offers.current(), [{ address: "2001:db8:1::3" }, { name: "ha2.example.org" }]);
    await take("eth0", "");
    test.match(offers.current(), [{ name: "ha2.example.org" }]);
    await test.rejects(take("wlan0", "0048"), { message: /the option is damaged: .*option-length/ });
    test.strictSame(offers.current(), [], "damage is no offer, and what was before is not said any more");
  },
);

t.test("lies: addresses of nobody, our own, and more than anybody has", async (test) => {
  const { offers, take } = links();
  const nobody = ["::", "::1", "fe80::1", "ff02::1", "::ffff:203.0.113.1", HOA].map((text) => address(ipv6(text)));
  await test.rejects(take("eth0", hex(...nobody)), { message: /names no home agent/ });
  await test.rejects(take("eth0", `00170010${"20".repeat(16)}`), { message: /names no home agent/ });
  const many = Array.from({ length: 60 }, (_, i) => [
    address(ipv6(`2001:db8:1::${(i + 1).toString(16)}`)),
    named(`ha${i}.example.org`),
  ]).flat();
  await take("eth0", hex(...many));
  const kinds = offers.current().map(({ kind }) => kind);
  test.equal(kinds.filter((kind) => kind === "home-agent-address").length, 16);
  test.equal(kinds.filter((kind) => kind === "home-agent-name").length, 4);
});

t.test("nothing is taken that the configuration does not ask for", async (test) => {
  await test.rejects(links({ domain: "example.org" }).take("eth0", hex(address(HA))), { message: /dhcpv6 is not on/ });
  const { take } = links({ dhcpv6: true }, { interfaces: ["wlan0"] });
  await test.rejects(take("eth0", hex(address(HA))), { message: /eth0 is no interface by which/ });
  await test.rejects(links().take("dsmip-t", hex(address(HA))), { message: /dsmip-t is no interface by which/ });
});

t.test(
  "addresses have the IPv4 address of the configuration, names that of their A records; each stands once",
  async (test) => {
    const { offers, take } = links();
    const asked: string[] = [];
    const client = {
      ask: async ({ name, type }: DnsQuestion) => {
        asked.push(`${name} ${type}`);
        if (name === "ha9.example.org") return undefined;
        const common = { name, ttlSeconds: 60 };
        const answers =
          type === DNS_TYPE.a
            ? [{ ...common, type: "a" as const, address: ipv4("203.0.113.1") }]
            : [{ ...common, type: "aaaa" as const, address: HA }];
        return { id: 0, truncated: false, rcode: 0, question: { name, type }, answers, additional: [] };
      },
    };
    test.match(await homeAgentsOffered(offers, client, undefined), {
      candidates: [],
      faults: [/has offered a home agent/],
    });
    test.strictSame(asked, [], "nobody is asked where nothing is offered");
    const second = ipv6("2001:db8:1::2");
    const name = named("ha1.example.org");
    await take("eth0", hex(address(HA), name, name, address(second), address(HA)));
    const found = await homeAgentsOffered(offers, client, undefined);
    test.strictSame(found.candidates, [
      { ipv6: HA, ipv4: ipv4("203.0.113.1"), name: "ha1.example.org" },
      { ipv6: second, ipv4: undefined, name: second },
    ]);
    test.match(found, { offered: true, incomplete: false });
    test.equal(asked.length, 2, "a name is asked for once");
    await take("eth0", hex(named("ha9.example.org"), address(second)));
    const half = await homeAgentsOffered(offers, client, ipv4("203.0.113.9"));
    test.match(half, {
      candidates: [{ ipv6: second, ipv4: "203.0.113.9" }],
      incomplete: true,
      faults: [/no name server/],
    });
  },
);

t.test("what a client's hook hands over: the option, or its content", async (test) => {
  const { offers, take } = links();
  const whole = hex(address(HA));
  await take("eth0", toHex(fromHex(whole).subarray(4)).toUpperCase());
  test.match(offers.current(), [{ address: HA }]);
});
