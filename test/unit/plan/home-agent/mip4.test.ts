/** What bindings of Mobile IPv4 are in a home agent's kernel, as commands: every encapsulation, both ways of IPv6, every kind of profile. */
import assert from "node:assert/strict";
import t from "tap";
import { type IpAddress, ipv4, ipv6, type Prefix, parsePrefix } from "../../../../controller/base/ip.js";
import { homeAgentFirewall } from "../../../../controller/plan/home-agent/firewall.js";
import { planMip4Binding } from "../../../../controller/plan/home-agent/mip4/binding.js";
import { planMip4Site } from "../../../../controller/plan/home-agent/mip4/site.js";
import { homeAgentOwner } from "../../../../controller/plan/home-agent/owner.js";
import { planHomeAgentSite } from "../../../../controller/plan/home-agent/plan.js";
import { formatObject } from "../../../../controller/plan/objects/format.js";
import { type KernelObject, objectKey } from "../../../../controller/plan/objects/objects.js";
import { NO_SLOTS, RequestIds } from "../../../../controller/plan/security/request-ids.js";
import type { HomeAgentPlanSite, TunnelProfileSpec } from "../../../../controller/plan/site.js";
import type { DataPath, TunnelEnd } from "../../../../controller/protocol/mip4/inputs.js";

const prefix = (text: string): Prefix => parsePrefix(text) ?? assert.fail(text);
const NODE = ipv6("fd4d:4950:34::c633:6464");
const HOA = ipv4("198.51.100.100");
const COA = ipv4("203.0.114.2");
const PLAIN: TunnelEnd = { transport: "ip", address: COA, encapsulation: "ip-in-ip" };
const GRE: TunnelEnd = { transport: "ip", address: COA, encapsulation: "gre" };
const NAT: TunnelEnd = { transport: "udp", address: ipv4("203.0.115.2"), port: 40000, encapsulation: "ip-in-ip" };
const DIRECT = { prefix: prefix("2001:db8:9:1::/64"), mode: "care-of-address" } as const;
const OVER_HOME = { prefix: prefix("2001:db8:9:2::/64"), mode: "home-address" } as const;

const SITE: HomeAgentPlanSite = {
  addresses: { ipv6: ipv6("2001:db8:1::1"), ipv4: ipv4("203.0.113.1") },
  homePrefixes: [prefix("2001:db8:1::/64"), prefix("198.51.100.0/24")],
  homeDevice: "home",
  mtu: 1400,
  profiles: new Map<string, TunnelProfileSpec>([
    ["default", { dscp: "copy", ttl: 64 }],
    ["gold", { dscp: 46, ttl: 77, mtu: 1280 }],
    ["safe", { dscp: "copy", ttl: 64, protection: "esp" }],
  ]),
  mip4: { prefixLengths: [64, 56], gre: true },
};
const path = (egress: TunnelEnd, changes: Partial<DataPath> = {}): DataPath => ({
  node: NODE,
  homeAddress: HOA,
  egress,
  ingress: [egress],
  reverseTunnelling: true,
  prefixes: [],
  profile: "default",
  revision: 1,
  ...changes,
});
const commands = (objects: readonly KernelObject[]): string[] => objects.map(formatObject);
const PROXY = "ip neighbour add proxy 198.51.100.100 dev home proto 155";

t.test("IP in IP: the sets and devices of Mobile IPv6's plain tunnels", async (test) => {
  test.strictSame(commands(planMip4Binding(path(PLAIN, { prefixes: [DIRECT] }), SITE)), [
    "nft add element inet dsmipd ipv4-4 { 203.0.114.2 . 198.51.100.100 }",
    "nft add element inet dsmipd ipv4-6-64 { 203.0.114.2 . 2001:db8:9:1:: }",
    "nft add element inet dsmipd loops-4 { 203.0.114.2 . 198.51.100.100 . 198.51.100.100 }",
    "ip route add 198.51.100.100/32 via 203.0.114.2 dev dsmip-op-c-64 table 254 proto 155 metric 0 onlink",
    "ip -6 route add 2001:db8:9:1::/64 via ::cb00:7202 dev dsmip-op-c-64 table 254 proto 155 metric 512 src 2001:db8:1::1 onlink",
    PROXY,
  ]);
});

