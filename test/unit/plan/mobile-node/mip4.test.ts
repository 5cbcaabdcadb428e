/** What the kernel of a Mobile IPv4 node holds at home, at a care-of address of its own in every encapsulation, and behind a foreign agent. */
import assert from "node:assert/strict";
import t from "tap";
import { ipv4, ipv6, type Prefix, parsePrefix } from "../../../../controller/base/ip.js";
import { type Mip4NodePlanSite, withPath } from "../../../../controller/plan/mobile-node/mip4/given.js";
import { openingsOf } from "../../../../controller/plan/mobile-node/mip4/openings.js";
import { mip4TunnelName, planMip4NodePath } from "../../../../controller/plan/mobile-node/mip4/path.js";
import { planMip4NodeSite } from "../../../../controller/plan/mobile-node/mip4/site.js";
import { formatObject } from "../../../../controller/plan/objects/format.js";
import { objectKey } from "../../../../controller/plan/objects/objects.js";
import type { NodePath, PathEnd } from "../../../../controller/protocol/mip4/mobile-node/inputs.js";

const prefix = (text: string): Prefix => parsePrefix(text) ?? assert.fail(text);
const HA = ipv4("203.0.113.1");
const HOA = ipv4("198.51.100.100");
const END = { kind: "co-located", device: "eth0", address: ipv4("203.0.114.2") } as const;
const AGENT: PathEnd = { kind: "foreign-agent", device: "eth1", agent: ipv4("192.0.2.1") };
const DIRECT = { prefix: prefix("2001:db8:9:1::/64"), mode: "care-of-address" } as const;
const OVER_HOME = { prefix: prefix("2001:db8:9:2::/64"), mode: "home-address" } as const;

const SITE: Mip4NodePlanSite = {
  homeAgent: HA,
  homeAddress: HOA,
  homePrefixes: [prefix("198.51.100.0/24")],
  prefixes: [],
  profile: { dscp: "copy", ttl: 64 },
  routers: new Map([
    ["eth0", ipv4("203.0.114.1")],
    ["home", ipv4("198.51.100.1")],
  ]),
};
type Away = Extract<NodePath, { readonly mode: "away" }>;
const away = (changes: Partial<Away> = {}): Away => ({
  mode: "away",
  homeAddress: HOA,
  homeAgent: HA,
  egress: END,
  ingress: [END],
  encapsulation: "ip-in-ip",
  reverseTunnelling: true,
  prefixes: [],
  ...changes,
});
const plan = (path: NodePath): string[] => planMip4NodePath(path, withPath(SITE, path)).map(formatObject);
const routes = (path: NodePath): string[] => plan(path).filter((one) => /^ip (-6 )?(route|rule)/.test(one));
const tunnel = (letter: "p" | "n" | "g"): string => mip4TunnelName(END, letter);
const DEFAULT = (device: string): string =>
  `ip route add 0.0.0.0/0 dev ${device} table 4191 proto 155 scope global metric 0 src 198.51.100.100`;

t.test(
  "a care-of address has a device for each encapsulation, and the way of the home address is one of them",
  async (test) => {
    const made = plan(away()).filter((one) => one.startsWith("ip link"));
    const sit = "type sit mode any local 203.0.114.2 remote 203.0.113.1";
    const header = "ttl inherit tos inherit nopmtudisc";
    test.strictSame(
      made.map((one) => one.split("\n")[0]),
      [
        `ip link add ${tunnel("n")} mtu 1400 ${sit} ${header} encap gue encap-sport 434 encap-dport 434`,
        `ip link add ${tunnel("p")} mtu 1400 ${sit} dev eth0 ${header}`,
        `ip link add ${tunnel("g")} mtu 1400 type gre local 203.0.114.2 remote 203.0.113.1 ttl inherit tos inherit nopmtudisc`,
      ],
    );
    const small = { ...SITE, profile: { ...SITE.profile, mtu: 1280 } };
    const links = planMip4NodePath(away(), small).flatMap((one) => (one.kind === "link" ? [one.mtu] : []));
    test.strictSame(links, [1280, 1280, 1280], "IPv4 alone has the profile's MTU, however small");
    const uplink = routes(away()).slice(0, 2);
    test.match(uplink[0], /^ip rule add priority 4187 from 203.0.114.2\/32 table \d+ proto 155$/);
    test.match(uplink[1], /^ip route add 203.0.113.1\/32 via 203.0.114.1 dev eth0 table \d+ .*onlink$/);
    test.strictSame(routes(away()).slice(2), [DEFAULT(tunnel("p"))]);
    test.strictSame(routes(away({ keepaliveSeconds: 110 })).slice(2), [DEFAULT(tunnel("n"))]);
    test.strictSame(routes(away({ encapsulation: "gre" })).slice(2), [DEFAULT(tunnel("g"))]);
  },
);

