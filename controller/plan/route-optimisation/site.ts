/**
 * What all pairs of a machine share: at a correspondent, at a mobile node that has correspondents, and the question to the kernel whom a
 * home address sends to. KERNEL.md has the order of the policies.
 */
import { hostPrefix, IPV4_ANY, type Ipv4Address, type Ipv6Address, ipv6, type Prefix } from "../../base/ip.js";
import type { KernelObject } from "../objects/objects.js";
import { ANY_REQID, HEADER_REQID, recognised } from "../security/mobility-headers.js";
import { ANYBODY, MOBILITY_HEADER } from "../security/transport-associations.js";
import { type HomePlace, type MobileNodePlanSite, POLICY_PRIORITY } from "../site.js";
import { correspondentFirewall } from "./firewall.js";
import { ANY_PROTOCOL, exempt, headerTemplate, messagesAsTheyAre, subPolicy } from "./headers.js";
import type { CorrespondentDirect } from "./ipv4/correspondent-firewall.js";
import { correspondentDevices } from "./ipv4/shared.js";

export interface CorrespondentPlanSite {
  /** Which IPv4 address belongs to which of ours, where IPv4 goes directly (draft-oulai-mext-dsmip-ro-00). */
  readonly direct?: CorrespondentDirect | undefined;
  /** Of ours, at which mobile nodes may bind. */
  readonly addresses: readonly Ipv6Address[];
  /** Which of them are home addresses of a mobile node on this machine. */
  readonly homeAddresses?: readonly Ipv6Address[] | undefined;
}

/** Never a correspondent: groups, and neighbours by their link-local addresses. */
const NO_CORRESPONDENTS: readonly Prefix[] = [
  { address: ipv6("ff00::"), length: 8 },
  { address: ipv6("fe80::"), length: 10 },
];

/**
 * Home Address options are recognised, which makes the kernel tell of those that nobody's binding covers (RFC 6275 §9.3.1), and taken from
 * anybody before mobility messages, whose authenticator says more.
 */
export function planCorrespondentSite({
  addresses,
  homeAddresses = [],
  direct,
}: CorrespondentPlanSite): readonly KernelObject[] {
  return [
    recognised("home-address-option"),
    // Those of a mobile node have its table already.
    ...(homeAddresses.length === 0 ? [correspondentFirewall(direct)] : []),
    ...(direct === undefined ? [] : correspondentDevices(direct.addresses, direct.profile)),
    ...addresses.flatMap((self) => [
      subPolicy(
        "in",
        { source: ANYBODY, destination: hostPrefix(self), protocol: MOBILITY_HEADER },
        POLICY_PRIORITY.correspondentMessages,
        headerTemplate("home-address-option", ANY_REQID, true),
        ...(homeAddresses.includes(self) ? [headerTemplate("type2-routing-header", ANY_REQID, true)] : []),
      ),
      ...messagesAsTheyAre(self),
    ]),
  ];
}

/** At a mobile node, for one home address, as long as it may have correspondents. */
export function planDirectSite({ homeAddress, homeAgent }: MobileNodePlanSite): readonly KernelObject[] {
  return [
    ...messagesAsTheyAre(homeAddress),
    ...[hostPrefix(homeAgent.ipv6), ...NO_CORRESPONDENTS].map((destination) =>
      exempt(homeAddress, destination, ANY_PROTOCOL, POLICY_PRIORITY.noDemand),
    ),
  ];
}

/**
 * The kernel asks once for each pair of addresses (XFRM_MSG_ACQUIRE), and the packets go on by way of the home agent. A connected socket
 * asks again only when the policy has changed: give another `round`. Each home address has a request id of its own, for the entry that
 * stands for one's question silences others of the same id.
 */
export function planDemand(homeAddress: Ipv6Address, site: HomePlace, round: number): readonly KernelObject[] {
  return [
    subPolicy(
      "out",
      { source: hostPrefix(homeAddress), destination: ANYBODY, protocol: ANY_PROTOCOL },
      POLICY_PRIORITY.demand + (round & 1),
      headerTemplate("home-address-option", demandReqid(site), true),
    ),
  ];
}

/** The same of an IPv4 home address, about the correspondents that are known by both of their addresses. */
export function planIpv4Demand(
  homeAddress: Ipv4Address,
  correspondents: readonly { readonly ipv4: Ipv4Address }[],
  site: HomePlace,
  round: number,
): readonly KernelObject[] {
  const template = headerTemplate("home-address-option", demandReqid(site), true);
  return correspondents.map(({ ipv4 }) =>
    subPolicy(
      "out",
      { source: hostPrefix(homeAddress), destination: hostPrefix(ipv4), protocol: ANY_PROTOCOL },
      POLICY_PRIORITY.demand + (round & 1),
      { ...template, source: IPV4_ANY, destination: IPV4_ANY },
    ),
  );
}

export const demandReqid = ({ rank }: HomePlace): number => HEADER_REQID.demand + (rank ?? 0);
