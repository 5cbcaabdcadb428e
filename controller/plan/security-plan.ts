/**
 * XFRM for the signalling of both roles: ESP in transport mode for Mobility Header messages between home address and home agent, and
 * the kernel's own Mobile IPv6 transformations around it (RFC 4877 §4, RFC 6275 §5.1). Which templates stand in which order and which
 * policy is of type sub is what the kernels accept (KERNEL.md).
 */
import { hostPrefix, IPV6_ANY, type Ipv6Address } from "../base/ip.js";
import type { KernelObject, XfrmMark, XfrmPolicy, XfrmSelector, XfrmState, XfrmTemplate } from "./objects.js";
import { OWNERSHIP } from "./objects.js";
import { negotiatedReqid, reqidOf } from "./request-ids.js";
import { RECEIVING_PLAIN_MARK, SENDING_MARK } from "./security-marks.js";
import {
  type Association,
  type Associations,
  ESP_ONLY_MARK,
  type HomeAgentPlanSite,
  type MobileNodePlanSite,
  type NodeSecurity,
  POLICY_PRIORITY,
} from "./site.js";

const MOBILITY_HEADER = 135;
const AEAD = "rfc4106(gcm(aes))";
const ICV_OCTETS = 16;
const REPLAY_WINDOW = 64;
const ESP = 50;
const ANYBODY = { address: IPV6_ANY, length: 0 } as const;

const REQID = { wildcard: 0, homeAddressOption: 1 } as const;

function between(source: Ipv6Address, destination: Ipv6Address): XfrmSelector {
  return { source: hostPrefix(source), destination: hostPrefix(destination), protocol: MOBILITY_HEADER };
}

function espState(
  source: Ipv6Address,
  destination: Ipv6Address,
  reqid: number,
  { spi, key }: NodeSecurity["update"],
): XfrmState {
  return {
    kind: "xfrm-state",
    source,
    destination,
    reqid,
    selector: between(source, destination),
    transform: {
      type: "esp",
      spi,
      mode: "transport",
      aead: { algorithm: AEAD, key, icvLength: ICV_OCTETS },
      replayWindow: REPLAY_WINDOW,
    },
  };
}

/** A state made of what was negotiated; the mark keeps it apart from the IKE daemon's original. */
function negotiatedState(
  source: Ipv6Address,
  destination: Ipv6Address,
  reqid: number,
  { spi, aead }: Association,
  mark: XfrmMark,
): XfrmState {
  return {
    kind: "xfrm-state",
    source,
    destination,
    reqid,
    selector: between(source, destination),
    transform: { type: "esp", spi, mode: "transport", aead, replayWindow: REPLAY_WINDOW, mark },
  };
}

const esp = (reqid: number): XfrmTemplate => ({
  protocol: "esp",
  mode: "transport",
  source: IPV6_ANY,
  destination: IPV6_ANY,
  reqid,
  optional: false,
});

/** A policy of ours. */
export function policy(
  direction: XfrmPolicy["direction"],
  selector: XfrmSelector,
  priority: number,
  rest: Partial<XfrmPolicy>,
): XfrmPolicy {
  return {
    kind: "xfrm-policy",
    direction,
    policyType: "main",
    selector,
    priority: OWNERSHIP.policyPriorityBase + priority,
    action: "allow",
    templates: [],
    ...rest,
  };
}

/**
 * Accepts Home Address options or type 2 routing headers of anybody before ESP and Mobility Headers; ESP policies and the machine decide what
 * follows from them. The kernel looks twice, first at the ESP header and then at what was in it. Before any other protocol nothing allows
 * them, so the kernel drops the packet (RFC 6275 §9.3.1).
 */
function wildcard(type: "home-address-option" | "type2-routing-header"): readonly KernelObject[] {
  const reqid = OWNERSHIP.reqidBase + REQID.wildcard;
  return [
    {
      kind: "xfrm-state",
      source: IPV6_ANY,
      destination: IPV6_ANY,
      reqid,
      transform: { type, careOfAddress: IPV6_ANY, wildcard: true },
    },
    ...[ESP, MOBILITY_HEADER].map((protocol) =>
      policy("in", { source: ANYBODY, destination: ANYBODY, protocol }, POLICY_PRIORITY.wildcard, {
        policyType: "sub",
        templates: [
          {
            protocol: type,
            mode: "route-optimisation",
            source: IPV6_ANY,
            destination: IPV6_ANY,
            reqid,
            optional: true,
          },
        ],
      }),
    ),
  ];
}

