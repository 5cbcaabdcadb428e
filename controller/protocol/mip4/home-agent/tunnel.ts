/** Which tunnel a request asks for, and whether it can have it: encapsulation, reverse tunnel, UDP (RFC 5944 §3.3, RFC 3024 §4.3.1, RFC 3519 §4.6). */
import { findExtension, type RegistrationExtension } from "../../../wire/mip4/extensions/registration.js";
import { ReplyCode, TunnelPayload, UdpTunnelCode } from "../../../wire/mip4/registry.js";
import type { Encapsulation, TunnelEnd } from "../inputs.js";
import type { RequestInput } from "./inputs.js";
import type { HomeAgentSite, HomeSubscriber } from "./site.js";

export type TunnelDecision =
  | {
      readonly kind: "granted";
      readonly end: TunnelEnd;
      readonly natDetected: boolean;
      /** The UDP tunnel reply, where the node has asked. */
      readonly replies: readonly RegistrationExtension[];
    }
  | { readonly kind: "refused"; readonly code: number; readonly reason: string };

const refused = (code: number, reason: string): TunnelDecision => ({ kind: "refused", code, reason });

/** `covered`: the extensions that the node's authentication covers; what a foreign agent adds is not for us. */
export function decideTunnel(
  { arrival, request }: Pick<RequestInput, "arrival" | "request">,
  covered: readonly RegistrationExtension[],
  site: HomeAgentSite,
  subscriber: HomeSubscriber,
): TunnelDecision {
  const { flags, careOfAddress } = request;
  const asked = findExtension(covered, "udp-tunnel-request");
  if (asked !== undefined && !flags.decapsulatesItself)
    return refused(ReplyCode.poorlyFormedRequest, "UDP tunnel request of a node that does not decapsulate itself");
  if (asked === undefined && flags.decapsulatesItself && findExtension(request.extensions, "udp-tunnel-request"))
    return refused(ReplyCode.poorlyFormedRequest, "UDP tunnel request behind the node's authentication");
  const natDetected = flags.decapsulatesItself && arrival.source !== careOfAddress;
  // With R the port of the node's tunnel would be known from its first keepalive only; such a node does without.
  const forced = asked !== undefined && (asked.forced || site.udpTunnelling.forced === "always");
  const inUdp = asked !== undefined && !asked.throughForeignAgent && (natDetected || forced);
  if (inUdp && natDetected && !site.udpTunnelling.allowed)
    return refused(ReplyCode.administrativelyProhibited, "UDP tunnelling is not allowed");
  if (inUdp && !natDetected && site.udpTunnelling.forced === false)
    return refused(ReplyCode.administrativelyProhibited, "forced UDP tunnelling is not allowed");
  const encapsulation = inUdp ? inUdpOf(asked.encapsulation, request.flags, site) : inIpOf(request.flags, site);
  if (encapsulation === undefined) {
    return inUdp
      ? refused(ReplyCode.udpEncapsulationUnavailable, "the encapsulation is not offered in UDP")
      : refused(ReplyCode.encapsulationUnavailable, "the encapsulation is not offered");
  }
  const reverse = refuseReverse(flags.reverseTunnelling, subscriber.reverseTunnelling ?? site.reverseTunnelling);
  if (reverse !== undefined) return reverse;
  const end: TunnelEnd = inUdp
    ? { transport: "udp", address: arrival.source, port: arrival.sourcePort, encapsulation }
    : { transport: "ip", address: careOfAddress, encapsulation };
  const reply = {
    kind: "udp-tunnel-reply",
    code: inUdp ? UdpTunnelCode.willTunnel : UdpTunnelCode.declined,
    forced: inUdp && forced,
    keepaliveSeconds: inUdp ? site.udpTunnelling.keepaliveSeconds : 0,
  } as const;
  return { kind: "granted", end, natDetected, replies: asked === undefined ? [] : [reply] };
}

type Flags = RequestInput["request"]["flags"];

/** Linux has no minimal encapsulation: with M alone there is none to be had; with M and G both GRE is one of those asked for. */
function inIpOf({ minimalEncapsulation, gre }: Flags, { encapsulations }: HomeAgentSite): Encapsulation | undefined {
  if (gre) return encapsulations.gre ? "gre" : undefined;
  return minimalEncapsulation ? undefined : "ip-in-ip";
}

function inUdpOf(asked: number, flags: Flags, site: HomeAgentSite): Encapsulation | undefined {
  const gre = site.encapsulations.greInUdp ? "gre" : undefined;
  switch (asked) {
    case 0:
      if (flags.gre) return gre;
      return flags.minimalEncapsulation ? undefined : "ip-in-ip";
    case TunnelPayload.ipv4:
      return "ip-in-ip";
    case TunnelPayload.gre:
      return gre;
    default:
      return undefined;
  }
}

function refuseReverse(wanted: boolean, policy: HomeAgentSite["reverseTunnelling"]): TunnelDecision | undefined {
  if (!wanted && policy === "required")
    return refused(ReplyCode.reverseTunnelMandatory, "a reverse tunnel is mandatory and the T flag is not set");
  if (wanted && policy === "refused") return refused(ReplyCode.reverseTunnelUnavailable, "no reverse tunnels here");
  return undefined;
}
