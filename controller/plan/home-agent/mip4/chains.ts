/**
 * What Mobile IPv4 adds to the home agent's firewall: tunnel data on port 434 led to the kernel's GUE and back, GRE, IPv6 that comes out of
 * the tunnel to an IPv4 home address, and what is in front of the process on port 434. KERNEL.md tells the reason of every chain.
 */
import type { Ipv4Address } from "../../../base/ip.js";
import { classOfInner, isCarrier } from "../../carriers.js";
import {
  carries,
  closedGuePort,
  GRE_DEVICE,
  GRE_HEADER,
  greCarries,
  isTunnelData,
  MIP4_MARK_BIT,
  PROTOCOL,
  REGISTRATION_PORT,
  type TunnelPayload,
  toGue,
  toTunnelData,
  UDP_TUNNEL_HEADER,
} from "../../mip4/tunnel-data.js";
import type { NftChain, NftRule, NftSet } from "../../objects/firewall.js";
import { innerField, KEY, type KeyField, rule } from "../../objects/nft-clause.js";
import {
  family,
  icmpv6,
  innerMayFragment,
  innerOctet,
  inputDevices,
  ipField,
  ipv4Dscp,
  keyIn,
  l4proto,
  markIs,
  outputDevice,
  udpPort,
} from "../../objects/nft-matches.js";
import { accept, count, drop, jump, notrack } from "../../objects/nft-verdicts.js";
import {
  clearDontFragment,
  clearMarkBit,
  hideInner6to4,
  setDestinationPortFrom,
  setIpv4Source,
  setIpv4Ttl,
  setMarkBit,
  setNetworkControl,
} from "../../objects/nft-writes.js";
import { DEVICE, type HomeAgentPlanSite, mip4Service, tunnelClasses } from "../../site.js";
import { carrierRules } from "../carriers.js";
import { DESTINATION, destinations, linkLocal, mapped, registered, SOURCE } from "../inner-keys.js";
import { ofLengths, SETS } from "../sets.js";
import { REGISTRATION_ANSWERS, REGISTRATION_METERS, REGISTRATION_SOURCE, registrationRules } from "./meters.js";
import { MIP4_IPV6_SETS, MIP4_SETS } from "./sets.js";
import { mip4InternalAddress } from "./site.js";

export const MIP4_COUNTERS = [
  "spoofed-gre",
  "bad-gre",
  "tunnel-port",
  "tunnel-loop",
  "metered-registrations",
  "metered-answers",
] as const;

/** A part of the firewall that is not there where Mobile IPv4 is not served. */
function whereServed<T>(
  site: HomeAgentPlanSite,
  part: (ipv4: Ipv4Address, gre: boolean) => readonly T[],
): readonly T[] {
  const service = mip4Service(site);
  return service === undefined || site.addresses.ipv4 === undefined ? [] : part(site.addresses.ipv4, service.gre);
}

export const mip4FirewallSets = (site: HomeAgentPlanSite): readonly NftSet[] =>
  whereServed(site, () => [
    ...Object.values(MIP4_SETS),
    ...ofLengths(site, 6, MIP4_IPV6_SETS),
    ...Object.values(REGISTRATION_METERS),
  ]);

/** GRE comes out of a device that takes it from anybody, for whatever address of this machine. */
export const mip4Prerouting = (site: HomeAgentPlanSite): readonly NftRule[] =>
  whereServed(site, (_, gre) => (gre ? [rule(inputDevices(GRE_DEVICE), jump("from-gre"))] : []));

export const mip4PreroutingChains = (site: HomeAgentPlanSite): readonly NftChain[] =>
  whereServed(site, (_, gre) => [LOOPS, ...(gre ? [FROM_GRE] : [])]);

const FROM_GRE: NftChain = {
  name: "from-gre",
  rules: [
    rule(markIs({ value: 0, mask: MIP4_MARK_BIT }), count("spoofed-gre"), drop),
    rule(clearMarkBit(MIP4_MARK_BIT)),
  ],
};

/**
 * Of what is forwarded over IPv4. What comes from where a tunnel leads, already in a tunnel to the home address and for that address inside,
 * is what we have sent there ourselves (RFC 5944 §4.2.3); from anywhere else it goes the way of all packets.
 */
export const mip4Forwarded = (site: HomeAgentPlanSite): readonly NftRule[] =>
  whereServed(site, () => [rule(l4proto(PROTOCOL.ipv4), jump("loops"))]);

// In a chain of its own: a rule that has both the protocol and what is inside ends `nft list` of Debian 12 (1.0.6) with a failed assertion.
const LOOPS: NftChain = {
  name: "loops",
  rules: [
    rule(
      keyIn([KEY.ip4Source, KEY.ip4Destination, innerField(DESTINATION[4], 4)], MIP4_SETS.loops.name),
      count("tunnel-loop"),
      drop,
    ),
  ],
};

