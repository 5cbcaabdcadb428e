/** What a mobile node's kernel shall hold, as commands: the site, and the data path at home, away in every format, and with no way at all. */
import t from "tap";
import { ipv4, ipv6, parsePrefix } from "../../../../controller/base/ip.js";
import { mappedAddress } from "../../../../controller/base/mapped.js";
import { Secret } from "../../../../controller/base/secret.js";
import { mobileNodeFirewall } from "../../../../controller/plan/mobile-node/firewall.js";
import { planMobileNode, planMobileNodeSite, tunnelName } from "../../../../controller/plan/mobile-node/plan.js";
import { formatObject } from "../../../../controller/plan/objects/format.js";
import { type KernelObject, OWNERSHIP, objectKey } from "../../../../controller/plan/objects/objects.js";
import type { MobileNodePlanSite } from "../../../../controller/plan/site.js";
import type { LocalEndpoint, MobileNodeDataPath } from "../../../../controller/protocol/mip6/mobile-node/inputs.js";

const prefix = (text: string) => parsePrefix(text) ?? { address: ipv6("::"), length: 0 };
const HOA6 = ipv6("2001:db8:1::100");
const HOA4 = ipv4("198.51.100.100");
const SIX: LocalEndpoint = {
  format: "ipv6",
  address: ipv6("2001:db8:a::2"),
  device: "eth6",
  gateway: ipv6("fe80::1"),
};
const FOUR: LocalEndpoint = { format: "ipv4", address: ipv4("203.0.114.2"), device: "eth4" };
const NAT: LocalEndpoint = { format: "udp", address: ipv4("10.0.0.2"), device: "lan", gateway: ipv4("10.0.0.1") };

const SITE: MobileNodePlanSite = {
  homeAddress: HOA6,
  ipv4HomeAddress: HOA4,
  homePrefixes: [prefix("2001:db8:1::/64"), prefix("198.51.100.0/24")],
  homeAgent: { ipv6: ipv6("2001:db8:1::1"), ipv4: ipv4("203.0.113.1") },
  profile: { dscp: "copy", ttl: 64 },
};
const KEY = { spi: 0x1000, algorithm: "aes-gcm" as const, key: new Secret(new Uint8Array(20)) };
const KEYS = { update: KEY, acknowledgement: KEY, replayWindow: 64 };

const path = (changes: Partial<MobileNodeDataPath>): MobileNodeDataPath => ({
  homeAddress: HOA6,
  ipv4HomeAddress: HOA4,
  mode: "away",
  ingress: [],
  revision: 1,
  ...changes,
});
const away = (endpoint: LocalEndpoint): MobileNodeDataPath => path({ egress: endpoint, ingress: [endpoint] });
const commands = (objects: readonly KernelObject[]): string[] => objects.map(formatObject);

/** What is there wherever the node is, once it has an IPv4 home address. */
const IPV4 = [
  "ip address add 198.51.100.100/32 dev dsmip-hoa proto 155",
  "ip rule add priority 4186 from 0.0.0.0/32 to 224.0.0.0/3 table 254 proto 155",
  "ip rule add priority 4186 from 0.0.0.0/32 to 169.254.0.0/16 table 254 proto 155",
  "ip rule add priority 4186 from 0.0.0.0/32 ipproto udp dport 67 table 254 proto 155",
  "ip rule add priority 4191 from 198.51.100.100/32 table 4191 proto 155",
  "ip rule add priority 4193 from 0.0.0.0/32 table 4191 proto 155",
];
const out = (device: string): string[] => [
  `ip -6 route add ::/0 dev ${device} table 4191 proto 155 metric 1024 src 2001:db8:1::100`,
  `ip route add 0.0.0.0/0 dev ${device} table 4191 proto 155 scope global metric 0 src 198.51.100.100`,
];
const tunnel = (name: string, kind: string): string[] => [
  `ip link add ${name} mtu 1400 type ${kind}\nip link set dev ${name} mtu 1400 alias dsmipd up`,
  `ip address add 240.41.65.1/32 dev ${name} scope host proto 155`,
  `sysctl -w net/ipv4/conf/${name}/rp_filter=2`,
];
const tableOf = (endpoint: LocalEndpoint): number => 0x41000000 + Number.parseInt(tunnelName(endpoint).slice(-6), 16);

