/** How home agent address discovery gets to this machine: routes that make it the holder of anycast addresses, on a virtual home link too. */
import { homeAgentsAnycast } from "../../base/anycast.js";
import { hostPrefix, type Ipv6Address, type Prefix } from "../../base/ip.js";
import type { Route } from "../objects/forwarding.js";
import { rule } from "../objects/nft-clause.js";
import { icmpv6 } from "../objects/nft-matches.js";
import { accept, count, drop, within } from "../objects/nft-verdicts.js";
import { LOCAL_TABLE } from "../site.js";

/** The kernel's own for a route without one. */
const METRIC = 1024;

/** Of all home prefixes that have one (RFC 6275 §10.5). */
export function anycastAddresses(homePrefixes: readonly Prefix[]): ReadonlySet<Ipv6Address> {
  return new Set(homePrefixes.map(homeAgentsAnycast).filter((address) => address !== undefined));
}

/**
 * An address on a device would become a source address, and the kernel refuses anycast routes on lo. On the home link nobody is answered
 * for it: the home agent alone forwards there, or the socket joins the group besides.
 */
export function anycastRoutes(homePrefixes: readonly Prefix[]): readonly Route[] {
  return [...anycastAddresses(homePrefixes)].map((address) => ({
    kind: "route",
    destination: hostPrefix(address),
    table: LOCAL_TABLE,
    metric: METRIC,
    device: "lo",
    local: true,
  }));
}

/** ICMPv6 type (RFC 6275 §6.5). */
const HOME_AGENT_ADDRESS_DISCOVERY_REQUEST = 144;
/** Of all together: nobody has proved who he is, and an answer is larger than the question. */
const REQUESTS = { perSecond: 50, burst: 100 };

/** Before they get to the process. */
export const DISCOVERY_RULES = [
  rule(icmpv6(HOME_AGENT_ADDRESS_DISCOVERY_REQUEST), within(REQUESTS), accept),
  rule(icmpv6(HOME_AGENT_ADDRESS_DISCOVERY_REQUEST), count("metered-discovery"), drop),
];
