/**
 * The foreign agent's nftables table: what comes out of tunnels is for a visitor of the home agent that has sent it, what visitors send is
 * theirs, and what leaves in a tunnel gets its home agent. KERNEL.md tells the reason of every chain.
 */
import { hostPrefix, IPV4_ANY } from "../../base/ip.js";
import { asInner } from "../carriers.js";
import { GRE_DEVICE, GRE_HEADER, greCarries, PROTOCOL } from "../mip4/tunnel-data.js";
import type { NftChain, NftRule, NftTable } from "../objects/firewall.js";
import { type Clause, innerField, KEY, rule } from "../objects/nft-clause.js";
import {
  family,
  innerVersion,
  inputDevice,
  ipField,
  l4proto,
  markIs,
  sourceIn,
  toInternalAddresses,
  toManyIpv4,
} from "../objects/nft-matches.js";
import { accept, count, drop, jump, notrack } from "../objects/nft-verdicts.js";
import {
  clearMark,
  clearMarkBit,
  setIpv4DestinationFromMark,
  setIpv4Source,
  setIpv4Ttl,
  setMarkBit,
  setMarkFrom,
} from "../objects/nft-writes.js";
import { OWNERSHIP } from "../objects/objects.js";
import { HOOK_PRIORITY } from "../site.js";
import { FA_ADDRESS, FA_DEVICE, FA_MARK, FA_SETS, type ForeignAgentPlanSite } from "./site.js";

/** Where the destination stands in an inner IPv4 header. */
const INNER_DESTINATION = 16;

export function foreignAgentFirewall(site: ForeignAgentPlanSite): NftTable {
  return {
    kind: "nft-table",
    family: "inet",
    name: OWNERSHIP.nftTable,
    counters: [...COUNTERS, ...(site.gre ? GRE_COUNTERS : [])],
    sets: Object.values(FA_SETS),
    chains: [
      prerouting(site),
      fromVisitors(site),
      ...(site.gre ? [FROM_GRE] : []),
      ...input(site),
      toHomeAgent("out-ipv4", 0, site),
      ...(site.gre ? [IN_GRE, toHomeAgent("out-gre", GRE_HEADER, site)] : []),
      output(site),
    ],
  };
}

const COUNTERS = ["send-only", "not-a-visitor", "spoofed-ipv4", "tunnelled-ipv6", "no-home-agent"] as const;
const GRE_COUNTERS = ["spoofed-gre", "bad-gre"] as const;

/** The device takes GRE for whatever address of this machine; only what the input hook has let through is ours. */
const FROM_GRE: NftChain = {
  name: "from-gre",
  rules: [rule(markIs({ value: FA_MARK.down, mask: FA_MARK.mask }), accept), rule(count("spoofed-gre"), drop)],
};

/** For a visitor who is served so, from its home agent; the mark leads to it. */
const toVisitor = (offset: number, set: string): Clause =>
  setMarkFrom([KEY.ip4Source, innerField(offset + INNER_DESTINATION, 4)], set);

/** The device takes keys, checksums and sequence numbers, too; none was agreed on. */
const IN_GRE: NftChain = {
  name: "in-gre",
  rules: [
    rule(greCarries(4), toVisitor(GRE_HEADER, FA_SETS.receiversGre.name), accept),
    rule(greCarries(4), count("spoofed-gre"), drop),
    rule(greCarries(6), count("tunnelled-ipv6"), drop),
    rule(count("bad-gre"), drop),
  ],
};

/**
 * What visitors send may be a tunnel itself, as IPv6 to the home agent is (plan/carriers.ts), so class and DF are made of the header that is
 * inside, whatever the kernel has taken for one. The GRE device sets DF on everything (C-33).
 */
const toHomeAgent = (name: string, offset: number, site: ForeignAgentPlanSite): NftChain => ({
  name,
  rules: [
    ...asInner(offset, site.profile.dscp),
    rule(
      setIpv4Ttl(site.profile.ttl),
      setIpv4Source(site.careOfAddress),
      setIpv4DestinationFromMark(FA_SETS.homeAgents.name),
      clearMark, // or its mark would lead it back into the device
      notrack,
      accept,
    ),
  ],
});

