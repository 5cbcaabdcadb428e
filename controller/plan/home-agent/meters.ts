/**
 * How much signalling over UDP the process is given, before anybody has proved who it is: the kernel's token buckets (nftables) stand in
 * front of the TUN device and of the Mobility Header socket. A genuine node sends three updates a second at most (RFC 6275 §12,
 * MAX_UPDATE_RATE) and never meets them; who sends more is slowed down, alone.
 *
 * What names a subscriber and one of its SPIs (set `signalling-keys`) may still be forged. Then
 * - nobody gets more than one bucket by one outer source, whomever it names, nor more than another by one outer and inner source;
 * - where the node is registered from has a bucket of its own, so that nobody shuts it out there by speaking in its name from elsewhere;
 * - all outer sources that are new to an inner source share a bucket, or a flood with forged ones would have as many as it likes;
 * - those that come again within some seconds share another: a node repeats its update from where it is (RFC 6275 §11.8), a flood from
 *   everywhere mostly does not.
 * What names no key of ours is worth a few samples, for the counters and the log.
 */
import type { NftChain, NftSet } from "../objects/firewall.js";
import {
  accept,
  type Bucket,
  beyond,
  clearUdpChecksum,
  count,
  drop,
  innerField,
  innerOctet,
  inputDevices,
  isAuthenticated,
  jump,
  KEY,
  keyIn,
  mobilityHeaderAbove,
  remember,
  rule,
  setMarkBit,
  setUdpPort,
  within,
} from "../objects/nft-clauses.js";
import { UNKNOWN_MESSAGE_MARK_BIT } from "../security/marks.js";
import { SIGNALLING_KEYS } from "../security/signalling-keys.js";
import { DEVICE, SIGNALLING_PORT, UDP_HEADER } from "../site.js";
import { PROTOCOL, SETS } from "./sets.js";

/** Nodes behind one NAT share an outer source, and may all wake up at once. */
const OUTER_SOURCE: Bucket = { perSecond: 100, burst: 1000 };
const NODE: Bucket = { perSecond: 10, burst: 20 };
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
  outer: meter("update-sources", ["ipv4_addr"], 16_384),
  pairs: meter("update-pairs", ["ipv4_addr", "ipv6_addr"], 65_536),
  seen: meter("update-pairs-seen", ["ipv4_addr", "ipv6_addr"], 65_536),
  nodes: meter("update-nodes", ["ipv6_addr"], 65_536),
  repeaters: meter("update-nodes-again", ["ipv6_addr"], 65_536),
  messages: meter("message-nodes", ["ipv6_addr"], 65_536),
} as const;

const innerSource = innerField(UDP_HEADER + 8, 16);
const PAIR = [KEY.ip4Source, innerSource];

/** From a mobility message in UDP, of which nothing is known yet, to the process. */
export const STEER: NftChain = {
  name: "steer",
  rules: [
    rule(
      innerOctet(UDP_HEADER + 6, PROTOCOL.esp),
      keyIn([innerSource, innerField(UDP_HEADER + 40, 4)], SIGNALLING_KEYS.name),
      jump("steer-known"),
    ),
    rule(within(SAMPLES), jump("to-process")),
    rule(count("unknown-signalling"), drop),
  ],
};

/** Two formats in which a node that sends its updates in UDP may be registered. */
const REGISTERED = [
  rule(keyIn([KEY.ip4Source, KEY.udpSource, innerSource], SETS.udp6.name), jump("to-process")),
  rule(keyIn(PAIR, SETS.ipv4_6.name), jump("to-process")),
];

const steering = (plain: boolean): readonly NftChain[] => [
  STEER,
  {
    name: "steer-known",
    rules: [
      rule(beyond([KEY.ip4Source], METERS.outer.name, OUTER_SOURCE), count("metered"), drop),
      rule(beyond(PAIR, METERS.pairs.name, NODE), count("metered"), drop),
      ...(plain ? REGISTERED : []),
      rule(keyIn(PAIR, METERS.seen.name), jump("steer-again")),
      rule(remember(PAIR, METERS.seen.name)),
      rule(beyond([innerSource], METERS.nodes.name, NODE), count("metered"), drop),
      rule(jump("to-process")),
    ],
  },
  {
    name: "steer-again",
    rules: [rule(beyond([innerSource], METERS.repeaters.name, NODE), count("metered"), drop), rule(jump("to-process"))],
  },
  {
    name: "to-process",
    rules: [rule(setUdpPort("dport", SIGNALLING_PORT), clearUdpChecksum, count("signalling"), accept)],
  },
];

/** Binding Error (RFC 6275 §6.1.9). */
const LAST_KNOWN_TYPE = 7;

/** Messages whose sender is known, before they get to the process. Unprotected ones XFRM refuses. */
const inMobility = (plain: boolean): NftChain => ({
  name: "in-mobility",
  rules: [
    ...(plain ? [rule(inputDevices(DEVICE.receivePrefix), count("tunnelled-signalling"), drop)] : []),
    rule(isAuthenticated, beyond([KEY.ip6Source], METERS.messages.name, NODE), count("metered"), drop),
    // XFRM lets these through: whoever sends one is told that nobody knows its type (RFC 6275 §9.2).
    rule(mobilityHeaderAbove(LAST_KNOWN_TYPE), within(SAMPLES), setMarkBit(UNKNOWN_MESSAGE_MARK_BIT)),
  ],
});

/** Chains and sets; `udp`: signalling comes over UDP too, `plain`: there are plain tunnels. */
export function meters({ udp, plain }: { readonly udp: boolean; readonly plain: boolean }): {
  readonly chains: readonly NftChain[];
  readonly sets: readonly NftSet[];
} {
  const { messages, ...ofUdp } = METERS;
  return {
    chains: [inMobility(plain), ...(udp ? steering(plain) : [])],
    sets: [messages, ...(udp ? [SIGNALLING_KEYS, ...Object.values(ofUdp)] : [])],
  };
}
