/** What a home agent's kernel shall hold, as commands: the site, bindings in every format and with every kind of profile. */
import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import t from "tap";
import {
  formatPrefix,
  type Ipv4Address,
  type Ipv6Address,
  ipv4,
  ipv6,
  type Prefix,
  parsePrefix,
} from "../../../../controller/base/ip.js";
import { homeAgentFirewall } from "../../../../controller/plan/home-agent/firewall.js";
import { planBinding, planHomeAgentSite } from "../../../../controller/plan/home-agent/plan.js";
import { formatObject } from "../../../../controller/plan/objects/format.js";
import type { Link } from "../../../../controller/plan/objects/forwarding.js";
import { type KernelObject, objectKey } from "../../../../controller/plan/objects/objects.js";
import { type HomeAgentPlanSite, sendDevice, type TunnelProfileSpec } from "../../../../controller/plan/site.js";
import type { DataPath, Endpoint } from "../../../../controller/protocol/mip6/inputs.js";

const prefix = (text: string): Prefix => parsePrefix(text) ?? assert.fail(text);
const HA6 = ipv6("2001:db8:1::1");
const HA4 = ipv4("203.0.113.1");
const HOA6 = ipv6("2001:db8:1::100");
const HOA4 = ipv4("198.51.100.100");
const SIX: Endpoint = { format: "ipv6", address: ipv6("2001:db8:a::2") };
const FOUR: Endpoint = { format: "ipv4", address: ipv4("203.0.114.2") };
const NAT: Endpoint = { format: "udp", address: ipv4("203.0.115.2"), port: 40000 };
const OTHER_NAT: Endpoint = { format: "udp", address: ipv4("203.0.116.2"), port: 50000 };

const PROFILES = new Map<string, TunnelProfileSpec>([
  ["default", { dscp: "copy", ttl: 64 }],
  ["gold", { dscp: 46, ttl: 77 }],
  ["narrow", { dscp: "copy", ttl: 64, mtu: 1300 }],
]);
const SITE: HomeAgentPlanSite = {
  addresses: { ipv6: HA6, ipv4: HA4 },
  homePrefixes: [prefix("2001:db8:1::/64"), prefix("198.51.100.0/24")],
  homeDevice: "home",
  mtu: 1400,
  profiles: PROFILES,
};

const path = (egress: Endpoint, changes: Partial<DataPath> = {}): DataPath => ({
  homeAddress: HOA6,
  ipv4HomeAddress: HOA4,
  egress,
  ingress: [egress],
  profile: "default",
  revision: 1,
  ...changes,
});

const commands = (objects: readonly KernelObject[]): string[] => objects.map(formatObject);
const PROXIES = {
  six: "ip neighbour add proxy 2001:db8:1::100 dev home proto 155",
  four: "ip neighbour add proxy 198.51.100.100 dev home proto 155",
};

t.test("the binding of a node behind a NAT", (test) => {
  test.strictSame(commands(planBinding(path(NAT), SITE)), [
    "nft add element inet dsmipd udp-6 { 203.0.115.2 . 40000 . 2001:db8:1::100 }",
    "nft add element inet dsmipd port-6 { 203.0.115.2 . 2001:db8:1::100 : 40000 }",
    "ip -6 route add 2001:db8:1::100/128 via ::cb00:7302 dev dsmip-ou-c-64 table 254 proto 155 metric 1024 src 2001:db8:1::1 onlink",
    PROXIES.six,
    "nft add element inet dsmipd udp-4 { 203.0.115.2 . 40000 . 198.51.100.100 }",
    "nft add element inet dsmipd port-4 { 203.0.115.2 . 198.51.100.100 : 40000 }",
    "ip route add 198.51.100.100/32 via 203.0.115.2 dev dsmip-ou-c-64 table 254 proto 155 metric 0 onlink",
    PROXIES.four,
  ]);
  test.end();
});

t.test("the binding of a node with a public IPv4 address", (test) => {
  test.strictSame(commands(planBinding(path(FOUR), SITE)), [
    "nft add element inet dsmipd ipv4-6 { 203.0.114.2 . 2001:db8:1::100 }",
    "ip -6 route add 2001:db8:1::100/128 via ::cb00:7202 dev dsmip-op-c-64 table 254 proto 155 metric 1024 src 2001:db8:1::1 onlink",
    PROXIES.six,
    "nft add element inet dsmipd ipv4-4 { 203.0.114.2 . 198.51.100.100 }",
    "ip route add 198.51.100.100/32 via 203.0.114.2 dev dsmip-op-c-64 table 254 proto 155 metric 0 onlink",
    PROXIES.four,
  ]);
  test.end();
});

t.test("the binding of a node with an IPv6 care-of address", (test) => {
  const outer = "encap ip6 dst 2001:db8:a::2 src 2001:db8:1::1 hoplimit 64 tc 0x0";
  test.strictSame(commands(planBinding(path(SIX), SITE)), [
    "ip xfrm state add src 2001:db8:1::100 dst 2001:db8:1::1 proto hao mode ro reqid 1140850690 coa 2001:db8:a::2",
    "nft add element inet dsmipd ipv6-6 { 2001:db8:a::2 . 2001:db8:1::100 }",
    `ip -6 route add 2001:db8:1::100/128 ${outer} via fe80::1 dev dsmip-o6 table 254 proto 155 metric 1024 src 2001:db8:1::1`,
    PROXIES.six,
    "nft add element inet dsmipd ipv6-4 { 2001:db8:a::2 . 198.51.100.100 }",
    `ip route add 198.51.100.100/32 ${outer} via inet6 fe80::1 dev dsmip-o6 table 254 proto 155 metric 0`,
    PROXIES.four,
  ]);
  test.end();
});

