/** What leaves the home agent in a tunnel: its outer header is completed in the output hook. KERNEL.md tells the reason of every chain. */
import type { IpAddress, Ipv4Address } from "../../base/ip.js";
import type { NftChain, NftRule, NftSet } from "../objects/firewall.js";
import { type Clause, innerField, KEY, rule } from "../objects/nft-clause.js";
import { family, innerVersion, ipField, keyIn, l4proto, udpPort } from "../objects/nft-matches.js";
import { accept, count, drop, jump, notrack } from "../objects/nft-verdicts.js";
import {
  clearUdpChecksum,
  copyClassFromIpv4,
  copyClassFromIpv6,
  correctDestinationPortFrom,
  correctUdpPort,
  setDestinationPortFrom,
  setInnerMapped,
  setIpv4Source,
  setIpv4Ttl,
  setIpv6DestinationFrom,
  setUdpPort,
} from "../objects/nft-writes.js";
import { dressEsp, sentEsp } from "../security/esp-firewall.js";
import { CLASS_MAP } from "../shared-objects.js";
import {
  DSMIP_PORT,
  HOOK_PRIORITY,
  type HomeAgentPlanSite,
  INTERNAL_ADDRESS,
  internalAddress,
  placeholder,
  SIGNALLING_PORT,
  sendLevels,
  servesUdpOverIpv6,
  tunnelClasses,
  UDP_HEADER,
  usesEspTunnels,
} from "../site.js";
import { carrierChains, toCarriers } from "./carriers.js";
import { DESTINATION, destinations } from "./inner-keys.js";
import { mip4NeighbourAnswers, mip4Output } from "./mip4/chains.js";
import { restoreGroup } from "./multicast.js";
import { IKE_PORTS, PROTOCOL, SETS, UDP_IPV6_SETS } from "./sets.js";

/**
 * Every NBMA device sends from an internal address; here the packet gets the home agent's, its TTL, and for UDP the node's port. The chain
 * is of type route: a sit device without a remote keeps one outer route for the IPv6 packets of all its nodes, and only a new look-up after
 * the change of address finds each node's own.
 */
export function outputIpv4(site: HomeAgentPlanSite): readonly NftChain[] {
  const { ipv4 } = site.addresses;
  if (ipv4 === undefined) return [];
  const perDevice = sendLevels(site).flatMap((level) =>
    tunnelClasses(site).flatMap((one) => [
      rule(ipField("saddr", internalAddress("udp", one, level)), setIpv4Ttl(one.ttl), jump("out-udp")),
      rule(ipField("saddr", internalAddress("ipv4", one, level)), setIpv4Ttl(one.ttl), jump("out-ipv4")),
    ]),
  );
  return [
    {
      name: "output-ipv4",
      base: { type: "route", hook: "output", priority: HOOK_PRIORITY.first, policy: "accept" },
      rules: [
        ...mip4NeighbourAnswers(site),
        rule(family(6), accept),
        ...(usesEspTunnels(site) ? [rule(sentEsp, jump("esp-4"))] : []),
        ...perDevice,
        ...(site.mappedSignalling === true
          ? [rule(ipField("saddr", INTERNAL_ADDRESS.sendMapped), setInnerMapped(DESTINATION[6]), jump("out-ipv4"))]
          : []),
        ...mip4Output(site),
        signallingPort(ipv4),
        ...untrackedIke(site, ipv4),
      ],
    },
    ...espChain(site, 4),
    ...carrierChains(site),
    ...outputUdp(ipv4, site),
    {
      name: "out-ipv4",
      rules: [
        ...toCarriers(site, "ipv4", ipv4),
        ...VERSIONS.flatMap((version) => restored(site, version, { outer: 4, udp: false }, [])),
        rule(setIpv4Source(ipv4), notrack, accept),
      ],
    },
  ];
}

/** A multicast copy meets what all packets for its node do, found by the home address, and gets its group back. */
function restored(
  site: HomeAgentPlanSite,
  version: 4 | 6,
  outer: { readonly outer: 4 | 6; readonly udp: boolean },
  before: readonly Clause[],
  ...after: readonly Clause[]
): readonly NftRule[] {
  const [isCopy, isVersion, restore] = restoreGroup(site, version, outer) ?? [];
  if (isCopy === undefined || isVersion === undefined || restore === undefined) return [];
  return [rule(isCopy, isVersion, ...before, restore, ...after)];
}

