/**
 * The nftables table of a mobile node of Mobile IPv4: tunnel data on port 434 led to the kernel's GUE and back, payload accepted from the
 * home agent and for the node alone, and the outer TTL. Registrations stay with the socket on the same port.
 */
import { isIpv4 } from "../../../base/ip.js";
import { classOfInner, isCarrier } from "../../carriers.js";
import {
  carries,
  closedGuePort,
  GRE_HEADER,
  greCarries,
  isGue,
  isTunnelData,
  PROTOCOL,
  REGISTRATION_PORT,
  toGue,
  toTunnelData,
  UDP_TUNNEL_HEADER,
} from "../../mip4/tunnel-data.js";
import type { NftChain, NftRule, NftTable } from "../../objects/firewall.js";
import { type Clause, rule } from "../../objects/nft-clause.js";
import {
  fromMapped,
  innerAddress,
  innerAddressIn,
  innerLinkLocal,
  innerOctet,
  ipField,
  l4proto,
  toInternalAddresses,
  udpPort,
} from "../../objects/nft-matches.js";
import { accept, count, drop, jump } from "../../objects/nft-verdicts.js";
import { clearDontFragment, setIpv4Ttl } from "../../objects/nft-writes.js";
import { OWNERSHIP } from "../../objects/objects.js";
import { HOOK_PRIORITY } from "../../site.js";
import type { Mip4NodePlanSite } from "./given.js";

const DESTINATION = { 4: 16, 6: 24 } as const;
const MULTICAST = 0xff;

export function mip4NodeFirewall(site: Mip4NodePlanSite): NftTable {
  return {
    kind: "nft-table",
    family: "inet",
    name: OWNERSHIP.nftTable,
    counters: ["mapped-source", "tunnel-port", "spoofed-udp", "spoofed-ipv4", "spoofed-gre", "bad-gre"],
    sets: [],
    chains: [
      {
        name: "prerouting",
        base: { type: "filter", hook: "prerouting", priority: HOOK_PRIORITY.first, policy: "accept" },
        // The kernel takes such a source for any other.
        rules: [rule(fromMapped, count("mapped-source"), drop)],
      },
      input(site),
      ...inputChains(site),
      ...output(site),
    ],
  };
}

function input({ homeAgent, homeAddress }: Mip4NodePlanSite): NftChain {
  const from = ipField("saddr", homeAgent);
  const toPort = udpPort("dport", REGISTRATION_PORT);
  return {
    name: "input",
    base: { type: "filter", hook: "input", priority: HOOK_PRIORITY.last, policy: "accept" },
    rules: [
      closedGuePort,
      rule(from, toPort, udpPort("sport", REGISTRATION_PORT), isTunnelData, jump("in-tunnel-data")),
      rule(toPort, isTunnelData, count("spoofed-udp"), drop),
      // IPv6 in the tunnel to the home address: out of another one, or as a foreign agent has handed it on.
      ...(homeAddress === undefined
        ? []
        : [rule(from, ipField("daddr", homeAddress), l4proto(PROTOCOL.ipv6), jump("in-home-6"))]),
      rule(from, l4proto(PROTOCOL.ipv6), jump("in-ipv4-6")),
      rule(from, l4proto(PROTOCOL.ipv4), jump("in-ipv4-4")),
      rule(from, l4proto(PROTOCOL.gre), jump("in-gre")),
      rule(toInternalAddresses, count("spoofed-ipv4"), drop),
    ],
  };
}

/** What is inside is for the node: its home address, or its prefixes. */
function forNode({ homeAddress, prefixes }: Mip4NodePlanSite, offset: number, version: 4 | 6): readonly Clause[] {
  const at = offset + DESTINATION[version];
  if (version === 4) return homeAddress === undefined ? [] : [innerAddress(at, homeAddress)];
  return prefixes.filter(({ address }) => !isIpv4(address)).map((prefix) => innerAddressIn(at, prefix));
}

function inputChains(site: Mip4NodePlanSite): readonly NftChain[] {
  const accepting = (
    offset: number,
    version: 4 | 6,
    before: readonly Clause[] = [],
    then: readonly Clause[] = [accept],
  ): readonly NftRule[] => forNode(site, offset, version).map((clause) => rule(...before, clause, ...then));
  return [
    {
      name: "in-tunnel-data",
      rules: [
        ...accepting(UDP_TUNNEL_HEADER, 4, [carries(PROTOCOL.ipv4)], [...toGue, accept]),
        ...accepting(UDP_TUNNEL_HEADER, 6, [carries(PROTOCOL.ipv6)], [...toGue, accept]),
        rule(count("spoofed-udp"), drop),
      ],
    },
    {
      name: "in-home-6",
      rules: [
        ...accepting(0, 6),
        rule(innerLinkLocal(DESTINATION[6]), accept),
        rule(innerOctet(DESTINATION[6], MULTICAST), accept),
        rule(count("spoofed-ipv4"), drop),
      ],
    },
    { name: "in-ipv4-6", rules: [...accepting(0, 6), rule(count("spoofed-ipv4"), drop)] },
    { name: "in-ipv4-4", rules: [...accepting(0, 4), rule(count("spoofed-ipv4"), drop)] },
    {
      name: "in-gre",
      rules: [
        ...accepting(GRE_HEADER, 4, [greCarries(4)]),
        ...accepting(GRE_HEADER, 6, [greCarries(6)]),
        rule(greCarries(4), count("spoofed-gre"), drop),
        rule(greCarries(6), count("spoofed-gre"), drop),
        rule(count("bad-gre"), drop),
      ],
    },
  ];
}

/**
 * A fixed TTL on the device would force DF on packets that allow fragments. Chains for each protocol, because nft 1.0 ends with a failed
 * assertion when it lists a rule that reads behind the header of what it has just learned to be protocol 4 or 41.
 */
function output({ homeAgent, profile }: Mip4NodePlanSite): readonly NftChain[] {
  const to = ipField("daddr", homeAgent);
  const ttl = setIpv4Ttl(profile.ttl);
  const ports = [udpPort("sport", REGISTRATION_PORT), udpPort("dport", REGISTRATION_PORT)];
  const { ipv4, ipv6, gre } = PROTOCOL;
  /** IPv6 to the home agent: the header inside is of our own making and has no DF. */
  const carrier = (offset: number, ...before: readonly Clause[]): NftRule =>
    rule(...before, ...isCarrier(offset), classOfInner(offset, profile.dscp), clearDontFragment);
  return [
    {
      name: "output",
      base: { type: "filter", hook: "output", priority: HOOK_PRIORITY.first, policy: "accept" },
      rules: [
        rule(to, ...ports, isGue, jump("out-tunnel-data")),
        rule(to, l4proto(ipv4), jump("out-ipv4")),
        rule(to, l4proto(gre), jump("out-gre")),
        rule(to, l4proto(ipv6), ttl),
      ],
    },
    { name: "out-tunnel-data", rules: [carrier(UDP_TUNNEL_HEADER), rule(...toTunnelData, ttl)] },
    { name: "out-ipv4", rules: [carrier(0), rule(ttl)] },
    { name: "out-gre", rules: [carrier(GRE_HEADER, greCarries(4)), rule(ttl)] },
  ];
}
