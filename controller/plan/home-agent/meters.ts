/**
 * How much signalling over UDP the process is given, before anybody has proved who it is: the kernel's token buckets (nftables) stand in
 * front of the TUN device and of the Mobility Header socket. A genuine node sends three updates a second at most (RFC 6275 §12,
 * MAX_UPDATE_RATE) and never meets them; who sends more is slowed down, alone.
 *
 * What names a subscriber and one of its SPIs (set `signalling-keys`) may still be forged: whoever has seen one of the node's packets knows
 * both. So nobody fills a bucket that a genuine node needs, unless he has its very address (and port) too:
 * - an outer source that names a node has a bucket for that pair, and the port too counts first, so that forged packets with the address of
 *   a NAT take nothing from those who are behind it;
 * - where the node is registered from, that is all;
 * - all that an outer source says under other names shares a bucket, behind those, so that one subscriber's flood is not its neighbours';
 * - a node's new outer sources share a bucket by the network they are in: who forges sources can mostly forge those of few networks (RFC
 *   2827), and fills theirs;
 * - what is new from all networks has a limit for each node and one for all, or a flood with sources from everywhere would have as much
 *   of the process as it likes. Who comes again within some seconds has limits of its own: a node repeats its update from where it is
 *   (RFC 6275 §11.8), a flood from everywhere mostly does not.
 * What names no key of ours is worth a few samples, for the counters and the log.
 */
import type { NftChain, NftRule, NftSet } from "../objects/firewall.js";
import { type Clause, innerField, KEY, type KeyField, rule } from "../objects/nft-clause.js";
import {
  icmpv6,
  innerMapped,
  innerOctet,
  inputDevices,
  isAuthenticated,
  isUnauthenticated,
  keyIn,
  mobilityHeaderAbove,
} from "../objects/nft-matches.js";
import { accept, type Bucket, beyond, count, drop, jump, remember, within } from "../objects/nft-verdicts.js";
import { clearUdpChecksum, correctUdpPort, setMarkBit, setUdpPort } from "../objects/nft-writes.js";
import { UNKNOWN_MESSAGE_MARK_BIT } from "../security/marks.js";
import { MOBILE_PREFIX_SOLICITATION } from "../security/prefix-discovery-protection.js";
import { SIGNALLING_KEYS } from "../security/signalling-keys.js";
import { DEVICE, SIGNALLING_PORT, UDP_HEADER } from "../site.js";
import { PROTOCOL, SETS, UDP_IPV6_SETS } from "./sets.js";

/** Nodes behind a carrier's NAT share an outer source, and all come from new ports at once when it starts anew. */
const OUTER_SOURCE: Bucket = { perSecond: 1000, burst: 10_000 };
const NODE: Bucket = { perSecond: 10, burst: 20 };
/** Of one node from all networks together: some floods beside the node itself. */
const NODE_FROM_ANYWHERE: Bucket = { perSecond: 50, burst: 100 };
/** Of all nodes from where none of them is registered: a mass that has moved at once, or what the process can stand beside its work. */
const ALL_NEW: Bucket = { perSecond: 1500, burst: 4000 };
const SAMPLES: Bucket = { perSecond: 10, burst: 50 };

/** In which a node repeats an update for the first time (INITIAL_BINDACK_TIMEOUT 1 s, of a first registration 1.5 s), with room. */
const KEPT_MS = 4000;
const meter = (name: string, key: NftSet["key"], size: number): NftSet => ({
  name,
  key,
  size,
  dynamicTimeoutMs: KEPT_MS,
});
/** Sizes: entries that a flood may make the kernel keep. A full set lets through what is new. */
const METERS = {
  ports: meter("update-ports", ["ipv4_addr", "inet_service", "ipv6_addr"], 65_536),
  pairs: meter("update-pairs", ["ipv4_addr", "ipv6_addr"], 65_536),
  outer: meter("update-sources", ["ipv4_addr"], 16_384),
  seen: meter("update-pairs-seen", ["ipv4_addr", "ipv6_addr"], 65_536),
  networks: { ...meter("update-networks", ["integer", "ipv6_addr"], 65_536), integerLength: 2 },
  nodes: meter("update-nodes", ["ipv6_addr"], 65_536),
  networksAgain: { ...meter("update-networks-again", ["integer", "ipv6_addr"], 65_536), integerLength: 2 },
  nodesAgain: meter("update-nodes-again", ["ipv6_addr"], 65_536),
  messages: meter("message-nodes", ["ipv6_addr"], 65_536),
} as const;

