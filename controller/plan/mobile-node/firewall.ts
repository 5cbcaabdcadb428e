/**
 * The mobile node's nftables table: acknowledgements over UDP steered to us, payload accepted from the home agent for our home addresses
 * only, and the outer TTL. What goes to the home agent is tracked if anything is, so that its answers are those of a known connection for
 * a stateful firewall. KERNEL.md tells the reasons.
 */
import { familyOf, type Ipv4Address } from "../../base/ip.js";
import { classOfInner, fragmentsAsInner, isCarrier, isNested } from "../carriers.js";
import type { NftChain, NftRule, NftSet, NftTable } from "../objects/firewall.js";
import { type Clause, rule } from "../objects/nft-clause.js";
import {
  family,
  fromMapped,
  hasTransportHeader,
  innerAddress,
  innerAddressIn,
  innerMapped,
  innerOctet,
  innerOctetIn,
  innerVersion,
  inputDevices,
  ipField,
  isUnauthenticated,
  l4proto,
  mobilityHeader,
  toInternalAddresses,
  udpPort,
} from "../objects/nft-matches.js";
import { accept, count, drop, jump, within } from "../objects/nft-verdicts.js";
import { clearUdpChecksum, correctUdpPort, setIpv4Ttl, setUdpPort } from "../objects/nft-writes.js";
import { OWNERSHIP } from "../objects/objects.js";
import { type NodePart, nodePart } from "../route-optimisation/ipv4/node-firewall.js";
import {
  dressEsp,
  markAdvertisements,
  markEspInUdp,
  markRoutingHeaders,
  sentEsp,
  TYPED_MESSAGES_CHAIN,
  toTypedMessages,
} from "../security/esp-firewall.js";
import { DSMIP_PORT, HOOK_PRIORITY, type MobileNodePlanSite, SIGNALLING_PORT, UDP_HEADER } from "../site.js";
import { TUNNEL_PREFIX } from "./addresses.js";
import { multicastChains, toGroups } from "./multicast.js";

const PROTOCOL = { ipv4: 4, ipv6: 41, mobility: 135 } as const;
/** Where the destination stands in an inner IPv6 and IPv4 header, and the source in an IPv6 one. */
const INNER = { destination6: 24, destination4: 16, source6: 8, nextHeader: 6 } as const;

const ROUTING = 43;
/** Routing header, ESP, destination options, Mobility Header. */
const SIGNALLING_SET: NftSet = {
  name: "signalling-headers",
  key: ["integer"],
  integerLength: 1,
  elements: ["2b", "32", "3c", "87"].map((key) => ({ key })),
};

export function mobileNodeFirewall(site: MobileNodePlanSite): NftTable {
  const direct = nodePart(site);
  return {
    kind: "nft-table",
    family: "inet",
    name: OWNERSHIP.nftTable,
    counters: [
      "spoofed-udp",
      "spoofed-ipv4",
      "spoofed-ipv6",
      "mapped-source",
      "tunnelled-signalling",
      ...(site.correspondent === true ? ["metered"] : []),
      ...(outerFamilies(site).length === 0 ? [] : ["signalling-arrived", "signalling", "signalling-port"]),
      ...direct.counters,
    ],
    sets: [SIGNALLING_SET, ...direct.sets],
    chains: [
      ...direct.chains,
      prerouting(site, direct),
      ...ipv4Chains(site, direct),
      ...espChains(site),
      ...udpOverIpv6Chains(site),
      ...multicastChains(site),
      ...correspondentChains(site),
      input(site, direct),
      ...ipv6Chains(site),
    ],
  };
}

/** For a home address, or for the networks behind a mobile router (RFC 3963 §3). */
function toUs(site: MobileNodePlanSite, outer: number, family: 4 | 6): readonly Clause[] {
  const at = outer + (family === 6 ? INNER.destination6 : INNER.destination4);
  const homes = [site, ...(site.furtherHomes ?? [])].flatMap(
    ({ homeAddress, ipv4HomeAddress }) => (family === 6 ? homeAddress : ipv4HomeAddress) ?? [],
  );
  const networks = (site.prefixes ?? []).filter(({ address }) => familyOf(address) === family);
  return [
    ...homes.map((home) => innerAddress(at, home)),
    ...networks.map((prefix) => innerAddressIn(at, prefix)),
    ...toGroups(site, at, family),
  ];
}