t.test("behind a NAT in UDP, with a public address without; both devices are there", (test) => {
  const plain = { ...NAT, format: "ipv4" } as const;
  const sit = "sit mode any local 10.0.0.2 remote 203.0.113.1";
  const rest = [
    ...tunnel(tunnelName(NAT), `${sit} ttl inherit tos inherit nopmtudisc encap fou encap-sport 4191 encap-dport 4191`),
    ...tunnel(tunnelName(plain), `${sit} dev lan ttl inherit tos inherit nopmtudisc`),
    `ip rule add priority 4187 from 10.0.0.2/32 fwmark 0/0x80000000 table ${tableOf(NAT)} proto 155`,
    `ip route add 203.0.113.1/32 via 10.0.0.1 dev lan table ${tableOf(NAT)} proto 155 metric 0 onlink`,
    ...IPV4,
    // For mobile prefix solicitations (RFC 5555 §2.2).
    `ip xfrm state add src 2001:db8:1::100 dst 2001:db8:1::1 proto hao mode ro reqid ${OWNERSHIP.reqidBase + 1} coa 2001:db8:1::100`,
  ];
  test.strictSame(commands(planMobileNode(away(NAT), SITE)), [...rest, ...out(tunnelName(NAT))]);
  test.strictSame(commands(planMobileNode(away(plain), SITE)), [...rest, ...out(tunnelName(plain))]);
  test.end();
});

t.test("away on IPv6, with the care-of address for updates", (test) => {
  const name = tunnelName(SIX);
  test.strictSame(commands(planMobileNode({ ...away(SIX), updateFrom: SIX.address as never }, SITE)), [
    ...tunnel(
      name,
      "ip6tnl mode any local 2001:db8:a::2 remote 2001:db8:1::1 hoplimit 64 tclass inherit encaplimit none",
    ),
    `ip -6 rule add priority 4187 from 2001:db8:a::2/128 fwmark 0/0x80000000 table ${tableOf(SIX)} proto 155`,
    `ip -6 route add 2001:db8:1::1/128 via fe80::1 dev eth6 table ${tableOf(SIX)} proto 155 metric 1024 onlink`,
    ...IPV4,
    "ip xfrm state add src 2001:db8:1::100 dst 2001:db8:1::1 proto hao mode ro reqid 1140850689 coa 2001:db8:a::2",
    "ip xfrm state add src 2001:db8:1::1 dst 2001:db8:1::100 proto route2 mode ro reqid 1140850690 coa 2001:db8:a::2",
    ...out(name),
  ]);
  test.end();
});

t.test("make before break: on a handover both tunnels are there, and the ways out change in place", (test) => {
  const before = planMobileNode(away(FOUR), SITE);
  const during = planMobileNode(path({ egress: SIX, ingress: [SIX, FOUR], updateFrom: SIX.address }), SITE);
  const keys = new Set(during.map(objectKey));
  test.strictSame(
    before.map(objectKey).filter((key) => !keys.has(key)),
    [],
    "nothing goes before the new way is there",
  );
  const routes = during.filter((object) => object.kind === "route" && object.table === 4191);
  test.strictSame(commands(routes), out(tunnelName(SIX)));
  test.end();
});