t.test("with the L flag the link-local address is defended on the home link, and nothing of it tunnelled", (test) => {
  const linkLocalAddress = ipv6("fe80::100");
  const without = commands(planBinding(path(SIX), SITE));
  test.strictSame(
    commands(planBinding(path(SIX, { linkLocalAddress }), SITE)).filter((line) => !without.includes(line)),
    ["ip neighbour add proxy fe80::100 dev home proto 155"],
  );
  const { homeDevice: _, ...virtual } = SITE;
  test.notOk(planBinding(path(SIX, { linkLocalAddress }), virtual).some(({ kind }) => kind === "proxy-neighbour"));
  test.end();
});

t.test("a fixed class: sending devices of its own over IPv4, exceptions from copying over IPv6", (test) => {
  const [overIpv4, overIpv6] = [FOUR, SIX].map((one) => commands(planBinding(path(one, { profile: "gold" }), SITE)));
  test.match(overIpv4, [/ipv4-6/, /via ::cb00:7202 dev dsmip-op-46-77 /, /./, /ipv4-4/, /dev dsmip-op-46-77 /, /./]);
  test.match(overIpv6, [
    /proto hao/,
    /ipv6-6/,
    "nft add element inet dsmipd fixed-6 { 2001:db8:1::100 }",
    / hoplimit 77 tc 0xb8 via (inet6 )?fe80::1 dev dsmip-o6 /,
    /./,
    /ipv6-4/,
    "nft add element inet dsmipd fixed-4 { 198.51.100.100 }",
    / hoplimit 77 tc 0xb8 via (inet6 )?fe80::1 dev dsmip-o6 /,
    /./,
  ]);
  test.end();
});

t.test("the MTU of a profile stands in the routes, the largest of all on the devices", (test) => {
  const routes = (site: HomeAgentPlanSite, profile: string): string[] =>
    commands(planBinding(path(NAT, { profile }), site)).filter((line) => line.includes("route"));
  const mtus = (site: HomeAgentPlanSite): number[] => [
    ...new Set(
      planHomeAgentSite(site).flatMap((one) => (one.kind === "link" && one.link.type !== "tun" ? [one.mtu] : [])),
    ),
  ];
  for (const line of routes(SITE, "narrow")) test.match(line, / mtu lock 1300/);
  for (const line of routes(SITE, "default")) test.notMatch(line, /mtu/);
  test.strictSame(mtus(SITE), [1400]);
  const profiles = new Map<string, TunnelProfileSpec>([
    ...PROFILES,
    ["wide", { dscp: "copy", ttl: 64, mtu: 8000 }],
    ["secret", { dscp: "copy", ttl: 64, protection: "esp" }],
  ]);
  const wide = { ...SITE, profiles };
  test.strictSame(mtus(wide), [8000]);
  for (const line of routes(wide, "wide")) test.notMatch(line, /mtu/);
  for (const line of routes(wide, "default"))
    test.match(line, / mtu lock 1400/, "who asked for nothing keeps the site's");
  for (const line of routes(wide, "secret")) test.match(line, / mtu lock 1400/, "with protected payload too");
  test.end();
});

t.test("make before break: old and new way in, one way out; both NATs' ports side by side", (test) => {
  const before = planBinding(path(NAT), SITE);
  const during = planBinding(path(OTHER_NAT, { ingress: [OTHER_NAT, NAT], revision: 2 }), SITE);
  const keys = new Set(during.map(objectKey));
  const lost = before.map(objectKey).filter((key) => !keys.has(key));
  test.strictSame(lost, [`nft-element port-6 203.0.115.2 . ${HOA6}`, `nft-element port-4 203.0.115.2 . ${HOA4}`]);
  const shared = before.map(objectKey).filter((key) => keys.has(key));
  test.equal(shared.length, 6, "routes and proxy neighbours change in place, the former way in stays");
  test.end();
});

t.test("without an IPv4 home address, and on a virtual home link, there is less", (test) => {
  const { homeDevice: _, ...virtual } = SITE;
  const { ipv4HomeAddress: __, ...sixOnly } = path(SIX);
  test.strictSame(
    planBinding(sixOnly, virtual).map((object) => object.kind),
    ["xfrm-state", "nft-element", "route"],
  );
  test.end();
});

