/** What the machine needs to know of its configuration. */
import {
  type IpAddress,
  type Ipv4Address,
  type Ipv6Address,
  isRoutableUnicast,
  type Prefix,
  prefixContains,
} from "../../../base/ip.js";
import type { Seconds } from "../../../base/time.js";
import type { Ipv4Mode } from "../return-routability/modes.js";

/** draft-oulai-mext-dsmip-ro-00. */
export interface Ipv4Optimisation {
  /** Of ours that have one: the IPv4 address that mobile nodes know for the same machine. */
  readonly addresses: ReadonlyMap<Ipv6Address, Ipv4Address>;
  /** How payload may go. */
  readonly modes: ReadonlySet<Ipv4Mode>;
  /** Whether one update may be about both home addresses (C-45). */
  readonly combinedUpdates: boolean;
}

export interface CorrespondentNodeSite {
  /** Of ours, that mobile nodes may optimise their routes to. */
  readonly addresses: readonly Ipv6Address[];
  /** Prefixes of home addresses that may; none: nobody may. */
  readonly allow: readonly Prefix[];
  /** Prefixes of home addresses that may not, whatever `allow` says. */
  readonly deny: readonly Prefix[];
  readonly maximumBindings: number;
  /** What becomes of an update when there are as many: refused (status 130), or the binding that was refreshed longest ago gives way. */
  readonly whenFull: "refuse" | "oldest";
  /** Granted at most, and never more than MAX_RR_BINDING_LIFETIME. */
  readonly maximumLifetime: Seconds;
  /** How long what was on its way from a former care-of address brings no Binding Error. */
  readonly formerGrace: Seconds;
  /** Absent: nothing with IPv4 at either side of it is optimised (C-40). */
  readonly ipv4?: Ipv4Optimisation;
  /** Whether the home agent on this machine has registered it: bindings by return routability never touch that. Absent: there is none. */
  readonly isHomeRegistration?: (homeAddress: Ipv6Address) => boolean;
}

export function permits({ allow, deny }: CorrespondentNodeSite, homeAddress: Ipv6Address): boolean {
  const isIn = (prefix: Prefix): boolean => prefixContains(prefix, homeAddress);
  return allow.some(isIn) && !deny.some(isIn);
}

/** Whether the address is one of ours. */
export function isOwn({ addresses, ipv4 }: CorrespondentNodeSite, address: IpAddress): boolean {
  if (addresses.some((one) => one === address)) return true;
  for (const one of ipv4?.addresses.values() ?? []) if (one === address) return true;
  return false;
}

/** Whether a node may have it: no loopback, no group, none of ours. */
export const isIpv4HomeAddress = (site: CorrespondentNodeSite, address: Ipv4Address): boolean =>
  isRoutableUnicast(address) && !isOwn(site, address);
