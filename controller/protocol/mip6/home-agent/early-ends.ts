/**
 * De-registrations of nodes that are not bound. Such a one may have overtaken the registration before it, on another way through the
 * network; were that one accepted afterwards, the node would be bound without knowing it, at home even. So the sequence number counts for as
 * long as that of a binding that is over (RFC 6275 §10.3.2, MAX_DELETE_BCE_TIMEOUT).
 */
import type { Ipv6Address } from "../../../base/ip.js";
import type { Seq16 } from "../../../base/seq16.js";
import { after, type Instant } from "../../../base/time.js";
import { TIMERS } from "../timers.js";

/** Of subscribers alone, so there are never more than those. */
export class EarlyEnds {
  readonly #ends = new Map<Ipv6Address, { readonly sequence: Seq16; readonly until: Instant }>();

  note(homeAddress: Ipv6Address, sequence: Seq16, now: Instant): void {
    this.#ends.set(homeAddress, { sequence, until: after(now, TIMERS.deletedBinding.default) });
  }

  /** The sequence number of the latest one; undefined if that is long ago. */
  sequenceOf(homeAddress: Ipv6Address, now: Instant): Seq16 | undefined {
    const end = this.#ends.get(homeAddress);
    if (end === undefined || end.until > now) return end?.sequence;
    this.#ends.delete(homeAddress);
    return undefined;
  }
}