t.test("the devices, addresses and switches of a site", (test) => {
  const lines = commands(planHomeAgentSite(SITE)).filter(
    (line) => !line.startsWith("nft") && !line.startsWith("ip xfrm"),
  );
  const device = (name: string, kind: string, address: string): string[] => [
    `ip link add ${name} mtu 1400 type ${kind}\nip link set dev ${name} mtu 1400 alias dsmipd up`,
    `ip address add ${address}/32 dev ${name} scope host proto 155`,
    `sysctl -w net/ipv4/conf/${name}/rp_filter=2`,
  ];
  const sit = (local: string, tos: string, udp = ""): string =>
    `sit mode any local ${local} remote any ttl inherit tos ${tos} nopmtudisc${udp}`;
  const fou = " encap fou encap-sport 4191 encap-dport 4191";
  test.strictSame(lines, [
    "sysctl -w net/ipv6/conf/all/forwarding=1",
    "sysctl -w net/ipv4/ip_forward=1",
    "sysctl -w net/ipv4/ip_forward_use_pmtu=1",
    "sysctl -w net/ipv4/conf/home/rp_filter=2",
    "sysctl -w net/ipv6/conf/all/proxy_ndp=1",
    "sysctl -w net/ipv6/conf/home/proxy_ndp=1",
    "sysctl -w net/ipv6/neigh/home/proxy_delay=0",
    "sysctl -w net/ipv4/neigh/home/proxy_delay=0",
    "ip fou add port 4191 gue local 203.0.113.1",
    ...device("dsmip-in4", sit("203.0.113.1", "inherit"), "240.41.65.4"),
    ...device("dsmip-op-c-64", sit("240.41.64.64", "inherit"), "240.41.64.64"),
    ...device("dsmip-ou-c-64", sit("240.91.64.64", "inherit", fou), "240.91.64.64"),
    ...device("dsmip-op-46-77", sit("240.41.46.77", "0xb8"), "240.41.46.77"),
    ...device("dsmip-ou-46-77", sit("240.91.46.77", "0xb8", fou), "240.91.46.77"),
    "ip -6 route add ::/96 dev lo table 254 proto 155 metric 1",
    ...device(
      "dsmip-in6",
      "ip6tnl mode any local 2001:db8:1::1 remote :: hoplimit 64 tclass inherit encaplimit none",
      "240.41.65.6",
    ),
    ...device("dsmip-o6", "ip6tnl mode any external hoplimit inherit tclass 0x0 encaplimit none", "240.41.65.0"),
    "ip tuntap add dev dsmip-sig mode tun\nip link set dev dsmip-sig mtu 1400 alias dsmipd up",
    "ip -6 route add 2001:db8:1::/64 dev lo table 254 proto 155 metric 4294967294",
    "ip -6 route add 2001:db8:1::/64 dev dsmip-sig table 254 proto 155 metric 4294967295",
  ]);
  test.end();
});

t.test("a home agent without an IPv4 address has nothing for IPv4 tunnels", (test) => {
  const site = { ...SITE, addresses: { ipv6: HA6 } };
  const kinds = new Set(planHomeAgentSite(site).map((object) => object.kind));
  test.notOk(kinds.has("fou-port"));
  const links = planHomeAgentSite(site).filter((object): object is Link => object.kind === "link");
  test.strictSame(
    links.map((link) => link.name),
    ["dsmip-in6", "dsmip-o6", "dsmip-sig"],
  );
  const chains = homeAgentFirewall(site).chains;
  test.notOk(chains.some(({ name }) => name.includes("ipv4") && name.startsWith("output")));
  test.notMatch(JSON.stringify(chains.map(({ name }) => name)), /steer|out-udp/);
  test.end();
});

/** Between home agent and node over IPv6, and on the way into the TUN device. */
const UNTRACKED_SIGNALLING = [50, 135].map(
  (protocol) => `ip6 saddr 2001:db8:1::1 meta l4proto ${protocol} notrack accept`,
);

/** The rules of a chain in nft's words. */
/** Of the first hook, and of inner packets. */
const MAPPED =
  "meta nfproto ipv6 @nh,144,16 0xffff @nh,64,96 0x00000000000000000000ffff counter name mapped-source drop";
const innerMapped = (bit: number): string => `@th,${bit},96 0x00000000000000000000ffff counter name mapped-source drop`;

const hide6to4 = (bit: number): string => `@th,${bit},16 0x2002 @th,${bit},16 set 0x0141`;
const SHOW_6TO4 = 'meta nfproto ipv6 @nh,192,16 0x0141 iifname "dsmip-in4*" @nh,192,16 set 0x2002';

const rules = (name: string, site = SITE): string[] =>
  homeAgentFirewall(site)
    .chains.find((chain) => chain.name === name)
    ?.rules.map((rule) => rule.text) ?? [];

const METERED_SOLICITATIONS =
  "icmpv6 type 146 meta ipsec exists update @message-nodes { ip6 saddr limit rate over 10/second burst 20 packets } counter name metered drop";