const AT_HOME = {
  homeDevice: "eth0",
  homeIpv4Gateway: ipv4("198.51.100.1"),
  homeRoutes: [{ destination: prefix("2001:db8:1::/64") }, { destination: prefix("::/0"), gateway: ipv6("fe80::9") }],
};
const OVER_HOME = [
  "ip -6 route add 2001:db8:1::/64 dev eth0 table 4191 proto 155 metric 1024 src 2001:db8:1::100",
  "ip -6 route add ::/0 via fe80::9 dev eth0 table 4191 proto 155 metric 1024 src 2001:db8:1::100 onlink",
  "ip -6 route add ::/0 dev dsmip-hoa table 4191 proto 155 metric 65535 src 2001:db8:1::100",
  "ip route add 198.51.100.0/24 dev eth0 table 4191 proto 155 metric 0 src 198.51.100.100",
  "ip route add 0.0.0.0/0 via 198.51.100.1 dev eth0 table 4191 proto 155 metric 0 src 198.51.100.100 onlink",
  "ip route add 0.0.0.0/0 dev dsmip-hoa table 4191 proto 155 scope global metric 65535 src 198.51.100.100",
];

t.test("at home: the addresses on the home link as hosts, its routes and nothing behind them, no tunnel", (test) => {
  const home = path({ mode: "home", ...AT_HOME });
  test.strictSame(commands(planMobileNode(home, SITE)), [
    ...IPV4,
    "ip address add 2001:db8:1::100/128 dev eth0 proto 155 home nodad",
    "ip address add 198.51.100.100/32 dev eth0 proto 155",
    ...OVER_HOME,
  ]);
  test.end();
});

t.test("leaving home: the addresses are off the link already, payload still uses it", (test) => {
  const leaving = path({ ...AT_HOME, ingress: [SIX] });
  const lines = commands(planMobileNode(leaving, SITE));
  test.notOk(lines.some((line) => /address add (2001:db8:1|198\.51\.100).* dev eth0/.test(line)));
  test.strictSame(
    lines.filter((line) => line.includes("table 4191") && line.includes("route")),
    OVER_HOME,
  );
  test.end();
});

t.test("with no way at all payload goes nowhere rather than outside the tunnel", (test) => {
  test.strictSame(commands(planMobileNode(path({ mode: "detached" }), SITE)), [...IPV4, ...out("dsmip-hoa")]);
  test.end();
});

t.test("without an IPv4 home address nothing of IPv4 is touched", (test) => {
  const { ipv4HomeAddress: _, ...six } = path({ mode: "detached" });
  test.strictSame(commands(planMobileNode(six, SITE)), [out("dsmip-hoa")[0]]);
  test.end();
});

t.test("a profile: fixed class and hop limit, MTU on the device", (test) => {
  const site = { ...SITE, profile: { dscp: 46, ttl: 77, mtu: 1300 } };
  const [six, four] = [SIX, NAT].map((one) => commands(planMobileNode(away(one), site))[0] ?? "");
  test.match(six, /mtu 1300 type ip6tnl .* hoplimit 77 tclass 0xb8 /);
  test.match(four, /mtu 1300 type sit .* ttl inherit tos 0xb8 nopmtudisc/);
  const ttls = mobileNodeFirewall(site).chains.flatMap(({ rules }) =>
    rules.filter(({ text }) => text.includes("ttl set")),
  );
  test.strictSame(
    ttls.map(({ text }) => text),
    [
      "ip daddr 203.0.113.1 udp sport 4191 ip ttl set 77",
      "ip daddr 203.0.113.1 meta l4proto 4 ip ttl set 77",
      "ip daddr 203.0.113.1 meta l4proto 41 ip ttl set 77",
    ],
  );
  test.end();
});

t.test("the site: home addresses on a device of their own, packets without a source find the home address", (test) => {
  const lines = commands(planMobileNodeSite(SITE, KEYS)).filter((line) => !/^(ip xfrm|nft)/.test(line));
  test.strictSame(lines, [
    "ip fou add port 4191 gue",
    "ip link add dsmip-hoa mtu 1500 type dummy\nip link set dev dsmip-hoa mtu 1500 alias dsmipd up",
    "ip address add 2001:db8:1::100/128 dev dsmip-hoa proto 155 home nodad",
    "ip -6 rule add priority 4191 from 2001:db8:1::100/128 table 4191 proto 155",
    "ip -6 rule add priority 4193 from 2001:db8:1::100/128 table 4191 proto 155 # with FIB_RULE_FIND_SADDR, which ip has no word for",
    "ip tuntap add dev dsmip-sig mode tun\nip link set dev dsmip-sig mtu 1400 alias dsmipd up",
    "ip -6 route add ::/0 dev dsmip-sig table 4192 proto 155 metric 1024",
    "ip -6 rule add priority 4188 from all fwmark 0x4191 table 4192 proto 155",
  ]);
  test.end();
});

