/**
 * What the IKE daemon is told: connections in strongSwan's words (swanctl.conf(5)). Pure. The policies are ours (policies = no), the
 * associations are installed under a mark that no packet has and under request ids that tell whose they are and what for.
 *
 * IKE runs between the care-of address and the home agent while the associations are for the home address (RFC 4877 §4.4): for updates
 * strongSwan calls that transport_proxy. Behind a NAT it rewrites the selectors of transport mode to the NAT's address and then finds no
 * child that fits (get_transport_nat_ts, 5.9.8 and 6.0), so there another child without USE_TRANSPORT_MODE takes its place; the keys are
 * used in transport mode either way. Its selectors leave the protocol out, because by them the home agent tells the two apart.
 */
import {
  formatPrefix,
  hostPrefix,
  type IpAddress,
  type Ipv4Address,
  type Ipv6Address,
  isIpv4,
  type Prefix,
  parseIpv6,
} from "../base/ip.js";
import { ORIGINAL_MARK } from "../plan/security/marks.js";
import { negotiatedReqid, type Purpose, reqidOf, type Slots } from "../plan/security/request-ids.js";
import { ESP_UDP_PORT } from "../plan/site.js";
import type { ViciSection } from "../vici/message.js";

const MOBILITY_HEADER = 135;
const ICMPV6 = 58;
/** Message types stand in the upper octet of a selector's port (RFC 4877 §7.2.1, RFC 4301 §4.4.1.1). */
const HOME_TEST_INIT = 0x0100;
const HOME_TEST = 0x0300;
const MOBILE_PREFIX_SOLICITATION = 0x9200;
const MOBILE_PREFIX_ADVERTISEMENT = 0x9300;
/** Under 1: an association lives a tenth longer than its keys are used. */
const LIFE_FACTOR = 1.1;

/** What one node and its home agent agree on, from the configuration of either. */
export interface IkePeers {
  readonly homeAddress: Ipv6Address;
  readonly ipv4HomeAddress?: Ipv4Address | undefined;
  /** Of the networks behind a mobile router. */
  readonly prefixes?: readonly Prefix[] | undefined;
  /** What addresses and networks on loan come out of: the home agent's pools; at the node, which is not told, everything of the family. */
  readonly pools?: readonly Prefix[] | undefined;
  readonly homeAgent: Ipv6Address;
  readonly nodeIdentity: string;
  readonly homeAgentIdentity: string;
  readonly authentication: "psk" | "certificate" | "eap";
  readonly protectPayload: boolean;
  readonly slots: Slots;
}

/** Who talks, and how they prove it. */
export type Parties = Pick<IkePeers, "nodeIdentity" | "homeAgentIdentity" | "authentication">;

export interface IkeTerms {
  readonly ikeProposals: readonly string[];
  readonly espCiphers: readonly string[];
  readonly rekeySeconds: number;
  readonly ikeRekeySeconds: number;
  /** mobike: offered, and used with a peer that offers it too (RFC 4555). */
  readonly movement: "migrate" | "mobike" | "renegotiate";
  /** Of our own certificate, PEM; absent: none. */
  readonly certificate?: string | undefined;
}

const CONNECTION = "dsmipd-";
export const connectionName = (homeAddress: Ipv6Address): string => `${CONNECTION}${homeAddress}`;
/** Whose connection it is; undefined: none of ours. */
export const homeAddressOf = (connection: string): Ipv6Address | undefined =>
  connection.startsWith(CONNECTION) ? parseIpv6(connection.slice(CONNECTION.length)) : undefined;

export const CHILDREN = {
  signalling: "signalling",
  signallingBehindNat: "signalling-nat",
  payload: "payload",
  returnRoutability: "return-routability",
  prefix: "prefix",
  prefixBehindNat: "prefix-nat",
} as const;

export function homeAgentConnection(peers: IkePeers, terms: IkeTerms, addresses: readonly IpAddress[]): ViciSection {
  // Several subscribers; whoever gives up first would take the other's turn: only nodes start anything.
  const late: IkeTerms = { ...terms, rekeySeconds: 3 * terms.rekeySeconds, ikeRekeySeconds: 3 * terms.ikeRekeySeconds };
  return {
    ...shared(late),
    local_addrs: [...addresses],
    remote_addrs: ["%any"],
    local: homeAgentAuthentication(peers, terms),
    remote: nodeAuthentication(peers),
    children: children(peers, late, "home-agent"),
  };
}

/** As what a node speaks, with whom. */
export function nodeEnd(peers: Parties, terms: IkeTerms, homeAgent: IpAddress): ViciSection {
  return {
    remote_addrs: [homeAgent],
    // From the start (RFC 5555 §5): a NAT then needs one mapping.
    local_port: String(ESP_UDP_PORT),
    remote_port: String(ESP_UDP_PORT),
    keyingtries: "1",
    local: { ...nodeAuthentication(peers), ...(peers.authentication === "certificate" && certificates(terms)) },
    remote: { auth: peers.authentication === "psk" ? "psk" : "pubkey", id: peers.homeAgentIdentity },
  };
}