/** The same for outer sources of IPv6. A provider has a network of 32 bits or more of them, and a customer more than a set can hold. */
const IPV6_METERS = {
  ports: meter("update-ports-6", ["ipv6_addr", "inet_service", "ipv6_addr"], 65_536),
  pairs: meter("update-pairs-6", ["ipv6_addr", "ipv6_addr"], 65_536),
  outer: meter("update-sources-6", ["ipv6_addr"], 16_384),
  seen: meter("update-pairs-seen-6", ["ipv6_addr", "ipv6_addr"], 65_536),
  networks: { ...meter("update-networks-6", ["integer", "ipv6_addr"], 65_536), integerLength: 4 },
  nodes: METERS.nodes,
  networksAgain: { ...meter("update-networks-again-6", ["integer", "ipv6_addr"], 65_536), integerLength: 4 },
  nodesAgain: METERS.nodesAgain,
} as const;

const innerSource = innerField(UDP_HEADER + 8, 16);

/** What the way to the process is made of, by the outer family: fields of keys, sets, what the names of the chains end with. */
interface Outer {
  readonly suffix: "" | "-6";
  readonly source: KeyField;
  readonly network: KeyField;
  readonly meters: Readonly<Record<keyof typeof IPV6_METERS, NftSet>>;
  /** In which an outer source and inner source are registered, with and without the port. */
  readonly registered: { readonly withPort: NftSet; readonly plain: NftSet | undefined };
}

const OVER_IPV4: Outer = {
  suffix: "",
  source: KEY.ip4Source,
  network: KEY.ip4SourceNetwork,
  meters: METERS,
  registered: { withPort: SETS.udp6, plain: SETS.ipv4_6 },
};
const OVER_IPV6: Outer = {
  suffix: "-6",
  source: KEY.ip6Source,
  network: KEY.ip6SourceNetwork,
  meters: IPV6_METERS,
  registered: { withPort: UDP_IPV6_SETS.udp6, plain: undefined },
};

/** Units of 8 octets beyond the first, of a destination options header that holds the Home Address option alone. */
const HOME_ADDRESS_OPTION_UNITS = 2;

/** From a mobility message in UDP, of which nothing is known yet, to the process. */
const steer = ({ suffix }: Outer): NftChain => ({
  name: `steer${suffix}`,
  rules: [
    rule(innerMapped(UDP_HEADER + 8), count("mapped-source"), drop),
    rule(
      innerOctet(UDP_HEADER + 6, PROTOCOL.esp),
      keyIn([innerSource, innerField(UDP_HEADER + 40, 4)], SIGNALLING_KEYS.name),
      jump(`steer-known${suffix}`),
    ),
    // A mobile prefix solicitation has a Home Address option (24 octets) before its ESP, inside a tunnel too (RFC 5555 §2.2).
    rule(
      innerOctet(UDP_HEADER + 6, PROTOCOL.destinationOptions),
      innerOctet(UDP_HEADER + 40, PROTOCOL.esp),
      innerOctet(UDP_HEADER + 41, HOME_ADDRESS_OPTION_UNITS),
      keyIn([innerSource, innerField(UDP_HEADER + 64, 4)], SIGNALLING_KEYS.name),
      jump(`steer-known${suffix}`),
    ),
    rule(within(SAMPLES), jump(`to-process${suffix}`)),
    rule(count("unknown-signalling"), drop),
  ],
});

export const STEER = steer(OVER_IPV4);
export const STEER_OVER_IPV6 = steer(OVER_IPV6);

/** What is beyond the bucket of its key goes no further. */
const metered = (fields: readonly KeyField[], { name }: NftSet, bucket: Bucket): NftRule =>
  rule(beyond(fields, name, bucket), count("metered"), drop);

/** From where the node is not registered, as far as the set of buckets for networks and the one for nodes allow. */
const limited = ({ network, suffix }: Outer, networks: NftSet, nodes: NftSet): readonly NftRule[] => [
  metered([network, innerSource], networks, NODE),
  metered([innerSource], nodes, NODE_FROM_ANYWHERE),
  rule(within(ALL_NEW), jump(`to-process${suffix}`)),
  rule(count("metered"), drop),
];

