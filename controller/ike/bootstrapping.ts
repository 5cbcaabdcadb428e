/**
 * The connections by which a node that knows nothing but its credentials is told its home addresses (RFC 5026 §5.3.1): IKE SAs without
 * children (RFC 6023), with the addresses in the configuration payload.
 *
 * At the home agent they stand beside those of the keys, for charon refuses children of a connection with pools to everybody who asks for no
 * address (FAILED_CP_REQUIRED). Of two connections with the same identities it takes the one with the proposal that was agreed on
 * (ike_auth.c, load_cfg_candidates), so these have another pseudorandom function.
 */
import { formatPrefix, hostPrefix, IPV4_ANY, IPV6_ANY, type IpAddress, type Ipv6Address } from "../base/ip.js";
import type { ViciSection } from "../vici/message.js";
import {
  connectionName,
  homeAddressOf,
  homeAgentAuthentication,
  type IkePeers,
  type IkeTerms,
  nodeAuthentication,
  nodeEnd,
  type Parties,
  shared,
} from "./connections.js";

const SUFFIX = "-bootstrap";
/** At the home agent. */
export const bootstrapName = (homeAddress: Ipv6Address): string => `${connectionName(homeAddress)}${SUFFIX}`;
/** Whose it is; undefined: none of these. */
export const bootstrapOwner = (connection: string): Ipv6Address | undefined =>
  connection.endsWith(SUFFIX) ? homeAddressOf(connection.slice(0, -SUFFIX.length)) : undefined;

/** At the node. No home address has this name. */
export const BOOTSTRAP_CONNECTION = "dsmipd-bootstrap";

/** A node that has gone without a word must not keep what is lent once. */
const DEAD_PEER_DETECTION = "30s";

const FUNCTION = /-prf[a-z0-9]+/;
/** In the place of the configured one; never a weaker one. */
const FUNCTIONS = ["prfsha512", "prfsha384"] as const;

/** The configured proposals with another pseudorandom function; none that is configured too. */
export function bootstrapProposals(proposals: readonly string[]): readonly string[] {
  const others = proposals.flatMap((proposal) => {
    const [own] = FUNCTION.exec(proposal) ?? [];
    const other = FUNCTIONS.find((name) => `-${name}` !== own) ?? FUNCTIONS[0];
    return own === undefined ? `${proposal}-${other}` : proposal.replace(own, `-${other}`);
  });
  return [...new Set(others)].filter((one) => !proposals.includes(one));
}

/** Pools of one address each, by name: who has proved to be this node is told its own addresses, and nobody else's. */
export function addressPools({
  homeAddress,
  ipv4HomeAddress,
}: Pick<IkePeers, "homeAddress" | "ipv4HomeAddress">): Readonly<Record<string, ViciSection>> {
  const name = connectionName(homeAddress);
  return {
    [name]: { addrs: formatPrefix(hostPrefix(homeAddress)) },
    ...(ipv4HomeAddress !== undefined && { [`${name}-ipv4`]: { addrs: formatPrefix(hostPrefix(ipv4HomeAddress)) } }),
  };
}

export function homeAgentBootstrap(peers: IkePeers, terms: IkeTerms, addresses: readonly IpAddress[]): ViciSection {
  return {
    ...common(terms),
    // The node may have keys, which are not to end.
    unique: "no",
    local_addrs: [...addresses],
    remote_addrs: ["%any"],
    dpd_delay: DEAD_PEER_DETECTION,
    pools: Object.keys(addressPools(peers)),
    local: homeAgentAuthentication(peers, terms),
    remote: nodeAuthentication(peers),
  };
}

/** `from`: undefined: as the kernel chooses. */
export function mobileNodeBootstrap(
  peers: Parties,
  terms: IkeTerms,
  ends: { readonly from: IpAddress | undefined; readonly homeAgent: IpAddress },
): ViciSection {
  return {
    ...common(terms),
    ...nodeEnd(peers, terms, ends.homeAgent),
    ...(ends.from !== undefined && { local_addrs: [ends.from] }),
    unique: "never",
    vips: [IPV6_ANY, IPV4_ANY],
    childless: "force",
  };
}

const common = (terms: IkeTerms): ViciSection => ({
  ...shared({ ...terms, ikeProposals: bootstrapProposals(terms.ikeProposals), movement: "migrate" }),
});