t.test(
  "while a former end is taken, IPv6 in the tunnel to the home address is, too: a foreign agent has no other",
  async (test) => {
    const former = { ...PLAIN, address: ipv4("192.0.2.194") };
    const moved = commands(planMip4Binding(path(PLAIN, { prefixes: [DIRECT], ingress: [PLAIN, former] }), SITE));
    const home6 = moved.filter((one) => one.includes("198.51.100.100 . 2001:db8:9:1::"));
    test.equal(home6.length, 1, moved.join("\n"));
    const alone = commands(planMip4Binding(path(PLAIN, { prefixes: [DIRECT] }), SITE));
    test.notOk(alone.some((one) => home6.includes(one)));
  },
);

t.test(
  "an IPv6 home address that is registered as a prefix is looked for on the home link; networks are not",
  async (test) => {
    const own = { prefix: prefix("2001:db8:1::100/128"), mode: "home-address" } as const;
    const proxies = (objects: readonly KernelObject[]): string[] =>
      commands(objects).filter((one) => one.includes("proxy"));
    test.strictSame(proxies(planMip4Binding(path(PLAIN, { prefixes: [own, OVER_HOME] }), SITE)), [
      PROXY,
      "ip neighbour add proxy 2001:db8:1::100 dev home proto 155",
    ]);
    const elsewhere = { ...SITE, homePrefixes: [prefix("198.51.100.0/24")] };
    test.strictSame(proxies(planMip4Binding(path(PLAIN, { prefixes: [own] }), elsewhere)), [PROXY]);
  },
);

t.test("RFC 3519's UDP: source, port and inner source, and the port for what is sent", async (test) => {
  test.strictSame(commands(planMip4Binding(path(NAT, { prefixes: [DIRECT] }), SITE)), [
    "nft add element inet dsmipd mip4-udp-4 { 203.0.115.2 . 40000 . 198.51.100.100 }",
    "nft add element inet dsmipd mip4-udp-6-64 { 203.0.115.2 . 40000 . 2001:db8:9:1:: }",
    "nft add element inet dsmipd mip4-port-4 { 203.0.115.2 . 198.51.100.100 : 40000 }",
    "nft add element inet dsmipd mip4-port-6-64 { 203.0.115.2 . 2001:db8:9:1:: : 40000 }",
    "nft add element inet dsmipd loops-4 { 203.0.115.2 . 198.51.100.100 . 198.51.100.100 }",
    "ip route add 198.51.100.100/32 via 203.0.115.2 dev dsmip-on-c-64 table 254 proto 155 metric 0 onlink",
    "ip -6 route add 2001:db8:9:1::/64 via ::cb00:7302 dev dsmip-on-c-64 table 254 proto 155 metric 512 src 2001:db8:1::1 onlink",
    PROXY,
  ]);
});

t.test("GRE: the route says the outer header, DF for IPv4 alone", async (test) => {
  test.strictSame(commands(planMip4Binding(path(GRE, { prefixes: [DIRECT], profile: "gold" }), SITE)), [
    "nft add element inet dsmipd gre-4 { 203.0.114.2 . 198.51.100.100 }",
    "nft add element inet dsmipd gre-6-64 { 203.0.114.2 . 2001:db8:9:1:: }",
    "nft add element inet dsmipd loops-4 { 203.0.114.2 . 198.51.100.100 . 198.51.100.100 }",
    "nft add element inet dsmipd fixed-4 { 198.51.100.100 }",
    "ip route add 198.51.100.100/32 encap ip dst 203.0.114.2 src 203.0.113.1 ttl 77 tos 0xb8 via inet6 fe80::1 dev dsmip-in-gre table 254 proto 155 metric 0 mtu lock 1280 # with TUNNEL_DONT_FRAGMENT, which ip has no word for",
    "ip -6 route add 2001:db8:9:1::/64 encap ip dst 203.0.114.2 src 203.0.113.1 ttl 77 tos 0xb8 via fe80::1 dev dsmip-in-gre table 254 proto 155 metric 512 src 2001:db8:1::1 mtu lock 1280",
    PROXY,
  ]);
  test.match(
    commands(planMip4Binding(path(GRE), SITE)).find((one) => one.startsWith("ip route")),
    /ttl 64 tos 1 via/,
    "the octet is the inner one",
  );
});

