/**
 * Multicast through the tunnels. The kernel's multicast routing can't deliver over devices that all nodes share, so copies are made by
 * filters, and each is forwarded as unicast by the host route of its node (KERNEL.md, "Multicast"):
 * - A filter on the home link puts a copy of a group's packets into `dsmip-mg`. There one of the same group tags it and goes to the group's
 *   chain, which has a filter for each member: another tag, and a copy into `dsmip-mm`.
 * - The tag is the Ethernet source: 02, group (2 octets), 02, node (2). Its first four octets become the packet's mark, and the last two
 *   find the home address that takes the group's place until the output hook has found the way, and writes the group back by the mark.
 */
import { hostPrefix, type IpAddress, type Ipv4Address, type Ipv6Address, ipv4, ipv6, isIpv4 } from "../../base/ip.js";
import type { DataPath, Endpoint } from "../../protocol/mip6/inputs.js";
import type { Filter } from "../objects/copying.js";
import type { NftChain, NftElement, NftRule, NftSet } from "../objects/firewall.js";
import type { Link } from "../objects/forwarding.js";
import { type Clause, KEY, type KeyField, rule } from "../objects/nft-clause.js";
import {
  family,
  icmpv6,
  innerMulticastListener,
  innerVersion,
  inputDevices,
  l4proto,
  markIs,
} from "../objects/nft-matches.js";
import { accept, count, drop, jump, notrack, within } from "../objects/nft-verdicts.js";
import {
  clearUdpChecksum,
  markFromTag,
  packetToHost,
  setDestination,
  setDestinationFromTag,
  setInnerFlow,
  setInnerGroup,
  singleHop,
} from "../objects/nft-writes.js";
import type { KernelObject } from "../objects/objects.js";
import { deviceObjects } from "../shared-objects.js";
import { DEVICE, type HomeAgentPlanSite, INTERNAL_ADDRESS, UDP_HEADER } from "../site.js";

/** Of filters that the packets of the home link meet, and those of `dsmip-mg`. */
const BLOCK = { homeLink: 4191, groups: 4192 } as const;
const PRIORITY = { 6: 1, 4: 2 } as const;

export const MULTICAST_SETS = {
  member6: { name: "member-6", key: ["inet_service"], value: "ipv6_addr" },
  member4: { name: "member-4", key: ["inet_service"], value: "ipv4_addr" },
  group6: { name: "group-6", key: ["mark"], value: "ipv6_addr" },
  group4: { name: "group-4", key: ["mark"], value: "ipv4_addr" },
  /** Which node a report without a home address is from: the first word of its header, with the node's label. */
  reportUdp: { name: "report-udp", key: ["ipv4_addr", "inet_service"], value: "integer", integerLength: 4 },
  reportIpv4: { name: "report-ipv4", key: ["ipv4_addr"], value: "integer", integerLength: 4 },
  reportIpv6: { name: "report-ipv6", key: ["ipv6_addr"], value: "integer", integerLength: 4 },
} as const satisfies Record<string, NftSet>;

/** Numbers of groups and nodes in tags: 16 bits; 0 is none, and this group stands for all nodes of a link, to which queries go. */
export const MOST_NUMBERS = 0xfffe;
const ALL_NODES = { number: 0xffff, ipv6: ipv6("ff02::1"), ipv4: ipv4("224.0.0.1") } as const;

/** Its octets in the order of a little-endian machine are the first four of the tag. */
export function groupMark(group: number): number {
  return 0x02000002 + ((group & 0xff) << 16) + (group & 0xff00);
}
/** Of the packet that asks a node for its groups. */
export const QUERY_MARK = groupMark(ALL_NODES.number);
const COPY_MARK = { value: 0x02000002, mask: 0xff0000ff } as const;

const word = (value: number): string => value.toString(16).padStart(4, "0");
const tag = (group: number, node: number): string => `02${word(group)}02${word(node)}`;

