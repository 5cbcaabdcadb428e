/** What the firewalls of both roles do for payload in ESP: which state a packet meets, and the outer header of what leaves. */

import type { IpAddress } from "../../base/ip.js";
import type { NftChain, NftRule } from "../objects/firewall.js";
import { type Clause, rule } from "../objects/nft-clause.js";
import {
  icmpv6,
  ipField,
  l4proto,
  l4protoFrom,
  markIs,
  mobilityHeader,
  ttlIsNot,
  type2RoutingHeader,
  udpPort,
} from "../objects/nft-matches.js";
import { accept, jump, notrack } from "../objects/nft-verdicts.js";
import { setIpv4Dscp, setIpv4Ttl, setIpv6Dscp, setIpv6HopLimit, setMarkBit } from "../objects/nft-writes.js";
import { ESP_CLASS_BIT, ESP_UDP_PORT, espClassMark, type TunnelClass } from "../site.js";
import { ROUTING_HEADER_MARK_BIT, TYPED_MESSAGE_MARK_BIT, UDP_MARK_BIT } from "./marks.js";
import { MOBILE_PREFIX_ADVERTISEMENT, MOBILE_PREFIX_SOLICITATION } from "./prefix-discovery-protection.js";
import { HOME_TEST, HOME_TEST_INIT } from "./return-routability-protection.js";
import { ICMPV6, MOBILITY_HEADER } from "./transport-associations.js";

const markTyped = setMarkBit(TYPED_MESSAGE_MARK_BIT);

/** ESP in UDP meets the receiving state for that encapsulation. `ends`: by what it is ours; `then`: what becomes of it. */
export function markEspInUdp(ends: readonly Clause[], then: readonly Clause[] = []): NftRule {
  return rule(...ends, udpPort("dport", ESP_UDP_PORT), setMarkBit(UDP_MARK_BIT), ...then);
}

/** Marks messages whose type has policies of its own; two rules lead there. */
export const TYPED_MESSAGES_CHAIN: NftChain = {
  name: "typed-messages",
  rules: [
    ...[HOME_TEST_INIT, HOME_TEST].map((type) => rule(mobilityHeader(type), markTyped)),
    ...[MOBILE_PREFIX_SOLICITATION, MOBILE_PREFIX_ADVERTISEMENT].map((type) => rule(icmpv6(type), markTyped)),
  ],
};
export const toTypedMessages: readonly NftRule[] = [MOBILITY_HEADER, ICMPV6].map((protocol) =>
  rule(l4proto(protocol), jump(TYPED_MESSAGES_CHAIN.name)),
);

/** Where nothing else is told apart by type (static keys): the one message of mobile prefix discovery that comes to this role. */
export const markSolicitations = rule(icmpv6(MOBILE_PREFIX_SOLICITATION), markTyped);
export const markAdvertisements = rule(icmpv6(MOBILE_PREFIX_ADVERTISEMENT), markTyped);

/**
 * What is neither TCP, UDP nor a tunnel: ESP goes its way at once, and typed messages are marked. One comparison keeps all other payload
 * out of here.
 */
export function rareProtocols(options: {
  /** Where ESP is ours, which is not tracked; none: ESP is no tunnel here. */
  readonly espTo: readonly IpAddress[];
  readonly typed: boolean;
}): readonly NftChain[] {
  const rules = [
    ...options.espTo.map((address) => rule(l4proto(ESP), ipField("daddr", address), notrack, accept)),
    ...(options.espTo.length === 0 ? [] : [rule(l4proto(ESP), accept)]),
    ...(options.typed ? toTypedMessages : []),
  ];
  return rules.length === 0 ? [] : [{ name: RARE_PROTOCOLS, rules }];
}
const RARE_PROTOCOLS = "rare-protocols";
const ESP = 50;
/** ESP has the lowest number of them. */
export const toRareProtocols: NftRule = rule(l4protoFrom(ESP), jump(RARE_PROTOCOLS));

/** What may come in clear where payload is protected, if the policies know its correspondent (RFC 6275 §6.4). */
export const markRoutingHeaders = rule(type2RoutingHeader, setMarkBit(ROUTING_HEADER_MARK_BIT));

/** ESP that a sending state of ours has made. */
export const sentEsp: Clause = markIs({ value: ESP_CLASS_BIT, mask: ESP_CLASS_BIT });

/**
 * TTL and DSCP of each class, for packets of one family. Where a class copies the DSCP, XFRM has done so, and where the kernel's own TTL is
 * the right one there is nothing to write: in a packet of 100 octets even the write of one costs. `first` stands before every rule.
 */
export function dressEsp(
  version: 4 | 6,
  classes: readonly TunnelClass[],
  ...first: readonly Clause[]
): readonly NftRule[] {
  return classes.flatMap(({ dscp, ttl }) => {
    const ours = [...first, markIs(espClassMark({ dscp, ttl }))];
    return [
      ...(dscp === "copy" ? [] : [rule(...ours, version === 4 ? setIpv4Dscp(dscp) : setIpv6Dscp(dscp))]),
      rule(...ours, ttlIsNot(version, ttl), version === 4 ? setIpv4Ttl(ttl) : setIpv6HopLimit(ttl)),
    ];
  });
}
