/** A correspondent's firewall where IPv4 goes directly, too: messages in tunnels led to the process, payload known, outer headers completed. */
import type { NftChain, NftRule, NftSet } from "../../objects/firewall.js";
import { innerField, KEY, rule } from "../../objects/nft-clause.js";
import {
  family,
  homeAddressOption,
  innerOctet,
  innerVersion,
  inputDevices,
  ipField,
  keyIn,
  l4proto,
  toInternalAddresses,
  udpPort,
} from "../../objects/nft-matches.js";
import { accept, type Bucket, count, drop, jump, within } from "../../objects/nft-verdicts.js";
import {
  clearUdpChecksum,
  setDestinationPortFrom,
  setIpv4Source,
  setIpv4Ttl,
  setMarkBit,
  setUdpPort,
} from "../../objects/nft-writes.js";
import {
  DSMIP_PORT,
  type DualStackAddresses,
  HOOK_PRIORITY,
  SIGNALLING_PORT,
  type TunnelProfileSpec,
  UDP_HEADER,
} from "../../site.js";
import {
  classInHeaders,
  directSets,
  dualStackSets,
  fromDirect,
  IN_HEADERS,
  INNER6,
  innerDestination,
  knownInUdp,
  knownOverIpv4,
  PROTOCOL,
  toHeaders,
} from "./firewall.js";
import { DIRECT_PREFIX, internalSource, PEERS_SET, PORT_MAPS, ROUNDABOUT_MARK_BIT } from "./names.js";

export interface CorrespondentDirect {
  readonly addresses: readonly DualStackAddresses[];
  readonly profile: TunnelProfileSpec;
}

export interface FirewallPart {
  readonly counters: readonly string[];
  readonly sets: readonly NftSet[];
  readonly chains: readonly NftChain[];
  /** Of the input chain. */
  readonly input: readonly NftRule[];
}

/** Mobility Header types (RFC 6275 §6.1). */
const CARE_OF_TEST_INIT = 2;
const BINDING_UPDATE = 5;

export function correspondentPart({ addresses, profile }: CorrespondentDirect, messages: Bucket): FirewallPart {
  const four = [...new Set(addresses.map(({ ipv4 }) => ipv4))];
  const { both } = dualStackSets(addresses);
  /** A message to an address of ours, inside what came to the IPv4 address that belongs to it. */
  const message = (offset: number, type: number) => [
    innerOctet(offset + INNER6.nextHeader, PROTOCOL.mobility),
    innerOctet(offset + INNER6.messageType, type),
    keyIn([KEY.ip4Destination, innerField(offset + INNER6.destination, 16)], both.name),
  ];
  return {
    counters: ["spoofed-direct", "spoofed-udp", "signalling", "signalling-port", "no-port"],
    sets: [...directSets(profile), ...Object.values(PORT_MAPS), PEERS_SET, both],
    input: [
      ...four.map((self) => rule(ipField("daddr", self), jump("in-direct"))),
      toHeaders(homeAddressOption),
      rule(toInternalAddresses, count("spoofed-direct"), drop),
    ],
    chains: [
      {
        name: "prerouting",
        base: { type: "filter", hook: "prerouting", priority: HOOK_PRIORITY.first, policy: "accept" },
        rules: [
          rule(inputDevices(DIRECT_PREFIX), jump("from-direct")),
          rule(family(4), keyIn([KEY.ip4Source, KEY.ip4Destination], PEERS_SET.name), setMarkBit(ROUNDABOUT_MARK_BIT)),
        ],
      },
      // Of an update in protocol 41 the process has a copy with its outer header.
      fromDirect(false, rule(l4proto(PROTOCOL.mobility), drop)),
      {
        name: "steer",
        rules: [rule(setUdpPort("dport", SIGNALLING_PORT), clearUdpChecksum, count("signalling"), accept)],
      },
      {
        name: "in-direct-udp",
        rules: [
          ...[CARE_OF_TEST_INIT, BINDING_UPDATE].flatMap((type) => [
            rule(innerVersion(UDP_HEADER, 6), ...message(UDP_HEADER, type), within(messages), jump("steer")),
            rule(innerVersion(UDP_HEADER, 6), ...message(UDP_HEADER, type), count("metered"), drop),
          ]),
          ...knownInUdp,
        ],
      },
      {
        name: "in-direct-6",
        rules: [
          rule(...message(0, BINDING_UPDATE), within(messages), accept),
          rule(...message(0, BINDING_UPDATE), count("metered"), drop),
          knownOverIpv4(6),
        ],
      },
      { name: "in-direct-4", rules: [knownOverIpv4(4)] },
      {
        name: "in-direct",
        rules: [
          rule(udpPort("dport", DSMIP_PORT), jump("in-direct-udp")),
          rule(l4proto(PROTOCOL.ipv6), jump("in-direct-6")),
          rule(l4proto(PROTOCOL.ipv4), jump("in-direct-4")),
          // Only what has been steered may get there: that is past this rule already.
          rule(udpPort("dport", SIGNALLING_PORT), count("signalling-port"), drop),
        ],
      },
      IN_HEADERS,
      ...output(four, profile),
      ...classInHeaders(profile),
    ],
  };
}

/**
 * The devices send from internal addresses; here a packet gets ours, its TTL, and in UDP the port of the other end. Of type route: a sit
 * device without a remote keeps one outer route for IPv6 packets, whoever they go to.
 */
function output(four: readonly DualStackAddresses["ipv4"][], { ttl }: TunnelProfileSpec): readonly NftChain[] {
  const toPort = (version: 4 | 6): NftRule => {
    const { name } = version === 6 ? PORT_MAPS.port6 : PORT_MAPS.port4;
    const key = [KEY.ip4Source, KEY.ip4Destination, innerDestination(UDP_HEADER, version)];
    return rule(innerVersion(UDP_HEADER, version), setDestinationPortFrom(key, name), clearUdpChecksum, accept);
  };
  return [
    {
      name: "out-direct-udp",
      rules: [toPort(6), toPort(4), rule(count("no-port"), drop)],
    },
    {
      name: "output-direct",
      base: { type: "route", hook: "output", priority: HOOK_PRIORITY.first, policy: "accept" },
      rules: [
        rule(family(6), accept),
        ...four.flatMap((self) => [
          rule(ipField("saddr", internalSource("ipv4", self)), setIpv4Ttl(ttl), setIpv4Source(self), accept),
          rule(
            ipField("saddr", internalSource("udp", self)),
            setIpv4Ttl(ttl),
            setIpv4Source(self),
            jump("out-direct-udp"),
          ),
          rule(
            ipField("saddr", self),
            udpPort("sport", SIGNALLING_PORT),
            setUdpPort("sport", DSMIP_PORT),
            clearUdpChecksum,
          ),
        ]),
      ],
    },
  ];
}