/** IPv4 has no address of ours that is sure to be there, but the one of the device where IPv6 tunnels come out. */
const REPORTS_TO_IPV4 = INTERNAL_ADDRESS.receiveIpv6;

export function multicastSite(site: HomeAgentPlanSite): readonly KernelObject[] {
  const { homeDevice } = site;
  if (site.multicast !== true || homeDevice === undefined) return [];
  const device = (name: string): Link => ({ kind: "link", name, mtu: site.mtu, up: true, link: { type: "dummy" } });
  return [
    ...deviceObjects(device(DEVICE.multicastGroups), INTERNAL_ADDRESS.multicastGroups),
    ...deviceObjects(device(DEVICE.multicastMembers), INTERNAL_ADDRESS.multicastMembers),
    { kind: "qdisc", device: homeDevice, direction: "ingress", block: BLOCK.homeLink },
    { kind: "qdisc", device: DEVICE.multicastGroups, direction: "ingress", block: BLOCK.groups },
    { kind: "nft-element", set: MULTICAST_SETS.group6.name, key: [QUERY_MARK], value: ALL_NODES.ipv6 },
    { kind: "nft-element", set: MULTICAST_SETS.group4.name, key: [QUERY_MARK], value: ALL_NODES.ipv4 },
  ];
}

export interface GroupMember {
  readonly number: number;
  /** Of the group's family. */
  readonly homeAddress: IpAddress;
}

/** What a group with these members needs. A group without any needs nothing. */
export function planGroup(group: IpAddress, number: number, members: readonly GroupMember[]): readonly KernelObject[] {
  if (members.length === 0) return [];
  const version = isIpv4(group) ? 4 : 6;
  const { group4, group6, member4, member6 } = MULTICAST_SETS;
  const first = { kind: "filter", chain: 0, priority: PRIORITY[version], handle: number, family: version } as const;
  const match = { destination: hostPrefix(group) };
  const copies = members.map(
    (member): Filter => ({
      ...{ kind: "filter", block: BLOCK.groups, chain: number, priority: member.number, handle: 1, family: version },
      match: {},
      tag: tag(number, member.number),
      outcome: { verb: "copy-in", device: DEVICE.multicastMembers },
    }),
  );
  return [
    { kind: "nft-element", set: (isIpv4(group) ? group4 : group6).name, key: [groupMark(number)], value: group },
    ...members.map(
      ({ number: node, homeAddress }): NftElement => ({
        kind: "nft-element",
        set: (isIpv4(group) ? member4 : member6).name,
        key: [node],
        value: homeAddress,
      }),
    ),
    ...copies,
    { ...first, block: BLOCK.groups, match, tag: tag(number, 0), outcome: { verb: "goto", chain: number } },
    { ...first, block: BLOCK.homeLink, match, outcome: { verb: "copy-in", device: DEVICE.multicastGroups } },
  ];
}

const FLOW = 0x60000000;

/** From where a node's reports come that have no home address: `label` of 20 bits tells the process whose they are. */
export function planReports({ ingress }: Pick<DataPath, "ingress">, label: number): readonly NftElement[] {
  return ingress.flatMap((endpoint) => reportElement(endpoint, FLOW + label) ?? []);
}

function reportElement(endpoint: Endpoint, value: number): NftElement | undefined {
  const { reportUdp, reportIpv4, reportIpv6 } = MULTICAST_SETS;
  switch (endpoint.format) {
    case "ipv4":
      return { kind: "nft-element", set: reportIpv4.name, key: [endpoint.address], value };
    case "ipv6":
      return { kind: "nft-element", set: reportIpv6.name, key: [endpoint.address], value };
    case "udp": {
      const { address, port } = endpoint;
      if (!isIpv4(address)) return undefined; // its reports have to come from the home address
      return { kind: "nft-element", set: reportUdp.name, key: [address, port], value };
    }
  }
}