function prerouting(site: MobileNodePlanSite, direct: NodePart): NftChain {
  const { ipv4 } = site.homeAgent;
  const fromHomeAgent = (from: Clause): readonly NftRule[] => [
    ...(usesEsp(site) ? [markEspInUdp([from])] : []),
    ...ourSignalling(site).map((clauses) =>
      rule(from, udpPort("dport", DSMIP_PORT), ...clauses, count("signalling-arrived")),
    ),
  ];
  return {
    name: "prerouting",
    base: { type: "filter", hook: "prerouting", priority: HOOK_PRIORITY.first, policy: "accept" },
    rules: [
      // The kernel takes such a source for any other.
      rule(fromMapped, count("mapped-source"), drop),
      ...direct.prerouting,
      ...(ipv4 === undefined ? [] : fromHomeAgent(ipField("saddr", ipv4))),
    ],
  };
}

function ipv4Chains(site: MobileNodePlanSite, direct: NodePart): readonly NftChain[] {
  const { ipv4 } = site.homeAgent;
  if (ipv4 === undefined) return [];
  const to = ipField("daddr", ipv4);
  const ttl = setIpv4Ttl(site.profile.ttl);
  const isRouter = (site.prefixes ?? []).length > 0;
  const carrier = (format: "ipv4" | "udp"): readonly Clause[] => (isRouter ? [jump(`carrier-${format}`)] : []);
  return [
    {
      name: "steer",
      rules: [rule(setUdpPort("dport", SIGNALLING_PORT), clearUdpChecksum, count("signalling"), accept)],
    },
    {
      name: "output",
      base: { type: "filter", hook: "output", priority: HOOK_PRIORITY.first, policy: "accept" },
      rules: [
        rule(to, udpPort("sport", SIGNALLING_PORT), setUdpPort("sport", DSMIP_PORT), clearUdpChecksum),
        // A fixed TTL on the device would force DF on packets that allow fragments.
        rule(to, udpPort("sport", DSMIP_PORT), ttl, ...carrier("udp")),
        rule(to, l4proto(PROTOCOL.ipv4), ttl, ...carrier("ipv4")),
        rule(to, l4proto(PROTOCOL.ipv6), ttl),
        ...direct.output,
      ],
    },
    ...(isRouter ? carrierChains(site, ipv4) : []),
  ];
}

/** What nodes in the networks of a mobile router send to home agents, ours or their own. */
function carrierChains({ profile: { dscp } }: MobileNodePlanSite, homeAgent: Ipv4Address): readonly NftChain[] {
  const chain = (format: string, offset: number): NftChain => ({
    name: `carrier-${format}`,
    rules: [isCarrier(offset), isNested(offset, "daddr", homeAgent)].flatMap((carrier) => [
      rule(...carrier, classOfInner(offset, dscp)),
      fragmentsAsInner(offset, ...carrier),
    ]),
  });
  return [chain("udp", UDP_HEADER), chain("ipv4", 0)];
}

/** Outer families in which UDP comes. */
function outerFamilies({ homeAgent, udpOverIpv6 }: MobileNodePlanSite): readonly (4 | 6)[] {
  return [...(homeAgent.ipv4 === undefined ? [] : ([4] as const)), ...(udpOverIpv6 === true ? ([6] as const) : [])];
}

/** As over IPv4, but with a UDP checksum, and with the hop limit of the device. */
function udpOverIpv6Chains(site: MobileNodePlanSite): readonly NftChain[] {
  if (site.udpOverIpv6 !== true) return [];
  const { ipv6 } = site.homeAgent;
  const from = ipField("saddr", ipv6);
  return [
    {
      name: "prerouting-udp-ipv6",
      base: { type: "filter", hook: "prerouting", priority: HOOK_PRIORITY.first, policy: "accept" },
      rules: ourSignalling(site).map((clauses) =>
        rule(from, udpPort("dport", DSMIP_PORT), ...clauses, count("signalling-arrived")),
      ),
    },
    {
      name: "steer-ipv6",
      rules: [rule(correctUdpPort("dport", SIGNALLING_PORT), count("signalling"), accept)],
    },
    {
      name: "output-udp-ipv6",
      base: { type: "filter", hook: "output", priority: HOOK_PRIORITY.first, policy: "accept" },
      rules: [rule(ipField("daddr", ipv6), udpPort("sport", SIGNALLING_PORT), correctUdpPort("sport", DSMIP_PORT))],
    },
  ];
}