/** `plain`: the sets are there of the formats in which a node that sends its updates in UDP may be registered. */
function steering(outer: Outer, plain: boolean): readonly NftChain[] {
  const { suffix, source, registered } = outer;
  const of = outer.meters;
  const toProcess = jump(`to-process${suffix}`);
  const port = [source, KEY.udpSource, innerSource];
  const pair = [source, innerSource];
  const known = (fields: readonly KeyField[], set: NftSet | undefined): readonly NftRule[] =>
    plain && set !== undefined ? [rule(keyIn(fields, set.name), toProcess)] : [];
  return [
    steer(outer),
    {
      name: `steer-known${suffix}`,
      rules: [
        metered(port, of.ports, NODE),
        ...known(port, registered.withPort),
        metered(pair, of.pairs, NODE),
        ...known(pair, registered.plain),
        metered([source], of.outer, OUTER_SOURCE),
        rule(keyIn(pair, of.seen.name), jump(`steer-again${suffix}`)),
        rule(remember(pair, of.seen.name)),
        ...limited(outer, of.networks, of.nodes),
      ],
    },
    { name: `steer-again${suffix}`, rules: limited(outer, of.networksAgain, of.nodesAgain) },
    { name: `to-process${suffix}`, rules: [rule(...toSignallingPort(outer), count("signalling"), accept)] },
  ];
}

const toSignallingPort = ({ suffix }: Outer): readonly Clause[] =>
  suffix === "" ? [setUdpPort("dport", SIGNALLING_PORT), clearUdpChecksum] : [correctUdpPort("dport", SIGNALLING_PORT)];

/** Binding Error (RFC 6275 §6.1.9). */
const LAST_KNOWN_TYPE = 7;

/** Messages whose sender is known, before they get to the process. Unprotected ones XFRM refuses. */
const inMobility = ({ plain, inTunnels }: Pick<Metered, "plain" | "inTunnels">): NftChain => ({
  name: "in-mobility",
  rules: [
    // In the tunnel of a router come the messages of nodes that visit its network, too; in protocol 41 those of the 2004 profile.
    ...(plain
      ? [
          rule(
            inputDevices(DEVICE.receivePrefix),
            ...(inTunnels ? [isUnauthenticated] : []),
            count("tunnelled-signalling"),
            drop,
          ),
        ]
      : []),
    rule(isAuthenticated, beyond([KEY.ip6Source], METERS.messages.name, NODE), count("metered"), drop),
    // XFRM lets these through: whoever sends one is told that nobody knows its type (RFC 6275 §9.2).
    rule(mobilityHeaderAbove(LAST_KNOWN_TYPE), within(SAMPLES), setMarkBit(UNKNOWN_MESSAGE_MARK_BIT)),
  ],
});

/** Beside a node's mobility messages, and as many of them. Unprotected ones XFRM refuses. */
export const METERED_SOLICITATIONS = rule(
  icmpv6(MOBILE_PREFIX_SOLICITATION),
  isAuthenticated,
  beyond([KEY.ip6Source], METERS.messages.name, NODE),
  count("metered"),
  drop,
);

interface Metered {
  /** Signalling comes over UDP too. */
  readonly udp: boolean;
  /** And over UDP in IPv6. */
  readonly udpOverIpv6: boolean;
  /** There are plain tunnels. */
  readonly plain: boolean;
  /** Some nodes' messages come out of tunnels: behind mobile routers, or in the 2004 profile. */
  readonly inTunnels: boolean;
}

/** Chains and sets. */
export function meters({ udp, udpOverIpv6, plain, inTunnels }: Metered): {
  readonly chains: readonly NftChain[];
  readonly sets: readonly NftSet[];
} {
  const { messages, ...ofUdp } = METERS;
  const outer = [...(udp ? [OVER_IPV4] : []), ...(udpOverIpv6 ? [OVER_IPV6] : [])];
  const sets = new Set([...(udp ? Object.values(ofUdp) : []), ...(udpOverIpv6 ? Object.values(IPV6_METERS) : [])]);
  return {
    chains: [inMobility({ plain, inTunnels }), ...outer.flatMap((one) => steering(one, plain))],
    sets: [messages, ...(outer.length > 0 ? [SIGNALLING_KEYS] : []), ...sets],
  };
}