/** MLD: report, done, version 2. IGMP is a protocol of its own. */
const MLD_TYPES = [131, 132, 143];
const IGMP = 2;
/** Of all nodes together. */
const REPORTS = { perSecond: 500, burst: 1000 };

/** Before everything else that a packet meets first. */
export function toMulticastChains({ multicast }: HomeAgentPlanSite): readonly NftRule[] {
  if (multicast !== true) return [];
  return [
    rule(inputDevices(DEVICE.multicastPrefix), jump("multicast")),
    rule(inputDevices(DEVICE.receivePrefix), jump("reports")),
  ];
}

export function multicastChains({ multicast, addresses }: HomeAgentPlanSite): readonly NftChain[] {
  if (multicast !== true) return [];
  const report = (name: string, to: Ipv4Address | Ipv6Address): NftChain => ({
    name,
    rules: [rule(within(REPORTS), notrack, setDestination(to), accept), rule(count("metered-reports"), drop)],
  });
  return [
    {
      name: "multicast",
      rules: [
        rule(inputDevices(DEVICE.multicastGroups), drop),
        rule(notrack, packetToHost, markFromTag),
        // As on the home link, where it would have come to the node with its last hop.
        ...([6, 4] as const).map((version) => rule(family(version), singleHop(version))),
        rule(family(6), setDestinationFromTag(6, MULTICAST_SETS.member6.name), accept),
        rule(family(4), setDestinationFromTag(4, MULTICAST_SETS.member4.name), accept),
        rule(drop),
      ],
    },
    {
      name: "reports",
      rules: [
        ...MLD_TYPES.map((type) => rule(icmpv6(type), jump("report-6"))),
        rule(family(4), l4proto(IGMP), jump("report-4")),
      ],
    },
    // To groups of the link, or to the group itself: nobody here is a member of them.
    report("report-6", addresses.ipv6),
    report("report-4", REPORTS_TO_IPV4),
  ];
}

/** What came in at a tunnel's end as a report, and goes to the process. */
export const acceptReports = ({ multicast }: HomeAgentPlanSite): readonly NftRule[] =>
  multicast === true ? [rule(inputDevices(DEVICE.receivePrefix), l4proto(IGMP), accept)] : [];

/** A report from a link-local address (RFC 3810 §5.2.13) gets the label of the node at the registered outer source. */
export function labelledReports({ multicast }: HomeAgentPlanSite, format: "udp" | "ipv4" | "ipv6"): readonly NftRule[] {
  if (multicast !== true) return [];
  const { reportUdp, reportIpv4, reportIpv6 } = MULTICAST_SETS;
  const labelled = (offset: number, outer: readonly KeyField[], set: NftSet, ...more: readonly Clause[]): NftRule[] => [
    rule(innerMulticastListener(offset), setInnerFlow(offset, outer, set.name), ...more, accept),
  ];
  if (format === "udp") return labelled(UDP_HEADER, [KEY.ip4Source, KEY.udpSource], reportUdp, clearUdpChecksum);
  return format === "ipv4" ? labelled(0, [KEY.ip4Source], reportIpv4) : labelled(0, [KEY.ip6Source], reportIpv6);
}

/** The group takes its place back in an inner packet that a tunnel device has just been given its outer header for. */
export function restoreGroup(
  { multicast }: HomeAgentPlanSite,
  version: 4 | 6,
  { outer, udp }: { readonly outer: 4 | 6; readonly udp: boolean },
): readonly Clause[] | undefined {
  if (multicast !== true) return undefined;
  const transport = udp ? UDP_HEADER : 0;
  const map = (version === 4 ? MULTICAST_SETS.group4 : MULTICAST_SETS.group6).name;
  return [
    markIs(COPY_MARK),
    innerVersion(transport, version),
    setInnerGroup(version, (outer === 4 ? 20 : 40) + transport, map),
  ];
}
