/** What of the kernel brings groups to the device of the home addresses, and reports into the tunnel: as commands. */
import t from "tap";
import { ipv4, ipv6 } from "../../../../controller/base/ip.js";
import {
  multicastChains,
  multicastSite,
  reportsInto,
  toGroups,
  tunnelHook,
} from "../../../../controller/plan/mobile-node/multicast.js";
import { planMobileNode, tunnelName } from "../../../../controller/plan/mobile-node/plan.js";
import { formatObject } from "../../../../controller/plan/objects/format.js";
import type { MobileNodePlanSite } from "../../../../controller/plan/site.js";
import type { LocalEndpoint, MobileNodeDataPath } from "../../../../controller/protocol/mip6/mobile-node/inputs.js";

const HOA = ipv6("2001:db8:1::100");
const SITE: MobileNodePlanSite = {
  homeAddress: HOA,
  homePrefixes: [],
  homeAgent: { ipv6: ipv6("2001:db8:1::1"), ipv4: ipv4("203.0.113.1") },
  profile: { dscp: "copy", ttl: 64 },
  multicast: true,
};
const WITHOUT: MobileNodePlanSite = { ...SITE, multicast: false };
const FORMER: LocalEndpoint = { format: "ipv6", address: ipv6("2001:db8:a::2"), device: "eth0" };
const PRESENT: LocalEndpoint = { format: "ipv4", address: ipv4("203.0.114.2"), device: "eth1" };

const reports = (device: string): string[] => [
  ...[131, 132, 143].map(
    (type) =>
      `tc filter add block 4193 chain 0 prio 1 handle ${type} protocol ipv6 flower skip_hw ip_proto 58 type ${type} action mirred egress redirect dev ${device}`,
  ),
  `tc filter add block 4193 chain 0 prio 2 handle 1 protocol ip flower skip_hw ip_proto 2 action mirred egress redirect dev ${device}`,
];
const hook = (device: string): string => `tc qdisc add dev ${device} ingress_block 4194 clsact`;

t.test("what comes out of tunnels for groups comes in where they are joined", async (test) => {
  const groups = (priority: number, match: string): string =>
    `tc filter add block 4194 chain 0 prio ${priority} handle 1 protocol ${match} action mirred ingress redirect dev dsmip-hoa`;
  test.strictSame(multicastSite(SITE).map(formatObject), [
    "sysctl -w net/ipv4/conf/dsmip-hoa/rp_filter=2",
    "tc qdisc add dev dsmip-hoa egress_block 4193 clsact",
    groups(1, "ipv6 flower skip_hw dst_ip ff00::/8"),
    groups(2, "ip flower skip_hw dst_ip 224.0.0.0/4"),
  ]);
  test.strictSame(
    toGroups(SITE, 32, 6).map(({ text }) => text),
    ["@th,256,8 255"],
  );
  test.strictSame(
    toGroups(SITE, 24, 4).map(({ text }) => text),
    ["@th,192,32 & 0xf0000000 == 0xe0000000"],
  );
});

t.test(
  "reports go from the home address into the tunnel that payload takes, while others still receive",
  async (test) => {
    const path: MobileNodeDataPath = {
      ...{ homeAddress: HOA, mode: "away", revision: 1 },
      ...{ egress: PRESENT, ingress: [PRESENT, FORMER] },
    };
    const { egress: _, ...detached } = path;
    // An IPv4 care-of address has a tunnel in UDP, too.
    const inUdp: LocalEndpoint = { ...PRESENT, format: "udp" };
    const hooks = [inUdp, PRESENT, FORMER].map((endpoint) => hook(tunnelName(endpoint)));
    const ofMulticast = (given: MobileNodeDataPath, site = SITE): string[] =>
      planMobileNode(given, site)
        .filter(({ kind }) => kind === "qdisc" || kind === "filter")
        .map(formatObject);
    test.strictSame(ofMulticast(path), [...hooks, ...reports(tunnelName(PRESENT))]);
    test.strictSame(ofMulticast(detached), hooks, "without a way they go nowhere");
    test.strictSame(ofMulticast(path, { ...SITE, profile: { ...SITE.profile, protection: "esp" } }), []);
    test.strictSame(
      multicastChains(SITE).map(({ name, base, rules }) => [name, base?.hook, ...rules.map(({ text }) => text)]),
      [
        [
          "output-reports",
          "output",
          ...[131, 132, 143].map((type) => `oifname "dsmip-hoa" icmpv6 type ${type} ip6 saddr set ${HOA}`),
        ],
      ],
    );
  },
);

t.test("without multicast there is nothing of it", async (test) => {
  test.strictSame(multicastSite(WITHOUT), []);
  test.strictSame(multicastChains(WITHOUT), []);
  test.strictSame(tunnelHook(WITHOUT, "dsmip-ts0"), []);
  test.strictSame(reportsInto(WITHOUT, "dsmip-ts0"), []);
  test.strictSame(toGroups(WITHOUT, 32, 6), []);
});