t.test("IPv6 goes as the home agent has said of each prefix", async (test) => {
  const six = (device: string, table = 4191): string =>
    `ip -6 route add ::/0 dev ${device} table ${table} proto 155 metric 1024`;
  const ofIpv6 = (prefixes: Away["prefixes"]): string[] =>
    routes(away({ prefixes })).filter((one) => one.startsWith("ip -6"));
  test.strictSame(ofIpv6([DIRECT]), [six(tunnel("p"))]);
  test.strictSame(ofIpv6([OVER_HOME]), [six("dsmip-th")]);
  test.strictSame(ofIpv6([DIRECT, OVER_HOME]), [
    six(tunnel("p")),
    six("dsmip-th", 4196),
    "ip -6 rule add priority 4188 from 2001:db8:9:2::/64 table 4196 proto 155",
  ]);
  const device = plan(away({ prefixes: [OVER_HOME] })).find((one) => one.startsWith("ip link add dsmip-th"));
  test.match(device, /mtu 1380 type sit mode any local 198.51.100.100 remote 203.0.113.1 ttl inherit/);
});

t.test(
  "without a reverse tunnel IPv4 leaves by the link's router, and what is for the home agent in the tunnel",
  async (test) => {
    test.strictSame(routes(away({ reverseTunnelling: false })).slice(2), [
      `ip route add 203.0.113.1/32 dev ${tunnel("p")} table 4191 proto 155 metric 0 src 198.51.100.100`,
      "ip route add 0.0.0.0/0 via 203.0.114.1 dev eth0 table 4191 proto 155 metric 0 src 198.51.100.100 onlink",
    ]);
  },
);

t.test(
  "behind a foreign agent the agent is the router, there is no tunnel, and nobody is told of the home address by ARP",
  async (test) => {
    const path = away({ egress: AGENT, ingress: [AGENT], prefixes: [OVER_HOME] });
    test.strictSame(routes(path), [
      "ip route add 0.0.0.0/0 via 192.0.2.1 dev eth1 table 4191 proto 155 metric 0 src 198.51.100.100 onlink",
      "ip -6 route add ::/0 dev dsmip-th table 4191 proto 155 metric 1024",
    ]);
    test.ok(plan(path).includes("sysctl -w net/ipv4/conf/eth1/arp_ignore=1"));
    const known = { ...AGENT, linkLayerAddress: "02:00:5e:10:00:01" };
    const neighbours = plan(away({ egress: known, ingress: [known] })).filter((one) => one.includes(" lladdr "));
    test.equal(neighbours.length, 1, "and the agent is not asked for");
    test.match(neighbours[0], /192\.0\.2\.1 lladdr 02:00:5e:10:00:01 .*dev eth1/);
  },
);

t.test("at home the home link's routes, and nowhere beside them; nowhere alone without a way", async (test) => {
  const last = "ip route add 0.0.0.0/0 dev dsmip-hoa table 4191 proto 155 scope global metric";
  test.strictSame(plan({ mode: "home", device: "home", homeAddress: HOA }), [
    "ip address add 198.51.100.100/32 dev home proto 155",
    "ip route add 198.51.100.0/24 dev home table 4191 proto 155 metric 0 src 198.51.100.100",
    "ip route add 0.0.0.0/0 via 198.51.100.1 dev home table 4191 proto 155 metric 0 src 198.51.100.100 onlink",
    `${last} 65535 src 198.51.100.100`,
  ]);
  test.strictSame(plan({ mode: "detached" }), [`${last} 0 src 198.51.100.100`]);
});

t.test("a stateful firewall is shown each outer protocol that the way uses, but for UDP", async (test) => {
  const four = { family: 4, source: HOA, destination: HA };
  const six = { family: 6, destination: ipv6("fe80::203.0.113.1") };
  const openings = (changes: Partial<Away>, ipv6HomeAddress?: ReturnType<typeof ipv6>) =>
    openingsOf(away(changes), { ipv6HomeAddress });
  test.strictSame(openings({}), [four]);
  test.strictSame(openings({ keepaliveSeconds: 110, prefixes: [DIRECT] }), []);
  test.strictSame(openings({ prefixes: [DIRECT, OVER_HOME], encapsulation: "gre" }, ipv6("2001:db8:9:1::7")), [
    four,
    { ...six, device: tunnel("g"), source: "2001:db8:9:1::7" },
    { ...six, device: "dsmip-th", source: "2001:db8:9:2::" },
  ]);
  for (const changes of [{ keepaliveSeconds: 110 }, { egress: AGENT }])
    test.match(openings({ ...changes, prefixes: [OVER_HOME] }), [{ device: "dsmip-th", family: 6 }]);
  test.strictSame(openingsOf({ mode: "home", device: "home", homeAddress: HOA }, {}), []);
});

