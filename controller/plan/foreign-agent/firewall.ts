/**
 * The foreign agent's nftables table: what comes out of tunnels is for a visitor of the home agent that has sent it, what visitors send is
 * theirs, and what leaves in a tunnel gets its home agent. KERNEL.md tells the reason of every chain.
 */
import { hostPrefix, IPV4_ANY } from "../../base/ip.js";
import type { NftChain, NftTable } from "../objects/firewall.js";
import { innerField, KEY, rule } from "../objects/nft-clause.js";
import {
  family,
  innerVersion,
  inputDevice,
  ipField,
  l4proto,
  sourceIn,
  toInternalAddresses,
  toManyIpv4,
} from "../objects/nft-matches.js";
import { accept, count, drop, jump, notrack } from "../objects/nft-verdicts.js";
import {
  clearMark,
  setIpv4DestinationFromMark,
  setIpv4Source,
  setIpv4Ttl,
  setMarkFrom,
} from "../objects/nft-writes.js";
import { OWNERSHIP } from "../objects/objects.js";
import { HOOK_PRIORITY } from "../site.js";
import { FA_ADDRESS, FA_DEVICE, FA_SETS, type ForeignAgentPlanSite } from "./site.js";

const PROTOCOL = { ipv4: 4, ipv6: 41 } as const;
/** Where the destination stands in an inner IPv4 header. */
const INNER_DESTINATION = 16;

export function foreignAgentFirewall(site: ForeignAgentPlanSite): NftTable {
  return {
    kind: "nft-table",
    family: "inet",
    name: OWNERSHIP.nftTable,
    counters: ["send-only", "not-a-visitor", "spoofed-ipv4", "tunnelled-ipv6", "no-home-agent"],
    sets: Object.values(FA_SETS),
    chains: [prerouting(site), fromVisitors(site), ...input(site), output(site)],
  };
}

function prerouting({ careOfAddress, links }: ForeignAgentPlanSite): NftChain {
  return {
    name: "prerouting",
    base: { type: "filter", hook: "prerouting", priority: HOOK_PRIORITY.first, policy: "accept" },
    rules: [
      rule(family(6), accept),
      rule(inputDevice(FA_DEVICE.send), count("send-only"), drop),
      rule(ipField("daddr", careOfAddress), l4proto(PROTOCOL.ipv4), notrack, accept),
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
function input({ careOfAddress }: ForeignAgentPlanSite): readonly NftChain[] {
  const known = setMarkFrom([KEY.ip4Source, innerField(INNER_DESTINATION, 4)], FA_SETS.receivers.name);
  return [
    {
      name: "input",
      base: { type: "filter", hook: "input", priority: HOOK_PRIORITY.last, policy: "accept" },
      rules: [
        rule(family(6), accept),
        rule(ipField("daddr", careOfAddress), l4proto(PROTOCOL.ipv4), jump("in-tunnel")),
        // IPv6 is in tunnels of the nodes; ours are for IPv4 (RFC 5454 §4.4).
        rule(ipField("daddr", careOfAddress), l4proto(PROTOCOL.ipv6), count("tunnelled-ipv6"), drop),
        rule(toInternalAddresses, count("spoofed-ipv4"), drop),
      ],
    },
    // Of its own: nft 1.0 ends with a failed assertion when it lists octets of a transport header behind its protocol.
    { name: "in-tunnel", rules: [rule(innerVersion(0, 4), known, accept), rule(count("spoofed-ipv4"), drop)] },
  ];
}

/** Of type route: the packet is on its way to nowhere, and finds the home agent's after the change of address. */
function output({ careOfAddress, profile }: ForeignAgentPlanSite): NftChain {
  const fromDevice = ipField("saddr", FA_ADDRESS.send);
  return {
    name: "output",
    base: { type: "route", hook: "output", priority: HOOK_PRIORITY.first, policy: "accept" },
    rules: [
      rule(family(6), accept),
      rule(
        fromDevice,
        setIpv4Ttl(profile.ttl),
        setIpv4Source(careOfAddress),
        setIpv4DestinationFromMark(FA_SETS.homeAgents.name),
        clearMark, // or its mark would lead it back into the device
        notrack,
        accept,
      ),
      rule(ipField("daddr", FA_ADDRESS.anyHomeAgent), count("no-home-agent"), drop),
    ],
  };
}