/** Of what is for the home agent itself nothing is tracked. */
export const mip4Untracked = (site: HomeAgentPlanSite): readonly NftRule[] =>
  whereServed(site, (_, gre) => [
    rule(udpPort("dport", REGISTRATION_PORT), notrack, accept),
    ...(gre ? [rule(l4proto(PROTOCOL.gre), notrack, accept)] : []),
  ]);

/** Before the rules for plain tunnels: what is out of a tunnel and for the home agent itself may be a home address's IPv6. */
export const mip4Input = (site: HomeAgentPlanSite): readonly NftRule[] =>
  whereServed(site, (_, gre) => [
    rule(udpPort("dport", REGISTRATION_PORT), jump("in-registration")),
    closedGuePort,
    ...(gre ? [rule(l4proto(PROTOCOL.gre), jump("in-gre"))] : []),
    rule(l4proto(PROTOCOL.ipv6), inputDevices(DEVICE.receivePrefix), jump("in-home-6")),
  ]);

/** Where the protocol stands in an inner IPv4 header. */
const INNER_PROTOCOL = 9;

/** The carrier of a home address's IPv6, where no other IPv4 comes through the tunnel. */
export const onlyIpv6 = (
  outer: readonly KeyField[],
  { offset, set }: { readonly offset: number; readonly set: NftSet },
) =>
  [
    innerOctet(offset + INNER_PROTOCOL, PROTOCOL.ipv6),
    keyIn([...outer, innerField(offset + SOURCE[4], 4)], set.name),
  ] as const;

/** For the chain of protocol 4 over IPv4. */
export const mip4PlainCarriers = (site: HomeAgentPlanSite): readonly NftRule[] =>
  whereServed(site, () => [rule(...onlyIpv6([KEY.ip4Source], { offset: 0, set: MIP4_SETS.onlyIpv4 }), accept)]);

export const mip4InputChains = (site: HomeAgentPlanSite): readonly NftChain[] =>
  whereServed(site, (_, gre) => [
    {
      name: "in-registration",
      rules: [rule(isTunnelData, jump("in-tunnel-data")), ...registrationRules(gre)],
    },
    { name: "registration-source", rules: REGISTRATION_SOURCE },
    tunnelData(site),
    { name: "to-gue", rules: [rule(...toGue, accept)] },
    ...(gre ? [greInput(site)] : []),
    {
      name: "in-home-6",
      rules: [
        rule(hideInner6to4(0)),
        ...registered([KEY.ip4Source], { version: 6, offset: 0, set: MIP4_SETS.home6 }, site).map((known) =>
          rule(known, accept),
        ),
      ],
    },
  ]);

/** Address, port and inner source must be those of one binding (RFC 3519 §4.3), and what is inside that which was agreed on (§3.3). */
function tunnelData(site: HomeAgentPlanSite): NftChain {
  const outer = [KEY.ip4Source, KEY.udpSource];
  const of = (payload: TunnelPayload, version: 4 | 6, set: NftSet): readonly NftRule[] =>
    registered(outer, { version, offset: UDP_TUNNEL_HEADER, set }, site).map((known) =>
      rule(carries(payload), known, jump("to-gue")),
    );
  const { ipv4, ipv6 } = PROTOCOL;
  return {
    name: "in-tunnel-data",
    rules: [
      ...of(ipv4, 4, MIP4_SETS.udp4),
      rule(carries(ipv6), hideInner6to4(UDP_TUNNEL_HEADER)),
      ...of(ipv6, 6, MIP4_SETS.udp6),
      rule(carries(ipv4), ...onlyIpv6(outer, { offset: UDP_TUNNEL_HEADER, set: MIP4_SETS.onlyUdp }), jump("to-gue")),
      linkLocal(UDP_TUNNEL_HEADER, carries(ipv6)),
      mapped(UDP_TUNNEL_HEADER, carries(ipv6)),
      rule(carries(ipv4), count("spoofed-udp"), drop),
      rule(carries(ipv6), count("spoofed-udp"), drop),
      rule(count("bad-version"), drop),
    ],
  };
}

/** The device takes keys, checksums and sequence numbers, too; none was agreed on. */
function greInput(site: HomeAgentPlanSite): NftChain {
  const of = (version: 4 | 6, set: NftSet): readonly NftRule[] =>
    registered([KEY.ip4Source], { version, offset: GRE_HEADER, set }, site).map((known) =>
      rule(greCarries(version), known, setMarkBit(MIP4_MARK_BIT), accept),
    );
  return {
    name: "in-gre",
    rules: [
      ...of(4, MIP4_SETS.gre4),
      ...of(6, MIP4_SETS.gre6),
      rule(
        greCarries(4),
        ...onlyIpv6([KEY.ip4Source], { offset: GRE_HEADER, set: MIP4_SETS.onlyGre }),
        setMarkBit(MIP4_MARK_BIT),
        accept,
      ),
      linkLocal(GRE_HEADER, greCarries(6)),
      mapped(GRE_HEADER, greCarries(6)),
      rule(greCarries(4), count("spoofed-gre"), drop),
      rule(greCarries(6), count("spoofed-gre"), drop),
      rule(count("bad-gre"), drop),
    ],
  };
}

