/**
 * XFRM for the signalling of both roles: ESP in transport mode for Mobility Header messages between home address and home agent, and
 * the kernel's own Mobile IPv6 transformations around it (RFC 4877 §4, RFC 6275 §5.1). Which templates stand in which order and which
 * policy is of type sub is what the kernels accept (KERNEL.md).
 */
import { hostPrefix, type Ipv6Address } from "../../base/ip.js";
import type { KernelObject } from "../objects/objects.js";
import { OWNERSHIP } from "../objects/objects.js";
import type { PolicyHash, XfrmPolicy, XfrmSelector, XfrmState, XfrmTemplate } from "../objects/security.js";
import {
  type Association,
  type Associations,
  ESP_ONLY_MARK,
  type HomeAgentPlanSite,
  type MobileNodePlanSite,
  type NodeSecurity,
  POLICY_PRIORITY,
  type StaticAssociation,
} from "../site.js";
import { UNKNOWN_MESSAGE_MARK } from "./marks.js";
import { acceptsBound, HEADER_REQID, recognised, wildcard } from "./mobility-headers.js";
import {
  blockedPrefixDiscovery,
  prefixDiscoveryNode,
  prefixDiscoveryPolicies,
  prefixDiscoverySubscriber,
  subscriberPrefixPolicies,
} from "./prefix-discovery-protection.js";
import { negotiatedReqid, PURPOSES, reqidOf } from "./request-ids.js";
import { signallingKeys } from "./signalling-keys.js";
import {
  ANYBODY,
  between,
  MOBILITY_HEADER,
  policy,
  transportState,
  transportStates,
  transportTemplate,
} from "./transport-associations.js";

const GCM = { algorithm: "rfc4106(gcm(aes))", icvLength: 16 } as const;
const CBC = "cbc(aes)";
/** ICVs of RFC 4868 §2.6 and RFC 2404 §3. */
const HMAC = {
  "aes-cbc-hmac-sha256": { algorithm: "hmac(sha256)", icvLength: 16 },
  "aes-cbc-hmac-sha1": { algorithm: "hmac(sha1)", icvLength: 12 },
} as const;
const UPDATES = { protocol: MOBILITY_HEADER } as const;
const ANY_PROTOCOL = 0;

/**
 * Both static associations of a node, as either end has them. They carry its updates and its mobile prefix discovery; which of the two a
 * packet may be, the policies say.
 */
function staticStates(
  homeAddress: Ipv6Address,
  homeAgent: Ipv6Address,
  { update, acknowledgement, replayWindow }: NodeSecurity,
): readonly XfrmState[] {
  const reqid = reqidOf(homeAddress);
  const inward = { source: homeAddress, destination: homeAgent, reqid, protocol: ANY_PROTOCOL };
  const outward = { source: homeAgent, destination: homeAddress, reqid, protocol: ANY_PROTOCOL };
  return [
    transportState(inward, staticAssociation(update), { replayWindow }),
    transportState(outward, staticAssociation(acknowledgement), { replayWindow }),
  ];
}

function staticAssociation(keys: StaticAssociation): Association {
  const { spi } = keys;
  if (keys.algorithm === "aes-gcm") return { spi, aead: { ...GCM, key: keys.key } };
  return {
    spi,
    encryption: { algorithm: CBC, key: keys.encryptionKey },
    integrity: { ...HMAC[keys.algorithm], key: keys.integrityKey },
  };
}

/** charon sets the thresholds to its own at its start, by default the kernel's (kernel-netlink.spdh_thresh), and nobody announces it. */
export const HOME_AGENT_POLICY_HASH: PolicyHash = { kind: "policy-hash", ...OWNERSHIP.policyHash };

/** What all subscribers share at the home agent: Home Address options are understood, unprotected mobility messages die. */
export function homeAgentSecuritySite({ addresses }: HomeAgentPlanSite): readonly KernelObject[] {
  const homeAgent = addresses.ipv6;
  const unprotected = { source: ANYBODY, destination: hostPrefix(homeAgent), protocol: MOBILITY_HEADER };
  return [
    HOME_AGENT_POLICY_HASH,
    ...wildcard("home-address-option"),
    // A binding error is due to whoever sends one (RFC 6275 §9.2); no policy can tell the type itself.
    policy("in", unprotected, POLICY_PRIORITY.unknownMessage, { mark: UNKNOWN_MESSAGE_MARK }),
    policy("in", unprotected, POLICY_PRIORITY.block, { action: "block" }),
    ...blockedPrefixDiscovery(homeAgent),
  ];
}

/** A subscriber with static keys at the home agent. */
export function planSubscriberSecurity(
  homeAddress: Ipv6Address,
  keys: NodeSecurity,
  site: HomeAgentPlanSite,
): readonly KernelObject[] {
  const homeAgent = site.addresses.ipv6;
  return [
    ...staticStates(homeAddress, homeAgent, keys),
    ...signallingPolicies(homeAddress, homeAgent, reqidOf(homeAddress)),
    ...subscriberPrefixPolicies(homeAddress, homeAgent, reqidOf(homeAddress)),
    ...signallingKeys(homeAddress, [keys.update.spi], site),
  ];
}