t.test(
  "the firewall: signalling is steered, a pair of outer and inner source is let in, headers are completed",
  (test) => {
    test.strictSame(rules("prerouting"), [
      'iifname "dsmip-o*" counter name send-only drop',
      "meta nfproto ipv6 jump prerouting-ipv6",
      "ip daddr 203.0.113.1 jump to-ipv4",
    ]);
    test.strictSame(rules("prerouting-ipv6"), [SHOW_6TO4, "ip6 daddr 2001:db8:1::1 jump to-ipv6", "accept"]);
    test.strictSame(rules("to-ipv4"), [
      "udp dport 4191 notrack accept",
      "meta l4proto 4 notrack accept",
      "meta l4proto 41 notrack accept",
      "meta l4proto 50 notrack accept",
    ]);
    test.strictSame(rules("to-ipv6"), [
      "meta l4proto 4 notrack accept",
      "meta l4proto 41 notrack accept",
      "meta l4proto 50 notrack accept",
      "meta l4proto 135 notrack accept",
      "icmpv6 type 146 meta mark set meta mark | 0x8000000",
    ]);
    test.strictSame(rules("steer"), [
      innerMapped(128),
      "@th,112,8 50 @th,128,128 . @th,384,32 @signalling-keys jump steer-known",
      "@th,112,8 60 @th,384,8 50 @th,392,8 2 @th,128,128 . @th,576,32 @signalling-keys jump steer-known",
      "limit rate 10/second burst 50 packets jump to-process",
      "counter name unknown-signalling drop",
    ]);
    const over = (set: string, key: string, bucket: string) =>
      `update @${set} { ${key} limit rate over ${bucket} packets } counter name metered drop`;
    const limited = (again: string): string[] => [
      over(`update-networks${again}`, "@nh,96,16 . @th,128,128", "10/second burst 20"),
      over(`update-nodes${again}`, "@th,128,128", "50/second burst 100"),
      "limit rate 1500/second burst 4000 packets jump to-process",
      "counter name metered drop",
    ];
    test.strictSame(rules("steer-known"), [
      over("update-ports", "ip saddr . udp sport . @th,128,128", "10/second burst 20"),
      "ip saddr . udp sport . @th,128,128 @udp-6 jump to-process",
      over("update-pairs", "ip saddr . @th,128,128", "10/second burst 20"),
      "ip saddr . @th,128,128 @ipv4-6 jump to-process",
      over("update-sources", "ip saddr", "1000/second burst 10000"),
      "ip saddr . @th,128,128 @update-pairs-seen jump steer-again",
      "update @update-pairs-seen { ip saddr . @th,128,128 }",
      ...limited(""),
    ]);
    test.strictSame(rules("steer-again"), limited("-again"));
    test.strictSame(rules("to-process"), ["udp dport set 4192 udp checksum set 0 counter name signalling accept"]);
    test.strictSame(rules("in-mobility"), [
      'iifname "dsmip-in*" counter name tunnelled-signalling drop',
      "meta ipsec exists update @message-nodes { ip6 saddr limit rate over 10/second burst 20 packets } counter name metered drop",
      "@th,16,8 > 7 meta l4proto 135 limit rate 10/second burst 50 packets meta mark set meta mark | 0x4000000",
    ]);
    test.strictSame(rules("input"), [
      "ip daddr 203.0.113.1 jump in-ipv4",
      MAPPED,
      "meta l4proto 50 accept",
      "ip6 daddr 2001:db8:1::1 jump in-ipv6",
      "meta l4proto 135 jump in-mobility",
      METERED_SOLICITATIONS,
      "ip daddr 240.0.0.0/8 counter name spoofed-ipv4 drop",
    ]);
    test.strictSame(rules("in-ipv4"), [
      "udp dport 4191 jump in-udp",
      "meta l4proto 41 jump in-ipv4-6",
      "meta l4proto 4 jump in-ipv4-4",
      "udp dport 4192 counter name signalling-port drop",
    ]);
    test.strictSame(rules("in-ipv6"), ["meta l4proto 41 jump in-ipv6-6", "meta l4proto 4 jump in-ipv6-4"]);
    test.strictSame(rules("in-udp"), [
      "@th,64,4 6 @th,256,128 0x20010db8000100000000000000000001 @th,112,8 @signalling-headers jump steer",
      `@th,64,4 6 ${hide6to4(256)} udp checksum set 0`,
      "@th,64,4 6 ip saddr . udp sport . @th,128,128 @udp-6 accept",
      "@th,64,4 6 @th,128,10 0x3fa counter name link-local drop",
      `@th,64,4 6 ${innerMapped(128)}`,
      "@th,64,4 6 counter name spoofed-udp drop",
      "@th,64,4 4 ip saddr . udp sport . @th,160,32 @udp-4 accept",
      "@th,64,4 4 counter name spoofed-udp drop",
      "counter name bad-version drop",
    ]);
    test.strictSame(
      ["in-ipv4-6", "in-ipv4-4", "in-ipv6-6", "in-ipv6-4"].map((chain) => rules(chain)),
      [
        [
          hide6to4(192),
          "ip saddr . @th,64,128 @ipv4-6 accept",
          "@th,64,10 0x3fa counter name link-local drop",
          innerMapped(64),
          "counter name spoofed-ipv4 drop",
        ],
        ["ip saddr . @th,96,32 @ipv4-4 accept", "counter name spoofed-ipv4 drop"],
        [
          "ip6 saddr . @th,64,128 @ipv6-6 accept",
          "@th,0,24 >= 0 @th,64,10 0x3fa counter name link-local drop",
          `@th,0,24 >= 0 ${innerMapped(64)}`,
          "@th,0,24 >= 0 counter name spoofed-ipv6 drop",
        ],
        ["ip6 saddr . @th,96,32 @ipv6-4 accept", "@th,0,24 >= 0 counter name spoofed-ipv6 drop"],
      ],
    );
    test.strictSame(rules("output-ipv4"), [
      "meta nfproto ipv6 accept",
      "ip saddr 240.91.64.64 ip ttl set 64 jump out-udp",
      "ip saddr 240.41.64.64 ip ttl set 64 jump out-ipv4",
      "ip saddr 240.91.46.77 ip ttl set 77 jump out-udp",
      "ip saddr 240.41.46.77 ip ttl set 77 jump out-ipv4",
      "ip saddr 203.0.113.1 udp sport 4192 udp sport set 4191 udp checksum set 0 notrack",
    ]);
    test.strictSame(rules("out-udp"), [
      "ip saddr set 203.0.113.1",
      "@th,64,4 6 udp dport set ip daddr . @th,256,128 map @port-6 udp checksum set 0 notrack accept",
      "@th,64,4 4 udp dport set ip daddr . @th,192,32 map @port-4 udp checksum set 0 notrack accept",
      "counter name no-port drop",
    ]);
    test.strictSame(rules("out-ipv4"), ["ip saddr set 203.0.113.1 notrack accept"]);
    test.end();
  },
);

