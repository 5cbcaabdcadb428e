/** What a mobile node's firewall has of direct ways with IPv4: messages of correspondents, payload that is known, Home Tests, outer headers. */
import type { Ipv4Address, Ipv6Address } from "../../../base/ip.js";
import { TUNNEL_PREFIX } from "../../mobile-node/addresses.js";
import type { NftChain, NftRule } from "../../objects/firewall.js";
import { type Clause, innerField, KEY, rule } from "../../objects/nft-clause.js";
import {
  family,
  innerAddress,
  innerOctet,
  innerVersion,
  inputDevices,
  ipField,
  isAuthenticated,
  keyIn,
  l4proto,
  mobilityHeader,
  type2RoutingHeader,
  udpPort,
} from "../../objects/nft-matches.js";
import { accept, type Bucket, count, drop, jump, within } from "../../objects/nft-verdicts.js";
import { clearUdpChecksum, setIpv4Ttl, setUdpPort } from "../../objects/nft-writes.js";
import { DSMIP_PORT, type MobileNodePlanSite, SIGNALLING_PORT, UDP_HEADER } from "../../site.js";
import type { FirewallPart } from "./correspondent-firewall.js";
import {
  classInHeaders,
  directSets,
  dualStackSets,
  fromDirect,
  IN_HEADERS,
  INNER6,
  known,
  knownInUdp,
  knownOverIpv4,
  PROTOCOL,
  toHeaders,
  unknown,
} from "./firewall.js";
import { DIRECT_PREFIX, HOME_TEST_PREFIX } from "./names.js";

/** Mobility Header types (RFC 6275 §6.1). */
const HOME_TEST = 3;
/** What a correspondent says in protocol 41: Binding Refresh Request, Binding Acknowledgement, Binding Error. */
const SAID_DIRECTLY = [0, 6, 7];
/** Of each kind; far more than as many correspondents as a node may have ever say. */
const RATE: Bucket = { perSecond: 1000, burst: 2000 };

export interface NodePart extends FirewallPart {
  readonly prerouting: readonly NftRule[];
  readonly output: readonly NftRule[];
}

const NOTHING: NodePart = { counters: [], sets: [], chains: [], input: [], prerouting: [], output: [] };

export function nodePart(site: MobileNodePlanSite): NodePart {
  const { dualStackCorrespondents: correspondents = [], profile, homeAgent } = site;
  if (correspondents.length === 0) return NOTHING;
  const { both, four } = dualStackSets(correspondents);
  const overIpv4 = homeAgent.ipv4 !== undefined;
  return {
    counters: ["spoofed-direct", "metered-direct"],
    sets: [...directSets(profile), both, four],
    prerouting: [DIRECT_PREFIX, HOME_TEST_PREFIX].map((prefix) => rule(inputDevices(prefix), jump("from-direct"))),
    input: [
      ...messagesOutOfTunnels,
      ...homeTests(site),
      ...(overIpv4 ? fromCorrespondents(four.name) : []),
      toHeaders(type2RoutingHeader),
    ],
    output: overIpv4 ? toCorrespondents(four.name, profile.ttl) : [],
    chains: [
      fromDirect(profile.protection === "esp"),
      { name: "in-direct-messages", rules: saidDirectly },
      IN_HEADERS,
      ...homeTestChains(site),
      ...(overIpv4 ? overIpv4Chains(site, both.name) : []),
      ...classInHeaders(profile),
    ],
  };
}

/** Out of our own devices only what somebody may say there. */
const messagesOutOfTunnels: readonly NftRule[] = [
  rule(inputDevices(DIRECT_PREFIX), l4proto(PROTOCOL.mobility), jump("in-direct-messages")),
  rule(inputDevices(HOME_TEST_PREFIX), mobilityHeader(HOME_TEST), accept),
];

const saidDirectly: readonly NftRule[] = [
  ...SAID_DIRECTLY.map((type) => rule(mobilityHeader(type), accept)),
  rule(count("tunnelled-signalling"), drop),
];

interface Home {
  readonly homeAddress: Ipv6Address;
  readonly ipv4HomeAddress?: Ipv4Address | undefined;
}
const homesOf = (site: MobileNodePlanSite): readonly Home[] => [site, ...(site.furtherHomes ?? [])];