t.test("IPv6 to the home address, in whatever tunnel that has; the IPv4 level has room for it", async (test) => {
  const home = [
    "nft add element inet dsmipd home-6-64 { 198.51.100.100 . 2001:db8:9:2:: }",
    "ip -6 route add 2001:db8:9:2::/64 via ::c633:6464 dev dsmip-oh-46-77 table 254 proto 155 metric 512 src 2001:db8:1::1 mtu lock 1280 onlink",
  ];
  for (const egress of [PLAIN, GRE, NAT]) {
    const all = commands(planMip4Binding(path(egress, { prefixes: [OVER_HOME], profile: "gold" }), SITE));
    test.strictSame(
      all.filter((one) => one.includes("2001:db8:9:2::")),
      home,
    );
    test.match(
      all.find((one) => one.startsWith("ip route")),
      /mtu lock 1300/,
    );
  }
});

t.test("without a reverse tunnel only what carries IPv6 comes through the tunnel", async (test) => {
  const elements = (end: TunnelEnd, prefixes: DataPath["prefixes"] = [OVER_HOME]): string[] =>
    commands(planMip4Binding(path(end, { reverseTunnelling: false, prefixes }), SITE)).filter(
      (one) => one.startsWith("nft") && !one.includes(" loops-4 "),
    );
  const home = [
    "nft add element inet dsmipd home-6-64 { 198.51.100.100 . 2001:db8:9:2:: }",
    "nft add element inet dsmipd ipv4-6-64 { 198.51.100.100 . 2001:db8:9:2:: }",
  ];
  test.strictSame(elements(PLAIN), [
    "nft add element inet dsmipd only-ipv6-ipv4 { 203.0.114.2 . 198.51.100.100 }",
    ...home,
  ]);
  test.strictSame(elements(GRE), [
    "nft add element inet dsmipd only-ipv6-gre { 203.0.114.2 . 198.51.100.100 }",
    ...home,
  ]);
  test.strictSame(elements(NAT), [
    "nft add element inet dsmipd only-ipv6-udp { 203.0.115.2 . 40000 . 198.51.100.100 }",
    "nft add element inet dsmipd mip4-port-4 { 203.0.115.2 . 198.51.100.100 : 40000 }",
    ...home,
  ]);
  test.strictSame(elements(PLAIN, []), []);
});

t.test(
  "a link-local address: out of the tunnel to the home address, and back by the device where it came out",
  async (test) => {
    const linkLocalAddress = ipv6("fe80::c633:6464");
    const all = planMip4Binding(path(PLAIN, { linkLocalAddress }), SITE);
    test.strictSame(
      commands(all).filter((one) => one.includes("fe80::c633:6464")),
      [
        "nft add element inet dsmipd home-6 { 198.51.100.100 . fe80::c633:6464 }",
        "ip -6 route add fe80::c633:6464/128 via ::c633:6464 dev dsmip-in4 table 254 proto 155 metric 1024 onlink",
      ],
    );
  },
);

