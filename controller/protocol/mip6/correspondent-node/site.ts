/** What the machine needs to know of its configuration. */
import { type Ipv6Address, type Prefix, prefixContains } from "../../../base/ip.js";
import type { Seconds } from "../../../base/time.js";

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
  /** Whether the home agent on this machine has registered it: bindings by return routability never touch that. Absent: there is none. */
  readonly isHomeRegistration?: (homeAddress: Ipv6Address) => boolean;
}

export function permits({ allow, deny }: CorrespondentNodeSite, homeAddress: Ipv6Address): boolean {
  const isIn = (prefix: Prefix): boolean => prefixContains(prefix, homeAddress);
  return allow.some(isIn) && !deny.some(isIn);
}
