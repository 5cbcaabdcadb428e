/**
 * What the home agent concludes from the outer header of a binding update: whether a NAT is on the path, in which format payload
 * travels, and what the NAT Detection option of the answer says (RFC 5555 §3.2.2, §4.2, §4.5; contradictions C-06, C-08).
 */
import { type IpAddress, isIpv6, isRoutableUnicast } from "../../base/ip.js";
import { NO_REFRESH_NEEDED } from "../../wire/mip6/options/dsmip.js";
import type { OptionOfKind } from "../../wire/mip6/options/mobility.js";
import type { Endpoint } from "./inputs.js";

export interface NatPolicy {
  readonly natRefreshSeconds: number;
}

/** The two views of where a node is that one update over UDP gives. */
export interface ObservedSource {
  readonly address: IpAddress;
  readonly port: number;
  /** From the IPv4 Care-of Address option; over IPv6 from the Alternate Care-of Address option. */
  readonly claimed: IpAddress | undefined;
}

/**
 * Whether a NAT changed the source address. Without the option, which a mobile node has to send (RFC 5555 §3.1.2), a NAT can't be
 * excluded, and UDP gets through either way.
 */
export function natDetected(source: ObservedSource): boolean {
  return source.claimed !== source.address;
}

/** Whether both views are unicast addresses that a packet can be sent to; the claimed one may be private. Port 0 is nobody's (RFC 768). */
export function isUsableSource(source: ObservedSource): boolean {
  return (
    source.port !== 0 &&
    isRoutableUnicast(source.address) &&
    (source.claimed === undefined || isRoutableUnicast(source.claimed))
  );
}

/**
 * Where payload goes: to the observed address, in UDP to the observed port if there is a NAT or UDP is forced (C-08). Over IPv6 UDP is there
 * because nothing else gets through.
 */
export function payloadEndpoint(source: ObservedSource, forcedUdp: boolean): Endpoint {
  const { address, port } = source;
  return isIpv6(address) || forcedUdp || natDetected(source)
    ? { format: "udp", address, port }
    : { format: "ipv4", address };
}

/**
 * The option that every answer to an update over UDP carries (RFC 5555 §4.2). No NAT is told by the refresh time of all ones, which
 * without F means that payload travels in plain IPv4 (C-06). Over IPv6 F says that it travels in UDP, and the refresh time is there without
 * a NAT too: a filter that lets nothing but UDP through forgets it as a NAT does.
 */
export function natDetectionOption(
  source: ObservedSource,
  forcedUdp: boolean,
  policy: NatPolicy,
): OptionOfKind<"nat-detection"> {
  const overIpv6 = isIpv6(source.address);
  return {
    kind: "nat-detection",
    forceUdp: overIpv6 || forcedUdp,
    refreshSeconds: overIpv6 || natDetected(source) ? policy.natRefreshSeconds : NO_REFRESH_NEEDED,
  };
}
