/**
 * Two rulesets that were proved by hand with nft, in its language and as values of the plan: what each means is said once here, and the
 * tests hold the two against each other.
 */
import type { NftExpression, NftRule, NftSet, NftTable } from "../../../controller/plan/objects/firewall.js";
import * as parts from "../../../controller/plan/objects/nft-clause.js";
import * as matches from "../../../controller/plan/objects/nft-matches.js";
import * as verdicts from "../../../controller/plan/objects/nft-verdicts.js";

const nft = { ...matches, ...verdicts, innerField: parts.innerField, KEY: parts.KEY, rule: parts.rule };

const udp: NftExpression[] = [
  { type: "meta", key: "l4proto", register: 1 },
  { type: "compare", op: "eq", register: 1, value: "11" },
];
const family = (value: "02" | "0a"): NftExpression[] => [
  { type: "meta", key: "nfproto", register: 1 },
  { type: "compare", op: "eq", register: 1, value },
];
const load = (base: "network" | "transport", offset: number, length: number, register = 1): NftExpression => ({
  type: "payload",
  base,
  offset,
  length,
  register,
});
const equals = (value: string): NftExpression => ({ type: "compare", op: "eq", register: 1, value });
const masked = (mask: string): NftExpression => {
  const xor = "0".repeat(mask.length);
  return { type: "bitwise", source: 1, destination: 1, mask, xor };
};
const mapped = (set: string): NftExpression => ({ type: "lookup", set, register: 1, destination: 1, negate: false });
const member = (set: string): NftExpression => ({ type: "lookup", set, register: 1, negate: false });
const immediate = (value: string): NftExpression => ({ type: "immediate", register: 1, value });
/** Into the UDP header; the checksum is corrected, as nft always does there. */
const store = (offset: number): NftExpression => ({
  type: "payload-set",
  base: "transport",
  offset,
  length: 2,
  register: 1,
  checksum: "inet",
  checksumOffset: 6,
  pseudoHeader: false,
});
const storeTrafficClass: NftExpression = {
  type: "payload-set",
  base: "network",
  offset: 0,
  length: 2,
  register: 1,
  checksum: "none",
  checksumOffset: 0,
  pseudoHeader: false,
};
const count = (counter: string): NftExpression => ({ type: "count", counter });
const accept: NftExpression = { type: "verdict", verdict: "accept" };
const drop: NftExpression = { type: "verdict", verdict: "drop" };
/** A zero is no checksum (RFC 768); the correction before would make a wrong one of it. */
const noChecksum = [immediate("0000"), store(6)];
const innerVersion = (nibble: "4" | "6"): NftExpression[] => [
  load("transport", 8, 1),
  masked("f0"),
  equals(`${nibble}0`),
];
const port = (offset: 0 | 2, value: string): NftExpression[] => [load("transport", offset, 2), equals(value)];

const rule = (text: string, expressions: readonly NftExpression[]): NftRule => ({ text, expressions });

const HOME_AGENT = "203.0.113.1";
const HOME_AGENT_HEX = "cb007101";
const HOME_AGENT6_HEX = "20010db8000100000000000000000001";
const fromHomeAgent = [...family("02"), load("network", 12, 4), equals(HOME_AGENT_HEX), ...udp, ...port(0, "105f")];

const toNode = (nibble: "4" | "6", bits: string, inner: NftExpression): NftRule =>
  rule(
    `ip saddr ${HOME_AGENT} udp sport 4191 @th,64,4 ${nibble} udp dport set @th,${bits} map @port${nibble} udp checksum set 0`,
    [
      ...fromHomeAgent,
      ...innerVersion(nibble),
      inner,
      mapped(`port${nibble}`),
      store(2),
      ...noChecksum,
      count("encapsulated"),
    ],
  );
const fromNode = (nibble: "4" | "6", bits: string, inner: NftExpression): NftRule =>
  rule(`udp dport 4191 @th,64,4 ${nibble} ip saddr . udp sport . @th,${bits} @bind${nibble} accept`, [
    ...udp,
    ...port(2, "105f"),
    ...innerVersion(nibble),
    ...family("02"),
    load("network", 12, 4),
    load("transport", 0, 2, 9),
    inner,
    member(`bind${nibble}`),
    count("decapsulated"),
    accept,
  ]);
