/** What the kernel of a correspondent needs to know of one binding; the plan turns it into objects. */
import type { Ipv6Address } from "../../../base/ip.js";

/** One for each pair of home address and address of ours. A change of `revision` means that the content has changed. */
export interface CorrespondentPath {
  readonly homeAddress: Ipv6Address;
  /** The address of ours that the mobile node speaks to. */
  readonly self: Ipv6Address;
  /** Where packets for the home address go, behind a type 2 routing header. */
  readonly careOf: Ipv6Address;
  /** Where it was until a while ago. The kernel takes nothing from there: it has one state for a pair. */
  readonly former: readonly Ipv6Address[];
  readonly revision: number;
}