t.test("the firewall: from the home agent, for our home addresses, and signalling to us", (test) => {
  const rules = (site: MobileNodePlanSite): Record<string, string[]> =>
    Object.fromEntries(
      mobileNodeFirewall(site).chains.map(({ name, rules: list }) => [name, list.map(({ text }) => text)]),
    );
  const all = rules(SITE);
  const signalling =
    "@th,64,4 6 @th,128,128 0x20010db8000100000000000000000001 @th,256,128 0x20010db8000100000000000000000100 @th,112,8 @signalling-headers";
  test.strictSame(all["prerouting"], [
    "meta nfproto ipv6 @nh,144,16 0xffff @nh,64,96 0x00000000000000000000ffff counter name mapped-source drop",
    `ip saddr 203.0.113.1 udp dport 4191 ${signalling} counter name signalling-arrived`,
  ]);
  test.strictSame(all["steer"], ["udp dport set 4192 udp checksum set 0 counter name signalling accept"]);
  test.strictSame(all["input"]?.slice(1, 4), [
    "ip saddr 203.0.113.1 udp dport 4191 udp sport 4191 jump in-udp",
    "udp dport 4191 counter name spoofed-udp drop",
    "udp dport 4192 counter name signalling-port drop",
  ]);
  test.strictSame(all["in-udp"], [
    `${signalling} jump steer`,
    "@th,64,4 6 @th,256,128 0x20010db8000100000000000000000100 accept",
    "@th,64,4 4 @th,192,32 0xc6336464 accept",
    "counter name spoofed-udp drop",
  ]);
  test.strictSame(all["in-ipv6-4"], ["@th,128,32 0xc6336464 accept", "@th,0,24 >= 0 counter name spoofed-ipv6 drop"]);
  const { ipv4HomeAddress: _, ...six } = SITE;
  test.strictSame(rules(six)["in-ipv4-4"], ["counter name spoofed-ipv4 drop"], "no IPv4 home address: no IPv4 payload");
  const onlySix = rules({ ...SITE, homeAgent: { ipv6: SITE.homeAgent.ipv6 } });
  test.strictSame(Object.keys(onlySix), ["prerouting", "prerouting-ipv6", "input", "in-ipv6-6", "in-ipv6-4"]);
  test.end();
});

t.test(
  "a router gives what is tunnelled already the class and DF of the header inside; a host does not look",
  (test) => {
    const rules = (site: MobileNodePlanSite, chain: string): readonly string[] | undefined =>
      mobileNodeFirewall(site)
        .chains.find(({ name }) => name === chain)
        ?.rules.map(({ text }) => text);
    const router = { ...SITE, prefixes: [prefix("10.1.0.0/24")] };
    const outputs = rules(router, "output")?.filter((text) => text.includes("jump"));
    test.strictSame(outputs, [
      "ip daddr 203.0.113.1 udp sport 4191 ip ttl set 64 jump carrier-udp",
      "ip daddr 203.0.113.1 meta l4proto 4 ip ttl set 64 jump carrier-ipv4",
    ]);
    const [protocol41, toAgent] = ["@th,0,8 69 @th,72,8 41", "@th,0,8 69 @th,128,32 0xcb007101"];
    const fragments = "@th,48,16 & 0x4000 == 0x0000 ip frag-off set 0";
    test.strictSame(rules(router, "carrier-ipv4"), [
      `${protocol41} @nh,0,16 set @th,0,16`,
      `${protocol41} ${fragments}`,
      `${toAgent} @nh,0,16 set @th,0,16`,
      `${toAgent} ${fragments}`,
    ]);
    const gold = { ...router, profile: { dscp: 46, ttl: 64 } };
    test.equal(rules(gold, "carrier-udp")?.[0], "@th,64,8 69 @th,136,8 41 @nh,0,16 set @th,64,16 & 0xff03 ^ 0x00b8");
    test.equal(rules(SITE, "carrier-ipv4"), undefined);
    test.notOk(rules(SITE, "output")?.some((text) => text.includes("carrier")));
    test.end();
  },
);