const signalling = [
  ...udp,
  ...port(2, "105f"),
  ...innerVersion("6"),
  load("transport", 32, 16),
  equals(HOME_AGENT6_HEX),
];
const base = (hook: "output" | "prerouting" | "input", priority: number) =>
  ({ type: "filter", hook, priority, policy: "accept" }) as const;

/** Ports of nodes behind NATs, anti-spoofing before decapsulation, signalling steered to user space. */
export const DATAPATH: NftTable = {
  kind: "nft-table",
  family: "inet",
  name: "dsmipd",
  counters: ["encapsulated", "decapsulated", "steered", "answered", "signalled", "spoofed"],
  sets: [
    { name: "port6", key: ["ipv6_addr"], value: "inet_service" },
    { name: "port4", key: ["ipv4_addr"], value: "inet_service" },
    { name: "bind6", key: ["ipv4_addr", "inet_service", "ipv6_addr"] },
    { name: "bind4", key: ["ipv4_addr", "inet_service", "ipv4_addr"] },
  ],
  chains: [
    {
      name: "out",
      base: base("output", 0),
      rules: [toNode("6", "256,128", load("transport", 32, 16)), toNode("4", "192,32", load("transport", 24, 4))],
    },
    {
      name: "steer",
      base: base("prerouting", -350),
      rules: [
        rule(`udp dport 4191 @th,64,4 6 @th,256,128 0x${HOME_AGENT6_HEX} udp dport set 4192 udp checksum set 0`, [
          ...signalling,
          immediate("1060"),
          store(2),
          ...noChecksum,
          count("steered"),
        ]),
      ],
    },
    {
      name: "sigout",
      base: base("output", -350),
      rules: [
        rule("udp sport 4192 udp sport set 4191 udp checksum set 0", [
          ...udp,
          ...port(0, "1060"),
          immediate("105f"),
          store(0),
          ...noChecksum,
          count("answered"),
        ]),
      ],
    },
    {
      name: "in",
      base: base("input", 0),
      rules: [
        rule(`udp dport 4191 @th,64,4 6 @th,256,128 0x${HOME_AGENT6_HEX}`, [...signalling, count("signalled")]),
        fromNode("6", "128,128", load("transport", 16, 16, 10)),
        fromNode("4", "160,32", load("transport", 20, 4, 10)),
        rule("udp dport 4191 drop", [...udp, ...port(2, "105f"), count("spoofed"), drop]),
      ],
    },
  ],
};

/** The same, as it was proved. */
export const DATAPATH_TEXT = `table inet theirs {
  map port6 { typeof @th,256,128 : udp dport; }
  map port4 { typeof @th,192,32 : udp dport; }
  set bind6 { typeof ip saddr . udp sport . @th,128,128; }
  set bind4 { typeof ip saddr . udp sport . @th,160,32; }
  chain out { type filter hook output priority 0; policy accept;
    ip saddr 203.0.113.1 udp sport 4191 @th,64,4 6 udp dport set @th,256,128 map @port6 udp checksum set 0 counter
    ip saddr 203.0.113.1 udp sport 4191 @th,64,4 4 udp dport set @th,192,32 map @port4 udp checksum set 0 counter
  }
  chain steer { type filter hook prerouting priority -350; policy accept;
    udp dport 4191 @th,64,4 6 @th,256,128 0x20010db8000100000000000000000001 udp dport set 4192 udp checksum set 0 counter
  }
  chain sigout { type filter hook output priority -350; policy accept;
    udp sport 4192 udp sport set 4191 udp checksum set 0 counter
  }
  chain in { type filter hook input priority 0; policy accept;
    udp dport 4191 @th,64,4 6 @th,256,128 0x20010db8000100000000000000000001 counter
    udp dport 4191 @th,64,4 6 ip saddr . udp sport . @th,128,128 @bind6 counter accept
    udp dport 4191 @th,64,4 4 ip saddr . udp sport . @th,160,32 @bind4 counter accept
    udp dport 4191 counter drop
  }
}`;

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0");
const OCTETS = Array.from({ length: 256 }, (_, octet) => octet);
const classes: NftSet[] = [
  {
    name: "tc",
    key: ["integer"],
    value: "integer",
    integerLength: 2,
    elements: OCTETS.map((octet) => ({ key: hex(octet << 4, 4), value: hex(0x6000 | (octet << 4), 4) })),
  },
];

