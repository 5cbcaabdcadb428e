/**
 * The home agent's nftables table: signalling steered to us, spoofed payload dropped before decapsulation, outer headers completed.
 * KERNEL.md tells the reason of every chain. Names of sets: outer format and inner family.
 */
import type { Ipv4Address } from "../base/ip.js";
import { dressEsp, markEspInUdp, TYPED_MESSAGES_CHAIN, toTypedMessages } from "./esp-firewall.js";
import {
  accept,
  type Clause,
  clearUdpChecksum,
  copyClassFromIpv4,
  copyClassFromIpv6,
  count,
  drop,
  hasTransportHeader,
  innerAddress,
  innerField,
  innerOctetIn,
  innerVersion,
  inputDevices,
  ipField,
  jump,
  KEY,
  keyIn,
  l4proto,
  notrack,
  rule,
  setDestinationPortFrom,
  setIpv4Source,
  setIpv4Ttl,
  setUdpPort,
  toInternalAddresses,
  udpPort,
} from "./nft-clauses.js";
import { type NftChain, type NftSet, type NftTable, OWNERSHIP } from "./objects.js";
import {
  DEVICE,
  DSMIP_PORT,
  type HomeAgentPlanSite,
  internalAddress,
  SIGNALLING_PORT,
  tunnelClasses,
  usesEspTunnels,
} from "./site.js";

/** Before connection tracking (-200) and before anybody's filter. */
const FIRST = -350;
const UDP_HEADER = 8;
const PROTOCOL = { ipv4: 4, ipv6: 41, mobility: 135 } as const;
/** Next headers of an inner packet to the home agent itself that may hold a mobility message: routing, ESP, destination options, Mobility Header. */
const SIGNALLING_HEADERS = [43, 50, 60, 135];

const COUNTERS = [
  "spoofed-udp",
  "spoofed-ipv4",
  "spoofed-ipv6",
  "bad-version",
  "send-only",
  "tunnelled-signalling",
  "signalling",
  "no-port",
] as const;

export const SETS = {
  udp6: { name: "udp-6", key: ["ipv4_addr", "inet_service", "ipv6_addr"] },
  udp4: { name: "udp-4", key: ["ipv4_addr", "inet_service", "ipv4_addr"] },
  ipv4_6: { name: "ipv4-6", key: ["ipv4_addr", "ipv6_addr"] },
  ipv4_4: { name: "ipv4-4", key: ["ipv4_addr", "ipv4_addr"] },
  ipv6_6: { name: "ipv6-6", key: ["ipv6_addr", "ipv6_addr"] },
  ipv6_4: { name: "ipv6-4", key: ["ipv6_addr", "ipv4_addr"] },
  port6: { name: "port-6", key: ["ipv4_addr", "ipv6_addr"], value: "inet_service" },
  port4: { name: "port-4", key: ["ipv4_addr", "ipv4_addr"], value: "inet_service" },
  fixed6: { name: "fixed-6", key: ["ipv6_addr"] },
  fixed4: { name: "fixed-4", key: ["ipv4_addr"] },
} as const satisfies Record<string, NftSet>;

const octet = (value: number): string => value.toString(16).padStart(2, "0");

/** For each traffic class octet of an inner IPv4 header the first 16 bits of the outer IPv6 header. */
export const CLASS_MAP: NftSet = {
  name: "class-4",
  key: ["integer"],
  value: "integer",
  integerLength: 2,
  elements: Array.from({ length: 256 }, (_, value) => ({ key: `00${octet(value)}`, value: `6${octet(value)}0` })),
};

const SIGNALLING_SET: NftSet = {
  name: "signalling-headers",
  key: ["integer"],
  integerLength: 1,
  elements: SIGNALLING_HEADERS.map((header) => ({ key: octet(header) })),
};

export function homeAgentFirewall(site: HomeAgentPlanSite): NftTable {
  const { ipv4 } = site.addresses;
  return {
    kind: "nft-table",
    family: "inet",
    name: OWNERSHIP.nftTable,
    counters: COUNTERS,
    sets: [...Object.values(SETS), CLASS_MAP, SIGNALLING_SET],
    chains: [
      prerouting(site),
      ...(site.negotiated === undefined ? [] : [TYPED_MESSAGES_CHAIN]),
      ...(ipv4 === undefined ? [] : [steer(site)]),
      input(site),
      ...inputChains(),
      ...outputIpv4(site),
      ...outputIpv6(site),
    ],
  };
}

