/**
 * What both ends' firewalls have of direct ways with IPv4: what comes in is known by outer and inner addresses before anything is taken off
 * (draft-oulai-mext-dsmip-ro-00 §7.1.3, §7.2.3). What is not known passes without a mark, for it may be of a tunnel that somebody else has;
 * out of a device of ours it is dropped.
 */
import { toHex } from "../../../base/bytes.js";
import { ipToBytes } from "../../../base/ip.js";
import type { NftChain, NftRule, NftSet } from "../../objects/firewall.js";
import { type Clause, innerField, KEY, type KeyField, rule } from "../../objects/nft-clause.js";
import { family, innerVersion, keyIn, l4proto, markIs } from "../../objects/nft-matches.js";
import { accept, count, drop, jump } from "../../objects/nft-verdicts.js";
import { clearMarkBit, copyClassFromIpv4, setMarkBit } from "../../objects/nft-writes.js";
import { CLASS_MAP } from "../../shared-objects.js";
import { type DualStackAddresses, HOOK_PRIORITY, type TunnelProfileSpec, UDP_HEADER } from "../../site.js";
import { DIRECT_SETS, KNOWN_MARK_BIT } from "./names.js";

export const PROTOCOL = { ipv4: 4, ipv6: 41, mobility: 135 } as const;
/** Where these stand in an inner IPv6 header, and the type of a Mobility Header right behind it. */
export const INNER6 = { nextHeader: 6, hopLimit: 7, source: 8, destination: 24, messageType: 42 } as const;
const INNER4 = { source: 12, destination: 16 } as const;

const UNKNOWN = markIs({ value: 0, mask: KNOWN_MARK_BIT });
export const known = setMarkBit(KNOWN_MARK_BIT);
export const unknown = clearMarkBit(KNOWN_MARK_BIT);

/** Of what is inside at this offset of the transport header, the other end's address first. */
const innerEnds = (offset: number, version: 4 | 6): readonly KeyField[] => {
  const { source, destination } = version === 4 ? INNER4 : INNER6;
  const length = version === 4 ? 4 : 16;
  return [innerField(offset + source, length), innerField(offset + destination, length)];
};

export const innerDestination = (offset: number, version: 4 | 6): KeyField =>
  version === 4 ? innerField(offset + INNER4.destination, 4) : innerField(offset + INNER6.destination, 16);

/** In UDP, which only a known entry passes. */
export const knownInUdp: readonly NftRule[] = [
  ...([6, 4] as const).map((version) => {
    const outer = [KEY.ip4Source, KEY.udpSource, KEY.ip4Destination];
    const set = version === 6 ? DIRECT_SETS.udp6 : DIRECT_SETS.udp4;
    return rule(
      innerVersion(UDP_HEADER, version),
      keyIn([...outer, ...innerEnds(UDP_HEADER, version)], set.name),
      known,
      accept,
    );
  }),
  rule(count("spoofed-udp"), drop),
];

/** In protocol 41 or 4. */
export const knownOverIpv4 = (version: 4 | 6): NftRule => {
  const set = version === 6 ? DIRECT_SETS.ipv4_6 : DIRECT_SETS.ipv4_4;
  return rule(keyIn([KEY.ip4Source, KEY.ip4Destination, ...innerEnds(0, version)], set.name), known, accept);
};

/** In mode 1, behind the header of RFC 6275 that belongs there: a rule of the input chain, and its chain. */
export const toHeaders = (header: Clause): NftRule => rule(header, l4proto(PROTOCOL.ipv4), jump("in-direct-headers"));
// A rule of its own: nft 1.0 cannot list one that reads the transport header of what it has just learned to be IPv4 in IPv6.
export const IN_HEADERS: NftChain = {
  name: "in-direct-headers",
  rules: [rule(keyIn([KEY.ip6Source, KEY.ip6Named, ...innerEnds(0, 4)], DIRECT_SETS.headers4.name), known, accept)],
};

/** For what comes out of a device of ours. `keep`: policies ask for the mark, too. */
export const fromDirect = (keep: boolean, ...first: readonly NftRule[]): NftChain => ({
  name: "from-direct",
  rules: [...first, rule(UNKNOWN, count("spoofed-direct"), drop), ...(keep ? [] : [rule(unknown)])],
});

/** Where a profile copies the class: mode 1's outer one is the inner packet's; over IPv4 the devices see to it. */
export function classInHeaders({ dscp }: TunnelProfileSpec): readonly NftChain[] {
  if (dscp !== "copy") return [];
  return [
    {
      name: "output-direct-ipv6",
      base: { type: "filter", hook: "output", priority: HOOK_PRIORITY.first, policy: "accept" },
      rules: [rule(family(6), l4proto(PROTOCOL.ipv4), jump("out-direct-headers"))],
    },
    {
      name: "out-direct-headers",
      rules: [
        rule(keyIn([KEY.ip6Source, KEY.ip6Destination], DIRECT_SETS.copied.name), copyClassFromIpv4(CLASS_MAP.name)),
      ],
    },
  ];
}

export const directSets = ({ dscp }: TunnelProfileSpec): readonly NftSet[] => [
  ...Object.values(DIRECT_SETS),
  ...(dscp === "copy" ? [CLASS_MAP] : []),
];

const hexOf = (address: DualStackAddresses["ipv4"] | DualStackAddresses["ipv6"]): string => toHex(ipToBytes(address));

/** By both addresses, and by the IPv4 one alone. */
export const dualStackSets = (machines: readonly DualStackAddresses[]) =>
  ({
    both: {
      name: "direct-both",
      key: ["ipv4_addr", "ipv6_addr"],
      elements: [...new Set(machines.map(({ ipv4, ipv6 }) => hexOf(ipv4) + hexOf(ipv6)))].map((key) => ({ key })),
    },
    four: {
      name: "direct-four",
      key: ["ipv4_addr"],
      elements: [...new Set(machines.map(({ ipv4 }) => hexOf(ipv4)))].map((key) => ({ key })),
    },
  }) as const satisfies Record<string, NftSet>;