t.test("every set, counter and chain that a rule names is there, and the other way round", (test) => {
  const table = mobileNodeFirewall(SITE);
  const expressions = table.chains.flatMap((chain) => chain.rules.flatMap((rule) => rule.expressions));
  const used = (pick: (expression: (typeof expressions)[number]) => string | undefined): string[] =>
    [...new Set(expressions.flatMap((expression) => pick(expression) ?? []))].sort();
  test.strictSame(
    used((one) => (one.type === "lookup" ? one.set : undefined)),
    table.sets.map(({ name }) => name).sort(),
  );
  test.strictSame(
    used((one) => (one.type === "count" ? one.counter : undefined)),
    [...table.counters].sort(),
  );
  test.strictSame(
    used((one) => (one.type === "verdict" ? one.chain : undefined)),
    table.chains.flatMap((chain) => (chain.base === undefined ? [chain.name] : [])).sort(),
  );
  test.end();
});

t.test(
  "a mobile router: forwards, leads its networks into the tunnel, and lets nothing for others out of it",
  (test) => {
    const site = {
      ...SITE,
      prefixes: [prefix("2001:db8:100::/60"), prefix("10.1.0.0/24")],
      egressDevices: ["wlan0"],
    };
    const keysOf = (one: MobileNodePlanSite): ReadonlySet<string> =>
      new Set(planMobileNodeSite(one, KEYS).map(objectKey));
    const host = keysOf(SITE);
    test.strictSame(commands(planMobileNodeSite(site, KEYS).filter((one) => !host.has(objectKey(one)))), [
      "sysctl -w net/ipv6/conf/default/accept_ra=2",
      "sysctl -w net/ipv6/conf/wlan0/accept_ra=2",
      "sysctl -w net/ipv6/conf/all/forwarding=1",
      "sysctl -w net/ipv4/ip_forward=1",
      "ip -6 rule add priority 4186 from all to 2001:db8:100::/60 table 254 proto 155",
      "ip -6 rule add priority 4191 from 2001:db8:100::/60 table 4191 proto 155",
      "ip -6 route add 2001:db8:100::/60 dev dsmip-hoa table 254 proto 155 metric 4294967295",
      "ip rule add priority 4186 from all to 10.1.0.0/24 table 254 proto 155",
      "ip rule add priority 4191 from 10.1.0.0/24 table 4191 proto 155",
      "ip route add 10.1.0.0/24 dev dsmip-hoa table 254 proto 155 metric 4294967295",
    ]);
    const rules = (chain: string): readonly string[] =>
      (mobileNodeFirewall(site).chains.find(({ name }) => name === chain)?.rules ?? []).map(({ text }) => text);
    test.strictSame(rules("in-ipv6-6").slice(0, 2), [
      "@th,192,128 0x20010db8000100000000000000000100 accept",
      "@th,192,128 & 0xfffffffffffffff00000000000000000 == 0x20010db8010000000000000000000000 accept",
    ]);
    test.strictSame(rules("in-ipv4-4").slice(0, 2), [
      "@th,128,32 0xc6336464 accept",
      "@th,128,32 & 0xffffff00 == 0x0a010000 accept",
    ]);
    test.end();
  },
);