const ESP_PROFILES = [
  ["default", { dscp: "copy", ttl: 64, protection: "esp" }],
  ["fixed", { dscp: 46, ttl: 77, protection: "esp" }],
] as const satisfies [string, TunnelProfileSpec][];
const PLAIN: [string, TunnelProfileSpec] = ["plain", { dscp: "copy", ttl: 64 }];

t.test("where all payload is protected there is no plain tunnel, and no chain that only these need", (test) => {
  const site = { ...SITE, profiles: new Map<string, TunnelProfileSpec>(ESP_PROFILES) };
  const objects = planHomeAgentSite(site);
  test.strictSame(
    objects.flatMap((object) => (object.kind === "link" ? [object.name] : [])),
    ["dsmip-esp", "dsmip-sig"],
  );
  test.notOk(objects.some(({ kind }) => kind === "fou-port"));
  test.strictSame(rules("prerouting", site), [
    "meta l4proto >= 50 jump rare-protocols",
    "meta nfproto ipv6 jump prerouting-ipv6",
    "ip daddr 203.0.113.1 jump to-ipv4",
  ]);
  test.strictSame(rules("prerouting-ipv6", site), ["ip6 daddr 2001:db8:1::1 jump to-ipv6", "accept"]);
  test.strictSame(rules("rare-protocols", site), [
    "meta l4proto 50 ip6 daddr 2001:db8:1::1 notrack accept",
    "meta l4proto 50 ip daddr 203.0.113.1 notrack accept",
    "meta l4proto 50 accept",
  ]);
  test.strictSame(rules("to-ipv4", site), [
    "udp dport 4500 meta mark set meta mark | 0x20000000 notrack accept",
    "udp dport 4191 notrack accept",
  ]);
  test.strictSame(rules("input", site), [
    "ip daddr 203.0.113.1 jump in-ipv4",
    MAPPED,
    "meta l4proto 50 accept",
    "meta l4proto 135 jump in-mobility",
    METERED_SOLICITATIONS,
  ]);
  test.strictSame(rules("in-ipv4", site), [
    "meta l4proto 50 accept",
    "udp dport 4191 jump in-udp",
    "udp dport 4192 counter name signalling-port drop",
  ]);
  test.strictSame(rules("output", site), [
    "meta nfproto ipv6 meta mark & 0x10000000 == 0x10000000 jump esp-6",
    "meta nfproto ipv4 meta mark & 0x10000000 == 0x10000000 jump esp-4",
    "ip saddr 203.0.113.1 udp sport 4192 udp sport set 4191 udp checksum set 0 notrack",
    ...UNTRACKED_SIGNALLING,
  ]);
  const bases = homeAgentFirewall(site).chains.flatMap(({ name, base }) => (base === undefined ? [] : [name]));
  test.strictSame(bases, ["prerouting", "input", "output"]);
  test.strictSame(rules("output", { ...site, addresses: { ipv6: HA6 } }), [
    "meta nfproto ipv6 meta mark & 0x10000000 == 0x10000000 jump esp-6",
    ...UNTRACKED_SIGNALLING,
  ]);
  const [single] = ESP_PROFILES;
  test.strictSame(
    rules("output", { ...site, profiles: new Map<string, TunnelProfileSpec>([single]) }),
    [
      "meta nfproto ipv6 meta mark & 0x107fff00 == 0x10404000 ip6 hoplimit != 64 ip6 hoplimit set 64",
      "meta nfproto ipv4 meta mark & 0x107fff00 == 0x10404000 ip ttl != 64 ip ttl set 64",
      "meta mark & 0x10000000 == 0x10000000 notrack accept",
      "ip saddr 203.0.113.1 udp sport 4192 udp sport set 4191 udp checksum set 0 notrack",
      ...UNTRACKED_SIGNALLING,
    ],
    "one outer header for all: no chain of its own",
  );
  test.end();
});

