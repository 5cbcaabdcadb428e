/**
 * The home agent's nftables table: signalling steered to us, spoofed payload dropped before decapsulation, outer headers completed, and
 * nothing of it tracked. KERNEL.md tells the reason of every chain.
 */

import type { NftChain, NftRule, NftSet, NftTable } from "../objects/firewall.js";
import { KEY, type KeyField, rule } from "../objects/nft-clause.js";
import {
  family,
  from6to4,
  fromMapped,
  hasTransportHeader,
  innerAddress,
  innerMapped,
  innerOctet,
  innerOctetIn,
  innerVersion,
  inputDevices,
  ipField,
  l4proto,
  toInternalAddresses,
  udpPort,
} from "../objects/nft-matches.js";
import { accept, count, drop, jump, notrack } from "../objects/nft-verdicts.js";
import { clearUdpChecksum, hideInner6to4, innerMappedTo6to4, show6to4 } from "../objects/nft-writes.js";
import { OWNERSHIP } from "../objects/objects.js";
import {
  markEspInUdp,
  markSolicitations,
  rareProtocols,
  TYPED_MESSAGES_CHAIN,
  toRareProtocols,
} from "../security/esp-firewall.js";
import { CLASS_MAP } from "../shared-objects.js";
import {
  DEVICE,
  DSMIP_PORT,
  HOOK_PRIORITY,
  type HomeAgentPlanSite,
  SIGNALLING_PORT,
  sendLevels,
  servesUdpOverIpv6,
  UDP_HEADER,
  usesEspTunnels,
  usesPlainTunnels,
} from "../site.js";
import { DISCOVERY_RULES } from "./discovery.js";
import { linkLocal, mapped, registered, SOURCE } from "./inner-keys.js";
import { METERED_SOLICITATIONS, meters, STEER, STEER_OVER_IPV6 } from "./meters.js";
import {
  MIP4_COUNTERS,
  mip4FirewallSets,
  mip4Forwarded,
  mip4Input,
  mip4InputChains,
  mip4OutputChains,
  mip4PlainCarriers,
  mip4Prerouting,
  mip4PreroutingChains,
  mip4Untracked,
} from "./mip4/chains.js";
import { acceptReports, labelledReports, MULTICAST_SETS, multicastChains, toMulticastChains } from "./multicast.js";
import { outputIpv4, outputIpv6, outputOfEspAlone, outputUdpOverIpv6 } from "./output.js";
import { IKE_PORTS, networkSets, PROTOCOL, SETS, UDP_IPV6_SETS } from "./sets.js";

/** Next headers of an inner packet to the home agent itself that may hold a mobility message: routing, ESP, destination options, Mobility Header. */
const SIGNALLING_HEADERS = [43, 50, 60, 135];

const COUNTERS = [
  "spoofed-udp",
  "spoofed-ipv4",
  "spoofed-ipv6",
  "bad-version",
  "link-local",
  "mapped-source",
  "mapped-signalling",
  "mapped-proven",
  "send-only",
  "tunnelled-signalling",
  "signalling",
  "signalling-port",
  "unknown-signalling",
  "metered",
  "metered-discovery",
  "metered-reports",
  "no-port",
  ...MIP4_COUNTERS,
] as const;

const SIGNALLING_SET: NftSet = {
  name: "signalling-headers",
  key: ["integer"],
  integerLength: 1,
  elements: SIGNALLING_HEADERS.map((header) => ({ key: header.toString(16).padStart(2, "0") })),
};