/** An inner packet of the home agent to us that may hold a mobility message: the clauses for each of our home addresses. */
function ourSignalling({
  homeAgent,
  homeAddress,
  furtherHomes = [],
}: MobileNodePlanSite): readonly (readonly Clause[])[] {
  return [homeAddress, ...furtherHomes.map((further) => further.homeAddress)].map((home) => [
    innerVersion(UDP_HEADER, 6),
    innerAddress(UDP_HEADER + INNER.source6, homeAgent.ipv6),
    innerAddress(UDP_HEADER + INNER.destination6, home),
    innerOctetIn(UDP_HEADER + INNER.nextHeader, SIGNALLING_SET.name),
  ]);
}

const usesEsp = ({ negotiated, profile }: MobileNodePlanSite): boolean =>
  negotiated === true || profile.protection === "esp";

const leavesEsp = ({ routeOptimisation, profile }: MobileNodePlanSite): boolean =>
  routeOptimisation === true && profile.protection === "esp";

/** The outer header of what is sent in ESP tunnels, and what is told apart when it comes in. */
function espChains(site: MobileNodePlanSite): readonly NftChain[] {
  const typed = (rules: NftChain["rules"]): NftChain => ({
    name: "prerouting-ipv6",
    base: { type: "filter", hook: "prerouting", priority: HOOK_PRIORITY.first, policy: "accept" },
    rules,
  });
  if (!usesEsp(site)) return [typed([markAdvertisements])];
  const { profile } = site;
  return [
    TYPED_MESSAGES_CHAIN,
    typed([...toTypedMessages, ...(leavesEsp(site) ? [markRoutingHeaders] : [])]),
    {
      name: "output-esp",
      base: { type: "filter", hook: "output", priority: HOOK_PRIORITY.first, policy: "accept" },
      rules: [rule(sentEsp, family(4), jump("esp-4")), rule(sentEsp, family(6), jump("esp-6"))],
    },
    { name: "esp-4", rules: dressEsp(4, [profile]) },
    { name: "esp-6", rules: dressEsp(6, [profile]) },
  ];
}

const betweenPorts = [udpPort("dport", DSMIP_PORT), udpPort("sport", DSMIP_PORT)];

/**
 * Mobility messages that come out of the tunnel. What the home agent itself says comes otherwise, except for the answers of the 2004
 * profile, under ESP. Correspondents answer to the home address: home tests, and what an update from there brings (RFC 6275 §11.6).
 */
function tunnelledSignalling(site: MobileNodePlanSite): readonly NftRule[] {
  const refused = [count("tunnelled-signalling"), drop];
  const isOurs = [inputDevices(TUNNEL_PREFIX), l4proto(PROTOCOL.mobility)];
  if (site.routeOptimisation === true) return [rule(...isOurs, jump(CORRESPONDENTS_CHAIN))];
  return [rule(...isOurs, ...(site.mappedSignalling === true ? [isUnauthenticated] : []), ...refused)];
}

function correspondentChains(site: MobileNodePlanSite): readonly NftChain[] {
  if (site.routeOptimisation !== true) return [];
  const { homeAgent, mappedSignalling } = site;
  const refused = [count("tunnelled-signalling"), drop];
  const fromHomeAgent = ipField("saddr", homeAgent.ipv6);
  const heard = [...CORRESPONDENTS_SAY, ...(site.correspondent === true ? CORRESPONDENTS_ARE_ASKED : [])];
  return [
    {
      name: CORRESPONDENTS_CHAIN,
      rules: [
        ...(mappedSignalling === true
          ? [rule(fromHomeAgent, isUnauthenticated, ...refused), rule(fromHomeAgent, accept)]
          : [rule(fromHomeAgent, ...refused)]),
        ...heard.map((type) => rule(mobilityHeader(type), within(CORRESPONDENTS_RATE), accept)),
        rule(...refused),
      ],
    },
  ];
}
const CORRESPONDENTS_CHAIN = "in-correspondents";
/** Binding Refresh Request, Home Test, Binding Acknowledgement, Binding Error (RFC 6275 §6.1). */
const CORRESPONDENTS_SAY = [0, 3, 6, 7];
/** Home Test Init, Care-of Test Init, Binding Update. */
const CORRESPONDENTS_ARE_ASKED = [1, 2, 5];
/** Of each type; far more than as many correspondents as a node may have ever say. */
const CORRESPONDENTS_RATE = { perSecond: 1000, burst: 2000 };

