/** What of the kernel carries multicast to nodes that are away: as commands, and that tags, marks and offsets agree with each other. */
import fc from "fast-check";
import t from "tap";
import { ipv4, ipv6 } from "../../../../controller/base/ip.js";
import {
  acceptReports,
  groupMark,
  labelledReports,
  MOST_NUMBERS,
  multicastChains,
  multicastSite,
  planGroup,
  planReports,
  QUERY_MARK,
  restoreGroup,
  toMulticastChains,
} from "../../../../controller/plan/home-agent/multicast.js";
import type { Filter } from "../../../../controller/plan/objects/copying.js";
import type { NftRule } from "../../../../controller/plan/objects/firewall.js";
import { formatObject } from "../../../../controller/plan/objects/format.js";
import type { HomeAgentPlanSite } from "../../../../controller/plan/site.js";

const SITE: HomeAgentPlanSite = {
  addresses: { ipv6: ipv6("2001:db8:1::1"), ipv4: ipv4("203.0.113.1") },
  homePrefixes: [],
  homeDevice: "home",
  mtu: 1400,
  profiles: new Map([["default", { dscp: "copy", ttl: 64 }]]),
  multicast: true,
};
const WITHOUT: HomeAgentPlanSite = { ...SITE, multicast: false };
const texts = (rules: readonly NftRule[]): string[] => rules.map(({ text }) => text);
const FLOWER = "flower skip_hw";

t.test(
  "what all groups share: the devices of copies, where they come from, and the group of all nodes",
  async (test) => {
    const device = (name: string, address: string): string[] => [
      `ip link add ${name} mtu 1400 type dummy\nip link set dev ${name} mtu 1400 alias dsmipd up`,
      `ip address add ${address}/32 dev ${name} scope host proto 155`,
      `sysctl -w net/ipv4/conf/${name}/rp_filter=2`,
    ];
    test.strictSame(multicastSite(SITE).map(formatObject), [
      ...device("dsmip-mg", "240.41.65.7"),
      ...device("dsmip-mm", "240.41.65.8"),
      "tc qdisc add dev home ingress_block 4191 clsact",
      "tc qdisc add dev dsmip-mg ingress_block 4192 clsact",
      `nft add element inet dsmipd group-6 { ${QUERY_MARK} : ff02::1 }`,
      `nft add element inet dsmipd group-4 { ${QUERY_MARK} : 224.0.0.1 }`,
    ]);
    test.strictSame(multicastSite({ ...SITE, homeDevice: undefined }), []);
  },
);

t.test(
  "a group is a copy off the home link, a chain with a copy for each member, and the way back to its address",
  async (test) => {
    const members = [
      { number: 3, homeAddress: ipv6("2001:db8:1::100") },
      { number: 0x0405, homeAddress: ipv6("2001:db8:1::101") },
    ];
    const copy = (priority: number, protocol: string, octets: string): string =>
      `tc filter add block 4192 chain 258 prio ${priority} handle 1 protocol ${protocol} ${FLOWER} action pedit ex munge eth src set 02:01:02:02:${octets} pipe action mirred ingress mirror dev dsmip-mm continue`;
    const first = (priority: number, match: string): string[] => [
      `tc filter add block 4192 chain 0 prio ${priority} handle 258 protocol ${match} action pedit ex munge eth src set 02:01:02:02:00:00 goto chain 258`,
      `tc filter add block 4191 chain 0 prio ${priority} handle 258 protocol ${match} action mirred ingress mirror dev dsmip-mg continue`,
    ];
    test.strictSame(planGroup(ipv6("ff0e::1"), 0x0102, members).map(formatObject), [
      `nft add element inet dsmipd group-6 { ${0x02020102} : ff0e::1 }`,
      "nft add element inet dsmipd member-6 { 3 : 2001:db8:1::100 }",
      `nft add element inet dsmipd member-6 { ${0x0405} : 2001:db8:1::101 }`,
      copy(3, "ipv6", "00:03"),
      copy(0x0405, "ipv6", "04:05"),
      ...first(1, `ipv6 ${FLOWER} dst_ip ff0e::1/128`),
    ]);
    const four = planGroup(ipv4("233.252.0.1"), 0x0102, [{ number: 3, homeAddress: ipv4("198.51.100.100") }]);
    test.strictSame(four.map(formatObject), [
      `nft add element inet dsmipd group-4 { ${0x02020102} : 233.252.0.1 }`,
      "nft add element inet dsmipd member-4 { 3 : 198.51.100.100 }",
      copy(3, "ip", "00:03"),
      ...first(2, `ip ${FLOWER} dst_ip 233.252.0.1/32`),
    ]);
    test.strictSame(planGroup(ipv6("ff0e::1"), 1, []), [], "nobody listens");
  },
);

t.test("the mark of each group is what the kernel makes of its tag, its own, and known as one of a copy", async () => {
  const [isCopy] = restoreGroup(SITE, 6, { outer: 6, udp: false }) ?? [];
  const known = /^meta mark & (0x[0-9a-f]+) == (0x[0-9a-f]+)$/.exec(isCopy?.text ?? "");
  const [mask, value] = [BigInt(known?.[1] ?? 0), BigInt(known?.[2] ?? 0)];
  const number = fc.integer({ min: 1, max: MOST_NUMBERS });
  fc.assert(
    fc.property(number, number, (group, node) => {
      const objects = planGroup(ipv6("ff0e::1"), group, [{ number: node, homeAddress: ipv6("2001:db8:1::100") }]);
      const tags = objects.filter((one): one is Filter => one.kind === "filter").flatMap(({ tag = [] }) => tag);
      // In the order of a little-endian machine.
      const marks = tags.map((tag) => Buffer.from(tag, "hex").readUInt32LE());
      const mark = groupMark(group);
      return (
        tags.length === 2 &&
        marks.every((one) => one === mark) &&
        mark !== QUERY_MARK &&
        (BigInt(mark) & mask) === value &&
        tags.some((tag) => Buffer.from(tag, "hex").readUInt16BE(4) === node)
      );
    }),
  );
});