t.test("every object of a binding is its node's", async (test) => {
  const owned = path(NAT, {
    ingress: [NAT, PLAIN, GRE],
    prefixes: [DIRECT, OVER_HOME],
    linkLocalAddress: ipv6("fe80::c633:6464"),
  });
  const inside = ["2001:db8:9:1::", "2001:db8:9:2::", HOA];
  const nodes = {
    ids: new RequestIds([NODE], NO_SLOTS),
    homePrefixes: SITE.homePrefixes,
    nodeAt: (address: IpAddress) => (inside.some((one) => one === address) ? NODE : undefined),
  };
  for (const object of planMip4Binding(owned, SITE))
    test.strictSame(homeAgentOwner(object, nodes), { kind: "binding", homeAddress: NODE }, objectKey(object));
});

t.test("nothing of a subscriber with protected payload, and nothing where no IPv4 is served in clear", async (test) => {
  test.strictSame(planMip4Binding(path(PLAIN, { profile: "safe", prefixes: [DIRECT, OVER_HOME] }), SITE), []);
  const safe = new Map<string, TunnelProfileSpec>([["default", { dscp: "copy", ttl: 64, protection: "esp" }]]);
  test.strictSame(planMip4Site({ ...SITE, profiles: safe }), []);
  test.strictSame(planMip4Site({ ...SITE, addresses: { ipv6: SITE.addresses.ipv6 } }), []);
});

t.test(
  "the site: a GUE port of its own, a device for each class and format, the namespace's one of GRE",
  async (test) => {
    const link = (name: string, mtu: number, kind: string): string =>
      `ip link add ${name} mtu ${mtu} type ${kind}\nip link set dev ${name} mtu ${mtu} alias dsmipd up`;
    const sit = (local: string, tos: string): string =>
      `sit mode any local ${local} remote any ttl inherit tos ${tos} nopmtudisc`;
    const gue = "encap gue encap-sport 434 encap-dport 434";
    test.strictSame(
      commands(planMip4Site(SITE)).filter((one) => !/sysctl|address add 240/.test(one)),
      [
        "ip fou add port 4193 gue local 203.0.113.1",
        "ip address add fe80::cb00:7101/64 dev dsmip-in4 proto 155 noprefixroute",
        link("dsmip-on-c-64", 1400, `${sit("240.34.64.64", "inherit")} ${gue}`),
        link("dsmip-oh-c-64", 1380, sit("240.35.64.64", "inherit")),
        link("dsmip-on-46-77", 1400, `${sit("240.34.46.77", "0xb8")} ${gue}`),
        link("dsmip-oh-46-77", 1380, sit("240.35.46.77", "0xb8")),
        link("dsmip-in-gre", 1400, "gre external"),
      ],
    );
    const receiver = commands(planHomeAgentSite(SITE)).find((one) => one.startsWith("ip link add dsmip-in4 "));
    test.match(receiver, /alias dsmipd multicast on up$/, "a DHCPv6 server joins its group there");
    const keys = [...planHomeAgentSite(SITE), ...planMip4Site(SITE)].map(objectKey);
    test.equal(new Set(keys).size, keys.length, "no object twice");
  },
);

t.test("the firewall has a part of its own only where Mobile IPv4 is served", async (test) => {
  const { mip4: _, ...mip6 } = SITE;
  const names = ({ sets, chains, counters }: ReturnType<typeof homeAgentFirewall>): string[] => [
    ...[...sets, ...chains].map(({ name }) => name),
    ...counters,
  ];
  const without = names(homeAgentFirewall(mip6));
  const own = names(homeAgentFirewall(SITE)).filter((name) => !without.includes(name));
  for (const name of [
    "mip4-udp-4",
    "gre-6-56",
    "home-6-64",
    "loops-4",
    "in-tunnel-data",
    "out-gre",
    "tunnel-port",
    "tunnel-loop",
    "bad-gre",
  ])
    test.ok(own.includes(name), name);
  test.notOk(names(homeAgentFirewall({ ...SITE, mip4: { prefixLengths: [], gre: false } })).includes("in-gre"));
});
