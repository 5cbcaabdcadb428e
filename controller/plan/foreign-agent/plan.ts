/**
 * What the kernel of a foreign agent holds: for the site (two devices and one for GRE, rules, firewall), and for each visitor (a
 * route, a neighbour, set elements, and what it shares with other visitors of its home agent). A visitor touches nothing but its own objects, whatever their number.
 */
import { hostPrefix, IPV4_ANY, type Ipv4Address, type Prefix } from "../../base/ip.js";
import { etherAddress } from "../../base/link-address.js";
import type { VisitorPath } from "../../protocol/mip4/foreign-agent/inputs.js";
import { GRE_DEVICE, GRE_HEADER } from "../mip4/tunnel-data.js";
import type { NftElement } from "../objects/firewall.js";
import type { Link, SitLink } from "../objects/forwarding.js";
import type { KernelObject } from "../objects/objects.js";
import { deviceObjects, sysctl } from "../shared-objects.js";
import { MAIN_TABLE } from "../site.js";
import { foreignAgentFirewall } from "./firewall.js";
import {
  FA_ADDRESS,
  FA_DEVICE,
  FA_MARK,
  FA_PRIORITY,
  FA_SETS,
  FA_TABLE,
  type ForeignAgentPlanSite,
  nextHop,
} from "./site.js";

const EVERYWHERE: Prefix = { address: IPV4_ANY, length: 0 };
/** DSCP stands in the upper six bits of the octet. */
const octetOfDscp = (dscp: number): number => dscp << 2;

export function planForeignAgentSite(site: ForeignAgentPlanSite): readonly KernelObject[] {
  const { dscp } = site.profile;
  const { mask: markMask } = FA_MARK;
  return [
    sysctl("net/ipv4/ip_forward", 1),
    // Errors about a visitor's packet find the visitor by its mark.
    sysctl("net/ipv4/fwmark_reflect", 1),
    ...site.links.flatMap(({ device }) => visitedLinkSwitches(device)),
    ...device(site, FA_DEVICE.receive, { local: site.careOfAddress, trafficClass: "inherit" }, FA_ADDRESS.receive),
    ...device(
      site,
      FA_DEVICE.send,
      { local: FA_ADDRESS.send, trafficClass: dscp === "copy" ? "inherit" : octetOfDscp(dscp) },
      FA_ADDRESS.send,
    ),
    // Back where it comes from is the way of what a strict filter is to pass; nothing is sent there.
    sysctl(`net/ipv4/conf/${FA_DEVICE.receive}/src_valid_mark`, 1),
    { kind: "route", destination: EVERYWHERE, table: FA_TABLE.visitors, metric: 0, device: FA_DEVICE.receive },
    {
      kind: "route",
      destination: EVERYWHERE,
      table: FA_TABLE.up,
      metric: 0,
      device: FA_DEVICE.send,
      via: FA_ADDRESS.anyHomeAgent,
      onlink: true,
      ...profileMtu(site),
    },
    // The kernel looks for a way to the next hop before the firewall has put the home agent's address in its place.
    {
      kind: "route",
      destination: hostPrefix(FA_ADDRESS.anyHomeAgent),
      table: MAIN_TABLE,
      metric: 0,
      device: FA_DEVICE.receive,
    },
    { kind: "rule", family: 4, priority: FA_PRIORITY.visitors, table: FA_TABLE.visitors, mark: FA_MARK.down, markMask },
    { kind: "rule", family: 4, priority: FA_PRIORITY.up, table: FA_TABLE.up, mark: FA_MARK.up, markMask },
    ...(site.gre ? greObjects(site) : []),
    foreignAgentFirewall(site),
  ];
}

/**
 * The kernel looks for a way to the stand-in with the mark of what it carries, so the table has both: the way into GRE for all home agents,
 * and the way on to the stand-in.
 */