t.test("a report without a home address gets its node's label where the node sends from", async (test) => {
  const ingress = [
    { format: "ipv6", address: ipv6("2001:db8:a::2") },
    { format: "ipv4", address: ipv4("203.0.114.2") },
    { format: "udp", address: ipv4("203.0.115.2"), port: 40000 },
    { format: "udp", address: ipv6("2001:db8:b::2"), port: 40000 },
  ] as const;
  const flow = 0x60012345;
  test.strictSame(
    planReports({ ingress }, 0x12345).map(formatObject),
    [
      `nft add element inet dsmipd report-ipv6 { 2001:db8:a::2 : ${flow} }`,
      `nft add element inet dsmipd report-ipv4 { 203.0.114.2 : ${flow} }`,
      `nft add element inet dsmipd report-udp { 203.0.115.2 . 40000 : ${flow} }`,
    ],
    "in UDP over IPv6 none is heard",
  );
  const listener = (at: number): string => `@th,${at + 64},10 0x3fa @th,${at + 192},8 255 @th,${at + 48},8 0`;
  test.strictSame(texts(labelledReports(SITE, "udp")), [
    `${listener(64)} @th,64,32 set ip saddr . udp sport map @report-udp udp checksum set 0 accept`,
  ]);
  test.strictSame(texts(labelledReports(SITE, "ipv4")), [
    `${listener(0)} @th,0,32 set ip saddr map @report-ipv4 accept`,
  ]);
  test.strictSame(texts(labelledReports(SITE, "ipv6")), [
    `${listener(0)} @th,0,32 set ip6 saddr map @report-ipv6 accept`,
  ]);
});

t.test("copies and reports have chains of their own, and of reports only so many go to the process", async (test) => {
  test.strictSame(texts(toMulticastChains(SITE)), [
    'iifname "dsmip-m*" jump multicast',
    'iifname "dsmip-in*" jump reports',
  ]);
  test.strictSame(
    multicastChains(SITE).map(({ name, rules }) => [name, ...texts(rules)]),
    [
      [
        "multicast",
        'iifname "dsmip-mg*" drop',
        "notrack meta pkttype set host meta mark set @ll,48,32",
        "meta nfproto ipv6 ip6 hoplimit 1 ip6 hoplimit set 2",
        "meta nfproto ipv4 ip ttl 1 ip ttl set 2",
        "meta nfproto ipv6 ip6 daddr set @ll,80,16 map @member-6 accept",
        "meta nfproto ipv4 ip daddr set @ll,80,16 map @member-4 accept",
        "drop",
      ],
      [
        "reports",
        "icmpv6 type 131 jump report-6",
        "icmpv6 type 132 jump report-6",
        "icmpv6 type 143 jump report-6",
        "meta nfproto ipv4 meta l4proto 2 jump report-4",
      ],
      [
        "report-6",
        "limit rate 500/second burst 1000 packets notrack ip6 daddr set 2001:db8:1::1 accept",
        "counter name metered-reports drop",
      ],
      [
        "report-4",
        "limit rate 500/second burst 1000 packets notrack ip daddr set 240.41.65.6 accept",
        "counter name metered-reports drop",
      ],
    ],
  );
  test.strictSame(texts(acceptReports(SITE)), ['iifname "dsmip-in*" meta l4proto 2 accept']);
});

t.test("the group takes its place back behind every outer header", async (test) => {
  /** Octets of the outer headers, and where the inner destination is behind them. */
  const formats = [
    { outer: 4, udp: false, octets: 20, transport: 0 },
    { outer: 4, udp: true, octets: 28, transport: 8 },
    { outer: 6, udp: false, octets: 40, transport: 0 },
  ] as const;
  for (const { octets, transport, ...format } of formats) {
    const restored = (version: 4 | 6) =>
      restoreGroup(SITE, version, format)
        ?.slice(1)
        .map(({ text }) => text);
    const [six, four] = [8 * (octets + 24), 8 * (octets + 16)];
    test.strictSame(restored(6), [
      `@th,${8 * transport},4 6`,
      `@nh,${six},128 set meta mark map @group-6 meta mark set 0`,
    ]);
    test.strictSame(restored(4), [
      `@th,${8 * transport},4 4`,
      `@nh,${four},32 set meta mark map @group-4 meta mark set 0`,
    ]);
  }
});

t.test("without multicast there is nothing of it", async (test) => {
  test.strictSame(multicastSite(WITHOUT), []);
  test.strictSame(multicastChains(WITHOUT), []);
  test.strictSame(toMulticastChains(WITHOUT), []);
  test.strictSame(acceptReports(WITHOUT), []);
  for (const format of ["udp", "ipv4", "ipv6"] as const) test.strictSame(labelledReports(WITHOUT, format), []);
  test.equal(restoreGroup(WITHOUT, 6, { outer: 6, udp: false }), undefined);
});