export function mobileNodeConnection(
  peers: IkePeers,
  terms: IkeTerms & { readonly deadPeerDetectionSeconds: number },
  ends: { readonly careOf: IpAddress; readonly homeAgent: IpAddress },
): ViciSection {
  return {
    ...shared(terms),
    ...nodeEnd(peers, terms, ends.homeAgent),
    local_addrs: [ends.careOf],
    dpd_delay: `${terms.deadPeerDetectionSeconds}s`,
    children: children(peers, terms, "mobile-node"),
  };
}

export function shared({ ikeProposals, ikeRekeySeconds, movement }: IkeTerms): ViciSection {
  return {
    version: "2",
    proposals: [...ikeProposals],
    mobike: movement === "mobike" ? "yes" : "no",
    unique: "replace",
    rekey_time: `${ikeRekeySeconds}s`,
    reauth_time: "0s",
    send_cert: "always",
  };
}

const certificates = ({ certificate }: IkeTerms): ViciSection =>
  certificate === undefined ? {} : { certs: [certificate] };

export function homeAgentAuthentication({ authentication, homeAgentIdentity }: Parties, terms: IkeTerms): ViciSection {
  return authentication === "psk"
    ? { auth: "psk", id: homeAgentIdentity }
    : { auth: "pubkey", id: homeAgentIdentity, ...certificates(terms) };
}

export function nodeAuthentication({ authentication, nodeIdentity }: Parties): ViciSection {
  switch (authentication) {
    case "psk":
      return { auth: "psk", id: nodeIdentity };
    case "certificate":
      return { auth: "pubkey", id: nodeIdentity };
    case "eap":
      return { auth: "eap-mschapv2", id: nodeIdentity, eap_id: nodeIdentity };
  }
}

function children(peers: IkePeers, terms: IkeTerms, role: "home-agent" | "mobile-node"): ViciSection {
  const { homeAddress, ipv4HomeAddress, homeAgent, protectPayload, prefixes = [], pools = [] } = peers;
  const homes: readonly IpAddress[] = ipv4HomeAddress === undefined ? [homeAddress] : [homeAddress, ipv4HomeAddress];
  // Keys are there before anything is lent. What one node may send and is sent, policies of ours say, which name what it has.
  const networks = [...prefixes, ...pools];
  const inner = [...homes.map(hostPrefix), ...networks];
  const node = [...homes, ...networks.map(formatPrefix)];
  const hasIpv4 = inner.some(({ address }) => isIpv4(address));
  const sides = (own: readonly string[], other: readonly string[]): ViciSection =>
    role === "mobile-node"
      ? { local_ts: [...own], remote_ts: [...other] }
      : { local_ts: [...other], remote_ts: [...own] };
  const mobility = (address: Ipv6Address): string => `${address}[${MOBILITY_HEADER}]`;
  const updates = child(peers, terms, "signalling");
  const prefix = child(peers, terms, "prefix");
  return {
    [CHILDREN.signalling]: {
      ...updates,
      ...sides([mobility(homeAddress)], [mobility(homeAgent)]),
      mode: "transport_proxy",
    },
    [CHILDREN.signallingBehindNat]: { ...updates, ...sides([homeAddress], [homeAgent]), mode: "tunnel" },
    [CHILDREN.returnRoutability]: {
      ...child(peers, terms, "return-routability"),
      ...sides([`${homeAddress}[${MOBILITY_HEADER}/${HOME_TEST_INIT}]`], [`::/0[${MOBILITY_HEADER}/${HOME_TEST}]`]),
      mode: "tunnel",
    },
    [CHILDREN.prefix]: {
      ...prefix,
      ...sides(
        [`${homeAddress}[${ICMPV6}/${MOBILE_PREFIX_SOLICITATION}]`],
        [`${homeAgent}[${ICMPV6}/${MOBILE_PREFIX_ADVERTISEMENT}]`],
      ),
      mode: "transport_proxy",
    },
    [CHILDREN.prefixBehindNat]: {
      ...prefix,
      ...sides([`${homeAddress}[${ICMPV6}]`], [`${homeAgent}[${ICMPV6}]`]),
      mode: "tunnel",
    },
    ...(protectPayload && {
      [CHILDREN.payload]: {
        ...child(peers, terms, "payload"),
        ...sides(node, hasIpv4 ? ["::/0", "0.0.0.0/0"] : ["::/0"]),
        mode: "tunnel",
      },
    }),
  };
}

function child(
  { homeAddress, slots }: IkePeers,
  { espCiphers, rekeySeconds }: IkeTerms,
  purpose: Purpose,
): ViciSection {
  const mark = `0x${ORIGINAL_MARK.value.toString(16)}/0x${ORIGINAL_MARK.mask.toString(16)}`;
  return {
    policies: "no",
    reqid: String(negotiatedReqid(reqidOf(homeAddress, purpose, slots))),
    mark_in: mark,
    mark_out: mark,
    mark_in_sa: "yes",
    esp_proposals: espCiphers.map((cipher) => `${cipher}-x25519`),
    rekey_time: `${rekeySeconds}s`,
    life_time: `${Math.ceil(rekeySeconds * LIFE_FACTOR)}s`,
    start_action: "none",
    close_action: "none",
    dpd_action: "clear",
  };
}