/** What all subscribers share at the home agent: Home Address options are understood, unprotected mobility messages die. */
export function homeAgentSecuritySite(homeAgent: Ipv6Address): readonly KernelObject[] {
  const unprotected = { source: ANYBODY, destination: hostPrefix(homeAgent), protocol: MOBILITY_HEADER };
  return [...wildcard("home-address-option"), policy("in", unprotected, POLICY_PRIORITY.block, { action: "block" })];
}

/** A subscriber with static keys at the home agent. */
export function planSubscriberSecurity(
  homeAddress: Ipv6Address,
  keys: NodeSecurity,
  site: HomeAgentPlanSite,
): readonly KernelObject[] {
  const homeAgent = site.addresses.ipv6;
  const reqid = reqidOf(homeAddress);
  return [
    espState(homeAddress, homeAgent, reqid, keys.update),
    espState(homeAgent, homeAddress, reqid, keys.acknowledgement),
    ...signallingPolicies(homeAddress, homeAgent, reqid),
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
    ...planSignalling({ self: homeAgent, peer: homeAddress, reqid }, associations),
    ...signallingPolicies(homeAddress, homeAgent, reqid),
    announcementPolicy(homeAddress, [reqid, reqidOf(homeAddress, "payload", slots)]),
  ];
}

function signallingPolicies(homeAddress: Ipv6Address, homeAgent: Ipv6Address, reqid: number): readonly KernelObject[] {
  return [
    policy("in", between(homeAddress, homeAgent), POLICY_PRIORITY.signalling, { templates: [esp(reqid)] }),
    policy("out", between(homeAgent, homeAddress), POLICY_PRIORITY.signalling, { templates: [esp(reqid)] }),
  ];
}

/** The negotiated associations for binding updates and acknowledgements, as this end of them uses them. */
function planSignalling(
  { self, peer, reqid }: { readonly self: Ipv6Address; readonly peer: Ipv6Address; readonly reqid: number },
  { signalling }: Associations,
): readonly KernelObject[] {
  if (signalling === undefined) return [];
  return [
    ...signalling.receive.map((one) => negotiatedState(peer, self, reqid, one, RECEIVING_PLAIN_MARK)),
    ...(signalling.send === undefined ? [] : [negotiatedState(self, peer, reqid, signalling.send, SENDING_MARK)]),
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
    templates: reqids.map((reqid) => esp(negotiatedReqid(reqid))),
  });
}

/** The mobile node's side. Updates with one of our marks get ESP alone; all others the Home Address option too. Without static keys the associations are negotiated. */
export function mobileNodeSecuritySite(
  { homeAddress, homeAgent }: MobileNodePlanSite,
  keys: NodeSecurity | undefined,
): readonly KernelObject[] {
  const reqid = reqidOf(homeAddress);
  const out = between(homeAddress, homeAgent.ipv6);
  const option: XfrmTemplate = {
    protocol: "home-address-option",
    mode: "route-optimisation",
    source: homeAddress,
    destination: homeAgent.ipv6,
    reqid: OWNERSHIP.reqidBase + REQID.homeAddressOption,
    optional: false,
  };
  return [
    ...(keys === undefined
      ? [announcementPolicy(homeAddress, [reqid, reqidOf(homeAddress, "payload")])]
      : [
          espState(homeAddress, homeAgent.ipv6, reqid, keys.update),
          espState(homeAgent.ipv6, homeAddress, reqid, keys.acknowledgement),
        ]),
    policy("in", between(homeAgent.ipv6, homeAddress), POLICY_PRIORITY.signalling, { templates: [esp(reqid)] }),
    policy("out", out, POLICY_PRIORITY.signalling, { mark: ESP_ONLY_MARK, templates: [esp(reqid)] }),
    policy("out", out, POLICY_PRIORITY.signallingWithOption, { templates: [option, esp(reqid)] }),
    ...wildcard("type2-routing-header"),
  ];
}

/** The mobile node's negotiated associations for signalling. */
export function planNegotiatedNode(
  { homeAddress, homeAgent }: MobileNodePlanSite,
  associations: Associations,
): readonly KernelObject[] {
  return planSignalling({ self: homeAddress, peer: homeAgent.ipv6, reqid: reqidOf(homeAddress) }, associations);
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
    reqid: OWNERSHIP.reqidBase + REQID.homeAddressOption,
    transform: { type: "home-address-option", careOfAddress, wildcard: false },
  };
}