/** The traffic class of the inner IPv6 header copied into the outer one, all eight bits. */
export const TRAFFIC_CLASS: NftTable = {
  kind: "nft-table",
  family: "inet",
  name: "dsmipd",
  counters: ["copied"],
  sets: classes,
  chains: [
    {
      name: "o",
      base: base("output", 0),
      rules: [
        rule("ip6 nexthdr 41 @nh,0,16 set @th,0,16 & 0x0ff0 map @tc", [
          ...family("0a"),
          load("network", 6, 1),
          equals("29"),
          load("transport", 0, 2),
          masked("0ff0"),
          mapped("tc"),
          storeTrafficClass,
          count("copied"),
        ]),
      ],
    },
  ],
};

export const TRAFFIC_CLASS_TEXT = `table inet theirs {
  map tc { typeof @th,0,16 : @nh,0,16; flags constant;
    elements = { ${OCTETS.map((octet) => `0x${hex(octet << 4, 4)} : 0x${hex(0x6000 | (octet << 4), 4)}`).join(", ")} }
  }
  chain o { type filter hook output priority 0;
    ip6 nexthdr 41 @nh,0,16 set @th,0,16 & 0x0ff0 map @tc counter
  }
}`;

/** Token buckets for each key, what is remembered for a while, and one bucket for all: by the clauses of the plan. */
const SOURCE = [nft.KEY.ip4Source];
const PORT = [nft.KEY.ip4Source, nft.KEY.udpSource, nft.innerField(16, 16)];
const NETWORK = [nft.KEY.ip4SourceNetwork, nft.innerField(16, 16)];
const dynamic = { size: 1024, dynamicTimeoutMs: 4000 } as const;
const signallingOverIpv4 = [nft.family(4), nft.udpPort("dport", 4191)] as const;
const metered = (...clause: parts.Clause[]): NftRule =>
  nft.rule(...signallingOverIpv4, ...clause, nft.count("metered"), nft.drop);

export const METERS: NftTable = {
  kind: "nft-table",
  family: "inet",
  name: "dsmipd",
  counters: ["metered"],
  sets: [
    { name: "sources", key: ["ipv4_addr"], ...dynamic },
    { name: "ports", key: ["ipv4_addr", "inet_service", "ipv6_addr"], ...dynamic },
    { name: "networks", key: ["integer", "ipv6_addr"], integerLength: 2, ...dynamic },
    { name: "seen", key: ["ipv4_addr"], ...dynamic },
  ],
  chains: [
    {
      name: "in",
      base: base("input", 0),
      rules: [
        metered(nft.beyond(SOURCE, "sources", { perSecond: 100, burst: 1000 })),
        metered(nft.beyond(PORT, "ports", { perSecond: 10, burst: 20 })),
        metered(nft.beyond(NETWORK, "networks", { perSecond: 50, burst: 100 })),
        nft.rule(...signallingOverIpv4, nft.keyIn(SOURCE, "seen"), nft.accept),
        nft.rule(...signallingOverIpv4, nft.remember(SOURCE, "seen")),
        nft.rule(nft.within({ perSecond: 10, burst: 50 }), nft.accept),
      ],
    },
  ],
};

export const METERS_TEXT = `table inet theirs {
  set sources { type ipv4_addr; size 1024; flags dynamic,timeout; timeout 4s; }
  set ports { typeof ip saddr . udp sport . @th,128,128; size 1024; flags dynamic,timeout; timeout 4s; }
  set networks { typeof @nh,96,16 . @th,128,128; size 1024; flags dynamic,timeout; timeout 4s; }
  set seen { type ipv4_addr; size 1024; flags dynamic,timeout; timeout 4s; }
  chain in { type filter hook input priority 0; policy accept;
    meta nfproto ipv4 udp dport 4191 update @sources { ip saddr limit rate over 100/second burst 1000 packets } counter drop
    meta nfproto ipv4 udp dport 4191 update @ports { ip saddr . udp sport . @th,128,128 limit rate over 10/second burst 20 packets } counter drop
    meta nfproto ipv4 udp dport 4191 update @networks { @nh,96,16 . @th,128,128 limit rate over 50/second burst 100 packets } counter drop
    meta nfproto ipv4 udp dport 4191 ip saddr @seen accept
    meta nfproto ipv4 udp dport 4191 update @seen { ip saddr }
    limit rate 10/second burst 50 packets accept
  }
}`;