function prerouting(site: HomeAgentPlanSite): NftChain {
  const { ipv4, ipv6 } = site.addresses;
  const untracked = (address: Clause): NftChain["rules"] =>
    [PROTOCOL.ipv4, PROTOCOL.ipv6].map((protocol) => rule(address, l4proto(protocol), notrack));
  return {
    name: "prerouting",
    base: { type: "filter", hook: "prerouting", priority: FIRST, policy: "accept" },
    rules: [
      rule(inputDevices(DEVICE.sendPrefix), count("send-only"), drop),
      ...(ipv4 === undefined
        ? []
        : [
            ...(usesEspTunnels(site) ? [markEspInUdp("daddr", ipv4)] : []),
            rule(ipField("daddr", ipv4), udpPort("dport", DSMIP_PORT), jump("steer")),
            ...untracked(ipField("daddr", ipv4)),
          ]),
      ...untracked(ipField("daddr", ipv6)),
      ...(site.negotiated === undefined ? [] : toTypedMessages),
    ],
  };
}

/** A mobility message to ourselves goes to the signalling port; everything else on the DSMIPv6 port is payload. */
function steer({ addresses }: HomeAgentPlanSite): NftChain {
  return {
    name: "steer",
    rules: [
      rule(
        innerVersion(UDP_HEADER, 6),
        innerAddress(UDP_HEADER + 24, addresses.ipv6),
        innerOctetIn(UDP_HEADER + 6, SIGNALLING_SET.name),
        setUdpPort("dport", SIGNALLING_PORT),
        clearUdpChecksum,
        count("signalling"),
      ),
      rule(notrack),
    ],
  };
}

function input({ addresses }: HomeAgentPlanSite): NftChain {
  const { ipv4, ipv6 } = addresses;
  return {
    name: "input",
    base: { type: "filter", hook: "input", priority: 0, policy: "accept" },
    rules: [
      rule(inputDevices(DEVICE.receivePrefix), l4proto(PROTOCOL.mobility), count("tunnelled-signalling"), drop),
      ...(ipv4 === undefined
        ? []
        : [
            rule(ipField("daddr", ipv4), udpPort("dport", DSMIP_PORT), jump("in-udp")),
            rule(ipField("daddr", ipv4), l4proto(PROTOCOL.ipv6), jump("in-ipv4-6")),
            rule(ipField("daddr", ipv4), l4proto(PROTOCOL.ipv4), jump("in-ipv4-4")),
          ]),
      rule(toInternalAddresses, count("spoofed-ipv4"), drop),
      rule(ipField("daddr", ipv6), l4proto(PROTOCOL.ipv6), jump("in-ipv6-6")),
      rule(ipField("daddr", ipv6), l4proto(PROTOCOL.ipv4), jump("in-ipv6-4")),
    ],
  };
}

/** Outer source (and port) must be the registered one of the inner source. Inner source: octet 8 of an IPv6 header, 12 of an IPv4 one. */
function inputChains(): readonly NftChain[] {
  const inner6 = innerField(8, 16);
  const inner4 = innerField(12, 4);
  const inUdp6 = [KEY.ip4Source, KEY.udpSource, innerField(UDP_HEADER + 8, 16)];
  const inUdp4 = [KEY.ip4Source, KEY.udpSource, innerField(UDP_HEADER + 12, 4)];
  const strict = (name: string, fields: Parameters<typeof keyIn>[0], set: string, counter: string): NftChain => ({
    name,
    rules: [rule(keyIn(fields, set), accept), rule(count(counter), drop)],
  });
  // IPv6 fragments are reassembled after this hook. The first one is judged; a later one has no transport header to judge and is
  // nothing without its first one.
  const fragmentTolerant = (name: string, fields: Parameters<typeof keyIn>[0], set: string): NftChain => ({
    name,
    rules: [rule(keyIn(fields, set), accept), rule(hasTransportHeader, count("spoofed-ipv6"), drop)],
  });
  return [
    {
      name: "in-udp",
      rules: [
        rule(innerVersion(UDP_HEADER, 6), keyIn(inUdp6, SETS.udp6.name), accept),
        rule(innerVersion(UDP_HEADER, 6), count("spoofed-udp"), drop),
        rule(innerVersion(UDP_HEADER, 4), keyIn(inUdp4, SETS.udp4.name), accept),
        rule(innerVersion(UDP_HEADER, 4), count("spoofed-udp"), drop),
        rule(count("bad-version"), drop),
      ],
    },
    strict("in-ipv4-6", [KEY.ip4Source, inner6], SETS.ipv4_6.name, "spoofed-ipv4"),
    strict("in-ipv4-4", [KEY.ip4Source, inner4], SETS.ipv4_4.name, "spoofed-ipv4"),
    fragmentTolerant("in-ipv6-6", [KEY.ip6Source, inner6], SETS.ipv6_6.name),
    fragmentTolerant("in-ipv6-4", [KEY.ip6Source, inner4], SETS.ipv6_4.name),
  ];
}