t.test("the firewall for payload in ESP: short ways for ESP, and the outer header of each class", (test) => {
  const site = { ...SITE, profiles: new Map<string, TunnelProfileSpec>([...ESP_PROFILES, PLAIN]) };
  test.strictSame(rules("prerouting", site), [
    'iifname "dsmip-o*" counter name send-only drop',
    "meta l4proto >= 50 jump rare-protocols",
    "meta nfproto ipv6 jump prerouting-ipv6",
    "ip daddr 203.0.113.1 jump to-ipv4",
  ]);
  test.strictSame(rules("prerouting-ipv6", site), [SHOW_6TO4, "ip6 daddr 2001:db8:1::1 jump to-ipv6", "accept"]);
  test.equal(rules("to-ipv4", site)[0], "udp dport 4500 meta mark set meta mark | 0x20000000 notrack accept");
  test.ok(rules("output-ipv4", site).includes("meta mark & 0x10000000 == 0x10000000 jump esp-4"));
  test.ok(rules("output-ipv6", site).includes("meta mark & 0x10000000 == 0x10000000 jump esp-6"));
  test.strictSame(rules("esp-4", site), [
    "meta mark & 0x107fff00 == 0x10404000 ip ttl != 64 ip ttl set 64",
    "meta mark & 0x107fff00 == 0x102e4d00 ip dscp set 46",
    "meta mark & 0x107fff00 == 0x102e4d00 ip ttl != 77 ip ttl set 77",
    "notrack accept",
  ]);
  test.strictSame(rules("esp-6", site), [
    "meta mark & 0x107fff00 == 0x10404000 ip6 hoplimit != 64 ip6 hoplimit set 64",
    "meta mark & 0x107fff00 == 0x102e4d00 ip6 dscp set 46",
    "meta mark & 0x107fff00 == 0x102e4d00 ip6 hoplimit != 77 ip6 hoplimit set 77",
    "notrack accept",
  ]);
  test.end();
});

t.test("exceptions from copying are looked up only where some profile has a fixed class", (test) => {
  const copying = { ...SITE, profiles: new Map([["default", { dscp: "copy", ttl: 64 } as const]]) };
  test.match(rules("out-ipv6-6"), ["notrack", "@th,192,128 @fixed-6 accept", /^@nh,0,16 set .* accept$/]);
  test.match(rules("out-ipv6-4"), ["notrack", "@th,128,32 @fixed-4 accept", /^@nh,0,16 set .* accept$/]);
  test.match(rules("out-ipv6-6", copying), ["notrack", /^@nh,0,16 set .* accept$/]);
  test.match(rules("out-ipv6-4", copying), ["notrack", /^@nh,0,16 set .* accept$/]);
  test.end();
});

for (const [kind, profiles] of [
  ["plain", PROFILES],
  ["protected", new Map<string, TunnelProfileSpec>(ESP_PROFILES)],
  ["mixed", new Map<string, TunnelProfileSpec>([...ESP_PROFILES, PLAIN])],
] as const)
  t.test(`every set, map, counter and chain that a rule names is there, and each is named: ${kind} payload`, (test) => {
    const table = homeAgentFirewall({ ...SITE, profiles });
    const expressions = table.chains.flatMap((chain) => chain.rules.flatMap((rule) => rule.expressions));
    const used = (pick: (expression: (typeof expressions)[number]) => string | undefined): string[] =>
      [...new Set(expressions.flatMap((expression) => pick(expression) ?? []))].sort();
    test.strictSame(
      used((expression) => ("set" in expression ? expression.set : undefined)),
      table.sets.map(({ name }) => name).sort(),
    );
    test.strictSame(
      used((expression) => (expression.type === "count" ? expression.counter : undefined)),
      [...table.counters].sort(),
    );
    const jumpedTo = used((expression) => (expression.type === "verdict" ? expression.chain : undefined));
    test.strictSame(jumpedTo, table.chains.flatMap((chain) => (chain.base === undefined ? [chain.name] : [])).sort());
    test.end();
  });

const host6 = fc.integer({ min: 1, max: 0xffff }).map((n): Ipv6Address => ipv6(`2001:db8:1::${n.toString(16)}`));
const host4 = fc.integer({ min: 1, max: 254 }).map((n): Ipv4Address => ipv4(`198.51.100.${n}`));
const outer4 = fc.integer({ min: 1, max: 254 }).map((n): Ipv4Address => ipv4(`203.0.115.${n}`));
const endpoint: fc.Arbitrary<Endpoint> = fc.oneof(
  host6.map((address): Endpoint => ({ format: "ipv6", address })),
  outer4.map((address): Endpoint => ({ format: "ipv4", address })),
  fc
    .tuple(outer4, fc.integer({ min: 1, max: 65535 }))
    .map(([address, port]): Endpoint => ({ format: "udp", address, port })),
);
const dataPath: fc.Arbitrary<DataPath> = fc.record({
  homeAddress: host6,
  ipv4HomeAddress: host4,
  egress: endpoint,
  ingress: fc.array(endpoint, { minLength: 1, maxLength: 3 }),
  profile: fc.constantFrom("default", "gold", "narrow"),
  revision: fc.nat(),
});

t.test(
  "bindings of different nodes have no object in common, nor with the site; the plan is the same each time",
  (test) => {
    const site = new Set(planHomeAgentSite(SITE).map(objectKey));
    fc.assert(
      fc.property(dataPath, dataPath, (a, b) => {
        fc.pre(a.homeAddress !== b.homeAddress && a.ipv4HomeAddress !== b.ipv4HomeAddress);
        const keys = planBinding(a, SITE).map(objectKey);
        const others = new Set(planBinding(b, SITE).map(objectKey));
        test.notOk(keys.some((key) => others.has(key) || site.has(key)));
        test.strictSame(planBinding(a, SITE), planBinding({ ...a, revision: a.revision + 1 }, SITE));
      }),
      { numRuns: 200 },
    );
    test.end();
  },
);