/** What comes without the tunnel, at home or from a node that knows where this one is: as at any correspondent. */
function metered(site: MobileNodePlanSite): readonly NftRule[] {
  if (site.correspondent !== true) return [];
  return CORRESPONDENTS_ARE_ASKED.flatMap((type) => [
    rule(mobilityHeader(type), within(CORRESPONDENTS_RATE), accept),
    rule(mobilityHeader(type), count("metered"), drop),
  ]);
}

/** Only the home agent sends us payload (RFC 6275 §11.3.3), and only for our home addresses and networks. */
function input(site: MobileNodePlanSite, direct: NodePart): NftChain {
  const { ipv4, ipv6 } = site.homeAgent;
  return {
    name: "input",
    base: { type: "filter", hook: "input", priority: HOOK_PRIORITY.last, policy: "accept" },
    rules: [
      ...tunnelledSignalling(site),
      ...metered(site),
      ...direct.input,
      ...(site.udpOverIpv6 === true ? [rule(ipField("saddr", ipv6), ...betweenPorts, jump("in-udp-ipv6"))] : []),
      ...(ipv4 === undefined ? [] : [rule(ipField("saddr", ipv4), ...betweenPorts, jump("in-udp"))]),
      ...(outerFamilies(site).length === 0
        ? []
        : [
            rule(udpPort("dport", DSMIP_PORT), count("spoofed-udp"), drop),
            // Only what has been steered may get there: that is past this rule already.
            rule(udpPort("dport", SIGNALLING_PORT), count("signalling-port"), drop),
          ]),
      ...(ipv4 === undefined
        ? []
        : [
            rule(ipField("saddr", ipv4), l4proto(PROTOCOL.ipv6), jump("in-ipv4-6")),
            rule(ipField("saddr", ipv4), l4proto(PROTOCOL.ipv4), jump("in-ipv4-4")),
          ]),
      rule(toInternalAddresses, count("spoofed-ipv4"), drop),
      rule(ipField("saddr", ipv6), l4proto(PROTOCOL.ipv6), jump("in-ipv6-6")),
      rule(ipField("saddr", ipv6), l4proto(PROTOCOL.ipv4), jump("in-ipv6-4")),
    ],
  };
}

/** An answer of the 2004 profile: to an IPv4-mapped care-of address, which the kernel knows, and a routing header to us. */
function mappedAnswer({ homeAgent, mappedSignalling }: MobileNodePlanSite): readonly NftRule[] {
  if (mappedSignalling !== true) return [];
  const { source6, destination6, nextHeader } = INNER;
  return [
    rule(innerAddress(source6, homeAgent.ipv6), innerMapped(destination6), innerOctet(nextHeader, ROUTING), accept),
  ];
}

function ipv6Chains(site: MobileNodePlanSite): readonly NftChain[] {
  const accepting = (outer: number, family: 4 | 6): NftChain["rules"] =>
    toUs(site, outer, family).map((clause) => rule(clause, accept));
  const strict = (name: string, family: 4 | 6, counter: string): NftChain => ({
    name,
    rules: [...accepting(0, family), rule(count(counter), drop)],
  });
  // Later IPv6 fragments have no transport header to judge and are nothing without their first one.
  const tolerant = (name: string, family: 4 | 6): NftChain => ({
    name,
    rules: [...accepting(0, family), rule(hasTransportHeader, count("spoofed-ipv6"), drop)],
  });
  const udp = ([6, 4] as const).flatMap((family) =>
    toUs(site, UDP_HEADER, family).map((clause) => rule(innerVersion(UDP_HEADER, family), clause, accept)),
  );
  const protocol41 = strict("in-ipv4-6", 6, "spoofed-ipv4");
  const overIpv4: NftChain[] =
    site.homeAgent.ipv4 === undefined
      ? []
      : [
          {
            name: "in-udp",
            rules: [
              ...ourSignalling(site).map((clauses) => rule(...clauses, jump("steer"))),
              ...udp,
              rule(count("spoofed-udp"), drop),
            ],
          },
          { ...protocol41, rules: [...mappedAnswer(site), ...protocol41.rules] },
          strict("in-ipv4-4", 4, "spoofed-ipv4"),
        ];
  const overIpv6: NftChain[] =
    site.udpOverIpv6 === true
      ? [
          {
            name: "in-udp-ipv6",
            rules: [
              ...ourSignalling(site).map((clauses) => rule(...clauses, jump("steer-ipv6"))),
              ...udp,
              rule(count("spoofed-udp"), drop),
            ],
          },
        ]
      : [];
  return [...overIpv4, ...overIpv6, tolerant("in-ipv6-6", 6), tolerant("in-ipv6-4", 4)];
}