export function homeAgentFirewall(site: HomeAgentPlanSite): NftTable {
  const plain = usesPlainTunnels(site);
  const udp = site.addresses.ipv4 !== undefined;
  const overIpv6 = servesUdpOverIpv6(site);
  const inTunnels = sendLevels(site).length > 1 || site.mappedSignalling === true;
  const metering = meters({ udp, udpOverIpv6: overIpv6, plain, inTunnels });
  const chains = [
    ...prerouting(site),
    ...(site.negotiated === undefined ? [] : [TYPED_MESSAGES_CHAIN]),
    ...input(site),
    ...metering.chains,
    ...multicastChains(site),
    ...mip4PreroutingChains(site),
    ...mip4InputChains(site),
    ...mip4OutputChains(site),
    ...(plain
      ? [...inputChains(site), ...outputIpv4(site), ...outputIpv6(site), ...outputUdpOverIpv6(site)]
      : outputOfEspAlone(site)),
  ];
  return {
    kind: "nft-table",
    family: "inet",
    name: OWNERSHIP.nftTable,
    counters: COUNTERS.filter((name) => chains.some((chain) => counts(chain, name))),
    sets: [
      ...(plain ? [...Object.values(SETS), ...networkSets(site), CLASS_MAP] : []),
      ...(overIpv6 ? Object.values(UDP_IPV6_SETS) : []),
      ...mip4FirewallSets(site),
      ...(site.multicast === true ? Object.values(MULTICAST_SETS) : []),
      SIGNALLING_SET,
      ...metering.sets,
    ],
    chains,
  };
}

const counts = ({ rules }: NftChain, name: string): boolean =>
  rules.some(({ expressions }) => expressions.some((one) => one.type === "count" && one.counter === name));

/** Every packet that is forwarded comes here, one out of a tunnel twice, so those that are not for ourselves meet a few rules only. */
function prerouting(site: HomeAgentPlanSite): readonly NftChain[] {
  const { ipv4, ipv6 } = site.addresses;
  const plain = usesPlainTunnels(site);
  const rare = rareProtocols({
    espTo: usesEspTunnels(site) ? [ipv6, ...(ipv4 === undefined ? [] : [ipv4])] : [],
    typed: site.negotiated !== undefined,
  });
  const untracked = (...protocols: readonly number[]): readonly NftRule[] =>
    protocols.map((protocol) => rule(l4proto(protocol), notrack, accept));
  const tunnels = untracked(...(plain ? [PROTOCOL.ipv4, PROTOCOL.ipv6] : []));
  const esp = untracked(...(usesEspTunnels(site) ? [] : [PROTOCOL.esp]));
  // Out of IPv4, and its care-of address is the outer source: the device has seen to that.
  const proven =
    site.mappedSignalling === true ? [rule(inputDevices(DEVICE.receiveIpv4), from6to4, count("mapped-proven"))] : [];
  const ike = site.negotiated === undefined ? [] : IKE_PORTS.map((port) => rule(udpPort("dport", port), notrack));
  return [
    {
      name: "prerouting",
      base: { type: "filter", hook: "prerouting", priority: HOOK_PRIORITY.first, policy: "accept" },
      rules: [
        ...(plain ? [rule(inputDevices(DEVICE.sendPrefix), count("send-only"), drop)] : []),
        ...mip4Prerouting(site),
        ...toMulticastChains(site),
        ...(rare.length === 0 ? [] : [toRareProtocols]),
        // Each family has its own few rules, and does not ask the other's whether they are meant.
        rule(family(6), jump("prerouting-ipv6")),
        ...(ipv4 === undefined ? [] : [rule(ipField("daddr", ipv4), jump("to-ipv4"))]),
        ...mip4Forwarded(site),
      ],
    },
    {
      name: "prerouting-ipv6",
      rules: [
        ...(plain && ipv4 !== undefined ? [rule(show6to4(inputDevices(DEVICE.receiveIpv4)))] : []),
        rule(ipField("daddr", ipv6), jump("to-ipv6")),
        rule(accept),
      ],
    },
    ...rare,
    ...(ipv4 === undefined
      ? []
      : [
          {
            name: "to-ipv4",
            rules: [
              ...(usesEspTunnels(site) ? [markEspInUdp([], [notrack, accept])] : []),
              rule(udpPort("dport", DSMIP_PORT), notrack, accept),
              ...tunnels,
              ...mip4Untracked(site),
              ...esp,
              ...ike,
            ],
          },
        ]),
    {
      name: "to-ipv6",
      rules: [
        ...(servesUdpOverIpv6(site) ? [rule(udpPort("dport", DSMIP_PORT), notrack, accept)] : []),
        ...tunnels,
        ...proven,
        ...esp,
        ...untracked(PROTOCOL.mobility),
        ...(site.negotiated === undefined ? [markSolicitations] : []),
        ...ike,
      ],
    },
  ];
}