t.test("device names fit the kernel and are as many as classes, for every profile that can be written", (test) => {
  const names = new Set<string>();
  for (const dscp of ["copy", ...Array.from({ length: 64 }, (_, i) => i)] as const) {
    for (const ttl of [1, 64, 255]) {
      for (const format of ["ipv4", "udp"] as const) names.add(sendDevice(format, { dscp, ttl } as TunnelProfileSpec));
    }
  }
  test.equal(names.size, 65 * 3 * 2);
  test.ok([...names].every((name) => name.length <= 15));
  test.end();
});

t.test(
  "the networks behind a mobile router: elements in the sets of their lengths, flat routes, R for its neighbours",
  (test) => {
    const prefixes = ["2001:db8:100::/60", "2001:db8:200::5/128", "10.1.0.0/27"].map(prefix);
    const router = { mobileRouter: true, prefixes } as const;
    const site = { ...SITE, homeDevice: undefined, prefixLengths: { ipv6: [60, 128], ipv4: [27] } };
    const networks = (objects: readonly KernelObject[]): string[] =>
      commands(objects).filter((one) => !/2001:db8:1::100|198\.51\.100\.100/.test(one));
    test.strictSame(networks(planBinding(path(NAT, router), site)), [
      "nft add element inet dsmipd udp-6-60 { 203.0.115.2 . 40000 . 2001:db8:100:: }",
      "nft add element inet dsmipd port-6-60 { 203.0.115.2 . 2001:db8:100:: : 40000 }",
      "ip -6 route add 2001:db8:100::/60 via ::cb00:7302 dev dsmip-ou-c-64 table 254 proto 155 metric 512 src 2001:db8:1::1 onlink",
      "nft add element inet dsmipd udp-6 { 203.0.115.2 . 40000 . 2001:db8:200::5 }",
      "nft add element inet dsmipd port-6 { 203.0.115.2 . 2001:db8:200::5 : 40000 }",
      "ip -6 route add 2001:db8:200::5/128 via ::cb00:7302 dev dsmip-ou-c-64 table 254 proto 155 metric 1024 src 2001:db8:1::1 onlink",
      "nft add element inet dsmipd udp-4-27 { 203.0.115.2 . 40000 . 10.1.0.0 }",
      "nft add element inet dsmipd port-4-27 { 203.0.115.2 . 10.1.0.0 : 40000 }",
      "ip route add 10.1.0.0/27 via 203.0.115.2 dev dsmip-ou-c-64 table 254 proto 155 metric 0 onlink",
    ]);
    const six = networks(planBinding(path(SIX, { ...router, profile: "gold" }), site));
    test.strictSame(six.slice(0, 2), [
      "nft add element inet dsmipd ipv6-6-60 { 2001:db8:a::2 . 2001:db8:100:: }",
      "nft add element inet dsmipd fixed-6-60 { 2001:db8:100:: }",
    ]);
    test.match(six[2], /^ip -6 route add 2001:db8:100::\/60 encap ip6 dst 2001:db8:a::2 src 2001:db8:1::1/);
    test.strictSame(networks(planBinding(path(FOUR, router), site)).slice(-2), [
      "nft add element inet dsmipd ipv4-4-27 { 203.0.114.2 . 10.1.0.0 }",
      "ip route add 10.1.0.0/27 via 203.0.114.2 dev dsmip-op-c-64 table 254 proto 155 metric 0 onlink",
    ]);
    const proxies = commands(planBinding(path(SIX, router), SITE)).filter((one) => one.includes("proxy"));
    test.strictSame(
      proxies,
      [`${PROXIES.six} router`, `${PROXIES.four} router`].map((one) =>
        one.replace(" proto 155 router", " router proto 155"),
      ),
    );
    test.end();
  },
);

t.test("the 2004 profile: what is proved of a mapped source, and how the answer finds its way", (test) => {
  const site = { ...SITE, mappedSignalling: true };
  test.strictSame(rules("in-ipv4-6", site), [
    hide6to4(192),
    "ip saddr . @th,64,128 @ipv4-6 accept",
    `@th,64,96 0x00000000000000000000ffff @th,192,128 0x20010db8000100000000000000000001 @th,48,8 60 @th,320,8 50 ${[
      "@th,80,32 set @th,160,32",
      "@th,64,16 set 0x2002",
      "@th,112,48 set 0",
    ].join(" ")} counter name mapped-signalling accept`,
    "@th,64,10 0x3fa counter name link-local drop",
    innerMapped(64),
    "counter name spoofed-ipv4 drop",
  ]);
  test.ok(rules("to-ipv6", site).includes('iifname "dsmip-in4*" @nh,64,16 0x2002 counter name mapped-proven'));
  test.ok(
    rules("output-ipv4", site).includes("ip saddr 240.41.65.3 @th,192,96 set 0x00000000000000000000ffff jump out-ipv4"),
  );
  const more = planHomeAgentSite(site).filter(
    (one) => !planHomeAgentSite(SITE).some((other) => isDeepStrictEqual(one, other)),
  );
  test.strictSame(
    more.flatMap((one) => (one.kind === "route" ? [[formatPrefix(one.destination), one.device, one.metric]] : [])),
    [
      ["::/0", "lo", 0xfffffffe],
      ["::/0", "dsmip-om", 0xffffffff],
    ],
    "no route to 2002::/16",
  );
  test.strictSame(
    more.flatMap((one) => (one.kind === "link" ? [one.name] : [])),
    ["dsmip-om"],
  );
  // Without it nothing of this is there.
  for (const chain of ["in-ipv4-6", "to-ipv6", "output-ipv4"])
    test.notMatch(rules(chain).join(), /mapped-(signalling|proven)|240\.41\.65\.3/);
  test.end();
});