t.test(
  "the 2004 profile: no UDP, the mapped address on the visited link, its way into the tunnel, answers let in",
  (test) => {
    const site = { ...SITE, mappedSignalling: true };
    const mapped = mappedAddress(ipv4("203.0.114.2"));
    const objects = planMobileNode({ ...away(FOUR), updateFrom: mapped }, site);
    const device = tunnelName(FOUR);
    test.strictSame(
      objects.flatMap((one) => (one.kind === "link" ? [one.name] : [])),
      [device],
      "the plain device alone",
    );
    const table = tableOf(FOUR);
    test.strictSame(
      commands(objects).filter((one) => /::ffff:/.test(one) || one.includes(`table ${table}`)),
      [
        `ip rule add priority 4187 from 203.0.114.2/32 fwmark 0/0x80000000 table ${table} proto 155`,
        `ip route add 203.0.113.1/32 dev eth4 table ${table} proto 155 metric 0`,
        "ip address add ::ffff:cb00:7202/128 dev eth4 proto 155 noprefixroute",
        `ip -6 rule add priority 4187 from ::ffff:cb00:7202/128 table ${table} proto 155`,
        `ip -6 route add 2001:db8:1::1/128 dev ${device} table ${table} proto 155 metric 1024`,
        "ip xfrm state add src 2001:db8:1::100 dst 2001:db8:1::1 proto hao mode ro reqid 1140850689 coa ::ffff:cb00:7202",
      ],
    );
    const rules = (chain: string, of: MobileNodePlanSite): readonly string[] =>
      (mobileNodeFirewall(of).chains.find(({ name }) => name === chain)?.rules ?? []).map(({ text }) => text);
    const answer =
      "@th,64,128 0x20010db8000100000000000000000001 @th,192,96 0x00000000000000000000ffff @th,48,8 43 accept";
    test.strictSame(rules("in-ipv4-6", site), [answer, ...rules("in-ipv4-6", SITE)]);
    const tunnelled = (missing: string): string =>
      `iifname "dsmip-t*" meta l4proto 135 ${missing}counter name tunnelled-signalling drop`;
    test.equal(rules("input", site)[0], tunnelled("meta ipsec missing "), "under ESP they may come out of the tunnel");
    test.equal(rules("input", SITE)[0], tunnelled(""));
    test.end();
  },
);

t.test("IPv4 networks of a router without an IPv4 home address have a way through the tunnel too", (test) => {
  const { ipv4HomeAddress: _, ...shared } = path({ egress: FOUR, ingress: [FOUR] });
  const { ipv4HomeAddress: __, ...site } = { ...SITE, prefixes: [prefix("10.1.0.0/24")] };
  const found = commands(planMobileNode(shared, site)).filter((one) => one.startsWith("ip route add 0.0.0.0/0"));
  test.strictSame(found, [`ip route add 0.0.0.0/0 dev ${tunnelName(FOUR)} table 4191 proto 155 scope global metric 0`]);
  test.end();
});

t.test(
  "with route optimisation correspondents are let in through the tunnel, the home agent's own address is not",
  (t) => {
    const chains = mobileNodeFirewall({ ...SITE, routeOptimisation: true }).chains;
    const rulesOf = (chain: string) => chains.find(({ name }) => name === chain)?.rules.map(({ text }) => text) ?? [];
    t.equal(rulesOf("input")[0], 'iifname "dsmip-t*" meta l4proto 135 jump in-correspondents');
    const [first, ...others] = rulesOf("in-correspondents");
    t.equal(first, `ip6 saddr ${SITE.homeAgent.ipv6} counter name tunnelled-signalling drop`);
    const types = others.slice(0, -1).map((text) => /@th,16,8 (\d+) .*limit rate 1000.*accept/.exec(text)?.[1]);
    t.strictSame(types, ["0", "3", "6", "7"]);
    t.equal(others.at(-1), "counter name tunnelled-signalling drop");
    t.equal(rulesOf("input").filter((text) => text.includes("metered")).length, 0);
    t.end();
  },
);