/** A subscriber whose keys are negotiated, at the home agent: its policies always, and what there is of associations. */
export function planNegotiatedSubscriber(
  homeAddress: Ipv6Address,
  associations: Associations,
  site: HomeAgentPlanSite,
): readonly KernelObject[] {
  const homeAgent = site.addresses.ipv6;
  const slots = site.negotiated?.slots;
  const reqid = reqidOf(homeAddress, "signalling", slots);
  return [
    ...transportStates({ self: homeAgent, peer: homeAddress, reqid, ...UPDATES }, associations.signalling),
    ...signallingPolicies(homeAddress, homeAgent, reqid),
    ...signallingKeys(
      homeAddress,
      [associations.signalling, associations.prefix].flatMap((child) => (child?.receive ?? []).map(({ spi }) => spi)),
      site,
    ),
    ...prefixDiscoverySubscriber(homeAddress, associations.prefix, site),
    announcementPolicy(
      homeAddress,
      PURPOSES.map((purpose) => reqidOf(homeAddress, purpose, slots)),
    ),
  ];
}

function signallingPolicies(homeAddress: Ipv6Address, homeAgent: Ipv6Address, reqid: number): readonly KernelObject[] {
  return [
    policy("in", between(homeAddress, homeAgent), POLICY_PRIORITY.signalling, {
      templates: [transportTemplate(reqid)],
    }),
    policy("out", between(homeAgent, homeAddress), POLICY_PRIORITY.signalling, {
      templates: [transportTemplate(reqid)],
    }),
    acceptsBound("home-address-option", homeAddress, homeAgent),
  ];
}

/**
 * Meets no packet: its selector leads from the home address to itself. XFRM_MSG_MIGRATE needs a policy to speak of, and by that message
 * the IKE daemon learns that its SA has moved; the templates bear the request ids under which it knows its children.
 */
export function announcementSelector(homeAddress: Ipv6Address): XfrmSelector {
  return between(homeAddress, homeAddress);
}

function announcementPolicy(homeAddress: Ipv6Address, reqids: readonly number[]): XfrmPolicy {
  return policy("out", announcementSelector(homeAddress), POLICY_PRIORITY.signalling, {
    templates: reqids.map((reqid) => transportTemplate(negotiatedReqid(reqid))),
  });
}

/** The mobile node's side. Updates with one of our marks get ESP alone; all others the Home Address option too. Without static keys the associations are negotiated. */
export function mobileNodeSecuritySite(
  site: MobileNodePlanSite,
  keys: NodeSecurity | undefined,
): readonly KernelObject[] {
  const { homeAddress, homeAgent } = site;
  const reqid = reqidOf(homeAddress);
  const out = between(homeAddress, homeAgent.ipv6);
  const option: XfrmTemplate = {
    protocol: "home-address-option",
    mode: "route-optimisation",
    source: homeAddress,
    destination: homeAgent.ipv6,
    reqid: HEADER_REQID.homeAddressOption,
    optional: false,
  };
  return [
    ...(keys === undefined
      ? [
          announcementPolicy(
            homeAddress,
            PURPOSES.map((purpose) => reqidOf(homeAddress, purpose)),
          ),
        ]
      : staticStates(homeAddress, homeAgent.ipv6, keys)),
    ...prefixDiscoveryPolicies(site, option, keys === undefined ? reqidOf(homeAddress, "prefix") : reqid),
    policy("in", between(homeAgent.ipv6, homeAddress), POLICY_PRIORITY.signalling, {
      templates: [transportTemplate(reqid)],
    }),
    policy("out", out, POLICY_PRIORITY.signalling, { mark: ESP_ONLY_MARK, templates: [transportTemplate(reqid)] }),
    policy("out", out, POLICY_PRIORITY.signallingWithOption, { templates: [option, transportTemplate(reqid)] }),
    ...wildcard("type2-routing-header"),
    acceptsBound("type2-routing-header", homeAgent.ipv6, homeAddress),
    // Nobody has a binding here: what has the option is dropped with or without this, but only so the kernel tells (RFC 6275 §9.3.1).
    recognised("home-address-option"),
  ];
}

/** The mobile node's negotiated associations for what it says to its home agent itself. */
export function planNegotiatedNode(site: MobileNodePlanSite, associations: Associations): readonly KernelObject[] {
  const { homeAddress, homeAgent } = site;
  const ends = { self: homeAddress, peer: homeAgent.ipv6, reqid: reqidOf(homeAddress), ...UPDATES };
  return [...transportStates(ends, associations.signalling), ...prefixDiscoveryNode(site, associations.prefix)];
}

/** The care-of address that the kernel writes into updates over IPv6; changed in place at a move. */
export function homeAddressOptionState(
  { homeAddress, homeAgent }: MobileNodePlanSite,
  careOfAddress: Ipv6Address,
): XfrmState {
  return {
    kind: "xfrm-state",
    source: homeAddress,
    destination: homeAgent.ipv6,
    reqid: HEADER_REQID.homeAddressOption,
    transform: { type: "home-address-option", careOfAddress, wildcard: false },
  };
}
