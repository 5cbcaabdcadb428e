/**
 * XFRM for the signalling of both roles: ESP in transport mode for Mobility Header messages between home address and home agent, and
 * the kernel's own Mobile IPv6 transformations around it (RFC 4877 §4, RFC 6275 §5.1). Which templates stand in which order and which
 * policy is of type sub is what the kernels accept (KERNEL.md).
 */
import { hostPrefix, IPV6_ANY, type Ipv6Address, ipToBytes } from "../base/ip.js";
import type { KernelObject, XfrmPolicy, XfrmSelector, XfrmState, XfrmTemplate } from "./objects.js";
import { OWNERSHIP } from "./objects.js";
import {
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

/** Request ids below this are for what all nodes share. */
const SHARED_REQIDS = 16;
const REQID = { wildcard: 0, homeAddressOption: 1 } as const;

/** The request id of a node's ESP states: from its home address, so that it is the same after every restart. */
export function reqidOf(homeAddress: Ipv6Address): number {
  let hash = 0x811c9dc5;
  for (const octet of ipToBytes(homeAddress)) hash = Math.imul(hash ^ octet, 0x01000193) >>> 0;
  return OWNERSHIP.reqidBase + SHARED_REQIDS + (hash % (0x1000000 - SHARED_REQIDS));
}

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

const esp = (reqid: number): XfrmTemplate => ({
  protocol: "esp",
  mode: "transport",
  source: IPV6_ANY,
  destination: IPV6_ANY,
  reqid,
  optional: false,
});

function policy(
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
    policy("in", between(homeAddress, homeAgent), POLICY_PRIORITY.signalling, { templates: [esp(reqid)] }),
    policy("out", between(homeAgent, homeAddress), POLICY_PRIORITY.signalling, { templates: [esp(reqid)] }),
  ];
}

/** The mobile node's side. Updates with one of our marks get ESP alone; all others the Home Address option too. */
export function mobileNodeSecuritySite(
  { homeAddress, homeAgent }: MobileNodePlanSite,
  keys: NodeSecurity,
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
    espState(homeAddress, homeAgent.ipv6, reqid, keys.update),
    espState(homeAgent.ipv6, homeAddress, reqid, keys.acknowledgement),
    policy("in", between(homeAgent.ipv6, homeAddress), POLICY_PRIORITY.signalling, { templates: [esp(reqid)] }),
    policy("out", out, POLICY_PRIORITY.signalling, { mark: ESP_ONLY_MARK, templates: [esp(reqid)] }),
    policy("out", out, POLICY_PRIORITY.signallingWithOption, { templates: [option, esp(reqid)] }),
    ...wildcard("type2-routing-header"),
  ];
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