t.test(
  "a node that is others' correspondent hears their tests and updates, with and without the tunnel, in measure",
  (t) => {
    const { chains, counters } = mobileNodeFirewall({ ...SITE, routeOptimisation: true, correspondent: true });
    const rulesOf = (chain: string) => chains.find(({ name }) => name === chain)?.rules.map(({ text }) => text) ?? [];
    const typesOf = (texts: readonly string[]) =>
      texts.flatMap((text) => /@th,16,8 (\d+) .*limit rate 1000.*accept/.exec(text)?.[1] ?? []);
    t.strictSame(typesOf(rulesOf("in-correspondents")), ["0", "3", "6", "7", "1", "2", "5"]);
    t.strictSame(typesOf(rulesOf("input")), ["1", "2", "5"]);
    t.equal(rulesOf("input").filter((text) => text.endsWith("counter name metered drop")).length, 3);
    t.ok(counters.includes("metered"));
    t.end();
  },
);

t.test("a further home address has a table and rules of its own, and what all share is the first one's", (test) => {
  const second = { homeAddress: ipv6("2001:db8:1::1a1"), ipv4HomeAddress: ipv4("198.51.100.161") };
  const further: MobileNodePlanSite = { ...SITE, ...second, rank: 1 };
  const first: MobileNodePlanSite = { ...SITE, rank: 0, furtherHomes: [second] };
  const update = { ...KEY, spi: 0x2000 };
  const all = [
    ...planMobileNodeSite(further, { ...KEYS, update }),
    ...planMobileNode({ ...away(NAT), ...second }, further),
  ];
  const mine = commands(all).filter((one) => /1a1|100\.161/.test(one) && !one.includes("xfrm"));
  test.strictSame(mine, [
    "ip address add 2001:db8:1::1a1/128 dev dsmip-hoa proto 155 home nodad",
    "ip -6 rule add priority 4191 from 2001:db8:1::1a1/128 table 4200 proto 155",
    "ip -6 rule add priority 4193 from 2001:db8:1::1a1/128 table 4200 proto 155 # with FIB_RULE_FIND_SADDR, which ip has no word for",
    "ip address add 198.51.100.161/32 dev dsmip-hoa proto 155",
    "ip rule add priority 4191 from 198.51.100.161/32 table 4200 proto 155",
    `ip -6 route add ::/0 dev ${tunnelName(NAT)} table 4200 proto 155 metric 1024 src 2001:db8:1::1a1`,
    `ip route add 0.0.0.0/0 dev ${tunnelName(NAT)} table 4200 proto 155 scope global metric 0 src 198.51.100.161`,
  ]);
  test.notOk(
    all.some(({ kind }) => kind === "nft-table"),
    "there is one firewall",
  );
  const firsts = [...planMobileNodeSite(first, KEYS), ...planMobileNode(away(NAT), first)];
  const shared = new Map(firsts.map((one) => [objectKey(one), one]));
  for (const object of all) {
    const twin = shared.get(objectKey(object));
    if (twin !== undefined) test.strictSame(object, twin, "what both have is the same");
  }
  // Its router may be another one for a moment, while the first home address still has the former one.
  const routed = (gateway: string) => {
    const later = { ...away({ ...NAT, gateway: ipv4(gateway) }), ...second };
    return new Map(planMobileNode(later, further).map((one) => [objectKey(one), one]));
  };
  const moved = [...routed("10.0.0.9")].filter(([key, one]) => {
    const before = routed("10.0.0.1").get(key);
    return formatObject(one) !== (before && formatObject(before));
  });
  test.ok(moved.length > 0);
  for (const [key] of moved) test.notOk(shared.has(key), `${key} is nobody else's`);
  const lets = (chain: string): number =>
    (mobileNodeFirewall(first).chains.find(({ name }) => name === chain)?.rules ?? []).length;
  const before = (chain: string): number =>
    (mobileNodeFirewall(SITE).chains.find(({ name }) => name === chain)?.rules ?? []).length;
  for (const [chain, more] of [
    ["prerouting", 1],
    ["in-udp", 3],
    ["in-ipv4-6", 1],
    ["in-ipv4-4", 1],
    ["in-ipv6-6", 1],
    ["in-ipv6-4", 1],
  ] as const)
    test.equal(lets(chain) - before(chain), more, chain);
  test.end();
});