const toSteer = ({ addresses }: HomeAgentPlanSite, { name } = STEER): NftRule =>
  rule(
    innerVersion(UDP_HEADER, 6),
    innerAddress(UDP_HEADER + 24, addresses.ipv6),
    innerOctetIn(UDP_HEADER + 6, SIGNALLING_SET.name),
    jump(name),
  );

const ESP_PASSES = rule(l4proto(PROTOCOL.esp), accept);

/** After everybody else's filter, which is to see what was on the wire: what we rewrite, nobody has opened a port for. */
function input(site: HomeAgentPlanSite): readonly NftChain[] {
  const { ipv4, ipv6 } = site.addresses;
  const plain = usesPlainTunnels(site);
  return [
    {
      name: "input",
      base: { type: "filter", hook: "input", priority: HOOK_PRIORITY.last, policy: "accept" },
      rules: [
        // In the order in which packets are many: out of tunnels first.
        ...(ipv4 === undefined ? [] : [rule(ipField("daddr", ipv4), jump("in-ipv4"))]),
        // The kernel takes such a source for any other, in Home Address options too. What is not for ourselves nobody looks at.
        rule(fromMapped, count("mapped-source"), drop),
        // Whose it is, ESP says itself.
        ESP_PASSES,
        ...(plain ? [rule(ipField("daddr", ipv6), jump("in-ipv6"))] : []),
        rule(l4proto(PROTOCOL.mobility), jump("in-mobility")),
        METERED_SOLICITATIONS,
        ...acceptReports(site),
        ...(plain ? [rule(toInternalAddresses, count("spoofed-ipv4"), drop)] : []),
        ...(site.addressDiscovery === true ? DISCOVERY_RULES : []),
      ],
    },
    ...(ipv4 === undefined
      ? []
      : [
          {
            name: "in-ipv4",
            rules: [
              ...(usesEspTunnels(site) ? [ESP_PASSES] : []),
              rule(udpPort("dport", DSMIP_PORT), jump("in-udp")),
              ...mip4Input(site),
              ...(plain
                ? [rule(l4proto(PROTOCOL.ipv6), jump("in-ipv4-6")), rule(l4proto(PROTOCOL.ipv4), jump("in-ipv4-4"))]
                : []),
              // Only what has been steered may get there: that is past this rule already.
              rule(udpPort("dport", SIGNALLING_PORT), count("signalling-port"), drop),
            ],
          },
          { name: "in-udp", rules: [toSteer(site), ...(plain ? fromUdp(site) : [])] },
        ]),
    ...(plain
      ? [
          {
            name: "in-ipv6",
            rules: [
              ...(servesUdpOverIpv6(site) ? [rule(udpPort("dport", DSMIP_PORT), jump("in-udp-ipv6"))] : []),
              rule(l4proto(PROTOCOL.ipv6), jump("in-ipv6-6")),
              rule(l4proto(PROTOCOL.ipv4), jump("in-ipv6-4")),
              ...(servesUdpOverIpv6(site)
                ? [rule(udpPort("dport", SIGNALLING_PORT), count("signalling-port"), drop)]
                : []),
            ],
          },
        ]
      : []),
    ...(servesUdpOverIpv6(site)
      ? [{ name: "in-udp-ipv6", rules: [toSteer(site, STEER_OVER_IPV6), ...fromUdp(site, OUTER_IPV6)] }]
      : []),
  ];
}

/** Where things stand in an inner IPv6 header. */
const INNER = { nextHeader: 6, destination: 24, options: 40 } as const;
const INNER_DESTINATION_OPTIONS = 60;
/**
 * An update of the 2004 profile: to ourselves, and destination options directly followed by ESP. As a 6to4 address its source is compared
 * with the outer one by the device (base/mapped.ts); what ESP says, and whether the node may do that, comes after.
 */