/** Without plain tunnels one chain is enough, and no route changes with it. */
export function outputOfEspAlone(site: HomeAgentPlanSite): readonly NftChain[] {
  const { ipv4 } = site.addresses;
  const versions = ipv4 === undefined ? ([6] as const) : ([6, 4] as const);
  const classes = tunnelClasses(site);
  const few = classes.length === 1; // then looking at once is shorter than a way to a chain
  return [
    {
      name: "output",
      base: { type: "filter", hook: "output", priority: HOOK_PRIORITY.first, policy: "accept" },
      rules: [
        ...versions.flatMap((version) =>
          few ? dressEsp(version, classes, family(version)) : [rule(family(version), sentEsp, jump(`esp-${version}`))],
        ),
        ...(few ? [rule(sentEsp, notrack, accept)] : []),
        ...(ipv4 === undefined ? [] : [signallingPort(ipv4)]),
        ...Object.values(site.addresses).flatMap((address) =>
          address === undefined ? [] : untrackedIke(site, address),
        ),
        ...untrackedSignalling(site),
      ],
    },
    ...(few ? [] : versions.flatMap((version) => espChain(site, version))),
  ];
}

/** Answers leave from the port that the updates came to. */
function signallingPort(ipv4: Ipv4Address): NftRule {
  return rule(
    ipField("saddr", ipv4),
    udpPort("sport", SIGNALLING_PORT),
    setUdpPort("sport", DSMIP_PORT),
    clearUdpChecksum,
    notrack,
  );
}

/** Signalling over IPv6, before ESP and under it, and on its way into the TUN device. */
function untrackedSignalling({ addresses: { ipv6 } }: HomeAgentPlanSite): readonly NftRule[] {
  return [PROTOCOL.esp, PROTOCOL.mobility].map((protocol) =>
    rule(ipField("saddr", ipv6), l4proto(protocol), notrack, accept),
  );
}

function untrackedIke({ negotiated }: HomeAgentPlanSite, address: IpAddress): readonly NftRule[] {
  if (negotiated === undefined) return [];
  return IKE_PORTS.map((port) => rule(ipField("saddr", address), udpPort("sport", port), notrack));
}

/** The outer header of protected payload, which has no further business in the chain. */
function espChain(site: HomeAgentPlanSite, version: 4 | 6): readonly NftChain[] {
  if (!usesEspTunnels(site)) return [];
  return [{ name: `esp-${version}`, rules: [...dressEsp(version, tunnelClasses(site)), rule(notrack, accept)] }];
}

const VERSIONS = [6, 4] as const;
function outputUdp(ipv4: Ipv4Address, site: HomeAgentPlanSite): readonly NftChain[] {
  const toPorts = (version: 4 | 6, set: NftSet): readonly NftRule[] =>
    destinations(UDP_HEADER, version, set, site).map(({ field, set: map }) => {
      const toPort = setDestinationPortFrom([KEY.ip4Destination, field], map);
      return rule(innerVersion(UDP_HEADER, version), toPort, clearUdpChecksum, notrack, accept);
    });
  const copies = (version: 4 | 6, set: NftSet): readonly NftRule[] => {
    const destination = innerField(UDP_HEADER + DESTINATION[version], version === 4 ? 4 : 16);
    const toPort = setDestinationPortFrom([KEY.ip4Destination, destination], set.name);
    return restored(site, version, { outer: 4, udp: true }, [toPort, clearUdpChecksum], notrack, accept);
  };
  return [
    {
      name: "out-udp",
      rules: [
        ...toCarriers(site, "udp", ipv4),
        rule(setIpv4Source(ipv4)),
        ...copies(6, SETS.port6),
        ...copies(4, SETS.port4),
        ...toPorts(6, SETS.port6),
        ...toPorts(4, SETS.port4),
        rule(count("no-port"), drop),
      ],
    },
  ];
}

