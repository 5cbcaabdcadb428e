/** Whole packets that ask one node for all its groups: the general queries of MLDv2 (RFC 3810 §5.1) and IGMPv3 (RFC 3376 §4.1). */
import { type Ipv4Address, type Ipv6Address, ipv4, ipv6 } from "../../base/ip.js";
import { withIcmpv6Checksum } from "../icmpv6.js";
import { encodeIpv4Packet, ipv4Header } from "./ipv4.js";
import { encodeIpv6Packet } from "./ipv6.js";
import { encodeIgmp, encodeMld } from "./membership.js";
import { Protocol } from "./registry.js";

export interface QueryTimes {
  /** Within which the node answers. */
  readonly responseSeconds: number;
  /** Between queries. */
  readonly intervalSeconds: number;
  readonly robustness: number;
}

const ALL_NODES = ipv6("ff02::1");
/** Queries come from a link-local address (RFC 3810 §5.1.14); any, for on a tunnel there is nobody else. */
const QUERIER = ipv6("fe80::1");
const HOPS = 1;
/** Hop-by-hop options: the next header, the length, Router Alert for MLD (RFC 2711), and padding. */
const ROUTER_ALERT_IPV6 = [Protocol.icmpv6, 0, 5, 2, 0, 0, 1, 0];
/** RFC 2113. */
const ROUTER_ALERT_IPV4 = Uint8Array.of(0x94, 4, 0, 0);
const IGMP = 2;
const ANY_GROUP = { ipv6: ipv6("::"), ipv4: ipv4("0.0.0.0") } as const;

/**
 * MLD. The destination is `to`, in whose place all nodes of the link (ff02::1) are written when the way is found; the checksum is right then.
 */
export function mldQuery(to: Ipv6Address, times: QueryTimes): Uint8Array {
  const message = encodeMld({
    type: "query",
    group: ANY_GROUP.ipv6,
    responseCode: Math.min(0x7fff, Math.round(1000 * times.responseSeconds)),
    extended: extended(times),
  });
  const sealed = withIcmpv6Checksum(message, QUERIER, ALL_NODES);
  return encodeIpv6Packet({
    header: {
      trafficClass: 0,
      flowLabel: 0,
      nextHeader: Protocol.hopByHop,
      hopLimit: HOPS,
      source: QUERIER,
      destination: to,
    },
    payload: Uint8Array.of(...ROUTER_ALERT_IPV6, ...sealed),
  });
}

/** IGMP; no checksum covers the destination. */
export function igmpQuery(source: Ipv4Address, to: Ipv4Address, times: QueryTimes): Uint8Array {
  const message = encodeIgmp({
    type: "query",
    group: ANY_GROUP.ipv4,
    responseCode: Math.min(0x7f, Math.round(10 * times.responseSeconds)),
    extended: extended(times),
  });
  const options = ROUTER_ALERT_IPV4;
  const header = ipv4Header({ source, destination: to, protocol: IGMP, timeToLive: HOPS, options });
  return encodeIpv4Packet({ header, payload: message });
}

const extended = ({ intervalSeconds, robustness }: QueryTimes) => ({
  suppress: false,
  robustness,
  intervalCode: intervalCode(intervalSeconds),
  sources: [],
});

/** Seconds up to 127 as they are, then a mantissa of 4 bits behind a 1, and an exponent of 3 (RFC 3810 §5.1.9). */
export function intervalCode(seconds: number): number {
  if (seconds < 0x80) return seconds;
  const exponent = Math.min(7, Math.floor(Math.log2(seconds)) - 7);
  const mantissa = (seconds >> (exponent + 3)) & 0xf;
  return 0x80 | (exponent << 4) | mantissa;
}