const mappedSignalling = ({ addresses }: HomeAgentPlanSite): NftRule =>
  rule(
    innerMapped(SOURCE[6]),
    innerAddress(INNER.destination, addresses.ipv6),
    innerOctet(INNER.nextHeader, INNER_DESTINATION_OPTIONS),
    innerOctet(INNER.options, PROTOCOL.esp),
    innerMappedTo6to4(SOURCE[6]),
    count("mapped-signalling"),
    accept,
  );

interface OuterUdp {
  readonly source: KeyField;
  readonly sets: { readonly udp6: NftSet; readonly udp4: NftSet };
}
const OUTER_IPV4: OuterUdp = { source: KEY.ip4Source, sets: SETS };
const OUTER_IPV6: OuterUdp = { source: KEY.ip6Source, sets: UDP_IPV6_SETS };

/** GUE has other variants and protocols, and control messages: nothing but an IP header that directly follows UDP is let in. */
function fromUdp(site: HomeAgentPlanSite, { source, sets } = OUTER_IPV4): readonly NftRule[] {
  const ofVersion = (version: 4 | 6, set: NftSet): readonly NftRule[] => [
    ...registered([source, KEY.udpSource], { version, offset: UDP_HEADER, set }, site).map((known) =>
      rule(innerVersion(UDP_HEADER, version), known, accept),
    ),
    ...(version === 6
      ? [
          ...(source === KEY.ip4Source ? labelledReports(site, "udp") : []),
          linkLocal(UDP_HEADER, innerVersion(UDP_HEADER, version)),
          mapped(UDP_HEADER, innerVersion(UDP_HEADER, version)),
        ]
      : []),
    rule(innerVersion(UDP_HEADER, version), count("spoofed-udp"), drop),
  ];
  return [
    ...(source === KEY.ip4Source
      ? [rule(innerVersion(UDP_HEADER, 6), hideInner6to4(UDP_HEADER), clearUdpChecksum)]
      : []),
    ...ofVersion(6, sets.udp6),
    ...ofVersion(4, sets.udp4),
    rule(count("bad-version"), drop),
  ];
}

/** Outer source (and port) must be the registered one of the inner source. */
function inputChains(site: HomeAgentPlanSite): readonly NftChain[] {
  const chain = (
    name: string,
    outer: KeyField,
    { version, set, first = [] }: { version: 4 | 6; set: NftSet; first?: readonly NftRule[] },
    ...otherwise: readonly NftRule[]
  ): NftChain => ({
    name,
    rules: [
      ...first,
      ...registered([outer], { version, offset: 0, set }, site).map((known) => rule(known, accept)),
      ...otherwise,
    ],
  });
  const spoofed = rule(count("spoofed-ipv4"), drop);
  // IPv6 fragments are reassembled after this hook. The first one is judged; a later one has no transport header to judge and is
  // nothing without its first one.
  const spoofedUnlessLater = rule(hasTransportHeader, count("spoofed-ipv6"), drop);
  return [
    ...(site.addresses.ipv4 === undefined
      ? []
      : [
          chain(
            "in-ipv4-6",
            KEY.ip4Source,
            // A device that receives from all nodes has packets to 6to4 addresses pass only if they lead back to ourselves (RFC 3056 §9).
            { version: 6, set: SETS.ipv4_6, first: [rule(hideInner6to4(0))] },
            ...(site.mappedSignalling === true ? [mappedSignalling(site)] : []),
            ...labelledReports(site, "ipv4"),
            linkLocal(0),
            mapped(0),
            spoofed,
          ),
          chain("in-ipv4-4", KEY.ip4Source, { version: 4, set: SETS.ipv4_4 }, ...mip4PlainCarriers(site), spoofed),
        ]),
    chain(
      "in-ipv6-6",
      KEY.ip6Source,
      { version: 6, set: SETS.ipv6_6 },
      ...labelledReports(site, "ipv6"),
      linkLocal(0, hasTransportHeader),
      mapped(0, hasTransportHeader),
      spoofedUnlessLater,
    ),
    chain("in-ipv6-4", KEY.ip6Source, { version: 4, set: SETS.ipv6_4 }, spoofedUnlessLater),
  ];
}