function greObjects(site: ForeignAgentPlanSite): readonly KernelObject[] {
  const { dscp, ttl } = site.profile;
  const link: Link = {
    kind: "link",
    name: GRE_DEVICE,
    mtu: deviceMtu(site),
    up: true,
    link: { type: "gre", external: true, ttl: 0, trafficClass: 0 },
  };
  return [
    ...deviceObjects(link, FA_ADDRESS.gre),
    sysctl(`net/ipv4/conf/${GRE_DEVICE}/src_valid_mark`, 1),
    {
      kind: "route",
      destination: EVERYWHERE,
      table: FA_TABLE.upGre,
      metric: 0,
      device: GRE_DEVICE,
      encapsulation: {
        source: FA_ADDRESS.gre,
        destination: FA_ADDRESS.anyHomeAgent,
        ttl,
        trafficClass: dscp === "copy" ? "inherit" : octetOfDscp(dscp),
        // The firewall takes it away where the inner packet allows fragments.
        dontFragment: true,
      },
      ...profileMtu(site),
    },
    {
      kind: "route",
      destination: hostPrefix(FA_ADDRESS.anyHomeAgent),
      table: FA_TABLE.upGre,
      metric: 0,
      device: FA_DEVICE.receive,
    },
    {
      kind: "rule",
      family: 4,
      priority: FA_PRIORITY.upGre,
      table: FA_TABLE.upGre,
      mark: FA_MARK.upGre,
      markMask: FA_MARK.mask,
    },
  ];
}

const OUTER_HEADER = 20;

/**
 * Of the device that leads to stand-ins: that is taken for the MTU of the path on which GRE leaves. A route with an MTU of its own would have
 * the kernel leave DF out.
 */
const standInMtu = (site: ForeignAgentPlanSite): number => deviceMtu(site) + OUTER_HEADER + GRE_HEADER;

const deviceMtu = (site: ForeignAgentPlanSite): number => Math.max(site.mtu, site.profile.mtu ?? 0);

/** Of the route to home agents, where it is less than the device's. */
const profileMtu = ({ profile: { mtu }, mtu: usual }: ForeignAgentPlanSite): { readonly mtu?: number } =>
  mtu !== undefined && mtu < usual ? { mtu } : {};

/**
 * A visitor's source is of no network here: a strict filter would drop it, and a loose one asks with the packet's mark, which leads to its
 * home agent. Who is no visitor does not get past the firewall.
 */
function visitedLinkSwitches(device: string): readonly KernelObject[] {
  return [sysctl(`net/ipv4/conf/${device}/rp_filter`, 2), sysctl(`net/ipv4/conf/${device}/src_valid_mark`, 1)];
}

function device(
  site: ForeignAgentPlanSite,
  name: string,
  own: Pick<SitLink, "local" | "trafficClass">,
  address: Ipv4Address,
): readonly KernelObject[] {
  // The TTL is written by the firewall: a fixed one on the device would force DF on packets that allow fragments.
  const header = { ttl: 0, pathMtuDiscovery: false } as const;
  const mtu = name === FA_DEVICE.receive ? standInMtu(site) : deviceMtu(site);
  const link: Link = { kind: "link", name, mtu, up: true, link: { type: "sit", ...own, ...header } };
  return deviceObjects(link, address);
}

/** The mark of what goes to this home agent. */
const markUp = ({ encapsulation, homeAgentNumber }: VisitorPath): number =>
  (encapsulation === "gre" ? FA_MARK.upGre : FA_MARK.up) + homeAgentNumber;

/** What visitors of one home agent share; `separate`: those whose home addresses others have, too. */
function homeAgentObjects(path: VisitorPath): readonly KernelObject[] {
  const { homeAgent, homeAgentNumber: number, separate } = path;
  const element: NftElement = {
    kind: "nft-element",
    set: FA_SETS.homeAgents.name,
    key: [markUp(path)],
    value: homeAgent,
  };
  if (!separate) return [element];
  const table = FA_TABLE.separate + number;
  return [element, { kind: "rule", family: 4, priority: FA_PRIORITY.separate, table, mark: FA_MARK.down + number }];
}

/** The objects of one visitor, in a fixed order. */
export function planVisitor(path: VisitorPath): readonly KernelObject[] {
  const { homeAddress, homeAgent, device: link, linkAddress, number, homeAgentNumber, separate } = path;
  const sender: NftElement = {
    kind: "nft-element",
    set: FA_SETS.senders.name,
    key: [etherAddress(linkAddress), homeAddress],
    value: path.reverseTunnelling ? markUp(path) : 0,
  };
  if (!path.decapsulates) return [sender];
  const via = nextHop(number);
  return [
    ...homeAgentObjects(path),
    sender,
    {
      kind: "nft-element",
      set: (path.encapsulation === "gre" ? FA_SETS.receiversGre : FA_SETS.receivers).name,
      key: [homeAgent, homeAddress],
      value: FA_MARK.down + homeAgentNumber,
    },
    { kind: "permanent-neighbour", device: link, address: via, linkAddress },
    {
      kind: "route",
      destination: hostPrefix(homeAddress),
      table: separate ? FA_TABLE.separate + homeAgentNumber : FA_TABLE.visitors,
      metric: 0,
      device: link,
      via,
      onlink: true,
    },
  ];
}