function prerouting({ careOfAddress, links, gre }: ForeignAgentPlanSite): NftChain {
  return {
    name: "prerouting",
    base: { type: "filter", hook: "prerouting", priority: HOOK_PRIORITY.first, policy: "accept" },
    rules: [
      rule(family(6), accept),
      rule(inputDevice(FA_DEVICE.send), count("send-only"), drop),
      ...(gre ? [rule(inputDevice(GRE_DEVICE), jump("from-gre"))] : []),
      rule(ipField("daddr", careOfAddress), l4proto(PROTOCOL.ipv4), notrack, accept),
      ...(gre ? [rule(ipField("daddr", careOfAddress), l4proto(PROTOCOL.gre), notrack, accept)] : []),
      ...links.map(({ device }) => rule(inputDevice(device), jump("from-visitors"))),
    ],
  };
}

/** Nobody but a visitor sends from an address that is not of the link, and each from its own. What is for ourselves is for ourselves to judge. */
function fromVisitors({ links, careOfAddress }: ForeignAgentPlanSite): NftChain {
  return {
    name: "from-visitors",
    rules: [
      rule(setMarkFrom([KEY.etherSource, KEY.ip4Source], FA_SETS.senders.name), accept),
      ...links.map(({ address, prefixLength }) => rule(sourceIn({ address, length: prefixLength }), accept)),
      rule(sourceIn(hostPrefix(IPV4_ANY)), accept),
      rule(toManyIpv4, accept),
      ...[careOfAddress, ...links.map(({ address }) => address)].map((own) => rule(ipField("daddr", own), accept)),
      rule(count("not-a-visitor"), drop),
    ],
  };
}

/** After everybody else's filter, as at a home agent. */
function input({ careOfAddress, gre }: ForeignAgentPlanSite): readonly NftChain[] {
  const known = toVisitor(0, FA_SETS.receivers.name);
  const ofGre: readonly NftRule[] = gre
    ? [rule(ipField("daddr", careOfAddress), l4proto(PROTOCOL.gre), jump("in-gre"))]
    : [];
  return [
    {
      name: "input",
      base: { type: "filter", hook: "input", priority: HOOK_PRIORITY.last, policy: "accept" },
      rules: [
        rule(family(6), accept),
        rule(ipField("daddr", careOfAddress), l4proto(PROTOCOL.ipv4), jump("in-tunnel")),
        // IPv6 is in tunnels of the nodes; ours are for IPv4 (RFC 5454 §4.4).
        rule(ipField("daddr", careOfAddress), l4proto(PROTOCOL.ipv6), count("tunnelled-ipv6"), drop),
        ...ofGre,
        rule(toInternalAddresses, count("spoofed-ipv4"), drop),
      ],
    },
    // Of its own: nft 1.0 ends with a failed assertion when it lists octets of a transport header behind its protocol.
    { name: "in-tunnel", rules: [rule(innerVersion(0, 4), known, accept), rule(count("spoofed-ipv4"), drop)] },
  ];
}

/**
 * What the kernel itself says of a packet has that packet's mark (`fwmark_reflect`). To a visitor it goes over the visited link, for nobody
 * else here has a way to a home address (RFC 2003 §5.1); all others are reached as by anybody.
 */
const OF_OUR_OWN: readonly NftRule[] = [
  rule(markIs({ value: FA_MARK.down, mask: FA_MARK.mask }), clearMark, accept),
  ...[FA_MARK.up, FA_MARK.upGre].map((value) =>
    rule(markIs({ value, mask: FA_MARK.mask }), setMarkBit(FA_MARK.down), clearMarkBit(FA_MARK.upGre), accept),
  ),
];

/** Of type route: the packet is on its way to nowhere, and finds the home agent's after the change of address. */
function output(site: ForeignAgentPlanSite): NftChain {
  return {
    name: "output",
    base: { type: "route", hook: "output", priority: HOOK_PRIORITY.first, policy: "accept" },
    rules: [
      rule(family(6), accept),
      rule(ipField("saddr", FA_ADDRESS.send), jump("out-ipv4")),
      ...(site.gre ? [rule(ipField("saddr", FA_ADDRESS.gre), jump("out-gre"))] : []),
      rule(ipField("daddr", FA_ADDRESS.anyHomeAgent), count("no-home-agent"), drop),
      ...OF_OUR_OWN,
    ],
  };
}