t.test("what is tunnelled twice over IPv4 has the class and DF of the packet that was tunnelled once", (test) => {
  const site = { ...SITE, prefixLengths: { ipv6: [64], ipv4: [27] } };
  const isFirst = (text: string): boolean => !text.startsWith("@th,0,8 69 ") && !text.startsWith("@th,64,8 69 ");
  test.strictSame(rules("out-ipv4", site).slice(0, 2), [
    "@th,0,8 69 @th,72,8 41 jump carrier-ipv4",
    "@th,0,8 69 @th,96,32 0xcb007101 jump carrier-ipv4",
  ]);
  test.strictSame(rules("out-udp", site).slice(0, 3), [
    "@th,64,8 69 @th,136,8 41 jump carrier-udp",
    "@th,64,8 69 @th,160,32 0xcb007101 jump carrier-udp",
    "ip saddr set 203.0.113.1",
  ]);
  // By the devices into which tunnelled packets go: not those for nodes behind two routers.
  test.strictSame(rules("carrier-ipv4", site), [
    "@th,48,16 & 0x4000 == 0x0000 ip frag-off set 0",
    "ip saddr 240.41.64.64 @nh,0,16 set @th,0,16",
    "ip saddr 240.41.46.77 @nh,0,16 set @th,0,16 & 0xff03 ^ 0x00b8",
    "ip saddr 240.42.64.64 @nh,0,16 set @th,0,16",
    "ip saddr 240.42.46.77 @nh,0,16 set @th,0,16 & 0xff03 ^ 0x00b8",
  ]);
  test.match(rules("carrier-udp", site)[1], "ip saddr 240.91.64.64 @nh,0,16 set @th,64,16");
  // Without routers nothing is looked for.
  for (const chain of ["out-ipv4", "out-udp"]) test.ok(rules(chain).every(isFirst), chain);
  for (const chain of ["carrier-ipv4", "carrier-udp"]) test.strictSame(rules(chain), []);
  test.end();
});

t.test("inner sources and destinations by prefix, the longest first, in all formats", (test) => {
  const { chains, sets } = homeAgentFirewall({ ...SITE, prefixLengths: { ipv6: [56, 64, 128], ipv4: [27, 32] } });
  const rules = (name: string): readonly string[] =>
    (chains.find((chain) => chain.name === name)?.rules ?? []).map(({ text }) => text);
  const mask64 = "0xffffffffffffffff0000000000000000";
  const mask56 = "0xffffffffffffff000000000000000000";
  test.strictSame(rules("in-udp").slice(2), [
    "@th,64,4 6 ip saddr . udp sport . @th,128,128 @udp-6 accept",
    `@th,64,4 6 ip saddr . udp sport . @th,128,128 & ${mask64} @udp-6-64 accept`,
    `@th,64,4 6 ip saddr . udp sport . @th,128,128 & ${mask56} @udp-6-56 accept`,
    "@th,64,4 6 @th,128,10 0x3fa counter name link-local drop",
    `@th,64,4 6 ${innerMapped(128)}`,
    "@th,64,4 6 counter name spoofed-udp drop",
    "@th,64,4 4 ip saddr . udp sport . @th,160,32 @udp-4 accept",
    "@th,64,4 4 ip saddr . udp sport . @th,160,32 & 0xffffffe0 @udp-4-27 accept",
    "@th,64,4 4 counter name spoofed-udp drop",
    "counter name bad-version drop",
  ]);
  for (const [chain, first, key, set] of [
    ["in-ipv4-6", [hide6to4(192)], "ip saddr . @th,64,128", "ipv4-6"],
    ["in-ipv6-6", [], "ip6 saddr . @th,64,128", "ipv6-6"],
  ] as const)
    test.strictSame(rules(chain).slice(0, -3), [
      ...first,
      `${key} @${set} accept`,
      `${key} & ${mask64} @${set}-64 accept`,
      `${key} & ${mask56} @${set}-56 accept`,
    ]);
  for (const [chain, key, set] of [
    ["in-ipv4-4", "ip saddr . @th,96,32", "ipv4-4"],
    ["in-ipv6-4", "ip6 saddr . @th,96,32", "ipv6-4"],
  ] as const)
    test.strictSame(rules(chain).slice(0, -1), [`${key} @${set} accept`, `${key} & 0xffffffe0 @${set}-27 accept`]);
  test.equal(rules("out-udp").filter((text) => text.includes("port-6-56")).length, 1);
  test.equal(rules("out-ipv6-6").filter((text) => text.includes("@fixed-6-64 accept")).length, 1);
  const names = sets.map(({ name }) => name);
  test.equal(names.filter((name) => name.endsWith("-56")).length, 5);
  test.equal(
    names.some((name) => name.endsWith("-128") || name.endsWith("-32")),
    false,
  );
  test.end();
});