/**
 * A device that sends UDP over IPv6 has a placeholder for its other end; the node's address and port come from the inner destination, and
 * the chain is of type route to find the node's way.
 */
export function outputUdpOverIpv6(site: HomeAgentPlanSite): readonly NftChain[] {
  if (!servesUdpOverIpv6(site)) return [];
  const { ipv6 } = site.addresses;
  const { careOf6, careOf4, port6, port4 } = UDP_IPV6_SETS;
  const fromDevices = sendLevels(site).flatMap((level) =>
    tunnelClasses(site).map((one) => rule(ipField("daddr", placeholder(one, level)), jump("out-udp-ipv6"))),
  );
  const toNodes = (version: 4 | 6, careOf: NftSet, ports: NftSet): readonly NftRule[] =>
    destinations(UDP_HEADER, version, careOf, site).map(({ field, set }, i) => {
      const portMap = destinations(UDP_HEADER, version, ports, site)[i]?.set ?? ports.name;
      return rule(
        innerVersion(UDP_HEADER, version),
        correctDestinationPortFrom([field], portMap),
        setIpv6DestinationFrom([field], set),
        notrack,
        accept,
      );
    });
  return [
    {
      name: "output-udp-ipv6",
      base: { type: "route", hook: "output", priority: HOOK_PRIORITY.first, policy: "accept" },
      rules: [
        rule(family(4), accept),
        ...fromDevices,
        rule(ipField("saddr", ipv6), udpPort("sport", SIGNALLING_PORT), correctUdpPort("sport", DSMIP_PORT), notrack),
      ],
    },
    {
      name: "out-udp-ipv6",
      rules: [...toNodes(6, careOf6, port6), ...toNodes(4, careOf4, port4), rule(count("no-port"), drop)],
    },
  ];
}

/** The kernel takes the traffic class of lightweight tunnels from the route; where a profile says "copy" it is the inner packet's. */
export function outputIpv6(site: HomeAgentPlanSite): readonly NftChain[] {
  const { ipv6 } = site.addresses;
  const anyFixed = tunnelClasses(site).some(({ dscp }) => dscp !== "copy");
  const unlessFixed = (version: 4 | 6, set: NftSet): readonly NftRule[] =>
    anyFixed
      ? destinations(0, version, set, site).map(({ field, set: fixed }) => rule(keyIn([field], fixed), accept))
      : [];
  /** A copy for a node with a fixed class first; the inner packet's is what is left. */
  const multicast = (version: 4 | 6, set: NftSet): readonly NftRule[] => {
    const outer = { outer: 6, udp: false } as const;
    const destination = innerField(DESTINATION[version], version === 4 ? 4 : 16);
    const copyClass = version === 6 ? copyClassFromIpv6 : copyClassFromIpv4(CLASS_MAP.name);
    const copies = (...before: readonly Clause[]): readonly NftRule[] => restored(site, version, outer, before, accept);
    return [...(anyFixed ? copies(keyIn([destination], set.name)) : []), ...copies(copyClass)];
  };
  return [
    {
      name: "output-ipv6",
      base: { type: "filter", hook: "output", priority: HOOK_PRIORITY.first, policy: "accept" },
      rules: [
        rule(family(4), accept),
        ...(usesEspTunnels(site) ? [rule(sentEsp, jump("esp-6"))] : []),
        rule(ipField("saddr", ipv6), l4proto(PROTOCOL.ipv6), jump("out-ipv6-6")),
        rule(ipField("saddr", ipv6), l4proto(PROTOCOL.ipv4), jump("out-ipv6-4")),
        ...untrackedSignalling(site),
        ...untrackedIke(site, ipv6),
      ],
    },
    ...espChain(site, 6),
    {
      name: "out-ipv6-6",
      rules: [
        rule(notrack),
        ...multicast(6, SETS.fixed6),
        ...unlessFixed(6, SETS.fixed6),
        rule(copyClassFromIpv6, accept),
      ],
    },
    {
      name: "out-ipv6-4",
      rules: [
        rule(notrack),
        ...multicast(4, SETS.fixed4),
        ...unlessFixed(4, SETS.fixed4),
        rule(copyClassFromIpv4(CLASS_MAP.name), accept),
      ],
    },
  ];
}