/** Of the chain of type route that completes outer headers over IPv4. */
export const mip4Output = (site: HomeAgentPlanSite): readonly NftRule[] =>
  whereServed(site, (ipv4, gre) => [
    ...tunnelClasses(site).flatMap((one) => [
      rule(ipField("saddr", mip4InternalAddress("udp", one)), setIpv4Ttl(one.ttl), jump("out-tunnel-data")),
      rule(ipField("saddr", mip4InternalAddress("home-address", one)), setIpv4Ttl(one.ttl), jump("out-ipv4")),
    ]),
    ...(gre ? [rule(ipField("saddr", ipv4), l4proto(PROTOCOL.gre), jump("out-gre"))] : []),
    // A link-local answer leaves by the device that receives from all nodes, whose one cached route is the former packet's.
    rule(
      ipField("saddr", ipv4),
      l4proto(PROTOCOL.ipv6),
      setIpv4Ttl(LINK_LOCAL_TTL),
      setMarkBit(MIP4_MARK_BIT),
      notrack,
      accept,
    ),
    rule(ipField("saddr", ipv4), udpPort("sport", REGISTRATION_PORT), jump("out-registration")),
  ]);

const LINK_LOCAL_TTL = 64;
const NEIGHBOUR_ADVERTISEMENT = 136;

/**
 * What the kernel answers a node's neighbour solicitation with (RFC 4213 §3.8), it makes for a neighbour, and the device knows an IPv4 address
 * of none. A change of the header has it look for a route, and there is one to each link-local address.
 */
export const mip4NeighbourAnswers = (site: HomeAgentPlanSite): readonly NftRule[] =>
  whereServed(site, () => [
    rule(
      family(6),
      outputDevice(DEVICE.receiveIpv4),
      icmpv6(NEIGHBOUR_ADVERTISEMENT),
      setNetworkControl,
      notrack,
      accept,
    ),
  ]);

export const mip4OutputChains = (site: HomeAgentPlanSite): readonly NftChain[] =>
  whereServed(site, (ipv4, gre) => [
    outTunnelData(ipv4, site),
    ...(gre ? [outGre(site)] : []),
    {
      name: "carrier-tunnel-data",
      rules: carrierRules(site, UDP_TUNNEL_HEADER, (one) => mip4InternalAddress("udp", one)),
    },
    { name: "out-registration", rules: REGISTRATION_ANSWERS },
  ]);

/** The route has said the class, so of a fixed one the DSCP is right; whose it is, the inner destination tells. */
function outGre(site: HomeAgentPlanSite): NftChain {
  const fixed = tunnelClasses(site).flatMap(({ dscp }) => (dscp === "copy" ? [] : [dscp]));
  const isFixed = keyIn([innerField(GRE_HEADER + DESTINATION[4], 4)], SETS.fixed4.name);
  const carries6 = [greCarries(4), ...isCarrier(GRE_HEADER)];
  return {
    name: "out-gre",
    rules: [
      rule(greCarries(4), innerMayFragment(GRE_HEADER), clearDontFragment),
      ...[...new Set(fixed)].map((dscp) =>
        rule(...carries6, isFixed, ipv4Dscp(dscp), classOfInner(GRE_HEADER, dscp), notrack, accept),
      ),
      rule(...carries6, classOfInner(GRE_HEADER, "copy")),
      rule(notrack, accept),
    ],
  };
}

function outTunnelData(ipv4: Ipv4Address, site: HomeAgentPlanSite): NftChain {
  const toPorts = (payload: TunnelPayload, version: 4 | 6, set: NftSet): readonly NftRule[] =>
    destinations(UDP_TUNNEL_HEADER, version, set, site).map(({ field, set: map }) =>
      rule(
        carries(payload),
        setDestinationPortFrom([KEY.ip4Destination, field], map),
        ...toTunnelData,
        notrack,
        accept,
      ),
    );
  return {
    name: "out-tunnel-data",
    rules: [
      rule(...isCarrier(UDP_TUNNEL_HEADER), jump("carrier-tunnel-data")),
      rule(setIpv4Source(ipv4)),
      ...toPorts(PROTOCOL.ipv6, 6, MIP4_SETS.port6),
      ...toPorts(PROTOCOL.ipv4, 4, MIP4_SETS.port4),
      rule(count("no-port"), drop),
    ],
  };
}
