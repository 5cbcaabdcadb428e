/** What the kernel of a correspondent needs to know of what is bound to a pair of addresses; the plan turns it into objects. */
import type { Ipv4Address, Ipv6Address } from "../../../base/ip.js";
import type { Reach } from "../return-routability/modes.js";

/** Of one pair, whatever entries of the binding cache stand behind it. A change of `revision` means that the content has changed. */
export interface CorrespondentPath {
  readonly homeAddress: Ipv6Address;
  /** The address of ours that the mobile node speaks to. */
  readonly self: Ipv6Address;
  /** IPv6 payload of the pair; absent: it goes by way of the home agent. Where `ipv4` is there too, both have the same reach. */
  readonly ipv6?: Reach;
  /** IPv4 payload between these two; absent: by way of the home agent. */
  readonly ipv4?: { readonly homeAddress: Ipv4Address; readonly self: Ipv4Address; readonly reach: Reach };
  /** Our IPv4 address that belongs to `self`: where reaches in IPv4 end. Absent: there are none. */
  readonly ipv4Self?: Ipv4Address;
  /** Where the node was until a while ago. The kernel takes nothing from there: it has one state for a pair. */
  readonly former: readonly Ipv6Address[];
  readonly revision: number;
}