const dualStackHomes = (site: MobileNodePlanSite): readonly (readonly [Ipv6Address, Ipv4Address])[] =>
  homesOf(site).flatMap(({ homeAddress, ipv4HomeAddress }) =>
    ipv4HomeAddress === undefined ? [] : [[homeAddress, ipv4HomeAddress] as const],
  );

/**
 * Of protocol 41 to an IPv4 home address: the rest may be of a tunnel that somebody else has there. It is judged here alone: what a
 * correspondent says comes to a care-of address.
 */
const homeTests = (site: MobileNodePlanSite): readonly NftRule[] =>
  dualStackHomes(site).map(([, ipv4]) => rule(ipField("daddr", ipv4), l4proto(PROTOCOL.ipv6), jump("in-home-test")));

/**
 * A Home Test for an IPv4 home address proves that its IPv6 home address is on the same node: so for that one alone, with the hop limit
 * that it has (§7.1.1.1), and out of the home agent's tunnel, or of ESP where keys protect the procedure or all payload (C-57).
 */
function homeTestChains(site: MobileNodePlanSite): readonly NftChain[] {
  const { negotiated, profile } = site;
  const isProtected = negotiated === true || profile.protection === "esp";
  return [
    {
      name: "in-home-test",
      rules: [
        ...dualStackHomes(site).map(([ipv6, ipv4]) =>
          rule(
            ipField("daddr", ipv4),
            isProtected ? isAuthenticated : inputDevices(TUNNEL_PREFIX),
            innerOctet(INNER6.nextHeader, PROTOCOL.mobility),
            innerOctet(INNER6.hopLimit, 1),
            innerOctet(INNER6.messageType, HOME_TEST),
            innerAddress(INNER6.destination, ipv6),
            within(RATE),
            known,
            accept,
          ),
        ),
        rule(unknown, accept),
      ],
    },
  ];
}

const betweenPorts = [udpPort("dport", DSMIP_PORT), udpPort("sport", DSMIP_PORT)];

const fromCorrespondents = (four: string): readonly NftRule[] => {
  const from = [family(4), keyIn([KEY.ip4Source], four)];
  return [
    rule(...from, ...betweenPorts, jump("in-direct-udp")),
    rule(...from, l4proto(PROTOCOL.ipv6), jump("in-direct-6")),
    rule(...from, l4proto(PROTOCOL.ipv4), jump("in-direct-4")),
  ];
};

function overIpv4Chains(site: MobileNodePlanSite, both: string): readonly NftChain[] {
  /** A message to a home address from a correspondent that is known by both of its addresses. */
  const messages = (offset: number): readonly (readonly Clause[])[] =>
    homesOf(site).map(({ homeAddress }) => [
      innerOctet(offset + INNER6.nextHeader, PROTOCOL.mobility),
      innerAddress(offset + INNER6.destination, homeAddress),
      keyIn([KEY.ip4Source, innerField(offset + INNER6.source, 16)], both),
    ]);
  const metered = [count("metered-direct"), drop];
  return [
    {
      name: "in-direct-udp",
      rules: [
        ...messages(UDP_HEADER).flatMap((message) => [
          rule(innerVersion(UDP_HEADER, 6), ...message, within(RATE), jump("steer")),
          rule(innerVersion(UDP_HEADER, 6), ...message, ...metered),
        ]),
        ...knownInUdp,
      ],
    },
    {
      name: "in-direct-6",
      rules: [
        ...messages(0).flatMap((message) => [
          rule(...message, within(RATE), known, accept),
          rule(...message, ...metered),
        ]),
        knownOverIpv4(6),
      ],
    },
    { name: "in-direct-4", rules: [knownOverIpv4(4)] },
  ];
}

/** A fixed TTL on the devices would force DF on packets that allow fragments. */
function toCorrespondents(four: string, ttl: number): readonly NftRule[] {
  const to = [family(4), keyIn([KEY.ip4Destination], four)];
  const written = setIpv4Ttl(ttl);
  return [
    rule(...to, udpPort("sport", SIGNALLING_PORT), setUdpPort("sport", DSMIP_PORT), clearUdpChecksum),
    rule(...to, udpPort("sport", DSMIP_PORT), written),
    rule(...to, l4proto(PROTOCOL.ipv4), written),
    rule(...to, l4proto(PROTOCOL.ipv6), written),
  ];
}