t.test("at home IPv6 takes the home link, and no other that the main table prefers", async (test) => {
  const homeRoutes = [
    { destination: prefix("::/0"), gateway: ipv6("fe80::1") },
    { destination: prefix("2001:db8:1::/64") },
  ];
  const site = { ...SITE, prefixes: [DIRECT.prefix], homeRoutes };
  const path = { mode: "home", device: "home", homeAddress: HOA } as const;
  const six = planMip4NodePath(path, withPath(site, path))
    .map(formatObject)
    .filter((one) => one.startsWith("ip -6 route"));
  test.strictSame(six, [
    "ip -6 route add ::/0 via fe80::1 dev home table 4191 proto 155 metric 1024 onlink",
    "ip -6 route add 2001:db8:1::/64 dev home table 4191 proto 155 metric 1024",
    "ip -6 route add ::/0 dev dsmip-hoa table 4191 proto 155 metric 65535",
  ]);
});

t.test(
  "at home or nowhere the place that is asked for is ready: its rule, its tunnels, and that to the home address",
  async (test) => {
    const site = { ...SITE, prefixes: [DIRECT.prefix] };
    const objects = (path: NodePath): string[] => planMip4NodePath(path, withPath(site, path)).map(formatObject);
    const home = { mode: "home", device: "home", homeAddress: HOA } as const;
    for (const path of [{ ...home, ingress: [END] }, { mode: "detached", ingress: [END] } as const]) {
      const text = objects(path).join("\n");
      test.match(text, /ip rule add .*from 203\.0\.114\.2/, path.mode);
      for (const letter of ["p", "n", "g"] as const) test.match(text, tunnel(letter), path.mode);
      test.match(text, "dsmip-th", path.mode);
    }
    test.match(objects({ ...home, ingress: [AGENT] }).join("\n"), /eth1\/rp_filter[\s\S]*dsmip-th/);
    test.notMatch(objects(home).join("\n"), "dsmip-t");
    test.match(
      objects(away({ prefixes: [DIRECT], ingress: [END, AGENT] })).join("\n"),
      "dsmip-th",
      "an agent has nothing else",
    );
  },
);

t.test("a strict filter passes the answer at home while the way back leads elsewhere", async (test) => {
  for (const path of [away({ homeDevice: "home" }), { mode: "detached", homeDevice: "home" } as const])
    test.match(plan(path).join("\n"), "net/ipv4/conf/home/rp_filter", path.mode);
});

t.test(
  "an IPv6 address that is registered as a prefix of its own is on the home link at home, and makes no router",
  async (test) => {
    const own = ipv6("2001:db8:1::5");
    const path = { mode: "home", device: "home", homeAddress: HOA } as const;
    const site = withPath({ ...SITE, ipv6HomeAddress: own, prefixes: [prefix("2001:db8:1::5/128")] }, path);
    test.match(planMip4NodePath(path, site).map(formatObject).join("\n"), "2001:db8:1::5/128 dev home ");
    test.notMatch(planMip4NodeSite(site).map(formatObject).join("\n"), "forwarding");
    const network = { ...site, prefixes: [prefix("2001:db8:1::/64")] };
    test.notMatch(planMip4NodePath(path, network).map(formatObject).join("\n"), "2001:db8:1::5");
    test.match(planMip4NodeSite(network).map(formatObject).join("\n"), "forwarding");
  },
);

t.test("the site and any path of it hold no object twice", async (test) => {
  const paths: NodePath[] = [
    { mode: "detached" },
    { mode: "home", device: "home", homeAddress: HOA },
    away({ ingress: [AGENT, END], prefixes: [DIRECT, OVER_HOME], linkLocalAddress: ipv6("fe80::c633:6464") }),
  ];
  for (const path of paths) {
    const site = withPath({ ...SITE, ipv6HomeAddress: ipv6("2001:db8:9:1::5") }, path);
    const keys = [...planMip4NodeSite(site), ...planMip4NodePath(path, site)].map(objectKey);
    const twice = keys.filter((key, i) => keys.indexOf(key) !== i);
    test.strictSame(twice, [], path.mode);
  }
});
