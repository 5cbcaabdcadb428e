/** Kernel objects as commands. test/kernel/rtnetlink.test.ts runs those of iproute2 and compares what the kernel then has. */
import t from "tap";
import { ipv4, ipv6, parsePrefix } from "../../../../controller/base/ip.js";
import { etherAddress } from "../../../../controller/base/link-address.js";
import { Secret } from "../../../../controller/base/secret.js";
import { formatObject, formatObjectShort } from "../../../../controller/plan/objects/format.js";
import type { Link } from "../../../../controller/plan/objects/forwarding.js";
import type { KernelObject } from "../../../../controller/plan/objects/objects.js";

const prefix = (text: string) => parsePrefix(text) ?? { address: ipv6("::"), length: 0 };
const HA = ipv6("2001:db8:1::1");
const HOA = ipv6("2001:db8:1::100");
const COA = ipv6("2001:db8:f::2");
const link = (spec: Link["link"], up = true): Link => ({ kind: "link", name: "dsmip0", mtu: 1400, up, link: spec });
const SELECTOR = { source: prefix("2001:db8:1::100/128"), destination: prefix("2001:db8:1::1/128"), protocol: 135 };

const CASES: readonly (readonly [KernelObject, string])[] = [
  [{ kind: "fou-port", family: 4, port: 4191, encapsulation: "gue" }, "ip fou add port 4191 gue"],
  [{ kind: "fou-port", family: 6, port: 4191, encapsulation: "gue" }, "ip -6 fou add port 4191 gue"],
  [
    link({ type: "sit", local: ipv4("203.0.113.1"), ttl: 64, trafficClass: "inherit", pathMtuDiscovery: true }),
    "ip link add dsmip0 mtu 1400 type sit mode any local 203.0.113.1 remote any ttl 64 tos inherit pmtudisc\nip link set dev dsmip0 mtu 1400 alias dsmipd up",
  ],
  [
    link(
      {
        type: "sit",
        local: ipv4("10.0.0.2"),
        remote: ipv4("203.0.113.1"),
        udp: { sourcePort: 4191, destinationPort: 4191 },
        ttl: 0,
        trafficClass: 0xb8,
        pathMtuDiscovery: false,
      },
      false,
    ),
    "ip link add dsmip0 mtu 1400 type sit mode any local 10.0.0.2 remote 203.0.113.1 ttl inherit tos 0xb8 nopmtudisc encap fou encap-sport 4191 encap-dport 4191\nip link set dev dsmip0 mtu 1400 alias dsmipd down",
  ],
  [
    link({ type: "ip6tnl", external: true, ttl: 64, trafficClass: "inherit" }),
    "ip link add dsmip0 mtu 1400 type ip6tnl mode any external hoplimit 64 tclass inherit encaplimit none\nip link set dev dsmip0 mtu 1400 alias dsmipd up",
  ],
  [
    link({ type: "ip6tnl", external: false, local: COA, remote: HA, ttl: 64, trafficClass: 0 }),
    "ip link add dsmip0 mtu 1400 type ip6tnl mode any local 2001:db8:f::2 remote 2001:db8:1::1 hoplimit 64 tclass 0x0 encaplimit none\nip link set dev dsmip0 mtu 1400 alias dsmipd up",
  ],
  [link({ type: "dummy" }), "ip link add dsmip0 mtu 1400 type dummy\nip link set dev dsmip0 mtu 1400 alias dsmipd up"],
  [link({ type: "tun" }), "ip tuntap add dev dsmip0 mode tun\nip link set dev dsmip0 mtu 1400 alias dsmipd up"],
  [
    { kind: "address", device: "dsmip0", address: HOA, prefixLength: 128, home: true, noPrefixRoute: true },
    "ip address add 2001:db8:1::100/128 dev dsmip0 proto 155 home nodad noprefixroute",
  ],
  [
    {
      kind: "address",
      device: "dsmip0",
      address: ipv4("240.41.64.64"),
      prefixLength: 32,
      home: false,
      noPrefixRoute: false,
      hostScope: true,
    },
    "ip address add 240.41.64.64/32 dev dsmip0 scope host proto 155",
  ],
  [
    {
      kind: "route",
      destination: prefix("198.51.100.7/32"),
      table: 254,
      metric: 100,
      device: "dsmip0",
      via: ipv4("203.0.113.77"),
      onlink: true,
      mtu: 1300,
      preferredSource: ipv4("198.51.100.1"),
      advertisedMss: 1220,
    },
    "ip route add 198.51.100.7/32 via 203.0.113.77 dev dsmip0 table 254 proto 155 metric 100 src 198.51.100.1 mtu lock 1300 advmss 1220 onlink",
  ],
  [
    {
      kind: "route",
      destination: prefix("2001:db8:1::100/128"),
      table: 254,
      metric: 100,
      device: "dsmip6",
      encapsulation: { source: HA, destination: COA, hopLimit: 64, trafficClass: 0xb8 },
    },
    "ip -6 route add 2001:db8:1::100/128 encap ip6 dst 2001:db8:f::2 src 2001:db8:1::1 hoplimit 64 tc 0xb8 dev dsmip6 table 254 proto 155 metric 100",
  ],
  [
    { kind: "rule", family: 6, priority: 1000, table: 4191, mark: 0x4191 },
    "ip -6 rule add priority 1000 from all fwmark 0x4191 table 4191 proto 155",
  ],
  [
    { kind: "rule", family: 4, priority: 1001, table: 4191, from: prefix("0.0.0.0/32") },
    "ip rule add priority 1001 from 0.0.0.0/32 table 4191 proto 155",
  ],
  [
    { kind: "rule", family: 6, priority: 1003, table: 0, mark: 0x6191, unreachable: true },
    "ip -6 rule add priority 1003 from all fwmark 0x6191 unreachable proto 155",
  ],
  [
    {
      kind: "rule",
      family: 4,
      priority: 1002,
      table: 254,
      from: prefix("0.0.0.0/32"),
      to: prefix("224.0.0.0/3"),
      udpDestinationPort: 67,
    },
    "ip rule add priority 1002 from 0.0.0.0/32 to 224.0.0.0/3 ipproto udp dport 67 table 254 proto 155",
  ],
  [
    { kind: "proxy-neighbour", device: "home", address: HOA, router: true },
    "ip neighbour add proxy 2001:db8:1::100 dev home router proto 155",
  ],
  [
    {
      kind: "xfrm-state",
      source: HOA,
      destination: HA,
      reqid: 7,
      selector: SELECTOR,
      transform: {
        type: "esp",
        spi: 0x1000,
        mode: "transport",
        aead: { algorithm: "rfc4106(gcm(aes))", key: new Secret(Uint8Array.of(0xde, 0xad)), icvLength: 16 },
        replayWindow: 32,
      },
    },
    "ip xfrm state add src 2001:db8:1::100 dst 2001:db8:1::1 proto esp spi 0x1000 mode transport reqid 7 replay-window 32 aead 'rfc4106(gcm(aes))' [secret] 128 sel src 2001:db8:1::100/128 dst 2001:db8:1::1/128 proto 135",
  ],
  [
    {
      kind: "xfrm-state",
      source: ipv6("::"),
      destination: ipv6("::"),
      reqid: 8,
      transform: { type: "home-address-option", careOfAddress: ipv6("::"), wildcard: true },
    },
    "ip xfrm state add src :: dst :: proto hao mode ro reqid 8 flag wildrecv coa ::",
  ],
  [
    {
      kind: "xfrm-policy",
      direction: "forward",
      policyType: "sub",
      selector: { ...SELECTOR, mobilityHeaderType: 5 },
      priority: 9,
      action: "allow",
      mark: { value: 0x4191, mask: 0xffff },
      templates: [
        {
          protocol: "type2-routing-header",
          mode: "route-optimisation",
          source: HA,
          destination: HOA,
          reqid: 8,
          optional: true,
        },
      ],
    },
    "ip xfrm policy add src 2001:db8:1::100/128 dst 2001:db8:1::1/128 proto 135 type 5 dir fwd mark 0x4191 mask 0xffff ptype sub priority 9 tmpl src 2001:db8:1::1 dst 2001:db8:1::100 proto route2 reqid 8 mode ro level use",
  ],
  [
    { kind: "nft-element", set: "bind6", key: [ipv4("203.0.113.77"), 1024, HOA] },
    "nft add element inet dsmipd bind6 { 203.0.113.77 . 1024 . 2001:db8:1::100 }",
  ],
  [
    { kind: "nft-element", set: "port6", key: [HOA], value: 1024 },
    "nft add element inet dsmipd port6 { 2001:db8:1::100 : 1024 }",
  ],
  [
    {
      kind: "nft-table",
      family: "inet",
      name: "dsmipd",
      counters: ["spoof"],
      sets: [
        { name: "port6", key: ["ipv6_addr"], value: "inet_service", size: 100 },
        { name: "tos", key: ["integer"], value: "integer", constant: true, elements: [{ key: "0000", value: "6000" }] },
      ],
      chains: [
        { name: "common", rules: [] },
        {
          name: "in",
          base: { type: "filter", hook: "input", priority: -10, policy: "accept" },
          rules: [{ text: "udp dport 4191 counter name spoof drop", expressions: [] }],
        },
      ],
    },
    [
      "nft add table inet dsmipd",
      "nft add counter inet dsmipd spoof",
      "nft add map inet dsmipd port6 { type ipv6_addr : inet_service; size 100; }",
      "nft add map inet dsmipd tos { type integer : integer; flags constant; elements = { 0x0000 : 0x6000 }; }",
      "nft add chain inet dsmipd common",
      "nft add chain inet dsmipd in { type filter hook input priority -10; policy accept; }",
      "nft add rule inet dsmipd in udp dport 4191 counter name spoof drop",
    ].join("\n"),
  ],
  [
    {
      kind: "policy-hash",
      ipv4: { localBits: 0, remoteBits: 32 },
      ipv6: { localBits: 1, remoteBits: 128 },
    },
    "ip xfrm policy set hthresh4 0 32 hthresh6 1 128",
  ],
  [
    { kind: "qdisc", device: "home", direction: "ingress", block: 4191 },
    "tc qdisc add dev home ingress_block 4191 clsact",
  ],
  [
    {
      kind: "filter",
      ...{ block: 4192, chain: 7, priority: 3, handle: 1, family: 6 },
      match: {},
      tag: "020007020003",
      outcome: { verb: "copy-in", device: "dsmip-mm" },
    },
    "tc filter add block 4192 chain 7 prio 3 handle 1 protocol ipv6 flower skip_hw action pedit ex munge eth src set 02:00:07:02:00:03 pipe action mirred ingress mirror dev dsmip-mm continue",
  ],
  [
    {
      kind: "filter",
      ...{ block: 4192, chain: 0, priority: 2, handle: 7, family: 4 },
      match: { destination: { address: ipv4("239.1.1.9"), length: 32 } },
      tag: "020007020000",
      outcome: { verb: "goto", chain: 7 },
    },
    "tc filter add block 4192 chain 0 prio 2 handle 7 protocol ip flower skip_hw dst_ip 239.1.1.9/32 action pedit ex munge eth src set 02:00:07:02:00:00 goto chain 7",
  ],
  [
    {
      kind: "filter",
      ...{ block: 4193, chain: 0, priority: 1, handle: 1, family: 6 },
      match: { protocol: 58, icmpv6Type: 143 },
      outcome: { verb: "move-out", device: "dsmip-tu" },
    },
    "tc filter add block 4193 chain 0 prio 1 handle 1 protocol ipv6 flower skip_hw ip_proto 58 type 143 action mirred egress redirect dev dsmip-tu",
  ],
  [
    { kind: "sysctl", path: "net/ipv6/conf/eth0.1/proxy_ndp", value: "1" },
    "sysctl -w net/ipv6/conf/eth0.1/proxy_ndp=1",
  ],

  [
    {
      kind: "nft-element",
      set: "visitors-up",
      key: [etherAddress("00:00:5e:00:53:01"), ipv4("198.51.100.101")],
      value: 0x20000001,
    },
    "nft add element inet dsmipd visitors-up { 00:00:5e:00:53:01 . 198.51.100.101 : 536870913 }",
  ],
  [
    {
      kind: "permanent-neighbour",
      device: "visit",
      address: ipv4("240.43.0.1"),
      linkAddress: "02:00:00:00:00:01",
    },
    "ip neigh add 240.43.0.1 lladdr 02:00:00:00:00:01 nud permanent dev visit protocol 155",
  ],
  [
    { kind: "rule", family: 4, priority: 4180, table: 4197, mark: 0x20000000, markMask: 0xf0000000 },
    "ip rule add priority 4180 from all fwmark 0x20000000/0xf0000000 table 4197 proto 155",
  ],
];

t.test("every object is the command that would make it", (t) => {
  for (const [object, command] of CASES) t.equal(formatObject(object), command);
  const kinds: Record<KernelObject["kind"], true> = {
    "fou-port": true,
    link: true,
    address: true,
    route: true,
    rule: true,
    "proxy-neighbour": true,
    "permanent-neighbour": true,
    "xfrm-state": true,
    "xfrm-policy": true,
    "policy-hash": true,
    "nft-table": true,
    "nft-element": true,
    qdisc: true,
    filter: true,
    sysctl: true,
  };
  t.strictSame(
    [...new Set(CASES.map(([{ kind }]) => kind))].sort(),
    Object.keys(kinds).sort(),
    "every kind has a case",
  );
  t.end();
});

t.test("keys never appear, and one line is enough for an error", (t) => {
  const all = CASES.map(([object]) => formatObject(object)).join("\n");
  t.notMatch(all, /dead/);
  t.match(all, /\[secret\]/);
  t.equal(formatObjectShort(link({ type: "dummy" })), "ip link add dsmip0 mtu 1400 type dummy");
  t.end();
});