/**
 * Every NBMA device sends from an internal address; here the packet gets the home agent's, its TTL, and for UDP the node's port. The chain
 * is of type route: a sit device without a remote keeps one outer route for the IPv6 packets of all its nodes, and only a new look-up after
 * the change of address finds each node's own.
 */
function outputIpv4(site: HomeAgentPlanSite): readonly NftChain[] {
  const { ipv4 } = site.addresses;
  if (ipv4 === undefined) return [];
  const perDevice = tunnelClasses(site).flatMap((one) => [
    rule(ipField("saddr", internalAddress("udp", one)), setIpv4Ttl(one.ttl), jump("out-udp")),
    rule(ipField("saddr", internalAddress("ipv4", one)), setIpv4Ttl(one.ttl), jump("out-ipv4")),
  ]);
  return [
    {
      name: "output-ipv4",
      base: { type: "route", hook: "output", priority: FIRST, policy: "accept" },
      rules: [
        ...perDevice,
        ...(usesEspTunnels(site) ? dressEsp(4, tunnelClasses(site)) : []),
        rule(
          ipField("saddr", ipv4),
          udpPort("sport", SIGNALLING_PORT),
          setUdpPort("sport", DSMIP_PORT),
          clearUdpChecksum,
          notrack,
        ),
      ],
    },
    ...outputUdp(ipv4),
    { name: "out-ipv4", rules: [rule(setIpv4Source(ipv4), notrack)] },
  ];
}

function outputUdp(ipv4: Ipv4Address): readonly NftChain[] {
  const toPort6 = setDestinationPortFrom([KEY.ip4Destination, innerField(UDP_HEADER + 24, 16)], SETS.port6.name);
  const toPort4 = setDestinationPortFrom([KEY.ip4Destination, innerField(UDP_HEADER + 16, 4)], SETS.port4.name);
  return [
    {
      name: "out-udp",
      rules: [
        rule(setIpv4Source(ipv4)),
        rule(innerVersion(UDP_HEADER, 6), toPort6, clearUdpChecksum, notrack, accept),
        rule(innerVersion(UDP_HEADER, 4), toPort4, clearUdpChecksum, notrack, accept),
        rule(count("no-port"), drop),
      ],
    },
  ];
}

/** The kernel takes the traffic class of lightweight tunnels from the route; where a profile says "copy" it is the inner packet's. */
function outputIpv6(site: HomeAgentPlanSite): readonly NftChain[] {
  const { ipv6 } = site.addresses;
  const anyFixed = tunnelClasses(site).some(({ dscp }) => dscp !== "copy");
  const unlessFixed = (offset: number, length: number, set: string): NftChain["rules"] =>
    anyFixed ? [rule(keyIn([innerField(offset, length)], set), accept)] : [];
  return [
    {
      name: "output-ipv6",
      base: { type: "filter", hook: "output", priority: FIRST, policy: "accept" },
      rules: [
        ...(usesEspTunnels(site) ? dressEsp(6, tunnelClasses(site)) : []),
        rule(ipField("saddr", ipv6), l4proto(PROTOCOL.ipv6), jump("out-ipv6-6")),
        rule(ipField("saddr", ipv6), l4proto(PROTOCOL.ipv4), jump("out-ipv6-4")),
      ],
    },
    { name: "out-ipv6-6", rules: [rule(notrack), ...unlessFixed(24, 16, SETS.fixed6.name), rule(copyClassFromIpv6)] },
    {
      name: "out-ipv6-4",
      rules: [rule(notrack), ...unlessFixed(16, 4, SETS.fixed4.name), rule(copyClassFromIpv4(CLASS_MAP.name))],
    },
  ];
}
